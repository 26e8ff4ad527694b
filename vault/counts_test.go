package vault

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"ass/tokens"
)

// stated returns the counts that the file of a vault states; "" for none.
func (v *victim) stated() (text string) {
	v.t.Helper()
	v.edit(func(b func(string) *bbolt.Bucket) { text = string(b(bucketMeta).Get([]byte(metaCounts))) })
	return text
}

// state puts counts in their place; "" removes them.
func (v *victim) state(text string) {
	v.t.Helper()
	v.edit(func(b func(string) *bbolt.Bucket) {
		err := b(bucketMeta).Delete([]byte(metaCounts))
		if text != "" {
			err = b(bucketMeta).Put([]byte(metaCounts), []byte(text))
		}
		if err != nil {
			v.t.Fatal(err)
		}
	})
}

func (v *victim) info() (i Info) {
	v.t.Helper()
	v.do(func(s *Session) {
		var err error
		if i, err = s.Info(); err != nil {
			v.t.Fatal(err)
		}
	})
	return i
}

// After each act, the counts are those of the records. (All tests that end with a verification of the whole vault
// hold that, too.)
func TestCountsFollow(t *testing.T) {
	v := newVictim(t)
	is := func(what, want string) {
		t.Helper()
		if got := v.stated(); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
		var are counts
		v.do(func(s *Session) { are, _ = s.v.count() })
		if c, ok := parseCounts([]byte(want)); !ok || c != are {
			t.Errorf("%s: there are %v", what, are)
		}
	}
	act := func(fn func(s *Session) error) {
		t.Helper()
		v.do(func(s *Session) {
			if err := fn(s); err != nil {
				t.Fatal(err)
			}
		})
	}
	is("at first", `{"secrets":2,"deleted":0,"versions":4,"tokens":0,"agents":0}`)
	act(func(s *Session) error { _, _, err := s.Delete(v.p("a/K")); return err })
	is("a secret deleted", `{"secrets":1,"deleted":1,"versions":4,"tokens":0,"agents":0}`)
	act(func(s *Session) error { _, _, err := s.Set(v.p("a/K"), []byte("x"), SetOptions{}); return err })
	is("and set again", `{"secrets":2,"deleted":0,"versions":5,"tokens":0,"agents":0}`)
	act(func(s *Session) error {
		_, err := s.Import(v.p("b/K").Namespace(), []Item{{Key: "A", Value: []byte("x")}, {Key: "B", Value: []byte("x")}}, ImportOptions{})
		return err
	})
	is("two imported", `{"secrets":4,"deleted":0,"versions":7,"tokens":0,"agents":0}`)
	id, k := v.agent("one")
	v.agent("two")
	act(func(s *Session) error {
		as, err := s.v.Agent(k)
		if err != nil {
			return err
		}
		scopes, err := tokens.ParseScopes("secrets:read:a/*")
		if err == nil {
			_, err = as.IssueToken(TokenSpec{Scopes: scopes})
		}
		return err
	})
	is("two agents and a token", `{"secrets":4,"deleted":0,"versions":7,"tokens":1,"agents":2}`)
	act(func(s *Session) error { _, err := s.Purge(v.p("b/A")); return err })
	is("purged", `{"secrets":3,"deleted":0,"versions":6,"tokens":1,"agents":2}`)
	backup := v.backUp()
	v.revoke(id)
	is("an agent revoked", `{"secrets":3,"deleted":0,"versions":6,"tokens":0,"agents":1}`)
	act(func(s *Session) error { _, err := s.Purge(v.p("b/B")); return err })
	is("and another rewrite", `{"secrets":2,"deleted":0,"versions":5,"tokens":0,"agents":1}`)
	act(func(s *Session) error { return s.Compact("") })
	is("compacted", `{"secrets":2,"deleted":0,"versions":5,"tokens":0,"agents":1}`)
	act(func(s *Session) error {
		_, err := s.ArchiveLog(filepath.Join(t.TempDir(), "log"), time.Now().Add(time.Hour), false)
		return err
	})
	is("archived", `{"secrets":2,"deleted":0,"versions":5,"tokens":0,"agents":1}`)
	v.restore(backup)
	is("restored", `{"secrets":3,"deleted":0,"versions":6,"tokens":0,"agents":1}`)
	whole := v.path
	v.path += ".salvaged"
	if _, err := Salvage(whole, v.path, v.owner, v.opts); err != nil {
		t.Fatal(err)
	}
	act(func(s *Session) error { // several times before the log tells of it
		err := s.commit(func(t *tx) error {
			before := t.changed
			head := secretBody{Seq: t.seq(), ID: "x", Version: 1, Tier: tokens.Standard, Type: DefaultType}
			err := errors.Join(secretKind.put(t, []byte("z/K"), head), secretKind.put(t, []byte("z/K"), head))
			if t.changed.Secrets != before.Secrets+1 {
				err = fmt.Errorf("a secret that is written twice counts as %d", t.changed.Secrets-before.Secrets)
			}
			if err = errors.Join(err, secretKind.remove(t, []byte("z/K"))); err != nil || t.changed != before {
				return fmt.Errorf("removed, it still counts: %v, %v", t.changed, err)
			}
			return errStop
		})
		if !errors.Is(err, errStop) {
			return err
		}
		return nil
	})
	is("salvaged", `{"secrets":3,"deleted":0,"versions":6,"tokens":0,"agents":1}`)
	act(func(s *Session) error {
		err := s.commit(func(t *tx) error {
			return errors.Join(secretKind.remove(t, []byte("a/L")), agentKind.remove(t, []byte(id)), errStop)
		})
		if !errors.Is(err, errStop) {
			return err
		}
		return nil
	})
	is("an act that failed", `{"secrets":3,"deleted":0,"versions":6,"tokens":0,"agents":1}`)
}

// Whatever the file states, an act does the same, and the numbers are those of the records wherever it states nothing that
// could be true. A verification names what is wrong, and refuses nothing for it. Each new file is right again.
func TestCountsThatLie(t *testing.T) {
	t.Parallel()
	const (
		honest = `{"secrets":2,"deleted":0,"versions":4,"tokens":0,"agents":0}`
	)
	for text, x := range map[string]struct {
		shown   int    // versions
		after   string // the next version and a deletion
		problem string
	}{
		honest: {4, `{"secrets":1,"deleted":1,"versions":5,"tokens":0,"agents":0}`, ""},
		`{"secrets":7,"deleted":0,"versions":9,"tokens":0,"agents":0}`: {9, `{"secrets":6,"deleted":1,"versions":10,"tokens":0,"agents":0}`,
			"they say 7 secrets, 0 deleted ones, 9 versions, 0 tokens, 0 agents, but there are 2 secrets, 0 deleted ones, 4 versions"},
		`{"secrets":0,"deleted":0,"versions":4,"tokens":0,"agents":0}`:                   {4, "", "they say 0 secrets"},
		`{"secrets":2,"deleted":0,"versions":9007199254740992,"tokens":0,"agents":0}`:    {1 << 53, "", "they say 2 secrets"},
		`{"secrets":2,"deleted":0,"versions":9007199254740993,"tokens":0,"agents":0}`:    {4, "", "no vault holds that much"},
		`{"secrets":2,"deleted":0,"versions":9223372036854775808,"tokens":0,"agents":0}`: {4, "", "no vault holds that much"},
		`{"secrets":-1,"deleted":0,"versions":7,"tokens":0,"agents":0}`:                  {4, "", "no vault holds that much"},
		`{"secrets":2,"deleted":0,"versions":7,"tokens":0}`:                              {4, "", "no vault holds that much"},
		`{"secrets":2,"deleted":0,"versions":7,"tokens":0,"agents":0} `:                  {4, "", "no vault holds that much"},
		`{"secrets":2,"deleted":0,"versions":7,"tokens":0,"agents":0,"more":1}`:          {4, "", "no vault holds that much"},
		"\x00":                     {4, "", "no vault holds that much"},
		strings.Repeat("[", 1<<20): {4, "", "no vault holds that much"},
		"":                         {4, "", "they are missing"},
	} {
		name := text[:min(len(text), 80)]
		v := newVictim(t)
		v.state(text)
		if i := v.info(); i.Versions != x.shown {
			t.Errorf("%q: it shows %d versions, want %d", name, i.Versions, x.shown)
		}
		v.do(func(s *Session) {
			r, err := s.Verify(true)
			if err != nil || len(r.Problems) > 0 || r.Err(v.path, "nothing was done") != nil {
				t.Errorf("%q: %q, %v", name, r.Problems, err)
			}
			if said := fmt.Sprint(r.Miscounted); x.problem == "" && len(r.Miscounted) > 0 || !strings.Contains(said, x.problem) {
				t.Errorf("%q: it says %s", name, said)
			}
		})
		v.do(func(s *Session) {
			v.set(s, "a/K", "next")
			if _, _, err := s.Delete(v.p("a/L")); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		})
		if got := v.stated(); got != x.after {
			t.Errorf("%q: after two acts, it states %q", name, got)
		}
		v.state(text)
		backup := v.backUp()
		v.do(func(s *Session) {
			if err := s.Compact(""); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		})
		const right = `{"secrets":1,"deleted":1,"versions":5,"tokens":0,"agents":0}`
		if got := v.stated(); got != right {
			t.Errorf("%q: compacted, it states %q", name, got)
		}
		v.restore(backup)
		if got := v.stated(); got != right {
			t.Errorf("%q: a backup restored, it states %q", name, got)
		}
	}
}

// Format 1 has no counts: none are written there, they are counted, and what somebody puts in their place is not
// believed and does not belong there.
func TestCountsOfFormat1(t *testing.T) {
	owner, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{t, filepath.Join(t.TempDir(), "vault.db"), owner, Options{MemoryDir: t.TempDir(), oldFormat: 1}}
	if _, err := Create(v.path, owner, v.opts); err != nil {
		t.Fatal(err)
	}
	v.do(func(s *Session) { v.set(s, "a/K", "one") })
	if got := v.stated(); got != "" {
		t.Errorf("it states %q", got)
	}
	if found := v.problems(); found != "" {
		t.Error(found)
	}
	v.state(`{"secrets":7,"deleted":0,"versions":9,"tokens":0,"agents":0}`)
	if i := v.info(); i.Secrets != 1 {
		t.Errorf("it shows %d secrets", i.Secrets)
	}
	if found := v.problems(); !strings.Contains(found, `meta/"counts": it does not belong in a vault`) {
		t.Errorf("the verification says %q", found)
	}
}
