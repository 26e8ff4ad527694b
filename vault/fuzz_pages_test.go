package vault_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

// pagesVault is the vault that FuzzPages changes: small, because each input is a whole run of
// the program. [vault.OwnerLike] and a file in memory are for speed too.
const pagesVault = "testdata/pages.db"

var pagesSecrets = map[string][]string{
	"default/FLAT":   {"flat"},
	"production/KEY": {"one", "two"},
}

func buildPages(t *testing.T, path string) {
	v := newGolden(t, path, 2)
	v.Set(t, "default/FLAT", "flat", vault.SetOptions{})
	v.Set(t, "production/KEY", "one", vault.SetOptions{})
	v.Set(t, "production/KEY", "two", vault.SetOptions{})
}

// A vault with any bytes changed opens and returns the right values, or says why not. It never
// panics or hangs. The input is a list of changes of 5 bytes each: the offset (u24), the
// operation, and its argument.
func FuzzPages(f *testing.F) {
	raw, err := os.ReadFile(pagesVault)
	if err != nil {
		f.Fatal(err)
	}
	owner, err := vault.ParseIdentity(goldenKey)
	if err != nil {
		f.Fatal(err)
	}
	path := filepath.Join(vault.InMemory(f), "vault.db")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		f.Fatal(err)
	}
	v, err := vault.OpenCopy(path, vault.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { v.Close() })
	known, err := v.Owner(owner)
	if err != nil {
		f.Fatal(err)
	}
	opened, err := vault.Meta(v, owner)
	if err != nil {
		f.Fatal(err)
	}
	for page := range len(raw) / pageBytes {
		at := page * pageBytes
		f.Add([]byte{byte(at >> 16), byte(at >> 8), 8, 0, 1})                                 // its flags
		f.Add([]byte{byte(at >> 16), byte(at >> 8), 24, 1, byte(page)})                       // its first child: itself
		f.Add([]byte{byte(at >> 16), byte(at >> 8), 12, 1, 9, byte(at >> 16), 0, 10, 2, 255}) // its overflow and its count
		f.Add([]byte{byte(at >> 16), byte(at >> 8), 0, 3, byte(page + 1)})                    // another page in its place
	}
	f.Fuzz(func(t *testing.T, changes []byte) {
		b := append([]byte{}, raw...)
		for ; len(changes) >= 5; changes = changes[5:] {
			at, arg := (int(changes[0])<<16|int(changes[1])<<8|int(changes[2]))%len(b), changes[4]
			switch changes[3] % 6 {
			case 0:
				b[at] ^= arg
			case 1:
				if at+8 <= len(b) {
					binary.NativeEndian.PutUint64(b[at:], uint64(arg))
				}
			case 2:
				b[at] = arg
			case 3: // one page overwrites another
				copy(b[at/pageBytes*pageBytes:][:pageBytes], b[int(arg)*pageBytes%len(b)/pageBytes*pageBytes:])
			case 4:
				clear(b[at:][:min(int(arg)*16, len(b)-at)])
			case 5:
				b = b[:max(at, 1)]
			}
		}
		// A meta page counts only with the right sum. It lets the fuzzer reach more of the page.
		for page := range min(2, len(b)/pageBytes) {
			meta := b[page*pageBytes+16:][:64]
			if meta[63] == raw[page*pageBytes+16+63] {
				binary.NativeEndian.PutUint64(meta[56:], fnv(meta[:56]))
			}
		}
		// A new file: known's still has the old one.
		if err := errors.Join(os.Remove(path), os.WriteFile(path, b, 0o600)); err != nil {
			t.Fatal(err)
		}
		allowed := func(err error) {
			for _, kind := range []error{nil, vault.ErrDamaged, vault.ErrWrongKey, vault.ErrFormat, vault.ErrNotFound} {
				if errors.Is(err, kind) {
					return
				}
			}
			t.Errorf("%v (%T)", err, err)
		}
		for _, readOnly := range []bool{true, false} {
			v, err := vault.Open(path, vault.Options{ReadOnly: readOnly})
			if err != nil {
				allowed(err)
				continue
			}
			s, err := vault.OwnerLike(known, opened, v, owner)
			allowed(err)
			switch {
			case err != nil:
			case readOnly:
				_, err = s.List(tokens.Namespace{}, false)
				allowed(err)
				_, err = s.Verify(false) // without the values: their MACs cover them, and below they are read
				allowed(err)
				_, err = s.Log(5, nil)
				allowed(err)
			default:
				for name, values := range pagesSecrets {
					_, got, err := s.Get(vaulttest.Path(t, name), 0)
					allowed(err)
					// If the older meta page is in use, an older value is right, too.
					if err == nil && !slices.Contains(values, string(got)) {
						t.Errorf("%s is %q", name, got)
					}
				}
				_, _, err = s.Set(vaulttest.Path(t, "fuzz/NEW"), []byte("x"), vault.SetOptions{})
				allowed(err)
			}
			v.Close()
		}
	})
}

func fnv(b []byte) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}
