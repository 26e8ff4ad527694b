package vault

import (
	"errors"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
)

// How the owner maintains the file itself.

// Check is [Session.Verify] with every stored value opened. It also runs bbolt's own
// check of all pages, including free ones.
func (s *Session) Check() (Report, error) { return s.check(newVerification(s)) }

// check is Check with a new verification.
func (s *Session) check(v *verification) (Report, error) {
	v.values = true
	if err := s.mayOnlyOwner("verify the vault", "", ""); err != nil {
		return v.Report, err
	}
	r, err := v.verify()
	if err != nil {
		return r, err
	}
	pages, err := s.v.db.Problems()
	r.Problems = append(r.Problems, pages...)
	return r, err
}

// Compact copies the vault into a new file, record for record. The new file has none of
// the overwritten or removed bytes that bbolt keeps in the old one.
//
// If via names a folder, on a disk with room, the new file is made there first. If there is no room
// for it beside the vault, the error is a [NoRoomError].
//
// If the file has several names, the new one has one, and the others stay with the old file.
func (s *Session) Compact(via string) error {
	if err := s.mayOnlyOwner("compact the vault", audit.VaultCompacted, s.v.ID()); err != nil {
		return err
	}
	var note map[string]any
	if e := s.v.countNames(false); e != nil {
		note = map[string]any{"other_names": e.Count - 1}
	}
	return s.copyAnew(0, via, unchecked, func(t *tx) error { return t.log(audit.VaultCompacted, "vault", s.v.ID(), note) })
}

// copyAnew copies the vault into a new file, record for record and in the same epoch.
// It leaves out the log entries up to cut, and runs act on the new file. First it runs check on the
// old one. via is as in [Session.Compact].
func (s *Session) copyAnew(cut uint64, via string, check, act func(*tx) error) error {
	fill := func(old *tx, w *builder) error {
		if err := check(old); err != nil {
			return err
		}
		if err := old.checkLastStep(); err != nil { // nothing honest goes behind such a number
			return err
		}
		if err := w.copyRaw(old, cut, s.v.opts.Progress); err != nil {
			return err
		}
		w.t.head = old.head
		return act(w.t)
	}
	compacts := cut == 0
	return s.replaceFile(&replacement{next: s, named: compacts}, func(old *tx) (mark, error) {
		fill := func(w *builder) error { return fill(old, w) }
		if via != "" {
			return s.prepareVia(via, fill)
		}
		return prepareFile(s.v.path, s, fill)
	})
}

// unchecked is a check that finds nothing.
func unchecked(*tx) error { return nil }

// Rekey rewrites the vault: it seals everything again under a new epoch. It returns the
// epoch's number.
func (s *Session) Rekey() (uint32, error) {
	if err := s.mayOnlyOwner("rekey the vault", audit.VaultRewritten, s.v.ID()); err != nil {
		return 0, err
	}
	err := s.rewrite(&rewritePlan{why: "rekeyed", what: s.v.ID()})
	return s.epoch.N, err
}

// NewAgentKey is an agent with its new key.
type NewAgentKey struct {
	Agent Agent
	Key   tokens.AgentKey
}

// RekeyOwner gives the vault to another owner key, for example because others may know the old one. The vault gets a
// new root, and so a new id. Every agent gets a new key, and a new epoch begins. Tokens and requests end. The log
// belongs to the old owner, so RekeyOwner moves it to logFile, a file that verifies by itself; logFile must not exist
// yet. RekeyOwner returns the archived log, and the active agents with their new keys. The vault has the ways of own
// afterwards, and no others: each way to the old key has to be sealed anew for the next one. Anyone who has the old key
// and the old file, or a copy of that file, can still open it.
func (s *Session) RekeyOwner(own *Ownership, logFile string) (a Archived, agents []NewAgentKey, err error) {
	if err := own.check(); err != nil {
		return a, nil, err
	}
	if err := s.mayOnlyOwner("give the vault another owner key", audit.VaultRewritten, s.v.ID()); err != nil {
		return a, nil, err
	}
	if err := checkTarget(logFile); err != nil {
		return a, nil, err
	}
	r, err := s.Verify(true)
	if err == nil {
		err = r.Err(s.v.path, "the vault failed its verification, so it was not given a new owner key")
	}
	if err != nil {
		return a, nil, err
	}
	err = s.view(func(t *tx) error {
		from, err := t.checkpoint()
		if err != nil {
			return err
		}
		var walked error
		done, err := s.writeArchive(logFile, from, t.head.log.Seq, t.ownLog(&walked))
		if err == nil {
			a = done
		}
		return errors.Join(err, walked)
	})
	if err != nil {
		return a, nil, a.discardOnError(err)
	}
	note := a.logged()
	note["vault_before"] = s.v.ID()
	hasCanaries := s.v.KnowsCanaries()
	err = s.rewrite(&rewritePlan{
		why: "new owner key", what: s.v.ID(), note: note, cut: true, owner: own,
	})
	if err != nil {
		return a, nil, a.discardOnError(err)
	}
	err = s.view(func(t *tx) error {
		return t.agents(func(id string, body agentBody) error {
			if body.RevokedAt == nil {
				agents = append(agents, NewAgentKey{s.agentOf(id, body), s.agentKey(id, body.Serial)})
			}
			return nil
		})
	})
	if err == nil && hasCanaries { // this machine has seen nothing of the vault under its new id
		_, err = s.Canaries(true)
	}
	if err != nil {
		err = fault.New(ErrMaybeDone, "the vault has its new owner key, but then its agents could not be read: %v", err)
	}
	return a, agents, err
}

// Accept makes this machine accept the vault as the newest, although it has seen a
// newer one. It returns what the machine had seen. If the vault is not older, the error
// is [ErrConflict].
func (s *Session) Accept() (Rollback, error) {
	if err := s.mayOnlyOwner("accept an older copy of the vault", audit.VaultAccepted, s.v.ID()); err != nil {
		return Rollback{}, err
	}
	if s.v.back == nil {
		return Rollback{}, fault.New(ErrConflict,
			"there is nothing to accept: this machine has seen no newer copy of the vault")
	}
	if s.v.back.Format > 0 {
		return Rollback{}, fault.New(ErrConflict, "%s; a copy in an older format is not accepted", s.v.back)
	}
	back := *s.v.back
	err := s.update(func(t *tx) error {
		return t.log(audit.VaultAccepted, "vault", s.v.ID(), map[string]any{"seen": back.Seen, "have": back.Have,
			"forked": back.Forked})
	})
	if err != nil {
		return back, err
	}
	s.v.back, s.v.seen = nil, mark{}
	return back, s.view(func(*tx) error { return nil }) // view remembers the newest entry
}
