package vault

import (
	"errors"
	"os"
	"path/filepath"

	"ass/vault/disk"
	"ass/vault/internal/fault"
)

// prepareVia is prepareFile by way of a folder on another disk, for a vault on a disk that is full.
// The new file is made there, and then copied beside the vault. If there is no room for it, the
// error is [ErrNotMade]; the new file then stays in the folder, and the vault is as before.
func (s *Session) prepareVia(folder string, fill func(*builder) error) (end mark, err error) {
	path := s.v.path
	name := filepath.Join(folder, filepath.Base(path))
	part, err := s.v.opts.Unfinished.Beside(name)
	if err != nil {
		return end, err
	}
	defer part.End()
	if end, err = makeFile(part.Path, path, s, fill); err != nil {
		return end, disk.Named(name, err)
	}
	if err = os.Remove(path + newSuffix); err == nil || errors.Is(err, os.ErrNotExist) {
		err = disk.CopyFile(part.Path, path+newSuffix, path)
	}
	if disk.IsFull(err) && os.Remove(path+reserveSuffix) == nil { // also for a person who moves the file by hand
		err = disk.CopyFile(part.Path, path+newSuffix, path)
	}
	if !disk.IsFull(err) {
		return end, err
	}
	kept, err := disk.Unused(name)
	if err == nil {
		err = disk.Move(part.Path, kept)
	}
	if err == nil {
		err = &NoRoomError{Path: path, Kept: kept}
	}
	return end, err
}

// NoRoomError says that there is no room beside the vault for its compacted file, and where that
// file is. It wraps [ErrNotMade].
type NoRoomError struct{ Path, Kept string }

func (e *NoRoomError) Error() string {
	return "there is no room beside " + e.Path + " for the compacted vault, which is whole in " + e.Kept
}

func (e *NoRoomError) Unwrap() error { return fault.ErrNotMade }
