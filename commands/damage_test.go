package commands

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/vault"
)

var (
	damageAll   = flag.Bool("damage-all", false, "TestDamage hurts every page for every command, and not a sample")
	damageTable = flag.Bool("damage-table", false,
		"like -damage-all, and write what became of it into docs/reliability.md")
)

// damagedHome is a home folder with a vault. It is put back before each command.
type damagedHome struct {
	t     *testing.T
	dir   string
	vault string
	now   time.Time
	files map[string][]byte
	named *strings.Replacer // gives a command line the same name in every home

	token, ask string // the ids of a token and of a request
}

// newDamagedHome makes a home with a vault of many kinds of records, and returns all commands that are run on it, most
// of them several times. "as" and a credential before a command say who runs it.
func newDamagedHome(t *testing.T) (h *damagedHome, commands [][]string) {
	h = &damagedHome{t: t, dir: t.TempDir(), now: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	t.Setenv("HOME", h.dir)
	t.Setenv("LOCALAPPDATA", h.dir) // the home of ass on Windows
	for _, name := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "ASS_AGENT_KEY", "ASS_API_URL",
		"ASS_NAMESPACE"} {
		t.Setenv(name, "")
	}
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(h.dir, "run"))
	t.Chdir(h.dir)
	if err := os.Mkdir("run", 0o700); err != nil {
		t.Fatal(err)
	}
	var many strings.Builder
	for i := range 60 {
		fmt.Fprintf(&many, "K%02d=hunter2-%d-%0200d\n", i, i, i)
	}
	identity, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"identity.txt": identity.Text(), "many.env": many.String(), "new.env": "NEW=hunter2\n",
		"template": "{{ ass://production/K03 }}", "new.json": `{"NEW":"hunter2"}`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.must(0, "env", "import", "many.env", "--namespace", "production")
	h.must(0, "secrets", "set", "production/K01", "hunter2-again")
	h.must(0, "secrets", "set", "production/CARD", "hunter2-card", "--tier", "critical", "--expires", "2031-01-01T00:00:00Z")
	h.must(0, "secrets", "set", "staging/GONE", "hunter2-gone")
	h.must(0, "secrets", "delete", "staging/GONE", "--force")
	key := idIn(t, h.must(0, "agents", "create", "--name", "reader", "--scopes", "secrets:read:production/*", "--json"),
		"api_key")
	h.must(0, "agents", "create", "--name", "other", "--scopes", "secrets:write:staging/*")
	h.must(6, "as", key, "secrets", "get", "production/CARD", "--reason", "test")
	token := h.must(0, "as", key, "tokens", "issue", "--scopes", "secrets:read:production/*", "--ttl", "30m")
	tokenID := idIn(t, h.must(0, "tokens", "list", "--json"), "token_id")
	ask := idIn(t, h.must(0, "approvals", "list", "--json"), "id")
	h.must(0, "vault", "backup", "kept.bak")
	h.keep()
	for path := range h.files {
		if filepath.Base(path) == "vault.db" {
			h.vault = path
		}
	}

	commands = [][]string{
		{"status"}, {"whoami"},
		{"secrets", "list"}, {"secrets", "due"}, {"secrets", "diff", "production/K01"}, {"secrets", "find", "K"}, {"secrets", "describe", "production/K08", "--description", "x"},
		{"secrets", "get", "production/K03"}, {"secrets", "get", "production/K01", "--version", "1"},
		{"secrets", "set", "production/K04", "hunter2"}, {"secrets", "set", "production/NEW", "hunter2"},
		{"secrets", "rotate", "production/K05", "--value", "hunter2", "--force"}, {"secrets", "history", "production/K01"},
		{"secrets", "rollback", "production/K01", "--to", "1", "--force"},
		{"secrets", "delete", "production/K06", "--force"}, {"secrets", "restore", "staging/GONE"}, {"secrets", "purge",
			"production/K07", "--force"}, {"secrets", "prune", "production/K01", "--keep", "1", "--force"},
		{"env", "export", "production"}, {"env", "import", "new.env", "--namespace", "production"},
		{"import", "flat-json", "new.json", "--namespace", "production"},
		{"inject", "-i", "template"},
		{"agents", "list"}, {"agents", "show", "reader"}, {"agents", "create", "--name", "third", "--scopes",
			"secrets:read:staging/*"},
		{"agents", "update", "reader", "--scopes", "secrets:read:staging/*", "--force"},
		{"agents", "rotate-key", "reader", "--force"}, {"agents", "revoke", "other", "--force"},
		{"tokens", "list"}, {"tokens", "issue", "--scopes", "secrets:read:staging/*"}, {"tokens", "revoke", tokenID,
			"--force"},
		{"approvals", "list"}, {"approvals", "approve", ask, "--force"}, {"approvals", "deny", ask, "--reason", "no"},
		{"explain", "production/K03"}, {"leaks", "of", "production/K03"}, {"status", "--check"}, {"audit"}, {"audit", "verify"},
		{"vault", "info"}, {"vault", "check"}, {"vault", "compact"}, {"vault", "rekey", "--force"},
		{"vault", "rekey", "--new-key", "--force"}, {"vault", "backup", "out.bak"}, strings.Fields(restoring),
		{"vault", "salvage", h.vault, "new.db"},
		{"audit", "archive", "out.jsonl", "--before", "2030-01-03", "--force"}, {"open", "--no-browser"},
		{"as", key, "helper", "claude", "production/K03"},
		{"as", key, "secrets", "get", "production/K03"}, {"as", key, "secrets", "list", "production"}, {"as", token, "secrets", "get",
			"production/K03"}, {"as", key, "tokens", "issue", "--scopes", "secrets:read:production/K03"},
	}
	if runtime.GOOS != "windows" {
		commands = append(commands, []string{"run", "--namespace", "production", "--", "true"})
	}
	h.token, h.ask = tokenID, ask
	h.named = strings.NewReplacer(tokenID, "ID", ask, "ID", h.vault, "vault.db", "as "+key, "as an agent:", "as "+token,
		"by a token:")
	return h, commands
}

func (h *damagedHome) run(args ...string) (stdout, stderr string, exit int) {
	h.t.Helper()
	stdin, err := os.Open(os.DevNull)
	if err != nil {
		h.t.Fatal(err)
	}
	defer stdin.Close()
	if args[0] == "as" { // as an agent or by a token
		os.Setenv("ASS_AGENT_KEY", args[1])
		defer os.Unsetenv("ASS_AGENT_KEY")
		args = args[2:]
	}
	var out, errw bytes.Buffer
	exit = Program{Stdin: stdin, Stdout: &out, Stderr: &errw, Now: func() time.Time { return h.now },
		Throwaway: true}.Run(args)
	return out.String(), errw.String(), exit
}

func (h *damagedHome) must(want int, args ...string) string {
	h.t.Helper()
	stdout, stderr, exit := h.run(args...)
	if exit != want {
		h.t.Fatalf("%q: exit code %d: %s", args, exit, stderr)
	}
	return plain(stdout)
}

// plain returns what a command printed, without the size of the file.
func plain(stdout string) string {
	return regexp.MustCompile(`[0-9.]+ KiB`).ReplaceAllString(strings.TrimSpace(stdout), "SIZE")
}

// keep remembers every file. put writes these files again, and removes all others.
func (h *damagedHome) keep() {
	h.files = map[string][]byte{}
	err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			h.files[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *damagedHome) put(vault []byte) {
	h.t.Helper()
	for path, b := range h.files {
		if path == h.vault {
			b = vault
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if _, kept := h.files[path]; err == nil && d.Type().IsRegular() && !kept {
			err = os.Remove(path)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// idIn finds the id in a field of JSON output.
func idIn(t *testing.T, text, field string) string {
	t.Helper()
	m := regexp.MustCompile(`"` + field + `": ?"([^"]+)"`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no %s in %s", field, text)
	}
	return m[1]
}

// damageKinds are what disks, and people who use them wrongly, do to a page.
var damageKinds = []struct {
	name string
	do   func(b []byte, page int, r *rand.Rand) []byte
}{
	{"zeroed", func(b []byte, page int, _ *rand.Rand) []byte { clear(pageOf(b, page)); return b }},
	{"cut here", func(b []byte, page int, _ *rand.Rand) []byte { return b[:page*damagePage] }},
	{"cut inside", func(b []byte, page int, r *rand.Rand) []byte { return b[:page*damagePage+1+r.IntN(damagePage-1)] }},
	{"swapped with another", func(b []byte, page int, r *rand.Rand) []byte {
		n := len(b) / damagePage
		at, other := pageOf(b, page), pageOf(b, (page+1+r.IntN(n-1))%n)
		for i := range at {
			at[i], other[i] = other[i], at[i]
		}
		return b
	}},
	{"overwritten by another", func(b []byte, page int, r *rand.Rand) []byte {
		n := len(b) / damagePage
		copy(pageOf(b, page), pageOf(b, (page+1+r.IntN(n-1))%n))
		return b
	}},
	{"bit flipped in its head", func(b []byte, page int, r *rand.Rand) []byte {
		pageOf(b, page)[r.IntN(16)] ^= 1 << r.IntN(8)
		return b
	}},
	{"bit flipped in its table", func(b []byte, page int, r *rand.Rand) []byte {
		pageOf(b, page)[16+r.IntN(64)] ^= 1 << r.IntN(8)
		return b
	}},
	{"bit flipped anywhere", func(b []byte, page int, r *rand.Rand) []byte {
		pageOf(b, page)[r.IntN(damagePage)] ^= 1 << r.IntN(8)
		return b
	}},
}

// unchecked are the commands that show parts of the file that need no key, unchecked, and those
// that save what they can of a damaged vault.
var unchecked = []string{"audit", "status", "vault info", restoring, salvaging}

const (
	restoring = "vault restore kept.bak --force"
	salvaging = "vault salvage vault.db new.db"
)

const damagePage = 4096

func pageOf(b []byte, page int) []byte { return b[page*damagePage:][:damagePage] }

func skipSlow(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race",
		Value: "true"}) {
		t.Skip("it takes too long, and nothing here runs at once")
	}
}

// TestDamage runs every command on a vault with one damaged page. The command does what it does on
// the whole vault, or it ends with exit code 8 and says what is damaged and how to go on.
func TestDamage(t *testing.T) {
	skipSlow(t)
	page, err := filepath.Abs("../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	h, commands := newDamagedHome(t)
	whole := h.files[h.vault]
	every := *damageAll || *damageTable
	random := rand.New(rand.NewPCG(5, 6))
	table := newDamageTable()
	for _, args := range commands {
		// The output is compared if the command prints the same each time.
		h.put(bytes.Clone(whole))
		first := h.must(0, args...)
		h.put(bytes.Clone(whole))
		same := h.must(0, args...) == first
		name := h.named.Replace(strings.Join(args, " "))
		for _, kind := range damageKinds {
			pages := []int{random.IntN(len(whole) / damagePage)}
			if every {
				pages = pages[:0]
				for page := range len(whole) / damagePage {
					pages = append(pages, page)
				}
			}
			for _, page := range pages {
				h.put(kind.do(bytes.Clone(whole), page, random))
				stdout, stderr, exit := h.run(args...)
				what := fmt.Sprintf("%s, page %d %s: exit code %d, %q", name, page, kind.name, exit, stderr)
				switch {
				case exit == exitDone && name == restoring:
					if got, _, _ := h.run("secrets", "get", "production/K03"); got != fmt.Sprintf("hunter2-3-%0200d", 3) {
						t.Errorf("%s: what was restored is another value", what)
					}
				case exit == exitDone && slices.Contains(unchecked, name):
				case exit == exitDone && same && plain(stdout) != first:
					t.Errorf("%s: it printed %q", what, stdout)
				case exit == exitDone:
				case exit == exitDamaged, exit == exitDenied &&
					regexp.MustCompile("or its root was modified|opens nothing in the vault").MatchString(stderr):
					h.checkMessage(what, stdout, stderr)
				default:
					t.Error(what)
				}
				table.count(name, kind.name, exit)
			}
		}
	}
	t.Log("\n" + table.String())
	if *damageTable {
		writeBetween(t, page, "damage", table.String())
	}
}

// checkMessage checks that a refusal says what is damaged and what to do, and that it shows
// neither internals of the program nor a value.
func (h *damagedHome) checkMessage(what, stdout, stderr string) {
	h.t.Helper()
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "ass: ") || !strings.Contains(last, "; ") && !strings.Contains(last, ": ") ||
		regexp.MustCompile(`panic|goroutine|runtime error|a bug in|0x[0-9a-f]{6}`).MatchString(stderr) {
		h.t.Errorf("%s: this does not help", what)
	}
	if strings.Contains(stdout, "hunter2") || strings.Contains(stderr, "hunter2") {
		h.t.Errorf("%s: a value was printed: %q", what, stdout)
	}
}

// table counts, for each command and kind of damage, how often each exit code came.
type table struct {
	rows   []string
	counts map[[2]string]map[int]int
}

func newDamageTable() *table { return &table{counts: map[[2]string]map[int]int{}} }

func (d *table) count(row, column string, exit int) {
	if len(d.rows) == 0 || d.rows[len(d.rows)-1] != row {
		d.rows = append(d.rows, row)
	}
	at := [2]string{row, column}
	if d.counts[at] == nil {
		d.counts[at] = map[int]int{}
	}
	d.counts[at][exit]++
}

func (d *table) String() string {
	var b strings.Builder
	b.WriteString("| `ass` |")
	for _, k := range damageKinds {
		b.WriteString(" " + k.name + " |")
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(damageKinds)) + "\n")
	total := map[int]int{}
	for _, row := range d.rows {
		b.WriteString("| `" + row + "` |")
		for _, k := range damageKinds {
			n := d.counts[[2]string{row, k.name}]
			fmt.Fprintf(&b, " %d · %d", n[exitDone], n[exitDamaged])
			if n[exitDenied] > 0 {
				fmt.Fprintf(&b, " · %d", n[exitDenied])
			}
			b.WriteString(" |")
			for exit, n := range n {
				total[exit] += n
			}
		}
		b.WriteString("\n")
	}
	sum := 0
	for _, n := range total {
		sum += n
	}
	fmt.Fprintf(&b, "\n%d runs: %d did what they do on the whole vault, %d ended with exit code 8, %d with 5, and %d in "+
		"any other way.\n",
		sum, total[exitDone], total[exitDamaged], total[exitDenied], sum-total[exitDone]-total[exitDamaged]-total[exitDenied])
	return b.String()
}

// writeBetween replaces the text between two markers of a page.
func writeBetween(t *testing.T, path, name, text string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->"
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for it", path)
	}
	if err := os.WriteFile(path, []byte(before+begin+text+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
