package vault

import (
	"fmt"
	"time"

	"ass/audit"
)

// IsAhead reports whether a date is ahead of a clock. The clocks of two machines may differ by
// two minutes.
func IsAhead(date, now time.Time) bool { return date.After(now.Add(clockGrace)) }

// mostAhead is how many dates of one kind a report names; it counts the others.
const mostAhead = 10

// aheads collects what is dated ahead of the clock. That is no damage: a clock may have been
// wrong, then or now. But whoever has a key can date what they write, so a person should see it.
type aheads struct {
	named []string
	more  int
}

func (a *aheads) add(what string, date time.Time) {
	if len(a.named) == mostAhead {
		a.more++
		return
	}
	a.named = append(a.named, fmt.Sprintf("%s: it is dated %s, ahead of this machine's clock", what, date.Format(time.RFC3339)))
}

func (a *aheads) lines(kind string) []string {
	if a.more == 0 {
		return a.named
	}
	return append(a.named, fmt.Sprintf("%d more %s are dated ahead of this machine's clock", a.more, kind))
}

// datedEntry looks at the date of a log entry.
func (v *verification) datedEntry(seq uint64, ev audit.Event) {
	if IsAhead(ev.CreatedAt, v.t.now) {
		v.aheadEntries.add(fmt.Sprintf("audit entry %d (%s by %q)", seq, ev.Type, ev.ActorID), ev.CreatedAt)
	}
}

// dated looks at the dates of a record, and names the first one that is ahead.
func (v *verification) dated(of *rules, k []byte, dates ...time.Time) {
	for _, date := range dates {
		if IsAhead(date, v.t.now) {
			v.aheadRecords.add(of.recordName(k), date)
			return
		}
	}
}

// dateOf returns a date, or the zero Time for none.
func dateOf(date *time.Time) (at time.Time) {
	if date != nil {
		at = *date
	}
	return at
}
