package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"ass/commands"
	"ass/tokens"
	"ass/vault"
)

// filling is the content of a measured vault: how many secrets, log entries and agents.
type filling struct{ secrets, entries, agents int }

func (f filling) String() string {
	return fmt.Sprintf("%d-secrets-%d-entries-%d-agents", f.secrets, f.entries, f.agents)
}

// filledHome is a home with such a vault, an agent and a token.
type filledHome struct {
	filling
	home, agent, token string
}

// Each service namespace has 1,000 secrets, so that one transaction writes all of it. Each
// team namespace has ten services.
const (
	serviceSize = 1000
	teamSize    = 10 * serviceSize
)

func secretPath(i int) string {
	return fmt.Sprintf("team%d/service%d/KEY%d", i/teamSize, i/serviceSize, i)
}

// variables returns a .env file of n variables.
func variables(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "KEY%d=a-value-of-a-usual-length-%d\n", i, i)
	}
	return b.Bytes()
}

// fillAll makes a home for each filling, in parallel and the longest work first.
func fillAll(t *testing.T, dir string, specs []filling) map[filling]filledHome {
	t.Helper()
	homes := map[filling]string{}
	for _, f := range specs {
		homes[f] = filepath.Join(dir, f.String())
	}
	var (
		mu    sync.Mutex
		errs  []error
		wg    sync.WaitGroup
		turns = make(chan bool, runtime.NumCPU())
	)
	for _, f := range slices.SortedFunc(maps.Keys(homes), func(a, b filling) int { return b.work() - a.work() }) {
		turns <- true
		wg.Go(func() {
			start := time.Now()
			err := f.prepare(homes[f])
			mu.Lock()
			defer mu.Unlock()
			t.Logf("%v: there after %v", f, time.Since(start).Round(time.Millisecond))
			errs = append(errs, err)
			<-turns
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	worlds := map[filling]filledHome{}
	for f, home := range homes {
		worlds[f] = f.enter(t, home)
	}
	return worlds
}

func (f filling) work() int { return f.secrets + f.entries + 10*f.agents }

// prepare fills the vault of a home, or copies it from the cache.
func (f filling) prepare(home string) error {
	filled := home
	if *measureCache != "" {
		filled = filepath.Join(*measureCache, f.String())
	}
	if _, err := os.Stat(filled); err != nil {
		part := filled + ".part"
		if err := errors.Join(os.RemoveAll(part), f.fill(part)); err != nil {
			return err
		}
		if err := os.Rename(part, filled); err != nil {
			return err
		}
	}
	if filled == home {
		return nil
	}
	return copyAll(filled, home)
}

// fill makes the home, with a vault and its content.
func (f filling) fill(home string) error {
	id, err := vault.NewIdentity()
	if err != nil {
		return err
	}
	vid, err := vault.Create(vaultFile(home), id, vault.Options{})
	if err != nil {
		return err
	}
	config := filepath.Join(home, ".config/ass/config.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(config), 0o700), commands.StoreOwner(config, id, vid)); err != nil {
		return err
	}
	err = asOwner(home, id, func(s *vault.Session) error {
		for at := 0; at < f.secrets; at += serviceSize {
			ns, err := tokens.ParseNamespace(filepath.Dir(secretPath(at)))
			if err != nil {
				return err
			}
			var items []vault.Item
			for i := at; i < min(at+serviceSize, f.secrets); i++ {
				items = append(items, vault.Item{Key: filepath.Base(secretPath(i)), Value: []byte("a value of a usual length")})
			}
			if _, err := s.Import(ns, items, vault.ImportOptions{}); err != nil {
				return err
			}
		}
		for i := range f.agents {
			if _, _, err := s.CreateAgent(vault.AgentSpec{Name: fmt.Sprint("agent", i), Scopes: allSecrets}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || f.entries == 0 {
		return err
	}
	key := filepath.Join(home, "owner.key")
	if err := os.WriteFile(key, []byte(id.Text()), 0o600); err != nil {
		return err
	}
	b, err := exec.Command("go", "test", "../vault", "-run", "^TestLengthen$", "-count=1", "-timeout", "1h", "-args", "-lengthen",
		vaultFile(home), "-lengthen-key", key, "-lengthen-by", fmt.Sprint(f.entries)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, b)
	}
	return os.Remove(key)
}

// allSecrets are the scopes of the agents and the token.
var allSecrets = tokens.Scopes{{Actions: tokens.Read, Pattern: tokens.Below(tokens.Namespace{})}}

// enter makes an agent and a token. They are not in the cache, because a token is valid
// for one day only.
func (f filling) enter(t *testing.T, home string) filledHome {
	t.Helper()
	w := filledHome{filling: f, home: home}
	p := &person{t: t, home: home}
	p.find()
	err := asOwner(home, p.owner, func(s *vault.Session) error {
		_, k, err := s.CreateAgent(vault.AgentSpec{Name: "reader", Scopes: allSecrets})
		if err != nil {
			return err
		}
		issued, err := s.IssueToken(vault.TokenSpec{Scopes: allSecrets, TTL: tokens.MaxTTL})
		w.agent, w.token = k.Text(), issued.Text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// copy copies the home of w and returns the new path.
func (w filledHome) copy(t *testing.T, name string) string {
	t.Helper()
	to := w.home + "-" + name
	if err := copyAll(w.home, to); err != nil {
		t.Fatal(err)
	}
	return to
}

func vaultFile(home string) string { return filepath.Join(home, ".local/share/ass/vault.db") }

func copyAll(from, to string) error {
	b, err := exec.Command("cp", "-a", "--reflink=auto", from, to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, b)
	}
	return nil
}

func asOwner(home string, id *vault.Identity, fn func(*vault.Session) error) error {
	v, err := vault.Open(vaultFile(home), vault.Options{})
	if err != nil {
		return err
	}
	s, err := v.Owner(id)
	if err == nil {
		err = fn(s)
	}
	return errors.Join(err, v.Close())
}
