package vault

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
)

// What is said of a secret is kept by writes, rewrites, copies and a restore, and decides nothing. A verification,
// which compares it with the log, finds nothing wrong with it.
func TestAboutIsKept(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	expires := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
	want := About{Description: "the card terminal", Tags: map[string]string{"team": "pay"}, Metadata: map[string]string{"url": "https://x"},
		ExpiresAt: &expires, RotateEvery: 90 * 86400}
	about := func() *About {
		var got Secret
		c.do(func(s *Session) {
			list, err := s.List(tokens.Namespace{}, false)
			if err != nil {
				t.Fatal(err)
			}
			got = list[slices.IndexFunc(list, func(x Secret) bool { return x.Path == c.p("prod/app/DB") })]
		})
		return got.About
	}
	c.do(func(s *Session) {
		now, parts, err := s.Describe(c.p("prod/app/DB"), func(a *About) { *a = want })
		if err != nil || now.Version != 2 || !slices.Equal(parts, []string{"description", "expires_at", "metadata", "rotate_every", "tags"}) {
			t.Fatalf("%+v, %q, %v", now, parts, err)
		}
		if _, parts, err := s.Describe(c.p("prod/app/DB"), func(*About) {}); err != nil || len(parts) > 0 {
			t.Errorf("nothing was changed: %q, %v", parts, err)
		}
	})
	for _, step := range []struct {
		name string
		do   func(s *Session)
	}{
		{"", func(*Session) {}},
		{"a write of another", nil},
		{"a tier that rises", func(s *Session) { c.put(s, "prod/app/DB", tokens.Sensitive) }},
		{"a compaction", func(s *Session) {
			if err := s.Compact(""); err != nil {
				t.Error(err)
			}
		}},
		{"a rekey", func(s *Session) {
			if _, err := s.Rekey(); err != nil {
				t.Error(err)
			}
		}},
		{"a deletion and a restore", func(s *Session) {
			if _, _, err := s.Delete(c.p("prod/app/DB")); err != nil {
				t.Error(err)
			}
			if _, err := s.Restore(c.p("prod/app/DB")); err != nil {
				t.Error(err)
			}
		}},
	} {
		if step.do == nil {
			if err := c.honest("writer", func(s *Session) { c.put(s, "prod/app/DB", 0) }); err != nil {
				t.Fatal(err)
			}
		} else {
			c.do(step.do)
		}
		if got := about(); got == nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("after %s: %+v", step.name, got)
		}
		if found := c.problems(); found != "" {
			t.Errorf("after %s:\n%s", step.name, found)
		}
	}
	c.do(func(s *Session) {
		now, parts, err := s.Describe(c.p("prod/app/DB"), func(a *About) { *a = About{} })
		if err != nil || now.About != nil || len(parts) != 5 {
			t.Errorf("%+v, %q, %v", now, parts, err)
		}
		log, err := s.Log(1, func(e audit.Event) bool { return e.Type == audit.SecretDescribed })
		if err != nil || len(log) != 1 || strings.Contains(log[0].ResourceID, "card") || len(log[0].Metadata["parts"].([]any)) != 5 {
			t.Errorf("%+v, %v", log, err)
		}
	})
	if found := c.problems(); found != "" {
		t.Error(found)
	}
}

// Who may write a secret may say what it is. Nobody else may. A critical
// one takes an approval, and a deleted one has no description to change.
func TestWhoDescribes(t *testing.T) {
	c := newCompany(t)
	describe := func(s *Session, path string, change func(*About)) error {
		_, _, err := s.Describe(c.p(path), change)
		return err
	}
	text := func(a *About) { a.Description = "mine" }
	for _, x := range []struct {
		who, path string
		change    func(*About)
		want      error
	}{
		{"writer", "prod/app/DB", text, nil},
		{"reader", "prod/app/DB", text, ErrDenied},
		{"deleter", "prod/app/DB", text, ErrDenied},
		{"mallory", "prod/app/DB", text, ErrDenied},
		{"mallory", "prod/mine/M", text, nil},
		{"mallory", "prod/mine/CRIT", text, ErrApproval},
		{"mallory's token", "prod/mine/M", func(a *About) { a.Tags = map[string]string{"a": "b"} }, nil},
		{"writer", "prod/NONE", text, ErrNotFound},
	} {
		if err := c.honest(x.who, func(s *Session) {
			if err := describe(s, x.path, x.change); !errors.Is(err, x.want) || x.want == nil && err != nil {
				t.Errorf("%s describes %s: %v", x.who, x.path, err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	c.do(func(s *Session) {
		if _, _, err := s.Delete(c.p("dev/K")); err != nil {
			t.Fatal(err)
		}
		var deleted *DeletedError
		if err := describe(s, "dev/K", text); !errors.As(err, &deleted) {
			t.Error(err)
		}
	})
	if found := c.problems(); found != "" {
		t.Error(found)
	}
}

// To say of a secret what is said of it already changes no byte of the vault: it is logged by nobody, and counts as no
// use of a token.
func TestDescribeNothingNew(t *testing.T) {
	v := newVictim(t)
	v.store("a/K", "1")
	var issued Issued
	v.do(func(s *Session) {
		var err error
		issued, err = s.IssueToken(TokenSpec{Scopes: scopesOf(t, "secrets:write:a/K"), TTL: time.Hour, Uses: 1})
		v.must(err)
	})
	opened, err := Open(v.path, v.opts)
	v.must(err)
	defer opened.Close()
	s, err := opened.Token(issued.Text)
	v.must(err)
	before, err := os.ReadFile(v.path)
	v.must(err)
	if _, parts, err := s.Describe(v.p("a/K"), func(*About) {}); err != nil || len(parts) > 0 {
		t.Errorf("it changed %q, %v", parts, err)
	}
	if after, err := os.ReadFile(v.path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the vault has changed: %v", err)
	}
	if _, _, err := s.Describe(v.p("a/K"), func(x *About) { x.Description = "new" }); err != nil {
		t.Error(err)
	}
}

// The head is what the log says it is: an older description that an insider puts back is found.
func TestAnOlderDescriptionIsFound(t *testing.T) {
	c := newCompany(t)
	var before []byte
	c.insider("mallory", func(s *Session, t *tx) error {
		v, err := t.get(bucketSecrets, secretBucketKey(c.p("prod/app/DB")))
		before = slices.Clone(v)
		return err
	})
	c.do(func(s *Session) {
		if _, _, err := s.Describe(c.p("prod/app/DB"), func(a *About) { a.Description = "rotate this now" }); err != nil {
			t.Fatal(err)
		}
	})
	c.insider("mallory", func(s *Session, t *tx) error { return insert(t, bucketSecrets, []byte("prod/app/DB"), before) })
	c.finds(`prod/app/DB`)
}

func TestAboutLimits(t *testing.T) {
	long := strings.Repeat("x", maxAboutValue+1)
	many := map[string]string{}
	for i := range maxAboutTags + 1 {
		many["t"+strings.Repeat("x", i)] = ""
	}
	for name, change := range map[string]func(*About){
		"a long description":  func(a *About) { a.Description = long },
		"no text":             func(a *About) { a.Description = "\xff" },
		"many tags":           func(a *About) { a.Tags = many },
		"an empty name":       func(a *About) { a.Tags = map[string]string{"": "x"} },
		"a name with a space": func(a *About) { a.Metadata = map[string]string{"a b": "x"} },
		"a long name":         func(a *About) { a.Metadata = map[string]string{strings.Repeat("x", maxAboutName+1): "x"} },
		"a long value":        func(a *About) { a.Metadata = map[string]string{"a": long} },
		"a past rotation":     func(a *About) { a.RotateEvery = -1 },
		"a late rotation":     func(a *About) { a.RotateEvery = 1 << 60 },
	} {
		var syntax *tokens.SyntaxError
		if _, _, err := (*About)(nil).changedBy(change); !errors.As(err, &syntax) {
			t.Errorf("%s: %v", name, err)
		}
	}
	moved := &About{MovedFrom: "a/K"}
	if now, parts, err := moved.changedBy(func(a *About) { a.MovedFrom = "" }); err != nil || len(parts) > 0 || now.MovedFrom != "a/K" {
		t.Errorf("%+v, %q, %v", now, parts, err)
	}
}

// The earliest date is the first. The time to rotate counts from the value, not from a description.
func TestDue(t *testing.T) {
	v := newVictimIn(t, Options{})
	start := time.Now()
	v.do(func(s *Session) {
		for path, change := range map[string]func(*About){
			"a/LATE":   func(a *About) { at := start.Add(90 * 24 * time.Hour); a.ExpiresAt = &at },
			"a/SOON":   func(a *About) { at := start.Add(24 * time.Hour); a.ExpiresAt = &at; a.RotateEvery = 365 * 86400 },
			"a/ROTATE": func(a *About) { a.RotateEvery = 2 * 86400 },
			"b/PAST":   func(a *About) { at := start.Add(-time.Hour); a.ExpiresAt = &at },
			"b/NONE":   nil,
		} {
			if _, _, err := s.Set(v.p(path), []byte("v"), SetOptions{About: change}); err != nil {
				t.Fatal(err)
			}
		}
		due := func(ns string, before time.Time) (names []string) {
			var in tokens.Namespace
			if ns != "" {
				in, _ = tokens.ParseNamespace(ns)
			}
			list, err := s.Due(in, before)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range list {
				names = append(names, d.Path.String())
			}
			return names
		}
		week := start.Add(7 * 24 * time.Hour)
		if got := due("", week); !slices.Equal(got, []string{"b/PAST", "a/SOON", "a/ROTATE"}) {
			t.Errorf("%q", got)
		}
		if got := due("a", week); !slices.Equal(got, []string{"a/SOON", "a/ROTATE"}) {
			t.Errorf("%q", got)
		}
		if got := due("", start.Add(-2*time.Hour)); len(got) > 0 {
			t.Errorf("%q", got)
		}
		if i, err := s.v.Info(); err != nil || i.Dated != 4 {
			t.Errorf("%d secrets with a date, %v", i.Dated, err)
		}
		if _, _, err := s.Delete(v.p("a/SOON")); err != nil {
			t.Fatal(err)
		}
		if i, err := s.v.Info(); err != nil || i.Dated != 3 {
			t.Errorf("%d secrets with a date, %v", i.Dated, err)
		}
	})
	if found := v.problems(); found != "" {
		t.Error(found)
	}
}
