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

// An archive is a file that holds the log entries that were cut off a log. Its lines
// are JSON: a header, the entries as they were stored, and the owner's signature over
// all of them. An archive verifies by itself: the header has the public keys that the
// first entries need, and the entries announce all others. Only checking the MACs
// needs the vault's root.

// ArchiveFormat is the name of the format, in [ArchiveHeader].
const ArchiveFormat = "ass/2 audit archive"

// archiveFormat1 is the name of the format without owner's MACs.
const archiveFormat1 = "ass/1 audit archive"

// ArchiveHeader is the first line of an archive.
type ArchiveHeader struct {
	Format   string         `json:"format"`    // ArchiveFormat.
	Vault    string         `json:"vault"`     // The vault's id, in hex.
	OwnerKey []byte         `json:"owner_key"` // The owner's Ed25519 key.
	First    uint64         `json:"first"`     // Number of the first entry in the archive.
	Last     uint64         `json:"last"`      // Number of the last entry in the archive.
	Epoch    uint32         `json:"epoch"`     // Epoch of the log before the first entry.
	PrevMAC  []byte         `json:"prev_mac"`  // MAC of the entry before the first.
	Actors   []ArchiveActor `json:"actors"`    // Who may have signed, besides the owner.
}

// ArchiveActor is an agent or a token that entries before the first introduced.
type ArchiveActor struct {
	ID        string `json:"id"`               // Id of the agent or token.
	PublicKey []byte `json:"public_key"`       // Ed25519 key that verifies its entries.
	Issuer    string `json:"issuer,omitempty"` // Id of the issuer, for a token.
}

// archiveLine is one entry. Fields that are not text are in base64.
type archiveLine struct {
	Seq    uint64 `json:"seq"`              // Number of the entry.
	By     string `json:"by,omitempty"`     // Id of its author.
	Body   string `json:"body,omitempty"`   // The event as JSON text.
	Body64 []byte `json:"body64,omitempty"` // The event, if it is no text.
	Sig    []byte `json:"sig,omitempty"`    // Signature of the author.
	Format int    `json:"format,omitempty"` // Format of its epoch, from 2 on.
	OMAC   []byte `json:"omac,omitempty"`   // The owner's MAC.
	MAC    []byte `json:"mac,omitempty"`    // MAC of the entry.
	Raw    []byte `json:"raw,omitempty"`    // The stored value, if it is malformed.
}

type archiveEnd struct {
	SHA256    string `json:"sha256"`    // of all lines before this one, in hex
	Signature []byte `json:"signature"` // Ed25519 by the owner
}

func archiveSigned(vault, sum string) []byte {
	return lp(lp(lp(nil, []byte("ass/1 audit archive")), []byte(vault)), []byte(sum))
}

// WriteArchive writes an archive to w: h, the entries as they are stored, and the
// owner's signature. It returns the SHA-256 digest, in hex, that the signature covers.
func WriteArchive(w io.Writer, h ArchiveHeader, owner ed25519.PrivateKey, entries iter.Seq2[[]byte,
	[]byte]) (sum string, err error) {
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
			line.Body = string(e.Body)
		default:
			line.Body64 = e.Body
		}
		if line.Raw == nil {
			line.By, line.Sig, line.OMAC, line.MAC = e.By, e.Sig, e.OMAC, e.MAC[:]
			if e.Format >= 2 {
				line.Format = e.Format
			}
		}
		if err := out.Encode(line); err != nil {
			return "", err
		}
	}
	sum = hex.EncodeToString(hash.Sum(nil))
	return sum, json.NewEncoder(w).Encode(archiveEnd{sum, ed25519.Sign(owner, archiveSigned(h.Vault, sum))})
}

// maxArchiveLine, in bytes, is far above the size of any entry. Only the entry of an
// import makes a long line.
const maxArchiveLine = 64 << 20

// VerifyArchive checks the form of an archive, the signature of the owner whose key
// it names, and, for each entry, that its actor signed it and that it follows the one
// before. vaultOf returns the id, in hex, of the vault that an owner's key belongs to.
// VerifyArchive cannot know whether the owner is the right one: the caller must check
// the id of the vault. It calls visit, if set, for each entry that can be read, with its MAC. It
// returns an error if r cannot be read, is not an archive, or was altered after the
// owner signed it.
func VerifyArchive(r io.Reader, vaultOf func(owner ed25519.PublicKey) string, visit func(seq uint64,
	mac [MACSize]byte, ev Event)) (ArchiveHeader, []Finding, error) {
	var h ArchiveHeader
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxArchiveLine)
	hash := sha256.New()
	notOne := errors.New("it is not an archive of an audit log")
	if !lines.Scan() || DecodeStrict(lines.Bytes(), &h) != nil || h.Format != ArchiveFormat && h.Format != archiveFormat1 ||
		len(h.OwnerKey) != ed25519.PublicKeySize || len(h.PrevMAC) != MACSize {
		return h, nil, notOne
	}
	id, err := hex.DecodeString(h.Vault)
	if err != nil || len(id) != 16 || vaultOf(h.OwnerKey) != h.Vault {
		return h, nil, errors.New("its owner key does not match the vault that it names")
	}
	w := archiveWalk{
		place: Place{Vault: [16]byte(id), Epoch: h.Epoch}, at: Position{Seq: h.First - 1, LastMAC: [32]byte(h.PrevMAC)},
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
	for lines.Scan() && lines.Err() == nil { // after an error, a line may be cut short
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
	return h, nil, errors.New("the owner's signature is invalid: the archive was modified or truncated")
}

// parseEnd reads the last line. It accepts only the form that [WriteArchive] writes.
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
	issuers  map[string]string // token id to the id of its issuer
	visit    func(uint64, [MACSize]byte, Event)
	findings []Finding
}

func (w *archiveWalk) found(from, to uint64, problem string) {
	w.findings = append(w.findings, Finding{Seq: from, To: to, Problem: problem})
}

// line checks one entry. It returns an error for a line that no archive can have.
func (w *archiveWalk) line(b []byte) error {
	var line archiveLine
	if DecodeStrict(b, &line) != nil || line.Seq <= w.at.Seq {
		return fmt.Errorf("the line after entry %d is not the next entry: the archive was modified or truncated", w.at.Seq)
	}
	if line.Seq > w.at.Seq+1 {
		w.found(w.at.Seq+1, line.Seq-1, "missing")
		w.torn = true
	}
	e := Entry{Format: max(line.Format, 1), By: line.By, Body: []byte(line.Body), Sig: line.Sig, OMAC: line.OMAC}
	if line.Body64 != nil {
		e.Body = line.Body64
	}
	if line.Raw != nil || len(line.MAC) != MACSize {
		w.found(line.Seq, 0, "it was already damaged when it was archived")
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
		w.found(line.Seq, 0, fmt.Sprintf("its author %q is unknown", e.By))
	case !e.signatureHolds(pub, nil, e.signedBytes(place, line.Seq, w.at.LastMAC)):
		w.found(line.Seq, 0, fmt.Sprintf("invalid signature for author %q", e.By))
	default:
		w.learn(e.By, ev)
	}
	if err == nil && w.visit != nil {
		w.visit(line.Seq, e.MAC, ev)
	}
	w.at, w.torn, w.place = Position{Seq: line.Seq, LastMAC: e.MAC}, false, place
	return nil
}

// learn keeps the public keys of agents and tokens up to date, from the entries that
// announce or end them.
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
		for token, issuer := range w.issuers { // tokens end with the key of their issuer
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
