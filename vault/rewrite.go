package vault

import (
	"errors"
	"fmt"

	"ass/audit"
	"ass/tokens"
)

// rewritePlan says what a rewrite changes on the way.
type rewritePlan struct {
	why  string                      // for the log
	what string                      // for the log: the path or id that it is about
	drop map[tokens.Path]bool        // secrets to leave behind
	tier map[tokens.Path]tokens.Tier // tiers to raise

	revoke string // agent to end
	rotate string // agent to give a new key
	token  string // token to end

	left []string // what did not hold and was left behind; see leave

	then func(next *Session, t *tx) error // the act itself, in the new file before it is published
}

// leave decides on a record that does not hold. It stops a rewrite, unless that
// takes a right away: whoever holds the right can put such records into the file,
// and must not be able to keep it in this way. Then they are left behind, and the
// log names them.
func (p *rewritePlan) leave(name string, err error) error {
	if p.revoke == "" && p.rotate == "" && p.token == "" {
		return err
	}
	p.left = append(p.left, name)
	return nil
}

// rewrite builds the whole vault anew under a new epoch and puts it in the
// place of the old one. It is the one way in which anything is taken away: a
// MAC or a signature proves who made a record and not that it is the newest, so
// what must no longer hold must not be there, and keys that must no longer open
// must find nothing that they opened. bbolt does not wipe what it frees, which
// is why this makes a new file.
//
// Every record is checked as it is on any other day, opened, sealed for the new
// epoch, and signed by the owner.
func (s *Session) rewrite(p *rewritePlan) error {
	if s.v.opts.ReadOnly {
		return errors.New("a vault that was opened for reading is not rewritten")
	}
	secret := randomKey()
	next := s.v.ownerSession(s.root, s.epoch.n+1, secret)
	var done mark
	err := s.view(func(old *tx) error {
		// In every vault, however large: the new digest will vouch for what is here.
		if err := old.checkDigest(); err != nil {
			return err
		}
		return prepareFile(s.v.path, func(w *builder) error {
			w.actFor(next)
			w.t.head.log = old.head.log
			w.t.head.lapse = old.head.lapse
			w.t.head.log.Key = s.root.auditKey(next.epoch.n, old.seq())
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
		s.epoch, s.ring, s.secret = next.epoch, next.ring, next.secret
		s.v.remember(done)
	}
	return err
}

func (s *Session) copyVault(old *tx, next *Session, w *builder, p *rewritePlan) error {
	for _, name := range []string{metaFormat, metaVault, metaRoot, metaBind} {
		value, err := old.get(bucketMeta, []byte(name))
		if err != nil {
			return err
		}
		if err := w.t.putMeta(name, value); err != nil {
			return err
		}
	}
	// The log is not made anew: its entries were MACed under keys that are gone.
	err := old.walk(bucketAudit, nil, func(k, v []byte) error { return w.putRaw(bucketAudit, k, v) })
	if err != nil {
		return err
	}
	heads, err := s.copyHeads(old, w, p)
	if err != nil {
		return err
	}
	if err := s.copyVersions(old, next, w, p, heads); err != nil {
		return err
	}
	// What grants hand out is made anew; what lay sealed to a recipient does no
	// more, and answers are keys of files that are gone.
	if err := s.copyAgents(old, next, w, p); err != nil {
		return err
	}
	if err := s.copyTokens(old, next, w, p); err != nil {
		return err
	}
	if err := s.copyAsks(old, w, p); err != nil {
		return err
	}
	note := map[string]any{"reason": p.why, "resource": p.what}
	if len(p.left) > 0 {
		note["left_behind"] = p.left[:min(len(p.left), 100)]
	}
	if err := next.beginEpoch(w, audit.VaultRewritten, note); err != nil {
		return err
	}
	return p.then(next, w.t)
}

// copyHeads copies the heads of the secrets, and returns the paths of those that it
// copied.
func (s *Session) copyHeads(old *tx, w *builder, p *rewritePlan) (copied map[string]bool, err error) {
	copied = map[string]bool{}
	return copied, old.walk(bucketSecrets, nil, func(k, v []byte) error {
		path, err := tokens.ParsePath(string(k))
		if err == nil && p.drop[path] {
			return nil
		}
		if err != nil {
			return p.leave(recordName(bucketSecrets, k), damaged(recordName(bucketSecrets, k), "it is not at a path"))
		}
		_, head, err := old.decodeHead(k, v)
		if err != nil {
			return p.leave(recordName(bucketSecrets, k), err)
		}
		head.Tier = max(head.Tier, p.tier[path])
		if err := w.t.put(bucketSecrets, k, true, head); err != nil {
			return err
		}
		copied[string(k)] = true
		return w.wrote(len(v))
	})
}

// copyVersions seals every version anew, of the secrets that have a head.
func (s *Session) copyVersions(old *tx, next *Session, w *builder, p *rewritePlan, heads map[string]bool) error {
	done := 0
	total, err := old.count(bucketVersions)
	if err != nil {
		return err
	}
	return old.walk(bucketVersions, nil, func(k, v []byte) error {
		if done++; done%64 == 0 || done == total {
			s.v.opts.Progress(done, total)
		}
		text, n, _ := cutVersionKey(k)
		path, err := tokens.ParsePath(text)
		if err == nil && p.drop[path] {
			return nil
		}
		name := recordName(bucketVersions, k)
		switch {
		case err != nil:
			return p.leave(name, damaged(name, "it is not at a path and a version"))
		case !heads[text]:
			return p.leave(name, damaged(name, "its secret has no record"))
		}
		var body versionBody
		_, err = old.decodeSigned(bucketVersions, k, v, &body)
		if err != nil {
			return p.leave(name, err)
		}
		value, err := s.openVersion(old.epoch, body, path, n)
		if err != nil {
			return p.leave(name, fmt.Errorf("rewrite: %w", err))
		}
		body.Tier = max(body.Tier, p.tier[path])
		if err := next.writeVersion(w.t, path, n, body, value); err != nil {
			return err
		}
		return w.wrote(len(v))
	})
}
