//go:build !linux

package disk

import (
	"errors"
	"io/fs"
	"os"
)

func openNameless(string, fs.FileMode) (*os.File, error) { return nil, errors.ErrUnsupported }

func link(*os.File, string) error { return errors.ErrUnsupported }

func allocate(*os.File, int64) error { return errors.ErrUnsupported }

// SyncData syncs a file.
func SyncData(f *os.File) error { return f.Sync() }
