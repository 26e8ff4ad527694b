//go:build !linux

package process

import "os"

func followStop(int) {}

func closeOnExec() {}

func widen(*os.File) {}

// inMemory reports whether the files in a folder are in memory alone. No folder here is known
// to be.
func inMemory(string) bool { return false }
