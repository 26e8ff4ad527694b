// Package asstest gives the tests of other projects a real secret store: in Go with [New], in the scripts of
// testscript with [Setup], [Main] and [Cmds]. docs/testing.md shows how.
//
//	func TestMain(m *testing.M) {
//		testscript.Main(m, map[string]func(){"ass": asstest.Main})
//	}
//
//	func TestScripts(t *testing.T) {
//		testscript.Run(t, testscript.Params{
//			Dir:   "testdata/script",
//			Cmds:  asstest.Cmds(),
//			Setup: func(env *testscript.Env) error { return asstest.Setup(env, asstest.Secrets{"prod/API_KEY": "s3cret"}) },
//		})
//	}
//
// Each vault is a copy of one that is in this package, with the owner's key. So everybody has that key: a vault of this
// package is for values that are no secrets. Nothing that is written to it is synced to the disk.
package asstest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"ass/commands"
	"ass/tokens"
	"ass/vault"
)

// Content is something that a new vault holds: [Secrets], [Secret] or [Agent].
type Content interface {
	store(*vault.Session, *home) error
}

// Secrets are values by path, all of the standard tier.
type Secrets map[string]string

func (c Secrets) store(s *vault.Session, h *home) error {
	for _, path := range slices.Sorted(maps.Keys(c)) {
		if err := (Secret{Path: path, Values: []string{c[path]}}).store(s, h); err != nil {
			return err
		}
	}
	return nil
}

// Secret is a secret with all that can be said of it.
type Secret struct {
	Path   string
	Values []string // of its versions, the oldest first
	Tier   string   // standard if empty
	Type   string   // custom if empty
}

func (c Secret) store(s *vault.Session, _ *home) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("secret %q: %w", c.Path, err)
		}
	}()
	p, err := tokens.ParsePath(c.Path)
	if err != nil {
		return err
	}
	if len(c.Values) == 0 {
		return errors.New("it has no value")
	}
	o := vault.SetOptions{Type: c.Type}
	if c.Tier != "" {
		if o.Tier, err = tokens.ParseTier(c.Tier); err != nil {
			return err
		}
	}
	for _, value := range c.Values {
		if _, _, err := s.Set(p, []byte(value), o); err != nil {
			return err
		}
	}
	return nil
}

// Agent is an agent with a key. In a script, ass-as NAME acts as it.
type Agent struct {
	Name   string
	Scopes []string // such as "secrets:read:prod/*"
}

func (c Agent) store(s *vault.Session, h *home) error {
	scopes, err := tokens.ScopesOf(c.Scopes)
	if err == nil {
		var k tokens.AgentKey
		if _, k, err = s.CreateAgent(vault.AgentSpec{Name: c.Name, Scopes: scopes}); err == nil {
			err = h.keep(c.Name, k.Text())
		}
	}
	if err != nil {
		return fmt.Errorf("agent %q: %w", c.Name, err)
	}
	return nil
}

// Isolate gives a script its own HOME and removes every ASS_ variable. The first
// command "ass secrets set" creates a vault there, with a key of its own.
func Isolate(env *testscript.Env) error {
	h := home{filepath.Join(env.WorkDir, ".home")}
	env.Vars = slices.DeleteFunc(env.Vars, func(pair string) bool { return strings.HasPrefix(pair, "ASS_") })
	for _, pair := range h.env() {
		env.Setenv(pair[0], pair[1])
	}
	return os.MkdirAll(h.at("run"), 0o700)
}

// Setup calls [Isolate] and makes a vault that holds secrets, a map from path to value, and more. The script acts as
// the owner of the vault.
func Setup(env *testscript.Env, secrets Secrets, more ...Content) error {
	if err := Isolate(env); err != nil {
		return err
	}
	return home{filepath.Join(env.WorkDir, ".home")}.fill(append([]Content{secrets}, more...))
}

// home is a folder with a vault, and everything that ass has beside it.
type home struct{ dir string }

func (h home) at(names ...string) string { return filepath.Join(append([]string{h.dir}, names...)...) }

func (h home) vault() string { return h.at("data", "ass", "vault.db") }

// stateVariable names the folder of a home, for [Main].
const stateVariable = "ASSTEST_HOME"

// env is what ass and programs beside it need to find the home.
func (h home) env() [][2]string {
	return [][2]string{{"HOME", h.dir}, {"XDG_DATA_HOME", h.at("data")}, {"XDG_STATE_HOME", h.at("state")},
		{"XDG_CONFIG_HOME", h.at("config")}, {"XDG_RUNTIME_DIR", h.at("run")}, {stateVariable, h.dir}}
}

func (h home) options(ids func() [16]byte) vault.Options {
	return vault.Options{MemoryDir: h.at("state", "ass", "seen"), Command: "asstest", Throwaway: true, Now: h.clock().Now,
		IDs: ids}
}

// fill makes the vault.
func (h home) fill(contents []Content) error {
	owner, err := vault.ParseIdentity(templateKey)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(h.vault()), 0o700)
	}
	if err == nil {
		err = os.WriteFile(h.vault(), template, 0o600)
	}
	if err == nil {
		err = os.MkdirAll(h.at("config", "ass"), 0o700)
	}
	if err == nil { // ass would sync a new folder
		err = os.MkdirAll(h.at("state", "ass", "seen"), 0o700)
	}
	if err == nil {
		err = commands.StoreOwner(h.at("config", "ass", "config.json"), owner, templateID)
	}
	if err != nil {
		return err
	}
	return h.asOwner(func(s *vault.Session) error {
		for _, c := range contents {
			if err := c.store(s, &h); err != nil {
				return err
			}
		}
		return nil
	})
}

// asOwner acts as the owner.
func (h home) asOwner(fn func(*vault.Session) error) error {
	owner, err := vault.ParseIdentity(templateKey)
	if err != nil {
		return err
	}
	v, err := vault.Open(h.vault(), h.options(h.ids()))
	if err != nil {
		return err
	}
	defer v.Close()
	s, err := v.Owner(owner)
	if err != nil {
		return err
	}
	return fn(s)
}
