package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"ass/vault/disk"
	"ass/vault/internal/keys"
)

// mark identifies one log entry: its number and its MAC.
type mark struct {
	Seq uint64
	MAC [32]byte

	format int // of its vault, from format 2 on; 0 for format 1
}

// memory is what this machine remembers of each vault, outside the vault's file: the
// newest log entry that it has seen. A file alone cannot prove that it is not an old
// copy of itself. The memory can show it.
//
// The note about a vault is two slots, which are written in turn and in place. If the power
// fails while one is written, the other still tells of the entry before. A slot is
// u64 seq ‖ MAC ‖ SHA-256(seq ‖ MAC)[:8].
type memory struct {
	dir        string
	unfinished disk.Register
	throwaway  bool // sync nothing
}

const slotSize = 8 + 32 + 8

func (o Options) memory() memory { return memory{o.MemoryDir, o.Unfinished, o.Throwaway} }

func (m memory) file(vid keys.VaultID) string {
	return filepath.Join(m.dir, hex.EncodeToString(vid[:]))
}

// noteFile returns the file of the note about a vault of a format. From format 2 on, the name has the format, so that
// a file of an older format is recognised as an older copy, whatever its log says.
func (m memory) noteFile(vid keys.VaultID, format int) string {
	if format < keys.Format2 {
		return m.file(vid)
	}
	return m.file(vid) + "." + strconv.Itoa(format)
}

// recall returns the zero mark for a vault that this machine has not seen. A note that is
// there but cannot be read is an error: without it, an old copy looks like the newest.
func (m memory) recall(vid keys.VaultID) (mark, error) {
	if m.dir == "" {
		return mark{}, nil
	}
	for format := newestFormat; format >= keys.Format1; format-- {
		b, _, err := disk.ReadFile(m.noteFile(vid, format), 2*slotSize)
		if isNoNote(err) {
			continue
		}
		var k mark
		if err == nil {
			if k, _, err = parseSlots(b); err != nil {
				err = fmt.Errorf("%s: %w", m.noteFile(vid, format), err)
			}
		}
		if err != nil {
			return mark{}, fmt.Errorf("this machine's note of the newest log entry cannot be read (%w)", err)
		}
		k.format = markFormat(format)
		return k, nil
	}
	return mark{}, nil
}

// markFormat returns what a mark keeps of a format.
func markFormat(format int) int {
	if format < keys.Format2 {
		return 0
	}
	return format
}

// isNoNote reports whether an error of reading a note says that there is none.
func isNoNote(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) // as with XDG_STATE_HOME=/dev/null
}

// parseSlots returns the newer mark of a note, and the place of the other slot, in bytes.
func parseSlots(b []byte) (k mark, other int64, err error) {
	if len(b) != 2*slotSize {
		return mark{}, 0, fmt.Errorf("it has %d bytes instead of %d", len(b), 2*slotSize)
	}
	found := false
	for i := range 2 {
		slot := b[i*slotSize:][:slotSize]
		is := mark{Seq: binary.BigEndian.Uint64(slot), MAC: [32]byte(slot[8:])}
		if bytes.Equal(is.slot(), slot) && (!found || is.Seq > k.Seq) {
			k, other, found = is, int64((1-i)*slotSize), true
		}
	}
	if !found {
		return mark{}, 0, errors.New("neither of its two sums is right")
	}
	return k, other, nil
}

func (k mark) slot() []byte {
	b := append(binary.BigEndian.AppendUint64(nil, k.Seq), k.MAC[:]...)
	sum := sha256.Sum256(b)
	return append(b, sum[:8]...)
}

// note remembers k. back says that the note may be of a later entry: a person wants to go back,
// with a restore for example. Copies of a vault have separate locks, but share one memory: if two are used at the same moment,
// the note is of one of them. If the machine cannot remember, for example in a read-only
// home, everything else still works; the owner sees it in the report of a verification.
func (m memory) note(vid keys.VaultID, k mark, back bool) {
	if m.write(vid, k, back).sync() != nil {
		m.replace(vid, k)
	}
}

// write is note, but leaves it to the caller to sync the note.
func (m memory) write(vid keys.VaultID, k mark, back bool) unsynced {
	if m.dir == "" {
		return unsynced{}
	}
	u, err := m.overwrite(vid, k)
	if err != nil && (back || !errors.Is(err, errLater)) {
		m.replace(vid, k)
	}
	if m.throwaway && u.f != nil {
		u.f.Close()
		return unsynced{}
	}
	return u
}

// replace makes a new note.
func (m memory) replace(vid keys.VaultID, k mark) {
	note := append(k.slot(), make([]byte, slotSize)...)
	if m.throwaway && os.MkdirAll(m.dir, 0o700) == nil && os.WriteFile(m.noteFile(vid, k.format), note, 0o600) == nil {
		return
	}
	_ = m.unfinished.ReplaceAny(m.noteFile(vid, k.format), note)
}

// unsynced is a note that is written and not yet synced. The zero one is nothing.
//
// A process syncs its note when it has released the vault, so that the next one need not wait for that. Until then it
// locks the note. If the next process finds the lock, it syncs the slot of the one before: of the two slots, one
// is on the disk at any time.
type unsynced struct{ f *os.File }

func (u unsynced) sync() error {
	if u.f == nil {
		return nil
	}
	defer u.f.Close() // which unlocks
	return syncNote(u.f)
}

var syncNote = disk.SyncData // tests count the calls

var errLater = errors.New("it is of a later entry, or of this one")

// overwrite writes k into the older slot of a note that can be read. The slots say by their
// numbers which of them is newer, so the note of a later entry is an error.
func (m memory) overwrite(vid keys.VaultID, k mark) (unsynced, error) {
	f, err := disk.OpenAlone(m.noteFile(vid, k.format), os.O_RDWR)
	if err != nil {
		return unsynced{}, err
	}
	b := make([]byte, 2*slotSize+1) // a longer one is none
	n, _ := f.ReadAt(b, 0)
	was, other, err := parseSlots(b[:n])
	if err == nil && was.Seq >= k.Seq {
		err = errLater
	}
	alone := err == nil && disk.TryLock(f, false) == nil
	if err == nil && !alone { // the newer slot may not be on the disk yet
		err = syncNote(f)
	}
	if err == nil {
		_, err = f.WriteAt(k.slot(), other)
	}
	switch {
	case err != nil:
		f.Close()
		return unsynced{}, err
	case !alone:
		return unsynced{}, unsynced{f}.sync()
	}
	return unsynced{f}, nil
}

// Rollback says that a vault is not the one that this machine saw last.
type Rollback struct {
	Seen   uint64 // the newest entry that this machine has seen
	Have   uint64 // the newest entry in the file
	Forked bool   // the file has an entry of that number, but not the one seen
	Format int    // in which the machine saw the vault, if the file is in an older one; else 0
}

func (r *Rollback) String() string {
	switch {
	case r.Format > 0:
		return fmt.Sprintf("this machine saw the vault in format %d, and this file is in an older one: it is an older copy", r.Format)
	case r.Forked:
		return fmt.Sprintf("this machine saw a different entry %d: the file is a copy with a history of its own", r.Seen)
	case r.Have+1 == r.Seen:
		return fmt.Sprintf("this machine saw entry %d, which is missing: the file is an older copy, or its log was truncated",
			r.Seen)
	}
	return fmt.Sprintf("this machine saw entries up to %d, and %d to %d are missing: the file is an older copy, or its "+
		"log was truncated", r.Seen, r.Have+1, r.Seen)
}
