package commands

import (
	"io"
	"strings"
	"testing"
)

// What a program writes is kept up to a limit, however it is copied.
func TestLimited(t *testing.T) {
	for _, cut := range []bool{false, true} {
		l := &limited{most: 10, cut: cut}
		_, err := io.Copy(l, strings.NewReader("0123456789"))
		if err != nil || string(l.b) != "0123456789" {
			t.Errorf("%q, %v", l.b, err)
		}
		_, err = io.Copy(l, strings.NewReader("x"))
		if (err == nil) != cut || string(l.b) != "0123456789" {
			t.Errorf("cut %t: %q, %v", cut, l.b, err)
		}
	}
}

// Of what a program says, one line is in the error: of gpg the last one.
func TestComplaint(t *testing.T) {
	for said, want := range map[string]string{
		"": "", "\n \n": "", "one\ntwo\n": "one", "gpg: encrypted with x\ngpg: decryption failed: No secret key\n": "gpg: decryption failed: No secret key",
		strings.Repeat("é", 200): strings.Repeat("é", 150) + "…",
	} {
		if got := complaint(said); got != want {
			t.Errorf("of %q, it is %q", said, got)
		}
	}
}
