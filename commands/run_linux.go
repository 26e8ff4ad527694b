package commands

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// fileInMemory returns a file that is on no disk, positioned at its beginning.
func fileInMemory(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("secret", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "secret")
	if _, err = f.Write(content); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	return f, err
}
