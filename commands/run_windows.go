package commands

import (
	"errors"
	"os"
)

var forwarded = []os.Signal{os.Interrupt}

func fromKeyboard(s os.Signal) bool { return s == os.Interrupt }

// atKeyboard reports whether Ctrl-C goes to children as well. On a console it always
// does.
func atKeyboard() bool { return true }

const canReplace = false

func replaceProcess(string, []string, []string) error { return errors.ErrUnsupported }

func replacedFile(int, *os.File) (string, error) { return "", errors.ErrUnsupported }

func signalOf(*os.ProcessState) int { return 0 }
