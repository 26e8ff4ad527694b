package vault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ass/audit"
	"ass/vault/disk"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// Every read is logged in the vault's file before the value is handed out. Of a backup, and where
// nothing can be written, only the owner reads, and only with [Options.Unlogged]: the owner can open
// the file by other means as well. This machine then keeps the note that the log cannot take.

// unloggedRead is a line of that note.
type unloggedRead struct {
	At      time.Time `json:"at"`
	File    string    `json:"file"`
	Path    string    `json:"path"`
	Version any       `json:"version"`
}

// readUnlogged is updateReading without a log entry.
func (s *Session) readUnlogged(fn func(*tx) error) error {
	if !s.isOwner() {
		return fault.New(ErrDenied, "only the owner may read without a log entry, and this is %s", s.Who())
	}
	var reads []unloggedRead
	err := s.view(func(t *tx) error {
		if !t.head.backup && !s.v.opts.ReadOnly {
			return fault.New(ErrConflict, "%s can be written, so each read is logged there", s.v.path).
				Hint("leave --unlogged out")
		}
		t.instead = func(ev audit.Event) {
			for _, item := range ev.Items {
				reads = append(reads, unloggedRead{t.now, s.v.path, item.Path, item.Version})
			}
			if ev.Items == nil {
				reads = append(reads, unloggedRead{t.now, s.v.path, ev.ResourceID, ev.Metadata["version"]})
			}
		}
		return fn(t)
	})
	if err == nil && len(reads) > 0 {
		if err = s.v.opts.memory().unlogged(s.v.vid, reads); err != nil {
			err = fault.New(ErrDenied, "a read without a log entry is noted on this machine, and that failed (%v); nothing was read", err)
		}
	}
	if err == nil {
		s.v.unlogged += len(reads)
	}
	return err
}

// Unlogged returns how many values were read without a log entry since the vault was opened, and
// the file in which this machine notes that.
func (v *Vault) Unlogged() (n int, file string) {
	return v.unlogged, v.opts.memory().unloggedFile(v.vid)
}

// UnloggedBefore returns how many values were ever read without a log entry on this machine, when
// the last one was, and the file that says so.
func (v *Vault) UnloggedBefore() (n int, last time.Time, file string, err error) {
	m := v.opts.memory()
	if m.dir == "" {
		return 0, last, "", nil
	}
	file = m.unloggedFile(v.vid)
	b, _, err := disk.ReadFile(file, 64<<20)
	if isNoNote(err) {
		return 0, last, file, nil
	}
	for line := range bytes.Lines(b) {
		var r unloggedRead
		if json.Unmarshal(line, &r) == nil && r.At.After(last) {
			last = r.At
		}
		n++
	}
	return n, last, file, err
}

func (m memory) unloggedFile(vid keys.VaultID) string { return m.file(vid) + ".unlogged" }

// unlogged adds lines to the note, and syncs it.
func (m memory) unlogged(vid keys.VaultID, reads []unloggedRead) error {
	if m.dir == "" {
		return fmt.Errorf("it has no folder for that")
	}
	if err := disk.MakeFolder(m.dir); err != nil {
		return err
	}
	var lines []byte
	for _, r := range reads {
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		lines = append(append(lines, b...), '\n')
	}
	f, err := disk.OpenAlone(m.unloggedFile(vid), os.O_WRONLY|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return err
	}
	_, err = f.Write(lines)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = disk.SyncDir(filepath.Dir(f.Name()))
	}
	return err
}
