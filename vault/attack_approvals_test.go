package vault

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// ask reads a secret as an honest grantee, which must make a request. It returns the key
// of the request.
func (c *company) ask(who, path string) []byte {
	c.t.Helper()
	_, err := c.read(who, path)
	var need *ApprovalError
	if !errors.As(err, &need) {
		c.t.Fatalf("%s reads %s: %v", who, path, err)
	}
	return requestKey(c.id[who], uuid.MustParse(need.Requests[0].ID))
}

// approve approves all pending requests.
func (c *company) approve() (err error) {
	c.t.Helper()
	c.do(func(s *Session) {
		var list []Request
		if list, err = s.Requests(); err == nil {
			list = slices.DeleteFunc(list, func(q Request) bool { return q.Status != Pending })
			err = s.Approve(list)
		}
	})
	return err
}

// answered opens the decision about a request with the asker's key, and returns the file
// key in it.
func (c *company) answered(who string, k []byte) (fileKey []byte) {
	c.t.Helper()
	c.insider(who, func(s *Session, t *tx) error {
		var (
			q      requestBody
			answer decisionBody
		)
		err := errors.Join(bodyOf(t, bucketRequests, k, &q), bodyOf(t, bucketDecisions, k, &answer))
		_, id, _ := cutRequestKey(k)
		ctx := t.Epoch.DecisionContext(id, c.id[who], q.Tier, c.p(q.Path), q.Version)
		plain, oerr := keys.Open(s.grantee.Seal, ctx, answer.Key)
		fileKey = plain
		return errors.Join(err, oerr)
	})
	return fileKey
}

// An approval holds the key of one age file. It opens no other version, and no later
// version with the same number, and it is useless to anybody else. (An approval that
// held a derived key would open them: section 8.)
func TestAnApprovalOpensOneVersion(t *testing.T) {
	t.Parallel()
	const card = "prod/app/CARD"
	for name, later := range map[string]func(*company, *Session) error{
		"next version": func(c *company, s *Session) error { c.put(s, card, 0); return nil },
		"purged and made anew": func(c *company, s *Session) error {
			_, err := s.Purge(c.p(card))
			c.put(s, card, tokens.Critical)
			return err
		},
		"rewritten": func(c *company, s *Session) error { _, err := s.Purge(c.p("a/K")); return err },
		"its key was rotated": func(c *company, s *Session) error {
			_, _, err := s.RotateAgentKey("exact", NarrowOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			ask := c.ask("reader", card)
			if err := c.approve(); err != nil {
				t.Fatal(err)
			}
			fileKey := c.answered("reader", ask)
			oldAsk, oldAnswer := c.take(bucketRequests, ask), c.take(bucketDecisions, ask)
			if got := opens(c, fileKey); got != 1 {
				t.Fatalf("the approval opens %d of the age files", got)
			}
			c.do(func(s *Session) {
				if err := later(c, s); err != nil {
					t.Fatal(err)
				}
			})
			if got, want := opens(c, fileKey), map[bool]int{true: 1}[name == "next version"]; got != want {
				t.Errorf("afterwards the approval opens %d age files, want %d", got, want)
			}
			_, err := c.read("reader", card)
			c.check("the version that there is now", err, ErrApproval, card)
			c.finds("")
			if name == "next version" {
				return
			}
			c.insider("reader", func(_ *Session, t *tx) error { // their MACs are of the old epoch
				return errors.Join(insert(t, bucketRequests, ask, oldAsk), insert(t, bucketDecisions, ask, oldAnswer))
			})
			got, err := c.read("reader", card)
			c.check("with the old answer put back: "+got, err, ErrApproval, card)
			c.finds("MAC mismatch")
		})
	}
}

// opens counts the versions whose age file a file key opens.
func opens(c *company, fileKey []byte) (n int) {
	c.open(func(v *Vault) {
		err := v.db.Each(bucketVersions, func(_, value []byte) {
			r, err := parseRecord(value)
			if err != nil {
				c.t.Fatal(err)
			}
			if _, err := keys.DecryptWithFileKey(fileKey, r.data); err == nil {
				n++
			}
		})
		if err != nil {
			c.t.Fatal(err)
		}
	})
	return n
}

// A request and its decision are valid only for their asker. Here exact attacks: reader
// has an approval for the card, which exact may not read.
func TestForgedApprovals(t *testing.T) {
	t.Parallel()
	const card = "prod/app/CARD"
	for name, attack := range map[string]struct {
		do    func(c *company, s *Session, t *tx, good []byte) error
		finds string
	}{
		"answer of another asker": {func(c *company, s *Session, t *tx, good []byte) error {
			k, err := forgeAsk(c, t, card, nil)
			answer, gerr := t.get(bucketDecisions, good)
			return errors.Join(err, gerr, insert(t, bucketDecisions, k, answer))
		}, "MAC mismatch"},
		"answer of another asker, MACed": {func(c *company, s *Session, t *tx, good []byte) error {
			var body decisionBody
			k, err := forgeAsk(c, t, card, nil)
			err = errors.Join(err, bodyOf(t, bucketDecisions, good, &body))
			_, id, _ := cutRequestKey(k)
			t.by, body.Request = actor{audit.Owner, audit.Human, t.by.sign}, id.String()
			return errors.Join(err, t.put(bucketDecisions, k, true, body))
		}, `invalid signature for author "owner"`},
		"answer by itself": {func(c *company, s *Session, t *tx, _ []byte) error {
			k, err := forgeAsk(c, t, card, nil)
			_, id, _ := cutRequestKey(k)
			body := decisionBody{Seq: t.seq(), Decision: Approved, Request: id.String(), At: t.now, Exp: t.now.Add(time.Hour)}
			return errors.Join(err, t.put(bucketDecisions, k, true, body),
				t.log(audit.ApprovalGranted, "approval", id.String(), nil))
		}, "has no right to write it"},
		"ask of another, copied": {func(c *company, s *Session, t *tx, good []byte) error {
			_, id, _ := cutRequestKey(good)
			ask, err := t.get(bucketRequests, good)
			answer, aerr := t.get(bucketDecisions, good)
			mine := requestKey(c.id["exact"], id)
			return errors.Join(err, aerr, insert(t, bucketRequests, mine, ask), insert(t, bucketDecisions, mine, answer))
		}, "MAC mismatch"},
		"ask of another, signed anew": {func(c *company, s *Session, t *tx, good []byte) error {
			var body requestBody
			_, id, _ := cutRequestKey(good)
			err := bodyOf(t, bucketRequests, good, &body)
			return errors.Join(err, t.put(bucketRequests, requestKey(c.id["exact"], id), true, body))
		}, "its id does not match its content"},
		"ask in the name of another": {func(c *company, s *Session, t *tx, good []byte) error {
			t.by.id = c.id["reader"]
			_, err := forgeAsk(c, t, "prod/app/WCARD", nil)
			return err
		}, "invalid signature for author"},
		"ask at the place of another": {func(c *company, s *Session, t *tx, good []byte) error {
			_, err := forgeAsk(c, t, "prod/app/WCARD", func(b *requestBody) {
				b.Requester = c.id["reader"]
				k, _ := json.Marshal(b)
				if err := t.put(bucketRequests, requestKey(c.id["reader"], requestID(k)), true, b); err != nil {
					c.t.Fatal(err)
				}
			})
			return err
		}, "has no right to write it"},
		"ask that was changed after it was answered": {func(c *company, s *Session, t *tx, good []byte) error {
			var body requestBody
			err := bodyOf(t, bucketRequests, good, &body)
			body.Path, t.by = "prod/app/WCARD", actor{c.id["reader"], audit.Agent, keys.NewGrantee(c.secret["reader"]).Sign}
			return errors.Join(err, t.put(bucketRequests, good, true, body))
		}, "its id does not match its content"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			good := c.ask("reader", card)
			if err := c.approve(); err != nil {
				t.Fatal(err)
			}
			fileKey := c.answered("reader", good)
			c.insider("exact", func(s *Session, t *tx) error { return attack.do(c, s, t, good) })
			// First the program refuses. Then the keys are tried: exact can use no decision.
			got, err := c.read("exact", card)
			c.check("exact reads "+got, err, ErrDenied, "may not read")
			c.insider("exact", func(s *Session, t *tx) error {
				got, _, err := s.readApproved(t, c.p(card), 1, versionBody{Tier: tokens.Critical})
				if err == nil {
					c.t.Errorf("an approval of somebody else is worth %q", got)
				}
				return nil
			})
			c.finds(attack.finds)
			if slices.ContainsFunc(c.answers("exact"), func(k []byte) bool { return slices.Equal(k, fileKey) }) {
				t.Error("exact has the key of reader's approval")
			}
		})
	}
}

// answers returns what an asker can open with its key, in any context that it can make
// up, of all decisions in the file.
func (c *company) answers(who string) (found [][]byte) {
	at := []keys.Epoch{c.epoch(0), c.epoch(1), c.epoch(2), c.epoch(3)}
	c.open(func(v *Vault) {
		to := keys.NewGrantee(c.secret[who])
		ids := []age.Identity{}
		_ = v.db.Each(bucketRequests, func(k, _ []byte) {
			_, id, _ := cutRequestKey(k)
			for _, name := range []string{who, "reader"} {
				for n := range uint32(4) {
					ids = append(ids, keys.KeyWrap{Key: to.Seal, Ctx: at[n].DecisionContext(id, c.id[name],
						tokens.Critical, c.p("prod/app/CARD"), 1)})
				}
			}
		})
		_ = v.db.Each(bucketDecisions, func(_, value []byte) {
			var body decisionBody
			r, _ := parseRecord(value)
			if audit.DecodeStrict(r.body, &body) == nil {
				for _, id := range ids {
					if k, err := keys.Decrypt(id, body.Key); err == nil {
						found = append(found, k)
					}
				}
			}
		})
	})
	return found
}

// forgeAsk writes a request of the acting grantee without the program's checks.
func forgeAsk(c *company, t *tx, path string, change func(*requestBody)) (k []byte, err error) {
	body := requestBody{Seq: t.seq(), Action: RequestRead, Path: path, Version: 1, Tier: tokens.Critical,
		Requester: t.by.id, IssueAt: t.now, Nonce: make([]byte, 16)}
	if change != nil {
		change(&body)
	}
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	k = requestKey(t.by.id, requestID(b))
	_, id, _ := cutRequestKey(k)
	return k, errors.Join(t.put(bucketRequests, k, true, body), t.log(audit.ApprovalRequested, "approval", id.String(),
		nil))
}

// A request that the program would not make is no request: it is not shown to anybody.
func TestMalformedRequestsAreNotShown(t *testing.T) {
	for name, x := range map[string]struct {
		change func(*company, *requestBody)
		finds  string
	}{
		"with no action":      {func(_ *company, b *requestBody) { b.Action = "" }, "it is not a valid request"},
		"with another action": {func(_ *company, b *requestBody) { b.Action = "own" }, "it is not a valid request"},
		"with an endless text": {func(_ *company, b *requestBody) { b.Reason = strings.Repeat("x", maxTextBytes+1) },
			"it is not a valid request"},
		"about no path": {func(_ *company, b *requestBody) { b.Path = "K" }, "its id does not match its content"},
		"that names another requester": {func(c *company, b *requestBody) { b.Requester = c.id["exact"] },
			"its id does not match its content"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.insider("reader", func(_ *Session, t *tx) error {
				_, err := forgeAsk(c, t, "prod/app/CARD", func(b *requestBody) { x.change(c, b) })
				return err
			})
			c.do(func(s *Session) {
				if list, err := s.Requests(); err != nil || len(list) > 0 {
					t.Errorf("%d are shown to the owner, %v", len(list), err)
				}
			})
			_ = c.honest("reader", func(s *Session) {
				if list, err := s.Requests(); err != nil || len(list) > 0 {
					t.Errorf("%d are shown to the requester, %v", len(list), err)
				}
			})
			c.finds(x.finds)
		})
	}
}

// A reason that the requester did not give is not shown, nor is one that no person reads to its end.
func TestForgedReasons(t *testing.T) {
	for name, x := range map[string]struct {
		by, asker, about, reason string
	}{
		"by another, for the requester":     {"exact", "reader", "reader", "because"},
		"by another, for itself":            {"exact", "exact", "reader", "because"},
		"by the requester, for another":     {"reader", "exact", "reader", "because"},
		"about a request that is not there": {"exact", "exact", "", "because"},
		"of endless text":                   {"reader", "reader", "reader", strings.Repeat("x", maxTextBytes+1)},
	} {
		c := newCompany(t)
		_, id, _ := cutRequestKey(c.ask("reader", "prod/app/CARD"))
		about := id.String()
		if x.about == "" {
			about = uuid.NewString()
		}
		c.insider(x.by, func(_ *Session, t *tx) error {
			return t.log(audit.ApprovalReason, "approval", about, map[string]any{"asker": c.id[x.asker], "reason": x.reason})
		})
		c.do(func(s *Session) {
			if list, err := s.Requests(); err != nil || len(list) != 1 || list[0].Reason != "" {
				t.Errorf("%s: %+v, %v", name, list, err)
			}
		})
	}
}

// The owner approves only what was shown, and only what the asker may ask for.
func TestWhatIsApproved(t *testing.T) {
	t.Run("a request outside of the asker's scopes", func(t *testing.T) {
		for path, tier := range map[string]tokens.Tier{"prod/app/CARD": tokens.Critical, "dev/K": tokens.Standard} {
			c := newCompany(t)
			var k []byte
			c.insider("mallory", func(_ *Session, t *tx) (err error) {
				k, err = forgeAsk(c, t, path, func(b *requestBody) { b.Tier = tier })
				return err
			})
			if err := c.approve(); err == nil && opens(c, c.answered("mallory", k)) > 0 {
				t.Errorf("an answer gives mallory the key of %s, which its scopes do not cover", path)
			}
		}
	})
	t.Run("another tier than the version's", func(t *testing.T) {
		c := newCompany(t)
		c.insider("reader", func(_ *Session, t *tx) error {
			_, err := forgeAsk(c, t, "prod/app/CARD", func(b *requestBody) { b.Tier = tokens.Sensitive })
			return err
		})
		c.check("it was approved", c.approve(), ErrConflict, "is now critical")
	})
	t.Run("a version that was moved on", func(t *testing.T) {
		c := newCompany(t)
		c.ask("reader", "prod/app/CARD")
		c.do(func(s *Session) {
			shown, err := s.Requests()
			if err != nil {
				t.Fatal(err)
			}
			c.put(s, "prod/app/CARD", 0)
			c.check("it was approved", s.Approve(shown), ErrConflict, "changed from")
		})
	})
	t.Run("a secret that was purged and made anew", func(t *testing.T) {
		c := newCompany(t)
		c.ask("reader", "prod/app/CARD")
		c.do(func(s *Session) {
			shown, err := s.Requests()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Purge(c.p("prod/app/CARD")); err != nil {
				t.Fatal(err)
			}
			c.put(s, "prod/app/CARD", tokens.Critical)
			if err := s.Approve(shown); err == nil {
				t.Error("a request that was shown for the purged secret was approved for the new one")
			}
		})
	})
}

// An approval to overwrite or delete a critical secret holds no key, so only the owner's
// signature makes it valid. An insider cannot forge one.
func TestForgedAnswersWithoutAKey(t *testing.T) {
	for name, by := range map[string]func(*company, *tx) (signed bool){
		"by itself":           func(*company, *tx) bool { return true },
		"in the owner's name": func(_ *company, t *tx) bool { t.by.id = audit.Owner; return true },
		"by a MAC alone":      func(_ *company, t *tx) bool { t.by.id = audit.Owner; return false },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.insider("mallory", func(_ *Session, t *tx) (err error) {
				for _, action := range []string{RequestWrite, RequestDelete} {
					k, aerr := forgeAsk(c, t, "prod/mine/CRIT", func(b *requestBody) { b.Action = action })
					_, id, _ := cutRequestKey(k)
					was := t.by
					body := decisionBody{Seq: t.seq(), Decision: Approved, Request: id.String(), At: t.now, Exp: t.now.Add(time.Hour)}
					err = errors.Join(err, aerr, t.put(bucketDecisions, k, by(c, t), body))
					t.by = was
				}
				return err
			})
			if err := c.honest("mallory", func(s *Session) {
				_, _, err := s.Set(c.p("prod/mine/CRIT"), []byte("mine"), SetOptions{})
				c.check("a critical secret was overwritten", err, ErrApproval, "")
				_, _, err = s.Delete(c.p("prod/mine/CRIT"))
				c.check("a critical secret was deleted", err, ErrApproval, "")
			}); err != nil {
				t.Error(err)
			}
			c.finds("answer to request")
		})
	}
}

// stolen copies bytes that writer sealed to a published recipient into a version that
// mallory makes, in a place where mallory may read and write.
func stolen(c *company, path string, tier tokens.Tier, recipient keys.Node) {
	c.insider("mallory", func(s *Session, t *tx) error {
		var body versionBody
		err := bodyOf(t, bucketVersions, versionKey(c.p("prod/other/W"), 1), &body)
		body.Seq, body.Author, body.Tier, body.Recipient = t.seq(), t.by.id, tier, recipient.ID()
		k := versionKey(c.p(path), 1)
		head := secretBody{Seq: t.seq(), ID: uuid.NewString(), Version: 1, Tier: tier, Type: DefaultType, CreatedAt: t.now,
			UpdatedAt: t.now}
		err = errors.Join(err, t.put(bucketVersions, k, true, body), t.put(bucketSecrets, []byte(path), true, head),
			t.put(bucketReseal, k, false, resealBody{Seq: t.seq()}))
		return errors.Join(err, t.log(audit.SecretCreated, "secret", path, map[string]any{"version": 1, "tier": tier, "sum": t.takeSum(k)}))
	})
}

// Bytes that were sealed for one place do not open in another, even with the right key.
// So an honest party that reseals them does not open them for the attacker. (With age's
// own hybrid stanza, which binds no context, it would: section 8.)
func TestCopiedCiphertextIsNotOpened(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	for name, by := range map[string]struct {
		tier   tokens.Tier
		touch  func(*company, *Session) error // the act of an honest party
		refuse error
	}{
		"itself": {tokens.Standard, func(c *company, _ *Session) error { return nil }, nil},
		"owner, reading": {tokens.Standard, func(c *company, s *Session) error {
			_, _, err := s.Get(c.p("prod/mine/X"),
				0)
			return err
		}, ErrDamaged},
		"owner, who makes an agent": {tokens.Standard, func(c *company, s *Session) error {
			_, _, err := s.CreateAgent(AgentSpec{Name: "new", Scopes: c.scopes("secrets:read:prod/mine/X")})
			return err
		}, ErrDamaged},
		"owner, who issues a token": {tokens.Standard, func(c *company, s *Session) error {
			_, err := s.IssueToken(TokenSpec{Scopes: c.scopes("secrets:read:prod/mine/X")})
			return err
		}, ErrDamaged},
		"owner, in a rewrite": {tokens.Standard, func(c *company, s *Session) error {
			_,
				err := s.Purge(c.p("a/K"))
			return err
		}, ErrDamaged},
		"owner, who raises its tier": {tokens.Standard, func(c *company, s *Session) error {
			_, _, err := s.Set(c.p("prod/mine/X"), []byte("x"), SetOptions{Tier: tokens.Critical})
			return err
		}, ErrDamaged},
		"owner, who rolls back": {tokens.Standard, func(c *company, s *Session) error {
			c.put(s, "prod/mine/X", 0)
			_, _, err := s.Rollback(c.p("prod/mine/X"), 1)
			return err
		}, ErrDamaged},
		"owner, who lowers its tier": {tokens.Critical, func(c *company, s *Session) error {
			_, _, err := s.Set(c.p("prod/mine/X"), []byte("x"), SetOptions{Tier: tokens.Standard})
			return err
		}, ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			for _, from := range []keys.Node{{Tier: by.tier, Kind: keys.KindNamespace}, {Tier: by.tier, Kind: keys.KindNamespace,
				Path: "prod/mine"}, {Tier: by.tier, Kind: keys.KindSecret, Path: "prod/mine/X"},
				{Tier: by.tier, Kind: keys.KindNamespace, Path: "prod/other"}} {
				c := newCompany(t)
				stolen(c, "prod/mine/X", by.tier, from)
				c.do(func(s *Session) {
					if err := by.touch(c, s); !errors.Is(err, by.refuse) {
						t.Errorf("%q: %v", from.Path, err)
					}
				})
				if got, err := c.read("mallory", "prod/mine/X"); strings.Contains(got, marker+"prod/other") || err == nil &&
					got != marker+"prod/mine/X" {
					t.Errorf("mallory reads %q", got)
				}
				c.open(func(v *Vault) {
					s, g, err := v.granteeSession(c.secret["mallory"], audit.Agent)
					if err != nil {
						t.Fatal(err)
					}
					places := []place{{c.p("prod/mine/X"), by.tier, 1}, {c.p("prod/mine/X"), by.tier, 2}, {c.p("prod/other/W"),
						tokens.Standard, 1}}
					for _, plain := range opened(c.raw(), c.keysTo(s, places, 1, g.Epoch)) {
						if strings.Contains(plain, marker+"prod/other") {
							t.Error("it lies in the file for mallory's key")
						}
					}
				})
				if found := c.problems(); !strings.Contains(found, "prod/mine/X version 1: it does not decrypt") {
					t.Errorf("the verification found:\n%s", found)
				}
			}
		})
	}
	t.Run("owner, who approves", func(t *testing.T) {
		c := newCompany(t)
		stolen(c, "prod/mine/X", tokens.Critical, keys.Node{Tier: tokens.Critical, Kind: keys.KindNamespace})
		c.insider("mallory", func(_ *Session, t *tx) error { _, err := forgeAsk(c, t, "prod/mine/X", nil); return err })
		c.check("it was approved", c.approve(), ErrDamaged, "prod/mine/X version 1: it does not decrypt")
	})
	t.Run("issuer of a token", func(t *testing.T) {
		c := newCompany(t)
		stolen(c, "prod/mine/X", tokens.Standard, keys.Node{Tier: tokens.Standard, Kind: keys.KindNamespace,
			Path: "prod/mine"})
		if err := c.honest("mallory", func(s *Session) {
			_, err := s.IssueToken(TokenSpec{Scopes: c.scopes("secrets:read:prod/mine/X")})
			c.check("a file key was handed on", err, ErrDamaged, "")
		}); err != nil && !errors.Is(err, keys.ErrSealed) {
			t.Error(err)
		}
	})
}
