package vault

import (
	"strconv"
	"time"

	"ass/audit"
)

// An import writes two bodies for each secret, and a rewrite all of them. Most are plain, and those are written here:
// [audit.Marshal] takes five times as long, because it learns from the type what there is.

// plainBody is a body that may be plain.
type plainBody interface {
	// plain returns what [audit.Marshal] returns. If ok is false, the body is not plain.
	plain() (b []byte, ok bool)
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

func (b *versionBody) plain() (to []byte, ok bool) {
	if b.Author != "" || len(b.Sealed)+len(b.Recipient) > 0 || b.Origin != nil {
		return nil, false
	}
	to = strconv.AppendUint(append(make([]byte, 0, 80), `{"seq":`...), b.Seq, 10)
	to = append(append(to, `,"tier":"`...), b.Tier.String()...)
	to, ok = appendTime(append(to, `","created_at":`...), b.CreatedAt)
	return append(to, '}'), ok
}

// plainText reports whether JSON has a text as it is.
func plainText(s string) bool {
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
