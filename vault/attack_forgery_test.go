package vault

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// Only the owner can sign the record of an agent. Only the owner or the issuer can sign
// the record of a token.
func TestRightsAreTheOwners(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	// wide writes a record of mallory with wider scopes, in the name of by, signed or not.
	wide := func(c *company, t *tx, by actor, signed bool) error {
		var body agentBody
		err := bodyOf(t, bucketAgents, []byte(c.id["mallory"]), &body)
		body.Scopes, t.by = []string{"secrets:*:*"}, by
		return errors.Join(err, t.put(bucketAgents, []byte(c.id["mallory"]), signed, body))
	}
	resign := func(c *company, t *tx, token, by, with string) error {
		var body tokenBody
		err := bodyOf(t, bucketTokens, []byte(c.id[token]), &body)
		t.by = actor{c.id[by], audit.Token, keys.NewGrantee(c.secret[with]).Sign}
		return errors.Join(err, t.put(bucketTokens, []byte(c.id[token]), true, body))
	}
	for name, attack := range map[string]struct {
		do          func(*company, *tx) error
		who         string // is refused afterwards
		says, finds string
	}{
		"own record, signed by itself": {func(c *company, t *tx) error { return wide(c, t, t.by, true) }, "mallory",
			"has no right to write it", `agents/"agt_`},
		"own record, in the owner's name": {func(c *company, t *tx) error {
			return wide(c, t, actor{audit.Owner, audit.Human, t.by.sign}, true)
		}, "mallory", `invalid signature for author "owner"`, `agents/"agt_`},
		"own record, by a MAC alone": {func(c *company, t *tx) error { return wide(c, t, actor{id: audit.Owner}, false) },
			"mallory", `invalid signature for author "owner"`, `agents/"agt_`},
		"own record, signed by another agent": {func(c *company, t *tx) error {
			return wide(c, t, actor{c.id["reader"], audit.Agent, keys.NewGrantee(c.secret["reader"]).Sign}, true)
		}, "mallory", "has no right to write it", `agents/"agt_`},
		"own token's record, signed by itself": {func(c *company, t *tx) error {
			return resign(c, t, "mallory's token", "mallory's token", "mallory's token")
		}, "mallory's token", "its author", `tokens/"`},
		"two tokens that sign each other": {func(c *company, t *tx) error {
			return errors.Join(resign(c, t, "mallory's token", "reader's token", "mallory"), resign(c, t, "reader's token",
				"mallory's token", "mallory"))
		}, "mallory's token", "its author", `tokens/"`},
	} {
		t.Run(name, func(t *testing.T) {
			if !inChild(t) {
				return
			}
			c := newCompany(t)
			c.insider("mallory", func(_ *Session, t *tx) error { return attack.do(c, t) })
			for _, path := range []string{"prod/mine/M", "dev/K"} {
				_, err := c.read(attack.who, path)
				c.check(attack.who+" reads "+path, err, ErrDamaged, attack.says)
			}
			c.finds(attack.finds)
		})
	}
}

// If an author may not write a record, every reader refuses the record, even if its MAC,
// the digest and a log entry are valid. Records of every tier are signed, the standard
// tier too (section 8: records that are signed "above standard only").
func TestWhatAGranteeMayNotWriteIsRefused(t *testing.T) {
	t.Parallel()
	const db = "prod/app/DB"
	// value writes a value as who, in the name of by, and logs it.
	value := func(who, by string) func(*company) {
		return func(c *company) {
			c.insider(who, func(s *Session, t *tx) error {
				body := versionBody{Seq: t.seq(), Tier: tokens.Standard, Author: by, CreatedAt: t.now}
				t.by.id = by
				if id := c.id[by]; id != "" {
					t.by.id = id
				}
				return errors.Join(s.writeVersion(t, c.p(db), 2, body, []byte("mine")),
					t.log(audit.SecretUpdated, "secret", db, map[string]any{"version": 2, "tier": tokens.Standard}))
			})
		}
	}
	// head changes the head of the secret. If it now names version 1, head removes version 2.
	head := func(who, event string, change func(*secretBody)) func(*company) {
		return func(c *company) {
			c.insider(who, func(_ *Session, t *tx) error {
				var body secretBody
				err := bodyOf(t, bucketSecrets, []byte(db), &body)
				body.Seq = t.seq()
				change(&body)
				if body.Version == 1 {
					err = errors.Join(err, insert(t, bucketVersions, versionKey(c.p(db), 2), nil))
				}
				return errors.Join(err, t.put(bucketSecrets, []byte(db), true, body),
					t.log(event, "secret", db, map[string]any{"version": body.Version, "tier": body.Tier}))
			})
		}
	}
	back := func(b *secretBody) { b.Version = 1 }
	for name, attack := range map[string]struct {
		do          func(*company)
		says, finds string // what the next honest reader is told, and what a verification finds
	}{
		"value by one who reads": {value("reader", "reader"), "has no right to write it",
			db + " version 2: its author"},
		"value by one who deletes": {value("deleter", "deleter"), "has no right to write it",
			db + " version 2: its author"},
		"value by one who writes elsewhere": {value("mallory", "mallory"), "has no right to write it",
			db + " version 2: its author"},
		"value in the owner's name": {value("reader", "owner"), `invalid signature for author "owner"`,
			db + " version 2: invalid signature"},
		"value in the name of one who may": {value("reader", "writer"), "invalid signature for author",
			db + " version 2: invalid signature"},
		"value by nobody who is known": {value("reader", "agt_00000000"), "is unknown",
			db + " version 2: its author"},
		"value by a token of one who reads": {func(c *company) {
			widerToken(c, "reader",
				"secrets:*:prod/app/*")
			value("forged", "forged")(c)
		}, "has no right to write it", db + " version 2: its author"},
		"head by one who reads": {head("reader", audit.SecretUpdated, back), "has no right to write it",
			`"` + db + `": its author`},
		"head by one who writes elsewhere": {head("mallory", audit.SecretUpdated, back), "has no right to write it",
			`"` + db + `": its author`},
		"deleted by one who writes": {head("writer", audit.SecretDeleted, func(b *secretBody) { b.DeletedAt = &b.UpdatedAt }),
			"has no right to write it", `"` + db + `": its author`},
		"undeleted by one who deletes, no less": {head("deleter", audit.SecretRestored, func(b *secretBody) {}), "",
			"whose scopes do not cover"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			attack.do(c)
			if attack.says != "" {
				for _, who := range []string{"reader", "exact", "owner's token"} {
					got, err := c.read(who, db)
					c.check(who+" reads "+got, err, ErrDamaged, attack.says)
				}
				c.do(func(s *Session) {
					_, got, err := s.Get(c.p(db), 0)
					c.check("the owner reads "+string(got), err, ErrDamaged, attack.says)
					_, err = s.Purge(c.p("a/K"))
					c.check("a rewrite, which would sign it", err, ErrDamaged, "prod/app/DB")
				})
			}
			c.finds(attack.finds)
		})
	}
	// An agent that may delete may write a head, but no value. It must not be able to
	// bring back an old value with that head.
	for name, attack := range map[string]func(*company){
		"head put back, by one who deletes": head("deleter", audit.SecretDeleted, back),
		"not deleted, as the log says":      head("deleter", audit.SecretDeleted, func(*secretBody) {}),
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			attack(c)
			if got, err := c.read("reader", db); err == nil && c.problems() == "" {
				t.Errorf("the reader gets %q, of a head that a delete scope signed, and the verification finds nothing", got)
			}
		})
	}
}

// An insider can put junk records into the file. They do not keep the owner from revoking
// the insider, or from making another agent.
func TestJunkKeepsNobodyFromRevoking(t *testing.T) {
	t.Parallel()
	raw := func(bucket string, k func(*company) []byte) func(*company, *Session, *tx) error {
		return func(c *company, _ *Session, t *tx) error { return t.put(bucket, k(c), true, map[string]int{"x": 1}) }
	}
	at := func(s string) func(*company) []byte {
		return func(c *company) []byte {
			if id := c.id[s]; id != "" {
				return []byte(id)
			}
			return []byte(s)
		}
	}
	// broken writes a version that nobody can open.
	broken := func(c *company, s *Session, t *tx, path string) error {
		head := secretBody{Seq: t.seq(), Version: 1, Tier: tokens.Standard, Type: DefaultType}
		return errors.Join(t.put(bucketVersions, versionKey(c.p(path), 1), true, versionBody{Seq: t.seq(),
			Tier: tokens.Standard, Sealed: []byte("x")}),
			t.put(bucketSecrets, []byte(path), true, head), t.log(audit.SecretCreated, "secret", path,
				map[string]any{"version": 1, "tier": 1}))
	}
	for name, attack := range map[string]struct {
		do    func(*company, *Session, *tx) error
		purge string // a secret that the owner purges first, if any
	}{
		"a token's record":       {raw(bucketTokens, at("mallory's token")), ""},
		"a record of no token":   {raw(bucketTokens, at("x")), ""},
		"another token's record": {raw(bucketTokens, at("owner's token")), ""},
		"an ask": {raw(bucketRequests, func(c *company) []byte {
			return requestKey(c.id["mallory"],
				requestID(nil))
		}), ""},
		"an ask at no key":        {raw(bucketRequests, at("x")), ""},
		"an answer":               {raw(bucketDecisions, at("x")), ""},
		"a grant":                 {raw(bucketGrants, at("x")), ""},
		"a recipient":             {raw(bucketRecipients, at("x")), ""},
		"a list of unsealed":      {raw(bucketReseal, at("x")), ""},
		"uses of its own":         {raw(bucketUses, at("mallory")), ""},
		"uses of its token":       {raw(bucketUses, at("mallory's token")), ""},
		"uses of another agent":   {raw(bucketUses, at("reader")), ""},
		"uses of another's token": {raw(bucketUses, at("owner's token")), ""},
		"a record of no agent":    {raw(bucketAgents, at("agt_00000000")), ""},
		"its own record": {func(c *company, _ *Session, t *tx) error {
			t.by.id = audit.Owner
			return t.put(bucketAgents, []byte(c.id["mallory"]), true, map[string]int{"x": 1})
		}, ""},
		"a value of its own": {func(c *company, s *Session, t *tx) error { return broken(c, s, t, "prod/mine/X") },
			"prod/mine/X"},
		"two values of its own": {func(c *company, s *Session, t *tx) error {
			return errors.Join(broken(c, s, t, "prod/mine/X"), broken(c, s, t, "prod/mine/Y"))
		}, ""}, // each of them blocks the purge of the other
		"a value of somebody else's": {func(c *company, s *Session, t *tx) error { return broken(c, s, t, "dev/K") },
			"dev/K"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.insider("mallory", func(s *Session, t *tx) error { return attack.do(c, s, t) })
			c.do(func(s *Session) {
				if attack.purge != "" {
					if _, err := s.Purge(c.p(attack.purge)); err != nil {
						t.Errorf("what was broken cannot be purged: %v", err)
					}
				}
				_, err := s.RevokeAgent(c.id["mallory"], NarrowOptions{})
				if loss := (&LossError{}); name == "another token's record" && errors.As(err, &loss) && len(loss.Lost) == 1 {
					_, err = s.RevokeAgent(c.id["mallory"], NarrowOptions{Lose: true})
				}
				if err != nil {
					t.Errorf("mallory cannot be revoked: %v", err)
				}
				if _, _, err := s.CreateAgent(AgentSpec{Name: "new", Scopes: c.scopes("secrets:read:prod/*")}); err != nil {
					t.Errorf("no agent can be made: %v", err)
				}
			})
			if _, err := c.read("mallory", "prod/mine/M"); !errors.Is(err, ErrWrongKey) {
				t.Errorf("mallory's key: %v", err)
			}
		})
	}
}

// Each credential has its own clock, so that a record dated 2099 does not stop everybody
// (section 8). If an insider stops another agent with such a date, a verification finds it.
func TestADateFarAheadIsFound(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	c.insider("mallory", func(_ *Session, t *tx) error {
		t.now = t.now.AddDate(70, 0, 0)
		return t.putUses(c.id["reader"], usesBody{Used: 1})
	})
	if _, err := c.read("exact", "prod/app/DB"); err != nil {
		t.Errorf("another agent is stopped by it: %v", err)
	}
	if _, err := c.read("reader", "prod/app/DB"); err != nil && c.problems() == "" {
		t.Errorf("the verification finds nothing, and: %v", err)
	}
}

// Everybody may append to the log, but only in their own name, and only about acts that
// their scopes cover. A verification finds every other entry.
func TestForgedEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	about := func(id string, more map[string]any) func(*company, *Session, *tx) error {
		return func(c *company, _ *Session, t *tx) error {
			if own := c.id[id]; own != "" {
				id = own
			}
			m := map[string]any{"scopes": []string{"secrets:*:*"}, "public_key": []byte(public(t.by.sign)), "serial": 1,
				"asker": c.id["reader"]}
			for k, v := range more {
				m[k] = v
			}
			return t.log(m["event"].(string), "x", id, m)
		}
	}
	as := func(who string, then func(*company, *Session, *tx) error) func(*company, *Session, *tx) error {
		return func(c *company, s *Session, t *tx) error {
			if t.by.id = who; c.id[who] != "" {
				t.by.id = c.id[who]
			}
			return then(c, s, t)
		}
	}
	event := func(e string) map[string]any { return map[string]any{"event": e, "version": 1} }
	const jti = "11111111-2222-4333-8444-555555555555"
	for name, attack := range map[string]struct {
		do    func(*company, *Session, *tx) error
		finds string
	}{
		"in the owner's name": {as("owner", about("prod/app/DB", event(audit.SecretUpdated))),
			`invalid signature for author "owner"`},
		"in another agent's name": {as("writer", about("prod/app/DB", event(audit.SecretUpdated))),
			"invalid signature for author"},
		"in nobody's name": {as("agt_00000000", about("prod/app/DB", event(audit.SecretUpdated))),
			"is unknown"},
		"a write that it may not": {about("prod/app/DB", event(audit.SecretUpdated)), "whose scopes do not cover"},
		"an import that it may not": {func(_ *company, _ *Session, t *tx) error {
			return t.append(listEvent(audit.SecretImported, itemsOf(3, "prod/app/DB")))
		}, "whose scopes do not cover"},
		"a deletion that it may not": {about("prod/app/DB", event(audit.SecretDeleted)), "whose scopes do not cover"},
		"a purge":                    {about("prod/mine/M", event(audit.SecretPurged)), "whose scopes do not cover"},
		"a token with the owner's id": {about("owner", event(audit.TokenIssued)),
			"it is not a valid record of issuing a token"},
		"a token with an agent's id": {about("reader", event(audit.TokenIssued)),
			"it is not a valid record of issuing a token"},
		"a token with a token's id": {about("owner's token", event(audit.TokenIssued)),
			"it is not a valid record of issuing a token"},
		"a token with an old token's id": {about("reader's token", event(audit.TokenIssued)),
			"it is not a valid record of issuing a token"},
		"a token that is wider, and its write": {func(c *company, s *Session, t *tx) error {
			err := about(jti, event(audit.TokenIssued))(c, s, t)
			t.by.id = jti
			return errors.Join(err, about("prod/app/DB", event(audit.SecretUpdated))(c, s, t))
		}, "whose scopes do not cover"},
		"a token by a token": {func(c *company, s *Session, t *tx) error {
			t.by = actor{c.id["mallory's token"], audit.Token, keys.NewGrantee(c.secret["mallory's token"]).Sign}
			return about(jti, event(audit.TokenIssued))(c, s, t)
		}, "it is not a valid record of issuing a token"},
		"itself made anew, and its write": {func(c *company, s *Session, t *tx) error {
			return errors.Join(about("mallory", event(audit.AgentCreated))(c, s, t), about("prod/app/DB",
				event(audit.SecretUpdated))(c, s, t))
		}, "whose scopes do not cover"},
		"its key rotated, and its write": {func(c *company, s *Session, t *tx) error {
			return errors.Join(about("mallory", event(audit.AgentKeyRotated))(c, s, t), about("prod/app/DB",
				event(audit.SecretUpdated))(c, s, t))
		}, "whose scopes do not cover"},
		"the beginning of an epoch": {func(c *company, s *Session, t *tx) error {
			return t.logEvent(audit.Event{Type: audit.VaultRewritten, ResourceType: "vault", ResourceID: "x", Epoch: 3})
		}, "it claims to begin epoch 3"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.insider("mallory", func(s *Session, t *tx) error { return attack.do(c, s, t) })
			c.finds("audit entry")
			c.finds(attack.finds)
		})
	}
	// If an insider's entry revokes another agent, or decides for the owner, a verification
	// reports the entry, and nothing else.
	t.Run("no accusation", func(t *testing.T) {
		c := newCompany(t)
		good := c.ask("reader", "prod/app/CARD")
		if err := c.approve(); err != nil {
			t.Fatal(err)
		}
		_, id, _ := cutRequestKey(good)
		c.insider("mallory", func(s *Session, t *tx) error {
			return errors.Join(about("reader", event(audit.AgentRevoked))(c, s, t), about(id.String(),
				event(audit.ApprovalGranted))(c, s, t), about(id.String(), event(audit.ApprovalRequested))(c, s, t))
		})
		for line := range strings.SplitSeq(c.problems(), "\n") {
			if line != "" && !strings.HasPrefix(line, "audit entry") {
				t.Errorf("an entry of mallory's made the verification say: %s", line)
			}
		}
	})
}

// If an insider lowers a tier, or puts back an old value, a verification finds it, as the
// design says. The design does not promise to stop these acts, so they are not attacked
// here: to lower the count of a token's uses and put its grant back, to keep an approval
// from expiring, to use an approval for a critical secret twice, and to remove a denial so
// that its request is pending again. The program enforces these limits while the grantee
// uses the program. The grantee had the keys anyway.
func TestAnInsiderLowersNoTier(t *testing.T) {
	t.Parallel()
	const crit = "prod/mine/CRIT"
	put := func(c *company, t *tx, s *Session, version uint64, event string) error {
		head := secretBody{Seq: t.seq(), ID: uuid.NewString(), Version: version, Tier: tokens.Standard, Type: DefaultType,
			CreatedAt: t.now, UpdatedAt: t.now}
		body := versionBody{Seq: t.seq(), Tier: tokens.Standard, Author: t.by.id, CreatedAt: t.now}
		return errors.Join(s.writeVersion(t, c.p(crit), version, body, []byte("mine")), t.put(bucketSecrets, []byte(crit),
			true, head),
			t.log(event, "secret", crit, map[string]any{"version": version, "tier": head.Tier, "type": head.Type}))
	}
	gone := func(c *company, t *tx, n uint64) error {
		return insert(t, bucketVersions, versionKey(c.p(crit), n), nil)
	}
	for name, attack := range map[string]struct {
		do    func(*company, *Session, *tx) error
		finds string
		keeps bool // the owner's next value, if accepted, is critical
	}{
		"head removed": {func(c *company, _ *Session, t *tx) error { return insert(t, bucketSecrets, []byte(crit), nil) },
			"its record is missing", true},
		"head of a lower tier": {func(c *company, _ *Session, t *tx) error {
			var head secretBody
			err := bodyOf(t, bucketSecrets, []byte(crit), &head)
			head.Tier = tokens.Standard
			return errors.Join(err, t.put(bucketSecrets, []byte(crit), true, head))
		}, "does not match log entry", true},
		"next version of a lower tier": {func(c *company, s *Session, t *tx) error {
			return put(c, t, s, 2,
				audit.SecretUpdated)
		},
			crit + " version 1: its tier critical is above that of its secret", true},
		"and the old one removed": {func(c *company, s *Session, t *tx) error {
			return errors.Join(gone(c, t, 1), put(c, t, s, 2, audit.SecretUpdated))
		}, crit + " version 1: it is missing", false},
		"all removed, and made anew": {func(c *company, s *Session, t *tx) error {
			return errors.Join(gone(c, t, 1), insert(t, bucketSecrets, []byte(crit), nil), put(c, t, s, 1, audit.SecretCreated))
		}, crit, false},
		"all overwritten, in two steps": {func(c *company, s *Session, t *tx) error {
			return errors.Join(put(c, t, s, 1, audit.SecretUpdated), put(c, t, s, 2, audit.SecretUpdated))
		}, crit, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.insider("mallory", func(s *Session, t *tx) error { return attack.do(c, s, t) })
			c.finds(attack.finds)
			if got := c.problems(); got == "" {
				t.Error("a critical secret became a standard one, and nothing is found")
			}
			c.do(func(s *Session) {
				now, _, err := s.Set(c.p(crit), []byte(marker+crit), SetOptions{})
				if attack.keeps && err == nil && now.Tier != tokens.Critical {
					t.Errorf("what the owner set next is %s", now.Tier)
				}
			})
		})
	}
	t.Run("value put back", func(t *testing.T) { // records that the owner signed in this epoch
		const db = "prod/app/DB"
		c := newCompany(t)
		head, value := c.take(bucketSecrets, []byte(db)), c.take(bucketVersions, versionKey(c.p(db), 2))
		c.do(func(s *Session) { c.put(s, db, 0) })
		c.insider("reader", func(_ *Session, t *tx) error {
			return errors.Join(insert(t, bucketSecrets, []byte(db), head), insert(t, bucketVersions, versionKey(c.p(db), 2),
				value), insert(t, bucketVersions, versionKey(c.p(db), 3), nil))
		})
		c.finds(fmt.Sprintf("%s: it does not match log entry", db))
	})
}

// If an insider gives the last entry a huge number, nobody counts up to it, and no number overflows.
func TestAHugeNumberOfTheLastEntry(t *testing.T) {
	t.Parallel()
	for _, huge := range []uint64{1 << 50, maxCounted - 2, maxCounted} {
		t.Run(fmt.Sprint(huge), func(t *testing.T) {
			if !inChild(t) {
				return
			}
			c := newCompany(t)
			c.ask("reader", "prod/app/CARD")
			c.insider("mallory", func(_ *Session, t *tx) error {
				last, err := t.get(bucketAudit, audit.Key(t.head.log.Seq))
				t.head.log.Seq = huge
				return errors.Join(err, t.b.Put(bucketAudit, audit.Key(huge), bytes.Clone(last)))
			})
			c.do(func(s *Session) {
				if _, err := s.Requests(); err != nil {
					t.Errorf("the requests: %v", err)
				}
				_, _, err := s.Set(c.p("dev/K"), []byte("new"), SetOptions{})
				c.check("a write behind it", err, ErrDamaged, "audit log has entry")
			})
			c.finds("audit log: ")
		})
	}
	for _, h := range []head{{log: audit.Position{Seq: maxCounted + 1}}, {count: 1<<64 - 1}} {
		b, err := h.encode(keys.Format2)
		if err == nil {
			_, err = decodeHead(b, keys.Format2)
		}
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("a head that counts %d entries and %d records: %v", h.log.Seq, h.count, err)
		}
	}
}
