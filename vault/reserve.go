package vault

import (
	"errors"
	"io/fs"
	"os"

	"ass/vault/disk"
)

// Every read of a value is logged before the value is handed out. On a full disk, that would
// keep a program from its own secrets. So 1 MiB lies beside the vault, which is given up when
// the disk is full: it has room for the entries of some thousand reads.

const (
	reserveSuffix = ".reserve"
	reserveBytes  = 1 << 20
)

// updateReading is [Session.update] for acts that hand out values and change nothing else. fn
// may run twice.
func (s *Session) updateReading(fn func(*tx) error) error {
	if s.v.opts.Unlogged {
		return s.readUnlogged(fn)
	}
	err := s.act(fn)
	if !disk.IsFull(err) || errors.Is(err, ErrMaybeDone) || !s.v.useReserve() {
		return err
	}
	return s.act(fn)
}

// useReserve gives the reserve up, and reports whether there was one. It opens the vault's file
// again: after a failed commit, the open file cannot be used.
func (v *Vault) useReserve() bool {
	if os.Remove(v.path+reserveSuffix) != nil {
		return false
	}
	v.reserveUsed = true
	_ = v.db.Close() // nothing is being written
	return v.db.Reopen() == nil
}

// ReserveUsed reports whether the disk is full, and this vault was read only because the
// reserve made room for the log entry.
func (v *Vault) ReserveUsed() bool { return v.reserveUsed }

// keepReserve makes the reserve if it is missing and the disk has plenty of room. It is called
// under the lock, after a change. If it fails, there is none.
func (v *Vault) keepReserve() {
	reserve := v.path + reserveSuffix
	if _, err := os.Lstat(reserve); v.opts.Throwaway || v.reserveUsed || !errors.Is(err, fs.ErrNotExist) {
		return
	}
	if free, err := disk.Free(reserve); err == nil && free > 8*reserveBytes {
		_ = disk.Allocate(reserve, v.path, reserveBytes)
	}
}
