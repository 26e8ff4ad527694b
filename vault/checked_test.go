package vault

import (
	"bytes"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/vault/internal/bolt"
)

// All cores check records, but what is wrong with them is told in the order of their keys.
func TestProblemsComeInOrder(t *testing.T) {
	s := benchVault(t, 300)
	var want []string
	err := s.v.db.Update(func(b *bolt.Tx) error {
		for _, bucket := range []string{bucketSecrets, bucketVersions} {
			var list [][]byte
			if err := b.Walk(bucket, nil, func(k, _ []byte) error { list = append(list, bytes.Clone(k)); return nil }); err != nil {
				return err
			}
			for i := 0; i < len(list); i += 7 {
				v, err := b.Get(bucket, list[i])
				if err != nil {
					return err
				}
				v = bytes.Clone(v)
				v[len(v)-1] ^= 1
				if err := b.Put(bucket, list[i], v); err != nil {
					return err
				}
				want = append(want, badMAC(bucket, list[i]).Error())
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Check()
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, "records: they do not match the head") // the MACs of some are others
	if len(r.Problems) != len(want) || !slices.EqualFunc(r.Problems, want, strings.HasPrefix) {
		t.Errorf("found %d problems, not %d:\n%s\nnot\n%s", len(r.Problems), len(want), strings.Join(r.Problems, "\n"),
			strings.Join(want, "\n"))
	}
}

// If a worker panics while it checks records, the caller gets the panic, and nobody is left at work.
func TestPanicOfACheck(t *testing.T) {
	s := benchVault(t, 200)
	before := runtime.NumGoroutine()
	func() {
		defer func() {
			if p := recover(); p != "worker" {
				t.Errorf("the panic is %v", p)
			}
		}()
		err := s.view(func(tx *tx) error {
			more := func() func(*checked[versionBody]) {
				return func(c *checked[versionBody]) {
					if text, _, _ := cutVersionKey(c.k); text == benchPath(t, 100).String() {
						panic("worker")
					}
				}
			}
			return checkAll(tx, versionKind, more, func(*checked[versionBody]) error { return nil })
		})
		t.Errorf("no panic, but %v", err)
	}()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left, after %d", runtime.NumGoroutine(), before)
		}
	}
}
