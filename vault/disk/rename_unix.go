//go:build unix

package disk

import "os"

// rename gives a file another name, which may be taken: the file that has it is replaced as a whole.
func rename(from, to string) error { return os.Rename(from, to) }

// remove removes a file.
func remove(path string) error { return os.Remove(path) }

// RemoveAll removes a folder and what is in it.
func RemoveAll(path string) error { return os.RemoveAll(path) }
