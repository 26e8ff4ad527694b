package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"filippo.io/age"
)

// tasks are command lines of another tool, by task.
type tasks map[string][]string

// addPeers adds to the rows the same tasks with the other tools, if they are installed.
func (m *meter) addPeers(t *testing.T) {
	for _, peer := range []struct {
		tool  string
		setUp func(t *testing.T, dir string, m *meter) (tasks, []string, error)
	}{{"age", setUpAge}, {"pass", setUpPass}, {"sops", setUpSops}, {"gopass", setUpGopass}} {
		bin, err := exec.LookPath(peer.tool)
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
		can, env, err := peer.setUp(t, dir, m)
		if err != nil {
			t.Fatalf("%s: %v", peer.tool, err)
		}
		m.tools = append(m.tools, peer.tool)
		for _, r := range m.rows {
			if args := can[r.task]; args != nil {
				if r.peers == nil {
					r.peers = map[string]*row{}
				}
				r.peers[peer.tool] = &row{name: peer.tool + ", " + r.task, args: always(append([]string{bin}, args...)...),
					env: env}
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

func setUpAge(_ *testing.T, dir string, _ *meter) (tasks, []string, error) {
	key, file, env := filepath.Join(dir, "key"), filepath.Join(dir, "file"), withHome(dir)
	to, err := ageKey(key)
	if err == nil {
		err = sh(dir, env, "printf 'a value of a usual length' | age -r "+to+" -o "+file)
	}
	return tasks{"read one of 10": {"-d", "-i", key, file}}, env, err
}

// setUpSops makes a file of 10 values and one of 1,000, and a .env file.
func setUpSops(_ *testing.T, dir string, m *meter) (tasks, []string, error) {
	key := filepath.Join(dir, "key")
	env := append(withHome(dir), "SOPS_AGE_KEY_FILE="+key)
	to, err := ageKey(key)
	for _, n := range []int{10, 1000} {
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
	return tasks{
		"read one of 10":    read(10),
		"read one of 1,000": read(1000),
		"export 1,000":      {"decrypt", "--input-type=dotenv", "--output-type=dotenv", filepath.Join(dir, "1000.env")},
		"import 1,000":      {"encrypt", "--age", to, "--input-type=dotenv", "--output-type=dotenv", m.dotenv},
	}, env, err
}

// setUpPass makes a store of 10,000 secrets in folders of 1,000. All are copies of one file,
// because the tasks read only one of them.
func setUpPass(t *testing.T, dir string, _ *meter) (tasks, []string, error) {
	env := append(withHome(dir), "GNUPGHOME="+dir+"/gpg", "PASSWORD_STORE_DIR="+dir+"/store")
	t.Cleanup(func() { _ = sh(dir, env, "gpgconf --kill all") }) // ends the agent that gpg started
	err := sh(dir, env, fmt.Sprintf(`
		mkdir -m 700 gpg
		gpg --batch --quiet --passphrase '' --quick-generate-key bench default default never
		mkdir -p store/%s
		echo bench >store/.gpg-id
		printf 'a value of a usual length' | gpg --batch --quiet --encrypt -r bench -o store/%s.gpg`, filepath.Dir(secretPath(0)), secretPath(0)))
	if err != nil {
		return nil, nil, err
	}
	b, err := os.ReadFile(filepath.Join(dir, "store", secretPath(0)+".gpg"))
	for i := range teamSize {
		file := filepath.Join(dir, "store", secretPath(i)+".gpg")
		err = errors.Join(err, os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, b, 0o600))
	}
	return tasks{
		"read one of 10": {"show", secretPath(5)},
		"list 1,000":     {"ls", filepath.Dir(secretPath(0))},
		"list 10,000":    {"ls", filepath.Dir(filepath.Dir(secretPath(0)))},
	}, env, err
}

// setUpGopass uses the same kind of store as pass.
func setUpGopass(t *testing.T, dir string, m *meter) (tasks, []string, error) {
	can, env, err := setUpPass(t, dir, m)
	if err == nil {
		can["read one of 10"] = []string{"show", "-o", secretPath(5)}
		for _, list := range []string{"list 1,000", "list 10,000"} {
			can[list] = append([]string{"ls", "--flat"}, can[list][1:]...)
		}
	}
	return can, env, err
}
