package vault

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// rewritePlan says what a rewrite changes.
type rewritePlan struct {
	why  string                      // for the log
	what string                      // for the log: the path or id of the resource
	drop map[tokens.Path]bool        // secrets to leave out
	tier map[tokens.Path]tokens.Tier // tiers to raise

	revoke string // agent to revoke
	rotate string // agent to give a new key
	token  string // token to end

	event   string         // event that begins the epoch; "" for audit.VaultRewritten
	note    map[string]any // more for the log
	salvage bool           // leave out what does not hold, and vouch for the rest
	owner   *newOwner      // the next owner, if it changes
	cut     bool           // leave out the log, and what only the log tells of
	behind  uint64         // entries up to this number existed, even if none is found

	left []string // names of records that did not hold and were left out; see leave

	then func(next *Session, t *tx) error // the act itself; runs in the new file before publication
}

// leave decides on a record that does not hold. Such a record stops a rewrite, unless
// the rewrite is a salvage or takes a right away. The holder of that right can put such
// records into the file, and must not be able to keep the right in this way. In these
// cases the records are left out, and the log names them.
func (p *rewritePlan) leave(name string, err error) error {
	if p.revoke == "" && p.rotate == "" && p.token == "" && !p.salvage {
		return err
	}
	p.left = append(p.left, name)
	return nil
}

var errReadOnly = errors.New("the vault was opened read-only, so it cannot be rewritten")

// rewrite builds the whole vault again under a new epoch and puts it in the place of
// the old one. It is the only way to take anything away. A MAC or a signature proves
// who made a record, but not that the record is the newest. So records that must no
// longer hold must not be in the file, and keys that must no longer work must find
// nothing that they opened. bbolt does not wipe what it frees, so rewrite makes a new
// file.
//
// Every record is checked as usual, opened, sealed for the new epoch, and signed by the
// owner. This is most of the work, so it runs on all cores.
func (s *Session) rewrite(p *rewritePlan) error {
	if s.v.opts.ReadOnly {
		return errReadOnly
	}
	secret, root := keys.Random(), s.root
	if p.owner != nil {
		root = p.owner.root
	}
	next := s.v.ownerSession(root, s.epoch.N+1, secret)
	var done mark
	err := s.view(func(old *tx) error {
		if err := old.refuseBackup(); err != nil {
			return err
		}
		// Even in a large vault: the new digest will vouch for the records that are here.
		if err := old.checkDigest(); err != nil {
			return err
		}
		return prepareFile(s.v.path, func(w *builder) error {
			w.actFor(next)
			w.t.head.log = old.head.log
			w.t.head.log.Seq = max(old.head.log.Seq, p.behind)
			w.t.head.log.Key = root.AuditKey(next.epoch.N, w.t.seq())
			w.t.head.lapse = old.head.lapse
			if err := s.copyVault(old, next, w, p); err != nil {
				return err
			}
			done = w.t.mark()
			return w.t.saveHead()
		})
	})
	if err != nil {
		return err
	}
	published, err := s.publish()
	if published {
		s.ring.Wipe()
		if next.root != s.root {
			s.root.Wipe()
		}
		s.epoch, s.ring, s.secret, s.root, s.pub, s.by = next.epoch, next.ring, next.secret, next.root, next.pub, next.by
		if p.owner != nil { // this machine has not yet seen the new vault id
			s.v.vid, s.v.seen, s.v.back = next.epoch.Vault, mark{}, nil
		}
	}
	if err == nil {
		s.v.remember(done)
	}
	return err
}

func (s *Session) copyVault(old *tx, next *Session, w *builder, p *rewritePlan) error {
	ended := w.t.head.log
	err := w.copyMeta(old, metaFormat, metaVault, metaRoot, metaBind)
	if p.owner != nil {
		err = w.putOwner(p.owner.id, p.owner.root)
	}
	if err != nil {
		return err
	}
	// Copy the log unchanged: the keys that made its MACs are gone.
	if !p.cut {
		err := old.walk(bucketAudit, nil, func(k, v []byte) error { return w.putRaw(bucketAudit, k, v) })
		if err != nil {
			return err
		}
	}
	heads, err := s.copyHeads(old, next, w, p)
	if err != nil {
		return err
	}
	if err := s.copyVersions(old, next, w, p, heads); err != nil {
		return err
	}
	// Grants are made again. No version is sealed to a recipient now, so no list of such
	// versions is copied. Decisions are not copied either: they hold keys of age files
	// that no longer exist.
	if err := s.copyAgents(old, next, w, p); err != nil {
		return err
	}
	if !p.cut && !p.salvage {
		if err := s.copyTokens(old, next, w, p); err != nil {
			return err
		}
		if err := s.copyRequests(old, w, p); err != nil {
			return err
		}
	}
	note := map[string]any{"reason": p.why, "resource": p.what}
	maps.Copy(note, p.note)
	if len(p.left) > 0 {
		note["left_behind"] = p.left[:min(len(p.left), 100)]
	}
	if err := next.beginEpoch(w, cmp.Or(p.event, audit.VaultRewritten), note); err != nil {
		return err
	}
	if p.then != nil {
		if err := p.then(next, w.t); err != nil {
			return err
		}
	}
	if !p.cut && !p.salvage {
		return nil
	}
	cp, err := old.checkpoint()
	if p.cut {
		cp, err = w.t.cutBehind(ended, old.Epoch.N)
	}
	if err != nil {
		return err
	}
	return w.t.putCheckpoint(cp)
}

// copying is a record on its way from the old file into the new.
type copying struct {
	k, v []byte
	who  signer
	path tokens.Path
	n    uint64 // version number, for a version

	left error // why it does not hold
	made stored
	err  error
}

func (t *tx) copying(of *rules, k, v []byte) copying {
	v = bytes.Clone(v)
	return copying{k: bytes.Clone(k), v: v, who: t.signer(of, authorIn(v))}
}

// copied puts the new form of a record into the new file.
func (w *builder) copied(c *copying, p *rewritePlan, of *rules) error {
	if c.left != nil {
		return p.leave(of.recordName(c.k), c.left)
	}
	err := c.err
	if err == nil {
		err = w.t.place(c.made)
	}
	if err == nil {
		err = w.Wrote(len(c.v))
	}
	return err
}

// copyHeads copies the heads of the secrets, and returns the paths of the copied ones.
func (s *Session) copyHeads(old *tx, next *Session, w *builder, p *rewritePlan) (copied map[string]bool, err error) {
	copied = map[string]bool{}
	worker := func() func(*copying) {
		from, into := newHasher(old.Epoch), newHasher(next.epoch)
		return func(c *copying) {
			var head secretBody
			if head, _, c.left = secretKind.check(from, c.who, c.k, c.v); c.left == nil {
				head.Tier = max(head.Tier, p.tier[c.path])
				c.made, c.err = secretKind.make(into, next.by, c.k, head)
			}
		}
	}
	done := func(c *copying) error {
		copied[string(c.k)] = c.left == nil
		return w.copied(c, p, secretKind.rules)
	}
	return copied, inBatches(worker, done, func(add func(copying, int) error) error {
		return old.walk(bucketSecrets, nil, func(k, v []byte) error {
			path, err := tokens.ParsePath(string(k))
			if err == nil && p.drop[path] {
				return nil
			}
			if err != nil {
				return p.leave(secretKind.recordName(k), secretKind.damaged(k, "its key is not a path"))
			}
			c := old.copying(secretKind.rules, k, v)
			c.path = path
			return add(c, len(v))
		})
	})
}

// copyVersions seals every version again, if its secret has a head.
func (s *Session) copyVersions(old *tx, next *Session, w *builder, p *rewritePlan, heads map[string]bool) error {
	total, err := old.count(bucketVersions)
	if err != nil {
		return err
	}
	worker := func() func(*copying) {
		from, into := newHasher(old.Epoch), newHasher(next.epoch)
		own, anew := s.inOrder(), next.inOrder()
		return func(c *copying) {
			var body versionBody
			if body, _, c.left = versionKind.check(from, c.who, c.k, c.v); c.left != nil {
				return
			}
			value, err := own.openVersion(old.Epoch, body, c.path, c.n)
			if err != nil {
				c.left = fmt.Errorf("rewrite: %w", err)
				return
			}
			body.Tier = max(body.Tier, p.tier[c.path])
			ok, err := anew.sealOwn(c.path, c.n, &body, value)
			clear(value)
			switch {
			case err != nil:
				c.err = err
			case !ok:
				c.err = keys.ErrNoKey
			default:
				c.made, c.err = versionKind.make(into, next.by, c.k, body)
			}
		}
	}
	done := 0
	return inBatches(worker, func(c *copying) error { return w.copied(c, p, versionKind.rules) },
		func(add func(copying, int) error) error {
			return old.walk(bucketVersions, nil, func(k, v []byte) error {
				done++
				s.v.opts.step(done, total)
				text, n, _ := cutVersionKey(k)
				path, err := tokens.ParsePath(text)
				if err == nil && p.drop[path] {
					return nil
				}
				name := versionKind.recordName(k)
				switch {
				case err != nil:
					return p.leave(name, fault.Damaged(name, "its key is not a path and a version"))
				case !heads[text]:
					return p.leave(name, fault.Damaged(name, "its secret's record is missing"))
				}
				c := old.copying(versionKind.rules, k, v)
				c.path, c.n = path, n
				return add(c, len(v))
			})
		})
}
