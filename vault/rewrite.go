package vault

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"ass/tokens"
	"ass/vault/internal/keys"
)

// rewritePlan says what a rewrite changes.
type rewritePlan struct {
	why  string                      // for the log
	what string                      // for the log: the path or id of the resource
	drop map[tokens.Path]bool        // secrets to leave out
	tier map[tokens.Path]tokens.Tier // tiers to raise

	prune map[tokens.Path]*pruned // versions to leave out

	revoke string // agent to revoke
	rotate string // agent to give a new key
	token  string // token to end
	limit  string // agent to take rights from

	limited agentBody // what it may do then

	insist bool // for an upgrade: leave out what does not hold, and mend the rest
	NarrowOptions

	event   string         // event that begins the epoch; "" for audit.VaultRewritten
	note    map[string]any // more for the log
	salvage bool           // leave out what does not hold, and vouch for the rest
	owner   *Ownership     // the next owner, if it changes
	way     *Way           // a further way to open the vault
	cut     bool           // leave out the log, and what only the log tells of
	behind  uint64         // entries up to this number existed, even if none is found

	from    *tx       // what is rewritten
	told    *story    // what the log tells; nil for a salvage or a new owner
	numbers *story    // what version numbers were used; for a checkpoint
	last    []*story  // what version numbers were used, if it may be more than the records say: by a restore
	doubts  []string  // what is wrong with the vault as a whole
	left    []dropped // records that did not hold and were left out; see leave
	mend    []string  // what was mended, for messages
	kept    string    // where the replaced file is kept

	then func(next *Session, t *tx) error // the act itself; runs in the new file before publication
}

// NarrowOptions say what an act that takes a right away may do to a vault that somebody tampered with.
type NarrowOptions struct {
	Lose bool // do the act even if something honest may be lost with it; see [LossError]
	Keep bool // keep the replaced file beside the vault; the old keys still open it
}

// dropped is a record that a rewrite leaves out.
type dropped struct {
	name string
	loss bool // whether it may have been honest, and not the work of the one whose right ends
}

// narrows reports whether the plan takes a right away from somebody who may hold keys of the epoch, or mends a vault as
// if it did.
func (p *rewritePlan) narrows() bool {
	return p.revoke != "" || p.rotate != "" || p.token != "" || p.limit != "" || p.insist
}

// leave decides on a record that does not hold. Such a record stops a rewrite, unless the rewrite is a
// salvage or takes a right away. The holder of that right can put such records into the file, and
// must not be able to keep the right in this way. In these cases the records are left out, and the
// log names them. of is who should have written the record, as the log tells; "" if the log tells of no
// such record.
func (p *rewritePlan) leave(name, of string, err error) error {
	return p.leaveOut(dropped{name, of != "" && !p.isEnded(of)}, err)
}

func (p *rewritePlan) leaveOut(d dropped, err error) error {
	if !p.narrows() && !p.salvage {
		return err
	}
	p.left = append(p.left, d)
	return nil
}

// isEnded reports whether an actor is the one whose right ends, or one of its tokens.
func (p *rewritePlan) isEnded(id string) bool {
	ended := func(id string) bool {
		return id != "" && (id == p.revoke || id == p.rotate || id == p.token || id == p.limit)
	}
	return ended(id) || p.told != nil && ended(p.told.actors[id].Issuer)
}

// loss returns an error if the rewrite would lose something that may not be the work of the one whose right
// ends, and the owner has not agreed to that.
func (p *rewritePlan) loss(path string) error {
	if !p.narrows() || p.Lose {
		return nil
	}
	e := &LossError{Doubts: p.doubts, path: path}
	for _, d := range p.left {
		if d.loss {
			e.Lost = append(e.Lost, d.name)
		}
	}
	if len(e.Lost) == 0 && len(e.Doubts) == 0 {
		return nil
	}
	return e
}

func (p *rewritePlan) leftNames() (names []string) {
	for _, d := range p.left {
		names = append(names, d.name)
	}
	return names
}

// LossError says that an act that takes a right away was not done: somebody tampered with the vault, and what
// honest actors wrote may be lost. With [NarrowOptions.Lose], the act is done all the same. It wraps
// [ErrDamaged].
type LossError struct {
	Lost   []string // records that do not hold, and would be left out
	Doubts []string // what else is wrong: with the log, or missing
	path   string
}

func (e *LossError) Error() string {
	what := slices.Concat(e.Lost, e.Doubts)
	more := ""
	if n := len(what) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	return fmt.Sprintf("%s: nothing was changed, because somebody tampered with the vault, and this could lose more: %s%s",
		e.path, what[0], more)
}

func (e *LossError) Unwrap() error { return ErrDamaged }

var errReadOnly = errors.New("the vault was opened read-only, so it cannot be rewritten")

// rewrite builds the whole vault again under a new epoch and puts it in the place of
// the old one. It is the only way to take anything away. A MAC or a signature proves
// who made a record, but not that the record is the newest. So records that must no
// longer hold must not be in the file, and keys that must no longer work must find
// nothing that they opened. bbolt does not wipe what it frees, so rewrite makes a new
// file.
//
// Every record is checked as usual, compared with the log, opened, sealed for the new epoch, and
// signed by the owner. This is most of the work, so it runs on all cores.
//
// A rewrite that takes a right away believes nothing that the holder of that right could have written
// with the keys of the epoch: not the head, and none of its numbers. The log says where it ends.
func (s *Session) rewrite(p *rewritePlan) error {
	owner, root := s.owner, s.root
	if p.owner != nil {
		owner, root = p.owner.ID, p.owner.root
	}
	next := s.v.ownerSession(owner, root, s.epoch.N+1, keys.Random(), s.v.opts.format())
	replace := &replacement{next: next, distrust: p.narrows()}
	if p.Keep {
		var err error
		if replace.kept, err = replacedName(s.v.path, s.v.opts.Now()); err != nil {
			return err
		}
		p.note = maps.Clone(p.note)
		if p.note == nil {
			p.note = map[string]any{}
		}
		p.note["replaced"] = replace.kept
	}
	err := s.replaceFile(replace, func(old *tx) (mark, error) {
		end := old.head.log
		p.from = old
		if !p.salvage && !p.narrows() {
			if err := old.checkLastStep(); err != nil {
				return mark{}, err
			}
		}
		if p.cut && !p.salvage { // the vault has just been verified
			v, _, err := s.learnLog(old, true)
			if err != nil {
				return mark{}, err
			}
			p.numbers = v.told
		}
		if !p.salvage && !p.cut {
			// To mend an agent takes its name, and an upgrade attests only what the log itself tells.
			v, last, err := s.learnLog(old, !p.narrows() && old.Format == next.epoch.Format)
			if err != nil {
				return mark{}, err
			}
			if p.told = v.told; p.narrows() {
				end, p.doubts = last, v.doubts()
			}
		}
		return prepareFile(s.v.path, next, func(w *builder) error {
			w.t.head.log = end
			w.t.head.log.Seq = max(end.Seq, p.behind)
			w.t.head.log.Key = root.AuditKey(next.epoch.N, w.t.seq())
			w.t.head.lapse = old.head.lapse
			if p.narrows() {
				w.t.head.lapse = w.t.now // nobody knows when the next thing has to be cleared, so the next act looks
			}
			if err := s.copyVault(old, next, w, p); err != nil {
				return err
			}
			return p.loss(s.v.path)
		})
	})
	if err == nil {
		p.kept = replace.kept
	}
	return err
}
