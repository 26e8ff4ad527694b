package vault

import (
	"container/heap"
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
)

// When a token ends, as the log tells. Whoever had the token can keep the keys of the epoch, and write on. So what
// it wrote behind its end does not count. Its end is the first of:
//
//   - an entry token.revoked by the owner, its issuer, the token itself, or whoever deleted its only secret;
//   - the entry with which its listed uses reach their limit;
//   - an entry by the owner that is dated [clockGrace] after it lapsed, unless the act copied every grant. What
//     others date does not count: one of them could end every token with a date ahead.
//
// The entries of the transaction that ended the token still count.

// mayAct reports whether an entry may be by its author. If the author is a token, mayAct counts its uses.
func (st *story) mayAct(seq uint64, by string, ev audit.Event) bool {
	who, known := st.actors[by]
	refusal := strings.HasSuffix(ev.Type, audit.Denied) || ev.Type == audit.ApprovalCleanup
	if !known || who.Issuer == "" || refusal {
		return true
	}
	switch same := ev.Type == audit.TokenRevoked && st.before.by == by && st.before.at.Equal(ev.CreatedAt); {
	case who.Ended > 0 && !same:
		st.found("audit entry %d: %s by token %s, which had ended with entry %d", seq, ev.Type, by, who.Ended)
		return false
	case who.Ended == 0 && who.Expires != nil && !ev.CreatedAt.Before(*who.Expires):
		st.found("audit entry %d: %s by token %s, which had expired", seq, ev.Type, by)
		who.Ended = seq
		st.actors[by] = who
		return false
	}
	if who.MaxUses > 0 && who.Ended == 0 {
		if who.Used += usesIn(ev); who.Used >= who.MaxUses {
			who.Ended = seq
		}
		st.actors[by] = who
	}
	return true
}

// usesIn returns how many uses of a token an entry tells of.
func usesIn(ev audit.Event) uint64 {
	n := uint64(ev.CountSecrets())
	if unchanged, _ := ev.Metadata["unchanged"].(float64); ev.Type == audit.SecretImported {
		n += uint64(max(unchanged, 0))
	}
	return n
}

// lapse says when a token expires.
type lapse struct {
	at time.Time
	id string
}

// lapses is a heap of what expires, the next first. It makes a log with many tokens cheap: each of them is looked at
// once, when it expires.
type lapses []lapse

func (l lapses) Len() int           { return len(l) }
func (l lapses) Less(i, j int) bool { return l[i].at.Before(l[j].at) }
func (l lapses) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lapses) Push(x any)        { *l = append(*l, x.(lapse)) }
func (l *lapses) Pop() any {
	last := len(*l) - 1
	x := (*l)[last]
	*l = (*l)[:last]
	return x
}

func (st *story) awaitExpiry(id string, at time.Time) { heap.Push(&st.lapses, lapse{at, id}) }

// endExpired ends the tokens that had lapsed at the time of an entry by the owner. An entry that begins an epoch ends
// them without grace, because the rewrite gave them no grant; a restored or salvaged vault has no tokens at all.
func (st *story) endExpired(seq uint64, ev audit.Event) {
	switch ev.Type {
	case audit.VaultCompacted, audit.LogArchived, audit.Checkpointed:
		return // these copy every grant as it is, and a token whose clock is slow may go on
	}
	grace, all := clockGrace, ev.Type == audit.VaultRestored || ev.Type == audit.VaultSalvaged
	if ev.Epoch != 0 {
		grace = 0
	}
	end := func(id string, who actorAt) {
		if who.Issuer != "" && who.Ended == 0 {
			who.Ended = seq
			st.actors[id] = who
		}
	}
	due := func(at time.Time) bool { return !ev.CreatedAt.Before(at.Add(grace)) }
	if all {
		for id, who := range st.actors {
			end(id, who)
		}
	}
	for len(st.lapses) > 0 && due(st.lapses[0].at) {
		id := heap.Pop(&st.lapses).(lapse).id
		if who, known := st.actors[id]; known && who.Expires != nil && due(*who.Expires) { // else it was issued anew
			end(id, who)
		}
	}
}

func (st *story) tokenRevoked(seq uint64, by string, ev audit.Event) {
	who, known := st.actors[ev.ResourceID]
	if !known || who.Issuer == "" || who.Ended > 0 {
		return
	}
	if by != audit.Owner && by != who.Issuer && by != who.ID && !st.mayDeleteAll(by, who.Scopes) {
		st.found("audit entry %d: token %s was revoked by %q, who did not issue it", seq, who.ID, by)
		return
	}
	if who.Ended = seq; by == audit.Owner && seq == st.began+1 { // the rewrite gave it no grant
		who.Ended = st.began
	}
	st.actors[who.ID] = who
}

// mayDeleteAll reports whether all scopes are for single secrets, and an actor may delete each of these.
func (st *story) mayDeleteAll(by string, scopes tokens.Scopes) bool {
	return len(scopes) > 0 && !slices.ContainsFunc(scopes, func(s tokens.Scope) bool {
		p, exact := s.Pattern.Exact()
		return !exact || !right(st.actors[by].Scopes, tokens.Delete, p)
	})
}
