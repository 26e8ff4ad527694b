package vault_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

// If the file is cut while the vault is open, every act reports damage. The system sends a
// signal for a read beyond the new end of the mapped file.
func TestFileCutWhileOpen(t *testing.T) {
	for act, do := range map[string]func(*vault.Session) error{
		"get": func(s *vault.Session) error { _, _, err := s.Get(vaulttest.Path(t, "a/K"), 0); return err },
		"set": func(s *vault.Session) error {
			_, _, err := s.Set(vaulttest.Path(t, "a/K"), []byte("x"), vault.SetOptions{})
			return err
		},
		"list":    func(s *vault.Session) error { _, err := s.List(tokens.Namespace{}, false); return err },
		"purge":   func(s *vault.Session) error { _, err := s.Purge(vaulttest.Path(t, "a/K")); return err },
		"compact": func(s *vault.Session) error { return s.Compact("") },
		"verify":  func(s *vault.Session) error { _, err := s.Verify(true); return err },
	} {
		for _, size := range []int64{0, 4096, 3 * 4096} {
			v := vaulttest.New(t)
			v.Damaged()
			v.Set(t, "a/K", strings.Repeat("v", 20000), vault.SetOptions{})
			v.Must(t, func(s *vault.Session) error {
				if err := os.Truncate(v.Path, size); err != nil {
					t.Skip(err) // Windows does not cut a mapped file
				}
				if err := do(s); !errors.Is(err, vault.ErrDamaged) {
					t.Errorf("%s in a file that was cut to %d bytes: %v", act, size, err)
				}
				if _, _, err := s.Get(vaulttest.Path(t, "a/K"), 0); !errors.Is(err, vault.ErrDamaged) {
					t.Errorf("get after that: %v", err)
				}
				return nil
			})
		}
	}
}
