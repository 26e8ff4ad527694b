package commands

import (
	"errors"
	"os"
)

// unwritable says why f cannot be written; nil if it perhaps can.
func unwritable(f *os.File) error {
	if _, err := f.Stat(); err != nil {
		return errors.New("stdout is closed")
	}
	return nil
}

// keepFromChildren does nothing: on Windows, a program gets the handles alone that it is given.
func keepFromChildren(int) {}
