package vault

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// The checks of a verification, one by one. Some records here are signed by the owner, and no
// act of this program would make them. A verification judges the file, whoever wrote it.

// check is one act on a company, and what a verification then says.
type check struct {
	by    string                              // "owner", or an insider
	do    func(*company, *Session, *tx) error // without the program's checks
	first func(*company)                      // honest acts before that; may be nil
	finds string                              // in a line
	times int                                 // lines with that; 0 for one
}

func checks(t *testing.T, all map[string]check) {
	for name, x := range all {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			if x.first != nil {
				x.first(c)
			}
			if x.by == audit.Owner {
				c.do(func(s *Session) {
					if err := s.commit(func(t *tx) error { return x.do(c, s, t) }); err != nil {
						t.Fatal(err)
					}
				})
			} else {
				c.insider(x.by, func(s *Session, t *tx) error { return x.do(c, s, t) })
			}
			found := c.problems()
			if n := strings.Count(found, x.finds); n != max(x.times, 1) {
				t.Errorf("the verification says it %d times:\n%s\nwant: %s", n, found, x.finds)
			}
		})
	}
}

// rekey begins a new epoch. All records are then signed by the owner.
func rekey(c *company) {
	c.do(func(s *Session) {
		if _, err := s.Rekey(); err != nil {
			c.t.Fatal(err)
		}
	})
}

// regrant gives a grantee the grant of the acting insider, with a change.
func regrant(s *Session, t *tx, to keys.Grantee, id string, change func(*grant)) error {
	_, g, err := s.v.openGrant(s.grantee.Grantee)
	change(&g)
	return errors.Join(err, t.putGrant(to, id, g))
}

// junk is a body that no kind of record has.
var junk = map[string]int{"x": 1}

func TestChecksOfSecrets(t *testing.T) {
	t.Parallel()
	const mine = "prod/mine/M"
	// set makes mallory the author of the newest value. head then changes its head, and not its entry.
	set := func(c *company) {
		if err := c.honest("mallory", func(s *Session) { c.put(s, mine, 0) }); err != nil {
			c.t.Fatal(err)
		}
	}
	head := func(change func(*secretBody, *tx)) func(*company, *Session, *tx) error {
		return func(_ *company, _ *Session, t *tx) error {
			var body secretBody
			err := bodyOf(t, bucketSecrets, []byte(mine), &body)
			change(&body, t)
			return errors.Join(err, t.put(bucketSecrets, []byte(mine), true, body))
		}
	}
	written := func(path string, n uint64, change func(*versionBody)) func(*company, *Session, *tx) error {
		return func(c *company, s *Session, t *tx) error {
			body := versionBody{Seq: t.seq(), Tier: tokens.Standard, Author: t.by.id, CreatedAt: t.now}
			change(&body)
			return s.writeVersion(t, c.p(path), n, body, []byte("mine"))
		}
	}
	const another = mine + ": it does not match log entry"
	checks(t, map[string]check{
		"a head of a higher version": {"mallory", head(func(b *secretBody, _ *tx) { b.Version++ }), set, another, 0},
		"a head of another tier": {"mallory", head(func(b *secretBody, _ *tx) { b.Tier = tokens.Sensitive }), set,
			another, 0},
		"a head that is deleted": {"mallory", head(func(b *secretBody, t *tx) { b.DeletedAt = &t.now }), set, another, 0},
		"a head of another entry": {"mallory", head(func(b *secretBody, _ *tx) { b.Seq-- }), set,
			"the newest about it: an old record was put back", 0},
		"a head by another author": {"owner's token", func(c *company, _ *Session, t *tx) error {
			const path = "prod/app/W" // the writer's
			var body secretBody
			err := bodyOf(t, bucketSecrets, []byte(path), &body)
			return errors.Join(err, t.put(bucketSecrets, []byte(path), true, body))
		}, nil, "the newest about it: an old record was put back", 0},
		"a secret that no entry wrote": {"mallory", func(_ *company, _ *Session, t *tx) error {
			return t.put(bucketSecrets, []byte("prod/mine/X"), true, secretBody{Seq: t.seq(), Version: 1, Tier: tokens.Standard})
		}, nil, "prod/mine/X: no log entry accounts for it", 0},
		"a secret that was purged": {"mallory", func(_ *company, _ *Session, t *tx) error {
			return t.put(bucketSecrets, []byte(mine), true, secretBody{Seq: t.seq(), Version: 1, Tier: tokens.Standard})
		}, func(c *company) {
			c.do(func(s *Session) {
				if _, err := s.Purge(c.p(mine)); err != nil {
					c.t.Fatal(err)
				}
			})
		}, mine + ": no log entry accounts for it", 0},
		"a secret at no path": {"owner", func(_ *company, _ *Session, t *tx) error {
			return t.put(bucketSecrets, []byte("K"), true, secretBody{Seq: t.seq(), Version: 1, Tier: tokens.Standard})
		}, nil, `"K": its key is not a path`, 0},
		"a version of no path": {"owner", func(_ *company, _ *Session, t *tx) error {
			return t.put(bucketVersions, []byte("K"), true, versionBody{Seq: t.seq(), Tier: tokens.Standard})
		}, nil, `versions/"K": its key is not a path and a version`, 0},
		"a version without a head": {"mallory", written("prod/mine/X", 1, func(*versionBody) {}), nil,
			"prod/mine/X version 1: its secret has no valid record", 0},
		"a version that no entry wrote": {"mallory", written(mine, 1, func(*versionBody) {}), nil,
			mine + " version 1: it does not match what the log says was written", 0},
		"a version of another entry": {"mallory", written(mine, 2, func(b *versionBody) { b.Seq -= 2 }), set,
			mine + " version 2: it does not match what the log says was written", 0},
		"a version that is not listed as sealed to a recipient": {"mallory", func(c *company, _ *Session, t *tx) error {
			return insert(t, bucketReseal, versionKey(c.p("prod/app/W"), 1), nil)
		}, nil, "prod/app/W version 1: it is sealed to a published recipient but not listed as such", 0},
		"a version that is listed, and not sealed to a recipient": {"mallory", func(c *company, _ *Session, t *tx) error {
			return t.put(bucketReseal, versionKey(c.p("prod/app/DB"), 1), false, resealBody{Seq: t.seq()})
		}, nil, "no version that is sealed to a recipient exists there", 0},
		"a version that is listed, and not there": {"mallory", func(c *company, _ *Session, t *tx) error {
			return t.put(bucketReseal, versionKey(c.p("prod/app/DB"), 9), false, resealBody{Seq: t.seq()})
		}, nil, "no version that is sealed to a recipient exists there", 0},
		"a version that is listed, and damaged": {"mallory", func(c *company, _ *Session, t *tx) error {
			return t.put(bucketVersions, versionKey(c.p("prod/app/W"), 1), true, junk)
		}, nil, "prod/app/W version 1: not the expected JSON", 2},
		"a list of junk": {"mallory", func(c *company, _ *Session, t *tx) error {
			return t.put(bucketReseal, versionKey(c.p("prod/app/W"), 1), false, junk)
		}, nil, `unsealed/"prod/app/W`, 0},
		"a recipient of another tier": {"owner", func(_ *company, s *Session, t *tx) error {
			n := s.ring.Nodes[0]
			return t.put(bucketRecipients, n.ID(), true, recipientBody{Seq: t.seq(), Tier: tokens.Critical, Pub: n.Public()})
		}, nil, "it does not match the key of its node", 0},
		"a recipient of no node": {"owner", func(_ *company, s *Session, t *tx) error {
			n := s.ring.Nodes[0]
			n.Kind, n.Key = keys.KindSecret, keys.Key{} // and no path
			return t.put(bucketRecipients, n.ID(), true, recipientBody{Seq: t.seq(), Tier: n.Tier, Pub: n.Public()})
		}, nil, "it does not match the key of its node", 0},
	})
}

// If an agent signs a record with the number of no entry, no rewrite puts the owner's name on it.
func TestARewriteVouchesForNoEntry(t *testing.T) {
	c := newCompany(t)
	c.insider("mallory", func(s *Session, t *tx) error {
		body := versionBody{Tier: tokens.Standard, Author: t.by.id, CreatedAt: t.now}
		return errors.Join(s.writeVersion(t, c.p("prod/mine/X"), 1, body, []byte("mine")),
			t.put(bucketSecrets, []byte("prod/mine/X"), true, secretBody{Version: 1, Tier: tokens.Standard}))
	})
	c.do(func(s *Session) {
		_, err := s.Rekey()
		c.check("a rewrite", err, ErrDamaged, "prod/mine/X: no log entry accounts for it")
		if _, err := s.RevokeAgent("mallory", NarrowOptions{}); err != nil {
			t.Error(err)
		}
		_, _, err = s.Get(c.p("prod/mine/X"), 0)
		c.check("what nobody told of, after the revocation", err, ErrNotFound, "")
	})
	c.finds("")
}

func TestChecksOfActors(t *testing.T) {
	t.Parallel()
	indexOf := func(c *company, who string) []byte { i := keys.NewGrantee(c.secret[who]).Index; return i[:] }
	// agent changes the record of an agent, in the owner's name.
	agent := func(who string, change func(*agentBody, *tx)) func(*company, *Session, *tx) error {
		return func(c *company, _ *Session, t *tx) error {
			body, err := t.agent(c.id[who])
			change(&body, t)
			return errors.Join(err, agentKind.put(t, []byte(c.id[who]), body))
		}
	}
	own := func(change func(*grant)) func(*company, *Session, *tx) error {
		return func(c *company, s *Session, t *tx) error { return regrant(s, t, s.grantee.Grantee, s.by.id, change) }
	}
	token := func(change func(*company, *tokenBody)) func(*company, *Session, *tx) error {
		return func(c *company, _ *Session, t *tx) error {
			var body tokenBody
			err := bodyOf(t, bucketTokens, []byte(c.id["mallory's token"]), &body)
			change(c, &body)
			return errors.Join(err, t.put(bucketTokens, []byte(c.id["mallory's token"]), true, body))
		}
	}
	const keysOf, another = "its keys do not match the scopes of", "it does not match the token that it names"
	checks(t, map[string]check{
		"an agent with the id of none": {"owner", func(_ *company, s *Session, t *tx) error {
			pub := public(keys.NewGrantee(s.root.AgentSecret("x", 1)).Sign)
			return agentKind.put(t, []byte("x"), agentBody{Seq: t.seq(), Serial: 1, Pub: pub})
		}, nil, `agents/"x": its public key does not match the agent`, 0},
		"an agent with another key": {"owner", agent("exact", func(b *agentBody, _ *tx) {
			b.Pub = bytes.Repeat([]byte{1}, 32)
		}),
			nil, "its public key does not match the agent", 0},
		"an agent that no entry introduced": {"owner", func(_ *company, s *Session, t *tx) error {
			const id = "agt_00000000"
			pub := public(keys.NewGrantee(s.root.AgentSecret(id, 1)).Sign)
			return agentKind.put(t, []byte(id), agentBody{Seq: t.seq(), Serial: 1, Pub: pub})
		}, nil, `agents/"agt_00000000": no log entry accounts for it`, 0},
		"an agent of another entry": {"owner", agent("exact", func(b *agentBody, _ *tx) { b.Seq-- }), nil,
			"the newest about it: an old record was put back", 0},

		"an agent without a grant": {"mallory", func(c *company, _ *Session, t *tx) error {
			return insert(t, bucketGrants, indexOf(c, "reader"), nil)
		}, nil, ": it has no valid grant", 0},
		"a revoked agent that an insider gives a grant": {"reader", func(c *company, s *Session, t *tx) error {
			return regrant(s, t, keys.NewGrantee(c.secret["exact"]), c.id["exact"], func(g *grant) {
				n, ok := s.ring.Derive(keys.NodeOf(tokens.Standard, tokens.Exactly(c.p("prod/app/DB"))))
				if g.Nodes = []grantNode{{n.Tier, n.Kind, n.Path, n.Key[:]}}; !ok {
					c.t.Error("the reader has no key to hand on, so this shows less than it says")
				}
			})
		}, func(c *company) {
			c.do(func(s *Session) {
				if _, err := s.RevokeAgent("exact", NarrowOptions{}); err != nil {
					c.t.Fatal(err)
				}
			})
		}, "it is revoked but still has a grant", 0},
		"a grant of junk": {"mallory", func(c *company, _ *Session, t *tx) error {
			return t.put(bucketGrants, indexOf(c, "reader"), false, junk)
		}, nil, "grant ", 0},
		"a grant of an agent that is damaged": {"mallory", func(c *company, _ *Session, t *tx) error {
			return t.put(bucketAgents, []byte(c.id["deleter"]), true, junk)
		}, nil, `": not the expected JSON`, 2},
		"a grant of another epoch":     {"mallory", own(func(g *grant) { g.Epoch++ }), nil, keysOf, 0},
		"a grant with another MAC key": {"mallory", own(func(g *grant) { g.MK[0] ^= 1 }), nil, keysOf, 0},
		"a grant with a node too many": {"mallory", own(func(g *grant) { g.Nodes = append(g.Nodes, g.Nodes[0]) }), nil,
			keysOf, 0},
		"a grant with a node too few": {"mallory", own(func(g *grant) { g.Nodes = []grantNode{} }), nil, keysOf, 0},
		"a grant with a wrong node key": {"mallory", own(func(g *grant) { g.Nodes[0].Key = make([]byte, 32) }), nil,
			keysOf, 0},
		"a grant with another's owner": {"mallory", own(func(g *grant) { g.OwnerPub[0] ^= 1 }), nil,
			"it does not decrypt for its grantee", 0},
		"a grant with a file key of nothing": {"owner", func(c *company, s *Session, t *tx) error {
			id := c.id["all"]
			to, err := s.granteeOf(t, id)
			g, _, gerr := s.newGrant(c.scopes("secrets:*:*"), tokens.Standard)
			g.Files = []grantFile{{"nowhere", 1, make([]byte, 16)}}
			return errors.Join(err, gerr, t.putGrant(to, id, g))
		}, func(c *company) {
			c.do(func(s *Session) {
				a, _, err := s.CreateAgent(AgentSpec{Name: "all", Scopes: c.scopes("secrets:*:*")})
				if c.id["all"] = a.ID; err != nil {
					c.t.Fatal(err)
				}
			})
		}, keysOf, 0},

		"a token of junk": {"mallory", func(c *company, _ *Session, t *tx) error {
			return t.put(bucketTokens, []byte(uuid.NewString()), true, junk)
		}, nil, `tokens/"`, 0},
		"a token with the grant of another": {"mallory", token(func(c *company, b *tokenBody) {
			b.Index = indexOf(c, "reader")
		}),
			nil, another, 0},
		"a token with another key": {"mallory", token(func(_ *company, b *tokenBody) { b.Pub = bytes.Repeat([]byte{1}, 32) }),
			nil, another, 0},
		"a token of another entry": {"mallory", token(func(_ *company, b *tokenBody) { b.Seq-- }), nil,
			": no log entry accounts for it", 0},
		"a token whose issuer is gone": {"mallory", func(c *company, _ *Session, t *tx) error {
			return insert(t, bucketAgents, []byte(c.id["reader"]), nil)
		}, rekey, "no agent agt_", 1},
		"a token whose issuer is revoked": {"owner", func(c *company, s *Session, t *tx) error {
			err := agent("reader", func(b *agentBody, t *tx) { b.RevokedAt, b.Seq = &t.now, t.seq() })(c, s, t)
			return errors.Join(err, t.remove(bucketGrants, indexOf(c, "reader")), t.remove(bucketGrants,
				indexOf(c, "reader's token")), t.log(audit.AgentRevoked, "agent", c.id["reader"], nil))
		}, rekey, "which issued this token, was revoked", 0},

		"uses of junk": {"mallory", func(c *company, _ *Session, t *tx) error {
			return t.put(bucketUses, []byte(c.id["reader"]), false, junk)
		}, nil, `uses/"agt_`, 0},
		"uses far ahead": {"mallory", func(c *company, _ *Session, t *tx) error {
			t.now = t.now.AddDate(70, 0, 0)
			return t.putUses(c.id["reader"], usesBody{Used: 1})
		}, nil, "after the end of the log at", 0},
		"uses of no agent": {"mallory", func(_ *company, _ *Session, t *tx) error {
			return t.putUses("agt_00000000", usesBody{Used: 1})
		}, nil, "it counts the uses of something that does not exist", 0},
		"uses of no token": {"mallory", func(_ *company, _ *Session, t *tx) error {
			return t.putUses(uuid.NewString(), usesBody{Used: 1})
		}, nil, "it counts the uses of something that does not exist", 0},
		"uses of an agent that is damaged": {"mallory", func(c *company, _ *Session, t *tx) error {
			return t.put(bucketAgents, []byte(c.id["mallory"]), true, junk)
		}, func(c *company) {
			if _, err := c.read("mallory", "prod/mine/M"); err != nil {
				c.t.Fatal(err)
			}
		}, `": not the expected JSON`, 3}, // the agent, its grant, its uses
	})
}

func TestChecksOfRequests(t *testing.T) {
	t.Parallel()
	const card = "prod/app/CARD"
	var k []byte
	ask := func(c *company) { k = c.ask("reader", card) }
	approved := func(c *company) {
		ask(c)
		if err := c.approve(); err != nil {
			c.t.Fatal(err)
		}
	}
	decision := func(at func() []byte, change func(*decisionBody)) func(*company, *Session, *tx) error {
		return func(_ *company, _ *Session, t *tx) error {
			var body decisionBody
			err := bodyOf(t, bucketDecisions, k, &body)
			change(&body)
			return errors.Join(err, decisionKind.put(t, at(), body))
		}
	}
	there := func() []byte { return k }
	checks(t, map[string]check{
		"a request that no entry made": {"reader", func(c *company, _ *Session, t *tx) error {
			body := requestBody{Seq: t.seq(), Action: RequestRead, Path: card, Version: 1, Tier: tokens.Critical,
				Requester: t.by.id, IssueAt: t.now, Nonce: make([]byte, 16)}
			r, err := requestKind.newStored(t.hasher, t.by, nil, &body)
			return errors.Join(err, t.put(bucketRequests, requestKey(t.by.id, requestID(r.body)), true, body))
		}, nil, ": no log entry accounts for it", 0},
		"a request of junk": {"reader", func(c *company, _ *Session, t *tx) error {
			return t.put(bucketRequests, requestKey(t.by.id, requestID(nil)), true, junk)
		}, nil, "request ", 0},
		"a decision of junk": {"owner", func(c *company, _ *Session, t *tx) error {
			return t.put(bucketDecisions, k, true, junk)
		}, approved, "answer to request ", 2}, // the request cannot be read either
		"a decision about another request": {"owner", decision(there, func(b *decisionBody) {
			b.Request = uuid.NewString()
		}), approved, "it decides another request than its key names", 0},
		"a decision at no key": {"owner", decision(func() []byte { return []byte("x") }, func(*decisionBody) {}),
			approved, "it decides another request than its key names", 0},
		"a decision about no request": {"reader", func(_ *company, _ *Session, t *tx) error {
			return insert(t, bucketRequests, k, nil)
		}, approved, "it decides a request that does not exist", 0},
		"a decision of another entry": {"owner", decision(there, func(b *decisionBody) { b.Seq-- }), approved,
			": no log entry accounts for it", 0},
		"a denial that no entry tells of": {"owner", decision(there, func(b *decisionBody) { b.Decision = Denied }),
			approved, ": no log entry accounts for it", 0},
	})
}

// The head says how the log ends and which records there are. Everybody in the epoch can make
// a head. A verification finds one that is wrong.
func TestChecksOfTheHead(t *testing.T) {
	var old head
	checks(t, map[string]check{
		"another number of records": {"mallory", func(_ *company, _ *Session, t *tx) error {
			t.head.count += smallVault // so that no command computes the digest
			return nil
		}, nil, "records: they do not match the head", 0},
		"another digest": {"mallory", func(_ *company, _ *Session, t *tx) error {
			t.head.digest[0]++
			return nil
		}, nil, "records: they do not match the head", 0},
		"the end of an earlier epoch": {"mallory", func(_ *company, _ *Session, t *tx) error {
			var err error
			for seq := old.log.Seq + 1; seq <= t.head.log.Seq; seq++ {
				err = errors.Join(err, t.b.Delete(bucketAudit, audit.Key(seq)))
			}
			t.head.log = old.log
			return err
		}, func(c *company) {
			c.insider("mallory", func(_ *Session, t *tx) error { old = t.head; return nil })
			rekey(c)
		}, "audit log: it ends in epoch 2, but the vault is in epoch 3", 0},
	})
	t.Run("a head that does not open", func(t *testing.T) {
		c := newCompany(t)
		b := c.take(bucketMeta, []byte(metaHead))
		b[len(b)-1] ^= 1
		c.give(bucketMeta, []byte(metaHead), b)
		if found := c.problems(); found != "meta/head: it does not decrypt: it was modified, or belongs to another "+
			"epoch; so the expected records and entries are unknown" {
			t.Errorf("the verification found:\n%s", found)
		}
	})
}

// An import is one entry about many secrets. Its lists must be of one length.
func TestChecksOfAnImport(t *testing.T) {
	t.Parallel()
	imported := func(versions, tiers int) func(*company, *Session, *tx) error {
		return func(_ *company, _ *Session, t *tx) error {
			return t.log(audit.SecretImported, "namespace", "prod/mine", map[string]any{"keys": []string{"X", "Y"},
				"versions": make([]int, versions), "tiers": make([]string, tiers)})
		}
	}
	checks(t, map[string]check{
		"a version too few":  {"mallory", imported(1, 2), nil, ": it is not a valid import", 0},
		"a version too many": {"mallory", imported(3, 2), nil, ": it is not a valid import", 0},
		"a tier too few":     {"mallory", imported(2, 1), nil, ": it is not a valid import", 0},
		"a tier too many":    {"mallory", imported(2, 3), nil, ": it is not a valid import", 0},
	})
}

// If an entry of the log is altered, the verification names the entry. It does not accuse the
// record that the entry was about.
func TestNoRecordIsBlamedForItsEntry(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	k := c.ask("reader", "prod/app/CARD")
	if err := c.approve(); err != nil {
		t.Fatal(err)
	}
	var seqs []uint64
	c.do(func(s *Session) {
		err := s.view(func(t *tx) error {
			body, err := t.agent(c.id["exact"])
			token, _, terr := t.token(c.id["mallory's token"])
			head, herr := t.secretHead(c.p("prod/app/DB"))
			answer, aerr := t.decision(k)
			seqs = []uint64{body.Seq, token.Seq, head.Seq, answer.Seq, answer.Seq - 1}
			return errors.Join(err, terr, herr, aerr)
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	for _, seq := range seqs {
		was := c.take(bucketAudit, audit.Key(seq))
		altered := bytes.Clone(was)
		altered[len(altered)/2] ^= 1
		c.give(bucketAudit, audit.Key(seq), altered)
		for line := range strings.SplitSeq(c.problems(), "\n") {
			if !strings.HasPrefix(line, "audit entr") {
				t.Errorf("entry %d was altered, and the verification says: %s", seq, line)
			}
		}
		c.give(bucketAudit, audit.Key(seq), was)
	}
}

// If entries of the log are damaged or gone, the verification says that, once, and draws no
// conclusion from what they may have said.
func TestDamagedEntriesProveNothing(t *testing.T) {
	t.Parallel()
	alter := func(v *victim, seq uint64, at func(n int) int) {
		e := v.take(bucketAudit, audit.Key(seq))
		e[at(len(e))] ^= 1
		v.give(bucketAudit, audit.Key(seq), e)
	}
	middle, end := func(n int) int { return n / 2 }, func(n int) int { return n - 1 }
	for name, x := range map[string]struct {
		do    func(*victim)
		finds string // in the first line
		lines int
		never string
	}{
		"the MAC of the last one": {func(v *victim) { alter(v, 8, end) }, "audit entry 8: MAC mismatch", 1,
			"it is not the last entry"},
		"a whole epoch": {func(v *victim) {
			for seq := uint64(3); seq <= 8; seq++ {
				alter(v, seq, middle)
			}
		}, "audit entry 3: MAC mismatch", 6, "it ends in epoch"},
		"the last one is gone, and a secret": {func(v *victim) { // the entry may have been its purge
			v.remove(bucketAudit, audit.Key(8))
			v.remove(bucketVersions, versionKey(v.p("a/L"), 1))
			v.remove(bucketSecrets, []byte("a/L"))
		}, "audit log: entries 8 to 8 are missing: the log was truncated", 2, "its record is missing"},
		"none, and a secret begins again": {func(v *victim) {
			v.do(func(s *Session) {
				if _, err := s.Purge(v.p("a/K")); err != nil {
					v.t.Fatal(err)
				}
				v.set(s, "a/K", "new")
			})
		}, "", 1, "it is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			v.opts = Options{} // the machine remembers nothing
			x.do(v)
			found := v.problems()
			if !strings.HasPrefix(found, x.finds) || x.finds == "" && found != "" || strings.Contains(found, x.never) ||
				strings.Count(found, "\n")+1 != x.lines {
				t.Errorf("the verification found:\n%s\nwant: %s, in %d lines", found, x.finds, x.lines)
			}
		})
	}
}
