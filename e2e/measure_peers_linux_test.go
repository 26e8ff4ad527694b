package e2e

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"filippo.io/age"
)

// tasks are the rows of another tool, by task or by the name of the row beside which they run.
type tasks map[string]*row

// linesOf returns tasks from command lines without their first word.
func linesOf(bin string, env []string, lines map[string][]string) tasks {
	can := tasks{}
	for task, args := range lines {
		can[task] = &row{args: always(append([]string{bin}, args...)...), env: env}
	}
	return can
}

// addPeers adds to the rows the same tasks with the other tools, if they are installed.
func (m *meter) addPeers(t *testing.T) {
	for _, peer := range []struct {
		tool, bin string
		setUp     func(t *testing.T, bin, dir string, m *meter) (tasks, error)
	}{{before, *measureBefore, setUpBefore}, {"age", "age", setUpAge}, {"pass", "pass", setUpPass}, {"sops", "sops", setUpSops},
		{"gopass", "gopass", setUpGopass}} {
		bin, err := exec.LookPath(peer.bin)
		if peer.bin == "" {
			continue
		}
		if err != nil {
			m.absent = append(m.absent, peer.tool)
			continue
		}
		// The socket of a gpg-agent must have a short path.
		dir, err := os.MkdirTemp("", peer.tool)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		can, err := peer.setUp(t, bin, dir, m)
		if err != nil {
			t.Fatalf("%s: %v", peer.tool, err)
		}
		m.tools = append(m.tools, peer.tool)
		for _, r := range m.rows {
			if p := cmp.Or(can[r.name], can[r.task]); p != nil {
				if r.peers == nil {
					r.peers = map[string]*row{}
				}
				p.name, r.peers[peer.tool] = peer.tool+", "+r.name, p
			}
		}
	}
}

// sh runs a script in a folder.
func sh(dir string, env []string, script string) error {
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir, cmd.Env = dir, env
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, b)
	}
	return nil
}

// ageKey writes an X25519 age identity, which every version of age reads, and returns its
// recipient.
func ageKey(path string) (string, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", err
	}
	return id.Recipient().String(), os.WriteFile(path, []byte(id.String()+"\n"), 0o600)
}

func setUpAge(_ *testing.T, bin, dir string, _ *meter) (tasks, error) {
	key, file, env := filepath.Join(dir, "key"), filepath.Join(dir, "file"), withHome(dir)
	to, err := ageKey(key)
	if err == nil {
		err = sh(dir, env, "printf 'a value of a usual length' | age -r "+to+" -o "+file)
	}
	return linesOf(bin, env, map[string][]string{"read one of 10": {"-d", "-i", key, file}}), err
}

// setUpSops makes files of 10, 40 and 1,000 values, and a .env file.
func setUpSops(_ *testing.T, bin, dir string, m *meter) (tasks, error) {
	key := filepath.Join(dir, "key")
	env := append(withHome(dir), "SOPS_AGE_KEY_FILE="+key)
	to, err := ageKey(key)
	for _, n := range []int{10, 40, 1000} {
		values := map[string]string{}
		for i := range n {
			values[fmt.Sprint("KEY", i)] = "a value of a usual length"
		}
		b, merr := json.Marshal(values)
		err = errors.Join(err, merr, os.WriteFile(fmt.Sprintf("%s/%d.plain", dir, n), b, 0o600),
			sh(dir, env, fmt.Sprintf("sops encrypt --age %s --input-type json --output-type json %d.plain >%d.json", to, n, n)))
	}
	const dotenv = "--input-type=dotenv --output-type=dotenv"
	err = errors.Join(err, sh(dir, env, fmt.Sprintf("sops encrypt --age %s %s %s >1000.env", to, dotenv, m.dotenv)))
	read := func(n int) []string {
		return []string{"decrypt", "--extract", `["KEY5"]`, fmt.Sprintf("%s/%d.json", dir, n)}
	}
	return linesOf(bin, env, map[string][]string{
		"read one of 10":    read(10),
		"read one of 1,000": read(1000),
		"run with 40":       {"exec-env", filepath.Join(dir, "40.json"), "true"},
		"export 1,000":      {"decrypt", "--input-type=dotenv", "--output-type=dotenv", filepath.Join(dir, "1000.env")},
		"import 1,000":      {"encrypt", "--age", to, "--input-type=dotenv", "--output-type=dotenv", m.dotenv},
	}), err
}

// setUpPass makes a store of 10,000 secrets in folders of 1,000. All are copies of one file,
// because the tasks read only one of them.
func setUpPass(t *testing.T, bin, dir string, _ *meter) (tasks, error) {
	env, err := storeOfPass(t, dir)
	return linesOf(bin, env, map[string][]string{
		"read one of 10": {"show", secretPath(5)},
		"list 1,000":     {"ls", filepath.Dir(secretPath(0))},
		"list 10,000":    {"ls", filepath.Dir(filepath.Dir(secretPath(0)))},
	}), err
}

func storeOfPass(t *testing.T, dir string) ([]string, error) {
	env := append(withHome(dir), "GNUPGHOME="+dir+"/gpg", "PASSWORD_STORE_DIR="+dir+"/store")
	t.Cleanup(func() { _ = sh(dir, env, "gpgconf --kill all") }) // ends the agent that gpg started
	err := sh(dir, env, fmt.Sprintf(`
		mkdir -m 700 gpg
		gpg --batch --quiet --passphrase '' --quick-generate-key bench default default never
		mkdir -p store/%s
		echo bench >store/.gpg-id
		printf 'a value of a usual length' | gpg --batch --quiet --encrypt -r bench -o store/%s.gpg`, filepath.Dir(secretPath(0)), secretPath(0)))
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "store", secretPath(0)+".gpg"))
	for i := range teamSize {
		file := filepath.Join(dir, "store", secretPath(i)+".gpg")
		err = errors.Join(err, os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, b, 0o600))
	}
	return env, err
}

// setUpGopass uses the same kind of store as pass.
func setUpGopass(t *testing.T, bin, dir string, _ *meter) (tasks, error) {
	env, err := storeOfPass(t, dir)
	return linesOf(bin, env, map[string][]string{
		"read one of 10": {"show", "-o", secretPath(5)},
		"list 1,000":     {"ls", "--flat", filepath.Dir(secretPath(0))},
		"list 10,000":    {"ls", "--flat", filepath.Dir(filepath.Dir(secretPath(0)))},
	}), err
}
