package vault

import (
	"bytes"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/tokens"
)

// An act that takes a right away must not destroy what honest actors wrote, and nothing that the holder of
// the right can write may stop it. The insider of these tests has every key of the epoch that is
// not the owner's.

// narrowings are the acts that take a right of mallory away.
var narrowings = map[string]func(c *company, s *Session, o NarrowOptions) (Narrowing, error){
	"revoke": func(c *company, s *Session, o NarrowOptions) (Narrowing, error) {
		return s.RevokeAgent(c.id["mallory"], o)
	},
	"revoke by name": func(_ *company, s *Session, o NarrowOptions) (Narrowing, error) {
		return s.RevokeAgent("mallory", o)
	},
	"rotate": func(c *company, s *Session, o NarrowOptions) (Narrowing, error) {
		n, _, err := s.RotateAgentKey(c.id["mallory"], o)
		return n, err
	},
	"token": func(c *company, s *Session, o NarrowOptions) (Narrowing, error) {
		n, _, err := s.RevokeToken(c.id["mallory's token"], o)
		return n, err
	},
}

// honestValues are what the owner and the agents wrote.
func (c *company) honestValues() []string {
	return []string{"prod/app/DB", "prod/app/deep/K", "prod/apple/K", "prod/TOP", "prod/mine/M", "dev/K", "prod/app/HR",
		"prod/app/CARD", "prod/mine/CRIT", "prod/app/W", "prod/other/W", "prod/app/WCARD"}
}

// keptAll checks that the owner reads every honest value but those that are given, and that the vault verifies.
func (c *company) keptAll(but ...string) {
	c.t.Helper()
	c.do(func(s *Session) {
		for _, path := range c.honestValues() {
			_, got, err := s.Get(c.p(path), 0)
			if !slices.Contains(but, path) && (err != nil || string(got) != marker+path) {
				c.t.Errorf("%s is now %q, %v", path, got, err)
			}
		}
	})
}

// overwrite writes a version of a secret that an insider may write, as an honest program never does, and logs that.
func overwrite(c *company, s *Session, t *tx, path string, version uint64, tier tokens.Tier) error {
	w := write{head: secretBody{ID: "x", Version: version, Tier: tier, Type: DefaultType, CreatedAt: t.now, UpdatedAt: t.now},
		note: map[string]any{}, event: audit.SecretUpdated}
	_, err := s.write(t, c.p(path), w, []byte("x"))
	return err
}

func TestANarrowingActDestroysNothing(t *testing.T) {
	t.Parallel()
	const db, mine = "prod/app/DB", "prod/mine/M"
	flip := func(bucket string, k []byte) func(*company, *Session, *tx) error {
		return func(_ *company, _ *Session, t *tx) error {
			v, err := t.get(bucket, k)
			v = slices.Clone(v)
			v[len(v)/2] ^= 1
			return errors.Join(err, insert(t, bucket, k, v))
		}
	}
	version := func(path string, n uint64) []byte {
		p, _ := tokens.ParsePath(path)
		return versionKey(p, n)
	}
	for name, x := range map[string]struct {
		do      func(*company, *Session, *tx) error
		asks    string // what is lost, if anything is; then the owner is asked
		mended  string // in the list of what was mended
		without string // the path whose value cannot be kept
		finds   string // what a verification still finds
	}{
		"a junk head": {do: func(_ *company, _ *Session, t *tx) error {
			return t.put(bucketSecrets, []byte(db), true, secretBody{Seq: 1, ID: "x", Version: 2, Tier: 1, Type: DefaultType})
		}, mended: "prod/app/DB: the value of v2 is current again, as v3"},
		"a junk head with a huge number": {do: func(_ *company, _ *Session, t *tx) error {
			return t.put(bucketSecrets, []byte(db), true, secretBody{Seq: 1, ID: "x", Version: math.MaxUint64, Tier: 1, Type: DefaultType})
		}, mended: "prod/app/DB: the value of v2 is current again, as v3"},
		"an entry with a huge number, and a junk head": {do: func(_ *company, _ *Session, t *tx) error {
			return errors.Join(t.put(bucketSecrets, []byte(db), true, secretBody{Seq: t.seq(), ID: "x", Version: 1 << 50, Tier: 1, Type: DefaultType}),
				t.log(audit.SecretUpdated, "secret", db, map[string]any{"version": 1 << 50, "tier": "standard"}))
		}, mended: "prod/app/DB: the value of v2 is current again, as v3", finds: "whose scopes do not cover"},
		"a lower tier, with an entry": {do: func(c *company, s *Session, t *tx) error {
			return overwrite(c, s, t, "prod/mine/CRIT", 2, tokens.Standard)
		}, mended: "prod/mine/CRIT: the value of v2 is current again, as v3", without: "prod/mine/CRIT",
			finds: "changed the tier to standard"},
		"a huge number in its own secret": {do: func(c *company, s *Session, t *tx) error {
			return overwrite(c, s, t, mine, 1<<60, tokens.Standard)
		}, mended: "prod/mine/M: the value of v1 is current again, as v2", finds: "it writes version 1152921504606846976"},
		"the greatest number in its own secret": {do: func(c *company, s *Session, t *tx) error {
			return overwrite(c, s, t, mine, math.MaxUint64, tokens.Standard)
		}, mended: "prod/mine/M: the value of v1 is current again, as v2", finds: "it writes version"},
		"its own value in the place of the owner's": {do: func(c *company, s *Session, t *tx) error {
			return overwrite(c, s, t, mine, 1, tokens.Standard)
		}, asks: `mallory wrote version 1 of "prod/mine/M" anew, which owner had written`, without: mine, finds: "it records version 1"},
		"a head that is no record": {do: func(_ *company, _ *Session, t *tx) error {
			return insert(t, bucketSecrets, []byte(db), []byte("x"))
		}, mended: "prod/app/DB: the value of v2 is current again, as v3"},
		"a head that is gone": {do: func(_ *company, _ *Session, t *tx) error {
			return insert(t, bucketSecrets, []byte(db), nil)
		}, mended: "prod/app/DB: the value of v2 is current again, as v3"},
		"one flipped bit in a head":          {do: flip(bucketSecrets, []byte(db)), mended: "prod/app/DB: the value of v2 is current again, as v3"},
		"one flipped bit in a critical head": {do: flip(bucketSecrets, []byte("prod/app/CARD")), mended: "prod/app/CARD: the value of v1 is current again, as v2"},
		"one flipped bit in a version": {do: flip(bucketVersions, version(db, 2)), asks: "prod/app/DB version 2",
			mended: "prod/app/DB: the value of v1 is current again, as v3"},
		"one flipped bit in an old version": {do: flip(bucketVersions, version(db, 1)), asks: "prod/app/DB version 1",
			mended: "prod/app/DB: left without v1"},
		"one flipped bit in the only version": {do: flip(bucketVersions, version("prod/TOP", 1)), asks: "prod/TOP version 1",
			mended: "prod/TOP: no version of it holds, so it was purged", without: "prod/TOP"},
		"one flipped bit in its own version": {do: flip(bucketVersions, version(mine, 1)), asks: "prod/mine/M version 1",
			mended: "prod/mine/M: no version of it holds, so it was purged", without: mine},
		"a junk version of its own beside them": {do: func(_ *company, _ *Session, t *tx) error {
			return t.put(bucketVersions, version(db, 9), true, versionBody{Seq: t.seq()})
		}},
		"a version that is gone": {do: func(_ *company, _ *Session, t *tx) error {
			return insert(t, bucketVersions, version("prod/TOP", 1), nil)
		}, asks: `"prod/TOP": 1 of its versions are missing`, without: "prod/TOP", finds: "prod/TOP version 1: it is missing"},
		"a version that is gone, and a junk version in its stead": {do: func(_ *company, _ *Session, t *tx) error {
			return errors.Join(insert(t, bucketVersions, version(db, 2), nil), t.put(bucketVersions, version(db, 9), true, versionBody{Seq: t.seq()}))
		}, asks: `"prod/app/DB": 1 of its versions are missing`, mended: "prod/app/DB: the value of v1 is current again, as v3", finds: "prod/app/DB version 2: it is missing"},
		"a secret that is gone": {do: func(_ *company, _ *Session, t *tx) error {
			return errors.Join(insert(t, bucketVersions, version("prod/TOP", 1), nil), insert(t, bucketSecrets, []byte("prod/TOP"), nil))
		}, asks: `"prod/TOP": its record is missing`, without: "prod/TOP", finds: `"prod/TOP": its record is missing`},
		"one flipped bit in the record of another agent": {do: func(c *company, s *Session, t *tx) error {
			return flip(bucketAgents, []byte(c.id["reader"]))(c, s, t)
		}, mended: "its record did not hold"},
		"one flipped bit in the record of an agent that wrote": {do: func(c *company, s *Session, t *tx) error {
			return flip(bucketAgents, []byte(c.id["writer"]))(c, s, t)
		}, mended: "its record did not hold"},
		"one flipped bit in the record of another's token": {do: func(c *company, s *Session, t *tx) error {
			return flip(bucketTokens, []byte(c.id["reader's token"]))(c, s, t)
		}, asks: "tokens/"},
		"the record of another agent is gone": {do: func(c *company, _ *Session, t *tx) error {
			return insert(t, bucketAgents, []byte(c.id["reader"]), nil)
		}, mended: "its record did not hold"},
		"its own record is gone": {do: func(c *company, _ *Session, t *tx) error {
			return insert(t, bucketAgents, []byte(c.id["mallory"]), nil)
		}, mended: "its record did not hold"},
		"one flipped bit in its own record": {do: func(c *company, s *Session, t *tx) error {
			return flip(bucketAgents, []byte(c.id["mallory"]))(c, s, t)
		}, mended: "its record did not hold"},
		"one flipped bit in a log entry": {do: func(c *company, _ *Session, t *tx) error {
			k := audit.Key(3)
			v, err := t.get(bucketAudit, k)
			v = slices.Clone(v)
			v[len(v)/2] ^= 1
			return errors.Join(err, t.b.Put(bucketAudit, k, v))
		}, asks: "audit entry 3", finds: "audit entry 3"},
	} {
		for act, narrow := range narrowings {
			if act != "revoke" && name != "a junk head" && name != "one flipped bit in a version" && (act == "token" || !strings.Contains(name, "its own record")) {
				continue // the acts differ in whom they end
			}
			t.Run(name+", "+act, func(t *testing.T) {
				c := newCompany(t)
				c.insider("mallory", func(s *Session, t *tx) error { return x.do(c, s, t) })
				c.do(func(s *Session) {
					before := c.raw()
					n, err := narrow(c, s, NarrowOptions{})
					if x.asks != "" {
						loss := &LossError{}
						asks := strings.ReplaceAll(x.asks, "mallory", c.id["mallory"])
						if !errors.As(err, &loss) || !strings.Contains(strings.Join(append(loss.Lost, loss.Doubts...), "\n"), asks) {
							t.Errorf("it asks about %+v, %v, want %s", loss, err, x.asks)
						}
						if string(before) != string(c.raw()) {
							t.Error("it changed something before it asked")
						}
						n, err = narrow(c, s, NarrowOptions{Lose: true, Keep: true})
						if n.Kept == "" {
							t.Error("it kept no file")
						}
					}
					if err != nil {
						t.Fatal(err)
					}
					entries, err := s.Log(20, nil)
					told := slices.ContainsFunc(entries, func(e Entry) bool { return e.Type == audit.SecretMended })
					if x.mended == "" && told || err != nil {
						t.Errorf("the log says that something was mended, %v", err)
					}
					if mended := strings.Join(n.Mended, "\n"); x.mended == "" && mended != "" || !strings.Contains(mended, x.mended) {
						t.Errorf("it mended %q, want %q", mended, x.mended)
					}
				})
				c.keptAll(x.without)
				c.finds(x.finds)
				if _, err := c.read("mallory", "prod/mine/M"); act != "token" && !errors.Is(err, ErrWrongKey) {
					t.Errorf("mallory reads on: %v", err)
				}
				if _, err := c.read("reader", "prod/app/DB"); err != nil {
					t.Errorf("an honest agent reads no more: %v", err)
				}
				// What was mended goes on as usual.
				if x.finds == "" {
					c.do(func(s *Session) {
						for range 2 {
							if _, _, err := s.Set(c.p("prod/app/DB"), []byte("x"), SetOptions{}); err != nil {
								t.Error(err)
							}
						}
						if _, err := s.Rekey(); err != nil {
							t.Error(err)
						}
					})
					c.finds("")
				}
			})
		}
	}
}

// An agent that may delete a secret ends a token in the log alone, so that what the token writes does not count. The
// owner is asked before that value is lost.
func TestAValueThatTheLogDoesNotCountIsAskedAbout(t *testing.T) {
	c := newCompany(t)
	var got Issued
	c.do(func(s *Session) {
		var err error
		if got, err = s.IssueToken(TokenSpec{Scopes: c.scopes("secrets:*:prod/app/DB"), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	})
	c.text["x"] = got.Text
	c.insider("deleter", func(_ *Session, t *tx) error { return t.log(audit.TokenRevoked, "token", got.ID, nil) })
	if err := c.honest("x", func(s *Session) { c.put(s, "prod/app/DB", 0) }); err != nil {
		t.Fatal(err)
	}
	c.finds("which had ended")
	c.do(func(s *Session) {
		loss := &LossError{}
		if _, err := s.RevokeAgent("deleter", NarrowOptions{}); !errors.As(err, &loss) || !slices.Equal(loss.Lost, []string{"prod/app/DB version 3"}) {
			t.Errorf("it asks about %+v, %v", loss, err)
		}
		if _, _, err := s.RevokeToken(got.ID, NarrowOptions{}); err != nil {
			t.Errorf("to end the token itself: %v", err)
		}
	})
}

// None of the numbers in the file, and nothing else that an insider writes, stops its revocation.
func TestNothingStopsARevocation(t *testing.T) {
	t.Parallel()
	mustP := func(text string) tokens.Path { p, _ := tokens.ParsePath(text); return p }
	put := func(k, v string) func(*tx) {
		return func(t *tx) { _ = t.b.Put(bucketAudit, []byte(k), []byte(v)) }
	}
	numbered := func(at uint64) func(*tx) {
		return func(t *tx) {
			t.head.log.Seq = at - 1
			_ = t.log(audit.SecretRead, "secret", "prod/mine/M", nil)
		}
	}
	nest := func(name, k string) func(*company) {
		return func(c *company) {
			c.edit(func(b func(string) *bbolt.Bucket) {
				if _, err := b(name).CreateBucket([]byte(k)); err != nil {
					c.t.Fatal(err)
				}
			})
		}
	}
	attacks := map[string]func(*company){
		"a bucket in the log":         nest(bucketAudit, "\xff\xff\xff\xff\xff\xff\xff\xff"),
		"a bucket among the secrets":  nest(bucketSecrets, "a/a"),
		"a bucket among the agents":   nest(bucketAgents, "agt_00000000"),
		"a bucket among the versions": nest(bucketVersions, "a/a\x00\x00\x00\x00\x00\x00\x00\x00\x01"),
		"a bucket among the meta":     nest(bucketMeta, "a"),
		"another bucket": func(c *company) {
			c.edit(func(b func(string) *bbolt.Bucket) {
				if _, err := b(bucketMeta).Tx().CreateBucket([]byte("junk")); err != nil {
					c.t.Fatal(err)
				}
			})
		},
	}
	for name, do := range map[string]func(*tx){
		"the digest":         func(t *tx) { t.head.digest[0]++ },
		"the count":          func(t *tx) { t.head.count += 1 << 20 },
		"the MAC of the end": func(t *tx) { t.head.log.LastMAC[0]++ },
		"the next key":       func(t *tx) { t.head.log.Key = [32]byte{1} },
		"the backup mark":    func(t *tx) { t.head.backup = true },
		"an entry 2^53-10":   numbered(1<<53 - 10),
		"an entry 2^40":      numbered(1 << 40),
		"a number back":      func(t *tx) { t.head.log.Seq-- },
		"an odd key":         put("123456789", "x"),
		"a short key":        put("z", "x"),
		"the last key":       put("\xff\xff\xff\xff\xff\xff\xff\xff", "x"),
		"the checkpoint":     put("\x00\x00\x00\x00\x00\x00\x00\x00", "x"),
		"names that fill the log": func(t *tx) {
			for i := range 12 {
				_ = t.b.Put(bucketSecrets, slices.Concat([]byte("prod/mine/"), bytes.Repeat([]byte{1}, 32_000), []byte{byte(i)}), []byte("x"))
			}
		},
		"numbers that fill the log": func(t *tx) {
			const first = 1e15 // so long that 4,000 of them do not fit into an entry
			for n := range uint64(4000) {
				_ = t.b.Put(bucketVersions, versionKey(mustP("prod/mine/M"), first+n), []byte("x"))
				_ = t.log(audit.SecretUpdated, "secret", "prod/mine/M", map[string]any{"version": first + n, "tier": "standard"})
			}
		},
		"a version of the owner's without a MAC": func(t *tx) {
			v, _ := t.get(bucketVersions, versionKey(mustP("dev/K"), 1))
			v = slices.Clone(v)
			v[len(v)-1] ^= 1
			_ = t.b.Put(bucketVersions, versionKey(mustP("dev/K"), 1), v)
		},
	} {
		attacks[name] = func(c *company) { c.insider("mallory", func(_ *Session, t *tx) error { do(t); return nil }) }
	}
	for name, attack := range attacks {
		for act, narrow := range narrowings {
			if act != "revoke" && name != "the backup mark" || testing.Short() && name == "numbers that fill the log" {
				continue
			}
			t.Run(name+", "+act, func(t *testing.T) {
				c := newCompany(t)
				attack(c)
				if strings.HasPrefix(name, "an entry 2^") {
					c.do(func(s *Session) {
						_, _, err := s.Set(c.p("dev/K"), []byte("x"), SetOptions{})
						c.check("to write behind it", err, ErrDamaged, "but not the one before it")
						_, err = s.Rekey()
						c.check("a rewrite that takes no right away", err, ErrDamaged, "but not the one before it")
						c.check("to compact", s.Compact(""), ErrDamaged, "but not the one before it")
					})
				}
				c.do(func(s *Session) {
					if _, err := narrow(c, s, NarrowOptions{Lose: true}); err != nil {
						t.Fatal(err)
					}
					for range 2 {
						if _, _, err := s.Set(c.p("prod/mine/M"), []byte(marker+"prod/mine/M"), SetOptions{}); err != nil {
							t.Fatal(err)
						}
					}
				})
				c.open(func(v *Vault) {
					if v.back != nil {
						t.Errorf("this machine takes the vault for an older one: %v", v.back)
					}
					err := v.db.Each(bucketAudit, func(k, value []byte) {
						if e, err := audit.Parse(value); audit.Seq(k) > 0 && err == nil && len(e.Body) > audit.MaxBody {
							t.Errorf("entry %d has %d bytes", audit.Seq(k), len(e.Body))
						}
					})
					if err != nil {
						t.Fatal(err)
					}
				})
				without := ""
				if strings.HasPrefix(name, "a version") {
					without = "dev/K"
				}
				c.keptAll(without)
				c.finds(map[string]string{
					"the checkpoint":            "audit checkpoint",
					"numbers that fill the log": "it records version 1000000000000000",
				}[name])
				if _, err := c.read("mallory", "prod/mine/M"); act != "token" && !errors.Is(err, ErrWrongKey) {
					t.Errorf("mallory reads on: %v", err)
				}
			})
		}
	}
}

// An insider removes or breaks the record of an agent of whose making the log tells no more, because that part was
// archived. The agent keeps its rights, and the insider can be revoked all the same.
func TestAgentsOutliveTheArchiveOfTheirEntries(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"reader", "mallory"} {
		for how, value := range map[string][]byte{"gone": nil, "broken": []byte("x")} {
			t.Run(who+" is "+how, func(t *testing.T) {
				c := newCompany(t)
				c.do(func(s *Session) {
					_, err := s.ArchiveLog(filepath.Join(t.TempDir(), "log"), time.Now().Add(time.Second), false)
					if err != nil {
						t.Fatal(err)
					}
				})
				c.insider("mallory", func(_ *Session, t *tx) error {
					err := insert(t, bucketAgents, []byte(c.id[who]), nil)
					if value != nil {
						err = errors.Join(err, t.b.Put(bucketAgents, []byte(c.id[who]), value))
					}
					return err
				})
				c.do(func(s *Session) {
					n, err := s.RevokeAgent(c.id["mallory"], NarrowOptions{})
					if err != nil || !strings.Contains(strings.Join(n.Mended, "\n"), c.id[who]) {
						t.Errorf("revoked: %q, %v", n.Mended, err)
					}
				})
				if _, err := c.read("reader", "prod/app/DB"); err != nil {
					t.Errorf("an honest agent reads no more: %v", err)
				}
				if _, err := c.read("mallory", "prod/mine/M"); !errors.Is(err, ErrWrongKey) {
					t.Errorf("mallory reads on: %v", err)
				}
				c.keptAll()
				c.finds("")
			})
		}
	}
}

// An insider breaks the count of the uses of another's token. The token keeps its right; if its uses are limited, the
// owner is asked, for nobody knows how many are left.
func TestABrokenCountEndsNoToken(t *testing.T) {
	for _, uses := range []uint64{0, 5} {
		c := newCompany(t)
		c.do(func(s *Session) {
			got, err := s.IssueToken(TokenSpec{Scopes: c.scopes("secrets:read:prod/app/*"), TTL: time.Hour, Uses: uses})
			if err != nil {
				t.Fatal(err)
			}
			c.text["x"], c.id["x"] = got.Text, got.ID
		})
		c.insider("mallory", func(_ *Session, t *tx) error { return t.b.Put(bucketUses, []byte(c.id["x"]), []byte("x")) })
		c.do(func(s *Session) {
			_, err := s.RevokeAgent(c.id["mallory"], NarrowOptions{})
			if asks := errors.As(err, new(*LossError)); asks != (uses > 0) || !asks && err != nil {
				t.Errorf("of %d uses: %v", uses, err)
			}
		})
		if _, err := c.read("x", "prod/app/DB"); uses == 0 && err != nil {
			t.Errorf("it reads no more: %v", err)
		}
	}
}

// An insider leaves a gap in the log, and behind it an entry in the owner's name, which cannot be checked. The owner is
// asked about the gap, and then neither an agent nor a value is lost. Nothing keeps the owner from ending a token.
func TestAnEntryBehindAGapTakesNothing(t *testing.T) {
	for name, do := range map[string]func(c *company, t *tx) error{
		"that revokes an agent": func(c *company, t *tx) error { return t.log(audit.AgentRevoked, "agent", c.id["writer"], nil) },
		"that gives an agent a key": func(c *company, t *tx) error {
			return t.log(audit.AgentKeyRotated, "agent", c.id["writer"], map[string]any{"name": "writer", "serial": 9, "scopes": []string{"secrets:read:x/*"}})
		},
		"that begins an epoch": func(_ *company, t *tx) error {
			return t.logEvent(audit.Event{Type: audit.VaultRewritten, ResourceType: "vault", ResourceID: "x", Epoch: 7})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			var used Issued
			c.do(func(s *Session) {
				var err error
				if used, err = s.IssueToken(TokenSpec{Scopes: c.scopes("secrets:*:prod/app/*"), TTL: time.Hour, Uses: 1}); err != nil {
					t.Fatal(err)
				}
			})
			c.text["used"] = used.Text
			if _, err := c.read("used", "prod/app/DB"); err != nil {
				t.Fatal(err)
			}
			c.insider("mallory", func(_ *Session, t *tx) error {
				t.head.log.Seq++
				t.by.id = audit.Owner
				return do(c, t)
			})
			c.do(func(s *Session) {
				loss := &LossError{}
				if _, _, err := s.RevokeToken(used.ID, NarrowOptions{}); !errors.As(err, &loss) || len(loss.Lost) > 0 {
					t.Errorf("to end a token: %+v, %v", loss, err)
				}
				if _, err := s.RevokeAgent(c.id["mallory"], NarrowOptions{Lose: true}); err != nil {
					t.Fatal(err)
				}
			})
			if err := c.honest("writer", func(s *Session) { c.put(s, "prod/app/W", 0) }); err != nil {
				t.Errorf("an honest agent writes no more: %v", err)
			}
			c.keptAll()
			if found := c.problems(); strings.Count(found, "\n") > 1 || !strings.Contains(found, "cannot be checked") {
				t.Errorf("then a verification finds:\n%s", found)
			}
		})
	}
}
