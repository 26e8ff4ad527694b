package vault

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// listed checks all entries of a log.
func (v *victim) listed(numbers ...uint64) (found Listed, err error) {
	v.do(func(s *Session) {
		if numbers == nil {
			entries, lerr := s.Log(0, nil)
			if lerr != nil {
				v.t.Fatal(lerr)
			}
			for _, e := range entries {
				numbers = append(numbers, e.Seq)
			}
		}
		found, err = s.CheckListed(numbers)
	})
	return found, err
}

// A few entries are checked as what they are: whose, and at which place, whatever happened to the vault since.
func TestCheckListed(t *testing.T) {
	t.Parallel()
	for format := keys.Format1; format <= newestFormat; format++ {
		v := newVictimIn(t, Options{oldFormat: format})
		scopes, err := tokens.ParseScopes("secrets:*:*")
		if err != nil {
			t.Fatal(err)
		}
		var agent Agent
		var key tokens.AgentKey
		as := func(text string, act func(*Session)) {
			t.Helper()
			opened, err := Open(v.path, Options{oldFormat: format})
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			s, err := opened.Agent(key)
			if text != "" {
				s, err = opened.Token(text)
			}
			if err != nil {
				t.Fatal(err)
			}
			act(s)
		}
		holds := func(when string) {
			t.Helper()
			if found, err := v.listed(); err != nil || len(found.Problems)+len(found.Unknown) > 0 {
				t.Errorf("format %d, %s: %+v %v", format, when, found, err)
			}
		}
		v.do(func(s *Session) {
			if agent, key, err = s.CreateAgent(AgentSpec{Name: "worker", Scopes: scopes}); err != nil {
				t.Fatal(err)
			}
		})
		var issued Issued
		as("", func(s *Session) {
			v.set(s, "a/ONE", "x")
			if issued, err = s.IssueToken(TokenSpec{Scopes: scopes}); err != nil {
				t.Fatal(err)
			}
		})
		as(issued.Text, func(s *Session) { v.set(s, "a/TWO", "x") })
		holds("in one epoch")
		v.do(func(s *Session) {
			if _, key, err = s.RotateAgentKey(agent.ID, NarrowOptions{}); err != nil {
				t.Fatal(err)
			}
		})
		as("", func(s *Session) { v.set(s, "a/THREE", "x") })
		holds("after a rotation, without a record of the token")
		v.do(func(s *Session) {
			if _, err = s.RevokeAgent(agent.ID, NarrowOptions{}); err != nil {
				t.Fatal(err)
			}
		})
		holds("after a revocation")
		if found, err := v.listed(2, 4, 6); err != nil || len(found.Problems)+len(found.Unknown) > 0 {
			t.Errorf("some: %+v %v", found, err)
		}
	}
}

// An entry that somebody altered, moved, or wrote in the name of another is named, and no other one is.
func TestCheckListedFindsWhatWasAltered(t *testing.T) {
	v := newVictim(t)
	v.do(func(s *Session) {
		for range 6 {
			v.set(s, "a/K", "x")
		}
	})
	last := uint64(0)
	v.do(func(s *Session) {
		entries, err := s.Log(1, nil)
		if err != nil {
			t.Fatal(err)
		}
		last = entries[0].Seq
	})
	at := audit.Key(last - 2)
	genuine, before := v.take(bucketAudit, at), v.take(bucketAudit, audit.Key(last-3))
	noEvent := append(keys.LP(keys.LP(keys.LP(keys.LP(nil, []byte("owner")), []byte("x")), []byte{}), []byte{}), make([]byte, audit.MACSize)...)
	for name, c := range map[string]struct {
		value []byte
		want  string
	}{
		"as it is":            {genuine, ""},
		"an altered body":     {bytes.Replace(genuine, []byte(`"resource_id":"a/K"`), []byte(`"resource_id":"b/K"`), 1), "did not sign it in this place"},
		"another time":        {bytes.Replace(genuine, []byte(`"created_at":"2`), []byte(`"created_at":"1`), 1), "did not sign it in this place"},
		"the entry before it": {before, "did not sign it in this place"},
		"an epoch of its own": {bytes.Replace(genuine, []byte(`"event_type":"secret.updated"`), []byte(`"event_type":"vault.restored"`), 1), "did not sign"},
		"not an entry":        {[]byte("x"), "not an audit entry"},
		"another author":      {bytes.Replace(genuine, []byte("owner"), []byte("agt_1"), 1), "unknown"},
		"nothing of a body":   {noEvent, "not an event"},
	} {
		if name != "as it is" && bytes.Equal(c.value, genuine) {
			t.Fatalf("%s: nothing was altered", name)
		}
		v.give(bucketAudit, at, c.value)
		found, err := v.listed(last-2, last-4)
		got := strings.Join(found.Problems, "\n")
		if slices.Contains(found.Unknown, last-2) {
			got = "unknown"
		}
		if err != nil || c.want == "" && got != "" || !strings.Contains(got, c.want) || len(found.Problems) > 1 {
			t.Errorf("%s: %+v %v, want %q", name, found, err, c.want)
		}
		v.give(bucketAudit, at, genuine)
	}
}

// Somebody who kept the key of an agent that was revoked, or of one before a rotation, can sign entries, also of this
// epoch. They do not hold, and make nobody the owner. Nor does one hold in which an agent names the owner as its actor.
func TestEntriesOfEndedKeys(t *testing.T) {
	v := newVictim(t)
	scopes, err := tokens.ParseScopes("secrets:*:*")
	if err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func(*Session, string) error{
		"revoked": func(s *Session, id string) error { _, err := s.RevokeAgent(id, NarrowOptions{}); return err },
		"rotated": func(s *Session, id string) error { _, _, err := s.RotateAgentKey(id, NarrowOptions{}); return err },
		"active":  func(*Session, string) error { return nil }, // who names the owner as the actor
	} {
		var seq uint64
		token := "00000000-0000-4000-8000-000000000000"
		v.do(func(s *Session) {
			agent, key, err := s.CreateAgent(AgentSpec{Name: name, Scopes: scopes})
			if err == nil {
				err = end(s, agent.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
			v.set(s, "a/K", "x")
			v.set(s, "a/K", "y")
			entries, err := s.Log(2, nil)
			if err != nil {
				t.Fatal(err)
			}
			seq = entries[1].Seq
			_, before, err := s.v.lastEntry(seq - 1)
			if err != nil {
				t.Fatal(err)
			}
			actor := agent.ID
			if name == "active" {
				actor = audit.Owner
			}
			body, err := audit.Event{Type: audit.TokenIssued, ActorID: actor, ResourceID: token, Metadata: map[string]any{"unlock": true}}.Encode()
			if err != nil {
				t.Fatal(err)
			}
			at := audit.Place{Vault: s.epoch.Vault, Epoch: s.epoch.N, Format: s.epoch.Format}
			_, value, _ := audit.Position{Seq: seq - 1, LastMAC: before.MAC}.Append(at, agent.ID, keys.NewGrantee(key.Secret).Sign, body)
			if err := s.v.Close(); err != nil {
				t.Fatal(err)
			}
			v.give(bucketAudit, audit.Key(seq), value)
		})
		found, err := v.listed(seq)
		if err != nil || len(found.Problems) != 1 {
			t.Errorf("%s: %+v %v", name, found, err)
		}
		v.do(func(s *Session) {
			who, err := s.v.Actors(token)
			if name == "active" { // nothing vouches for names
				return
			}
			if err != nil || who[token].Issuer == "" || who[token].Unlock || who[token].Name != name {
				t.Errorf("%s: %+v %v", name, who[token], err)
			}
		})
		v = newVictim(t)
	}
}
