package vault

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"ass/tokens"
)

// manyVersions stores values at one secret, in few transactions.
func manyVersions(t testing.TB, s *Session, p tokens.Path, n int) {
	t.Helper()
	for left := n; left > 0; left -= 1000 {
		err := s.update(func(t *tx) error {
			for range min(left, 1000) {
				w, err := s.planWrite(t, p, SetOptions{})
				if err != nil {
					return err
				}
				if _, err := s.write(t, p, w, []byte("a value of a usual length")); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// writesOf are acts on one secret, none of which needs to look at all of its versions.
var writesOf = []struct {
	name string
	do   func(s *Session, p tokens.Path) error
}{
	{"set", func(s *Session, p tokens.Path) error { _, _, err := s.Set(p, []byte("x"), SetOptions{}); return err }},
	{"set with the tier", func(s *Session, p tokens.Path) error {
		_, _, err := s.Set(p, []byte("x"), SetOptions{Tier: tokens.Critical})
		return err
	}},
	{"rotate", func(s *Session, p tokens.Path) error {
		_, _, err := s.Set(p, []byte("x"), SetOptions{Rotate: true})
		return err
	}},
	{"explain", func(s *Session, p tokens.Path) error { _, err := s.ExplainPath(p); return err }},
	{"delete", func(s *Session, p tokens.Path) error { _, _, err := s.Delete(p); return err }},
	{"restore", func(s *Session, p tokens.Path) error { _, err := s.Restore(p); return err }},
	{"rollback", func(s *Session, p tokens.Path) error { _, _, err := s.Rollback(p, 1); return err }},
}

// A write, or a look at who may do what, costs the same for a secret with hundreds of versions as for
// one with thousands: the pages that it needs do not grow, and neither does what it allocates.
func TestAWriteDoesNotGrow(t *testing.T) {
	if UnderRace {
		t.Skip("the race detector allocates, too")
	}
	type cost struct{ pages, allocs int }
	costs := map[string][]cost{}
	for _, n := range []int{400, 2400} {
		s := benchVault(t, 500)
		p := benchPath(t, 250)
		if _, _, err := s.Set(p, []byte("x"), SetOptions{Tier: tokens.Critical}); err != nil {
			t.Fatal(err)
		}
		manyVersions(t, s, p, n)
		for _, act := range writesOf {
			checked, err := s.v.db.Watch()
			if err != nil {
				t.Fatal(err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err = act.do(s, p)
			runtime.ReadMemStats(&after)
			if err != nil {
				t.Fatalf("%s: %v", act.name, err)
			}
			costs[act.name] = append(costs[act.name], cost{len(checked().Pages), int(after.Mallocs - before.Mallocs)})
		}
	}
	for name, c := range costs {
		t.Logf("%s: %+v", name, c)
		if c[1].pages > c[0].pages+6 || c[1].allocs > c[0].allocs+c[0].allocs/4 {
			t.Errorf("%s costs %+v with 400 versions, and %+v with 2400", name, c[0], c[1])
		}
	}
}

// What is below the newest version changes nothing about the next one. Somebody who puts back an older version, of
// when the secret had a higher tier, takes that version away from its readers. A verification names it, and a write
// that names the tier mends it.
func TestAHigherTierBelow(t *testing.T) {
	v := newVictim(t)
	v.do(func(s *Session) {
		if _, _, err := s.Set(v.p("a/K"), []byte("critical"), SetOptions{Tier: tokens.Critical}); err != nil {
			t.Fatal(err)
		}
	})
	k := versionKey(v.p("a/K"), 1)
	critical := v.take(bucketVersions, k)
	v.do(func(s *Session) {
		if _, _, err := s.Set(v.p("a/K"), []byte("standard"), SetOptions{Tier: tokens.Standard}); err != nil {
			t.Fatal(err)
		}
		v.makeLarge(s)
	})
	v.give(bucketVersions, k, critical)
	v.do(func(s *Session) {
		for range 2 {
			if now, _, err := s.Set(v.p("a/K"), []byte("next"), SetOptions{}); err != nil || now.Tier != tokens.Standard {
				t.Errorf("the next value is %s, %v", now.Tier, err)
			}
		}
		if x, err := s.ExplainPath(v.p("a/K")); err != nil || x.Tier != tokens.Standard {
			t.Errorf("it is %s, %v", x.Tier, err)
		}
	})
	if found := v.problems(); !strings.Contains(found, "a/K version 1: its tier critical is above that of its secret, standard") {
		t.Errorf("the verification says %q", found)
	}
	v.do(func(s *Session) {
		if _, _, err := s.Set(v.p("a/K"), []byte("mended"), SetOptions{Tier: tokens.Standard}); err != nil {
			t.Fatal(err)
		}
		err := s.view(func(t *tx) error {
			highest, err := t.highestTier(v.p("a/K"))
			if highest != tokens.Standard {
				err = errors.Join(err, fmt.Errorf("a version is still %s", highest))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// The newest version counts, whatever the head says: neither a head from before it, nor a lower tier in the head, nor a
// missing version lowers the tier of what comes next.
func TestTheNewestVersionCounts(t *testing.T) {
	const path = "prod/mine/CRIT"
	for name, x := range map[string]struct {
		attack  func(c *company, t *tx, h *secretBody) error
		refused string
	}{
		"a lower tier in the head": {func(_ *company, _ *tx, h *secretBody) error { h.Tier = tokens.Standard; return nil }, ""},
		"its newest version removed": {func(c *company, t *tx, h *secretBody) error {
			h.Tier = tokens.Standard
			return insert(t, bucketVersions, versionKey(c.p(path), 2), nil)
		}, ""},
		"an earlier number in the head": {func(_ *company, _ *tx, h *secretBody) error { h.Version = 1; return nil },
			"version 2 exists, but the record says that version 1 is current: an old record was put back"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.do(func(s *Session) { c.put(s, path, 0) })
			c.insider("mallory", func(_ *Session, t *tx) error {
				var h secretBody
				if err := bodyOf(t, bucketSecrets, []byte(path), &h); err != nil {
					return err
				}
				if err := x.attack(c, t, &h); err != nil {
					return err
				}
				return t.put(bucketSecrets, []byte(path), true, h)
			})
			err := c.honest("mallory", func(s *Session) {
				_, _, err := s.Set(c.p(path), []byte("next"), SetOptions{})
				if x.refused != "" {
					c.check("mallory set it", err, ErrDamaged, x.refused)
				} else {
					c.check("mallory set it", err, ErrApproval, "")
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			c.do(func(s *Session) {
				now, _, err := s.Set(c.p(path), []byte("next"), SetOptions{})
				if x.refused != "" {
					c.check("the owner set it", err, ErrDamaged, x.refused)
				} else if err != nil || now.Tier != tokens.Critical {
					t.Errorf("the owner's next value is %s, %v", now.Tier, err)
				}
			})
		})
	}
}

// BenchmarkVersions measures acts on a secret with many versions.
func BenchmarkVersions(b *testing.B) {
	for _, n := range []int{10, 10000} {
		s := benchVault(b, 500)
		p := benchPath(b, 250)
		manyVersions(b, s, p, n)
		for _, act := range []struct {
			name string
			do   func() error
		}{
			{"set", func() error { _, _, err := s.Set(p, []byte("x"), SetOptions{}); return err }},
			{"delete and restore", func() error {
				_, _, err := s.Delete(p)
				if err == nil {
					_, err = s.Restore(p)
				}
				return err
			}},
			{"explain", func() error { _, err := s.ExplainPath(p); return err }},
			{"history", func() error { _, _, err := s.History(p); return err }},
		} {
			b.Run(fmt.Sprintf("%d/%s", n, act.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := act.do(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
