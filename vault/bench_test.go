package vault

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

func benchVault(b testing.TB, secrets int) *Session {
	b.Helper()
	owner, err := NewIdentity()
	if err != nil {
		b.Fatal(err)
	}
	return benchVaultOf(b, owner, secrets)
}

func benchVaultOf(b testing.TB, owner *Identity, secrets int) *Session {
	b.Helper()
	path := filepath.Join(b.TempDir(), "vault.db")
	if _, err := Create(path, owner, Options{}); err != nil {
		b.Fatal(err)
	}
	v, err := Open(path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { v.Close() })
	s, err := v.Owner(owner)
	if err != nil {
		b.Fatal(err)
	}
	err = s.update(func(t *tx) error { // one transaction, and one look for all, for speed
		for i := range secrets {
			t.lookFor = append(t.lookFor, benchPath(b, i))
		}
		for i := range secrets {
			p := benchPath(b, i)
			w, err := s.planWrite(t, p, SetOptions{})
			if err != nil {
				return err
			}
			if _, err := s.write(t, p, w, []byte("a value of a usual length")); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func benchPath(b testing.TB, i int) tokens.Path {
	p, err := tokens.ParsePath(fmt.Sprintf("production/service%d/KEY%d", i/100, i))
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{10, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := benchVault(b, n)
			p := benchPath(b, n/2)
			for b.Loop() {
				if _, _, err := s.Get(p, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSet(b *testing.B) {
	s := benchVault(b, 10)
	i := 10
	for b.Loop() {
		i++
		if _, _, err := s.Set(benchPath(b, i), []byte("value"), SetOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := benchVault(b, n)
			for b.Loop() {
				if list, err := s.List(tokens.Namespace{}, false); err != nil || len(list) != n {
					b.Fatal(len(list), err)
				}
			}
		})
	}
}

// BenchmarkInfo measures what ass status shows of a vault: by the counts that the file states, and by counting.
func BenchmarkInfo(b *testing.B) {
	for _, n := range []int{1000, 100000} {
		s := benchVault(b, n)
		for name, info := range map[string]func() error{
			"stated":  func() error { _, err := s.Info(); return err },
			"counted": func() error { _, err := s.v.count(); return err },
		} {
			b.Run(fmt.Sprint(n, "/", name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := info(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkDigest measures the digest of the largest vault whose digest every command checks.
func BenchmarkDigest(b *testing.B) {
	s := benchVault(b, smallVault/2)
	for b.Loop() {
		if err := s.viewUnchecked(func(t *tx) error { _, _, err := t.sum(); return err }); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRewrite(b *testing.B) {
	s := benchVault(b, 10000)
	for b.Loop() {
		if err := s.rewrite(&rewritePlan{then: func(*Session, *tx) error { return nil }}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	s := benchVault(b, 10000)
	for b.Loop() {
		if r, err := s.Verify(false); err != nil || len(r.Problems) > 0 {
			b.Fatal(r.Problems, err)
		}
	}
}

// BenchmarkRecord measures making and checking one record: the head of a secret, as the vault
// stores it.
func BenchmarkRecord(b *testing.B) {
	root := keys.NewRoot(keys.Random())
	e := keys.NewEpoch(root.Vault, 1, keys.Random(), newestFormat)
	at := time.Unix(1e9, 0).UTC()
	body, err := json.Marshal(secretBody{Seq: 1, ID: "7b2b7bb0-7e1c-4c9e-8f0e-0d3c5f0a9f11", Version: 1,
		Tier: tokens.Standard, Type: DefaultType, CreatedAt: at, UpdatedAt: at})
	if err != nil {
		b.Fatal(err)
	}
	k := secretBucketKey(benchPath(b, 1))
	r := newHasher(e, nil, newBatches(nil)).newRecord(bucketSecrets, k, audit.Owner, root.Sign, body, nil)
	by := signer{by: audit.Owner, pub: root.Pub}
	for _, step := range []struct {
		what string
		do   func() bool
	}{
		{"MAC", func() bool { return newHasher(e, nil, newBatches(nil)).macHolds(bucketSecrets, k, r) }},
		// and MAC
		{"sign", func() bool {
			return newHasher(e, nil, newBatches(nil)).newRecord(bucketSecrets, k, audit.Owner, root.Sign, body, nil).sig != nil
		}},
		{"signature", func() bool { return newHasher(e, nil, newBatches(nil)).signatureHolds(by, bucketSecrets, k, r) }},
		{"JSON", func() bool { var into secretBody; return unmarshalBody(r.body, &into) == nil }},
	} {
		b.Run(step.what, func(b *testing.B) {
			for b.Loop() {
				if !step.do() {
					b.Fatal("it does not hold")
				}
			}
		})
	}
}

// BenchmarkHead measures reading the head and the end of the log, with which a transaction
// begins, and saving the head, with which it ends.
func BenchmarkHead(b *testing.B) {
	s := benchVault(b, 1000)
	b.Run("read", func(b *testing.B) {
		err := s.viewUnchecked(func(t *tx) error {
			for b.Loop() {
				if err := errors.Join(t.readHead(), t.checkLogEnd()); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	})
	b.Run("save", func(b *testing.B) {
		err := s.update(func(t *tx) error {
			for b.Loop() {
				if err := t.saveHead(); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkWalkPages measures the walk over all pages of a file. A verification does this walk,
// and so does opening a file whose list of free pages has no sum.
func BenchmarkWalkPages(b *testing.B) {
	path := filepath.Join(b.TempDir(), "vault.db")
	owner, err := NewIdentity()
	if err != nil {
		b.Fatal(err)
	}
	if _, err := Create(path, owner, Options{}); err != nil {
		b.Fatal(err)
	}
	v, err := Open(path, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	s, err := v.Owner(owner)
	if err != nil {
		b.Fatal(err)
	}
	ns, err := tokens.ParseNamespace("a")
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{10, 1000} {
		items := make([]Item, n)
		for i := range items {
			items[i] = Item{Key: fmt.Sprintf("K%d", i), Value: []byte(fmt.Sprintf("value %d of %d", i, n))}
		}
		if _, err := s.Import(ns, items, ImportOptions{}); err != nil {
			b.Fatal(err)
		}
		info, err := s.Info()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("%dKiB", info.Bytes>>10), func(b *testing.B) {
			for b.Loop() {
				if err := bolt.CheckFile(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLook measures the walk through the log before the owner stores a new secret.
func BenchmarkLook(b *testing.B) {
	for _, n := range []int{1000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := benchVault(b, 10)
			err := s.commit(func(t *tx) error {
				for range n {
					if err := t.log(audit.SecretUpdated, "secret", "a/K", map[string]any{"version": 1, "tier": "standard"}); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := s.view(func(t *tx) error { _, err := s.look(t, benchPath(b, n)); return err }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
