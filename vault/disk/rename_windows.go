package disk

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// patience is for how long rename, remove and RemoveAll try again.
const patience = 2 * time.Second

// rename gives a file another name, which may be taken: the file that has it is replaced as a whole.
// It returns when the new name is on the disk.
func rename(from, to string) error {
	old, err := windows.UTF16PtrFromString(from)
	var as *uint16
	if err == nil {
		as, err = windows.UTF16PtrFromString(to)
	}
	if err == nil {
		err = patiently(func() error {
			return windows.MoveFileEx(old, as, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
		})
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// remove removes a file.
func remove(path string) error { return patiently(func() error { return os.Remove(path) }) }

// RemoveAll removes a folder and what is in it. Nobody may have a file there open for long.
func RemoveAll(path string) error { return patiently(func() error { return os.RemoveAll(path) }) }

// patiently tries something again as long as somebody else holds the file: virus scanners and indexers
// open what was just written, and let go of it soon.
func patiently(try func() error) error {
	end := time.Now().Add(patience)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		err := try()
		held := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION) ||
			errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !held || time.Now().Add(pause).After(end) {
			return err
		}
		time.Sleep(pause)
	}
}
