package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/cloudflare/circl/sign/ed25519"
)

// ownerOf stands in for the way that a vault is tied to its owner key. It returns a vault id,
// and a function that returns this id for the log's owner key and "" for other keys.
func ownerOf(l *log) (vault string, of func(ed25519.PublicKey) string) {
	pub := l.owner.Public().(ed25519.PublicKey)
	vault = hex.EncodeToString(make([]byte, 16))
	return vault, func(k ed25519.PublicKey) string {
		if k.Equal(pub) {
			return vault
		}
		return ""
	}
}

// archiveOf writes the log's entries into an archive. change may alter the header.
func archiveOf(t testing.TB, l *log, change func(*ArchiveHeader)) []byte {
	t.Helper()
	vault, _ := ownerOf(l)
	h := ArchiveHeader{Vault: vault, OwnerKey: l.owner.Public().(ed25519.PublicKey), First: 1, Last: uint64(len(l.keys)),
		PrevMAC: make([]byte, MACSize), Actors: []ArchiveActor{}}
	if change != nil {
		change(&h)
	}
	var out bytes.Buffer
	_, err := WriteArchive(&out, h, l.owner, func(yield func(k, v []byte) bool) {
		for i, k := range l.keys {
			if l.values[i] != nil && !yield(k, l.values[i]) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func newArchivedLog(t testing.TB) *log {
	l := newLog()
	l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
	pub := base64.StdEncoding.EncodeToString(l.other.Public().(ed25519.PublicKey))
	l.add(t, Owner, l.owner, Event{Type: AgentCreated, ResourceID: "agt_1", Metadata: map[string]any{"public_key": pub}})
	l.add(t, "agt_1", l.other, Event{Type: SecretRead, ResourceID: "a/<K>&"})
	l.add(t, Owner, l.owner, Event{Type: SecretCreated, ResourceID: "a/K"})
	return l
}

func TestArchive(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*log) []byte
		want string // expected text of a finding or an error; "" for none
	}{
		"whole": {func(l *log) []byte { return archiveOf(t, l, nil) }, ""},
		"an entry missing": {func(l *log) []byte { l.values[2] = nil; return archiveOf(t, l, nil) },
			"audit entry 3: missing"},
		"the last ones missing": {func(l *log) []byte { return archiveOf(t, l, func(h *ArchiveHeader) { h.Last = 9 }) },
			"audit entries 5 to 9: missing"},
		"no entry at its place": {func(l *log) []byte { l.values[1] = []byte("x"); return archiveOf(t, l, nil) },
			"audit entry 2: it was already damaged"},
		"an actor not known": {func(l *log) []byte { l.values[1] = nil; return archiveOf(t, l, nil) },
			"audit entry 2: missing"},
		"another owner": {func(l *log) []byte { l.owner = l.other; return archiveOf(t, l, nil) },
			"its owner key does not match the vault"},
		"cut off": {func(l *log) []byte { b := archiveOf(t, l, nil); return b[:len(b)-100] },
			"modified or truncated"},
		"its end missing": {func(l *log) []byte {
			b := archiveOf(t, l, nil)
			return b[:bytes.LastIndexByte(b[:len(b)-1],
				'\n')+1]
		}, "modified or truncated"},
		"something behind": {func(l *log) []byte { return append(archiveOf(t, l, nil), "x\n"...) },
			"modified or truncated"},
		"an entry signed by another": {func(l *log) []byte {
			l.values[3][len(l.values[3])-40] ^= 1
			return archiveOf(t, l, nil)
		}, "audit entry 4: invalid signature for author"},
		"empty": {func(*log) []byte { return nil }, "not an archive"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newArchivedLog(t)
			_, of := ownerOf(l)
			b := c.do(l)
			seen := 0
			_, findings, err := VerifyArchive(bytes.NewReader(b), of, func(uint64, Event) { seen++ })
			var got []string
			for _, f := range findings {
				got = append(got, f.String())
			}
			if err != nil {
				got = append(got, err.Error())
			}
			if all := strings.Join(got, "\n"); c.want == "" && all != "" || !strings.Contains(all, c.want) {
				t.Errorf("got %q, want %q", all, c.want)
			}
			if c.want == "" && seen != 4 {
				t.Errorf("%d entries were seen", seen)
			}
		})
	}
}

// lines returns b with \n as the line end, and without line ends at its end.
func lines(b []byte) []byte {
	return bytes.TrimRight(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), "\r\n")
}

// VerifyArchive accepts only the archive that the owner signed.
func FuzzArchive(f *testing.F) {
	l := newArchivedLog(f)
	_, of := ownerOf(l)
	good := archiveOf(f, l, nil)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte(`{"format":"ass/1 audit archive"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, _, err := VerifyArchive(bytes.NewReader(b), of, nil); err == nil && !bytes.Equal(lines(b), lines(good)) {
			t.Errorf("%q is taken for an archive", b)
		}
	})
}
