package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

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
		"an entry that is no event": {func(l *log) []byte {
			l.values[3] = Entry{By: Owner, Body: []byte("x"), Sig: []byte("sig")}.encode()
			return archiveOf(t, l, nil)
		}, "audit entry 4: body of 1 bytes is not an event"},
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
			l.values[3][len(l.values[3])-80] ^= 1
			return archiveOf(t, l, nil)
		}, "audit entry 4: invalid signature for author"},
		"empty":   {func(*log) []byte { return nil }, "not an archive"},
		"no JSON": {func(*log) []byte { return []byte("x\n") }, "not an archive"},
		"another format": {func(l *log) []byte {
			return bytes.Replace(archiveOf(t, l, nil), []byte("ass/2"), []byte("ass/3"), 1)
		}, "not an archive"},
		"half an owner key": {func(l *log) []byte {
			return archiveOf(t, l, func(h *ArchiveHeader) { h.OwnerKey = h.OwnerKey[:16] })
		}, "not an archive"},
		"half a MAC": {func(l *log) []byte {
			return archiveOf(t, l, func(h *ArchiveHeader) { h.PrevMAC = h.PrevMAC[:16] })
		}, "not an archive"},
		"a vault that is no number": {func(l *log) []byte {
			return archiveOf(t, l, func(h *ArchiveHeader) { h.Vault = strings.Repeat("x", 32) })
		}, "does not match the vault"},
		"half a vault id": {func(l *log) []byte {
			return archiveOf(t, l, func(h *ArchiveHeader) { h.Vault = h.Vault[:16] })
		}, "does not match the vault"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newArchivedLog(t)
			_, of := ownerOf(l)
			b := c.do(l)
			seen := 0
			_, findings, err := VerifyArchive(bytes.NewReader(b), of, func(uint64, [MACSize]byte, Event) { seen++ })
			var got []string
			for _, f := range findings {
				got = append(got, f.String())
				if f.To != 0 && f.To < f.Seq {
					t.Errorf("%s ends at %d", f, f.To)
				}
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

// The owner's signature is over every byte, and what the owner signed is still an archive only if its
// lines are entries in their order.
func TestArchiveLines(t *testing.T) {
	const notNext = "is not the next entry"
	for name, c := range map[string]struct {
		change func(lines []string) []string // of the header and the entries
		end    func(l *log, vault, sum string, end *archiveEnd)
		want   string
	}{
		"whole":          {nil, nil, ""},
		"an entry twice": {func(lines []string) []string { return slices.Insert(lines, 3, lines[2]) }, nil, notNext},
		"two entries swapped": {func(lines []string) []string {
			lines[2], lines[3] = lines[3], lines[2]
			return lines
		}, nil, notNext},
		"a line of no archive": {func(lines []string) []string { return append(lines, `{"seq":9,"more":1}`) }, nil, notNext},
		"a line that is empty": {func(lines []string) []string { return append(lines, "") }, nil, notNext},
		"another signer": {nil, func(l *log, vault, sum string, end *archiveEnd) {
			end.Signature = ed25519.Sign(l.other, archiveSigned(vault, sum))
		}, "signature is invalid"},
		"of another vault": {nil, func(l *log, _, sum string, end *archiveEnd) {
			end.Signature = ed25519.Sign(l.owner, archiveSigned("00", sum))
		}, "signature is invalid"},
		"another sum": {nil, func(_ *log, _, sum string, end *archiveEnd) { end.SHA256 = strings.ToUpper(sum) },
			"signature is invalid"},
	} {
		l := newArchivedLog(t)
		vault, of := ownerOf(l)
		lines := strings.Split(strings.TrimSpace(string(archiveOf(t, l, nil))), "\n")
		lines = lines[:len(lines)-1]
		if c.change != nil {
			lines = c.change(lines)
		}
		content := strings.Join(lines, "\n") + "\n"
		digest := sha256.Sum256([]byte(content))
		sum := hex.EncodeToString(digest[:])
		end := archiveEnd{sum, ed25519.Sign(l.owner, archiveSigned(vault, sum))}
		if c.end != nil {
			c.end(l, vault, sum, &end)
		}
		last, err := json.Marshal(end)
		if err != nil {
			t.Fatal(err)
		}
		_, findings, err := VerifyArchive(strings.NewReader(content+string(last)+"\n"), of, nil)
		if got := fmt.Sprint(err); len(findings) > 0 || c.want == "" && err != nil || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %s, want %q; %v", name, got, c.want, findings)
		}
	}
}

// An archive that cannot be read to its end was not altered: the disk fails.
func TestArchiveReadFails(t *testing.T) {
	l := newArchivedLog(t)
	_, of := ownerOf(l)
	b := archiveOf(t, l, nil)
	half := b[:bytes.IndexByte(b, '\n')+1]
	failing := io.MultiReader(bytes.NewReader(half), iotest.ErrReader(errors.New("input/output error")))
	if _, _, err := VerifyArchive(failing, of, nil); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("got %v", err)
	}
}

// A vault's id has 16 bytes, whatever the caller takes for one.
func TestArchiveOfNoVault(t *testing.T) {
	for _, vault := range []string{"", "00", strings.Repeat("x", 32), strings.Repeat("00", 17)} {
		b := archiveOf(t, newArchivedLog(t), func(h *ArchiveHeader) { h.Vault = vault })
		of := func(ed25519.PublicKey) string { return vault }
		if _, _, err := VerifyArchive(bytes.NewReader(b), of, nil); err == nil {
			t.Errorf("an archive of the vault %q passes", vault)
		}
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

// An archive has the stored bytes of each entry, also of one that is no text, or no entry at all.
func TestArchiveKeepsWhatIsStored(t *testing.T) {
	whole := Entry{By: "agt_1", Body: []byte(`{"a":"<K>&"}`), Sig: []byte("sig"), MAC: [MACSize]byte{1}}
	binary, stranger := whole, whole
	binary.Body, stranger.By = []byte("\xff\x00"), "\xff"
	for name, c := range map[string]struct {
		value []byte
		want  archiveLine
	}{
		"text": {whole.encode(), archiveLine{Seq: 7, By: "agt_1", Body: `{"a":"<K>&"}`, Sig: whole.Sig, MAC: whole.MAC[:]}},
		"no text": {binary.encode(), archiveLine{Seq: 7, By: "agt_1", Body64: binary.Body, Sig: whole.Sig,
			MAC: whole.MAC[:]}},
		"an author that is no text": {stranger.encode(), archiveLine{Seq: 7, Raw: stranger.encode()}},
		"no entry":                  {[]byte("x"), archiveLine{Seq: 7, Raw: []byte("x")}},
	} {
		l := newLog()
		l.keys, l.values = [][]byte{Key(7)}, [][]byte{c.value}
		lines := bytes.Split(archiveOf(t, l, nil), []byte("\n"))
		var got archiveLine
		if err := DecodeStrict(lines[1], &got); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, want %+v: %v", name, got, c.want, err)
		}
	}
}

// failingWriter fails at its last write.
type failingWriter struct{ left int }

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.left--; w.left == 0 {
		return 0, errors.New("disk full")
	}
	return len(b), nil
}

// An archive that cannot be written to its end is no archive, wherever the writing stops: then the
// entries must stay in the log.
func TestArchiveWriteFails(t *testing.T) {
	l := newArchivedLog(t)
	entries := func(yield func(k, v []byte) bool) {
		for i, k := range l.keys {
			if !yield(k, l.values[i]) {
				return
			}
		}
	}
	const writes = 6 // the header, four entries, the signature
	for at := 1; at <= writes; at++ {
		if _, err := WriteArchive(&failingWriter{at}, ArchiveHeader{}, l.owner, entries); err == nil {
			t.Errorf("write %d fails, and nobody hears of it", at)
		}
	}
	if _, err := WriteArchive(&failingWriter{writes + 1}, ArchiveHeader{}, l.owner, entries); err != nil {
		t.Errorf("without a failure: %v", err)
	}
}
