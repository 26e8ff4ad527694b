package vault

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"
	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// story is what the log of a vault tells: who could act, what became of each record, and how far that
// can be believed. A verification, an archive, a restore and a salvage all learn it here, entry by
// entry, and then hold different things against it. It begins with a checkpoint, and a part of it
// becomes the next one.
type story struct {
	root  *keys.Root
	live  bool       // whether the vault is there, not a copy to restore, or what is left to salvage
	whole bool       // whether every entry is here, so that what none tells of was not told
	from  checkpoint // what is known before the first entry

	entries  uint64                 // how many were read
	before   acted                  // the last entry
	lapses   lapses                 // the tokens that can still expire
	epoch    uint32                 // of the last entry
	began    uint64                 // the entry that began that epoch
	format   int                    // of that epoch
	epochID  string                 // of that epoch, in hex; "" in format 1
	features []string               // of that epoch; see knownFeatures
	summed   bool                   // in format 1: whether its entries have the sums of versions
	batched  written                // where the current entry put the records that it wrote
	arrived  map[string]arrival     // by new path: what the last entry moved or copied there
	lastAt   time.Time              // the latest date of an entry
	actors   map[string]actorAt     // by id: agents and tokens that may act
	issued   map[string]keyIssued   // by id: how the agents among them got their keys
	revoked  map[string]time.Time   // by id: when an entry revoked an agent
	records  map[string]*recordAt   // by path or agent id: what the newest entry made of it
	tiers    map[string]tokens.Tier // by path: highest tier, unless the owner lowered it
	left     map[string]leftAt      // by path: what was last moved away from there
	entryOf  map[string]uint64      // by id: the entry about a token, a request or a decision
	copies   []copyAt               // of the vault
	named    namedCheckpoint        // the checkpoint that must be there

	dated func(seq uint64, ev audit.Event) // looks at the date of each entry; nil if nobody does

	findings    []audit.Finding // entries that do not hold
	problems    []string        // findings, and what the others should not say
	suspects    []suspect
	overwritten []string        // versions that an entry says somebody else wrote anew
	holds       bool            // whether every entry that is here is valid
	unclear     []span          // entries of which nothing is known, in order: the records they describe are not reported
	cutFrom     uint64          // the same for all entries from this one on; 0 for none
	strays      map[uint64]bool // entries that seal versions anew of which no entry tells

	keepAt uint64     // the entry after which to keep what was learned; 0 for none
	kept   checkpoint // what was learned up to keepAt
}

// keyIssued is what an entry says about the newest key of an agent.
type keyIssued struct {
	at      time.Time
	note    map[string]any
	checked bool // whether the owner's signature was checked
}

// namedCheckpoint is what the log says of the checkpoint.
type namedCheckpoint struct {
	seq    uint64 // the newest entry that tells of one; 0 if none does
	sum    string // of that checkpoint
	format int    // of the entry that the checkpoint in place names as its own; 0 if it was not met
}

// sumIn returns the sum that an entry tells.
func sumIn(ev audit.Event) string {
	sum, _ := ev.Metadata["sum"].(string)
	return sum
}

// span is a run of entries.
type span struct{ from, to uint64 }

// acted says who made an entry, and when.
type acted struct {
	by string
	at time.Time
}

// suspect is an entry that contradicts those before it. If one of those is invalid, the
// suspect is not reported.
type suspect struct {
	seq     uint64
	problem string
}

func newStory(root *keys.Root) *story {
	return &story{
		root: root, actors: map[string]actorAt{}, issued: map[string]keyIssued{}, revoked: map[string]time.Time{},
		records: map[string]*recordAt{}, tiers: map[string]tokens.Tier{}, entryOf: map[string]uint64{},
		left: map[string]leftAt{}, strays: map[uint64]bool{},
	}
}

// begin takes from a checkpoint what the earlier entries told.
func (st *story) begin(c checkpoint) error {
	st.from, st.features = c, c.Marks
	for _, a := range c.Actors {
		if len(a.Pub) != ed25519.PublicKeySize {
			return errors.New("audit checkpoint: it names an invalid actor")
		}
		st.actors[a.ID] = a
		if a.Expires != nil && a.Ended == 0 {
			st.awaitExpiry(a.ID, *a.Expires)
		}
	}
	for _, t := range c.Told {
		st.entryOf[t.What] = t.Seq
	}
	for _, r := range c.Records {
		r.Last = max(r.Last, r.Version)
		st.records[r.Name], st.tiers[r.Name] = &r, r.Tier
	}
	return nil
}

// upTo returns, as a checkpoint, what the entries up to seq told, the last one that was applied. It
// leaves out the records.
func (st *story) upTo(seq uint64) checkpoint {
	c := checkpoint{Cut: seq, Epoch: st.epoch, Began: st.began, Format: st.format, EpochID: st.epochID, Marks: st.features,
		Sums: st.summed, Actors: []actorAt{}, Told: []toldAt{}}
	for _, id := range slices.Sorted(maps.Keys(st.actors)) {
		c.Actors = append(c.Actors, st.actors[id])
	}
	for _, what := range slices.Sorted(maps.Keys(st.entryOf)) {
		c.Told = append(c.Told, toldAt{what, st.entryOf[what]})
	}
	c.Copies = append(slices.Clone(st.from.Copies), st.copies...)
	return c
}

// read checks the entries of a log and applies each of them. end is the number of the last entry; 0 if
// unknown. read returns where the log ends.
func (st *story) read(end uint64, entries iter.Seq2[[]byte, []byte], progress func(done, total int)) audit.Position {
	check := audit.Verifier{
		Epoch:    st.from.Epoch,
		After:    st.from.after(st.root),
		Vault:    st.root.Vault,
		FirstKey: func(epoch uint32, seq uint64) [32]byte { return st.root.AuditKey(epoch, seq) },
		SignedBy: st.signedBy,
		OwnerMAC: func(epoch uint32) [32]byte { return st.root.OwnerEntryMAC(epoch) },
		Format:   st.from.Format,
		Visit:    st.apply,
		Last:     end,
	}
	st.epoch, st.began, st.format, st.summed = st.from.Epoch, st.from.Began, max(st.from.Format, keys.Format1), st.from.Sums
	st.epochID = st.from.EpochID
	last, epoch, findings := check.Verify(func(yield func(k, val []byte) bool) {
		for k, val := range entries {
			st.count(end, progress)
			if !yield(k, val) {
				return
			}
		}
	})
	if st.keepAt > 0 && st.keepAt == last.Seq {
		st.kept = st.upTo(st.keepAt)
	}
	for _, f := range findings {
		st.found("%v", f)
		if f.Signed {
			continue
		}
		to := max(f.Seq, f.To)
		for st.strays[to+1] { // it goes on with the list of a move that cannot be read
			to++
		}
		st.unclear = append(st.unclear, span{f.Seq, to})
	}
	for _, s := range st.suspects {
		if len(findings) == 0 || s.seq < findings[0].Seq {
			st.found("%s", s.problem)
		}
	}
	st.findings, st.holds, st.epoch = findings, len(findings) == 0, epoch
	if problem := st.named.differs(st.from, last.Seq); problem != "" {
		st.found("audit checkpoint: %s", problem)
	}
	return last
}

// differs returns why a checkpoint, or none, is not the one that must be there; "" if it is. A checkpoint of format 1
// may have no entry that tells of it.
func (n namedCheckpoint) differs(c checkpoint, end uint64) string {
	switch {
	case n.seq > 0 && c.sum == "":
		return fmt.Sprintf("it is missing, though log entry %d tells of it", n.seq)
	case n.seq > 0 && c.sum != n.sum:
		return fmt.Sprintf("it is not the one that log entry %d tells of: another one was put in its place", n.seq)
	case n.seq == 0 && n.format >= keys.Format2:
		return "no log entry tells of it: it is one of another copy of the vault"
	case c.Seq > end:
		return fmt.Sprintf("it is one after entry %d, which the log does not have", c.Seq)
	}
	return ""
}

func (st *story) count(end uint64, progress func(done, total int)) {
	if st.entries++; st.entries%1000 == 0 {
		progress(int(st.entries), int(end))
	}
}

// endsIn compares the epoch in which the log ends with that of the vault. A verification then holds the log against
// records of that epoch, even if the entry that began it does not hold.
func (st *story) endsIn(e keys.Epoch) {
	switch {
	case !st.holds:
	case st.epoch != e.N:
		st.found("audit log: it ends in epoch %d, but the vault is in epoch %d", st.epoch, e.N)
	case e.Format >= keys.Format2 && st.epochID != hex.EncodeToString(e.ID[:]):
		st.found("audit log: it is the log of another epoch %d: it comes from another copy of the vault", e.N)
	}
	st.format = e.Format
}

func (st *story) found(format string, args ...any) {
	st.problems = append(st.problems, fmt.Sprintf(format, args...))
}

// isUnclear reports whether nothing is known of an entry.
func (st *story) isUnclear(seq uint64) bool {
	_, found := slices.BinarySearchFunc(st.unclear, seq, func(of span, seq uint64) int {
		switch {
		case of.to < seq:
			return -1
		case of.from > seq:
			return 1
		}
		return 0
	})
	return found || st.cutFrom > 0 && seq >= st.cutFrom
}

// unclearBehind reports whether nothing is known of some entry after seq.
func (st *story) unclearBehind(seq uint64) bool {
	last := len(st.unclear) - 1
	return st.cutFrom > 0 || last >= 0 && st.unclear[last].to > seq
}

// wrote reports whether a record that names the entry seq and the author by can be what an entry wrote. When an
// epoch begins, the owner writes every record anew: from format 2 on it then names the entry that begins the
// epoch. In format 1, it goes on to name the entry that told of it, and a lowered tier does not change that.
func (st *story) wrote(entry uint64, author string, seq uint64, by string) bool {
	switch {
	case st.format < keys.Format2:
		return seq == entry && (by == author || by == audit.Owner)
	case entry < st.began:
		return seq == st.began && by == audit.Owner
	}
	return seq == entry && by == author
}

// wroteVersion is wrote for a version, which the owner may have sealed anew.
func (st *story) wroteVersion(told versionAt, seq uint64, by string) bool {
	switch {
	case st.format < keys.Format2:
		return st.wrote(told.Seq, told.By, seq, by)
	case told.Sealed != told.Seq:
		return st.wrote(told.Sealed, audit.Owner, seq, by)
	}
	return st.wrote(told.Sealed, told.By, seq, by)
}

// nowAt returns the entry that an honest record names of which an entry told: that one, unless a rewrite has written
// the record anew. Then it is seq, if seq is the entry that began the epoch.
func (st *story) nowAt(entry, seq uint64) uint64 {
	if st.format >= keys.Format2 && entry > 0 && entry < st.began && seq == st.began {
		return entry
	}
	return seq
}

// beforeEpoch reports whether a record claims to be of an entry before this epoch, and by somebody else than the owner.
// When an epoch begins, the owner signs every record, so this one was signed later.
func (st *story) beforeEpoch(seq uint64, by string) bool { return by != audit.Owner && seq < st.began }

// head compares the head of a secret, and how it stands in the vault, with the newest entry about the secret.
func (st *story) head(p tokens.Path, head secretBody, is placed) error {
	told := st.records[p.String()]
	switch {
	case st.isUnclear(head.Seq):
	case st.lostBeforeEpoch(told.seq(), head.Seq, is.by):
		if head.Tier < st.tiers[p.String()] {
			return st.lowered(p, head)
		}
	case !told.there():
		return fault.Damaged(p.String(), "no log entry accounts for it")
	case !st.wrote(told.Seq, told.By, head.Seq, is.by):
		return fault.Damaged(p.String(), "it does not match log entry %d, the newest about it: an old record was put back",
			told.Seq)
	case st.beforeEpoch(head.Seq, is.by):
		return fault.Damaged(p.String(), "%q signed it anew after the entry that tells of it", is.by)
	case head.Version != told.Version || head.Tier != told.Tier || (head.DeletedAt != nil) != told.Deleted,
		head.Last > told.Last, !st.isPlaced(told.Seq, told.inBatch, is):
		return fault.Damaged(p.String(), "it does not match log entry %d, the newest about it", told.Seq)
	case head.Tier < st.tiers[p.String()]:
		return st.lowered(p, head)
	}
	return nil
}

func (st *story) lowered(p tokens.Path, head secretBody) error {
	return fault.Damaged(p.String(), "its tier is %s, but it was %s, and only the owner can lower it", head.Tier, st.tiers[p.String()])
}

// lostBeforeEpoch reports whether nothing is known of some entry behind the newest one that told of a record, and the
// owner wrote the record anew when the epoch began. It then names the entry that began the epoch, and the one before is
// forgotten. Nobody else could put it there: only a rewrite signs records of that entry.
func (st *story) lostBeforeEpoch(newest, seq uint64, by string) bool {
	return st.format >= keys.Format2 && seq == st.began && by == audit.Owner &&
		slices.ContainsFunc(st.unclear, func(of span) bool { return of.to > newest && of.from < st.began })
}

// isPlaced reports whether a record stands at the place of its batch that the entry that wrote it tells of.
func (st *story) isPlaced(entry uint64, told inBatch, is placed) bool {
	return st.format < keys.Format2 || entry < st.began || told == is.inBatch
}

// version compares a version, and how it stands in the vault, with the entry that wrote it.
func (st *story) version(p tokens.Path, n uint64, body versionBody, is placed) error {
	told, known := st.records[p.String()].version(n)
	name := fmt.Sprintf("%s version %d", p, n)
	from := body.origin()
	if !known && is.by == audit.Owner && body.Seq == st.began && // the rewrite has named it, or its entry was lost since
		(from.Unattested || body.Origin != nil && st.isUnclear(from.Seq)) {
		return nil
	}
	if !st.isUnclear(body.Seq) && (!known || !st.wroteVersion(told, body.Seq, is.by)) {
		return fault.Damaged(name, "it does not match what the log says was written")
	}
	if st.strays[body.Seq] && is.by != audit.Owner {
		return fault.Damaged(name, "%q signed it for log entry %d, in which the owner sealed versions anew", is.by, body.Seq)
	}
	if st.beforeEpoch(body.Seq, is.by) {
		return fault.Damaged(name, "%q signed it anew after the entry that tells of it", is.by)
	}
	if !known {
		return nil
	}
	// A checkpoint of format 1, which has sums, tells who signed a record, not who wrote the value.
	same := !(told.Sealed > st.began && (told.Sum != "" || st.summed)) || told.Sum == is.sum
	if st.format >= keys.Format2 {
		same = st.isPlaced(told.Sealed, told.inBatch, is) &&
			(told.Sealed >= st.began || from.Unattested || from.Seq == told.Seq && (from.By == told.By || told.Sum != ""))
	}
	if !same && !(st.format >= keys.Format2 && st.isUnclear(body.Seq)) {
		return fault.Damaged(name, "its content is not what the log says was written")
	}
	return nil
}

// agent compares the record of an agent, and how it stands in the vault, with the newest entry about the agent.
func (st *story) agent(id string, body agentBody, is placed) error {
	told, name := st.records[id], agentKind.recordName([]byte(id))
	switch {
	case st.isUnclear(body.Seq) || st.lostBeforeEpoch(told.seq(), body.Seq, is.by):
	case told == nil:
		return fault.Damaged(name, "no log entry accounts for it")
	case !st.wrote(told.Seq, told.By, body.Seq, is.by):
		return fault.Damaged(name, "it does not match log entry %d, the newest about it: an old record was put back", told.Seq)
	}
	return nil
}

// token compares the record of a token with the entry that told of its issue. Its claims decide its key.
func (st *story) token(id string, body tokenBody) error {
	if who, told := st.actors[id]; told && !bytes.Equal(who.Pub, body.Pub) {
		return tokenKind.damaged([]byte(id), "it is not the token that the log tells of")
	}
	return nil
}

// agentBody makes the record of an agent from the entries about it, as far as they were checked. ok is
// false if they do not tell enough. The record lacks the agent's public key, which the root gives. If these entries
// were archived, the checkpoint tells what the agent may do, but not its name: then its id is its name.
func (st *story) agentBody(id string) (body agentBody, ok bool) {
	key, known := st.issued[id]
	if who, active := st.actors[id]; !known && active && st.records[id] != nil {
		return agentBody{Seq: st.records[id].Seq, Name: id, Namespaces: []string{}, Scopes: who.Scopes.Strings(), Serial: who.Serial}, true
	}
	name, named := key.note["name"].(string)
	if !key.checked || !named || st.records[id] == nil {
		return body, false
	}
	number, _ := key.note["serial"].(float64)
	scopes, _ := tokens.ScopesOf(audit.Texts(key.note["scopes"]))
	body = agentBody{Seq: st.records[id].Seq, Name: name, Namespaces: audit.Texts(key.note["namespaces"]),
		Scopes: scopes.Strings(), Serial: uint32(number), CreatedAt: key.at, IssuedAt: key.at}
	if at, revoked := st.revoked[id]; revoked {
		body.RevokedAt = &at
	}
	return body, true
}

// agentOf returns id, if the log tells of an agent with that id; otherwise "".
func (st *story) agentOf(id string) string {
	if st == nil || st.records[id] == nil {
		return ""
	}
	return id
}

// requesterOf returns who made the request whose record has the key k; "" if the log tells of no such request.
func (st *story) requesterOf(k []byte) string {
	requester, id, ok := cutRequestKey(k)
	if _, told := st.entryOf[audit.ApprovalRequested+" "+id.String()]; !ok || !told {
		return ""
	}
	return requester
}

// signedBy returns the key that verifies the entries of an actor.
func (st *story) signedBy(by string) (ed25519.PublicKey, bool) {
	if by == audit.Owner {
		return st.root.Pub, true
	}
	who, ok := st.actors[by]
	return who.Pub, ok
}

// apply learns what an entry tells. checked says whether its signature and its place were checked;
// an entry that was not checked takes rights away and gives none. In a live vault it takes none from an agent:
// anybody can have written it, and the agent's record, which the owner signed in this epoch, says more.
func (st *story) apply(seq uint64, by string, ev audit.Event, checked bool) {
	if ev.CreatedAt.After(st.lastAt) {
		st.lastAt = ev.CreatedAt
	}
	if st.dated != nil {
		st.dated(seq, ev)
	}
	if st.keepAt > 0 && seq == st.keepAt+1 {
		st.kept = st.upTo(st.keepAt)
	}
	if ev.Epoch != 0 && checked {
		st.epoch, st.began, st.format = ev.Epoch, seq, formatIn(ev)
		st.epochID, _ = ev.Metadata["epoch_id"].(string)
		st.features = featuresIn(ev)
		st.summed, _ = ev.Metadata["sums"].(bool)
	}
	st.batched = writtenBy(ev)
	if ev.Type != audit.VaultResealed { // these go on with the list of the move before them
		st.arrived = nil
	}
	if checked && seq > st.from.Seq && !ev.Moves() {
		st.versionsResealed(seq, by, ev)
	}
	if by == audit.Owner {
		st.copies = append(st.copies, copiesIn(ev)...)
	}
	if checked && by == audit.Owner && ev.Type == audit.Checkpointed {
		st.named.seq, st.named.sum = seq, sumIn(ev)
	}
	if checked && seq == st.from.Seq {
		st.named.format = st.format
	}
	defer func() { st.before = acted{by, ev.CreatedAt} }()
	if !st.mayAct(seq, by, ev) { // then what it wrote does not count, so the entry changed nothing
		return
	}
	if by == audit.Owner && checked {
		st.endExpired(seq, ev)
	}
	switch ev.Type {
	case audit.AgentCreated, audit.AgentKeyRotated, audit.AgentUpdated, audit.AgentRevoked:
		if by != audit.Owner {
			st.found("audit entry %d: %s by %q, who is not the owner", seq, ev.Type, by)
			return
		}
	}
	switch ev.Type {
	case audit.AgentCreated, audit.AgentKeyRotated:
		st.agentGotKey(seq, by, ev, checked)
	case audit.AgentUpdated:
		st.agentUpdated(seq, by, ev, checked)
	case audit.AgentRevoked:
		if isAgentID(ev.ResourceID) && (checked || !st.live) {
			st.forget(ev.ResourceID)
			st.revoked[ev.ResourceID] = ev.CreatedAt
			st.changed(seq, by, ev.ResourceID)
		}
	case audit.TokenIssued:
		st.tokenIssued(seq, by, ev)
	case audit.TokenRevoked:
		st.tokenRevoked(seq, by, ev)
	case audit.ApprovalRequested:
		requester, _ := ev.Metadata["asker"].(string)
		if _, again := st.entryOf[ev.Type+" "+ev.ResourceID]; again || requester != by {
			st.found("audit entry %d: it is not a valid request of %q", seq, by)
			return
		}
		st.entryOf[ev.Type+" "+ev.ResourceID] = seq
	case audit.ApprovalGranted, audit.ApprovalDenied:
		if by != audit.Owner {
			st.found("audit entry %d: a decision by %q, who is not the owner", seq, by)
			return
		}
		st.entryOf[ev.Type+" "+ev.ResourceID] = seq
		if tier, _ := ev.Metadata["tier"].(string); ev.Type == audit.ApprovalGranted && tier == tokens.Critical.String() && st.lists() {
			st.entryOf[approvalSpent+" "+ev.ResourceID] = 0
		}
	}
	if seq > st.from.Seq { // the checkpoint lists the records after that entry
		st.secrets(seq, by, ev, checked)
	}
}

// secrets learns what an entry did to each of the secrets that it is about.
func (st *story) secrets(seq uint64, by string, ev audit.Event, checked bool) {
	problem := ev.ItemsProblem()
	switch {
	case problem != "":
	case ev.Items != nil && !st.lists():
		problem = "it has a list of secrets, but belongs to an epoch of format 1"
	case ev.Items == nil && ev.Type == audit.SecretImported && st.lists():
		problem = "it is not a valid import"
	}
	if problem != "" {
		st.found("audit entry %d: %s", seq, problem)
		return
	}
	if ev.Moves() {
		st.moved(seq, by, ev, checked)
		return
	}
	one := ev // what it says of one of them
	one.Items = nil
	if ev.Type == audit.SecretImported {
		one.Type = audit.SecretUpdated
	}
	for _, item := range ev.Secrets() {
		one.ResourceID = item.Path
		if st.lists() && checked {
			st.itemAllowed(seq, by, one, item)
		}
		st.secretChanged(seq, by, one, item, checked)
	}
}

// itemAllowed checks that an actor may have read a secret, and that the approval that an entry names was there and was
// not spent. The records of an entry are checked when it is applied.
func (st *story) itemAllowed(seq uint64, by string, ev audit.Event, item audit.Item) {
	if who, ok := st.actors[by]; ok && ev.Type == audit.SecretRead && !who.may(ev) {
		st.found("audit entry %d: %s by %q, whose scopes do not cover %q", seq, ev.Type, by, audit.Short(item.Path))
	}
	if item.Approval == "" {
		return
	}
	granted, spent := audit.ApprovalGranted+" "+item.Approval, approvalSpent+" "+item.Approval
	if _, told := st.entryOf[granted]; !told && st.whole {
		st.suspects = append(st.suspects, suspect{seq, fmt.Sprintf("audit entry %d: no entry before it granted the approval %q", seq,
			audit.Short(item.Approval))})
		return
	}
	before, once := st.entryOf[spent]
	switch {
	case !once:
	case before > 0:
		st.found("audit entry %d: it uses approval %q, which was spent with entry %d", seq, audit.Short(item.Approval), before)
	default:
		st.entryOf[spent] = seq
	}
}

// approvalSpent, with the id of an approval that serves once, stands for the entry that spent it; 0 for none.
const approvalSpent = "approval.spent"

// changed notes that an entry wrote the record of an agent.
func (st *story) changed(seq uint64, by, agent string) {
	if seq > st.from.Seq {
		st.records[agent] = &recordAt{Name: agent, Seq: seq, By: by}
	}
}

// agentGotKey derives the key that an agent got from the root. An entry that was not checked can end an
// earlier key of the agent, but brings none back, and adds no scopes.
func (st *story) agentGotKey(seq uint64, by string, ev audit.Event, checked bool) {
	id := ev.ResourceID
	number, _ := ev.Metadata["serial"].(float64)
	serial := uint32(number) // a number that is no serial gives another number
	if serial == 0 || float64(serial) != number || !isAgentID(id) {
		return
	}
	now, active := st.actors[id]
	if !checked && (st.records[id] != nil && !active || active && (st.live || serial <= now.Serial)) {
		return
	}
	scopes := scopesIn(ev)
	if !checked && active {
		scopes = now.Scopes.Intersect(scopes)
	}
	st.forget(id) // and the tokens of its old key
	delete(st.revoked, id)
	pub := public(keys.NewGrantee(st.root.AgentSecret(id, serial)).Sign)
	st.actors[id] = actorAt{ID: id, Pub: pub, Scopes: scopes, Serial: serial}
	st.issued[id] = keyIssued{ev.CreatedAt, ev.Metadata, checked}
	st.changed(seq, by, id)
}

// tokenIssued takes the key of a token from the entry that its issuer signed.
func (st *story) tokenIssued(seq uint64, by string, ev audit.Event) {
	id := ev.ResourceID
	issuer, agent := st.actors[by]
	text, _ := ev.Metadata["public_key"].(string)
	pub, err := base64.StdEncoding.DecodeString(text)
	_, again := st.actors[id]
	if uuid.Validate(id) != nil || again || err != nil || len(pub) != ed25519.PublicKeySize || issuer.Issuer != "" {
		st.found("audit entry %d: it is not a valid record of issuing a token", seq)
		return
	}
	scopes := scopesIn(ev)
	if agent {
		scopes = scopes.Intersect(issuer.Scopes)
	}
	who := actorAt{ID: id, Pub: pub, Issuer: by, Scopes: scopes}
	if uses, ok := ev.Metadata["max_uses"].(float64); ok && uses > 0 {
		who.MaxUses = uint64(uses)
	}
	text, _ = ev.Metadata["expires_at"].(string)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		who.Expires = &at
		st.awaitExpiry(id, at)
	}
	st.actors[id], st.entryOf[id] = who, seq
}

// forget takes an agent, and its tokens, out of those that may act.
func (st *story) forget(agent string) {
	if _, known := st.actors[agent]; !known {
		return // then its tokens are unknown too
	}
	delete(st.actors, agent)
	for id, who := range st.actors {
		if who.Issuer == agent {
			delete(st.actors, id)
		}
	}
}

func scopesIn(ev audit.Event) tokens.Scopes {
	scopes, err := tokens.ScopesOf(audit.Texts(ev.Metadata["scopes"]))
	if err != nil {
		return nil
	}
	return scopes
}

// secretChanged learns what an entry did to a secret. If the entry was not checked, secretChanged
// believes neither its version number nor a lower tier.
func (st *story) secretChanged(seq uint64, by string, ev audit.Event, item audit.Item, checked bool) {
	if ev.Type == audit.SecretPruned {
		st.secretPruned(seq, by, ev, checked)
		return
	}
	changed, left := ev.Writes()
	if !changed {
		return
	}
	if ev.Type == audit.SecretMended && by != audit.Owner {
		st.found("audit entry %d: a secret was mended by %q, who is not the owner", seq, by)
		return
	}
	if who, ok := st.actors[by]; ok && !who.may(ev) { // then what it wrote does not count, so the entry changed nothing
		st.found("audit entry %d: %s by %q, whose scopes do not cover %q", seq, ev.Type, by, ev.ResourceID)
		return
	}
	now := recordAt{Name: ev.ResourceID, Seq: seq, By: by, Gone: !left, Deleted: ev.Type == audit.SecretDeleted,
		inBatch: st.batched.place(bucketSecrets, ev.ResourceID)}
	if ev.Type == audit.SecretMended {
		now.Deleted, _ = ev.Metadata["deleted"].(bool)
	}
	now.Version = item.Version
	now.Tier, _ = tokens.ParseTier(item.Tier)
	r := st.records[ev.ResourceID]
	if r == nil {
		r = &recordAt{Gone: true}
	}
	if by != audit.Owner && now.Version >= maxVersion/2 && now.Version > r.Version+1 {
		st.found("audit entry %d: it writes version %d of %q, which no secret has", seq, now.Version, ev.ResourceID)
		return
	}
	st.records[ev.ResourceID] = r
	value := ev.WritesValue()
	if _, mended := ev.Metadata["from_version"]; ev.Type == audit.SecretMended {
		value = mended
	} else if problem := now.follows(*r, value, st.format); problem != "" {
		st.suspects = append(st.suspects, suspect{seq, fmt.Sprintf("audit entry %d: %s, but before it %q was %s", seq, problem,
			ev.ResourceID, *r)})
	}
	if now.Last = r.Last; checked {
		now.Last = max(now.Last, now.Version, lastIn(ev, by))
	} else {
		now.Version = r.Version
	}
	now.Versions, now.Earlier = r.Versions, r.Earlier
	switch {
	case now.Gone:
		now.Earlier = 0
	case value && r.Deleted && ev.Type != audit.SecretMended:
		now.Earlier = r.Version
	case ev.Type == audit.SecretRestored && !r.Deleted:
		now.Earlier = 0
	}
	if ev.Type == audit.SecretPurged && checked && by == audit.Owner { // what follows is a new secret
		delete(st.tiers, ev.ResourceID)
		now.Versions = nil
	}
	if now.Tier > st.tiers[ev.ResourceID] || now.Tier > 0 && checked && by == audit.Owner {
		st.tiers[ev.ResourceID] = now.Tier
	}
	of, anew := r.mendedFrom(ev)
	if ev.Type == audit.SecretMended && checked {
		now.without(numbersIn(ev.Metadata["left_behind"]))
	}
	if value && checked {
		if was, known := r.version(now.Version); known && by != audit.Owner && by != was.By {
			st.overwritten = append(st.overwritten, fmt.Sprintf("audit entry %d: %s wrote version %d of %q anew, which %s had written",
				seq, by, now.Version, ev.ResourceID, was.By))
		}
		at := versionAt{Number: now.Version, Seq: seq, By: by, Sum: item.Sum, Sealed: seq,
			inBatch: st.batched.place(bucketVersions, string(versionKeyOf(ev.ResourceID, now.Version)))}
		if anew && st.format >= keys.Format2 {
			at.Seq, at.By = of.Seq, of.By
		}
		now.wrote(at)
	}
	*r = now
}

// lastIn returns the last version number that the owner's entry of a purge tells of; 0 for none.
func lastIn(ev audit.Event, by string) uint64 {
	n, _ := ev.Metadata["last"].(float64)
	if ev.Type != audit.SecretPurged || by != audit.Owner || n < 0 || n > maxVersion {
		return 0
	}
	return uint64(n)
}

// mendedFrom returns the version whose value an entry made current again. The value is its author's, and the owner
// sealed it anew.
func (r *recordAt) mendedFrom(ev audit.Event) (of versionAt, ok bool) {
	n, anew := ev.Metadata["from_version"].(float64)
	if !anew || ev.Type != audit.SecretMended {
		return of, false
	}
	return r.version(uint64(n))
}

// versionsResealed notes what the owner sealed anew: for new readers of a node, or at a lower tier.
func (st *story) versionsResealed(seq uint64, by string, ev audit.Event) {
	list, _ := ev.Metadata["resealed"].([]any)
	for _, x := range list {
		one, _ := x.(map[string]any)
		path, _ := one["path"].(string)
		n, _ := one["version"].(float64)
		sum, _ := one["sum"].(string)
		r := st.records[path]
		if _, known := r.version(uint64(n)); by == audit.Owner && !known && ev.Type == audit.VaultResealed &&
			st.arrived == nil {
			st.strays[seq] = true
		}
		if r != nil && by == audit.Owner {
			i, found := r.find(uint64(n))
			if from, arrives := st.arrived[path]; arrives && !found {
				r.wrote(from.version(uint64(n), seq))
				i, found = r.find(uint64(n))
			}
			if found {
				r.Versions[i].Sum, r.Versions[i].Sealed = sum, seq
				r.Versions[i].inBatch = st.batched.place(bucketVersions, string(versionKeyOf(path, uint64(n))))
			}
		}
	}
}

func numbersIn(list any) (numbers []uint64) {
	items, _ := list.([]any)
	for _, x := range items {
		if n, ok := x.(float64); ok && n > 0 {
			numbers = append(numbers, uint64(n))
		}
	}
	return numbers
}
