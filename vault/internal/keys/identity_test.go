package keys

import (
	"errors"
	"strings"
	"testing"

	"filippo.io/age/armor"

	"ass/vault/internal/fault"
)

// The error of a key that does not parse says what is wrong, and does not repeat it.
func TestParseIdentity(t *testing.T) {
	i, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	text := i.Text()
	for _, same := range []string{text, strings.ToLower(text), " " + text + "\n"} {
		if got, err := ParseIdentity(same); err != nil || got.Text() != text {
			t.Errorf("the key itself does not parse: %v", err)
		}
	}
	other := "Q"
	if strings.HasSuffix(text, other) {
		other = "P"
	}
	for name, c := range map[string]struct{ text, says string }{
		"nothing":           {"", "does not begin with"},
		"something else":    {"hunter2", "does not begin with"},
		"a cut one":         {text[:len(text)-9], "checksum"},
		"a mistyped one":    {text[:len(text)-1] + other, "checksum"},
		"an old one, cut":   {"AGE-SECRET-KEY-1QQQQQQ", "checksum"},
		"another behind it": {text + text, "checksum"},
	} {
		_, err := ParseIdentity(c.text)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		} else if len(c.text) > 5 && strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: the error repeats the key", name)
		}
	}
}

// A locked identity opens with its passphrase alone, as it was.
func TestLockIdentity(t *testing.T) {
	i, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	stored, err := i.Lock("hunter2", 2)
	if err != nil {
		t.Fatal(err)
	}
	if !IsLocked(stored) || IsLocked(i.Text()) || strings.Contains(stored, i.Text()) {
		t.Error("the stored form is not locked")
	}
	if got, err := UnlockIdentity(stored, "hunter2"); err != nil || got.Text() != i.Text() {
		t.Errorf("the passphrase does not open it: %v", err)
	}
	lines := strings.Split(stored, "\n")
	middle := len(lines) / 2
	short := lines[:middle:middle]
	short = append(short, lines[middle+1:]...)
	altered := []byte(stored)
	at := strings.LastIndex(stored, armor.Footer) - 40 // in the payload
	altered[at] ^= 1
	for name, c := range map[string]struct {
		stored, passphrase string
		want               error
	}{
		"another passphrase": {stored, "hunter3", fault.ErrPassphrase},
		"no passphrase":      {stored, "", fault.ErrPassphrase},
		"no age file":        {armor.Header + "\naGVsbG8=\n" + armor.Footer + "\n", "hunter2", fault.ErrDamaged},
		"nothing":            {"", "hunter2", fault.ErrDamaged},
		"a line missing":     {strings.Join(short, "\n"), "hunter2", fault.ErrDamaged},
		"an altered payload": {string(altered), "hunter2", fault.ErrDamaged},
	} {
		if _, err := UnlockIdentity(c.stored, c.passphrase); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
