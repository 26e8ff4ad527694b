package vault

import (
	"bytes"
	"reflect"
	"strconv"
	"time"

	"ass/audit"
)

// An import writes two bodies for each secret, and a rewrite all of them; a list reads one for each secret. Most are
// plain, and those are written and read here: [audit.Marshal] and [audit.DecodeStrict] take five times as long, because
// they learn from the type what there is.

// plainBody is a body that may be plain.
type plainBody interface {
	// plain returns what [audit.Marshal] returns. If ok is false, the body is not plain.
	plain() (b []byte, ok bool)

	// readPlain does what [audit.DecodeStrict] does with what plain returned. If ok is false, b is something else, and
	// the body may hold anything.
	readPlain(b []byte) (ok bool)
}

// marshalBody is [audit.Marshal] for the body of a record, to which body points.
func marshalBody(body any) ([]byte, error) {
	if p, ok := body.(plainBody); ok {
		if b, ok := p.plain(); ok {
			return b, nil
		}
	}
	return audit.Marshal(body)
}

// unmarshalBody is [audit.DecodeStrict] for the body of a record.
func unmarshalBody(b []byte, body any) error {
	if p, ok := body.(plainBody); ok {
		if p.readPlain(b) {
			return nil
		}
		reflect.ValueOf(body).Elem().SetZero()
	}
	return audit.DecodeStrict(b, body)
}

func (b *secretBody) plain() (to []byte, ok bool) {
	if b.DeletedAt != nil || b.DeletedTo != 0 || b.Last != 0 || b.About != nil || !plainText(b.ID) || !plainText(b.Type) {
		return nil, false
	}
	to = strconv.AppendUint(append(make([]byte, 0, 208), `{"seq":`...), b.Seq, 10)
	to = append(append(to, `,"id":"`...), b.ID...)
	to = strconv.AppendUint(append(to, `","version":`...), b.Version, 10)
	to = append(append(to, `,"tier":"`...), b.Tier.String()...)
	to = append(append(to, `","type":"`...), b.Type...)
	to, created := appendTime(append(to, `","created_at":`...), b.CreatedAt)
	to, updated := appendTime(append(to, `,"updated_at":`...), b.UpdatedAt)
	return append(to, '}'), created && updated
}

func (b *secretBody) readPlain(from []byte) bool {
	r := plainReader{rest: from}
	b.Seq = r.number(`{"seq":`)
	b.ID = string(r.text(`,"id":"`))
	b.Version = r.number(`,"version":`)
	tier := b.Tier.UnmarshalText(r.text(`,"tier":"`))
	b.Type = typeNamed(r.text(`,"type":"`))
	b.CreatedAt = r.time(`,"created_at":"`)
	b.UpdatedAt = r.time(`,"updated_at":"`)
	return tier == nil && r.ends()
}

// typeNamed is a text as a string, which most types need no memory for.
func typeNamed(text []byte) string {
	if string(text) == DefaultType {
		return DefaultType
	}
	return string(text)
}

func (b *versionBody) plain() (to []byte, ok bool) {
	if b.Author != "" || len(b.Sealed)+len(b.Recipient) > 0 || b.Origin != nil {
		return nil, false
	}
	to = strconv.AppendUint(append(make([]byte, 0, 80), `{"seq":`...), b.Seq, 10)
	to = append(append(to, `,"tier":"`...), b.Tier.String()...)
	to, ok = appendTime(append(to, `","created_at":`...), b.CreatedAt)
	return append(to, '}'), ok
}

func (b *versionBody) readPlain(from []byte) bool {
	r := plainReader{rest: from}
	b.Seq = r.number(`{"seq":`)
	tier := b.Tier.UnmarshalText(r.text(`,"tier":"`))
	b.CreatedAt = r.time(`,"created_at":"`)
	return tier == nil && r.ends()
}

// plainReader reads a plain body.
type plainReader struct {
	rest   []byte
	broken bool // it is none

	when []byte    // the time that was read last
	at   time.Time // what it is
}

// cut reads what stands before a value. If something else does, nothing is left, and so no value.
func (r *plainReader) cut(before string) {
	n := len(before)
	if len(r.rest) < n || string(r.rest[:n]) != before {
		r.rest = nil
		return
	}
	r.rest = r.rest[n:]
}

// number reads a whole number of at most 15 digits.
func (r *plainReader) number(before string) (n uint64) {
	r.cut(before)
	i := 0
	for ; i < len(r.rest) && '0' <= r.rest[i] && r.rest[i] <= '9'; i++ {
		n = n*10 + uint64(r.rest[i]-'0')
	}
	if i == 0 || i > 15 || i > 1 && r.rest[0] == '0' {
		r.broken = true
	}
	r.rest = r.rest[i:]
	return n
}

// quoted reads up to the next quote, and the quote.
func (r *plainReader) quoted(before string) (text []byte) {
	r.cut(before)
	i := bytes.IndexByte(r.rest, '"')
	if i < 0 {
		r.broken = true
		return nil
	}
	text, r.rest = r.rest[:i], r.rest[i+1:]
	return text
}

func (r *plainReader) text(before string) []byte {
	text := r.quoted(before)
	r.broken = r.broken || !plainText(text)
	return text
}

func (r *plainReader) time(before string) time.Time {
	text := r.quoted(before)
	if r.when == nil || string(text) != string(r.when) { // most heads have the same time twice
		r.when = text
		r.broken = r.at.UnmarshalText(text) != nil || r.broken
	}
	return r.at
}

// ends reads the end, and reports whether the body was plain.
func (r *plainReader) ends() bool { return !r.broken && string(r.rest) == "}" }

// plainText reports whether JSON has a text as it is.
func plainText[T string | []byte](s T) bool {
	for i := range len(s) {
		if c := s[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

func appendTime(b []byte, t time.Time) (_ []byte, ok bool) {
	b, err := t.AppendText(append(b, '"'))
	return append(b, '"'), err == nil
}
