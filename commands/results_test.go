package commands

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/tokens"
	"ass/vault"

	"github.com/alecthomas/kong"
)

// A shape has the names of every field that is printed, and says which can be missing.
func TestShape(t *testing.T) {
	type inner struct {
		A string      `json:"a"`
		T tokens.Tier `json:"t"`
	}
	of := struct {
		inner
		N  *int           `json:"n"`
		O  string         `json:"o,omitempty"`
		L  []string       `json:"l"`
		LO []inner        `json:"lo,omitempty"`
		P  *inner         `json:"p,omitempty"`
		M  map[string]any `json:"m"`
		W  time.Time      `json:"w"`

		hidden string
	}{hidden: ""}
	const want = `{"a","t","n","o"?,"l":[…],"lo":[{"a","t"}]?,"p":{"a","t"}?,"m":{…},"w"}`
	if got := shape(reflect.TypeOf(of)); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// Every command prints with --json what results says. If a command is run in two ways and
// prints two things, both are here.
func TestResults(t *testing.T) {
	home := t.TempDir()
	env := []string{"PATH=" + os.Getenv("PATH"), "SYSTEMROOT=" + os.Getenv("SYSTEMROOT"), "HOME=" + home, "USERPROFILE=" + home,
		"LOCALAPPDATA=" + home, "APPDATA=" + home, "XDG_RUNTIME_DIR=" + home}
	write := func(name, content string) string {
		name = filepath.Join(home, name)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	did := map[string]map[reflect.Type]bool{}
	var last string // what the last command printed
	call := func(stdin string, exit int, args ...string) (stderr string) {
		t.Helper()
		var out, notes bytes.Buffer
		p := Program{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &notes, Env: env, Dir: home, Now: time.Now, WorkFactor: 10}
		if got := p.Run(args); got != exit {
			t.Fatalf("%q: exit code %d: %s", args, got, notes.String())
		}
		last = out.String()
		return notes.String()
	}
	// is says whether a line is JSON of the type of v, with every field in its place.
	is := func(line string, v any) bool {
		value := reflect.New(reflect.TypeOf(v)).Interface()
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if d.Decode(value) != nil {
			return false
		}
		again, err := jsonLine(value)
		return err == nil && string(again) == line
	}
	do := func(command, rest string) {
		t.Helper()
		args := slices.Concat(strings.Fields(command), []string{"--json"}, strings.Fields(rest))
		stderr := call("hunter2", 0, args...)
		if did[command] == nil {
			did[command] = map[reflect.Type]bool{}
		}
		known := false
		for _, r := range results()[command] {
			line := last
			if strings.HasPrefix(r.when, "on stderr") {
				line = stderr
			}
			if r.of == nil {
				known = known || last != "" && !strings.HasPrefix(last, `{"`)
			} else if is(line, r.of) {
				known, did[command][reflect.TypeOf(r.of)] = true, true
			}
		}
		if !known {
			t.Errorf("%q printed nothing of what results says:\n%s%s", args, last, stderr)
		}
	}
	field := func(name string) string {
		t.Helper()
		var m map[string]any
		if err := json.Unmarshal([]byte(last), &m); err != nil {
			t.Fatal(err)
		}
		s, _ := m[name].(string)
		if s == "" {
			t.Fatalf("no %s in %s", name, last)
		}
		return s
	}

	do("login", "")
	do("whoami", "")
	file := field("vault")
	do("status", "")
	do("version", "")
	do("completion", "bash")
	do("completion install", "fish")
	do("init", "--namespace a")
	do("init", "--trust")
	do("open", "--no-browser")
	do("secrets set", "a/K")
	do("secrets rotate", "a/K")
	do("secrets get", "a/K")
	call("\xff", 0, "secrets", "set", "a/B")
	do("secrets get", "a/B")
	do("secrets rollback", "a/K --to 1 --force")
	do("secrets history", "a/K")
	env = append(env, "EDITOR=go env") // which prints something, and changes no file
	do("secrets edit", "a/K --file-on-disk")
	do("secrets diff", "a/K")
	do("secrets describe", "a/K --description text --tag a=b --expires 900d --rotate-every 90d --meta c=d")
	do("secrets due", "")
	do("secrets find", "text")
	do("secrets list", "--all")
	do("secrets history", "a/K --limit 1")
	do("secrets prune", "a --keep 2 --dry-run")
	do("secrets prune", "a --keep 2 --force")
	do("secrets purge", "a/K --version 2 --force")
	do("secrets delete", "a/K --force")
	do("secrets list", "a --deleted")
	do("secrets restore", "a/K")
	do("secrets list", "a")
	do("secrets list", "*")
	call("hunter2-value", 0, "secrets", "set", "a/LONG")
	do("leaks scan", write("clean.txt", "nothing"))
	call("", 0, "secrets", "purge", "a/LONG", "--force")
	do("secrets delete", "a/K --force")
	do("secrets purge", "a/K --force")
	do("secrets set", "e0/K")
	do("secrets cp", "e0/K e1/K")
	do("secrets mv", "e1/K e2/K")
	do("secrets delete", "e2 --recursive --force")
	do("env import", write("in.env", "A=b\nPATH=x\nC=${A}\n")+" --namespace e")
	do("env export", "--namespace e --exclude C --output out.env")
	do("env export", "--namespace e --format json")
	do("import", "flat-json "+write("in.json", `{"A":"b","N":null}`)+" --namespace f")
	do("run", "--namespace e -- go version")
	do("inject", "-i "+write("in.tpl", "{{ ass:e/A }}")+" --out out.txt")
	do("inject", "-i in.tpl")
	do("secrets set", "a/S --tier sensitive")
	do("secrets set", "a/T --tier sensitive")
	do("agents create", "--name w --namespace a")
	agent, key := field("id"), field("api_key")
	do("agents list", "")
	do("agents show", agent)
	do("agents update", agent+" --description what")
	env = append(env, "ASS_AGENT_KEY="+key)
	do("whoami", "")
	do("request", "a/NEW --reason why")
	do("tokens issue", "--scopes secrets:read:a/* --max-uses 3")
	token := field("token_id")
	for _, path := range []string{"a/S", "a/T"} {
		if line := call("", exitApproval, "secrets", "get", "--json", path); !is(line, errorResult{}) {
			t.Errorf("the error is %s", line)
		}
	}
	env = env[:len(env)-1]
	do("tokens list", "")
	do("tokens revoke", token+" --force")
	do("approvals list", "")
	var requests requestsResult
	if err := json.Unmarshal([]byte(last), &requests); err != nil || len(requests.Items) != 3 {
		t.Fatal(last, err)
	}
	do("explain", "a/S")
	do("leaks of", "a/S")
	do("explain", "--agent "+agent)
	for _, q := range requests.Items {
		if q.Path == "a/S" {
			do("approvals approve", q.ID+" --force")
		} else {
			do("approvals deny", q.ID+" --force --reason no")
		}
	}
	do("approvals list", "--status approved")
	env = append(env, "ASS_AGENT_KEY="+key)
	for _, q := range requests.Items {
		if q.Path == "a/S" {
			do("approvals show", q.ID)
			do("approvals wait", q.ID)
		}
	}
	do("secrets get", "a/S")
	env = env[:len(env)-1]
	do("audit", "")
	do("audit verify", "")
	do("audit report", "--agent "+agent)
	do("audit archive", "old.jsonl --before 0m --force")
	do("audit verify", "--archive old.jsonl")
	do("vault info", "")
	do("vault check", "")
	do("vault backup", "copy.db")
	do("vault restore", "copy.db --verify-only")
	do("vault restore", "copy.db --force")
	do("vault salvage", "copy.db new.db")
	do("vault compact", "")
	older, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	do("vault rekey", "--force")
	if err := os.WriteFile(file, older, 0o600); err != nil {
		t.Fatal(err)
	}
	do("vault accept", "--force")
	do("vault rekey", "--new-key --force")
	do("agents create", "--name v --namespace a --write-key v.key")
	do("agents rotate-key", "v --force --write-key v2.key")
	do("mcp config", "cursor --key-file v2.key --write")
	do("mcp config", "cursor --key-file v2.key")
	for _, name := range []string{"git", "docker", "ssh-askpass"} {
		do("helper "+name, "--install .")
	}
	do("helper docker", "version")
	do("helper claude", "e/A --owner")
	do("agents rotate-key", "w --force")
	do("agents revoke", "w --force")
	if !testing.Short() {
		do("login", "--profile p --api-url p.db --passphrase-fd 0")
		do("unlock", "--profile p --passphrase-fd 0")
	}
	do("lock", "")
	do("passphrase", "--new-fd 0")
	do("passphrase", "--passphrase-fd 0 --remove --force")
	do("key show", "--paper")
	write("key.txt", field("owner_key"))
	do("key test", "--key-file key.txt")
	do("key split", "--shares 3 --threshold 2 --to shares")
	joined := field("set")
	files := "shares/share-1-of-3-" + joined + ".txt shares/share-3-of-3-" + joined + ".txt"
	do("key join", files)
	do("key join", files+" --login")
	identity, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	write("identity.txt", identity.Text())
	do("key add", "--identity identity.txt")
	do("key list", "")
	do("key remove", "age --force --log-file before.jsonl")
	putOldVault(t, filepath.Join(home, "old.db"), filepath.Join(home, "old.txt"))
	do("login", "--profile old --api-url old.db --key-file old.txt")
	do("vault upgrade", "--profile old")
	do("profile list", "")
	do("profile rename", "old older")
	do("profile use", "older")
	do("profile use", "default")
	do("profile delete", "older --force")
	do("logout", "--force")

	parser, err := kong.New(&CLI{}, kong.Bind(&app{}))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range leaves(parser.Model.Node) {
		name := commandName(n)
		for _, r := range results()[name] {
			_, endless := r.of.(eventJSON) // of audit --tail
			endless = endless || name == "approvals watch"
			if r.of != nil && !endless && !did[name][reflect.TypeOf(r.of)] && !(testing.Short() && name == "unlock") {
				t.Errorf("no run of %q printed a %T", name, r.of)
			}
		}
	}
}

// What a person reads of a write: whether it made the secret, and at which tier.
func TestChange(t *testing.T) {
	deleted := time.Now()
	at := func(version uint64, tier tokens.Tier) vault.Secret { return vault.Secret{Version: version, Tier: tier} }
	again := at(4, tokens.Standard)
	again.DeletedTo = 3
	gone := at(3, tokens.Standard)
	gone.DeletedAt = &deleted
	for _, c := range []struct {
		now, before vault.Secret
		want        string
	}{
		{at(1, tokens.Sensitive), vault.Secret{}, "created (sensitive)"},
		{at(4, tokens.Standard), at(3, tokens.Standard), "v3 → v4 (standard)"},
		{at(4, tokens.Critical), at(3, tokens.Standard), "v3 → v4 (standard → critical)"},
		{again, gone, "v3, deleted → v4 (standard); v1 to v3 stay deleted, unless brought back with: ass secrets restore "},
	} {
		if got := change(c.now, c.before); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
