package keys

import (
	"testing"

	"ass/tokens"
)

func BenchmarkSeal(b *testing.B) {
	k, ctx, value := Random(), make([]byte, 100), make([]byte, 40)
	for b.Loop() {
		if _, err := Seal(k, ctx, value); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k, ctx := Random(), make([]byte, 100)
	sealed, err := Seal(k, ctx, make([]byte, 40))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Open(k, ctx, sealed); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDerive measures the key derivations that come before anything is opened: the key of
// a secret, and the keys of a grantee and of the owner's root.
func BenchmarkDerive(b *testing.B) {
	k := Random()
	p, err := tokens.ParsePath("production/svc0/KEY_1")
	if err != nil {
		b.Fatal(err)
	}
	for _, derive := range []struct {
		what string
		from func()
	}{
		{"path", func() { secretKey(k, p) }},
		{"grantee", func() { NewGrantee(k) }},
		{"root", func() { NewRoot(k) }},
	} {
		b.Run(derive.what, func(b *testing.B) {
			for b.Loop() {
				derive.from()
			}
		})
	}
}

// BenchmarkIdentity measures what a command of the owner does with the owner key: it reads the text, and
// opens the root, from the age file or from the wrap.
func BenchmarkIdentity(b *testing.B) {
	made, err := NewIdentity()
	if err != nil {
		b.Fatal(err)
	}
	root := NewRoot(Random())
	sealed, err := SealFor(made, root.Key[:])
	if err != nil {
		b.Fatal(err)
	}
	wrap, err := root.Wrap(made)
	if err != nil {
		b.Fatal(err)
	}
	for _, do := range []struct {
		what string
		with func(id *Identity) error
	}{
		{"read", func(*Identity) error { return nil }},
		{"wrap", func(id *Identity) error { _, err := OpenWrap(id, root.Vault, wrap); return err }},
		{"age file", func(id *Identity) error { _, err := OpenAs(id, sealed); return err }},
	} {
		b.Run(do.what, func(b *testing.B) {
			for b.Loop() {
				id, err := ParseIdentity(made.Text())
				if err == nil {
					err = do.with(id)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
