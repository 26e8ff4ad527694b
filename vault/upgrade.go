package vault

import (
	"fmt"

	"ass/audit"
	"ass/vault/internal/fault"
)

// A vault keeps the format in which it was made until a rewrite by the owner. Everybody else goes on in the older
// format meanwhile.

// Upgraded is what an upgrade did.
type Upgraded struct {
	From, To int // formats
	Epoch    uint32
	Problems []string // what the verification before it found; empty unless the owner insisted

	Narrowing // what was left out and mended, if there were problems; and the file in the older format, which is kept
}

// CanUpgrade reports whether the vault has an older format than this program makes.
func (v *Vault) CanUpgrade() bool { return v.format < v.opts.format() }

// Upgrade rewrites the vault in the newest format, and keeps the file in the older one. It verifies the vault first;
// if that finds a problem, nothing is changed, and the error is [ErrDamaged], unless insist is set. A file that is
// older than this machine remembers, or has a history of its own, is not upgraded: [ErrConflict]. If the vault has the
// newest format already, nothing is done, and From and To are the same.
func (s *Session) Upgrade(insist bool) (done Upgraded, err error) {
	if err := s.mayOnlyOwner("upgrade the vault", audit.VaultRewritten, s.v.ID()); err != nil {
		return done, err
	}
	done = Upgraded{From: s.v.format, To: s.v.opts.format()}
	switch {
	case !s.v.CanUpgrade():
		done.Epoch = s.epoch.N
		return done, nil
	case s.v.back != nil:
		return done, fault.New(ErrConflict, "%s: nothing was upgraded: %s", s.v.path, s.v.back)
	}
	report, err := s.Verify(true)
	if err != nil {
		return done, err
	}
	if done.Problems = report.Problems; !insist {
		if err := report.Err(s.v.path, "the vault failed its verification, so it was not upgraded"); err != nil {
			return done, err
		}
	}
	p := &rewritePlan{why: fmt.Sprintf("upgraded from format %d", done.From), what: s.v.ID(),
		insist: len(report.Problems) > 0, NarrowOptions: NarrowOptions{Keep: true, Lose: insist}}
	err = s.narrowing(p, &done.Narrowing)
	done.Epoch = s.epoch.N
	return done, err
}
