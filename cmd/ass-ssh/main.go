// Ass-ssh seals the owner key to an SSH key (ssh-ed25519 or ssh-rsa), and opens it with that key, for ass key add and
// ass login --identity. The files are those of age (age -R id_ed25519.pub). It is a program of its own because the
// packages that it links would make every command of ass slower.
//
//	ass-ssh recipient        reads a private or a public key on stdin, prints the public key
//	ass-ssh seal RECIPIENT   reads a text on stdin, prints the age file of it
//	ass-ssh open             reads {"key", "passphrase", "file"} as JSON on stdin ("file" in base64), prints the text
//
// The exit code is 2 for a wrong command line, 4 if the file is for another key, 5 if the passphrase of the key is
// missing or wrong, and 1 for any other failure. No message quotes a key.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"ass/vault/device"
)

// maxIn is the largest input, in bytes.
const maxIn = 256 << 10

// Failures that have an exit code of their own.
var (
	errUsage      = errors.New("usage: ass-ssh recipient | seal RECIPIENT | open")
	errNotFor     = errors.New("the file is for another key")
	errPassphrase = errors.New("the SSH key has a passphrase, and this is none or another one")
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, in io.Reader, out, errs io.Writer) (exit int) {
	b, err := io.ReadAll(io.LimitReader(in, maxIn+1))
	if err == nil && len(b) > maxIn {
		err = errors.New("the input is too long")
	}
	if err == nil {
		b, err = act(args, b)
	}
	if err == nil {
		_, err = out.Write(b)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintln(errs, "ass-ssh:", err)
	switch {
	case errors.Is(err, errUsage):
		return 2
	case errors.Is(err, errNotFor):
		return 4
	case errors.Is(err, errPassphrase):
		return 5
	}
	return 1
}

func act(args []string, in []byte) ([]byte, error) {
	switch {
	case len(args) == 1 && args[0] == "recipient":
		key, err := publicOf(in)
		if err != nil {
			return nil, err
		}
		return bytes.TrimSpace(ssh.MarshalAuthorizedKey(key)), nil
	case len(args) == 2 && args[0] == "seal":
		return seal(args[1], in)
	case len(args) == 1 && args[0] == "open":
		var q struct {
			Key, Passphrase string
			File            []byte
		}
		if json.Unmarshal(in, &q) != nil {
			return nil, errors.New("the input is not the JSON that it should be")
		}
		return open([]byte(q.Key), q.Passphrase, q.File)
	}
	return nil, errUsage
}

// publicOf returns the public key of a private or a public one.
func publicOf(text []byte) (ssh.PublicKey, error) {
	if key, _, _, _, err := ssh.ParseAuthorizedKey(text); err == nil {
		return checked(key)
	}
	private, err := ssh.ParseRawPrivateKey(text)
	var locked *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &locked) && locked.PublicKey != nil:
		return checked(locked.PublicKey)
	case errors.As(err, &locked):
		return nil, errors.New("the SSH key is encrypted, in a form that does not say its public key: convert it with: " +
			"ssh-keygen -p -f FILE")
	case err != nil:
		return nil, errors.New("it is not an SSH key")
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, errors.New("it is an SSH key of a kind that age does not know")
	}
	return checked(signer.PublicKey())
}

// checked returns a public key if age can seal to it.
func checked(key ssh.PublicKey) (ssh.PublicKey, error) {
	if _, err := agessh.ParseRecipient(string(ssh.MarshalAuthorizedKey(key))); err != nil {
		return nil, fmt.Errorf("it is a key of the kind %s, and age seals to ssh-ed25519 and to ssh-rsa of at least 2048 bits",
			key.Type())
	}
	return key, nil
}

func seal(recipient string, plain []byte) ([]byte, error) {
	to, err := agessh.ParseRecipient(recipient)
	if err != nil {
		return nil, errors.New("it is not an SSH public key to which age seals")
	}
	return device.Encrypt(to, plain)
}

func open(key []byte, passphrase string, file []byte) ([]byte, error) {
	lacks := false // agessh does not wrap the error of its callback
	id, err := identity(key, func() ([]byte, error) {
		if lacks = passphrase == ""; lacks {
			return nil, errPassphrase
		}
		return []byte(passphrase), nil
	})
	if err != nil {
		return nil, err
	}
	plain, err := device.Decrypt(id, file)
	switch {
	case errors.Is(err, device.ErrNotFor):
		return nil, errNotFor
	case lacks, err != nil && strings.Contains(err.Error(), "decrypt SSH key"):
		return nil, errPassphrase
	case err != nil:
		return nil, errors.New("the file does not open with this key: it was modified")
	}
	return plain, nil
}

func identity(key []byte, passphrase func() ([]byte, error)) (age.Identity, error) {
	private, err := ssh.ParseRawPrivateKey(key)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		public, err := publicOf(key)
		if err != nil {
			return nil, err
		}
		return agessh.NewEncryptedSSHIdentity(public, key, passphrase)
	}
	switch private := private.(type) {
	case *ed25519.PrivateKey:
		return agessh.NewEd25519Identity(*private)
	case ed25519.PrivateKey:
		return agessh.NewEd25519Identity(private)
	case *rsa.PrivateKey:
		return agessh.NewRSAIdentity(private)
	}
	if err != nil {
		return nil, errors.New("it is not an SSH private key")
	}
	return nil, errors.New("it is an SSH key of a kind that age does not know")
}
