// Ass-keyring keeps a passphrase in the keyring of the desktop, for ass passphrase --keyring: the Secret Service on Linux,
// the Keychain on macOS, the Credential Manager on Windows. It is a program of its own because what it links would
// make every command of ass slower.
//
//	ass-keyring get NAME       prints the text
//	ass-keyring set NAME       stores the text that stdin has
//	ass-keyring delete NAME    removes it
//
// The exit code is 4 if the keyring has no such text, 2 for another command line, and 1 if the keyring cannot be used.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/zalando/go-keyring"
)

// service is what a keyring shows beside the name.
const service = "ass"

const maxText = 64 << 10

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, in io.Reader, out, errs io.Writer) (exit int) {
	if len(args) != 2 || args[1] == "" {
		fmt.Fprintln(errs, "usage: ass-keyring get|set|delete NAME")
		return 2
	}
	text, err := "", error(nil)
	switch args[0] {
	case "get":
		text, err = keyring.Get(service, args[1])
	case "set":
		var b []byte
		if b, err = io.ReadAll(io.LimitReader(in, maxText+1)); err == nil && len(b) > maxText {
			err = errors.New("the text is too long")
		}
		if err == nil {
			err = keyring.Set(service, args[1], string(b))
		}
	case "delete":
		err = keyring.Delete(service, args[1])
	default:
		return run(nil, in, out, errs)
	}
	switch {
	case errors.Is(err, keyring.ErrNotFound):
		fmt.Fprintln(errs, "ass-keyring: the keyring has nothing of this name")
		return 4
	case err != nil:
		fmt.Fprintln(errs, "ass-keyring: the keyring cannot be used:", err)
		return 1
	}
	if _, err := io.WriteString(out, text); err != nil {
		return 1
	}
	return 0
}
