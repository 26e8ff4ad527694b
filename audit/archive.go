package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/cloudflare/circl/sign/ed25519"
)

// An archive is a part of a log that was cut off, kept as a file of lines of JSON:
// a header, the entries as they were stored, and the owner's signature over all of
// it. It verifies by itself: the header has the keys that its first entries need,
// and the entries tell of all others. Only the MACs need the vault's root.

// ArchiveFormat names the format, in the header.
const ArchiveFormat = "ass/1 audit archive"

// ArchiveHeader is the first line of an archive.
type ArchiveHeader struct {
	Format   string         `json:"format"`
	Vault    string         `json:"vault"`     // the vault's id, in hex
	OwnerKey []byte         `json:"owner_key"` // Ed25519
	First    uint64         `json:"first"`
	Last     uint64         `json:"last"`
	Epoch    uint32         `json:"epoch"`    // that the log was in before the first entry
	PrevMAC  []byte         `json:"prev_mac"` // of the entry before the first
	Actors   []ArchiveActor `json:"actors"`   // who may have signed, besides the owner
}

// ArchiveActor is an agent or a token of which entries before the first tell.
type ArchiveActor struct {
	ID        string `json:"id"`
	PublicKey []byte `json:"public_key"`
	Issuer    string `json:"issuer,omitempty"` // of a token
}

// archiveLine is an entry. What is not text is in base64.
type archiveLine struct {
	Seq    uint64 `json:"seq"`
	By     string `json:"by,omitempty"`
	Body   string `json:"body,omitempty"`
	Body64 []byte `json:"body64,omitempty"`
	Sig    []byte `json:"sig,omitempty"`
	MAC    []byte `json:"mac,omitempty"`
	Raw    []byte `json:"raw,omitempty"` // of one that has not the form of an entry
}

type archiveEnd struct {
	SHA256    string `json:"sha256"`    // of all lines before, in hex
	Signature []byte `json:"signature"` // Ed25519 by the owner
}

func archiveSigned(vault, sum string) []byte {
	return lp(lp(lp(nil, []byte("ass/1 audit archive")), []byte(vault)), []byte(sum))
}

// WriteArchive writes entries, as they are stored, signed by the owner. It returns
// the SHA-256 sum, in hex, that the signature covers.
func WriteArchive(w io.Writer, h ArchiveHeader, owner ed25519.PrivateKey, entries iter.Seq2[[]byte, []byte]) (sum string, err error) {
	h.Format = ArchiveFormat
	hash := sha256.New()
	out := json.NewEncoder(io.MultiWriter(w, hash))
	if err := out.Encode(h); err != nil {
		return "", err
	}
	for k, v := range entries {
		line := archiveLine{Seq: Seq(k)}
		e, err := Parse(v)
		switch {
		case err != nil || !utf8.ValidString(e.By):
			line.Raw = v
		case utf8.Valid(e.Body):
			line.By, line.Body, line.Sig, line.MAC = e.By, string(e.Body), e.Sig, e.MAC[:]
		default:
			line.By, line.Body64, line.Sig, line.MAC = e.By, e.Body, e.Sig, e.MAC[:]
		}
		if err := out.Encode(line); err != nil {
			return "", err
		}
	}
	sum = hex.EncodeToString(hash.Sum(nil))
	return sum, json.NewEncoder(w).Encode(archiveEnd{sum, ed25519.Sign(owner, archiveSigned(h.Vault, sum))})
}

// maxArchiveLine is far above what an entry can have; the one long line is that of
// an import.
const maxArchiveLine = 64 << 20

// VerifyArchive checks an archive: its form, that the owner whose key it names
// signed it, and that each entry is signed by its actor and follows the one before.
// That the owner is the right one is for the caller to know, by the id of the vault.
// visit, if set, is called for each entry that can be read. The error is for what is
// no archive at all, or was altered since the owner signed it.
func VerifyArchive(r io.Reader, vaultOf func(owner ed25519.PublicKey) string, visit func(seq uint64, ev Event)) (ArchiveHeader, []Finding, error) {
	var h ArchiveHeader
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxArchiveLine)
	hash := sha256.New()
	notOne := errors.New("it is not an archive of an audit log")
	if !lines.Scan() || DecodeStrict(lines.Bytes(), &h) != nil || h.Format != ArchiveFormat || len(h.OwnerKey) != ed25519.PublicKeySize || len(h.PrevMAC) != MACSize {
		return h, nil, notOne
	}
	id, err := hex.DecodeString(h.Vault)
	if err != nil || len(id) != 16 || vaultOf(h.OwnerKey) != h.Vault {
		return h, nil, errors.New("its owner's key is not that of the vault that it names")
	}
	w := archiveWalk{
		place: Place{[16]byte(id), h.Epoch}, at: Position{Seq: h.First - 1, LastMAC: [32]byte(h.PrevMAC)},
		actors: map[string]ed25519.PublicKey{Owner: h.OwnerKey}, issuers: map[string]string{}, visit: visit,
	}
	for _, a := range h.Actors {
		if len(a.PublicKey) == ed25519.PublicKeySize && a.ID != Owner {
			w.actors[a.ID] = a.PublicKey
			if a.Issuer != "" {
				w.issuers[a.ID] = a.Issuer
			}
		}
	}
	add := func(line []byte) { hash.Write(line); hash.Write([]byte{'\n'}) }
	add(lines.Bytes())
	for lines.Scan() {
		end, is := parseEnd(lines.Bytes())
		if !is {
			add(lines.Bytes())
			if err := w.line(lines.Bytes()); err != nil {
				return h, nil, err
			}
			continue
		}
		sum := hex.EncodeToString(hash.Sum(nil))
		if end.SHA256 != sum || !ed25519.Verify(h.OwnerKey, archiveSigned(h.Vault, sum), end.Signature) || lines.Scan() {
			break
		}
		if w.at.Seq < h.Last {
			w.found(w.at.Seq+1, h.Last, "missing")
		}
		return h, w.findings, nil
	}
	if err := lines.Err(); err != nil {
		return h, nil, fmt.Errorf("it cannot be read to its end: %w", err)
	}
	return h, nil, errors.New("the owner's signature does not match: it was altered, or cut off")
}

// parseEnd reads the last line, which has one form.
func parseEnd(line []byte) (end archiveEnd, ok bool) {
	if DecodeStrict(line, &end) != nil {
		return end, false
	}
	again, err := json.Marshal(end)
	return end, err == nil && bytes.Equal(again, line)
}

// archiveWalk is one run of [VerifyArchive].
type archiveWalk struct {
	place    Place
	at       Position
	torn     bool
	actors   map[string]ed25519.PublicKey
	issuers  map[string]string // of tokens
	visit    func(uint64, Event)
	findings []Finding
}

func (w *archiveWalk) found(from, to uint64, problem string) {
	w.findings = append(w.findings, Finding{Seq: from, To: to, Problem: problem})
}

// line checks one entry. The error is for what no archive has.
func (w *archiveWalk) line(b []byte) error {
	var line archiveLine
	if DecodeStrict(b, &line) != nil || line.Seq <= w.at.Seq {
		return fmt.Errorf("the line behind entry %d is not an entry that can follow: it was altered, or cut off", w.at.Seq)
	}
	if line.Seq > w.at.Seq+1 {
		w.found(w.at.Seq+1, line.Seq-1, "missing")
		w.torn = true
	}
	e := Entry{By: line.By, Body: []byte(line.Body), Sig: line.Sig}
	if line.Body64 != nil {
		e.Body = line.Body64
	}
	if line.Raw != nil || len(line.MAC) != MACSize {
		w.found(line.Seq, 0, "it was no entry when it was archived")
		w.at, w.torn = Position{Seq: line.Seq}, true
		return nil
	}
	e.MAC = [MACSize]byte(line.MAC)
	ev, err := e.Event()
	place := w.place
	if err == nil && ev.Epoch > place.Epoch && e.By == Owner {
		place.Epoch = ev.Epoch
	}
	pub, known := w.actors[e.By]
	switch {
	case w.torn:
		w.found(line.Seq, 0, "it cannot be checked, because the entry before it is missing")
	case err != nil:
		w.found(line.Seq, 0, err.Error())
	case !known:
		w.found(line.Seq, 0, fmt.Sprintf("it is by %q, who is not known here", e.By))
	case !ed25519.Verify(pub, e.signedBytes(place, line.Seq, w.at.LastMAC), e.Sig):
		w.found(line.Seq, 0, fmt.Sprintf("it is not signed by %q, whose name it bears", e.By))
	default:
		w.learn(e.By, ev)
	}
	if err == nil && w.visit != nil {
		w.visit(line.Seq, ev)
	}
	w.at, w.torn, w.place = Position{Seq: line.Seq, LastMAC: e.MAC}, false, place
	return nil
}

// learn takes the keys of agents and tokens out of the entries that tell of them.
func (w *archiveWalk) learn(by string, ev Event) {
	id := ev.ResourceID
	text, _ := ev.Metadata["public_key"].(string)
	pub, err := base64.StdEncoding.DecodeString(text)
	whole := err == nil && len(pub) == ed25519.PublicKeySize
	switch ev.Type {
	case AgentCreated, AgentKeyRotated, AgentRevoked:
		if by != Owner || id == Owner {
			return
		}
		delete(w.actors, id)
		for token, issuer := range w.issuers { // which end with the key
			if issuer == id {
				delete(w.actors, token)
			}
		}
		if whole && ev.Type != AgentRevoked {
			w.actors[id] = pub
		}
	case TokenIssued:
		if _, again := w.actors[id]; whole && !again && w.issuers[by] == "" {
			w.actors[id], w.issuers[id] = pub, by
		}
	}
}
