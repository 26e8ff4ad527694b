package vault

import (
	"errors"
	"os"
	"path/filepath"

	"ass/vault/disk"
	"ass/vault/internal/bolt"
	"ass/vault/internal/fault"
)

// detour replaces the vault by way of a folder on another disk, for a vault on a disk that is
// full. The new file is made there. If there is room for it beside the old file, all is as
// without a detour. Otherwise the old file goes first: by then the new one is whole in the folder,
// checked and synced, and a note beside the vault says where.
type detour struct {
	s      *Session
	folder string
	kept   string // the new file in the folder, if there is no room beside the vault
}

// movedSuffix ends the name of the note about a vault that is in another folder.
const movedSuffix = ".moved"

// prepare is prepareFile.
func (d *detour) prepare(old *tx, fill func(*tx, *builder) error) (end mark, err error) {
	path := d.s.v.path
	name := filepath.Join(d.folder, filepath.Base(path))
	part, err := d.s.v.opts.Unfinished.Beside(name)
	if err != nil {
		return end, err
	}
	defer part.End()
	if end, err = makeFile(part.Path, d.s, func(w *builder) error { return fill(old, w) }); err != nil {
		return end, disk.Named(name, err)
	}
	if err = os.Remove(path + newSuffix); err == nil || errors.Is(err, os.ErrNotExist) {
		err = disk.CopyFile(part.Path, path+newSuffix, path)
	}
	if !disk.IsFull(err) {
		return end, err
	}
	if _, err = bolt.ReadLayout(part.Path); err != nil { // it is about to be the only one
		return end, err
	}
	if d.kept, err = disk.Unused(name); err == nil {
		err = disk.Move(part.Path, d.kept)
	}
	return end, err
}

// publish is [Session.publish].
func (d *detour) publish() (published bool, err error) {
	v := d.s.v
	if d.kept == "" {
		return d.s.publish()
	}
	_ = os.Remove(v.path + reserveSuffix)
	if err := v.opts.Unfinished.Replace(v.path+movedSuffix, []byte(d.kept)); err != nil {
		_ = os.Remove(d.kept)
		return false, err
	}
	_ = v.db.Close()
	if err := disk.Remove(v.path); err != nil {
		return false, errors.Join(err, os.Remove(v.path+movedSuffix), os.Remove(d.kept), v.db.Reopen())
	}
	if err := disk.CopyFile(d.kept, v.path+newSuffix, d.kept); err != nil {
		return false, fault.New(ErrMaybeDone, "%v; %s", err, isMoved(v.path, d.kept))
	}
	if published, err = d.s.publish(); err == nil {
		_ = os.Remove(v.path + movedSuffix)
		_ = os.Remove(d.kept)
	}
	return published, err
}

// isMoved says where a vault is.
func isMoved(path, kept string) string {
	return "the vault is whole in " + kept + ", and there was no room for it in its own place; put it back with: mv " +
		kept + " " + path
}

// Moved returns an error that says where the vault of path is, if a compaction by way of another
// disk ended before the vault was back in its place: [ErrNoVault]. Otherwise it returns nil.
func Moved(path string) error {
	kept, _, err := disk.ReadFile(path+movedSuffix, 64<<10)
	if err != nil {
		return nil
	}
	return fault.New(ErrNoVault, "no vault at %s: %s", path, isMoved(path, string(kept)))
}
