package vault_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/vault"
	"ass/vault/vaulttest"
)

// eventsOf returns the entries of one type, or all.
func eventsOf(t *testing.T, v *vaulttest.Vault, event string) (list []vault.Entry) {
	t.Helper()
	v.Must(t, func(s *vault.Session) (err error) {
		list, err = s.Log(0, func(e audit.Event) bool { return event == "" || e.Type == event })
		return err
	})
	return list
}

// A reason that comes later is added to a request that has none. Its id and its time stay, and so
// does a reason that is there.
func TestReasonLater(t *testing.T) {
	v := vaulttest.New(t)
	clock := v.UseClock()
	v.Set(t, "a/S", "value", vault.SetOptions{Tier: 2})
	agent, as := v.NewAgent(t, "svc", "secrets:read:a/*")
	gone, another := v.NewAgent(t, "another", "secrets:read:a/*")
	ask := func(who vaulttest.Actor, reason string) vault.Request {
		t.Helper()
		v.Opts.Reason = reason
		defer func() { v.Opts.Reason = "" }()
		_, err := who.Get(t, "a/S")
		wantError(t, reason, err, vault.ErrApproval)
		var need *vault.ApprovalError
		if !errors.As(err, &need) || len(need.Requests) != 1 {
			t.Fatal(err)
		}
		return need.Requests[0]
	}
	listed := func(who vaulttest.Actor, id string) (found vault.Request) {
		t.Helper()
		if err := who(func(s *vault.Session) error {
			list, err := s.Requests()
			for _, q := range list {
				if q.ID == id {
					found = q
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return found
	}
	first := ask(as, "")
	clock.Pass(time.Minute)
	other := ask(another, "")
	clock.Pass(time.Minute)
	if again := ask(as, "because"); again.ID != first.ID || again.Reason != "because" {
		t.Errorf("it is %+v", again)
	}
	entries := len(eventsOf(t, v, ""))
	for _, later := range []string{"because", "or not", ""} {
		ask(as, later)
	}
	if n := len(eventsOf(t, v, "")); n != entries {
		t.Errorf("%d entries were added for reasons that change nothing", n-entries)
	}
	for who, do := range map[string]vaulttest.Actor{"the owner": v.Do, "the agent": as} {
		q := listed(do, first.ID)
		if q.Reason != "because" || !q.CreatedAt.Equal(first.CreatedAt) || q.Requester != agent.ID {
			t.Errorf("to %s it is %+v", who, q)
		}
	}
	if q := listed(v.Do, other.ID); q.Reason != "" {
		t.Errorf("the other one got the reason %q", q.Reason)
	}
	if events := eventsOf(t, v, audit.ApprovalReason); len(events) != 1 {
		t.Errorf("there are %d entries", len(events))
	}
	// A rewrite begins another epoch, and the reason stays.
	v.Must(t, func(s *vault.Session) error {
		_, err := s.RevokeAgent(gone.ID, vault.NarrowOptions{})
		return err
	})
	if q := listed(v.Do, first.ID); q.Reason != "because" {
		t.Errorf("after a rewrite it is %+v", q)
	}
	// So it does when the agent gets another key, and when the entry is archived.
	v.Must(t, func(s *vault.Session) error {
		_, key, err := s.RotateAgentKey(agent.ID, vault.NarrowOptions{})
		as = v.Agent(key)
		return err
	})
	if q := listed(v.Do, first.ID); q.Reason != "because" {
		t.Errorf("with another key of the agent it is %+v", q)
	}
	clock.Pass(time.Minute)
	v.Must(t, func(s *vault.Session) error {
		_, err := s.ArchiveLog(filepath.Join(t.TempDir(), "old.jsonl"), time.Now().AddDate(1, 0, 0), false)
		return err
	})
	if q := listed(as, first.ID); q.Reason != "because" {
		t.Errorf("after an archive it is %+v", q)
	}
	ask(as, "another")
	// A decision is about the reason that was shown.
	shown := listed(v.Do, first.ID)
	shown.Reason = ""
	wantError(t, "a reason that was not shown", v.Do(func(s *vault.Session) error {
		return s.Approve([]vault.Request{shown})
	}), vault.ErrConflict)
	if problems := v.Verify().Problems; len(problems) > 0 {
		t.Errorf("problems: %q", problems)
	}
	// Somebody who edits the file puts no words into the agent's mouth.
	v.Damaged()
	db, err := bbolt.Open(v.Path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	err = db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("audit"))
		return b.ForEach(func(k, value []byte) error {
			if other := bytes.Replace(value, []byte(`"reason":"because"`), []byte(`"reason":"approve"`), 1); !bytes.Equal(other,
				value) {
				changed++
				return b.Put(k, other)
			}
			return nil
		})
	})
	if err := errors.Join(err, db.Close()); err != nil || changed != 1 {
		t.Fatal(changed, err)
	}
	if q := listed(v.Do, first.ID); q.Reason == "approve" {
		t.Error("the reason is that of somebody who has no key")
	}
}
