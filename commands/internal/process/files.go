package process

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"ass/vault/disk"
)

// File is a secret that a program reads from a file.
type File struct {
	Name    string // of the file
	Content []byte
	Place   string // where a link to it is made; "" for none
}

// Files is a folder with secrets, for this user alone. It is live while its lock is held,
// which the system gives back when this process ends, however it ends. Later runs remove
// folders that are not live.
type Files struct {
	dir    string
	lock   *os.File
	places []string // of links, absolute
	forget func()   // ends the note in the register
}

const (
	filesPrefix = "ass-run-"
	lockName    = ".lock"
	placesName  = ".places"
)

// MemoryFolder returns the first of some folders in which files are in memory alone and
// others cannot touch them.
func MemoryFolder(dirs ...string) (string, bool) {
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil || !info.IsDir() || !inMemory(dir) {
			continue
		}
		by := disk.AccessTo(dir, info)
		if !by.Stranger && (by.Mode.Perm()&0o022 == 0 || by.Mode&fs.ModeSticky != 0) {
			return dir, true
		}
	}
	return "", false
}

// WriteFiles writes files into a new folder in dir, readable by this user alone, and makes
// the links to them. If it fails, nothing is left of them. An error that a link's place is
// taken is [fs.ErrExist].
func WriteFiles(register disk.Register, dir string, files []File) (f *Files, err error) {
	for range 10 {
		if f, err = newFiles(register, dir); err == nil || !errors.Is(err, disk.ErrLocked) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Remove()
			f = nil
		}
	}()
	for _, file := range files {
		if err := (disk.Register{}).WriteNew(f.Path(file.Name), file.Content, 0o400); err != nil {
			return f, err
		}
		if file.Place != "" {
			f.places = append(f.places, file.Place)
		}
	}
	if len(f.places) == 0 {
		return f, nil
	}
	list, err := json.Marshal(f.places) // before the links, so that none is forgotten
	if err == nil {
		err = (disk.Register{}).WriteNew(filepath.Join(f.dir, placesName), list, 0o600)
	}
	if err != nil {
		return f, err
	}
	for _, file := range files {
		if file.Place == "" {
			continue
		}
		if err := os.Symlink(f.Path(file.Name), file.Place); err != nil {
			return f, err
		}
	}
	return f, nil
}

// WriteFolder makes a folder with files, readable by this user alone, which appears with all of them or not at
// all. At its place, there may be an empty folder.
func WriteFolder(register disk.Register, path string, files []File) error {
	above := filepath.Dir(path)
	if err := disk.MakeFolder(above); err != nil {
		return err
	}
	var f *Files
	var err error
	for range 10 {
		if f, err = newFiles(register, above); err == nil || !errors.Is(err, disk.ErrLocked) {
			break
		}
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Remove() }()
	made := f.Path("made")
	if err := os.Mkdir(made, 0o700); err != nil {
		return err
	}
	for _, file := range files {
		if err := (disk.Register{}).WriteNew(filepath.Join(made, file.Name), file.Content, 0o600); err != nil {
			return err
		}
	}
	return disk.PlaceFolder(made, path)
}

// newFiles makes the folder and takes its lock. If somebody sweeps it in between, the error
// is [disk.ErrLocked].
func newFiles(register disk.Register, dir string) (f *Files, err error) {
	f = &Files{dir: filepath.Join(dir, filesPrefix+strconv.FormatUint(rand.Uint64(), 10))}
	f.forget = register.NoteFolder(f.dir)
	if err = os.Mkdir(f.dir, 0o700); err != nil {
		_ = f.Remove()
		return nil, err
	}
	if f.lock, err = os.OpenFile(f.Path(lockName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		err = disk.TryLock(f.lock, false)
	}
	if err == nil {
		if _, there := os.Lstat(f.Path(lockName)); there != nil {
			err = disk.ErrLocked
		}
	}
	if err != nil {
		_ = f.Remove()
		return nil, err
	}
	return f, nil
}

// Path returns the path of a file.
func (f *Files) Path(name string) string { return filepath.Join(f.dir, name) }

// Remove removes the folder, and the links to its files.
func (f *Files) Remove() error {
	removeLinks(f.dir, f.places)
	err := os.RemoveAll(f.dir)
	if f.lock != nil {
		err = errors.Join(f.lock.Close(), disk.RemoveAll(f.dir)) // Windows removes no open file
	}
	if err == nil {
		f.forget()
	}
	return err
}

func removeLinks(dir string, places []string) {
	for _, place := range places {
		if to, err := os.Readlink(place); err == nil && filepath.Dir(to) == dir {
			_ = os.Remove(place)
		}
	}
}

// SweepFiles removes what runs that were killed have left in some folders.
func SweepFiles(dirs ...string) {
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if !entry.IsDir() || !strings.HasPrefix(entry.Name(), filesPrefix) {
				continue
			}
			info, err := entry.Info()
			if err != nil {
				continue
			}
			if path := filepath.Join(dir, entry.Name()); !disk.AccessTo(path, info).Another {
				sweepFolder(path, time.Since(info.ModTime()) > time.Minute)
			}
		}
	}
}

// SweepFolder removes a folder that a dead run has noted.
func SweepFolder(path string) {
	info, err := os.Lstat(path)
	number, ours := strings.CutPrefix(filepath.Base(path), filesPrefix)
	if err != nil || !info.IsDir() || !ours || strings.Trim(number, "0123456789") != "" ||
		disk.AccessTo(path, info).Another {
		return
	}
	if os.Remove(path) != nil { // it is not empty
		sweepFolder(path, false)
	}
}

// sweepFolder removes a folder that is not live. made says that no run makes it just now.
func sweepFolder(dir string, made bool) {
	lock, err := disk.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist) && made:
		_ = os.RemoveAll(dir)
		return
	case err != nil:
		return
	}
	if disk.TryLock(lock, false) != nil {
		lock.Close()
		return // it is live
	}
	var places []string
	if list, _, err := disk.ReadFile(filepath.Join(dir, placesName), 1<<20); err == nil {
		_ = json.Unmarshal(list, &places)
	}
	removeLinks(dir, places)
	_ = os.RemoveAll(dir)
	lock.Close()
	_ = disk.RemoveAll(dir) // Windows removes no open file
}
