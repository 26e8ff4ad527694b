//go:build !linux

package leaks

import (
	"io/fs"
	"os"
)

func isSparse(fs.FileInfo) bool { return false }

func (s *Scan) readSparse(k *worker, f *os.File, size int64) error { return s.readPart(k, f, size) }
