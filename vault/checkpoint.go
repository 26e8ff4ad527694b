package vault

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// A checkpoint is the owner's signed statement of what the log alone does not prove:
// up to which entry the log was archived, and which records there were after some
// entry. A verification begins with it. The owner makes one whenever the log and the
// records diverge: when old entries are archived, when a backup brings back values that
// are older than the newest entries, when a salvage gives up lost data, and under a new
// owner key. It lies in the bucket of the log, before the first entry:
//
//	LP(owner's public key) ‖ LP(body) ‖ LP(sig)
//	sig = Ed25519(owner, LP("ass/1 checkpoint") ‖ vid ‖ LP(body))
//
// From format 2 on, a log entry tells the SHA-256 of the body, and the newest such entry names the checkpoint that
// must be there. In format 1, if somebody puts back an older checkpoint, verification fails only because its records,
// or its first entry, are not those of the vault.
type checkpoint struct {
	Seq     uint64     `json:"seq"`                // Records lists the records after this entry
	Cut     uint64     `json:"cut"`                // the last entry that was archived; 0 for none
	CutMAC  []byte     `json:"cut_mac"`            // of that entry
	Epoch   uint32     `json:"epoch"`              // of the entry Cut
	Format  int        `json:"format,omitempty"`   // of that epoch; 0 and 1 are format 1
	EpochID string     `json:"eid,omitempty"`      // of that epoch, in hex; none in format 1
	Marks   []string   `json:"features,omitempty"` // of that epoch; see knownFeatures
	Began   uint64     `json:"began"`              // the entry that began that epoch; 0 if the next entry begins one
	Actors  []actorAt  `json:"actors"`             // who may have signed entries after Cut
	Sums    bool       `json:"sums,omitempty"`     // whether the entries of that epoch have the sums of versions
	Told    []toldAt   `json:"told"`               // tokens, requests and decisions up to Cut
	Copies  []copyAt   `json:"copies,omitempty"`   // of the vault, as the entries up to Cut say
	Records []recordAt `json:"records"`

	next *keys.Key // of the entry after Cut; nil if it has to be computed
	sum  string    // of the body as it is stored, in base64; "" if there is no checkpoint
}

// copyAt is a copy of the vault that was made.
type copyAt struct {
	File string    `json:"file,omitempty"` // File of the copy; "" for stdout.
	At   time.Time `json:"at"`             // When it was made.
}

// actorAt is what the log says about an agent or a token that may act.
type actorAt struct {
	ID     string        `json:"id"`               // Id of the agent or token.
	Pub    []byte        `json:"pub"`              // Ed25519 key that verifies its entries.
	Issuer string        `json:"issuer,omitempty"` // Who issued it, if it is a token.
	Scopes tokens.Scopes `json:"scopes"`           // What it may do; of a token, limited to what its issuer may.
	Serial uint32        `json:"serial,omitempty"` // Number of the agent's key.

	Expires *time.Time `json:"expires,omitempty"`  // When a token lapses.
	MaxUses uint64     `json:"max_uses,omitempty"` // How often a token may be used; 0 for any number.
	Used    uint64     `json:"used,omitempty"`     // How often it was used, as the log tells, if there is a limit.
	Ended   uint64     `json:"ended,omitempty"`    // The entry with which a token ended; 0 if it has not.
}

// may reports whether the actor's scopes allow what an entry says it did.
func (a actorAt) may(ev audit.Event) bool {
	p, err := tokens.ParsePath(ev.ResourceID)
	action := tokens.Write
	switch ev.Type {
	case audit.SecretRead:
		action = tokens.Read
	case audit.SecretDeleted:
		action = tokens.Delete
	case audit.SecretPurged:
		action = 0 // the owner alone
	}
	return err == nil && right(a.Scopes, action, p)
}

type toldAt struct {
	What string `json:"what"` // Event and id.
	Seq  uint64 `json:"seq"`  // Number of the entry.
}

// recordAt is what the log says about the record of a secret or an agent.
type recordAt struct {
	Name     string      `json:"name"`               // Bucket key of the record.
	Seq      uint64      `json:"seq"`                // Number of the log entry that told of it.
	By       string      `json:"by"`                 // Id of its author.
	Version  uint64      `json:"version,omitempty"`  // Current version of a secret.
	Tier     tokens.Tier `json:"tier,omitempty"`     // Tier of a secret.
	Deleted  bool        `json:"deleted,omitempty"`  // Whether a secret is deleted.
	Earlier  uint64      `json:"earlier,omitempty"`  // Versions up to this number stayed deleted when a value was stored again.
	Gone     bool        `json:"gone,omitempty"`     // Whether a secret is not there any more. A checkpoint of format 1 lists none.
	Last     uint64      `json:"last,omitempty"`     // Highest version number that it ever had; in a checkpoint, if that is not Version.
	Versions []versionAt `json:"versions,omitempty"` // Versions of a secret, by number.
	inBatch
}

type versionAt struct {
	Number uint64 `json:"number"`           // Number of the version.
	Seq    uint64 `json:"seq"`              // Number of the log entry that told of it.
	By     string `json:"by"`               // Id of its author.
	Sum    string `json:"sum,omitempty"`    // Of its body, in format 1; see sumOf.
	Sealed uint64 `json:"sealed,omitempty"` // Number of the entry that told what the record is now.
	inBatch
}

// inBatch is the place of a record in the batches of the entry that wrote it. It says what the record is: nobody can
// put another there. Format 1 has none.
type inBatch struct {
	Root string `json:"root,omitempty"` // Root of the batch, in base64.
	Leaf int    `json:"leaf,omitempty"` // Place of the record in the batch.
}

// wrote notes that a version was written.
func (r *recordAt) wrote(v versionAt) {
	i, again := r.find(v.Number)
	if again {
		r.Versions[i] = v
		return
	}
	r.Versions = slices.Insert(r.Versions, i, v)
}

// without takes versions away that are no longer in the vault.
func (r *recordAt) without(numbers []uint64) {
	r.Versions = slices.DeleteFunc(r.Versions, func(v versionAt) bool { return slices.Contains(numbers, v.Number) })
}

func (r *recordAt) find(n uint64) (i int, found bool) {
	if last := len(r.Versions) - 1; last < 0 || r.Versions[last].Number < n {
		return last + 1, false
	}
	return slices.BinarySearchFunc(r.Versions, n, func(v versionAt, n uint64) int { return cmp.Compare(v.Number, n) })
}

// version returns what the log says about a version. A record that no entry tells of is nil, and has none.
func (r *recordAt) version(n uint64) (v versionAt, told bool) {
	if r == nil {
		return v, false
	}
	i, told := r.find(n)
	if told {
		v = r.Versions[i]
	}
	return v, told
}

// upTo returns how many versions there are up to a number. r is nil if no entry tells of it.
func (r *recordAt) upTo(n uint64) int {
	if r == nil {
		return 0
	}
	i, found := r.find(n)
	if found {
		i++
	}
	return i
}

// there reports whether a record should be there. r is nil if no entry tells of it.
func (r *recordAt) there() bool { return r != nil && !r.Gone }

// seq returns the newest entry that tells of a record, 0 if there is none.
func (r *recordAt) seq() uint64 {
	if r == nil {
		return 0
	}
	return r.Seq
}

// follows returns how an entry about a secret, in an epoch of a format, contradicts the one before it; "" if it does not.
// value says whether the entry writes a value. From format 2 on, no number comes twice, also if the secret was not there
// any more; if somebody removed its records, the owner alone stores it anew.
func (r recordAt) follows(before recordAt, value bool, format int) string {
	anew := value && r.Version > before.Last && format >= keys.Format2
	next := before.Version + 1
	if format >= keys.Format2 {
		next = max(before.Version, before.Last) + 1
	}
	switch {
	case r.Gone:
		return ""
	case before.Gone && !anew && (r.Version != 1 || !value || format >= keys.Format2):
		return fmt.Sprintf("it records version %d", r.Version)
	case before.Gone:
		return ""
	case value && r.Version != next && !(anew && r.By == audit.Owner), !value && r.Version != before.Version:
		return fmt.Sprintf("it records version %d", r.Version)
	case r.Tier != before.Tier && r.By != audit.Owner:
		return fmt.Sprintf("%q changed the tier to %s", r.By, r.Tier)
	}
	return ""
}

func (r recordAt) String() string {
	if r.Gone {
		return "not there"
	}
	return fmt.Sprintf("at version %d, %s", r.Version, r.Tier)
}

// checkpointKey sorts before the key of every entry. No entry has its number, 0.
var checkpointKey = audit.Key(0)

func checkpointSigned(vid keys.VaultID, body []byte) []byte {
	return keys.LP(append(keys.LP(nil, "ass/1 checkpoint"), vid[:]...), body)
}

// encode signs and encodes the checkpoint. It also returns the sum of the body.
func (c checkpoint) encode(vid keys.VaultID, owner ed25519.PrivateKey) (value []byte, sum string, err error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, "", err
	}
	b := keys.LP(nil, []byte(public(owner)))
	b = keys.LP(b, body)
	return keys.LP(b, ed25519.Sign(owner, checkpointSigned(vid, body))), sumOf(body), nil
}

// parseCheckpoint checks the signature and decodes the checkpoint. It needs no key: the
// vault's id is derived from the owner's public key, which the checkpoint carries.
func parseCheckpoint(vid keys.VaultID, value []byte) (c checkpoint, err error) {
	pub, rest, ok1 := keys.CutLP(value)
	body, rest, ok2 := keys.CutLP(rest)
	sig, rest, ok3 := keys.CutLP(rest)
	switch {
	case !ok1, !ok2, !ok3, len(rest) > 0, len(pub) != ed25519.PublicKeySize, keys.VaultIDOf(pub) != vid,
		!ed25519.Verify(pub, checkpointSigned(vid, body), sig):
		return c, fault.Damaged("audit checkpoint", "it has no valid signature by the owner of this vault")
	}
	if err := audit.DecodeStrict(body, &c); err != nil {
		return c, fault.Damaged("audit checkpoint", "%v", err)
	}
	c.sum = sumOf(body)
	return c, nil
}

// checkpoint reads the checkpoint. If there is none, it returns the zero checkpoint.
func (t *tx) checkpoint() (c checkpoint, err error) {
	v, err := t.get(bucketAudit, checkpointKey)
	if v == nil || err != nil {
		return c, err
	}
	return parseCheckpoint(t.Epoch.Vault, v)
}

// putCheckpoint writes a checkpoint that vouches for the current records, in the
// transaction that has just logged why. What c says about archived
// entries is kept. From format 2 on, an entry of its own tells of it.
//
// stories are what is known of the secrets that are not there, and of the numbers that they had.
func (t *tx) putCheckpoint(c checkpoint, stories ...*story) (err error) {
	c.Seq = t.head.log.Seq
	if t.Format >= keys.Format2 {
		c.Seq++ // that entry, which writes no record
	}
	if c.Records, err = t.recordsNow(); err != nil {
		return err
	}
	if t.Format >= keys.Format2 {
		c.Records = withLast(c.Records, stories)
	}
	value, sum, err := c.encode(t.Epoch.Vault, t.by.sign)
	if err == nil && t.Format >= keys.Format2 {
		err = t.tellCheckpoint(sum)
	}
	if err != nil {
		return err
	}
	return t.b.Put(bucketAudit, checkpointKey, value)
}

// withLast adds to a list of records which version numbers were used before: no number may come twice.
func withLast(list []recordAt, stories []*story) []recordAt {
	last := map[string]uint64{}
	for _, st := range stories {
		if st == nil {
			continue
		}
		for name, r := range st.records {
			if !isAgentID(name) {
				last[name] = max(last[name], r.Last)
			}
		}
	}
	for i, r := range list {
		if n := last[r.Name]; n > r.Version {
			list[i].Last = n
		}
		delete(last, r.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(last)) {
		if last[name] > 0 {
			list = append(list, recordAt{Name: name, By: audit.Owner, Gone: true, Last: last[name]})
		}
	}
	return list
}

// tellCheckpoint logs which checkpoint is the vault's from here on.
func (t *tx) tellCheckpoint(sum string) error {
	return t.log(audit.Checkpointed, "vault", hex.EncodeToString(t.Epoch.Vault[:]), map[string]any{"sum": sum})
}

// recordsNow lists the records that the log has to account for.
func (t *tx) recordsNow() (list []recordAt, err error) {
	err = decodeAll(t, secretKind, func(c *checked[secretBody]) {
		list = append(list, recordAt{Name: string(c.k), Seq: c.body.Seq, By: c.r.by, Version: c.body.Version,
			Tier:    c.body.Tier,
			Deleted: c.body.DeletedAt != nil, Earlier: c.body.DeletedTo, inBatch: c.is.inBatch})
	})
	if err != nil {
		return nil, err
	}
	i, lost := 0, error(nil)
	err = decodeAll(t, versionKind, func(c *checked[versionBody]) {
		path, n, _ := cutVersionKey(c.k)
		for i < len(list) && list[i].Name < path { // both are in order
			i++
		}
		if i == len(list) || list[i].Name != path {
			lost = cmp.Or(lost, versionKind.damaged(c.k, "its secret's record is missing"))
			return
		}
		at := versionAt{Number: n, Seq: c.body.Seq, By: c.r.by, Sum: c.is.sum, Sealed: t.head.log.Seq, inBatch: c.is.inBatch}
		if c.body.by = c.r.by; t.Format >= keys.Format2 {
			from := c.body.origin()
			at.Seq, at.By, at.Sealed = from.Seq, from.By, c.body.Seq
		}
		list[i].Versions = append(list[i].Versions, at)
	})
	if err = cmp.Or(err, lost); err != nil {
		return nil, err
	}
	err = agentKind.each(t, nil, func(k []byte, body agentBody, r record) error {
		list = append(list, recordAt{Name: string(k), Seq: body.Seq, By: r.by, inBatch: t.placed(agentKind.rules, k, r).inBatch})
		return nil
	})
	return list, err
}

// cutBehind returns a checkpoint for a new file without the log of the old one, which
// ended at a position of an epoch. The records of agents say who may sign the entries
// after it.
func (t *tx) cutBehind(at audit.Position, epoch uint32) (checkpoint, error) {
	c := checkpoint{Cut: at.Seq, CutMAC: at.LastMAC[:], Epoch: epoch, Actors: []actorAt{}, Told: []toldAt{}}
	err := t.agents(func(id string, body agentBody) error {
		if body.RevokedAt == nil {
			c.Actors = append(c.Actors, actorAt{ID: id, Pub: body.Pub, Scopes: body.scopes(), Serial: body.Serial})
		}
		return nil
	})
	return c, err
}

// after returns the position of the log after the last entry that was archived.
func (c checkpoint) after(root *keys.Root) (at audit.Position) {
	if c.Cut == 0 || len(c.CutMAC) != len(at.LastMAC) {
		return at
	}
	at = audit.Position{Seq: c.Cut, LastMAC: [32]byte(c.CutMAC)}
	if c.next != nil {
		at.Key = *c.next
		return at
	}
	at.Key = root.AuditKey(c.Epoch, c.Began)
	if c.Began > 0 {
		for range c.Cut - c.Began + 1 {
			at.Key = audit.NextKey(at.Key)
		}
	}
	return at
}
