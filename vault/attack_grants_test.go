package vault

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// Without a key, nobody opens an age file or sees a value.
func TestTheStolenFileGivesNothing(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	raw, places := c.raw(), c.places()
	stranger, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	nobody := &Session{grantee: &grantee{Grantee: keys.NewGrantee(keys.Key{})}, ring: keys.OwnerRing(keys.Key{}),
		epoch: keys.NewEpoch(c.vid, 2, keys.Key{}, newestFormat)}
	if found := len(blobs(raw)); found < len(places)+len(c.id)+3 {
		t.Fatalf("only %d sealed blobs are seen", found)
	}
	if got := opened(raw, append(c.keysTo(nobody, places, 1, 2), stranger)); len(got) > 0 {
		t.Errorf("opened: %q", got)
	}
	if bytes.Contains(raw, []byte(marker)) || bytes.Contains(raw,
		[]byte(base64.StdEncoding.EncodeToString([]byte(marker)))) {
		t.Error("a value lies in the file as it is")
	}
	for _, secret := range c.secret {
		if bytes.Contains(raw, secret[:]) || bytes.Contains(raw, []byte(base64.StdEncoding.EncodeToString(secret[:]))) {
			t.Error("the secret of a grantee lies in the file")
		}
	}
}

// A key opens what its scopes cover, up to its tier, and nothing else. Neither its keyring
// nor any key that is derived from it opens any other age file in the vault file.
func TestAKeyOpensWhatItsScopesCover(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	raw, places := c.raw(), c.places()
	var secret keys.Key // of the epoch, to derive the true keys
	c.do(func(s *Session) { secret = s.secret })
	future := []string{"prod/app/NEW", "prod/app/deep/er/NEW", "prod/app/DB/NEW", "prod/ap/NEW", "prod/app2/NEW",
		"prod/NEW", "prod/app/app/NEW", "app/NEW", "dev/NEW"}
	scopes := maps.Clone(companyAgents)
	scopes["owner's token"], scopes["reader's token"], scopes["mallory's token"] = "secrets:*:prod/app/*",
		"secrets:read:prod/app/deep/*", "secrets:*:prod/mine/M"
	for who, text := range scopes {
		t.Run(who, func(t *testing.T) {
			c.t = t
			top := tokens.Standard
			if who == "owner's token" {
				top = tokens.Sensitive
			}
			has := func(p tokens.Path, tier tokens.Tier) bool { return tier <= top && c.scopes(text).Allow(tokens.Read, p) }
			c.open(func(v *Vault) {
				s, _, err := v.granteeSession(c.secret[who], audit.Agent)
				if err != nil {
					t.Fatal(err)
				}
				everywhere := slices.Clone(places)
				for _, f := range future {
					everywhere = append(everywhere, place{path: c.p(f)})
				}
				for _, p := range everywhere {
					have := loot(s, p.path)
					for _, tier := range tokens.Tiers {
						want := secretKey(keys.TierKey(secret, tier), p.path)
						got, ok := s.ring.Derive(keys.NodeOf(tier, tokens.Exactly(p.path)))
						if ok != has(p.path, tier) || ok && got.Key != want || have[want] != ok {
							t.Errorf("%s %s: the keyring has it: %v", tier, p.path, ok)
						}
					}
				}
				var values []string
				for _, p := range places {
					if has(p.path, p.tier) {
						values = append(values, marker+p.path.String())
					}
				}
				slices.Sort(values)
				got, grants := opened(raw, c.keysTo(s, places, 1, 2)), 0
				got = slices.DeleteFunc(got, func(plain string) bool { // every insider can open the head
					if strings.Contains(plain, `"mk":`) {
						grants++
					}
					return !strings.HasPrefix(plain, marker)
				})
				if want := slices.Compact(values); !slices.Equal(got, want) || grants != 1 {
					t.Errorf("%d grants, and it opens %q\nwant its own grant, and %q", grants, got, want)
				}
			})
		})
	}
	// A secret above the tier of a grantee needs approval.
	for path, who := range map[string][]string{"prod/app/HR": {"reader"}, "prod/app/CARD": {"reader", "owner's token"},
		"prod/app/WCARD": {"owner's token"}} {
		for _, name := range who {
			c.t = t
			_, err := c.read(name, path)
			c.check(name+" reads "+path, err, ErrApproval, path)
		}
	}
	if value, err := c.read("owner's token", "prod/app/HR"); value != marker+"prod/app/HR" {
		t.Errorf("the owner's token does not read the sensitive tier: %v", err)
	}
}

// After an act that takes a right away, the old keys open nothing in the raw bytes of the
// new file, and the MAC key of the old epoch holds for no record there. For this reason, an
// integrity key must not survive a revocation, and an epoch belongs to the whole vault, not
// to a node (section 8 of the design).
func TestOldKeysOpenNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	if UnderRace {
		t.Skip("it takes too long, and nothing here runs at once")
	}
	ends := func(t *testing.T, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := newCompany(t)
	before, places, was := c.raw(), c.places(), keys.Epoch{}
	old, grants := map[string][]age.Identity{}, map[string][]byte{}
	for _, who := range []string{"reader", "reader's token", "owner's token"} {
		to := keys.NewGrantee(c.secret[who])
		grants[who] = c.take(bucketGrants, to.Index[:])
		c.open(func(v *Vault) {
			s, g, err := v.granteeSession(c.secret[who], audit.Agent)
			if err != nil {
				t.Fatal(err)
			}
			was, s.grantee.Seal = s.epoch, keys.Key{} // without the key of its grant, which is checked below
			old[who] = c.keysTo(s, places, g.Epoch, g.Epoch+1)
		})
		if len(opened(before, old[who])) < 2 {
			t.Fatal("the old keys open nothing in the old file: the test looks for the wrong bytes")
		}
	}
	for name, act := range map[string]struct {
		do   func(*testing.T, *Session, *company)
		dead []string // grantees whose old key no longer opens a grant
	}{
		"agent revoked": {func(t *testing.T, s *Session, c *company) {
			_, err := s.RevokeAgent("reader", NarrowOptions{})
			ends(t, err)
		},
			[]string{"reader", "reader's token"}},
		"key rotated": {func(t *testing.T, s *Session, c *company) {
			_, _, err := s.RotateAgentKey("reader", NarrowOptions{})
			ends(t,
				err)
		}, []string{"reader", "reader's token"}},
		"token revoked": {func(t *testing.T, s *Session, c *company) {
			_, _, err := s.RevokeToken(c.id["reader's token"], NarrowOptions{})
			ends(t, err)
		}, []string{"reader's token"}},
		"owner's token": {func(t *testing.T, s *Session, c *company) {
			_, _, err := s.RevokeToken(c.id["owner's token"], NarrowOptions{})
			ends(t, err)
		}, []string{"owner's token"}},
		"secret purged":   {func(t *testing.T, s *Session, c *company) { _, err := s.Purge(c.p("a/K")); ends(t, err) }, nil},
		"tier was raised": {func(t *testing.T, s *Session, c *company) { c.put(s, "prod/app/DB", tokens.Critical) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.do(func(s *Session) { act.do(t, s, c) })
			after := c.raw()
			for who, ids := range old {
				if got := opened(after, ids); len(got) > 0 {
					t.Errorf("the keys that %s had open %q", who, got)
				}
			}
			c.open(func(v *Vault) {
				for _, n := range []uint32{was.N, was.N + 1} {
					e := keys.NewEpoch(c.vid, n, was.MAC, newestFormat)
					for _, bucket := range recordBuckets(newestFormat) {
						err := v.db.Each(bucket, func(k, value []byte) {
							if r, err := parseRecord(value); err != nil || newHasher(e, nil, newBatches(nil)).macHolds(bucket, k, r) {
								t.Errorf("the old MAC key holds for %s %q (%v)", bucket, k, err)
							}
						})
						if err != nil {
							t.Fatal(err)
						}
					}
				}
			})
			c.finds("")
			for _, who := range act.dead {
				to := keys.NewGrantee(c.secret[who])
				seal := []age.Identity{keys.KeyWrap{Key: to.Seal, Ctx: keys.GrantContext(c.vid, c.id[who])}}
				if len(opened(before, seal)) == 0 || len(opened(after, seal)) > 0 {
					t.Errorf("a grant for the old key of %s is in the raw file", who)
				}
				_, err := c.read(who, "prod/app/deep/K")
				c.check(who, err, ErrWrongKey, "opens nothing")
				// If the grant of the old epoch is put back, it opens, but nothing else does.
				c.give(bucketGrants, to.Index[:], grants[who])
				if _, err = c.read(who, "prod/app/deep/K"); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotFound) {
					t.Errorf("%s, its grant put back: %v", who, err)
				}
				c.finds(fmt.Sprintf("grant %x", to.Index))
			}
		})
	}
}

// Only the owner can publish a recipient. If an insider swaps one, values written below it
// would go to the insider. A writer who cannot read refuses to seal to it.
func TestSwappedRecipients(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]func(*company, *tx) (signed bool){
		"signed by an agent":         func(*company, *tx) bool { return true },
		"signed in the owner's name": func(_ *company, t *tx) bool { t.by.id = audit.Owner; return true },
		"by a MAC alone":             func(_ *company, t *tx) bool { t.by.id = audit.Owner; return false },
	} {
		for at, write := range map[*keys.Node]struct {
			path string
			tier tokens.Tier
		}{
			{Tier: tokens.Standard, Kind: keys.KindNamespace}:                   {"prod/other/NEW", 0},
			{Tier: tokens.Critical, Kind: keys.KindNamespace}:                   {"prod/other/NEW", tokens.Critical},
			{Tier: tokens.Standard, Kind: keys.KindNamespace, Path: "prod/app"}: {"prod/app/NEW", 0},
			{Tier: tokens.Standard, Kind: keys.KindSecret, Path: "prod/app/W"}:  {"prod/app/W", 0}, // no recipient yet
		} {
			t.Run(fmt.Sprintf("%s, %s %s", name, at.Tier, at.Path), func(t *testing.T) {
				c := newCompany(t)
				c.insider("mallory", func(_ *Session, t *tx) error {
					signed := by(c, t)
					mine := keys.NodePrivate(c.secret["mallory"]).PublicKey().Bytes()
					return t.put(bucketRecipients, at.ID(), signed, recipientBody{Seq: t.seq(), Tier: at.Tier, Pub: mine})
				})
				if err := c.honest("writer", func(s *Session) {
					_, _, err := s.Set(c.p(write.path), []byte("x"), SetOptions{Tier: write.tier})
					c.check("the writer sealed to it", err, ErrDamaged, "published recipient")
				}); err != nil {
					t.Error(err)
				}
				c.finds(fmt.Sprintf("published recipient %x: ", at.ID()))
			})
		}
	}
	t.Run("of another tier, node or epoch", func(t *testing.T) {
		c := newCompany(t)
		critical, app := keys.Node{Tier: tokens.Critical, Kind: keys.KindNamespace}.ID(), keys.Node{Tier: tokens.Standard,
			Kind: keys.KindNamespace, Path: "prod/app"}.ID()
		for _, old := range [][]byte{c.take(bucketRecipients, app), c.take(bucketRecipients, critical)} {
			c.do(func(s *Session) { // begins a new epoch
				c.put(s, "a/JUNK", 0)
				if _, err := s.Purge(c.p("a/JUNK")); err != nil {
					t.Fatal(err)
				}
			})
			was := c.take(bucketRecipients, critical)
			c.insider("mallory", func(_ *Session, t *tx) error { return insert(t, bucketRecipients, critical, old) })
			if err := c.honest("writer", func(s *Session) {
				_, _, err := s.Set(c.p("prod/other/NEW"), []byte("x"), SetOptions{Tier: tokens.Critical})
				c.check("the writer sealed to it", err, ErrDamaged, "published recipient")
			}); err != nil {
				t.Error(err)
			}
			c.finds(fmt.Sprintf("published recipient %x: MAC mismatch", critical))
			c.insider("mallory", func(_ *Session, t *tx) error { return insert(t, bucketRecipients, critical, was) })
		}
	})
}

// A grant whose MAC does not hold opens nothing, before any other record is read.
func TestAnAlteredGrant(t *testing.T) {
	c := newCompany(t)
	k := keys.NewGrantee(c.secret["reader"]).Index
	r := c.take(bucketGrants, k[:])
	r[len(r)-1] ^= 1
	c.give(bucketGrants, k[:], r)
	err := c.honest("reader", func(*Session) { t.Error("it opens") })
	c.check("the agent", err, ErrDamaged, "MAC mismatch")
}

// A grant opens only for its grantee. A forged grant gives no more than the scopes that
// the owner signed.
func TestForgedGrants(t *testing.T) {
	t.Parallel()
	index := func(c *company, who string) []byte { i := keys.NewGrantee(c.secret[who]).Index; return i[:] }
	// own changes mallory's grant, reseals it for the id of one grantee, and puts it at the
	// index of another.
	own := func(at, id string, change func(*grant)) func(*company, *Session, *tx) error {
		return func(c *company, s *Session, t *tx) error {
			_, g, err := s.v.openGrant(s.grantee.Grantee)
			change(&g)
			plain, jerr := json.Marshal(g)
			sealed, serr := keys.Seal(s.grantee.Seal, keys.GrantContext(c.vid, c.id[id]), plain)
			own, other := t.hasher, t.Epoch
			other.MAC = keys.Key(g.MK)
			t.hasher = newHasher(other, nil, newBatches(nil))
			t.digest = own.digest
			err = errors.Join(err, jerr, serr, t.put(bucketGrants, index(c, at), false, grantBody{Seq: t.seq(),
				Grantee: c.id[id], Sealed: sealed}))
			t.hasher = own
			return err
		}
	}
	app := grantNode{tokens.Standard, keys.KindNamespace, "prod/app", bytes.Repeat([]byte{7}, 32)}
	for name, attack := range map[string]struct {
		do          func(*company, *Session, *tx) error
		who         string // uses the grant
		says, finds string
	}{
		"at another agent's index": {own("reader", "reader", func(*grant) {}), "reader",
			"it does not decrypt for its grantee", "it does not decrypt for its grantee"},
		"for another agent, at its own": {own("mallory", "reader", func(*grant) {}), "mallory", "",
			"it is not where the grant of"},
		"another's, moved to its own": {func(c *company, _ *Session, t *tx) error {
			v, err := t.get(bucketGrants, index(c, "reader"))
			return errors.Join(err, insert(t, bucketGrants, index(c, "mallory"), v))
		}, "mallory", "it does not decrypt for its grantee", "MAC mismatch"},
		"another's, moved and MACed": {func(c *company, _ *Session, t *tx) error {
			var b grantBody
			err := bodyOf(t, bucketGrants, index(c, "reader"), &b)
			return errors.Join(err, t.put(bucketGrants, index(c, "mallory"), false, b))
		}, "mallory", "it does not decrypt for its grantee", "it is not where the grant of"},
		"with a node under a guessed key": {own("mallory", "mallory", func(g *grant) { g.Nodes = append(g.Nodes, app) }),
			"mallory", "", "its keys do not match the scopes of"},
		"with its own node renamed": {own("mallory", "mallory", func(g *grant) { g.Nodes[0].Path = "prod/app" }),
			"mallory", "", "its keys do not match the scopes of"},
		"with its own node in another tier": {own("mallory", "mallory", func(g *grant) { g.Nodes[0].Tier = tokens.Critical }),
			"mallory", "", "its keys do not match the scopes of"},
		"with a file key elsewhere": {own("mallory", "mallory", func(g *grant) {
			g.Files = []grantFile{{"prod/app/DB",
				2, make([]byte, 16)}}
		}), "mallory", "", "its keys do not match the scopes of"},
		"with another vault's MAC key": {own("mallory", "mallory", func(g *grant) { g.MK = make([]byte, 32) }),
			"mallory", "MAC mismatch", "MAC mismatch"},
		"with another owner": {own("mallory", "mallory", func(g *grant) { g.OwnerPub = make([]byte, 32) }),
			"mallory", "does not decrypt", "it does not decrypt for its grantee"},
		"of nobody": {func(_ *company, _ *Session, t *tx) error {
			return t.put(bucketGrants, make([]byte, 16), false, grantBody{Seq: t.seq(), Grantee: "agt_00000000",
				Sealed: []byte("x")})
		}, "", "", "its grantee \"agt_00000000\" is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.insider("mallory", func(s *Session, t *tx) error { return attack.do(c, s, t) })
			if attack.who != "" {
				for _, path := range []string{"prod/app/DB", "prod/app/CARD", "dev/K"} {
					if attack.who == "reader" && path != "prod/app/DB" {
						break
					}
					got, err := c.read(attack.who, path)
					if err == nil || got != "" || !strings.Contains(err.Error(), attack.says) {
						t.Errorf("%s reads %s: %q, %v", attack.who, path, got, err)
					}
				}
			}
			if attack.who == "mallory" { // also without the program's checks
				c.open(func(v *Vault) {
					s, g, err := v.granteeSession(c.secret["mallory"], audit.Agent)
					if err != nil {
						return
					}
					for _, plain := range opened(c.raw(), c.keysTo(s, []place{{c.p("prod/app/DB"), 1, 2}, {c.p("prod/app/CARD"), 3, 1},
						{c.p("prod/app/deep/K"), 1, 1}}, g.Epoch)) {
						if strings.HasPrefix(plain, marker) {
							t.Errorf("it opens %q", plain)
						}
					}
				})
			}
			c.finds(attack.finds)
			c.do(func(s *Session) {
				if _, err := s.RevokeAgent("mallory", NarrowOptions{}); err != nil {
					t.Errorf("it keeps the owner from revoking: %v", err)
				}
			})
		})
	}
}
