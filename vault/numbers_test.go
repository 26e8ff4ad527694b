package vault

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"ass/audit"
	"ass/tokens"
)

// version returns the number under which a value is stored at a path.
func (v *victim) store(path, value string) (n uint64) {
	v.t.Helper()
	v.do(func(s *Session) {
		now, _, err := s.Set(v.p(path), []byte(value), SetOptions{})
		v.must(err)
		n = now.Version
	})
	return n
}

func (v *victim) purge(path string) {
	v.t.Helper()
	v.do(func(s *Session) { _, err := s.Purge(v.p(path)); v.must(err) })
}

// A number of a version never comes twice, whatever becomes of the secret.
func TestNumbersNeverComeTwice(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(v *victim) // to a/K, which is at version 3
		want uint64
	}{
		"purged":               {func(v *victim) { v.purge("a/K") }, 4},
		"purged twice":         {func(v *victim) { v.purge("a/K"); v.set4(); v.purge("a/K") }, 5},
		"purged and archived":  {func(v *victim) { v.purge("a/K"); v.archive() }, 4},
		"archived twice":       {func(v *victim) { v.purge("a/K"); v.archive(); v.archive() }, 4},
		"archived and rekeyed": {func(v *victim) { v.purge("a/K"); v.archive(); v.newKey() }, 4},
		"purged and salvaged":  {func(v *victim) { v.purge("a/K"); v.salvaged() }, 4},
		"purged, and a backup from before put back": {func(v *victim) {
			file := v.backUp()
			v.purge("a/K")
			v.set4()
			v.restore(file)
			v.purge("a/K")
		}, 5},
		"newer than the backup that was put back": {func(v *victim) {
			v.purge("a/K")
			file := v.backUp()
			v.set4()
			v.restore(file)
		}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			c.do(v)
			if n := v.store("a/K", "anew"); n != c.want {
				t.Errorf("it is stored anew as version %d, want %d", n, c.want)
			}
			if found := v.problems(); found != "" {
				t.Error(found)
			}
		})
	}
}

func (v *victim) set4() {
	v.t.Helper()
	if n := v.store("a/K", "four"); n != 4 {
		v.t.Fatalf("stored as version %d, want 4", n)
	}
}

func (v *victim) newKey() {
	v.t.Helper()
	id, err := NewIdentity()
	v.must(err)
	v.do(func(s *Session) {
		_, _, err := s.RekeyOwner(NewOwnership(id), filepath.Join(v.t.TempDir(), "log.jsonl"))
		v.must(err)
	})
	v.owner = id
}

func (v *victim) salvaged() {
	v.t.Helper()
	to := filepath.Join(v.t.TempDir(), "vault.db")
	r, err := Salvage(v.path, to, v.owner, v.opts)
	v.must(err)
	if len(r.Lost) > 0 {
		v.t.Errorf("lost: %q", r.Lost)
	}
	v.path = to
}

// Agents go on behind the last number, too, and an import does with one look.
func TestOthersGoOnBehindTheLastNumber(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	_, k := v.agent("writer")
	v.purge("a/K")
	v.insider(k, func(s *Session, tx *tx) error {
		w, err := s.planWrite(tx, v.p("a/K"), SetOptions{})
		if err == nil && w.head.Version != 4 {
			t.Errorf("an agent stores it as version %d", w.head.Version)
		}
		return err
	})
	v.do(func(s *Session) {
		ns, err := tokens.ParseNamespace("a")
		v.must(err)
		done, err := s.Import(ns, []Item{{Key: "K", Value: []byte("x")}, {Key: "N", Value: []byte("y")}}, ImportOptions{Tier: tokens.Standard})
		if err != nil || done[0].Version != 4 || done[1].Version != 1 {
			t.Errorf("imported as %+v, %v", done, err)
		}
	})
	if found := v.problems(); found != "" {
		t.Error(found)
	}
}

// The entry of a purge in format 1 tells no number, and those before it do.
func TestNumbersFromFormat1(t *testing.T) {
	v := newVictimIn(t, Options{}.InFormat1())
	v.purge("a/K")
	v.opts.oldFormat = 0
	v.do(func(s *Session) { _, err := s.Rekey(); v.must(err) })
	if n := v.store("a/K", "anew"); n != 4 { // without a --tier: it is not there
		t.Errorf("it is stored anew as version %d, want 4", n)
	}
	if found := v.problems(); found != "" {
		t.Error(found)
	}
}

// Salvage does not miss the versions from before a purge.
func TestSalvageAfterAPurge(t *testing.T) {
	v := newVictim(t)
	v.purge("a/K")
	v.set4()
	v.salvaged()
}

// Whoever removes a secret's records and stores it anew is found; an honest agent does not store it.
func TestSecretsThatWereRemovedAreNotStoredAnewByOthers(t *testing.T) {
	v := newVictim(t)
	_, k := v.agent("mallory")
	v.insider(k, func(s *Session, t *tx) error {
		for n := range uint64(3) {
			if err := t.remove(bucketVersions, versionKey(v.p("a/K"), n+1)); err != nil {
				return err
			}
		}
		return t.remove(bucketSecrets, []byte("a/K"))
	})
	opened, err := Open(v.path, v.opts)
	v.must(err)
	s, err := opened.Agent(k)
	v.must(err)
	_, _, err = s.Set(v.p("a/K"), []byte("x"), SetOptions{})
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "ask the owner of the vault") {
		t.Errorf("an agent stores it anew: %v", err)
	}
	v.must(opened.Close())
	v.insider(k, func(s *Session, t *tx) error {
		t.looked = map[string]*toldOf{"a/K": {last: 3}} // without the check
		w, err := s.planWrite(t, v.p("a/K"), SetOptions{})
		if err == nil {
			_, err = s.write(t, v.p("a/K"), w, []byte("x"))
		}
		return err
	})
	if found := v.problems(); !strings.Contains(found, "a/K") {
		t.Errorf("a verification finds %q", found)
	}
}

// Nobody but the owner tells of a last number.
func TestOnlyTheOwnerTellsOfALastNumber(t *testing.T) {
	v := newVictim(t)
	_, k := v.agent("mallory")
	v.purge("a/K")
	v.insider(k, func(_ *Session, t *tx) error {
		return t.log(audit.SecretPurged, "secret", "a/K", map[string]any{"versions": 1, "last": 1000})
	})
	v.insider(k, func(_ *Session, t *tx) error {
		return t.log(audit.SecretUpdated, "secret", "a/K", map[string]any{"version": uint64(maxVersion) - 1, "tier": "standard"})
	})
	v.do(func(s *Session) {
		now, _, err := s.Set(v.p("a/K"), []byte("x"), SetOptions{Tier: tokens.Standard})
		if err != nil || now.Version != 4 {
			t.Errorf("stored as version %d, %v", now.Version, err)
		}
	})
}

// A restore brings an earlier version back, and the next one gets a number that no version had, whoever writes it.
func TestNumbersAfterARestore(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"owner", "mallory"} {
		const path = "prod/mine/M"
		c := newCompany(t)
		backup := c.backUp()
		c.do(func(s *Session) { // versions 2 to 4, which the restore gives up
			for range 3 {
				c.put(s, path, 0)
			}
		})
		plan, err := PlanRestore(c.path, backup, c.owner, c.opts)
		if err == nil {
			_, err = Restore(c.path, backup, c.owner, plan, c.opts)
		}
		if err != nil {
			t.Fatal(err)
		}
		c.finds("")
		set := func(s *Session) {
			now, before, err := s.Set(c.p(path), []byte("new"), SetOptions{})
			if err != nil || before.Version != 1 || now.Version != 5 {
				t.Errorf("%s: v%d → v%d, %v", who, before.Version, now.Version, err)
			}
			if _, _, err := s.Get(c.p(path), 3); !errors.Is(err, ErrNotFound) {
				t.Errorf("version 3, which was given up: %v", err)
			}
		}
		if who == "owner" {
			c.do(set)
		} else if err := c.honest(who, set); err != nil {
			t.Fatal(err)
		}
		c.finds("")
		c.do(func(s *Session) {
			if _, err := s.Rekey(); err != nil {
				t.Fatal(err)
			}
		})
		c.finds("")
	}
	// A head that makes a number up is named.
	c := newCompany(t)
	c.insider("mallory", func(_ *Session, t *tx) error {
		var h secretBody
		if err := bodyOf(t, bucketSecrets, []byte("prod/mine/M"), &h); err != nil {
			return err
		}
		h.Last = 9
		return t.put(bucketSecrets, []byte("prod/mine/M"), true, h)
	})
	c.finds("prod/mine/M: it does not match log entry")
}
