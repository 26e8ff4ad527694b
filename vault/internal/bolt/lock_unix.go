//go:build unix

package bolt

import (
	"os"

	"ass/vault/disk"
)

// keepsLock says that bbolt's own call for the lock changes nothing if the file has it already.
const keepsLock = true

// lockPages takes bbolt's lock, a flock on the whole file, which the closing of the file ends. If
// another process holds it, the error is [disk.ErrLocked].
func lockPages(f *os.File, shared bool) (release func(), err error) {
	return func() {}, disk.TryLock(f, shared)
}
