package vault_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

func TestSetAndGet(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "production/gemini/KEY", "one", vault.SetOptions{})
	v.Set(t, "production/gemini/KEY", "two", vault.SetOptions{Type: "api_key"})
	v.Must(t, func(s *vault.Session) error {
		p := vaulttest.Path(t, "production/gemini/KEY")
		now, value, err := s.Get(p, 0)
		if err != nil || string(value) != "two" || now.Version != 2 || now.Type != "api_key" || now.Tier != tokens.Standard {
			t.Errorf("current: %v %+v", err, now)
		}
		old, value, err := s.Get(p, 1)
		if err != nil || string(value) != "one" || old.Version != 1 {
			t.Errorf("version 1: %v %+v", err, old)
		}
		if _, _, err := s.Get(p, 3); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("version 3: %v", err)
		}
		return nil
	})
}

func TestValuesAreKeptExactly(t *testing.T) {
	v := vaulttest.New(t)
	for name, value := range map[string]string{
		"empty": "", "one": "x", "newline": "a\n", "binary": "\x00\xff\xfe", "dash": "-x",
		"largest": strings.Repeat("v", vault.MaxValueBytes),
	} {
		v.Set(t, "n/"+name, value, vault.SetOptions{})
		if got, err := v.Get(t, "n/"+name); err != nil || got != value {
			t.Errorf("%s: %d bytes came back for %d: %v", name, len(got), len(value), err)
		}
	}
	err := v.Do(func(s *vault.Session) error {
		_, _, err := s.Set(vaulttest.Path(t, "n/x"), make([]byte, vault.MaxValueBytes+1), vault.SetOptions{})
		return err
	})
	var syntax *tokens.SyntaxError
	if !errors.As(err, &syntax) {
		t.Errorf("a value that is too large: %v", err)
	}
}

func TestTiers(t *testing.T) {
	v := vaulttest.New(t)
	p := vaulttest.Path(t, "n/KEY")
	tierAndEpoch := func() (tokens.Tier, uint32) {
		var list []vault.Secret
		v.Must(t, func(s *vault.Session) (err error) {
			list, err = s.List(p.Namespace(), false)
			return err
		})
		return list[0].Tier, v.Verify().Epoch
	}
	for i, step := range []struct {
		set   tokens.Tier
		want  tokens.Tier
		epoch uint32
	}{
		{0, tokens.Standard, 1},
		{tokens.Sensitive, tokens.Sensitive, 2}, // raising rewrites
		{0, tokens.Sensitive, 2},                // without a tier, the secret keeps its own
		{tokens.Critical, tokens.Critical, 3},
		{tokens.Standard, tokens.Standard, 3}, // lowering appends
	} {
		v.Set(t, p.String(), fmt.Sprint("value", i), vault.SetOptions{Tier: step.set})
		if tier, epoch := tierAndEpoch(); tier != step.want || epoch != step.epoch {
			t.Errorf("step %d: tier %v in epoch %d, want %v in %d", i, tier, epoch, step.want, step.epoch)
		}
	}
	v.Must(t, func(s *vault.Session) error {
		for n := range uint64(5) {
			if _, value, err := s.Get(p, n+1); err != nil || string(value) != fmt.Sprint("value", n) {
				t.Errorf("version %d: %q, %v", n+1, value, err)
			}
		}
		return nil
	})
}

func TestPurgeLeavesNothing(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "n/KEY", "one", vault.SetOptions{})
	v.Set(t, "n/OTHER", "other", vault.SetOptions{})
	v.Must(t, func(s *vault.Session) error {
		n, err := s.Purge(vaulttest.Path(t, "n/KEY"))
		if n != 1 {
			t.Errorf("purged %d versions", n)
		}
		// The session goes on in the new file.
		if _, value, err := s.Get(vaulttest.Path(t, "n/OTHER"), 0); err != nil || string(value) != "other" {
			t.Errorf("beside it: %q, %v", value, err)
		}
		return err
	})
	if _, err := v.Get(t, "n/KEY"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("after the purge: %v", err)
	}
	if _, err := os.Stat(v.Path + ".new"); !os.IsNotExist(err) {
		t.Errorf("a file was left: %v", err)
	}
}

func TestStates(t *testing.T) {
	v := vaulttest.New(t)
	p := vaulttest.Path(t, "n/KEY")
	v.Set(t, p.String(), "one", vault.SetOptions{})
	v.Set(t, p.String(), "two", vault.SetOptions{})
	steps := []struct {
		name string
		do   func(*vault.Session) error
		want error
	}{
		{"restore what is there", func(s *vault.Session) error { _, err := s.Restore(p); return err }, vault.ErrConflict},
		{"roll back to the current", func(s *vault.Session) error { _, _, err := s.Rollback(p, 2); return err },
			vault.ErrConflict},
		{"roll back", func(s *vault.Session) error { _, _, err := s.Rollback(p, 1); return err }, nil},
		{"roll back to nothing", func(s *vault.Session) error { _, _, err := s.Rollback(p, 9); return err },
			vault.ErrNotFound},
		{"wrong version", func(s *vault.Session) error {
			n := uint64(2)
			_, _, err := s.Set(p, []byte("x"), vault.SetOptions{IfVersion: &n})
			return err
		}, vault.ErrConflict},
		{"delete", func(s *vault.Session) error { _, _, err := s.Delete(p); return err }, nil},
		{"delete again", func(s *vault.Session) error { _, _, err := s.Delete(p); return err }, vault.ErrNotFound},
		{"read deleted", func(s *vault.Session) error { _, _, err := s.Get(p, 0); return err }, vault.ErrNotFound},
		{"rotate deleted", func(s *vault.Session) error {
			_, _, err := s.Set(p, []byte("x"), vault.SetOptions{Rotate: true})
			return err
		}, vault.ErrNotFound},
		{"restore", func(s *vault.Session) error { _, err := s.Restore(p); return err }, nil},
		{"right version", func(s *vault.Session) error {
			n := uint64(3)
			_, _, err := s.Set(p, []byte("four"), vault.SetOptions{IfVersion: &n, Rotate: true})
			return err
		}, nil},
	}
	for _, step := range steps {
		if err := v.Do(step.do); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.name, err, step.want)
		}
	}
	if got, err := v.Get(t, p.String()); got != "four" {
		t.Errorf("at the end: %q, %v", got, err)
	}
	v.Must(t, func(s *vault.Session) error {
		_, versions, err := s.History(p)
		if len(versions) != 4 || versions[0].Number != 4 || !versions[0].Current || versions[1].Current {
			t.Errorf("history: %+v", versions)
		}
		return err
	})
}
