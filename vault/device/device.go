// Package device seals the owner key to the further recipients of a vault, and opens what was sealed: for age plugins,
// which speak to hardware keys (https://c2sp.org/age-plugin), and for age's own identities. The files are ordinary age
// files. It passes the questions of a plugin to a [UI]: the package knows no terminal.
package device

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"
	"filippo.io/age/plugin"

	"ass/vault/internal/keys"
)

// Errors of identities and recipients.
var (
	// ErrNotFor says that a file is sealed to another recipient.
	ErrNotFor = errors.New("it is sealed to another key")

	// ErrSSH says that a text is an SSH key. This package does not link the code for those: it would slow down each start.
	ErrSSH = errors.New("it is an SSH key")

	// ErrEncrypted says that a text is an encrypted file of age, and no identity.
	ErrEncrypted = errors.New("it is an encrypted file of age")

	// ErrDamaged says that an identity found a file key, and the file does not open with it.
	ErrDamaged = errors.New("it was modified, or the file key that was found for it is wrong")
)

// PluginError says what a plugin failed at.
type PluginError struct {
	Program string // its name on PATH
	Missing bool   // there is no such program
	Silent  bool   // it did not answer in time
	Died    bool   // it ended without an answer
	Babbled bool   // it sent something that is not an answer
	err     error
}

func (e *PluginError) Error() string {
	switch {
	case e.Missing:
		return e.Program + " is not on PATH"
	case e.Silent:
		return fmt.Sprintf("%s did not answer within %s", e.Program, Patience)
	case e.Died:
		return e.Program + " ended without an answer"
	case e.Babbled: // what it sent may be anything
		return e.Program + ": it sent something that is no answer"
	}
	text := firstLine(e.err)
	if _, said, found := strings.Cut(text, " plugin: "); found { // behind which plugin for which recipient, as age says it
		text = said
	}
	return e.Program + ": " + text
}

func (e *PluginError) Unwrap() error { return e.err }

// firstLine returns the first line of what a plugin said, and no more than fits on a line.
func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if r := []rune(text); len(r) > 200 {
		text = string(r[:200]) + "…"
	}
	return text
}

// UI is how a plugin reaches the person. Its functions are called one at a time, by the goroutine that called this
// package.
type UI struct {
	Say     func(program, text string)                                // shows a text
	Ask     func(program, prompt string, secret bool) (string, error) // asks for a text
	Confirm func(program, prompt, yes, no string) (bool, error)       // asks a question; no may be empty
	Slow    func(program string)                                      // the plugin has been working for 5 seconds: is it waiting for a touch?
}

// Patience is how long a plugin may take between two questions. Tests shorten it.
var Patience = 2 * time.Minute

// maxPlain is the largest content of a file, in bytes. It is the text of an owner key.
const maxPlain = 4096

// Parse returns the identity in the content of a file as age-keygen or a plugin writes it, one identity beside
// comments, and its recipient. A plugin's file may name the recipient in a comment; then the plugin needs no device to
// seal to it. If the file has an SSH key, the error is [ErrSSH]; if it is an encrypted file of age, [ErrEncrypted]. No
// error quotes the content.
func Parse(content []byte) (identity, recipient string, err error) {
	text := keys.KeyText(content)
	switch {
	case text == "":
		return "", "", errors.New("there is no identity in it")
	case keys.IsLocked(text):
		return "", "", ErrEncrypted
	case strings.HasPrefix(text, "-----BEGIN "), isSSH(text):
		return "", "", ErrSSH
	case strings.Contains(text, "\n"):
		return "", "", errors.New("it has more than one line besides comments, and an identity has one")
	}
	identity = strings.ToUpper(text)
	if recipient, err = RecipientOf(identity); err != nil {
		return "", "", err
	}
	if name := PluginOf(identity); name != "" {
		for line := range strings.Lines(string(content)) {
			for _, word := range strings.Fields(line) {
				if strings.HasPrefix(line, "#") && strings.HasPrefix(word, "age1") && PluginOf(word) == name {
					recipient = word
				}
			}
		}
	}
	return identity, recipient, nil
}

// isSSH reports whether a text has the form of an SSH public key, of any type.
func isSSH(text string) bool {
	kind, _, more := strings.Cut(text, " ")
	return more && (strings.HasPrefix(kind, "ssh-") || strings.HasPrefix(kind, "sk-") || strings.HasPrefix(kind, "ecdsa-"))
}

// IsIdentity reports whether a recipient is the text of a plugin's identity, which may be a secret.
func IsIdentity(recipient string) bool { return strings.HasPrefix(recipient, "AGE-PLUGIN-") }

// RecipientOf returns the recipient of an identity as text. For a plugin's identity, that is the identity itself: the
// plugin can seal to it.
func RecipientOf(identity string) (string, error) {
	if _, _, err := plugin.ParseIdentity(identity); err == nil {
		return identity, nil
	}
	if id, err := age.ParseHybridIdentity(identity); err == nil {
		return id.Recipient().String(), nil
	}
	id, err := age.ParseX25519Identity(identity)
	if err != nil {
		return "", errors.New("it is no identity of age: one begins with AGE-PLUGIN- or AGE-SECRET-KEY-; or its checksum is wrong")
	}
	return id.Recipient().String(), nil
}

// PluginOf returns the name of the plugin that an identity or a recipient needs, such as "yubikey"; "" if it needs
// none.
func PluginOf(text string) string {
	if name, _, err := plugin.ParseIdentity(text); err == nil {
		return name
	}
	if isNative(text) {
		return ""
	}
	name, _, _ := plugin.ParseRecipient(text)
	return name
}

// isNative reports whether package age seals to a recipient itself.
func isNative(recipient string) bool {
	_, err := native(recipient)
	return err == nil
}

func native(recipient string) (age.Recipient, error) {
	if strings.HasPrefix(recipient, "age1pq1") {
		return age.ParseHybridRecipient(recipient)
	}
	return age.ParseX25519Recipient(recipient)
}

// CheckRecipient returns an error unless a text is a recipient: age1…, of age or a plugin. For an SSH public key it is
// [ErrSSH].
func CheckRecipient(recipient string) error {
	if isSSH(recipient) {
		return ErrSSH
	}
	if isNative(recipient) {
		return nil
	}
	if _, _, err := plugin.ParseRecipient(recipient); err != nil {
		return errors.New("it is no recipient of age: one begins with age1; or its checksum is wrong")
	}
	return nil
}

// Seal makes the age file of a text for a recipient, or for a plugin's identity.
func Seal(recipient string, plain []byte, ui UI) ([]byte, error) {
	if to, err := native(recipient); err == nil {
		return Encrypt(to, plain)
	}
	name := PluginOf(recipient)
	if name == "" {
		return nil, CheckRecipient(recipient)
	}
	return with(name, ui, func(ui *plugin.ClientUI) ([]byte, error) {
		var to age.Recipient
		if id, err := plugin.NewIdentity(recipient, ui); err == nil {
			to = id.Recipient()
		} else if to, err = plugin.NewRecipient(recipient, ui); err != nil {
			return nil, err
		}
		return Encrypt(to, plain)
	})
}

// Encrypt makes the age file of a text for a recipient of package age.
func Encrypt(to age.Recipient, plain []byte) ([]byte, error) { return keys.Encrypt(to, plain) }

// Open returns the content of an age file for an identity. If the file is for another one, the error is [ErrNotFor].
func Open(identity string, file []byte, ui UI) ([]byte, error) {
	if name, _, err := plugin.ParseIdentity(identity); err == nil {
		return with(name, ui, func(ui *plugin.ClientUI) ([]byte, error) {
			id, err := plugin.NewIdentity(identity, ui)
			if err != nil {
				return nil, err
			}
			return Decrypt(id, file)
		})
	}
	if id, err := age.ParseHybridIdentity(identity); err == nil {
		return Decrypt(id, file)
	}
	id, err := age.ParseX25519Identity(identity)
	if err != nil {
		return nil, err
	}
	return Decrypt(id, file)
}

// found notes whether an identity found a file key. If it did, what fails afterwards is not the identity's fault.
type found struct {
	age.Identity
	key bool
}

func (f *found) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	key, err := f.Identity.Unwrap(stanzas)
	f.key = err == nil
	return key, err
}

// Decrypt returns the content of an age file for an identity of package age. If the file is for another one, the error
// is [ErrNotFor]; if it does not open with the file key that the identity found, [ErrDamaged]; any other error is that
// of the identity, or of a file that is none of age.
func Decrypt(id age.Identity, file []byte) ([]byte, error) {
	f := &found{Identity: id}
	r, err := age.Decrypt(bytes.NewReader(file), f)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return nil, ErrNotFor
	case err != nil && f.key:
		return nil, ErrDamaged
	case err != nil:
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxPlain+1))
	if err != nil || len(plain) > maxPlain {
		return nil, ErrDamaged
	}
	return plain, nil
}

// with runs do, which talks to a plugin. It passes the plugin's questions to ui, in this goroutine.
func with(name string, ui UI, do func(*plugin.ClientUI) ([]byte, error)) ([]byte, error) {
	program := "age-plugin-" + name
	asked := make(chan func())
	ask := func(what func()) {
		done := make(chan struct{})
		asked <- func() { what(); close(done) }
		<-done
	}
	client := &plugin.ClientUI{
		DisplayMessage: func(_, text string) error { ask(func() { ui.Say(program, text) }); return nil },
		RequestValue: func(_, prompt string, secret bool) (text string, err error) {
			ask(func() { text, err = ui.Ask(program, prompt, secret) })
			return text, err
		},
		Confirm: func(_, prompt, yes, no string) (chose bool, err error) {
			ask(func() { chose, err = ui.Confirm(program, prompt, yes, no) })
			return chose, err
		},
		WaitTimer: func(string) { ask(func() { ui.Slow(program) }) },
	}
	type result struct {
		b   []byte
		err error
	}
	ended := make(chan result, 1)
	go func() {
		b, err := do(client)
		ended <- result{b, err}
	}()
	late := time.NewTimer(Patience)
	defer late.Stop()
	for {
		select {
		case what := <-asked:
			late.Stop()
			what()
			late.Reset(Patience)
		case r := <-ended:
			return r.b, failed(program, r.err)
		case <-late.C: // the goroutine, and the plugin, go on until this process ends
			return nil, &PluginError{Program: program, Silent: true}
		}
	}
}

// failed says which plugin failed at what.
func failed(program string, err error) error {
	if err == nil || errors.Is(err, ErrNotFor) || errors.Is(err, ErrDamaged) {
		return err
	}
	e := &PluginError{Program: program, err: err}
	var missing *plugin.NotFoundError
	switch {
	case errors.As(err, &missing):
		e.Missing = true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "broken pipe"):
		e.Died = true
	case strings.Contains(err.Error(), "malformed"):
		e.Babbled, e.err = true, nil
	}
	return e
}
