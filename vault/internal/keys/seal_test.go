package keys

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Open agrees with package age's streams, though it does not use them. It does so for each length
// around that of a chunk, and for each way to alter a file.
func TestDecryptAsAge(t *testing.T) {
	k, ctx := Key{1}, []byte("context")
	same := func(sealed []byte, what string) (opened bool) {
		t.Helper()
		got, err := Open(k, ctx, sealed)
		want, wantErr := decryptChunks(KeyWrap{k, ctx}, sealed)
		if !bytes.Equal(got, want) || (err == nil) != (wantErr == nil) {
			t.Fatalf("%s: opened %d bytes, %v; age opens %d bytes, %v", what, len(got), err, len(want), wantErr)
		}
		return err == nil
	}
	for _, n := range []int{0, 1, 100, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 200_000} {
		plain := bytes.Repeat([]byte("x"), n)
		sealed, err := Seal(k, ctx, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Open(k, ctx, sealed); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes came back as %d, %v", n, len(got), err)
		}
		if !same(sealed, "whole") || same(append(bytes.Clone(sealed), 0), "longer") || same(sealed[:len(sealed)-1],
			"shorter") {
			t.Errorf("%d bytes: the file opens altered, or does not open", n)
		}
	}
	sealed, err := Seal(k, ctx, []byte("a value"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		same(sealed[:i], "cut")
		for range 4 {
			altered := bytes.Clone(sealed)
			altered[i] ^= byte(1 + rand.IntN(255))
			if same(altered, "altered") {
				t.Errorf("the file opens with byte %d altered", i)
			}
			altered[i] = []byte{'\n', '-', ' ', 0}[rand.IntN(4)]
			same(altered, "altered")
			longer := append(bytes.Clone(sealed[:i]), append([]byte([]string{"\n", "-", "\n---", "\n--- \n"}[rand.IntN(4)]),
				sealed[i:]...)...)
			if same(longer, "longer") {
				t.Errorf("the file opens with something more at byte %d", i)
			}
		}
	}
}
