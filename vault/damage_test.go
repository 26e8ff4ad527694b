package vault_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

var damageAll = flag.Bool("damage-all", false, "flip every byte of a page's head and first elements, and say what "+
	"became of it")

const pageBytes = 4096

// TestDamage damages every page of a vault in every way that disks do. The vault never panics,
// faults or hangs, and it never returns a value other than the stored one.
func TestDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	if underRace {
		t.Skip("it takes too long, and nothing here runs at once")
	}
	v := vaulttest.New(t)
	values := map[string]string{}
	for i := range 40 {
		name := fmt.Sprintf("a/K%02d", i)
		values[name] = fmt.Sprintf("value %d %0300d", i, i)
		v.Set(t, name, values[name], vault.SetOptions{})
	}
	v.Must(t, func(s *vault.Session) error {
		_, _, err := s.CreateAgent(vault.AgentSpec{Name: "reader", Scopes: vaulttest.Scopes(t, "secrets:read:a/*")})
		return err
	})
	v.Must(t, func(s *vault.Session) error { _, err := s.Purge(vaulttest.Path(t, "a/K39")); return err })
	delete(values, "a/K39")
	whole, err := os.ReadFile(v.Path)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	kinds := map[string]func(b []byte, page int) []byte{
		"zeroed":            func(b []byte, page int) []byte { clear(b[page*pageBytes:][:pageBytes]); return b },
		"cut":               func(b []byte, page int) []byte { return b[:page*pageBytes] },
		"cut in the middle": func(b []byte, page int) []byte { return b[:page*pageBytes+pageBytes/2] },
		"swapped with the next": func(b []byte, page int) []byte {
			at, next := b[page*pageBytes:][:pageBytes], b[(page+1)%(len(b)/pageBytes)*pageBytes:][:pageBytes]
			for i := range at {
				at[i], next[i] = next[i], at[i]
			}
			return b
		},
		"replaced by the one before": func(b []byte, page int) []byte {
			copy(b[page*pageBytes:], b[max(0, page-1)*pageBytes:][:pageBytes])
			return b
		},
	}
	flips, others := 16, 2 // only the page header, unless -damage-all is given
	if *damageAll {
		flips, others = 96, 32
	}
	for i := range flips {
		kinds[fmt.Sprintf("byte %d flipped", i)] = func(b []byte, page int) []byte {
			b[page*pageBytes+i] ^= 1 << random.IntN(8)
			return b
		}
	}
	for i := range others {
		kinds[fmt.Sprintf("some byte flipped, %d", i)] = func(b []byte, page int) []byte {
			b[page*pageBytes+random.IntN(pageBytes)] ^= 1 << random.IntN(8)
			return b
		}
	}
	outcomes := map[string]int{}
	path := filepath.Join(t.TempDir(), "vault.db")
	for kind, hurt := range kinds {
		for page := range len(whole) / pageBytes {
			if err := os.WriteFile(path, hurt(append([]byte{}, whole...), page), 0o600); err != nil {
				t.Fatal(err)
			}
			outcome := useDamaged(t, path, v.Owner, values, fmt.Sprintf("page %d %s", page, kind))
			outcomes[outcome]++
		}
	}
	for outcome, n := range outcomes {
		t.Logf("%5d times: %s", n, outcome)
	}
}

// useDamaged uses a damaged vault as people do, and says how that ended.
func useDamaged(t *testing.T, path string, owner *vault.Identity, values map[string]string, what string) string {
	t.Helper()
	allowed := func(step string, err error) bool {
		for _, kind := range []error{vault.ErrDamaged, vault.ErrWrongKey, vault.ErrNotFound, vault.ErrFormat} {
			if errors.Is(err, kind) {
				return true
			}
		}
		t.Errorf("%s: %s: %v (%T)", what, step, err, err)
		return false
	}
	opened, err := vault.Open(path, vault.Options{})
	if err != nil {
		allowed("open", err)
		return "refused at opening"
	}
	defer opened.Close()
	s, err := opened.Owner(owner)
	if err != nil {
		allowed("owner", err)
		return "refused with the owner's key"
	}
	_, verr := s.Verify(true)
	if verr != nil {
		allowed("verify", verr)
	}
	if _, err := s.List(tokens.Namespace{}, false); err != nil {
		allowed("list", err)
	}
	refused := false
	all, err := s.GetAll(tokens.Namespace{})
	if err != nil {
		refused = true
		allowed("get", err)
	} else if len(all) != len(values) {
		t.Errorf("%s: there are %d values of %d", what, len(all), len(values))
	}
	for _, got := range all {
		if string(got.Value) != values[got.Path.String()] {
			t.Errorf("%s: %s is another value", what, got.Path)
		}
	}
	if _, _, err := s.Set(vaulttest.Path(t, "a/NEW"), []byte("x"), vault.SetOptions{}); err != nil {
		refused = true
		allowed("set", err)
	}
	if refused {
		return "refused on use"
	}
	return "nothing that counts was hurt: every value is right"
}
