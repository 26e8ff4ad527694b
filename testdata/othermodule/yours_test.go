package yours

import (
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"ass/commands"
	"ass/commands/asstest"
)

func TestMain(m *testing.M) {
	later := func() time.Time { return time.Now().Add(2 * time.Hour) }
	testscript.Main(m, map[string]func(){
		"ass":       commands.Main,
		"ass-later": commands.Program{Now: later}.Main, // the clock comes from Go, never from the environment
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			return asstest.Setup(env, map[string]string{"prod/API_KEY": "s3cret"})
		},
	})
}
