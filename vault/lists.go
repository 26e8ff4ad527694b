package vault

import (
	"encoding/hex"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// An act on several secrets is one entry with a list of them, in the order of their paths. A list that does not fit
// into one body goes on in further entries of the transaction. In format 1, each read has an entry of its own, and an
// import one entry, of any size.

// lists reports whether an entry can have a list.
func (t *tx) lists() bool { return t.Format >= keys.Format2 }

// lists reports whether an entry of this epoch can have a list.
func (st *story) lists() bool { return st.format >= keys.Format2 }

// pages splits a list into entries.
type pages struct {
	page uint64 // the entry that the next item goes into, counted from 0, if there is room
	size int    // of the items in that entry
}

// add returns the entry into which an item goes, with so many more bytes that belong to it.
func (p *pages) add(i audit.Item, more int) uint64 {
	size := i.Size() + more
	if p.size > 0 && p.size+size > audit.MaxItems {
		p.page, p.size = p.page+1, 0
	}
	p.size += size
	return p.page
}

// readLog logs the reads of one act.
type readLog struct {
	t     *tx
	pages pages
	page  uint64
	items []audit.Item // that are not logged yet

	purpose string // of the reads, for the log; "" for none
}

func (l *readLog) add(i audit.Item) error {
	if !l.t.lists() {
		return l.t.logRead(i, l.purpose)
	}
	if page := l.pages.add(i, 0); page != l.page {
		l.page = page
		if err := l.flush(); err != nil {
			return err
		}
	}
	l.items = append(l.items, i)
	return nil
}

// flush logs what was added. One secret is logged as [Session.Get] does it.
func (l *readLog) flush() error {
	items := l.items
	switch l.items = nil; len(items) {
	case 0:
		return nil
	case 1:
		return l.t.logRead(items[0], l.purpose)
	}
	ev := listEvent(audit.SecretRead, items)
	if l.purpose != "" {
		ev.Metadata = map[string]any{"purpose": l.purpose}
	}
	return l.t.logEvent(ev)
}

// logRead logs the read of one secret, and what it was for if that is not "".
func (t *tx) logRead(i audit.Item, purpose string) error {
	note := map[string]any{"version": i.Version, "tier": i.Tier}
	if i.Approval != "" {
		note["approval"] = i.Approval
	}
	if purpose != "" {
		note["purpose"] = purpose
	}
	return t.log(audit.SecretRead, "secret", i.Path, note)
}

// listEvent returns an event about several secrets.
func listEvent(event string, items []audit.Item) audit.Event {
	return audit.Event{Type: event, ResourceType: "namespace", ResourceID: audit.CommonNamespace(items), Items: items}
}

// namesFor returns at most so many names for an entry. Somebody may have made names of any length, so that no reader takes
// the entry; no name of a record that ass made is that long.
func namesFor(names []string, most int) (list []string) {
	const longest = 600
	for _, name := range names[:min(len(names), most)] {
		if len(name) > longest {
			name = name[:longest] + "…"
		}
		list = append(list, name)
	}
	return list
}

// Sizes of the lists of what was sealed anew, in bytes. A short one is part of the entry of the act.
const (
	shortResealed = 4 << 10
	mostResealed  = audit.MaxItems
)

// resealedSize is how many bytes a version takes in such a list.
func resealedSize(p tokens.Path) int {
	return len(`{"path":"","version":9007199254740992},`) + len(p.String())
}

// resealing splits the list of what an act seals anew into the entry of the act and further ones.
type resealing struct {
	page uint64            // the entry that the next one goes into, counted from that of the act
	size int               // of the list in that entry
	of   map[string]uint64 // by version key: the entry, if it is a further one
}

// resealSeq returns the number of the entry that will tell that the owner has sealed a version anew. The act itself
// has the next entry of the log.
func (t *tx) resealSeq(p tokens.Path, n uint64) uint64 {
	r, most := &t.resealing, mostResealed
	if r.page == 0 {
		most = shortResealed
	}
	if size := resealedSize(p); t.lists() && r.size+size > most {
		r.page, r.size = r.page+1, 0
	}
	if r.size += resealedSize(p); r.page > 0 {
		if r.of == nil {
			r.of = map[string]uint64{}
		}
		r.of[string(versionKey(p, n))] = r.page
	}
	return t.seq() + r.page
}

// logResealed logs the rest of what an act sealed anew, behind the entry of the act. list is in order.
func (t *tx) logResealed(list []string) error {
	pages := t.resealing
	t.resealing = resealing{}
	parts := make([][]string, pages.page)
	for _, k := range list {
		if page := pages.of[k]; page > 0 {
			parts[page-1] = append(parts[page-1], k)
		}
	}
	for i, part := range parts {
		ev := audit.Event{Type: audit.VaultResealed, ResourceType: "vault", ResourceID: hex.EncodeToString(t.Epoch.Vault[:]),
			Metadata: map[string]any{"resealed": t.resealed(part)}}
		var err error
		if ev.Roots, err = t.signDrafts(func(r *stored) bool { return pages.of[string(r.key)] == uint64(i+1) }); err != nil {
			return err
		}
		if err := t.append(ev); err != nil {
			return err
		}
	}
	return nil
}
