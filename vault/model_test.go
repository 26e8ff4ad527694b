package vault_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

// modelSecret is a secret as a plain value: the specification.
type modelSecret struct {
	values  []string // by version, oldest first
	tier    tokens.Tier
	deleted bool
}

// TestModel runs random acts of an owner against a map as the specification, and
// verifies the vault in between: no honest history looks like an attack.
func TestModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	v := vaulttest.New(t)
	model := map[string]*modelSecret{}
	names := []string{"a/K", "a/K2", "a/b/K", "b/K"}
	for step := range 150 {
		name := names[random.IntN(len(names))]
		p, m := vaulttest.Path(t, name), model[name]
		live := m != nil && !m.deleted
		act := random.IntN(9)
		var want error
		value := fmt.Sprintf("value %d", step)
		err := v.Do(func(s *vault.Session) error {
			switch act {
			case 0, 1, 2: // set, now and then with a tier
				o := vault.SetOptions{}
				if act == 2 {
					o.Tier = tokens.Tiers[random.IntN(3)]
				}
				if m == nil {
					m = &modelSecret{tier: tokens.Standard}
					model[name] = m
				}
				if o.Tier != 0 {
					m.tier = o.Tier
				}
				m.values, m.deleted = append(m.values, value), false
				_, _, err := s.Set(p, []byte(value), o)
				return err
			case 3:
				if want = vault.ErrNotFound; live {
					want, m.deleted = nil, true
				}
				_, _, err := s.Delete(p)
				return err
			case 4:
				switch {
				case m == nil:
					want = vault.ErrNotFound
				case live:
					want = vault.ErrConflict
				default:
					m.deleted = false
				}
				_, err := s.Restore(p)
				return err
			case 5:
				if want = vault.ErrNotFound; live {
					want = nil
					m.values = append(m.values, value)
				}
				_, _, err := s.Set(p, []byte(value), vault.SetOptions{Rotate: true})
				return err
			case 6:
				to := 1 + random.IntN(4)
				switch {
				case !live, to > len(m.values):
					want = vault.ErrNotFound
				case to == len(m.values):
					want = vault.ErrConflict
				default:
					m.values = append(m.values, m.values[to-1])
				}
				_, _, err := s.Rollback(p, uint64(to))
				return err
			case 7:
				if want = vault.ErrNotFound; m != nil && random.IntN(3) == 0 {
					want = nil
					delete(model, name)
				} else if m != nil {
					want = nil
					return nil
				}
				_, err := s.Purge(p)
				return err
			default:
				if want = vault.ErrNotFound; live {
					want = nil
				}
				found, got, err := s.Get(p, 0)
				if err == nil && (string(got) != m.values[len(m.values)-1] || found.Tier != m.tier || found.Version != uint64(len(m.values))) {
					t.Errorf("step %d: %s is %q, v%d, %v", step, name, got, found.Version, found.Tier)
				}
				return err
			}
		})
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Fatalf("step %d: act %d on %s: %v, want %v", step, act, name, err, want)
		}
		if step%30 == 0 {
			checkModel(t, v, model)
		}
	}
	checkModel(t, v, model)
}

func checkModel(t *testing.T, v *vaulttest.Vault, model map[string]*modelSecret) {
	t.Helper()
	if r := v.Verify(); len(r.Problems) > 0 {
		t.Fatalf("an honest vault does not hold: %q", r.Problems)
	}
	v.Must(t, func(s *vault.Session) error {
		list, err := s.List(tokens.Namespace{}, false)
		if err != nil {
			return err
		}
		live := 0
		for _, m := range model {
			if !m.deleted {
				live++
			}
		}
		if len(list) != live {
			t.Errorf("%d secrets are listed, want %d", len(list), live)
		}
		for name, m := range model {
			for n, want := range m.values {
				if m.deleted {
					break
				}
				if _, got, err := s.Get(vaulttest.Path(t, name), uint64(n+1)); err != nil || string(got) != want {
					t.Errorf("%s version %d is %q, want %q: %v", name, n+1, got, want, err)
				}
			}
		}
		return nil
	})
}
