package vault

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"ass/vault/disk"
	"ass/vault/internal/keys"
)

// mark identifies one log entry: its number and its MAC.
type mark struct {
	Seq uint64
	MAC [32]byte
}

// memory is what this machine remembers of each vault, outside the vault's file: the
// newest log entry that it has seen. A file alone cannot prove that it is not an old
// copy of itself. The memory can show it.
type memory struct{ dir string }

type markJSON struct {
	Seq uint64 `json:"seq"`
	MAC string `json:"mac"`
}

func (m memory) file(vid keys.VaultID) string {
	return filepath.Join(m.dir, hex.EncodeToString(vid[:]))
}

// recall returns the zero mark for a vault that this machine has not seen. A note that is
// there but cannot be read is an error: without it, an old copy looks like the newest.
func (m memory) recall(vid keys.VaultID) (mark, error) {
	if m.dir == "" {
		return mark{}, nil
	}
	b, _, err := disk.ReadFile(m.file(vid), 1<<10)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // as with XDG_STATE_HOME=/dev/null
		return mark{}, nil
	}
	var k mark
	if err == nil {
		if k, err = parseMark(b); err != nil {
			err = fmt.Errorf("%s: %w", m.file(vid), err)
		}
	}
	if err != nil {
		return mark{}, fmt.Errorf("this machine's note of the newest log entry cannot be read (%w)", err)
	}
	return k, nil
}

func parseMark(b []byte) (mark, error) {
	var j markJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return mark{}, err
	}
	sum, err := hex.DecodeString(j.MAC)
	if err == nil && len(sum) != 32 {
		err = fmt.Errorf("its MAC has %d bytes instead of 32", len(sum))
	}
	if err != nil {
		return mark{}, err
	}
	return mark{j.Seq, [32]byte(sum)}, nil
}

// note remembers k. It is called under the lock of the vault, so it never goes
// back. If the machine cannot remember, for example in a read-only home, everything
// else still works; the owner sees it in the report of a verification. Each call makes
// a new file: copies of a vault have separate locks, but share one memory.
func (m memory) note(vid keys.VaultID, k mark) {
	if m.dir == "" {
		return
	}
	b, err := json.Marshal(markJSON{k.Seq, hex.EncodeToString(k.MAC[:])})
	if err == nil {
		_ = disk.ReplaceUnsynced(m.file(vid), b)
	}
}

// Rollback says that a vault is not the one that this machine saw last.
type Rollback struct {
	Seen   uint64 // the newest entry that this machine has seen
	Have   uint64 // the newest entry in the file
	Forked bool   // the file has an entry of that number, but not the one seen
}

func (r *Rollback) String() string {
	switch {
	case r.Forked:
		return fmt.Sprintf("this machine saw a different entry %d: the file is a copy with a history of its own", r.Seen)
	case r.Have+1 == r.Seen:
		return fmt.Sprintf("this machine saw entry %d, which is missing: the file is an older copy, or its log was truncated",
			r.Seen)
	}
	return fmt.Sprintf("this machine saw entries up to %d, and %d to %d are missing: the file is an older copy, or its "+
		"log was truncated", r.Seen, r.Have+1, r.Seen)
}
