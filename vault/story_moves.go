package vault

import (
	"fmt"

	"ass/audit"
	"ass/tokens"
)

// What the log tells of moves and copies. The entry has the pairs of paths. Which versions came along is in the list of
// what was sealed anew, in the same entry and those directly behind it.

// arrival is where a secret came from: its old record, as the entries before told of it.
type arrival struct {
	from  recordAt
	shift int64 // what is added to the numbers of its versions
}

// leftAt says which tier a secret had when it was moved away, and with which entry. A backup may have it at its old
// path.
type leftAt struct {
	seq  uint64
	tier tokens.Tier
}

// version returns what there is to know of a version that arrived with the entry seq: who wrote its value, and with
// which entry.
func (a arrival) version(n, seq uint64) versionAt {
	at := versionAt{Number: n, Seq: seq, By: audit.Owner}
	if was, known := a.from.version(uint64(int64(n) - a.shift)); known {
		at.Seq, at.By = was.Seq, was.By
	}
	return at
}

// moved learns what an entry about a move or a copy did. If the entry was not checked, moved believes neither its
// version numbers nor a lower tier.
func (st *story) moved(seq uint64, by string, ev audit.Event, checked bool) {
	if by != audit.Owner {
		st.found("audit entry %d: %s by %q, who is not the owner", seq, ev.Type, by)
		return
	}
	st.arrived = map[string]arrival{}
	for _, item := range ev.Items {
		if item.From != "" {
			st.movedTo(seq, item, ev.Type == audit.SecretCopied, checked)
		}
	}
	if checked {
		st.versionsResealed(seq, by, ev)
	}
	for _, item := range ev.Items {
		if changed, left := audit.WritesItem(&ev, &item); changed && !left {
			st.movedAway(seq, item, checked)
		}
	}
}

// movedTo makes the record of the new path. A copy has no deleted versions.
func (st *story) movedTo(seq uint64, item audit.Item, copied, checked bool) {
	now := recordAt{Name: item.Path, Seq: seq, By: audit.Owner, Version: item.Version,
		inBatch: st.batched.place(bucketSecrets, item.Path)}
	now.Tier, _ = tokens.ParseTier(item.Tier)
	var from, r recordAt
	if was := st.records[item.From]; was != nil {
		from = *was
	}
	if was := st.records[item.Path]; was != nil {
		r = *was
	} else {
		r.Gone = true
	}
	problem := now.follows(r, true, st.format)
	if !r.Gone {
		problem = "it moves a secret there"
	}
	if problem != "" {
		st.suspects = append(st.suspects, suspect{seq, fmt.Sprintf("audit entry %d: %s, but before it %q was %s", seq,
			problem,
			item.Path, r)})
	}
	if now.Last = r.Last; checked {
		now.Last = max(now.Last, now.Version)
	} else {
		now.Version, now.Versions = r.Version, r.Versions
	}
	if now.Tier > st.tiers[item.Path] || now.Tier > 0 && checked {
		st.tiers[item.Path] = now.Tier
	}
	if checked {
		a := arrival{from: from, shift: int64(now.Version) - int64(from.Version)}
		if st.arrived[item.Path] = a; from.Earlier > 0 && !copied {
			now.Earlier = uint64(int64(from.Earlier) + a.shift)
		}
	}
	st.records[item.Path] = &now
}

// movedAway ends the record of the old path. Its numbers are not given again.
func (st *story) movedAway(seq uint64, item audit.Item, checked bool) {
	now := recordAt{Name: item.Path, Seq: seq, By: audit.Owner, Gone: true}
	if was := st.records[item.Path]; was != nil {
		now.Last, now.Versions = was.Last, was.Versions
		now.Version, now.Tier = was.Version, was.Tier
	}
	if checked {
		now.Last = max(now.Last, item.Version)
		now.Version, now.Tier, now.Versions = 0, 0, nil
		st.left[item.Path] = leftAt{seq, max(st.tiers[item.Path], st.left[item.Path].tier)}
		delete(st.tiers, item.Path)
	}
	st.records[item.Path] = &now
}
