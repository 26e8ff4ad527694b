package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cloudflare/circl/sign/ed25519"
)

// foundIn verifies an archive. It returns the findings and the error, a line for each, and how
// many entries were shown.
func foundIn(r io.Reader, of func(ed25519.PublicKey) string) (found string, shown int) {
	_, findings, err := VerifyArchive(r, of, func(uint64, [MACSize]byte, Event) { shown++ })
	var lines []string
	for _, f := range findings {
		lines = append(lines, f.String())
	}
	if err != nil {
		lines = append(lines, err.Error())
	}
	return strings.Join(lines, "\n"), shown
}

// An archive knows who may sign its entries: whom its header names, and whom its entries
// introduce, until they end.
func TestArchiveSigners(t *testing.T) {
	third := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, ed25519.SeedSize))
	pub := func(k ed25519.PrivateKey) []byte { return k.Public().(ed25519.PublicKey) }
	tells := func(event, id string, key []byte) Event {
		text := base64.StdEncoding.EncodeToString(key)
		return Event{Type: event, ResourceID: id, Metadata: map[string]any{"public_key": text}}
	}
	const unknown, invalid = `is unknown`, `invalid signature for author`
	for name, c := range map[string]struct {
		actors []ArchiveActor // in the header
		add    func(l *log, owner, agent func(Event), as func(string, ed25519.PrivateKey))
		want   string // about the last entry; "" for nothing
	}{
		"an agent's next key": {nil, func(l *log, owner, _ func(Event), as func(string, ed25519.PrivateKey)) {
			owner(tells(AgentKeyRotated, "agt_1", pub(third)))
			as("agt_1", third)
		}, ""},
		"the key before it": {nil, func(l *log, owner, _ func(Event), as func(string, ed25519.PrivateKey)) {
			owner(tells(AgentKeyRotated, "agt_1", pub(third)))
			as("agt_1", l.other)
		}, invalid},
		"a revoked agent": {nil, func(l *log, owner, _ func(Event), as func(string, ed25519.PrivateKey)) {
			owner(Event{Type: AgentRevoked, ResourceID: "agt_1"})
			as("agt_1", l.other)
		}, unknown},
		"a revoked agent, whose key the entry names": {nil, func(l *log, owner, _ func(Event),
			as func(string, ed25519.PrivateKey)) {
			owner(tells(AgentRevoked, "agt_1", pub(l.other)))
			as("agt_1", l.other)
		}, unknown},
		"an agent that an agent created": {nil, func(_ *log, _, agent func(Event), as func(string, ed25519.PrivateKey)) {
			agent(tells(AgentCreated, "agt_2", pub(third)))
			as("agt_2", third)
		}, unknown},
		"an agent with half a key": {nil, func(_ *log, owner, _ func(Event), as func(string, ed25519.PrivateKey)) {
			owner(tells(AgentCreated, "agt_2", pub(third)[:16]))
			as("agt_2", third)
		}, unknown},
		"an agent with the owner's name": {nil, func(_ *log, owner, _ func(Event), as func(string, ed25519.PrivateKey)) {
			owner(tells(AgentCreated, Owner, pub(third)))
			as(Owner, third)
		}, invalid},
		"a token": {nil, func(_ *log, _, agent func(Event), as func(string, ed25519.PrivateKey)) {
			agent(tells(TokenIssued, "t1", pub(third)))
			as("t1", third)
		}, ""},
		"a token with half a key": {nil, func(_ *log, _, agent func(Event), as func(string, ed25519.PrivateKey)) {
			agent(tells(TokenIssued, "t1", pub(third)[:16]))
			as("t1", third)
		}, unknown},
		"a token of a revoked agent": {nil, func(_ *log, owner, agent func(Event), as func(string, ed25519.PrivateKey)) {
			agent(tells(TokenIssued, "t1", pub(third)))
			owner(Event{Type: AgentRevoked, ResourceID: "agt_1"})
			as("t1", third)
		}, unknown},
		"a token of a key that was replaced": {nil, func(l *log, owner, agent func(Event),
			as func(string, ed25519.PrivateKey)) {
			agent(tells(TokenIssued, "t1", pub(third)))
			owner(tells(AgentKeyRotated, "agt_1", pub(l.other)))
			as("t1", third)
		}, unknown},
		"a token that a token issued": {nil, func(l *log, owner, agent func(Event), as func(string, ed25519.PrivateKey)) {
			agent(tells(TokenIssued, "t1", pub(third)))
			l.add(t, "t1", third, tells(TokenIssued, "t2", pub(third)))
			as("t2", third)
		}, unknown},
		"a token with the name of an agent": {nil, func(l *log, owner, agent func(Event),
			as func(string, ed25519.PrivateKey)) {
			owner(tells(AgentCreated, "agt_2", pub(l.other)))
			agent(tells(TokenIssued, "agt_2", pub(third)))
			as("agt_2", third)
		}, invalid},
		"an agent of the header": {[]ArchiveActor{{ID: "agt_9", PublicKey: pub(third)}}, func(_ *log, _, _ func(Event),
			as func(string, ed25519.PrivateKey)) {
			as("agt_9", third)
		}, ""},
		"an agent of the header with half a key": {[]ArchiveActor{{ID: "agt_9", PublicKey: pub(third)[:16]}}, func(_ *log, _,
			_ func(Event), as func(string, ed25519.PrivateKey)) {
			as("agt_9", third)
		}, unknown},
		"the owner's name in the header": {[]ArchiveActor{{ID: Owner, PublicKey: pub(third)}}, func(_ *log, _, _ func(Event),
			as func(string, ed25519.PrivateKey)) {
			as(Owner, third)
		}, invalid},
		"a token of the header, its agent revoked": {[]ArchiveActor{{ID: "t9", PublicKey: pub(third), Issuer: "agt_1"}},
			func(_ *log, owner, _ func(Event), as func(string, ed25519.PrivateKey)) {
				owner(Event{Type: AgentRevoked, ResourceID: "agt_1"})
				as("t9", third)
			}, unknown},
		"a token that a token of the header issued": {[]ArchiveActor{{ID: "t9", PublicKey: pub(third), Issuer: Owner}},
			func(l *log, _, _ func(Event), as func(string, ed25519.PrivateKey)) {
				l.add(t, "t9", third, tells(TokenIssued, "t2", pub(third)))
				as("t2", third)
			}, unknown},
		"an agent that begins an epoch": {nil, func(_ *log, _, agent func(Event), _ func(string, ed25519.PrivateKey)) {
			agent(Event{Type: VaultRewritten, Epoch: 2})
		}, invalid},
		"an epoch that begins twice": {nil, func(_ *log, owner, _ func(Event), _ func(string, ed25519.PrivateKey)) {
			owner(Event{Type: VaultRewritten, Epoch: 2})
			owner(Event{Type: VaultRewritten, Epoch: 1})
		}, invalid},
	} {
		t.Run(name, func(t *testing.T) {
			l := newArchivedLog(t)
			c.add(l, func(ev Event) { l.add(t, Owner, l.owner, ev) }, func(ev Event) { l.add(t, "agt_1", l.other, ev) },
				func(by string, sign ed25519.PrivateKey) {
					l.add(t, by, sign, Event{Type: SecretRead, ResourceID: "a/K"})
				})
			_, of := ownerOf(l)
			b := archiveOf(t, l, func(h *ArchiveHeader) { h.Actors = append(h.Actors, c.actors...) })
			found, _ := foundIn(bytes.NewReader(b), of)
			last := Finding{Seq: l.at.Seq}.String()
			if c.want == "" && found != "" || c.want != "" && (strings.Contains(found, "\n") ||
				!strings.HasPrefix(found, last) || !strings.Contains(found, c.want)) {
				t.Errorf("found %q, want about the last entry alone: %q", found, c.want)
			}
		})
	}
}

// Anybody can make an archive of a vault of their own, with any lines in it. VerifyArchive
// refuses what [WriteArchive] does not write, and every line that changed after the owner signed.
func TestArchiveForm(t *testing.T) {
	// signs replaces the last line, so that the owner has signed the others as they are.
	signs := func(l *log, lines []string) []string {
		vault, _ := ownerOf(l)
		lines = lines[:len(lines)-1]
		sum := sha256.Sum256([]byte(strings.Join(lines, "\n") + "\n"))
		text := hex.EncodeToString(sum[:])
		end, err := json.Marshal(archiveEnd{text, ed25519.Sign(l.owner, archiveSigned(vault, text))})
		if err != nil {
			t.Fatal(err)
		}
		return append(lines, string(end))
	}
	header := func(change func(*ArchiveHeader)) func(*log, []string) []string {
		return func(l *log, lines []string) []string {
			var h ArchiveHeader
			err := json.Unmarshal([]byte(lines[0]), &h)
			change(&h)
			b, jerr := json.Marshal(h)
			if err := errors.Join(err, jerr); err != nil {
				t.Fatal(err)
			}
			lines[0] = string(b)
			return signs(l, lines)
		}
	}
	entry := func(n int, change func(*archiveLine)) func(*log, []string) []string {
		return func(l *log, lines []string) []string {
			var line archiveLine
			err := json.Unmarshal([]byte(lines[n]), &line)
			change(&line)
			b, jerr := json.Marshal(line)
			if err := errors.Join(err, jerr); err != nil {
				t.Fatal(err)
			}
			lines[n] = string(b)
			return signs(l, lines)
		}
	}
	const notOne, modified = "it is not an archive of an audit log", "modified or truncated"
	for name, c := range map[string]struct {
		change func(*log, []string) []string
		want   string
		shown  int // entries that visit gets
	}{
		"as it was":         {func(l *log, lines []string) []string { return signs(l, lines) }, "", 4},
		"another format":    {header(func(h *ArchiveHeader) { h.Format = "ass/3 audit archive" }), notOne, 0},
		"half an owner key": {header(func(h *ArchiveHeader) { h.OwnerKey = h.OwnerKey[:16] }), notOne, 0},
		"half a MAC before": {header(func(h *ArchiveHeader) { h.PrevMAC = h.PrevMAC[:16] }), notOne, 0},
		"half an id":        {header(func(h *ArchiveHeader) { h.Vault = h.Vault[:16] }), "its owner key does not match", 0},
		"an entry changed, and the sum": {func(l *log, lines []string) []string {
			lines[3] = strings.Replace(lines[3], "a/", "b/", 1)
			mine := *l
			mine.owner = l.other
			return signs(&mine, lines)
		}, modified, 4},
		"another sum at the end": {func(_ *log, lines []string) []string {
			end := len(lines) - 1
			lines[end] = strings.Replace(lines[end], `{"sha256":"`, `{"sha256":"0`, 1)
			return lines
		}, modified, 4},
		"another form of the end": {func(_ *log, lines []string) []string {
			end := len(lines) - 1
			lines[end] = " " + lines[end]
			return lines
		}, modified, 4},
		"two entries in the wrong order": {func(l *log, lines []string) []string {
			lines[2], lines[3] = lines[3], lines[2]
			return signs(l, lines)
		}, "the line after entry 3 is not the next entry", 2},
		"an entry twice": {func(l *log, lines []string) []string {
			lines[3] = lines[2]
			return signs(l, lines)
		}, "the line after entry 2 is not the next entry", 2},
		"half the MAC of an entry": {entry(3, func(l *archiveLine) { l.MAC = l.MAC[:16] }),
			"audit entry 3: it was already damaged", 3},
		"an entry that is damaged as well": {entry(3, func(l *archiveLine) { l.Raw = []byte("x") }),
			"audit entry 3: it was already damaged", 3},
		"what follows a damaged entry": {entry(3, func(l *archiveLine) { l.Raw = []byte("x") }),
			"audit entry 4: it cannot be checked, because the entry before it is missing", 3},
		"what follows a missing entry": {func(l *log, lines []string) []string {
			return signs(l, append(lines[:2:2], lines[3:]...))
		}, "audit entry 3: it cannot be checked, because the entry before it is missing", 3},
		"no event": {func(l *log, lines []string) []string {
			e := Entry{By: Owner, Body: []byte("no event")}
			e.Sig = ed25519.Sign(l.owner, e.signedBytes(Place{Epoch: 1}, l.at.Seq+1, l.at.LastMAC))
			b, err := json.Marshal(archiveLine{Seq: l.at.Seq + 1, By: Owner, Body: string(e.Body), Sig: e.Sig, MAC: e.MAC[:]})
			if err != nil {
				t.Fatal(err)
			}
			return signs(l, append(lines[:len(lines)-1], string(b), ""))
		}, "audit entry 5: body of 8 bytes is not an event", 4},
	} {
		t.Run(name, func(t *testing.T) {
			l := newArchivedLog(t)
			whole := strings.Split(strings.TrimSuffix(string(archiveOf(t, l, nil)), "\n"), "\n")
			b := strings.Join(c.change(l, whole), "\n") + "\n"
			// Whoever makes an archive chooses the owner's key, so the vault's id may match.
			found, shown := foundIn(strings.NewReader(b), func(ed25519.PublicKey) string {
				var h ArchiveHeader
				_ = json.Unmarshal([]byte(b[:strings.IndexByte(b, '\n')]), &h)
				return h.Vault
			})
			if c.want == "" && found != "" || !strings.Contains(found, c.want) || shown != c.shown {
				t.Errorf("found %q in %d entries, want %q in %d", found, shown, c.want, c.shown)
			}
		})
	}
	t.Run("a disk that fails", func(t *testing.T) {
		l := newArchivedLog(t)
		_, of := ownerOf(l)
		b := archiveOf(t, l, nil)
		r := io.MultiReader(bytes.NewReader(b[:len(b)/2]), iotest.ErrReader(io.ErrClosedPipe))
		if found, _ := foundIn(r, of); !strings.Contains(found, "it cannot be read to its end: "+io.ErrClosedPipe.Error()) {
			t.Errorf("found %q", found)
		}
	})
}
