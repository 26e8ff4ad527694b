package vault

import (
	"fmt"
	"testing"
)

// BenchmarkOpenGet measures a command that reads one value: it opens the vault as the owner, and
// reads. The cost must not grow with the vault.
func BenchmarkOpenGet(b *testing.B) {
	for _, n := range []int{10, 1000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			v, owner := benchFile(b, n)
			path, p := v.path, benchPath(b, n/2)
			if err := v.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				v, err := Open(path, Options{})
				if err != nil {
					b.Fatal(err)
				}
				s, err := v.Owner(owner)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := s.Get(p, 0); err != nil {
					b.Fatal(err)
				}
				if err := v.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpenVault measures the work around the transactions: it opens the file and the
// owner's root, and closes the file.
func BenchmarkOpenVault(b *testing.B) {
	v, owner := benchFile(b, 1000)
	if err := v.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		v, err := Open(v.path, Options{})
		if err == nil {
			_, err = v.Owner(owner)
		}
		if err != nil {
			b.Fatal(err)
		}
		if err := v.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOwner measures how the owner key, as text, opens the vault.
func BenchmarkOwner(b *testing.B) {
	v, owner := benchFile(b, 10)
	defer v.Close()
	text := owner.Text()
	for b.Loop() {
		id, err := ParseIdentity(text)
		if err == nil {
			_, err = v.Owner(id)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func benchFile(b *testing.B, n int) (*Vault, *Identity) {
	b.Helper()
	owner, err := NewIdentity()
	if err != nil {
		b.Fatal(err)
	}
	s := benchVaultOf(b, owner, n)
	return s.v, owner
}
