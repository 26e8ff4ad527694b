// Package devicetest is an age plugin for tests: a hardware key that does what it is told to. A test program that is
// started under the name age-plugin-test calls [Main].
package devicetest

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/plugin"
)

// Program is the name of the plugin on PATH.
const Program = "age-plugin-" + name

const name = "test"

// Ways in which the plugin behaves.
const (
	Works    = "works"    // opens what was sealed to it
	Asks     = "asks"     // asks for PIN first
	Confirms = "confirms" // asks whether to go on
	Says     = "says"     // shows a text, with an escape sequence in it
	Hangs    = "hangs"    // answers nothing when it is to open a file
	Dies     = "dies"     // ends when it is to open a file
	Lies     = "lies"     // returns another file key
	Fails    = "fails"    // returns an error of two lines
	Babbles  = "babbles"  // answers what is no stanza
	HangsAt  = "hangs-at-sealing"
	LiesAt   = "lies-at-sealing" // makes a stanza that it cannot open
)

// PIN is what the plugin asks for.
const PIN = "hunter2-pin"

// Identity returns the text of an identity. Those of one key open the same files, however they behave.
func Identity(key, way string) string { return plugin.EncodeIdentity(name, []byte(key+"/"+way)) }

// Recipient returns the text of the recipient of a key.
func Recipient(key, way string) string { return plugin.EncodeRecipient(name, []byte(key+"/"+way)) }

// IsPlugin reports whether this process was started as the plugin.
func IsPlugin() bool { return strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == Program }

// Install puts this program into a folder, as the plugin.
func Install(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return os.Symlink(self, filepath.Join(dir, Program))
}

// Main is the plugin. As "identity KEY WAY" and "recipient KEY WAY", it prints the texts that stories need.
func Main() {
	if args := os.Args[1:]; len(args) == 3 {
		print := map[string]func(key, way string) string{"identity": Identity, "recipient": Recipient}[args[0]]
		fmt.Println(print(args[1], args[2]))
		os.Exit(0)
	}
	p, err := plugin.New(name)
	if err != nil {
		panic(err)
	}
	p.HandleRecipient(func(data []byte) (age.Recipient, error) { return parse(p, data) })
	p.HandleIdentityAsRecipient(func(data []byte) (age.Recipient, error) { return parse(p, data) })
	p.HandleIdentity(func(data []byte) (age.Identity, error) { return parse(p, data) })
	os.Exit(p.Main())
}

// key is a key of the plugin: it is no secret, as its identity says it.
type key struct {
	p         *plugin.Plugin
	name, way string
}

func parse(p *plugin.Plugin, data []byte) (*key, error) {
	name, way, _ := strings.Cut(string(data), "/")
	return &key{p, name, way}, nil
}

// mask is what hides a file key in a stanza.
func (k *key) mask() []byte {
	b, err := hkdf.Key(sha256.New, []byte(k.name), nil, "test plugin", 16)
	if err != nil {
		panic(err)
	}
	return b
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i%len(b)]
	}
	return out
}

// Wrap implements [age.Recipient].
func (k *key) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	body := xor(fileKey, k.mask())
	switch k.way {
	case HangsAt:
		time.Sleep(time.Hour)
	case LiesAt:
		body[0] ^= 1
	}
	return []*age.Stanza{{Type: "test", Args: []string{k.name}, Body: body}}, nil
}

// Unwrap implements [age.Identity].
func (k *key) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, s := range stanzas {
		if s.Type != "test" || len(s.Args) != 1 || s.Args[0] != k.name {
			continue
		}
		if note := os.Getenv("ASS_TEST_PLUGIN_NOTE"); note != "" { // counts how often it was asked
			f, err := os.OpenFile(note, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err == nil {
				_, err = fmt.Fprintln(f, k.name)
				err = errors.Join(err, f.Close())
			}
			if err != nil {
				return nil, err
			}
		}
		fileKey := xor(s.Body, k.mask())
		switch k.way {
		case Asks:
			pin, err := k.p.RequestValue("Enter the PIN\x1b[31m of the test key", true)
			if err != nil || pin != PIN {
				return nil, errors.New("the PIN is wrong")
			}
		case Confirms:
			if yes, err := k.p.Confirm("Open the vault?", "open it", "leave it"); err != nil || !yes {
				return nil, errors.New("nobody agreed")
			}
		case Says:
			if err := k.p.DisplayMessage("please touch\x1b[31m the test key"); err != nil {
				return nil, err
			}
		case Hangs:
			time.Sleep(time.Hour)
		case Dies:
			os.Exit(0)
		case Lies:
			fileKey[0] ^= 1
		case Fails:
			return nil, errors.New("the test key is locked\x1b[31m\nand has a second line")
		case Babbles:
			fmt.Println("hunter2 is no stanza")
		}
		return fileKey, nil
	}
	return nil, age.ErrIncorrectIdentity
}
