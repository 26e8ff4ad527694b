package vault

import (
	"fmt"
	"os"
	"testing"

	"ass/vault/disk"
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

// BenchmarkCheckTouched measures what the page checks add to that: at opening, on the way to a
// value, and for the sum of the list of free pages.
func BenchmarkCheckTouched(b *testing.B) {
	for _, n := range []int{10, 1000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			v, _ := benchFile(b, n)
			path, p := v.path, benchPath(b, n/2)
			f, err := disk.OpenExisting(path, os.O_RDWR, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			b.ReportAllocs()
			for b.Loop() {
				w, err := readTree(f, path)
				if err != nil || !w.trusted {
					b.Fatal(err)
				}
				for bucket, k := range map[string][]byte{bucketSecrets: secretBucketKey(p), bucketVersions: versionKey(p, 1), bucketMeta: []byte(metaHead)} {
					if _, err := w.lookup(bucket, k); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := w.last(bucketAudit); err != nil {
					b.Fatal(err)
				}
				if err := sumFreeList(f, path); err != nil {
					b.Fatal(err)
				}
			}
		})
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
