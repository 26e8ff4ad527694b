package vault

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// oldCompany is a company whose vault is in format 1.
func oldCompany(t *testing.T) *company {
	c := newCompanyIn(t, keys.Format1)
	if format := c.format(); format != keys.Format1 {
		t.Fatalf("the vault has format %d", format)
	}
	return c
}

func (c *company) format() (format int) {
	c.open(func(v *Vault) { format = v.format })
	return format
}

// A vault of format 1 is written in format 1 by its agents, and upgraded by its owner. Afterwards everybody opens what
// they did, and the log accounts for all of it.
func TestUpgrade(t *testing.T) {
	c := oldCompany(t)
	if _, err := c.read("reader", "prod/app/DB"); err != nil || c.format() != keys.Format1 {
		t.Fatalf("an agent reads: %v, format %d", err, c.format())
	}
	if err := c.honest("mallory", func(s *Session) {
		if _, _, err := s.Set(c.p("prod/mine/M"), []byte("hers"), SetOptions{}); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	c.do(func(s *Session) {
		before := s.epoch.N
		done, err := s.Upgrade(false)
		if err != nil || done.From != 1 || done.To != 2 || done.Epoch != before+1 || done.Kept == "" {
			t.Fatalf("%+v, %v", done, err)
		}
		if _, err := os.Stat(done.Kept); err != nil {
			t.Error(err)
		}
		copies, err := s.Copies(time.Time{})
		if err != nil || len(copies) == 0 || copies[len(copies)-1].File != done.Kept {
			t.Errorf("the copies: %v, %v", copies, err)
		}
		if again, err := s.Upgrade(false); err != nil || again.From != again.To || again.Epoch != done.Epoch {
			t.Errorf("a second time: %+v, %v", again, err)
		}
		_, versions, err := s.History(c.p("prod/mine/M"))
		if err != nil || versions[0].Author != c.id["mallory"] {
			t.Errorf("the history: %v, %v", versions, err)
		}
	})
	c.finds("")
	if c.format() != keys.Format2 {
		t.Errorf("the vault has format %d", c.format())
	}
	for _, who := range []string{"reader", "reader's token"} {
		if _, err := c.read(who, "prod/app/deep/K"); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
	// What no entry of format 1 has the sum of is not attested; what the owner wrote in the last epoch is.
	c.do(func(s *Session) {
		err := s.view(func(t *tx) error {
			return versionKind.each(t, nil, func(k []byte, body versionBody, r record) error {
				if body.Origin == nil || r.by != audit.Owner || body.Author != "" {
					c.t.Errorf("%q has the origin %+v, and its author is %q", k, body.Origin, body.Author)
				}
				return nil
			})
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// An upgrade signs nothing that a verification names. If the owner insists, it leaves that out and mends the rest. A
// narrowing act makes the new format at once.
func TestUpgradeOfATamperedVault(t *testing.T) {
	tampered := func() *company {
		c := oldCompany(t)
		c.insider("mallory", func(s *Session, t *tx) error {
			var h secretBody
			if err := bodyOf(t, bucketSecrets, []byte("prod/app/DB"), &h); err != nil {
				return err
			}
			return t.put(bucketSecrets, []byte("prod/app/DB"), true, h) // she has no right to it
		})
		return c
	}
	c := tampered()
	c.do(func(s *Session) {
		before, _ := os.ReadFile(c.path)
		_, err := s.Upgrade(false)
		c.check("it is upgraded", err, ErrDamaged, "was not upgraded")
		if after, _ := os.ReadFile(c.path); string(before) != string(after) {
			t.Error("the file was changed")
		}
		done, err := s.Upgrade(true)
		if err != nil || len(done.Problems) == 0 || len(done.Mended) == 0 {
			t.Errorf("with force: %+v, %v", done, err)
		}
	})
	c.finds("")
	if got, err := c.read("reader", "prod/app/DB"); err != nil || got != marker+"prod/app/DB" {
		t.Errorf("its honest value is %q, %v", got, err)
	}

	c = tampered()
	c.do(func(s *Session) {
		if _, err := s.RevokeAgent("mallory", NarrowOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	c.finds("")
	if c.format() != keys.Format2 {
		t.Errorf("the vault has format %d", c.format())
	}
}

// A file of format 1 of a vault that this machine saw in format 2 is an older copy. A program that knows format 1 alone
// learns that from the note that it reads.
func TestAnOlderFormatIsAnOlderCopy(t *testing.T) {
	c := oldCompany(t)
	c.opts.MemoryDir = t.TempDir()
	c.do(func(*Session) {})
	old, err := os.ReadFile(c.path)
	if err != nil {
		t.Fatal(err)
	}
	end := uint64(0)
	c.do(func(s *Session) {
		_, err := s.Upgrade(false)
		end = s.v.seen.Seq
		if err != nil {
			t.Fatal(err)
		}
	})
	if err := os.WriteFile(c.path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	// Even if the copy had gone on far beyond, by somebody who has its keys.
	c.opts.oldFormat = keys.Format1
	for range 10 {
		if _, err := c.read("reader", "prod/app/DB"); err != nil {
			t.Fatal(err)
		}
	}
	c.opts.oldFormat = 0
	c.open(func(v *Vault) {
		if back := v.Rollback(); back == nil || back.Format != keys.Format2 || !strings.Contains(back.String(), "older") {
			t.Errorf("the machine says %v", back)
		}
		s, err := v.Owner(c.owner)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Upgrade(true); !errors.Is(err, ErrConflict) {
			t.Errorf("it is upgraded: %v", err)
		}
		if _, err := s.Accept(); !errors.Is(err, ErrConflict) {
			t.Errorf("it is accepted: %v", err)
		}
		b, err := os.ReadFile(filepath.Join(c.opts.MemoryDir, v.ID())) // where older programs look
		if err != nil {
			t.Fatal(err)
		}
		if k, _, err := parseSlots(b); err != nil || k.Seq != end {
			t.Errorf("older programs saw %+v, %v", k, err)
		}
	})
}

// The history of a value in format 1 that a rewrite had signed anew tells of no sum.
func TestUnattested(t *testing.T) {
	c := oldCompany(t)
	c.opts.oldFormat = keys.Format1
	c.do(func(s *Session) {
		if _, err := s.Rekey(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Set(c.p("prod/app/NEW"), []byte("x"), SetOptions{Tier: tokens.Standard}); err != nil {
			t.Fatal(err)
		}
	})
	c.opts.oldFormat = 0
	c.do(func(s *Session) {
		if _, err := s.Upgrade(false); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]bool{"prod/app/DB": true, "prod/app/NEW": false} {
			err := s.view(func(t *tx) error {
				body, _, err := versionKind.get(t, versionKey(c.p(path), 1))
				if err == nil && body.Origin.Unattested != want {
					c.t.Errorf("%s: unattested is %t", path, body.Origin.Unattested)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	c.finds("")
}

// Every act that makes a new file of one in format 1 makes it in format 2, and the log accounts for it.
func TestFormat1BecomesFormat2(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(*testing.T, *company){
		"archived, and upgraded": func(t *testing.T, c *company) {
			c.opts.oldFormat = keys.Format1
			c.do(func(s *Session) {
				if _, err := s.Rekey(); err != nil { // so that the checkpoint lists what the owner signed anew
					t.Fatal(err)
				}
				if _, err := s.ArchiveLog(filepath.Join(t.TempDir(), "log.jsonl"), time.Now().Add(time.Hour), false); err != nil {
					t.Fatal(err)
				}
			})
			c.opts.oldFormat = 0
			c.do(func(s *Session) {
				if _, err := s.Upgrade(false); err != nil {
					t.Fatal(err)
				}
			})
		},
		"restored": func(t *testing.T, c *company) {
			file := c.backUp()
			c.do(func(s *Session) { c.put(s, "prod/app/LATER", 0) })
			plan, err := PlanRestore(c.path, file, c.owner, c.opts)
			if err == nil {
				_, err = Restore(c.path, file, c.owner, plan, c.opts)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"salvaged": func(t *testing.T, c *company) {
			to := filepath.Join(t.TempDir(), "new.db")
			if r, err := Salvage(c.path, to, c.owner, c.opts); err != nil || len(r.Lost) > 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			c.path = to
		},
		"with a new owner key": func(t *testing.T, c *company) {
			owner, err := NewIdentity()
			if err != nil {
				t.Fatal(err)
			}
			c.do(func(s *Session) {
				_, agents, err := s.RekeyOwner(NewOwnership(owner), filepath.Join(t.TempDir(), "log.jsonl"))
				if err != nil {
					t.Fatal(err)
				}
				for _, a := range agents {
					c.secret[a.Agent.Name] = a.Key.Secret
				}
				c.vid = s.epoch.Vault
			})
			c.owner = owner
		},
		"purged": func(t *testing.T, c *company) {
			c.do(func(s *Session) {
				if _, err := s.Purge(c.p("dev/K")); err != nil {
					t.Fatal(err)
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := oldCompany(t)
			act(t, c)
			if c.format() != keys.Format2 {
				t.Errorf("the vault has format %d", c.format())
			}
			c.finds("")
			if got, err := c.read("reader", "prod/app/DB"); err != nil || got != marker+"prod/app/DB" {
				t.Errorf("an agent reads %q, %v", got, err)
			}
			c.do(func(s *Session) {
				if _, err := s.Rekey(); err != nil {
					t.Error(err)
				}
			})
			c.finds("")
		})
	}
}

// An entry of the log is broken, and nobody knows what it told of. A rewrite signs the records that may be of it. No
// verification blames these afterwards, so the next rewrite goes on, and a narrowing act mends nothing back.
func TestARewriteBehindABrokenEntry(t *testing.T) {
	t.Parallel()
	const path = "prod/app/DB"
	for name, format := range map[string]int{"an upgrade": keys.Format1, "a rekey": keys.Format2} {
		for when, early := range map[string]bool{"before it": true, "after it": false} {
			t.Run(name+", broken "+when, func(t *testing.T) {
				c := newCompanyIn(t, format)
				c.do(func(s *Session) { c.set(s, path, "newest") })
				written := c.end()
				c.do(func(s *Session) {
					_, _, err := s.CreateAgent(AgentSpec{Name: "new", Scopes: c.scopes("secrets:read:dev/*")})
					c.must(err)
				})
				created := c.end()
				c.do(func(s *Session) {
					_, err := s.IssueToken(TokenSpec{Scopes: c.scopes("secrets:read:dev/*"), TTL: 24 * time.Hour})
					c.must(err)
				})
				issued := c.end()
				c.do(func(s *Session) { c.set(s, "dev/K", "x") })
				broken := func() {
					c.insider("mallory", func(_ *Session, t *tx) error {
						return errors.Join(flipped(t, written), flipped(t, created), flipped(t, issued))
					})
				}
				if early {
					broken()
				}
				if format == keys.Format1 {
					c.do(func(s *Session) {
						_, err := s.Upgrade(true)
						c.must(err)
					})
				} else {
					rekey(c)
				}
				if !early {
					broken()
				}
				for range 2 {
					for _, problem := range strings.Split(c.problems(), "\n") {
						if !strings.HasPrefix(problem, "audit entr") {
							t.Fatalf("the verification found: %s", problem)
						}
					}
					rekey(c)
				}
				c.do(func(s *Session) {
					done, err := s.RevokeAgent("reader", NarrowOptions{Lose: true})
					if err != nil || len(done.Mended) > 0 {
						t.Errorf("it mended %q, %v", done.Mended, err)
					}
					if _, value, err := s.Get(c.p(path), 0); err != nil || string(value) != "newest" {
						t.Errorf("the value is %q, %v", value, err)
					}
				})
			})
		}
	}
}

// A broken entry excuses a record only if it lies between the entry that told of it and the rewrite, and the owner
// signed the record in that rewrite. A version must come from the broken entry itself.
func TestWhatABrokenEntryExcuses(t *testing.T) {
	const began, m = 10, "agt_00000001"
	p, _ := tokens.ParsePath("a/K")
	for name, x := range map[string]struct {
		broken, told, seq uint64
		by                string
		excused           bool
	}{
		"between them":            {7, 4, began, audit.Owner, true},
		"nothing told of it":      {7, 0, began, audit.Owner, true},
		"before it was told of":   {3, 4, began, audit.Owner, false},
		"after the rewrite":       {12, 4, began, audit.Owner, false},
		"signed by somebody else": {7, 4, began, m, false},
		"of a later entry":        {7, 4, 11, audit.Owner, false},
		"of an earlier entry":     {7, 4, 5, audit.Owner, false},
	} {
		st := newStory(keys.NewRoot(keys.Key{1}))
		st.began, st.format, st.unclear = began, keys.Format2, []span{{x.broken, x.broken}}
		if x.told > 0 {
			st.records["a/K"] = &recordAt{Name: "a/K", Seq: x.told, By: audit.Owner, Version: 1, Tier: tokens.Standard}
		}
		is := placed{by: x.by}
		if err := st.head(p, secretBody{Seq: x.seq, Version: 2, Tier: tokens.Standard}, is); (err == nil) != x.excused {
			t.Errorf("%s, a head: %v", name, err)
		}
		from := &origin{Seq: 7, By: m}
		want := x.excused || x.broken == 7 && x.seq == began && x.by == audit.Owner
		if err := st.version(p, 2, versionBody{Seq: x.seq, Origin: from, by: x.by}, is); (err == nil) != want {
			t.Errorf("%s, a version: %v", name, err)
		}
	}
}
