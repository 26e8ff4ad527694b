package disk

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/windows"
)

// A file that somebody holds for a moment is replaced, and removed, as soon as it is let go; if it is held
// for longer, the error says so in time.
func TestHeldForAMoment(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	acts := map[string]func() error{
		"rename over": func() error { return rename(from, to) },
		"remove":      func() error { return remove(to) },
	}
	for name, act := range acts {
		for held, fails := range map[time.Duration]bool{300 * time.Millisecond: false, 2 * patience: true} {
			for path, content := range map[string]string{from: "new", to: "old"} {
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			holder, err := os.Open(to) // it does not share the right to delete
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(to); err == nil {
				t.Skip("a file that is open can be removed here")
			}
			start, closed := time.Now(), make(chan error)
			time.AfterFunc(held, func() { closed <- holder.Close() })
			err = act()
			took := time.Since(start)
			if fails != (err != nil) || took < min(held, patience/2) || took > patience+time.Second {
				t.Errorf("%s, held for %v: %v after %v", name, held, err, took)
			}
			if fails && !errors.Is(err, windows.ERROR_SHARING_VIOLATION) && !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
				t.Errorf("%s: %v", name, err)
			}
			if err := <-closed; err != nil {
				t.Error(err)
			}
		}
	}
}

// If the trouble is another one, the error comes at once.
func TestRenameOfNothing(t *testing.T) {
	start, dir := time.Now(), t.TempDir()
	var link *os.LinkError
	if err := rename(filepath.Join(dir, "a"), filepath.Join(dir, "b")); !errors.Is(err, os.ErrNotExist) ||
		!errors.As(err, &link) {
		t.Error(err)
	}
	if err := remove(filepath.Join(dir, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if took := time.Since(start); took > patience/2 {
		t.Error(took)
	}
}
