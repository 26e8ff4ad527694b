package audit

import (
	"bytes"
	"time"
)

// Glance is what a stored entry says in a few places, read without the rest: whoever looks for a handful of entries
// among many need not read all of them. If the entry can be read at all, what a Glance says is what [Entry.Event] says.
// That is so because no name occurs twice in a body, and a quote inside of a text has an escape before it.
//
// The byte slices are parts of the stored value.
type Glance struct {
	By    []byte // who signed it
	Type  []byte
	Actor []byte
	body  []byte
	rest  []byte // of the body, behind the actor
}

// Look takes a glance at a stored entry. It reports false if the entry is not in the form that ass writes. Then only
// reading all of it tells what it says.
func Look(value []byte) (g Glance, ok bool) {
	by, rest, ok1 := cutLP(value)
	body, _, ok2 := cutLP(rest)
	if !ok1 || !ok2 {
		return g, false
	}
	g.By, g.body = by, body
	q := quick{rest: body}
	if !q.cut(`{"id":`) {
		return g, false
	}
	if _, ok = q.text(); !ok || !q.cut(`,"event_type":`) {
		return g, false
	}
	if g.Type, ok = q.text(); !ok || !q.cut(`,"actor_id":`) {
		return g, false
	}
	g.Actor, ok = q.text()
	g.rest = q.rest
	return g, ok
}

// Resource returns what the entry is about: the path of a secret or, if it is about several, a namespace that holds them
// all; false if only reading all of the entry tells.
func (g Glance) Resource() (resource []byte, ok bool) {
	q := quick{rest: g.rest}
	for _, name := range []string{`,"actor_type":`, `,"resource_type":`, `,"resource_id":`} {
		if !q.cut(name) {
			return nil, false
		}
		if resource, ok = q.text(); !ok {
			return nil, false
		}
	}
	return resource, true
}

// Secret returns the path of the secret, of an entry that is about one and has no list; false if only reading all of the
// entry tells.
func (g Glance) Secret() (path string, ok bool) {
	if !bytes.HasPrefix(g.Type, []byte("secret.")) || string(g.Type) == SecretImported || bytes.Contains(g.body, []byte(`"items"`)) {
		return "", false
	}
	resource, ok := g.Resource()
	return string(resource), ok
}

// CreatedAt returns the time of the entry; false if only reading all of it tells.
func (g Glance) CreatedAt() (t time.Time, ok bool) {
	const name = `,"created_at":`
	at := bytes.LastIndex(g.body, []byte(name))
	if at < 0 {
		return t, false
	}
	q := quick{rest: g.body[at+len(name):]}
	text, ok := q.text()
	if !ok || t.UnmarshalText(text) != nil {
		return t, false
	}
	// Only with these names behind it, up to the end, is it surely a field of the event itself.
	if q.cut(`,"epoch":`) {
		if _, ok := q.number(); !ok {
			return t, false
		}
	}
	if q.cut(`,"roots":[`) {
		for n := 0; !q.cut("]"); n++ {
			if n > 0 && !q.cut(",") {
				return t, false
			}
			if _, ok := q.text(); !ok {
				return t, false
			}
		}
	}
	return t, string(q.rest) == "}"
}

// Lacks reports whether the body surely has no text with these characters in it, which are printable ASCII without
// quotes, backslashes and slashes.
func (g Glance) Lacks(characters string) bool {
	return !bytes.Contains(g.body, []byte(characters)) && bytes.IndexByte(g.body, '\\') < 0
}
