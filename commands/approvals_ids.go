package commands

import (
	"slices"
	"strings"

	"ass/vault"
)

// How ids of requests are cut, and completed again.

// enoughOfID is how many characters of an id must be typed, and are shown at least.
const enoughOfID = 8

// wholeID is how long the id of a request is.
const wholeID = 36

// shortIDs maps each id to its beginning, as long as it must be so that no other id of the list begins with it. Whoever
// makes a request can try until its id begins as another one does, so no fixed length would do.
func shortIDs(ids []string) map[string]string {
	sorted := slices.Compact(slices.Sorted(slices.Values(ids)))
	short := map[string]string{}
	for i, id := range sorted {
		n := strings.IndexByte(id, '_') + 1 + enoughOfID // behind agt_
		if i > 0 {
			n = max(n, inCommon(sorted[i-1], id)+1)
		}
		if i+1 < len(sorted) {
			n = max(n, inCommon(sorted[i+1], id)+1)
		}
		short[id] = id[:min(n, len(id))]
	}
	return short
}

// inCommon returns how many bytes two texts begin with alike.
func inCommon(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// shownIDs maps ids to what is shown of them in a table: their beginnings for people, the whole for programs. It
// takes all ids of their kind, also those that are not shown, so that what somebody types after the table means one
// thing.
func (a *app) shownIDs(ids []string) map[string]string {
	if a.out.tty {
		return shortIDs(ids)
	}
	whole := map[string]string{}
	for _, id := range ids {
		whole[id] = id
	}
	return whole
}

// idsOf returns the ids of a list.
func idsOf[T any](list []T, id func(T) string) []string {
	ids := make([]string, len(list))
	for i, x := range list {
		ids[i] = id(x)
	}
	return ids
}

// findRequest finds a request by its id, or by how its id begins. If there is none, but a record was
// skipped because it was altered, the error names that record: it may be the one.
func findRequest(s *vault.Session, list []vault.Request, id string) (found vault.Request, err error) {
	some := beginWith(list, id, func(q vault.Request) string { return q.ID })
	switch len(some) {
	case 0:
		if err := s.Unlisted(); err != nil {
			return found, err
		}
		return found, errorf(vault.ErrUnknown, "no request %s", id).
			hint("list the pending ones with: ass approvals list")
	case 1:
		return some[0], nil
	}
	return found, usagef("%d requests begin with %s", len(some), id).
		hint("give the whole id")
}

// beginWith returns the item whose id was typed. If there is none, and enough of an
// id was typed, it returns all items whose ids begin with it.
func beginWith[T any](list []T, typed string, id func(T) string) (some []T) {
	for _, x := range list {
		if id(x) == typed {
			return []T{x}
		}
		if len(typed) >= enoughOfID && strings.HasPrefix(id(x), typed) {
			some = append(some, x)
		}
	}
	return some
}
