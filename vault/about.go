package vault

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/bolt"
)

// About is what people say of a secret. Like paths, it is not encrypted. Nothing is decided on it: who may read a
// secret, and whether it can be read, does not depend on it.
type About struct {
	Description string            `json:"description,omitempty"`  // What the secret is for.
	Tags        map[string]string `json:"tags,omitempty"`         // To find it by.
	Metadata    map[string]string `json:"metadata,omitempty"`     // As in the hosted product.
	ExpiresAt   *time.Time        `json:"expires_at,omitempty"`   // When it is worth nothing any more.
	RotateEvery int64             `json:"rotate_every,omitempty"` // How often it should get another value, in seconds; 0 for no rule.
	MovedFrom   string            `json:"moved_from,omitempty"`   // Path that it had before.
}

// The limits of what may be said of a secret. It is in each head, and lists read all heads.
const (
	maxAboutTags  = 32
	maxAboutName  = 64
	maxAboutValue = 500
	maxRotate     = 100 * 366 * 24 * time.Hour
)

// clone returns a copy that can be changed.
func (x *About) clone() About {
	if x == nil {
		return About{}
	}
	c := *x
	c.Tags, c.Metadata = maps.Clone(x.Tags), maps.Clone(x.Metadata)
	return c
}

func (x About) isZero() bool {
	return x.Description == "" && len(x.Tags) == 0 && len(x.Metadata) == 0 && x.ExpiresAt == nil && x.RotateEvery == 0 &&
		x.MovedFrom == ""
}

// check returns a [tokens.SyntaxError] if that may not be said of a secret.
func (x About) check() error {
	wrong := func(what, format string, args ...any) error {
		return &tokens.SyntaxError{What: what, Problem: fmt.Sprintf(format, args...)}
	}
	if len(x.Description) > maxAboutValue || !utf8.ValidString(x.Description) {
		return wrong("description", "it must be text of at most %d bytes", maxAboutValue)
	}
	for what, set := range map[string]map[string]string{"tag": x.Tags, "meta": x.Metadata} {
		if len(set) > maxAboutTags {
			return wrong(what, "a secret has at most %d", maxAboutTags)
		}
		for k, v := range set {
			switch {
			case k == "" || len(k) > maxAboutName || strings.Trim(k, aboutName) != "":
				return wrong(what, "its name must have 1 to %d letters, digits, hyphens, underscores or dots", maxAboutName)
			case len(v) > maxAboutValue || !utf8.ValidString(v):
				return wrong(what, "its value must be text of at most %d bytes", maxAboutValue)
			}
		}
	}
	if x.RotateEvery < 0 || x.RotateEvery > int64(maxRotate/time.Second) {
		return wrong("rotation", "it must be from 1s to 100 years")
	}
	return nil
}

const aboutName = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// changedBy returns what is said of a secret after a change, and which parts changed; about is nil for nothing.
func (x *About) changedBy(change func(*About)) (about *About, parts []string, err error) {
	was, now := x.clone(), x.clone()
	change(&now)
	now.MovedFrom = was.MovedFrom // a fact, not what somebody says
	if now.ExpiresAt != nil {
		at := now.ExpiresAt.UTC().Truncate(time.Second)
		now.ExpiresAt = &at
	}
	if err := now.check(); err != nil {
		return nil, nil, err
	}
	for part, same := range map[string]bool{
		"description": was.Description == now.Description,
		"tags":        maps.Equal(was.Tags, now.Tags),
		"metadata":    maps.Equal(was.Metadata, now.Metadata),
		"expires_at": was.ExpiresAt == now.ExpiresAt || was.ExpiresAt != nil && now.ExpiresAt != nil &&
			was.ExpiresAt.Equal(*now.ExpiresAt),
		"rotate_every": was.RotateEvery == now.RotateEvery,
	} {
		if !same {
			parts = append(parts, part)
		}
	}
	slices.Sort(parts)
	if now.isZero() {
		return nil, parts, nil
	}
	return &now, parts, nil
}

// Describe changes what is said of a secret, as change does with a copy of it. It writes no value. A critical secret
// takes an approval, as overwriting it does. If nothing changes, nothing is written or logged, and nothing counts as
// used. For a change that may not be said, the error is a [tokens.SyntaxError].
func (s *Session) Describe(p tokens.Path, change func(*About)) (now Secret, parts []string, err error) {
	err = s.update(func(t *tx) error {
		if err := s.authorize(t, tokens.Write, audit.SecretDescribed, p); err != nil {
			return err
		}
		head, err := t.live(p)
		if err != nil {
			return err
		}
		was := head.About
		if head.About, parts, err = was.changedBy(change); err != nil {
			return err
		}
		if now = head.secret(p); len(parts) == 0 {
			return errKeepNothing
		}
		note := map[string]any{"parts": parts}
		tier, err := s.tierToSign(t, p, head)
		if err == nil {
			err = s.approvedWrite(t, subject{RequestWrite, p, head.Version, tier}, note)
		}
		if err == nil {
			now, err = t.putHead(p, head, audit.SecretDescribed, note)
		}
		return err
	})
	if errors.Is(err, errKeepNothing) {
		err = nil
	}
	return now, parts, err
}

// Due is a secret about which somebody should do something.
type Due struct {
	*Secret
	Expires *time.Time // when it is worth nothing any more; nil if nobody said so
	Rotate  *time.Time // when it should get another value; nil if nobody said so
}

// Before reports whether one of the dates is before a time.
func (d Due) Before(t time.Time) bool { return d.IsDated() && d.Next().Before(t) }

// IsDated reports whether there is a date.
func (d Due) IsDated() bool { return d.Expires != nil || d.Rotate != nil }

// Next returns the earlier one of the dates, of which there must be one.
func (d Due) Next() time.Time {
	if d.Expires == nil || d.Rotate != nil && d.Rotate.Before(*d.Expires) {
		return *d.Rotate
	}
	return *d.Expires
}

// Due lists the secrets of a namespace, or of all for the zero namespace, that have a date until which somebody
// should do something, if it is before the given time and the session may read them. The earliest is the first.
func (s *Session) Due(ns tokens.Namespace, before time.Time) ([]Due, error) {
	list, err := s.List(ns, false)
	if err != nil {
		return nil, err
	}
	due, err := s.Dates(slices.DeleteFunc(list, func(secret Secret) bool { return secret.About == nil }))
	due = slices.DeleteFunc(due, func(d Due) bool { return !d.Before(before) })
	sortBy(due, Due.Next)
	return due, err
}

// Dates finds the dates of secrets. The result points into list, which must not change meanwhile.
func (s *Session) Dates(list []Secret) ([]Due, error) {
	due := make([]Due, len(list))
	return due, s.view(func(t *tx) (err error) {
		for i := range list {
			if due[i], err = t.due(&list[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Current returns the current versions of secrets, without their values. Deleted secrets have one, too.
func (s *Session) Current(list []Secret) ([]Version, error) {
	versions := make([]Version, len(list))
	return versions, s.view(func(t *tx) error {
		for i, secret := range list {
			if err := s.cannot(tokens.Read, secret.Path); err != nil {
				return err
			}
			body, r, err := versionKind.get(t, versionKey(secret.Path, secret.Version))
			if err != nil {
				return err
			}
			body.by = r.by
			versions[i] = body.version(secret.Version, secret.DeletedAt == nil, secret.DeletedAt != nil)
		}
		return nil
	})
}

// due finds the dates of a secret. The time to rotate counts from the value that is current.
func (t *tx) due(secret *Secret) (Due, error) {
	d := Due{Secret: secret}
	if secret.About == nil {
		return d, nil
	}
	d.Expires = secret.About.ExpiresAt
	if every := secret.About.RotateEvery; every != 0 {
		body, _, err := versionKind.get(t, versionKey(secret.Path, secret.Version))
		if err != nil {
			return d, err
		}
		at := body.CreatedAt.Add(time.Duration(every) * time.Second)
		d.Rotate = &at
	}
	return d, nil
}

// CountDue counts the secrets about which somebody should have done something before the given time. It needs no key,
// and checks nothing: the number is only shown. In a vault whose file says that no secret has a date, it reads no
// more.
func (v *Vault) CountDue(before time.Time) (n int, err error) {
	if c, err := v.counts(); err != nil || c.Dated == 0 {
		return 0, err
	}
	return n, v.db.View(func(b *bolt.Tx) error {
		return b.Walk(bucketSecrets, nil, func(k, value []byte) error {
			head, ok := peek[secretBody](value)
			if !ok || head.DeletedAt != nil || !head.standing().dated {
				return nil
			}
			due := head.About.ExpiresAt != nil && head.About.ExpiresAt.Before(before)
			if every := time.Duration(head.About.RotateEvery) * time.Second; !due && every > 0 {
				value, err := b.Get(bucketVersions, versionKeyOf(string(k), head.Version))
				if err != nil {
					return err
				}
				body, ok := peek[versionBody](value)
				due = ok && body.CreatedAt.Add(every).Before(before)
			}
			if due {
				n++
			}
			return nil
		})
	})
}
