package vault

import (
	"errors"

	"ass/tokens"
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
	root := s.root
	if p.owner != nil {
		root = p.owner.root
	}
	next := s.v.ownerSession(root, s.epoch.N+1, keys.Random())
	return s.replaceFile(next, func(old *tx) (mark, error) {
		return prepareFile(s.v.path, next, func(w *builder) error {
			w.t.head.log = old.head.log
			w.t.head.log.Seq = max(old.head.log.Seq, p.behind)
			w.t.head.log.Key = root.AuditKey(next.epoch.N, w.t.seq())
			w.t.head.lapse = old.head.lapse
			return s.copyVault(old, next, w, p)
		})
	})
}
