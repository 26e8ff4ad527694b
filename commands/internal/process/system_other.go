//go:build !linux

package process

import "os"

func followStop(int) {}

func closeOnExec() {}

// bytesInPipe asks how many bytes wait to be read: FIONREAD of the BSDs and of macOS,
// _IOR('f', 127, int).
const bytesInPipe = 0x4004667f

func widen(*os.File) {}

// inMemory reports whether the files in a folder are in memory alone. No folder here is known
// to be.
func inMemory(string) bool { return false }
