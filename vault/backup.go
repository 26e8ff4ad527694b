package vault

import (
	"errors"
	"os"
	"slices"
	"time"

	"ass/audit"
	"ass/vault/disk"
	"ass/vault/internal/bolt"
	"ass/vault/internal/fault"
)

// Backup is a copy of a vault that is written but not verified yet.
type Backup struct {
	File  string // the destination; "" if the copy is only streamed
	Entry uint64 // the newest log entry in the copy

	part *disk.Temporary
}

// BackUp logs the backup and writes a copy of the vault. The copy lies in a temporary
// file until [Backup.Verify] moves it to file, which must not exist yet. If file is "",
// the copy stays in the temporary file, to be streamed. If the copy fails after the log
// entry was written, the error says so. After any other error, nothing was changed.
//
// The keys that open the vault can read a copy. Only the owner can continue its log:
// the key of the next entry is left out, and only the owner can compute it anew.
func (s *Session) BackUp(file string) (b Backup, err error) {
	if err := s.mayOnlyOwner("back up the vault", audit.VaultBackedUp, s.v.ID()); err != nil {
		return b, err
	}
	b = Backup{File: file}
	beside, note := s.v.path, map[string]any{"to": "stdout"}
	if file != "" {
		if err := checkTarget(file); err != nil {
			return b, err
		}
		beside, note = file, map[string]any{"file": file}
	}
	none := func(err error) error {
		return wrapCreate("no backup was made, and nothing was changed", disk.Named(beside, err))
	}
	b.part, err = s.v.opts.Unfinished.Beside(beside)
	if err != nil {
		return b, err
	}
	defer func() {
		if err != nil {
			b.Discard()
		}
	}()
	if err := disk.Reserve(b.part.Path, b.part.Path); err != nil {
		return b, none(err)
	}
	logged, inVault := false, error(nil)
	err = bolt.Build(b.part.Path, allBuckets(s.epoch.Format), func(to *bolt.Builder) error {
		var w *builder
		inVault = s.commit(func(t *tx) error {
			w = newBuilder(to, s)
			if err := w.copyRaw(t, 0, s.v.opts.Progress); err != nil { // no damaged vault is backed up
				return none(err)
			}
			return t.log(audit.VaultBackedUp, "vault", s.v.ID(), note)
		})
		if inVault != nil {
			return inVault
		}
		logged = true
		err := s.view(func(t *tx) error {
			b.Entry = t.head.log.Seq
			w.t.head = t.head
			w.t.head.backup = true
			w.t.head.mark = s.root.BackupMark(s.epoch, b.Entry, t.head.log.LastMAC)
			// The copy has the entry about itself. If it is restored on this machine, no entry is then missing.
			entry, err := t.get(bucketAudit, audit.Key(b.Entry))
			if err != nil {
				return err
			}
			return w.putRaw(bucketAudit, audit.Key(b.Entry), entry)
		})
		if err != nil {
			return err
		}
		return w.t.saveHead()
	})
	switch {
	case inVault != nil:
		err = inVault
	case err != nil && logged:
		err = wrapCreate("the backup failed after the log recorded it", disk.Named(beside, err))
	case err != nil:
		err = none(err)
	}
	return b, err
}

// wrapCreate turns an error of the system, about a file that was to be made, into
// [ErrNotMade]. It returns errors of the vault's own kinds as they are.
func wrapCreate(said string, err error) error {
	for _, kind := range []error{ErrExists, ErrConflict, ErrBusy, ErrWrongKey, ErrDamaged, ErrFormat, ErrMaybeDone} {
		if errors.Is(err, kind) {
			return err
		}
	}
	return fault.New(ErrNotMade, "%s: %v", said, err)
}

// Verify opens the copy as the owner, checks everything in it, every value included,
// and moves it to its destination. On any error, it removes the copy. If the copy is
// damaged, the error is [ErrDamaged].
func (b Backup) Verify(id *Identity, o Options) (Report, error) {
	r, err := VerifyBackup(b.part.Path, id, o)
	switch {
	case err == nil && len(r.Problems) > 0:
		err = fault.New(ErrBadCopy, "the backup failed its verification and was removed: %s", r.Problems[0])
	case errors.Is(err, ErrDamaged):
		err = fault.New(ErrBadCopy, "the backup failed its verification and was removed: %v", err)
	case err != nil:
		err = wrapCreate("the backup could not be verified and was removed", err)
	case b.File != "":
		if err = disk.Move(b.part.Path, b.File); err != nil {
			err = wrapCreate("the backup could not be renamed and was removed", disk.Named(b.File, err))
		}
	}
	if err != nil || b.File != "" {
		b.Discard()
	}
	return r, err
}

// Open opens a copy that is only streamed, and removes its name where the system lets
// it; see [Backup.Discard]. The caller closes the file.
func (b Backup) Open() (*os.File, error) {
	f, err := disk.Open(b.part.Path)
	if err == nil {
		_ = os.Remove(b.part.Path) // Windows cannot remove an open file
	}
	return f, err
}

// Discard removes what is left of a copy that was only streamed, or of a failed one.
func (b Backup) Discard() { b.part.End() }

// OpenCopy opens a backup, or any vault file that nobody writes to, for reading. It
// takes no lock, and ignores what this machine remembers of the vault.
func OpenCopy(path string, o Options) (*Vault, error) {
	o = o.withDefaults()
	o.ReadOnly, o.MemoryDir = true, ""
	if err := checkFile(path); err != nil {
		return nil, err
	}
	v := &Vault{path: path, opts: o, lock: &disk.Lock{}}
	if err := v.open(); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// VerifyBackup checks a backup as [Session.Check] checks a vault.
func VerifyBackup(path string, id *Identity, o Options) (Report, error) {
	return verifyBackup(path, id, o, nil)
}

// verifyBackup is VerifyBackup. If found is not nil, it gets what a restore needs.
func verifyBackup(path string, id *Identity, o Options, found *verifiedCopy) (r Report, err error) {
	v, err := OpenCopy(path, o)
	if err != nil {
		return r, err
	}
	s, err := v.Owner(id)
	if err == nil {
		check := newVerification(s)
		check.backup = found
		r, err = s.check(check)
	}
	return r, errors.Join(err, v.Close())
}

// Copy is a copy of the vault that the log records.
type Copy struct {
	File string // "" for one that was written to stdout
	At   time.Time
}

// Copies lists the copies that were made since a time, oldest first. Keys that no
// longer open anything in the vault still open its older copies.
func (s *Session) Copies(since time.Time) (list []Copy, err error) {
	var all []copyAt
	err = s.view(func(t *tx) error {
		c, err := t.checkpoint()
		all = c.Copies
		return err
	})
	if err != nil {
		return nil, err
	}
	entries, err := s.v.Log(0, func(ev audit.Event) bool {
		return ev.ActorID == audit.Owner && len(copiesIn(ev)) > 0 // nobody else makes one, but may say so
	})
	for _, e := range slices.Backward(entries) {
		all = append(all, copiesIn(e.Event)...)
	}
	seen := map[string]bool{}
	for _, c := range all {
		if !c.At.Before(since) && (c.File == "" || !seen[c.File]) {
			list = append(list, Copy(c))
			seen[c.File] = true
		}
	}
	return list, err
}

// copiesIn returns the copies that a log entry records.
func copiesIn(ev audit.Event) (list []copyAt) {
	if ev.Type != audit.VaultBackedUp && ev.Type != audit.VaultRestored && ev.Type != audit.VaultRewritten {
		return nil
	}
	for _, name := range []string{"file", "replaced"} {
		if file, ok := ev.Metadata[name].(string); ok && file != "" {
			list = append(list, copyAt{file, ev.CreatedAt})
		}
	}
	if _, ok := ev.Metadata["to"]; ok { // stdout
		list = append(list, copyAt{"", ev.CreatedAt})
	}
	return list
}
