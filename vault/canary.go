package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
	"ass/vault/disk"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// A canary is a secret that nobody needs, so whoever reads it has no business there. It looks like any other secret, in
// lists, in the file and in the log: only the owner's key tells, from the id of the secret, that it is one. So an agent
// does not know which secret it should leave alone.

// Canary is a canary that is not deleted, and who has read it.
type Canary struct {
	Secret

	// Reads are the newest reads of its value, those that were refused and requests to read it among them, newest first,
	// at most [MaxCanaryReads]. Count is how many there are. Once the secret gets another value, they count no more.
	Reads []CanaryRead
	Count int
}

// CanaryRead is one read of a canary, as the log tells of it.
type CanaryRead struct {
	Seq   uint64    `json:"seq"`   // Number of the log entry.
	Event string    `json:"event"` // Its event.
	Actor string    `json:"actor"` // Who read it: audit.Owner, or the id of an agent or a token.
	At    time.Time `json:"at"`    // When.
}

// MaxCanaryReads is how many reads of one canary are listed.
const MaxCanaryReads = 100

// IsCanary reports whether a secret is a canary. It reports false to all but the owner, who alone can tell.
func (s *Session) IsCanary(secret Secret) bool { return s.isCanary(secret.ID) }

func (s *Session) isCanary(id string) bool {
	if s.root == nil {
		return false
	}
	u, err := uuid.Parse(id)
	return err == nil && s.root.IsCanary(u)
}

// newIDOf returns a new id of a secret, which says whether it is a canary.
func (t *tx) newIDOf(canary bool) string {
	id := t.newID()
	if canary {
		id = t.root.CanaryID(id)
	}
	return id.String()
}

// markedID returns the id of a secret that is a canary or none from now on.
func (s *Session) markedID(t *tx, id string, canary bool) (string, error) {
	if s.root == nil {
		return "", fault.New(ErrDenied, "only the owner can say whether a secret is a canary, and this is %s", s.Who()).
			Hint("run it with the owner's key")
	}
	if s.isCanary(id) == canary {
		return id, nil
	}
	return t.newIDOf(canary), nil
}

// Canaries lists the canaries in the order of their paths, for the owner alone. It finds those that this machine knows of: they
// were made here, or found by an earlier look at everything. Then it reads only what is new in the log. With everything, or
// if it remembers nothing, it looks at all secrets and at the whole log.
func (s *Session) Canaries(everything bool) ([]Canary, error) {
	if err := s.mayOnlyOwner("tell which secrets are canaries", "", ""); err != nil {
		return nil, err
	}
	m := s.v.opts.memory()
	note := m.canaries(s.root)
	changed := everything || note.stale(s.v)
	if changed {
		note = canaryNote{}
		for _, deleted := range []bool{false, true} {
			list, err := s.List(tokens.Namespace{}, deleted)
			if err != nil {
				return nil, err
			}
			for _, secret := range list {
				if s.IsCanary(secret) {
					note.Known = append(note.Known, knownCanary{Path: secret.Path.String()})
				}
			}
		}
	}
	list, err := s.lookAfter(&note)
	if err != nil {
		return nil, err
	}
	if changed || note.changed {
		m.noteCanaries(s.root, note)
	}
	return list, nil
}

// KnowsCanaries reports whether this machine remembers that the vault has canaries. It needs no key.
func (v *Vault) KnowsCanaries() bool {
	m := v.opts.memory()
	if m.dir == "" {
		return false
	}
	_, _, err := disk.ReadFile(m.canaryFile(v.vid), maxCanaryNote)
	return err == nil
}

// lookAfter reads the records of the canaries in a note, and what is new in the log about them.
func (s *Session) lookAfter(note *canaryNote) (list []Canary, err error) {
	type watched struct {
		Canary
		known *knownCanary
		since time.Time // when it got the value that it has
		fresh []CanaryRead
	}
	at := map[string]*watched{}
	var all []*watched
	err = s.view(func(t *tx) error {
		var kept []knownCanary
		for _, k := range note.Known {
			head, version, err := s.canaryNow(t, k.Path)
			if errors.Is(err, ErrNotFound) { // it has gone, or is no canary any more
				note.changed = true
				continue
			}
			if err != nil {
				return err
			}
			if k.Version != head.Version {
				k = knownCanary{Path: k.Path, Version: head.Version}
				note.changed = true
			}
			kept = append(kept, k)
			w := &watched{Canary: Canary{Secret: head}, since: version.CreatedAt}
			at[k.Path], all = w, append(all, w)
		}
		for i, w := range all {
			w.known = &kept[i]
		}
		note.Known = kept
		return nil
	})
	if err != nil {
		return nil, err
	}
	newest, err := s.v.Receipt()
	if err != nil {
		return nil, err
	}
	if len(at) > 0 {
		_, err = s.v.EachEntry(Query{Maybe: func(g audit.Glance) (can, sure bool) {
			return isReading(string(g.Type)), false
		}, After: note.At}, func(e Entry, _ int) bool {
			for _, item := range Reading(e.Event) {
				if w := at[item.Path]; w != nil && w.known.counts(item, e.CreatedAt, w.since) {
					w.fresh = append(w.fresh, CanaryRead{e.Seq, e.Type, e.ActorID, e.CreatedAt})
				}
			}
			return true
		})
	}
	for _, w := range all {
		k := w.known
		k.Count += len(w.fresh)
		k.Reads = slices.Concat(w.fresh, k.Reads)
		k.Reads = k.Reads[:min(len(k.Reads), MaxCanaryReads)]
		w.Reads, w.Count = k.Reads, k.Count
		note.changed = note.changed || len(w.fresh) > 0
		if w.DeletedAt == nil {
			list = append(list, w.Canary)
		}
	}
	sortList(list, func(a, b Canary) int { return a.Path.Compare(b.Path) })
	note.changed = note.changed || newest.Seq > note.At+worthNoting
	note.At, note.MAC = newest.Seq, newest.MAC[:]
	return list, err
}

// canaryNow returns the secret at a path and its current version; [ErrNotFound] unless it is a canary.
func (s *Session) canaryNow(t *tx, path string) (secret Secret, version versionBody, err error) {
	p, err := tokens.ParsePath(path)
	if err != nil {
		return secret, version, ErrNotFound
	}
	head, err := t.secretHead(p)
	if err == nil && !s.isCanary(head.ID) {
		err = ErrNotFound
	}
	if err != nil {
		return secret, version, err
	}
	version, _, err = versionKind.get(t, versionKey(p, head.Version))
	if errors.Is(err, ErrNotFound) {
		err = fault.Damaged(path, "its version %d is missing", head.Version)
	}
	return head.secret(p), version, err
}

// counts reports whether a read of an item is one of the value that a canary has had since a time.
func (k knownCanary) counts(item audit.Item, at, since time.Time) bool {
	if item.Version != 0 {
		return item.Version == k.Version
	}
	return !at.Before(since.Truncate(time.Millisecond)) // what was refused has no version
}

// isReading reports whether an event can be one of a read, or of the wish to read.
func isReading(event string) bool {
	return strings.HasPrefix(event, audit.SecretRead) || event == audit.ApprovalRequested
}

// Reading returns the secrets that somebody read or wanted to read, according to an event. The version is 0 where the event
// names none, because the read was refused.
func Reading(e audit.Event) []audit.Item {
	switch e.Type {
	case audit.SecretRead:
		if e.Metadata["purpose"] == LeaksScan && e.ActorID == audit.Owner { // the owner looks for what leaked
			return nil
		}
		return e.Secrets()
	case audit.SecretRead + audit.Denied:
		return []audit.Item{{Path: e.ResourceID}}
	case audit.ApprovalRequested:
		if action, _ := e.Metadata["action"].(string); action != RequestRead {
			return nil
		}
		path, _ := e.Metadata["path"].(string)
		return []audit.Item{{Path: path}}
	}
	return nil
}

// CanariesAmong returns those paths at which there is a canary, deleted or not. It finds none without the owner's key.
func (s *Session) CanariesAmong(paths []tokens.Path) (found []tokens.Path, err error) {
	if s.root == nil {
		return nil, nil
	}
	err = s.view(func(t *tx) error {
		for _, p := range paths {
			if head, err := t.secretHead(p); err == nil && s.isCanary(head.ID) {
				found = append(found, p)
			}
		}
		return nil
	})
	return found, err
}

// canaryNote is what this machine remembers of the canaries of a vault, so that nobody has to look at all secrets and at the
// whole log each time. It lies beside the newest entry that the machine has seen, sealed under a key that is derived
// from the root: nobody else must learn which secrets are canaries.
type canaryNote struct {
	At    uint64        `json:"at"`  // Number of the newest log entry that was looked at.
	MAC   []byte        `json:"mac"` // MAC of that entry.
	Known []knownCanary `json:"known"`

	changed bool
}

type knownCanary struct {
	Path    string       `json:"path"`
	Version uint64       `json:"version"`
	Count   int          `json:"count"`
	Reads   []CanaryRead `json:"reads"`
}

const (
	maxCanaryNote = 64 << 20 // bytes
	worthNoting   = 1000     // entries that need not be looked at again
)

func (m memory) canaryFile(vid keys.VaultID) string { return m.file(vid) + ".canaries" }

// canaries returns the zero note if there is none, or none that opens.
func (m memory) canaries(root *keys.Root) (note canaryNote) {
	if m.dir == "" {
		return note
	}
	sealed, _, err := disk.ReadFile(m.canaryFile(root.Vault), maxCanaryNote)
	if err != nil {
		return note
	}
	k, ctx := root.CanaryWrap()
	plain, err := keys.Open(k, ctx, sealed)
	defer clear(plain)
	if err != nil || json.Unmarshal(plain, &note) != nil {
		return canaryNote{}
	}
	return note
}

// stale reports whether the log no longer has the entry up to which a note goes.
func (n canaryNote) stale(v *Vault) bool {
	_, then, err := v.lastEntry(n.At)
	return n.At == 0 || err != nil || !bytes.Equal(then.MAC[:], n.MAC)
}

// noteCanaries remembers a note. If there is nothing to remember, nor was there before, it writes none. If the machine cannot
// remember, the next look takes longer.
func (m memory) noteCanaries(root *keys.Root, note canaryNote) {
	file := m.canaryFile(root.Vault)
	if _, _, err := disk.ReadFile(file, maxCanaryNote); m.dir == "" || len(note.Known) == 0 && isNoNote(err) {
		return
	}
	plain, err := json.Marshal(note)
	if err != nil {
		return
	}
	k, ctx := root.CanaryWrap()
	if sealed, err := keys.Seal(k, ctx, plain); err == nil {
		_ = m.unfinished.ReplaceAny(file, sealed)
	}
}

// noteCanary remembers a secret that has become a canary.
func (s *Session) noteCanary(p tokens.Path) {
	m := s.v.opts.memory()
	note := m.canaries(s.root)
	if note.stale(s.v) { // the next look is at everything
		note = canaryNote{}
	}
	if !slices.ContainsFunc(note.Known, func(k knownCanary) bool { return k.Path == p.String() }) {
		note.Known = append(note.Known, knownCanary{Path: p.String()})
		m.noteCanaries(s.root, note)
	}
}

// noteMovedCanaries remembers where canaries are that were moved or copied.
func (s *Session) noteMovedCanaries(done MovePlan) {
	if !s.v.KnowsCanaries() {
		return
	}
	known := map[string]bool{}
	for _, k := range s.v.opts.memory().canaries(s.root).Known {
		known[k.Path] = true
	}
	for _, m := range done.moves() {
		if known[m.From.String()] {
			s.noteCanary(m.To)
		}
	}
}
