package vault_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"ass/audit"
	"ass/vault"
	"ass/vault/vaulttest"
)

// A log that is read in pages is the log, and each page begins where the one before ended. It is not gone on with in
// another log.
func TestLogInPages(t *testing.T) {
	t.Parallel()
	v := vaulttest.New(t)
	for n := range 300 { // more than a leaf of the database
		v.Set(t, fmt.Sprintf("a/K%d", n%7), "x", vault.SetOptions{})
	}
	looked(t, v, func(open *vault.Vault) error {
		want, err := open.Log(0, nil)
		if err != nil || len(want) != 301 {
			t.Fatal(len(want), err)
		}
		for _, size := range []int{1, 7, 100, 301} {
			var got []uint64
			var q vault.Query
			for more := true; more; {
				n := 0
				q.Before, err = open.EachEntry(q, func(e vault.Entry, bytes int) bool {
					if bytes < 200 {
						t.Errorf("an entry of %d bytes", bytes)
					}
					got = append(got, e.Seq)
					n++
					return n < size
				})
				if err != nil {
					t.Fatal(err)
				}
				more = n == size
			}
			if !slices.EqualFunc(got, want, func(seq uint64, e vault.Entry) bool { return seq == e.Seq }) {
				t.Errorf("in pages of %d: %v", size, got)
			}
		}
		for _, before := range []vault.Receipt{{Seq: 5}, {Seq: 1000}} {
			_, err := open.EachEntry(vault.Query{Before: before}, func(vault.Entry, int) bool { t.Error("an entry"); return true })
			if !errors.Is(err, vault.ErrConflict) {
				t.Errorf("behind an entry that is not there: %v", err)
			}
		}
		return nil
	})
}

// A name is known of every actor that a record or the log tells of, and what the log tells only the owner can have told.
func TestActors(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/K", "x", vault.SetOptions{})
	scopes := vaulttest.Scopes(t, "secrets:read:a/*")
	agent, worker := v.NewAgent(t, "worker", "secrets:read:a/*")
	var ids []string
	issue := func(spec vault.TokenSpec) func(s *vault.Session) error {
		return func(s *vault.Session) error {
			issued, err := s.IssueToken(spec)
			ids = append(ids, issued.ID)
			return err
		}
	}
	v.Must(t, issue(vault.TokenSpec{Scopes: scopes, Unlock: true}))
	v.Must(t, issue(vault.TokenSpec{Scopes: scopes}))
	issued, _ := v.NewToken(t, worker, vault.TokenSpec{Scopes: scopes, Unlock: true}) // which only the owner can say
	ids = append(ids, issued.ID)
	check := func(when string) {
		looked(t, v, func(open *vault.Vault) error {
			for _, asked := range [][]string{nil, {agent.ID, ids[0], ids[1], ids[2], "owner", "nobody"}, {ids[2]}, {ids[0], "nobody"}} {
				all, err := open.Actors(asked...)
				if err != nil {
					t.Fatal(err)
				}
				for id, want := range map[string]vault.Actor{
					audit.Owner: {ID: audit.Owner, Name: audit.Owner},
					agent.ID:    {ID: agent.ID, Name: "worker"},
					ids[0]:      {ID: ids[0], Issuer: audit.Owner, Name: audit.Owner, Unlock: true},
					ids[1]:      {ID: ids[1], Issuer: audit.Owner, Name: audit.Owner},
					ids[2]:      {ID: ids[2], Issuer: agent.ID, Name: "worker"},
					"nobody":    {},
				} {
					if (asked == nil || slices.Contains(asked, id)) && all[id] != want {
						t.Errorf("%s, asked for %q: %q is %+v", when, asked, id, all[id])
					}
				}
			}
			return nil
		})
	}
	check("at first")
	v.Must(t, func(s *vault.Session) error {
		_, err := s.RevokeAgent(agent.ID, vault.NarrowOptions{})
		return err
	})
	v.Must(t, func(s *vault.Session) error { return s.Compact("") })
	check("after a revocation, when no record of a token is left")
}

func looked(t *testing.T, v *vaulttest.Vault, fn func(*vault.Vault) error) {
	t.Helper()
	o := v.Opts
	o.ReadOnly = true
	open, err := vault.Open(v.Path, o)
	if err == nil {
		err = errors.Join(fn(open), open.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}
