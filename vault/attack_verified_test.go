package vault

import (
	"bytes"
	"os"
	"testing"

	"ass/vault/internal/keys"
)

// A machine's note of an earlier verification may hold anything. It may shorten the next
// verification, but it hides nothing.
func TestVerifiedNotes(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	var file string
	v.do(func(s *Session) { file = v.opts.memory().verifiedFile(s.epoch.Vault) })
	note := func() []byte {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	// verified returns the entry up to which a verification believes the note; 0 if it
	// ignores the note.
	unread := 0
	verified := func(b []byte) (to uint64) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		v.do(func(s *Session) {
			r, err := s.Reverify()
			if err != nil || len(r.Problems) > 0 {
				t.Errorf("%q, %v", r.Problems, err)
			}
			to = r.Verified
			if r.Unread != nil {
				unread++
			}
		})
		return to
	}
	if found := v.problems(); found != "" {
		t.Fatal(found)
	}
	old, oldEnd := note(), v.end()
	v.do(func(s *Session) { v.set(s, "a/K", "later") })
	if found := v.problems(); found != "" {
		t.Fatal(found)
	}
	now, end := note(), v.end()
	if got := verified(now); got != end || end <= oldEnd {
		t.Errorf("the newest note reaches to %d, want %d", got, end)
	}
	if got := verified(old); got != oldEnd {
		t.Errorf("an older note reaches to %d, want %d", got, oldEnd)
	}
	if bytes.Contains(now, []byte(`"records"`)) {
		t.Error("a note can be read")
	}

	other := newVictim(t)
	var foreign []byte
	other.problems()
	other.do(func(s *Session) {
		foreign, _ = os.ReadFile(other.opts.memory().verifiedFile(s.epoch.Vault))
	})
	var insider []byte // sealed under a key that every grantee has
	v.do(func(s *Session) {
		_, ctx := s.root.VerifiedWrap()
		var err error
		if insider, err = keys.Seal(s.epoch.MAC, ctx, []byte(`{"state":{"cut":1}}`)); err != nil {
			t.Fatal(err)
		}
	})
	if len(foreign) == 0 {
		t.Fatal("the other vault has no note")
	}
	for name, b := range map[string][]byte{
		"belongs to another vault": foreign, "by an insider": insider, "empty": {}, "cut": now[:len(now)-1],
		"altered": append(bytes.Clone(now[:len(now)-1]), now[len(now)-1]^1),
	} {
		unread = 0
		if got := verified(b); got != 0 || unread != 1 {
			t.Errorf("a note %s is believed up to entry %d; it was found unreadable %d times", name, got, unread)
		}
	}

	// A rewrite copies the log, so the note stays valid. A cut removes the entries that the
	// note is about.
	verified(now)
	v.do(func(s *Session) {
		if _, err := s.Rekey(); err != nil {
			t.Fatal(err)
		}
	})
	if got := verified(now); got != end {
		t.Errorf("after a rewrite the note reaches to %d, want %d", got, end)
	}
	if found := v.problems(); found != "" {
		t.Error(found)
	}
	v.archive()
	if got := verified(now); got != 0 {
		t.Errorf("after a cut a note is believed up to entry %d", got)
	}
	if found := v.problems(); found != "" {
		t.Error(found)
	}

	// A note does not hide that an older copy of the vault went its own way.
	v = newVictim(t)
	v.do(func(s *Session) { file = v.opts.memory().verifiedFile(s.epoch.Vault) })
	copied, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	v.do(func(s *Session) { v.set(s, "a/K", "one way") })
	if found := v.problems(); found != "" {
		t.Fatal(found)
	}
	if err := os.WriteFile(v.path, copied, 0o600); err != nil {
		t.Fatal(err)
	}
	v.do(func(s *Session) { v.set(s, "a/K", "the other") })
	if found := v.problems(); found == "" {
		t.Error("an older copy that went its own way holds")
	}
}
