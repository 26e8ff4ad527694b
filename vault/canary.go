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

// Canary is a canary, and who has touched it since the owner stored its value.
type Canary struct {
	Secret

	// Reads are the newest touches, newest first, at most [MaxCanaryReads]: reads of any version, those that were refused,
	// requests to read it, and what others than the owner wrote or deleted there. Count is how many there are. Once the
	// owner stores another value, or deletes the secret, they count no more.
	Reads []CanaryRead
	Count int
}

// CanaryRead is one touch of a canary, as the log tells of it.
type CanaryRead struct {
	Seq   uint64    `json:"seq"`   // Number of the log entry.
	Event string    `json:"event"` // Its event.
	Actor string    `json:"actor"` // Who it was: audit.Owner, or the id of an agent or a token.
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

// Canaries lists the canaries in the order of their paths, for the owner alone; a deleted one only if it was touched.
// It finds those that this machine knows of: they were made here, or found by an earlier look at everything. Then it
// reads only what is new in the log. With everything, or if it remembers nothing, it looks at all secrets and at the
// whole log. It does not find what was archived before this machine looked.
func (s *Session) Canaries(everything bool) ([]Canary, error) {
	if err := s.mayOnlyOwner("tell which secrets are canaries", "", ""); err != nil {
		return nil, err
	}
	m := s.v.opts.memory()
	before := m.canaries(s.root)
	l := canaryLook{s: s, from: before.At, noted: before.At, before: map[string]knownCanary{}}
	everything = everything || before.stale(s.v)
	if !everything {
		var err error
		if everything, err = l.restoredSince(); err != nil {
			return nil, err
		}
	}
	paths := map[string]bool{}
	for _, k := range before.Known {
		l.before[k.Path] = k
		paths[k.Path] = true
	}
	if everything {
		l.from = 0
		for _, deleted := range []bool{false, true} {
			list, err := s.List(tokens.Namespace{}, deleted)
			if err != nil {
				return nil, err
			}
			for _, secret := range list {
				if s.IsCanary(secret) {
					paths[secret.Path.String()] = true
				}
			}
		}
	}
	list, note, err := l.look(paths)
	if err != nil {
		return nil, err
	}
	if everything || note.differs(before) {
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

// canaryLook is one look at canaries. It goes by the place of entries in the log, from the newest one back.
type canaryLook struct {
	s      *Session
	from   uint64                 // number of the entry up to which the log need not be looked at
	noted  uint64                 // number of the entry up to which this machine had looked
	before map[string]knownCanary // what it knew then, by path

	at       map[string]*watchedCanary // by the path that each has at the entry that is looked at
	restored bool                      // a restore came after that entry, so values of before may have come back
}

type watchedCanary struct {
	Canary
	noted string       // path that it had when this machine looked last
	fresh []CanaryRead // the newest touches, at most MaxCanaryReads
	count int          // of all of them
	done  bool         // the owner stored the value there; what was before does not count
}

// restoredSince reports whether something new in the log says that values of before came back.
func (l *canaryLook) restoredSince() (found bool, err error) {
	_, err = l.s.v.EachEntry(Query{After: l.from, Maybe: func(g audit.Glance) (can, sure bool) {
		return bringsBack(string(g.Type)), true
	}}, func(Entry, int) bool { found = true; return false })
	return found, err
}

func bringsBack(event string) bool {
	return event == audit.VaultRestored || event == audit.VaultSalvaged
}

// look finds out what became of the secrets at some paths.
func (l *canaryLook) look(paths map[string]bool) (list []Canary, note canaryNote, err error) {
	newest, err := l.s.v.Receipt() // first: what is written from now on is for the next look
	if err != nil {
		return nil, note, err
	}
	if err := l.moves(paths); err != nil {
		return nil, note, err
	}
	l.at = map[string]*watchedCanary{}
	var all []*watchedCanary
	err = l.s.view(func(t *tx) error {
		for path := range paths {
			secret, err := l.s.canaryAt(t, path)
			switch {
			case errors.Is(err, ErrNotFound): // it has gone, or is no canary any more
			case err != nil:
				return err
			default:
				w := &watchedCanary{Canary: Canary{Secret: secret}, noted: path}
				l.at[path], all = w, append(all, w)
			}
		}
		return nil
	})
	if err != nil {
		return nil, note, err
	}
	if len(all) > 0 {
		_, err = l.s.v.EachEntry(Query{After: l.from, Maybe: func(g audit.Glance) (can, sure bool) {
			kind := string(g.Type)
			return strings.HasPrefix(kind, "secret.") || kind == audit.ApprovalRequested || bringsBack(kind), false
		}}, func(e Entry, _ int) bool {
			if e.Seq <= newest.Seq {
				l.entry(e)
			}
			return len(l.at) > 0
		})
	}
	if err != nil {
		return nil, note, err
	}
	first, err := l.s.v.firstEntry()
	if err != nil {
		return nil, note, err
	}
	note = canaryNote{At: newest.Seq, MAC: newest.MAC[:]}
	for _, w := range all {
		k := knownCanary{Path: w.Path.String(), Count: w.count, Reads: w.fresh}
		if old := l.before[w.noted]; !w.done {
			if l.from == 0 { // then only what was archived since adds something
				old.Reads = slices.DeleteFunc(slices.Clone(old.Reads), func(r CanaryRead) bool { return r.Seq >= first })
				old.Count = len(old.Reads)
			}
			k.Count, k.Reads = k.Count+old.Count, slices.Concat(k.Reads, old.Reads)
		}
		k.Reads = k.Reads[:min(len(k.Reads), MaxCanaryReads)]
		note.Known = append(note.Known, k)
		if w.Reads, w.Count = k.Reads, k.Count; w.DeletedAt == nil || w.Count > 0 {
			list = append(list, w.Canary)
		}
	}
	sortList(note.Known, func(a, b knownCanary) int { return strings.Compare(a.Path, b.Path) })
	sortList(list, func(a, b Canary) int { return a.Path.Compare(b.Path) })
	return list, note, nil
}

// moves adds the paths to which the owner moved or copied what is at the paths.
func (l *canaryLook) moves(paths map[string]bool) error {
	var pairs []audit.Item // the newest first
	_, err := l.s.v.EachEntry(Query{After: l.from, Maybe: func(g audit.Glance) (can, sure bool) {
		return string(g.Type) == audit.SecretMoved || string(g.Type) == audit.SecretCopied, false
	}}, func(e Entry, _ int) bool {
		pairs = append(pairs, e.Items...)
		return true
	})
	for _, i := range slices.Backward(pairs) {
		if i.To != "" && paths[i.Path] {
			paths[i.To] = true
		}
	}
	return err
}

// entry takes what an entry tells.
func (l *canaryLook) entry(e Entry) {
	if bringsBack(e.Type) {
		l.restored = true
		return
	}
	touch := func(path string) {
		if w := l.at[path]; w != nil {
			if w.count++; len(w.fresh) < MaxCanaryReads {
				w.fresh = append(w.fresh, CanaryRead{e.Seq, e.Type, e.ActorID, e.CreatedAt})
			}
		}
	}
	reading := Reading(e.Event)
	for _, item := range reading {
		touch(item.Path)
	}
	if len(reading) > 0 || !strings.HasPrefix(e.Type, "secret.") || e.Type == audit.SecretRead {
		return
	}
	for _, item := range e.Secrets() {
		w := l.at[item.Path]
		switch {
		case w == nil:
		case e.ActorID != audit.Owner: // nobody has business there
			touch(item.Path)
		case e.Type == audit.SecretMoved && item.From != "":
			delete(l.at, item.Path)
			if l.at[item.From] = w; e.Seq > l.noted {
				w.noted = item.From
			}
		case e.Type == audit.SecretMoved, e.Type == audit.SecretRestored, e.Type == audit.SecretPruned,
			e.Type == audit.SecretMended, e.Type == audit.SecretDescribed, e.Type == audit.SecretCopied && item.To != "",
			l.restored: // none of these is a value that the owner chose anew
		default: // the owner stored a value, or took the secret away
			w.done = true
			delete(l.at, item.Path)
		}
	}
}

// canaryAt returns the secret at a path, deleted or not; [ErrNotFound] unless it is a canary.
func (s *Session) canaryAt(t *tx, path string) (secret Secret, err error) {
	p, err := tokens.ParsePath(path)
	if err != nil {
		return secret, ErrNotFound
	}
	head, err := t.secretHead(p)
	if err == nil && !s.isCanary(head.ID) {
		err = ErrNotFound
	}
	return head.secret(p), err
}

// Reading returns the secrets that somebody read or wanted to read, according to an event. The version is 0 where the
// event names none, because the read was refused.
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

// canaryNote is what this machine remembers of the canaries of a vault, so that nobody has to look at all secrets and
// at the whole log each time. It lies beside the newest entry that the machine has seen, sealed under a key that is
// derived from the root: nobody else must learn which secrets are canaries.
type canaryNote struct {
	At    uint64        `json:"at"`  // Number of the newest log entry that was looked at.
	MAC   []byte        `json:"mac"` // MAC of that entry.
	Known []knownCanary `json:"known"`
}

type knownCanary struct {
	Path  string       `json:"path"`
	Count int          `json:"count"`
	Reads []CanaryRead `json:"reads"`
}

// differs reports whether a note is worth writing: it has other canaries or touches, or saves much of the log.
func (n canaryNote) differs(before canaryNote) bool {
	return n.At > before.At+worthNoting || !slices.EqualFunc(n.Known, before.Known, func(a, b knownCanary) bool {
		return a.Path == b.Path && a.Count == b.Count
	})
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

// noteCanaries remembers a note. If there is nothing to remember, nor was there before, it writes none. If the machine
// cannot remember, the next look takes longer.
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
