package audit

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/cloudflare/circl/sign/ed25519"
)

// An archive tells who may sign which entry: the owner introduces and ends agents, the owner and
// agents issue tokens, and a token ends with the key of its issuer. agt_1 is an agent with the key
// other; each case goes on from there, and its last entries are by those whose right is in doubt.
func TestWhoMaySignInAnArchive(t *testing.T) {
	key := func(seed byte) ed25519.PrivateKey {
		return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	}
	text := func(k ed25519.PrivateKey) string {
		return base64.StdEncoding.EncodeToString(k.Public().(ed25519.PublicKey))
	}
	tells := func(event, id string, k ed25519.PrivateKey) Event {
		return Event{Type: event, ResourceID: id, Metadata: map[string]any{"public_key": text(k)}}
	}
	owner, other, third, fourth := newLog().owner, newLog().other, key(3), key(4)
	type entry struct {
		by   string
		sign ed25519.PrivateKey
		ev   Event
	}
	read := Event{Type: SecretRead, ResourceID: "a/K"}
	for name, c := range map[string]struct {
		entries []entry
		want    string // the findings
	}{
		"an agent":            {[]entry{{"agt_1", other, read}}, ""},
		"a token of an agent": {[]entry{{"agt_1", other, tells(TokenIssued, "t1", third)}, {"t1", third, read}}, ""},
		"a token of the owner": {[]entry{{Owner, owner, tells(TokenIssued, "t1", third)}, {"t1", third, read},
			{Owner, owner, tells(AgentRevoked, "agt_1", other)}, {"t1", third, read}}, ""},
		"the key of somebody else": {[]entry{{Owner, other, read}, {"agt_1", owner, read}},
			`entry 5: invalid signature for author "owner"; entry 6: invalid signature for author "agt_1"`},
		"an agent that an agent made": {[]entry{{"agt_1", other, tells(AgentCreated, "agt_2", third)},
			{"agt_2", third, read}},
			`entry 6: its author "agt_2" is unknown`},
		"an agent that an agent revoked": {[]entry{{"agt_1", other, tells(AgentRevoked, "agt_1", other)},
			{"agt_1", other, read}}, ""},
		"a new key": {[]entry{{Owner, owner, tells(AgentKeyRotated, "agt_1", third)}, {"agt_1", other, read},
			{"agt_1", third, read}}, `entry 6: invalid signature for author "agt_1"`},
		"a new key, and a token of the old one": {[]entry{{"agt_1", other, tells(TokenIssued, "t1", third)},
			{Owner, owner, tells(AgentKeyRotated, "agt_1", fourth)}, {"t1", third, read}},
			`entry 7: its author "t1" is unknown`},
		"a revoked agent": {[]entry{{Owner, owner, tells(AgentRevoked, "agt_1", other)}, {"agt_1", other, read}},
			`entry 6: its author "agt_1" is unknown`},
		"a token of a revoked agent": {[]entry{{"agt_1", other, tells(TokenIssued, "t1", third)},
			{Owner, owner, tells(AgentRevoked, "agt_1", other)}, {"t1", third, read}}, `entry 7: its author "t1" is unknown`},
		"a token of another agent": {[]entry{{Owner, owner, tells(AgentCreated, "agt_2", third)},
			{"agt_2", third, tells(TokenIssued, "t1", fourth)}, {Owner, owner, tells(AgentRevoked, "agt_1", other)},
			{"t1", fourth, read}}, ""},
		"a token of a token": {[]entry{{"agt_1", other, tells(TokenIssued, "t1", third)},
			{"t1", third, tells(TokenIssued, "t2", fourth)}, {"t2", fourth, read}}, `entry 7: its author "t2" is unknown`},
		"a token with the id of the owner": {[]entry{{"agt_1", other, tells(TokenIssued, Owner, third)},
			{Owner, third, read}, {Owner, owner, read}}, `entry 6: invalid signature for author "owner"`},
		"an agent with the id of the owner": {[]entry{{Owner, owner, tells(AgentCreated, Owner, third)},
			{Owner, owner, read}}, ""},
		"an agent without a key": {[]entry{{Owner, owner, Event{Type: AgentCreated, ResourceID: "agt_2"}},
			{"agt_2", third, read}}, `entry 6: its author "agt_2" is unknown`},
		"a token without a key": {[]entry{{Owner, owner, Event{Type: TokenIssued, ResourceID: "t1"}}, {"t1", third, read}},
			`entry 6: its author "t1" is unknown`},
		"an epoch": {[]entry{{Owner, owner, Event{Type: VaultRewritten, Epoch: 2}}, {"agt_1", other, read}}, ""},
		"an epoch that an agent begins": {[]entry{{"agt_1", other, Event{Type: VaultRewritten, Epoch: 2}}},
			`entry 5: invalid signature for author "agt_1"`},
	} {
		t.Run(name, func(t *testing.T) {
			l := newArchivedLog(t)
			for _, e := range c.entries {
				l.add(t, e.by, e.sign, e.ev)
			}
			if got := findingsIn(t, l, nil); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}

	// A log that was archived before: its actors are in the header.
	for name, c := range map[string]struct {
		actors []ArchiveActor
		want   string
	}{
		"all of them": {[]ArchiveActor{{ID: "agt_1", PublicKey: other.Public().(ed25519.PublicKey)},
			{ID: "t1", PublicKey: third.Public().(ed25519.PublicKey), Issuer: "agt_1"}},
			`entry 6: its author "t1" is unknown; entry 7: its author "agt_1" is unknown`},
		"none of them": {[]ArchiveActor{}, `entry 3: its author "agt_1" is unknown; entry 4: its author "t1" is unknown; ` +
			`entry 6: its author "t1" is unknown; entry 7: its author "agt_1" is unknown`},
		"one that calls itself the owner, and one without a whole key": {[]ArchiveActor{
			{ID: Owner, PublicKey: third.Public().(ed25519.PublicKey)}, {ID: "agt_1", PublicKey: []byte("short")},
			{ID: "t1", PublicKey: third.Public().(ed25519.PublicKey)}}, // as if no agent had issued it
			`entry 3: its author "agt_1" is unknown; entry 7: its author "agt_1" is unknown`},
	} {
		t.Run("from before: "+name, func(t *testing.T) {
			l := newLog()
			l.add(t, Owner, l.owner, Event{Type: VaultCreated, Epoch: 1})
			l.add(t, Owner, l.owner, read)
			l.add(t, "agt_1", l.other, read)
			l.add(t, "t1", third, read)
			l.add(t, Owner, l.owner, tells(AgentRevoked, "agt_1", l.other))
			l.add(t, "t1", third, read)
			l.add(t, "agt_1", l.other, read)
			if got := findingsIn(t, l, func(h *ArchiveHeader) { h.Actors = c.actors }); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// findingsIn returns what a verification finds in an archive of a log.
func findingsIn(t *testing.T, l *log, change func(*ArchiveHeader)) string {
	t.Helper()
	_, of := ownerOf(l)
	_, findings, err := VerifyArchive(bytes.NewReader(archiveOf(t, l, change)), of, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range findings {
		all = append(all, strings.TrimPrefix(f.String(), "audit "))
	}
	return strings.Join(all, "; ")
}
