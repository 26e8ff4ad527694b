package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

// The root of a vault is sealed twice: in the wrap, which every command of the owner opens, and in an age file. A
// verification names the seal that does not hold, and the next rewrite makes both anew.

// anotherRoot is a root that is not that of the vault.
func anotherRoot() *keys.Root { return keys.NewRoot(keys.Random()) }

func TestBothSealsOfTheRootAreVerified(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		wrap  bool
		of    func(v *victim, s *Session, was []byte) []byte // what is put in the place of the seal
		find  string
		opens error // how the owner's key then opens the vault
	}{
		"the age file is altered": {false, func(_ *victim, _ *Session, was []byte) []byte {
			was[len(was)-1] ^= 1
			return was
		}, "it does not decrypt with the owner key", nil},
		"the age file is gone": {false, func(*victim, *Session, []byte) []byte { return nil },
			"it does not decrypt with the owner key", nil},
		"the age file has another root": {false, func(v *victim, _ *Session, _ []byte) []byte {
			k := keys.Random()
			sealed, err := keys.SealFor(v.owner, k[:])
			if err != nil {
				v.t.Fatal(err)
			}
			return sealed
		}, "it is not the root of this vault", nil},
		"the age file has more than the root": {false, func(v *victim, s *Session, _ []byte) []byte {
			sealed, err := keys.SealFor(v.owner, append(bytes.Clone(s.root.Key[:]), 0))
			if err != nil {
				v.t.Fatal(err)
			}
			return sealed
		}, "it is not the root of this vault", nil},
		"the wrap is altered": {true, func(_ *victim, _ *Session, was []byte) []byte {
			was[len(was)-1] ^= 1
			return was
		}, "it does not decrypt with the owner key", ErrDamaged},
		"the wrap is gone": {true, func(*victim, *Session, []byte) []byte { return nil },
			"it does not decrypt with the owner key", ErrWrongKey},
		"the wrap is of another vault": {true, func(v *victim, _ *Session, _ []byte) []byte {
			sealed, err := anotherRoot().Wrap(v.owner)
			if err != nil {
				v.t.Fatal(err)
			}
			return sealed
		}, "it does not decrypt with the owner key", ErrDamaged},
		"the wrap has another root": {true, func(v *victim, s *Session, _ []byte) []byte {
			other := anotherRoot()
			other.Vault = s.root.Vault
			sealed, err := other.Wrap(v.owner)
			if err != nil {
				v.t.Fatal(err)
			}
			return sealed
		}, "it is not the root of this vault", ErrDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			v, file := newVictim(t), filepath.Join(t.TempDir(), "as-it-was.db")
			seal := metaRoot
			if c.wrap {
				seal = v.wrapName()
			}
			v.do(func(s *Session) { // the owner's session is open already
				err := s.v.db.Update(func(b *bolt.Tx) error {
					was, err := b.Get(bucketMeta, []byte(seal))
					if err != nil {
						return err
					}
					if now := c.of(v, s, bytes.Clone(was)); now != nil {
						return b.Put(bucketMeta, []byte(seal), now)
					}
					return b.Delete(bucketMeta, []byte(seal))
				})
				if err != nil {
					t.Fatal(err)
				}
				r, err := s.Verify(false)
				if err != nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "meta/"+seal+": "+c.find) {
					t.Errorf("the verification found %q, %v", r.Problems, err)
				}
				if b, err := os.ReadFile(v.path); err != nil || os.WriteFile(file, b, 0o600) != nil {
					t.Fatal(err)
				}
				if _, err := s.Rekey(); err != nil {
					t.Fatal(err)
				}
			})
			opened, err := Open(file, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			_, err = opened.Owner(v.owner)
			if !errors.Is(err, c.opens) {
				t.Errorf("the owner's key opens it: %v", err)
			}
			if name == "the wrap has another root" && !strings.Contains(err.Error(), "its id does not match its owner") {
				t.Errorf("it says %v", err)
			}
			if found := v.problems(); found != "" {
				t.Errorf("after the next rewrite, the verification found %q", found)
			}
		})
	}
}

// A session that gave the vault to another owner key goes on with that key.
func TestTheNextOwnersSeals(t *testing.T) {
	v := newVictim(t)
	next, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	v.do(func(s *Session) {
		if _, _, err := s.RekeyOwner(NewOwnership(next), filepath.Join(t.TempDir(), "log.jsonl")); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Verify(true); err != nil || len(r.Problems) > 0 {
			t.Errorf("in the same session, the verification found %q, %v", r.Problems, err)
		}
	})
	opened, err := Open(v.path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if _, err := opened.Owner(v.owner); !errors.Is(err, ErrWrongKey) {
		t.Errorf("the owner key before: %v", err)
	}
	if _, err := opened.Owner(next); err != nil {
		t.Error(err)
	}
}

// What does not belong to the owner's root is named: the bind of format 1, and the wrap of another identity.
func TestOtherSealsAreNamed(t *testing.T) {
	v := newVictim(t)
	other, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	v.give(bucketMeta, []byte(metaBind), make([]byte, 32))
	v.give(bucketMeta, []byte(other.WrapName(v.id())), v.take(bucketMeta, []byte(v.wrapName())))
	found := v.problems()
	for _, name := range []string{metaBind, other.WrapName(v.id())} {
		if !strings.Contains(found, fmt.Sprintf("meta/%q: it does not belong in a vault", name)) {
			t.Errorf("the verification does not name %s:\n%s", name, found)
		}
	}
	v.do(func(s *Session) {
		if _, err := s.Rekey(); err != nil {
			t.Fatal(err)
		}
	})
	if found := v.problems(); found != "" {
		t.Errorf("after the next rewrite, the verification found %q", found)
	}
}

// A salvage takes the root from the wrap, or from the age file if the wrap or the bind of format 1 says that the
// owner made it.
func TestSalvageFindsTheRoot(t *testing.T) {
	owner, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	root, foreign := anotherRoot(), anotherRoot()
	element := func(name string, value []byte) bolt.Element {
		return bolt.Element{Key: []byte(name), Value: value, Rank: bolt.InNewest}
	}
	age := func(id *Identity, r *keys.Root) bolt.Element {
		sealed, err := keys.SealFor(id, r.Key[:])
		if err != nil {
			t.Fatal(err)
		}
		return element(metaRoot, sealed)
	}
	wrap := func(id *Identity, r *keys.Root) bolt.Element {
		sealed, err := r.Wrap(id)
		if err != nil {
			t.Fatal(err)
		}
		return element(id.WrapName(r.Vault), sealed)
	}
	id := func(r *keys.Root) bolt.Element { return element(metaVault, r.Vault[:]) }
	bind := func(of *Identity, r *keys.Root) bolt.Element {
		mac := r.Bind(of)
		return element(metaBind, mac[:])
	}
	altered := func(e bolt.Element) bolt.Element {
		e.Value = bytes.Clone(e.Value)
		e.Value[len(e.Value)-1] ^= 1
		return e
	}
	odd := *foreign
	odd.Vault = root.Vault
	for name, c := range map[string]struct {
		found []bolt.Element
		opens bool
		seals int
	}{
		"all of it":                          {[]bolt.Element{id(root), age(owner, root), wrap(owner, root)}, true, 2},
		"no age file":                        {[]bolt.Element{id(root), wrap(owner, root)}, true, 1},
		"an altered age file":                {[]bolt.Element{id(root), altered(age(owner, root)), wrap(owner, root)}, true, 2},
		"a foreign age file":                 {[]bolt.Element{id(root), age(owner, foreign), wrap(owner, root)}, true, 2},
		"no id":                              {[]bolt.Element{age(owner, root), wrap(owner, root)}, true, 2},
		"an altered id":                      {[]bolt.Element{altered(id(root)), age(owner, root), wrap(owner, root)}, true, 2},
		"an id that is none":                 {[]bolt.Element{element(metaVault, nil), age(owner, root), wrap(owner, root)}, true, 2},
		"another id first":                   {[]bolt.Element{id(foreign), id(root), wrap(owner, root)}, true, 1},
		"an altered wrap first":              {[]bolt.Element{id(root), altered(wrap(owner, root)), wrap(owner, root)}, true, 2},
		"format 1":                           {[]bolt.Element{id(root), age(owner, root), bind(owner, root)}, true, 1},
		"format 1, with a foreign bind, too": {[]bolt.Element{bind(owner, foreign), age(owner, root), bind(owner, root)}, true, 1},

		"nothing":                             {nil, false, 0},
		"a secret of that namespace":          {[]bolt.Element{element(keys.WrapPrefix+"KEY", nil)}, false, 0},
		"no seal":                             {[]bolt.Element{id(root), bind(owner, root)}, false, 0},
		"an age file that anybody can make":   {[]bolt.Element{id(root), age(owner, root)}, false, 1},
		"with an altered wrap":                {[]bolt.Element{id(root), age(owner, root), altered(wrap(owner, root))}, false, 2},
		"with an altered bind":                {[]bolt.Element{id(root), age(owner, root), altered(bind(owner, root))}, false, 1},
		"with the wrap of another vault":      {[]bolt.Element{id(root), age(owner, root), wrap(owner, foreign)}, false, 2},
		"with the bind of another vault":      {[]bolt.Element{id(root), age(owner, root), bind(owner, foreign)}, false, 1},
		"a wrap alone, and no id":             {[]bolt.Element{wrap(owner, root)}, false, 1},
		"a wrap with another root":            {[]bolt.Element{id(root), wrap(owner, &odd)}, false, 1},
		"an age file and a wrap of another's": {[]bolt.Element{id(root), age(stranger, root), wrap(stranger, root)}, false, 2},
	} {
		w := &salvage{id: owner, found: c.found}
		switch got, seals := w.findRoot(); {
		case seals != c.seals:
			t.Errorf("%s: %d seals, want %d", name, seals, c.seals)
		case (got != nil) != c.opens, got != nil && got.Key != root.Key:
			t.Errorf("%s: the root is found: %v, and it is the owner's: %v", name, got != nil, c.opens)
		}
	}
	// Nobody can make a salvage try each of many wraps with each of many ids.
	const many = 3000
	w := &salvage{id: owner}
	for n := range uint32(many) {
		junk := altered(wrap(owner, root))
		w.found = append(w.found, element(metaVault, binary.BigEndian.AppendUint32(make([]byte, 12), n)), junk)
	}
	start := time.Now()
	if got, seals := w.findRoot(); got != nil || seals != many {
		t.Errorf("a root is found among junk, or %d seals", seals)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v to look at %d wraps and ids", took, many)
	}
}

// A file of which the age file of the root is lost is salvaged by the wrap. One of which both are lost is not. A
// salvaged vault has both.
func TestSalvageWithoutASeal(t *testing.T) {
	v := newVictim(t)
	v.do(func(s *Session) { // so that no page has an old copy
		if err := s.Compact(""); err != nil {
			t.Fatal(err)
		}
	})
	whole, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	lose := func(names ...string) string {
		b := bytes.Clone(whole)
		for _, name := range names {
			value := v.take(bucketMeta, []byte(name))
			at := bytes.Index(b, value)
			if at < 0 {
				t.Fatalf("the file has no %s", name)
			}
			for ; at >= 0; at = bytes.Index(b, value) {
				b[at+len(value)-1] ^= 1
			}
		}
		file := filepath.Join(t.TempDir(), "damaged.db")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	to := filepath.Join(t.TempDir(), "new.db")
	if _, err := Salvage(lose(metaRoot, v.wrapName()), to, v.owner, Options{}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("without both seals: %v", err)
	}
	r, err := Salvage(lose(metaRoot), to, v.owner, Options{})
	if err != nil || len(r.Lost) > 0 {
		t.Fatalf("without the age file: %v, and lost is %q", err, r.Lost)
	}
	saved := &victim{t: t, path: to, owner: v.owner}
	if value, err := saved.get(); err != nil || value != "three" {
		t.Errorf("the salvaged value is %q, %v", value, err)
	}
	if found := saved.problems(); found != "" {
		t.Errorf("the salvaged vault: %s", found)
	}
}

// In format 1, the bind ties the root to the owner. The next rewrite makes a wrap, and leaves the bind out.
func TestTheRootOfFormat1(t *testing.T) {
	old := Options{oldFormat: keys.Format1}
	make1 := func() *victim {
		owner, err := NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		v := &victim{t: t, path: filepath.Join(t.TempDir(), "vault.db"), owner: owner, opts: old}
		if _, err := Create(v.path, owner, old); err != nil {
			t.Fatal(err)
		}
		v.do(func(s *Session) { v.set(s, "a/K", "three") })
		return v
	}
	root := func(v *victim) (root keys.Root) {
		v.do(func(s *Session) { root = *s.root })
		return root
	}
	none := func([]byte, *victim) []byte { return nil }
	altered := func(was []byte, _ *victim) []byte {
		was[len(was)-1] ^= 1
		return was
	}
	for name, c := range map[string]struct {
		name string
		of   func(was []byte, v *victim) []byte
		want error
		says string
	}{
		"no bind":         {metaBind, none, ErrDamaged, "somebody who does not have this owner key"},
		"an altered bind": {metaBind, altered, ErrDamaged, "somebody who does not have this owner key"},
		"another's bind": {metaBind, func(_ []byte, v *victim) []byte {
			mallory, r := make1(), root(v)
			mac := r.Bind(mallory.owner)
			return mac[:]
		}, ErrDamaged, "somebody who does not have this owner key"},
		"no root":         {metaRoot, none, ErrWrongKey, "does not open the vault"},
		"an altered root": {metaRoot, altered, ErrWrongKey, "does not open the vault"},
		"another's root": {metaRoot, func(_ []byte, v *victim) []byte {
			r := root(make1())
			sealed, err := keys.SealFor(v.owner, r.Key[:])
			if err != nil {
				t.Fatal(err)
			}
			return sealed
		}, ErrDamaged, "somebody who does not have this owner key"},
	} {
		v := make1()
		now := c.of(v.take(bucketMeta, []byte(c.name)), v)
		v.edit(func(b func(string) *bbolt.Bucket) {
			if err := b(bucketMeta).Delete([]byte(c.name)); err != nil {
				t.Fatal(err)
			}
		})
		if now != nil {
			v.give(bucketMeta, []byte(c.name), now)
		}
		opened, err := Open(v.path, old)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := opened.Owner(v.owner); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if err := opened.Close(); err != nil {
			t.Fatal(err)
		}
	}

	v := make1()
	if found := v.problems(); found != "" {
		t.Errorf("the verification found %q", found)
	}
	v.take(bucketMeta, []byte(metaBind))
	v.opts = Options{}
	v.do(func(s *Session) {
		if _, err := s.Rekey(); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Verify(true); err != nil || len(r.Problems) > 0 {
			t.Errorf("in the session of the rewrite, the verification found %q, %v", r.Problems, err)
		}
	})
	if found := v.problems(); found != "" {
		t.Errorf("after the rewrite, the verification found %q", found)
	}
	v.take(bucketMeta, []byte(v.wrapName()))
	v.edit(func(b func(string) *bbolt.Bucket) {
		if b(bucketMeta).Get([]byte(metaBind)) != nil {
			t.Error("the bind is still there")
		}
	})
}
