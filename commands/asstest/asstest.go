// Package asstest gives the scripts of other projects a real secret store:
// docs/testing.md shows how.
//
//	func TestMain(m *testing.M) {
//		testscript.Main(m, map[string]func(){"ass": commands.Main})
//	}
//
//	func TestScripts(t *testing.T) {
//		testscript.Run(t, testscript.Params{
//			Dir:   "testdata/script",
//			Setup: func(env *testscript.Env) error { return asstest.Setup(env, map[string]string{"prod/API_KEY": "s3cret"}) },
//		})
//	}
package asstest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/rogpeppe/go-internal/testscript"

	"ass/commands"
	"ass/tokens"
	"ass/vault"
)

// Isolate gives a script its own HOME and removes every ASS_ variable. The first
// command "ass secrets set" creates a vault there.
func Isolate(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, ".home")
	env.Vars = slices.DeleteFunc(env.Vars, func(pair string) bool { return len(pair) > 4 && pair[:4] == "ASS_" })
	for name, dir := range map[string]string{
		"HOME": "", "XDG_DATA_HOME": "data", "XDG_STATE_HOME": "state", "XDG_CONFIG_HOME": "config", "XDG_RUNTIME_DIR": "run",
	} {
		env.Setenv(name, filepath.Join(home, dir))
	}
	return os.MkdirAll(filepath.Join(home, "run"), 0o700)
}

// Setup calls [Isolate] and creates a vault that holds secrets, a map from path to
// value, all of the standard tier. The script acts as the owner of the vault.
func Setup(env *testscript.Env, secrets map[string]string) error {
	if err := Isolate(env); err != nil {
		return err
	}
	id, err := vault.NewIdentity()
	if err != nil {
		return err
	}
	path := filepath.Join(env.Getenv("XDG_DATA_HOME"), "ass", "vault.db")
	o := vault.Options{MemoryDir: filepath.Join(env.Getenv("XDG_STATE_HOME"), "ass", "seen"), Command: "asstest"}
	vid, err := vault.Create(path, id, o)
	if err != nil {
		return err
	}
	if err := commands.StoreOwner(filepath.Join(env.Getenv("XDG_CONFIG_HOME"), "ass", "config.json"), id,
		vid); err != nil {
		return err
	}
	return fill(path, id, o, secrets)
}

func fill(path string, id *vault.Identity, o vault.Options, secrets map[string]string) error {
	v, err := vault.Open(path, o)
	if err != nil {
		return err
	}
	s, err := v.Owner(id)
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		if err != nil {
			break
		}
		var p tokens.Path
		if p, err = tokens.ParsePath(name); err == nil {
			_, _, err = s.Set(p, []byte(secrets[name]), vault.SetOptions{})
		}
		if err != nil {
			err = fmt.Errorf("secret %q: %w", name, err)
		}
	}
	return errors.Join(err, v.Close())
}
