package yours

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ass/commands"
	"ass/commands/asstest"
)

func TestMain(m *testing.M) {
	later := func() time.Time { return asstest.Begin.Add(2 * time.Hour) }
	testscript.Main(m, map[string]func(){
		"ass":       asstest.Main,
		"ass-later": commands.Program{Now: later}.Main, // the clock comes from Go, never from the environment
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: asstest.Cmds(),
		Setup: func(env *testscript.Env) error {
			return asstest.Setup(env, asstest.Secrets{"prod/API_KEY": "s3cret"},
				asstest.Agent{Name: "worker", Scopes: []string{"secrets:read:prod/*"}})
		},
	})
}

// Two vaults at the same time, in one process.
func TestInGo(t *testing.T) {
	for _, name := range []string{"one", "two"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := asstest.New(t, asstest.Secrets{"prod/API_KEY": name})
			worker := v.Agent(t, "worker", "secrets:read:prod/*")
			if got := worker.Get(t, "prod/API_KEY"); got != name {
				t.Errorf("%q", got)
			}
			if r := worker.Run(t, "secrets", "set", "prod/API_KEY", "x"); r.Exit != 5 {
				t.Errorf("%+v", r)
			}
			if n := len(v.Events(t)); n != 5 {
				t.Errorf("%d entries", n)
			}
		})
	}
}

// A program that speaks to the hosted product gets the vault behind the same API.
func TestHosted(t *testing.T) {
	v := asstest.New(t, asstest.Secrets{"prod/API_KEY": "s3cret"},
		asstest.Agent{Name: "worker", Scopes: []string{"secrets:read:prod/*"}})
	url := asstest.API(t, v).URL
	for bearer, want := range map[string]string{v.Agent(t, "worker").Key: "s3cret", v.OwnerKey(): "s3cret", "nobody": ""} {
		req, err := http.NewRequest("GET", url+"/v1/secrets/prod/API_KEY", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+bearer)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Value string
			Error struct{ Code string }
		}
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Value != want {
			t.Errorf("%d, %v, %q", res.StatusCode, err, got.Error.Code)
		}
		res.Body.Close()
	}
}
