package vault

import (
	"errors"

	"ass/audit"
)

// What an owner does for the file itself.

// Check is Verify with every stored value opened, and with bbolt's own check of the
// pages, free ones included.
func (s *Session) Check() (Report, error) {
	r, err := s.Verify(true)
	if err != nil {
		return r, err
	}
	pages, err := s.v.st.checkPages()
	r.Problems = append(r.Problems, pages...)
	return r, err
}

// Compact writes the file anew, record for record, without the bytes that bbolt
// keeps of what was overwritten or removed.
func (s *Session) Compact() error {
	if err := s.mayOnlyOwner("compact the vault", audit.VaultCompacted, s.v.ID()); err != nil {
		return err
	}
	err := s.commit(func(t *tx) error {
		if err := t.checkDigest(); err != nil {
			return err
		}
		return t.log(audit.VaultCompacted, "vault", s.v.ID(), nil)
	})
	if err != nil {
		return err
	}
	err = s.view(func(old *tx) error {
		return prepareFile(s.v.path, func(w *builder) error {
			done, total := 0, int(old.head.count+old.head.log.Seq)
			for _, name := range allBuckets {
				err := old.walk(name, nil, func(k, v []byte) error {
					if done++; done%1000 == 0 || done == total {
						s.v.opts.Progress(done, total)
					}
					return w.putRaw(name, k, v)
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	_, err = s.publish()
	return err
}

// publish puts the file that was built in the place of the vault, and opens it.
func (s *Session) publish() (published bool, err error) {
	// Closed before the rename, because Windows renames over no open file.
	if err := s.v.st.close(); err != nil {
		return false, err
	}
	published, err = publishFile(s.v.path)
	return published, errors.Join(err, s.v.st.open(false))
}

// Rekey seals everything anew under a new epoch, whose number it returns.
func (s *Session) Rekey() (uint32, error) {
	if err := s.mayOnlyOwner("rekey the vault", audit.VaultRewritten, s.v.ID()); err != nil {
		return 0, err
	}
	err := s.rewrite(&rewritePlan{why: "rekeyed", what: s.v.ID(), then: func(*Session, *tx) error { return nil }})
	return s.epoch.n, err
}

// Accept makes this machine take the vault for the newest, though it has seen a
// newer one, and says what it had seen. A vault that is not older is [ErrConflict].
func (s *Session) Accept() (Rollback, error) {
	if err := s.mayOnlyOwner("accept an older copy of the vault", audit.VaultAccepted, s.v.ID()); err != nil {
		return Rollback{}, err
	}
	if s.v.back == nil {
		return Rollback{}, errorOf(ErrConflict, "there is nothing to accept: this machine has seen no newer copy of the vault")
	}
	back := *s.v.back
	err := s.update(func(t *tx) error {
		return t.log(audit.VaultAccepted, "vault", s.v.ID(), map[string]any{"seen": back.Seen, "have": back.Have, "forked": back.Forked})
	})
	if err != nil {
		return back, err
	}
	s.v.back, s.v.seen = nil, mark{}
	return back, s.view(func(*tx) error { return nil }) // which remembers it
}
