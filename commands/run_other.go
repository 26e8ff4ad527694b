//go:build !linux

package commands

import (
	"os"
	"runtime"
)

// fileInMemory returns a pipe from which the content can be read once.
func fileInMemory(content []byte) (*os.File, error) {
	if runtime.GOOS == "windows" {
		return nil, usagef("--file needs a system with /dev/fd; use --env or --stdin here")
	}
	const fits = 4096 // every pipe holds this much before anybody reads
	if len(content) > fits {
		return nil, usagef("--file takes at most %d bytes on this system; use --stdin", fits)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if _, err = w.Write(content); err == nil {
		err = w.Close()
	}
	return r, err
}
