package vault

import (
	"bytes"
	"io"
	"testing"

	"filippo.io/age"
)

// What is sealed opens here as age opens it, whatever its size; and nothing opens here
// that age refuses.
func TestOpensAsAgeDoes(t *testing.T) {
	k, ctx := randomKey(), []byte("here")
	id := keyWrap{k, ctx}
	both := func(what string, sealed []byte) (opened bool) {
		got, err := decrypt(id, sealed)
		var want []byte
		r, aerr := age.Decrypt(bytes.NewReader(sealed), id)
		if aerr == nil {
			want, aerr = io.ReadAll(r)
		}
		if (err == nil) != (aerr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v; by age: %d bytes, %v", what, len(got), err, len(want), aerr)
		}
		return err == nil
	}
	for _, size := range []int{0, 1, 100, payloadChunk - 1, payloadChunk, payloadChunk + 1, 2 * payloadChunk, 2*payloadChunk + 5} {
		plain := bytes.Repeat([]byte("x"), size)
		sealed, err := seal(k, ctx, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := open(k, ctx, sealed); err != nil || !bytes.Equal(got, plain) || !both("whole", sealed) {
			t.Fatalf("%d bytes do not open: %v", size, err)
		}
		header, err := age.ExtractHeader(bytes.NewReader(sealed))
		if err != nil {
			t.Fatal(err)
		}
		start := len(header) + payloadNonce
		const sealedChunk = payloadChunk + 16
		for _, cut := range []int{0, 10, len(header) - 1, len(header), len(header) + 15, start, start + 1, start + 15, start + 16, start + sealedChunk - 1, start + sealedChunk, start + sealedChunk + 16, start + 2*sealedChunk, len(sealed) - 1} {
			if cut < len(sealed) && both("cut", sealed[:cut]) {
				t.Errorf("%d bytes, cut to %d of %d, open", size, cut, len(sealed))
			}
		}
		for _, more := range []int{1, 16, sealedChunk} {
			if both("longer", append(bytes.Clone(sealed), make([]byte, more)...)) {
				t.Errorf("%d bytes open with %d behind them", size, more)
			}
		}
		for at := 0; at < len(sealed); at += 1 + at/200*97 {
			altered := bytes.Clone(sealed)
			altered[at] ^= 1
			if both("altered", altered) {
				t.Errorf("%d bytes, altered at %d, open", size, at)
			}
		}
		if size == 2*payloadChunk { // chunks that change places
			swapped := bytes.Clone(sealed)
			copy(swapped[start:], sealed[start+sealedChunk:])
			copy(swapped[start+sealedChunk:], sealed[start:start+sealedChunk])
			if both("swapped", swapped) {
				t.Error("chunks that changed places open")
			}
		}
	}
}
