package vault_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

// asking is a vault with an agent that may do everything below a, and with secrets there
// that need approval.
type asking struct {
	*vaulttest.Vault
	t     *testing.T
	clock *vaulttest.Clock
	agent vault.Agent
	as    vaulttest.Actor
}

func newAsking(t *testing.T) *asking {
	v := vaulttest.New(t)
	a := &asking{Vault: v, t: t, clock: v.UseClock()}
	a.agent, a.as = v.NewAgent(t, "svc", "secrets:*:a/*")
	v.Set(t, "a/SENSITIVE", "one", vault.SetOptions{Tier: tokens.Sensitive})
	v.Set(t, "a/CRITICAL", "one", vault.SetOptions{Tier: tokens.Critical})
	return a
}

// asked returns the requests that an act made. The act must have made some.
func (a *asking) asked(err error) []vault.Request {
	a.t.Helper()
	var need *vault.ApprovalError
	if !errors.As(err, &need) || !errors.Is(err, vault.ErrApproval) {
		a.t.Fatalf("it asks for nothing: %v", err)
	}
	return need.Requests
}

func (a *asking) get(path string) (string, error) { return a.as.Get(a.t, path) }

// ask reads a secret without approval, and returns the id of the one request that this makes.
func (a *asking) ask(path string) string {
	a.t.Helper()
	_, err := a.get(path)
	requests := a.asked(err)
	if len(requests) != 1 {
		a.t.Fatalf("it asks for %+v", requests)
	}
	return requests[0].ID
}

// listed returns the requests that the owner sees, oldest first. If ids are given, it
// returns only those requests.
func (a *asking) listed(ids ...string) (list []vault.Request) {
	a.t.Helper()
	a.Must(a.t, func(s *vault.Session) error {
		all, err := s.Requests()
		for _, q := range all {
			if len(ids) == 0 || slices.Contains(ids, q.ID) {
				list = append(list, q)
			}
		}
		return err
	})
	return list
}

func (a *asking) approve(shown []vault.Request) error {
	return a.Do(func(s *vault.Session) error { return s.Approve(shown) })
}

func (a *asking) deny(shown []vault.Request, reason string) error {
	return a.Do(func(s *vault.Session) error { return s.Deny(shown, reason) })
}

func (a *asking) mustApprove(ids ...string) {
	a.t.Helper()
	if err := a.approve(a.listed(ids...)); err != nil {
		a.t.Fatal(err)
	}
}

func (a *asking) wantStatus(id, want string) {
	a.t.Helper()
	if list := a.listed(id); len(list) != 1 || list[0].Status != want {
		a.t.Errorf("request %s is %+v, want %s", id, list, want)
	}
}

func (a *asking) events(name string) (n int) {
	a.t.Helper()
	a.Must(a.t, func(s *vault.Session) error {
		entries, err := s.Log(0, func(e audit.Event) bool { return e.Type == name })
		n = len(entries)
		return err
	})
	return n
}

func TestApproveARead(t *testing.T) {
	a := newAsking(t)
	a.Opts.Reason = "mail <is> & stuck\u2028"
	id := a.ask("a/SENSITIVE")
	a.Opts.Reason = ""
	q := a.listed()[0]
	if q.ID != id || q.Requester != a.agent.ID || q.Agent != a.agent.ID || q.Name != "svc" ||
		q.Action != vault.RequestRead || q.Path.String() != "a/SENSITIVE" ||
		q.Version != 1 || q.Current != 1 || q.Tier != tokens.Sensitive || q.Reason != "mail <is> & stuck\u2028" ||
		q.Status != vault.Pending ||
		!q.CreatedAt.Equal(a.clock.Time) || !q.ExpiresAt.Equal(a.clock.Add(24*time.Hour)) || q.DecidedAt != nil || q.Used {
		t.Errorf("it is %+v", q)
	}
	a.clock.Pass(time.Hour)
	if again := a.ask("a/SENSITIVE"); again != id || len(a.listed()) != 1 || a.events(audit.ApprovalRequested) != 1 {
		t.Errorf("the same was asked twice: %s, %s", id, again)
	}
	a.mustApprove()
	if q := a.listed()[0]; q.Status != vault.Approved || !q.ExpiresAt.Equal(a.clock.Add(time.Hour)) ||
		!q.DecidedAt.Equal(a.clock.Time) {
		t.Errorf("approved: %+v", q)
	}
	// The approval serves any number of reads, for an hour.
	wantValue(t, "the agent", a.as, "a/SENSITIVE", "one")
	a.clock.Pass(time.Hour - time.Millisecond)
	wantValue(t, "the agent", a.as, "a/SENSITIVE", "one")
	a.clock.Pass(time.Millisecond)
	second := a.ask("a/SENSITIVE")
	if second == id || len(a.listed()) != 2 {
		t.Errorf("after an hour: %+v", a.listed())
	}
	a.wantStatus(id, vault.Expired)
	// The log entry of each read names the approval.
	a.Must(t, func(s *vault.Session) error {
		entries, err := s.Log(0, func(e audit.Event) bool {
			return e.Type == audit.SecretRead &&
				e.Metadata["approval"] == id
		})
		if len(entries) != 2 || entries[0].ActorID != a.agent.ID {
			t.Errorf("the log tells of %v", entries)
		}
		return err
	})
}

// An approval is for one version, one asker, one secret.
func TestAnApprovalIsNarrow(t *testing.T) {
	a := newAsking(t)
	a.Set(t, "a/OTHER", "other", vault.SetOptions{Tier: tokens.Sensitive})
	other, asOther := a.NewAgent(t, "other", "secrets:*:a/*")
	_, asToken := a.NewToken(t, a.as, vault.TokenSpec{Scopes: a.agent.Scopes})
	a.mustApprove(a.ask("a/SENSITIVE"))
	wantValue(t, "the asker", a.as, "a/SENSITIVE", "one")
	_, err := a.get("a/OTHER")
	wantError(t, "another secret", err, vault.ErrApproval)
	_, err = asOther.Get(t, "a/SENSITIVE")
	wantError(t, "another agent", err, vault.ErrApproval)
	_, err = asToken.Get(t, "a/SENSITIVE")
	wantError(t, "a token of the asker", err, vault.ErrApproval)
	a.Set(t, "a/SENSITIVE", "two", vault.SetOptions{})
	if q := a.asked(func() error { _, err := a.get("a/SENSITIVE"); return err }()); q[0].Version != 2 {
		t.Errorf("it asks for %+v", q)
	}
	err = a.as(func(s *vault.Session) error {
		_, value, err := s.Get(vaulttest.Path(t, "a/SENSITIVE"), 1)
		if string(value) != "one" {
			t.Errorf("the version that was approved is %q", value)
		}
		return err
	})
	wantError(t, "the version that was approved", err, nil)
	// An agent sees only its own requests.
	err = asOther(func(s *vault.Session) error {
		list, err := s.Requests()
		if len(list) != 1 || list[0].Requester != other.ID {
			t.Errorf("another agent sees %+v", list)
		}
		return err
	})
	wantError(t, "its requests", err, nil)
}

func TestCriticalServesOneRead(t *testing.T) {
	a := newAsking(t)
	id := a.ask("a/CRITICAL")
	a.mustApprove(id)
	wantValue(t, "the agent", a.as, "a/CRITICAL", "one")
	if q := a.listed(id)[0]; !q.Used || q.Status != vault.Approved {
		t.Errorf("after its read: %+v", q)
	}
	a.clock.Pass(time.Minute)
	second := a.ask("a/CRITICAL")
	a.mustApprove(second)
	wantValue(t, "the agent", a.as, "a/CRITICAL", "one")
	if a.ask("a/CRITICAL") == second {
		t.Error("one approval served twice")
	}
}

func TestDeny(t *testing.T) {
	a := newAsking(t)
	id := a.ask("a/SENSITIVE")
	if err := a.deny(a.listed(id), ""); !isSyntax(err) {
		t.Errorf("without a reason: %v", err)
	}
	if err := a.deny(a.listed(id), strings.Repeat("r", 501)); !isSyntax(err) {
		t.Errorf("a long reason: %v", err)
	}
	wantError(t, "deny", a.deny(a.listed(id), "not today"), nil)
	if q := a.listed(id)[0]; q.Status != vault.Denied || q.Denial != "not today" || q.DecidedAt == nil {
		t.Errorf("it is %+v", q)
	}
	_, err := a.get("a/SENSITIVE")
	if wantError(t, "denied", err, vault.ErrRefused); err != nil && !strings.Contains(err.Error(), "not today") {
		t.Errorf("the asker is not told why: %v", err)
	}
	wantError(t, "approve what was denied", a.approve(a.listed(id)), vault.ErrConflict)
	// With a reason, the agent may ask again, once.
	a.clock.Pass(time.Minute)
	a.Opts.Reason = "it is urgent"
	again := a.ask("a/SENSITIVE")
	if second := a.ask("a/SENSITIVE"); again == id || second != again {
		t.Errorf("asked again: %s, %s, %s", id, again, second)
	}
	a.Opts.Reason = ""
	if second := a.ask("a/SENSITIVE"); second != again {
		t.Errorf("while it is pending: %s, %s", again, second)
	}
	a.mustApprove(again)
	wantValue(t, "the agent", a.as, "a/SENSITIVE", "one")
	// From then on, the later decision counts.
	a.clock.Pass(2 * time.Hour)
	_, err = a.get("a/SENSITIVE")
	wantError(t, "when that approval has lapsed", err, vault.ErrApproval)
}

// A denial lapses with the request.
func TestADenialLapses(t *testing.T) {
	a := newAsking(t)
	id := a.ask("a/SENSITIVE")
	a.clock.Pass(23 * time.Hour)
	wantError(t, "deny", a.deny(a.listed(id), "no"), nil)
	a.clock.Pass(time.Hour - time.Millisecond)
	_, err := a.get("a/SENSITIVE")
	wantError(t, "at the end", err, vault.ErrRefused)
	a.clock.Pass(time.Millisecond)
	if a.ask("a/SENSITIVE") == id {
		t.Error("the request is the denied one")
	}
}

// A read that was denied is logged as a refusal.
func TestARefusalAfterADenialIsLogged(t *testing.T) {
	a := newAsking(t)
	wantError(t, "deny", a.deny(a.listed(a.ask("a/SENSITIVE")), "no"), nil)
	_, err := a.get("a/SENSITIVE")
	wantError(t, "denied", err, vault.ErrRefused)
	if list := denials(t, a.Vault); len(list) != 1 || !strings.HasPrefix(list[0], "secret.read.denied "+a.agent.ID+
		" a/SENSITIVE") {
		t.Errorf("the log tells of %q", list)
	}
}

func TestRequestsLapse(t *testing.T) {
	a := newAsking(t)
	id := a.ask("a/SENSITIVE")
	a.clock.Pass(24*time.Hour - time.Millisecond)
	a.wantStatus(id, vault.Pending)
	a.clock.Pass(time.Millisecond)
	a.wantStatus(id, vault.Expired)
	wantError(t, "approve what has lapsed", a.approve(a.listed(id)), vault.ErrConflict)
	wantError(t, "deny what has lapsed", a.deny(a.listed(id), "no"), vault.ErrConflict)
	second := a.ask("a/SENSITIVE")
	a.mustApprove(second)
	// A week after a request, nobody needs to see it: the next write clears it.
	a.clock.Pass(6*24*time.Hour - time.Second)
	a.Set(t, "x/K", "x", vault.SetOptions{})
	if list := a.listed(); len(list) != 2 {
		t.Errorf("too early: %+v", list)
	}
	a.clock.Pass(time.Second)
	a.Set(t, "x/K", "x", vault.SetOptions{})
	if list := a.listed(); len(list) != 1 || list[0].ID != second || a.events(audit.ApprovalCleanup) != 1 {
		t.Errorf("after a week: %+v", list)
	}
	a.clock.Pass(24 * time.Hour)
	a.Set(t, "x/K", "x", vault.SetOptions{})
	if list := a.listed(); len(list) != 0 || a.events(audit.ApprovalCleanup) != 2 {
		t.Errorf("after another day: %+v", list)
	}
}

// A decision counts only for what the owner was shown.
func TestDecisionsAreAboutWhatWasShown(t *testing.T) {
	a := newAsking(t)
	for name, move := range map[string]func(){
		"a new version": func() { a.Set(t, "a/SENSITIVE", "two", vault.SetOptions{}) },
		"deleted": func() {
			a.Must(t, func(s *vault.Session) error { _, _, err := s.Delete(vaulttest.Path(t, "a/SENSITIVE")); return err })
		},
	} {
		a.clock.Pass(time.Second)
		a.Set(t, "a/SENSITIVE", "one", vault.SetOptions{Tier: tokens.Sensitive})
		id := a.ask("a/SENSITIVE")
		shown := a.listed(id)
		move()
		wantError(t, name+": approve", a.approve(shown), vault.ErrConflict)
		wantError(t, name+": deny", a.deny(shown, "no"), vault.ErrConflict)
		a.wantStatus(id, vault.Pending)
		// If the owner looks again, the owner may decide.
		wantError(t, name+": deny what is shown now", a.deny(a.listed(id), "no"), nil)
	}
	// If the tier was raised or lowered since, the request is for an age file that no longer
	// exists.
	a.Set(t, "a/SENSITIVE", "one", vault.SetOptions{Tier: tokens.Sensitive})
	a.Opts.Reason = "again"
	id := a.ask("a/SENSITIVE")
	a.Set(t, "a/SENSITIVE", "two", vault.SetOptions{Tier: tokens.Critical})
	wantError(t, "of another tier", a.approve(a.listed(id)), vault.ErrConflict)
	a.wantStatus(id, vault.Pending)
	// If the secret is purged, its request goes too. The request does not count for another
	// secret that is written there.
	shown := a.listed(id)
	a.Must(t, func(s *vault.Session) error { _, err := s.Purge(vaulttest.Path(t, "a/SENSITIVE")); return err })
	a.Set(t, "a/SENSITIVE", "another", vault.SetOptions{Tier: tokens.Critical})
	a.Set(t, "a/SENSITIVE", "another", vault.SetOptions{})
	wantError(t, "purged: approve", a.approve(shown), vault.ErrNotFound)
	if list := a.listed(id); len(list) != 0 {
		t.Errorf("purged: %+v", list)
	}
}

// If the person was shown anything else than what the request says, nothing is decided.
func TestWhatWasShownIsComparedWhole(t *testing.T) {
	a := newAsking(t)
	a.Opts.Reason = "the nightly job"
	id := a.ask("a/SENSITIVE")
	for name, change := range map[string]func(*vault.Request){
		"another agent":  func(q *vault.Request) { q.Agent = "agt_aaaaaaaa" },
		"another name":   func(q *vault.Request) { q.Name = "trusted" },
		"another action": func(q *vault.Request) { q.Action = vault.RequestWrite },
		"another path":   func(q *vault.Request) { q.Path = vaulttest.Path(t, "a/CRITICAL") },
		"another number": func(q *vault.Request) { q.Version++ },
		"another tier":   func(q *vault.Request) { q.Tier = tokens.Standard },
		"another reason": func(q *vault.Request) { q.Reason = "" },
	} {
		shown := a.listed(id)
		change(&shown[0])
		wantError(t, name+": approve", a.approve(shown), vault.ErrConflict)
		wantError(t, name+": deny", a.deny(shown, "no"), vault.ErrConflict)
		a.wantStatus(id, vault.Pending)
	}
	shown := a.listed(id)
	shown[0].Requester = "agt_aaaaaaaa"
	wantError(t, "another asker", a.approve(shown), vault.ErrNotFound)
	wantError(t, "as it is", a.approve(a.listed(id)), nil)
}

// What is said to wait, without a key, is what has neither a decision nor lapsed.
func TestWaiting(t *testing.T) {
	a := newAsking(t)
	wantWaiting := func(what string, want ...string) {
		t.Helper()
		v, err := vault.Open(a.Path, a.Opts)
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		n, err := v.Waiting()
		ids, lerr := v.PendingIDs()
		slices.Sort(ids)
		slices.Sort(want)
		if err != nil || lerr != nil || n != len(want) || !slices.Equal(ids, want) {
			t.Errorf("%s: %d wait, %q, %v, %v; want %q", what, n, ids, err, lerr, want)
		}
	}
	wantWaiting("nobody asked")
	one, two := a.ask("a/SENSITIVE"), a.ask("a/CRITICAL")
	wantWaiting("two", one, two)
	a.mustApprove(one)
	wantWaiting("one approved", two)
	wantError(t, "deny", a.deny(a.listed(two), "no"), nil)
	wantWaiting("both decided")
	a.Opts.Reason = "again"
	three := a.ask("a/CRITICAL")
	wantWaiting("asked again", three)
	a.clock.Pass(-3 * time.Minute)
	wantWaiting("dated ahead of the clock")
	a.clock.Pass(3*time.Minute + vault.RequestLifetime)
	wantWaiting("lapsed")
}

func TestTwoDecisions(t *testing.T) {
	a := newAsking(t)
	shown := a.listed(a.ask("a/SENSITIVE"))
	wantError(t, "the first", a.approve(shown), nil)
	wantError(t, "the second", a.approve(shown), vault.ErrConflict)
	wantError(t, "the other way", a.deny(shown, "no"), vault.ErrConflict)
	a.wantStatus(shown[0].ID, vault.Approved)
	gone := shown[0]
	gone.ID = "0f8fad5b-d9cb-869f-a165-70867728950e"
	wantError(t, "of no such id", a.approve([]vault.Request{gone}), vault.ErrNotFound)
}

// Several requests are decided together: all or none.
func TestDecisionsAreAllOrNone(t *testing.T) {
	a := newAsking(t)
	one, two := a.ask("a/SENSITIVE"), a.ask("a/CRITICAL")
	shown := a.listed(one, two)
	wantError(t, "one of them twice", a.approve(append(shown, shown[0])), vault.ErrConflict)
	a.Set(t, "a/CRITICAL", "two", vault.SetOptions{})
	wantError(t, "one has moved on", a.approve(shown), vault.ErrConflict)
	wantError(t, "one has moved on", a.deny(shown, "no"), vault.ErrConflict)
	a.wantStatus(one, vault.Pending)
	a.wantStatus(two, vault.Pending)
	wantError(t, "as they are", a.approve(a.listed(one, two)), nil)
	wantValue(t, "the agent", a.as, "a/SENSITIVE", "one")
}

// An agent that reads a namespace makes all requests together. It reads all secrets or
// none.
func TestAskForANamespace(t *testing.T) {
	a := newAsking(t)
	a.Set(t, "a/K", "standard", vault.SetOptions{})
	all := func() (values []vault.Value, err error) {
		err = a.as(func(s *vault.Session) (err error) {
			values, err = s.GetAll(vaulttest.Namespace(t, "a"))
			return err
		})
		return values, err
	}
	_, err := all()
	first := a.asked(err)
	if len(first) != 2 || first[0].Path.String() != "a/CRITICAL" || first[1].Path.String() != "a/SENSITIVE" {
		t.Fatalf("it asks for %+v", first)
	}
	a.mustApprove(first[1].ID)
	_, err = all()
	if need := a.asked(err); len(need) != 1 || need[0].ID != first[0].ID {
		t.Errorf("with one of two, it asks for %+v", need)
	}
	a.mustApprove(first[0].ID)
	values, err := all()
	if err != nil || len(values) != 3 {
		t.Errorf("with both: %v, %v", values, err)
	}
	_, err = all()
	if need := a.asked(err); len(need) != 1 || need[0].Path.String() != "a/CRITICAL" {
		t.Errorf("the critical one was read, and is asked for again: %+v", need)
	}
}

func TestAtMost20Wait(t *testing.T) {
	a := newAsking(t)
	for i := range 21 {
		a.Set(t, fmt.Sprintf("a/many/K%d", i), "value", vault.SetOptions{Tier: tokens.Sensitive})
	}
	var ids []string
	for i := range 20 {
		ids = append(ids, a.ask(fmt.Sprintf("a/many/K%d", i)))
		a.clock.Pass(time.Millisecond)
	}
	_, err := a.get("a/many/K20")
	wantError(t, "one more", err, vault.ErrConflict)
	if again := a.ask("a/many/K3"); again != ids[3] {
		t.Errorf("what is pending: %s, %s", again, ids[3])
	}
	_, other := a.NewAgent(t, "other", "secrets:read:a/*")
	_, err = other.Get(t, "a/many/K20")
	wantError(t, "another asker", err, vault.ErrApproval)
	if got := len(a.listed()); got != 21 {
		t.Errorf("%d requests", got)
	}
	a.mustApprove(ids[0])
	a.ask("a/many/K20")
}

// A request that was pending is not counted as new, however coarse the clock is.
func TestPendingRequestsAreCountedOnce(t *testing.T) {
	a := newAsking(t)
	for i := range 12 {
		a.Set(t, fmt.Sprintf("a/many/K%d", i), "value", vault.SetOptions{Tier: tokens.Sensitive})
	}
	for range 2 {
		err := a.as(func(s *vault.Session) error { _, err := s.GetAll(vaulttest.Namespace(t, "a/many")); return err })
		if wantError(t, "twelve at once", err, vault.ErrApproval); len(a.listed()) != 12 {
			t.Errorf("%d requests", len(a.listed()))
		}
	}
}

func TestOverwriteAndDeleteCritical(t *testing.T) {
	a := newAsking(t)
	remove := func() error { return a.as.Delete(t, "a/CRITICAL") }
	write := func() error { return a.as.Set(t, "a/CRITICAL", "two", vault.SetOptions{}) }
	rotate := func() error { return a.as.Set(t, "a/CRITICAL", "two", vault.SetOptions{Rotate: true}) }
	for _, c := range []struct {
		action string
		do     func() error
	}{{vault.RequestWrite, write}, {vault.RequestWrite, rotate}, {vault.RequestDelete, remove}} {
		a.clock.Pass(time.Second)
		need := a.asked(c.do())
		if len(need) != 1 || need[0].Action != c.action || need[0].Tier != tokens.Critical {
			t.Fatalf("to %s asks for %+v", c.action, need)
		}
		a.mustApprove(need[0].ID)
		// An approval of one act approves neither the other act nor a read.
		_, err := a.get("a/CRITICAL")
		wantError(t, "reading", err, vault.ErrApproval)
		if c.action == vault.RequestWrite {
			wantError(t, "deleting", remove(), vault.ErrApproval)
		} else {
			wantError(t, "writing", write(), vault.ErrApproval)
		}
		wantError(t, c.action, c.do(), nil)
		if q := a.listed(need[0].ID)[0]; !q.Used {
			t.Errorf("to %s: %+v", c.action, q)
		}
		if c.action == vault.RequestWrite {
			wantError(t, "once more", c.do(), vault.ErrApproval)
		}
	}
	// A sensitive secret is written and deleted without approval. A write over a deleted
	// critical secret needs approval.
	wantError(t, "writing what is sensitive", a.as.Set(t, "a/SENSITIVE", "two", vault.SetOptions{}), nil)
	wantError(t, "deleting what is sensitive", a.as.Delete(t, "a/SENSITIVE"), nil)
	wantError(t, "writing over what was deleted", write(), vault.ErrApproval)
	// The owner needs no approval.
	a.Set(t, "a/CRITICAL", "three", vault.SetOptions{})
	wantValue(t, "the owner", a.Do, "a/CRITICAL", "three")
}

// A rollback reads one version and overwrites another. For a critical secret, the agent
// makes two requests, one after the other.
func TestRollbackAsks(t *testing.T) {
	a := newAsking(t)
	a.Set(t, "a/CRITICAL", "two", vault.SetOptions{})
	back := func() error {
		return a.as(func(s *vault.Session) error { _, _, err := s.Rollback(vaulttest.Path(t, "a/CRITICAL"), 1); return err })
	}
	var got []string
	for range 3 {
		err := back()
		if err == nil {
			break
		}
		q := a.asked(err)[0]
		got = append(got, fmt.Sprint(q.Action, q.Version))
		a.mustApprove(q.ID)
	}
	if fmt.Sprint(got) != "[read1 write2]" {
		t.Errorf("it asks to %v", got)
	}
	wantValue(t, "the owner", a.Do, "a/CRITICAL", "one")
}

// A rewrite keeps pending requests, and drops decided ones: an approval holds the key of an
// age file that no longer exists.
func TestRequestsAndRewrites(t *testing.T) {
	a := newAsking(t)
	a.Set(t, "a/DENIED", "x", vault.SetOptions{Tier: tokens.Sensitive})
	a.Set(t, "a/GONE", "x", vault.SetOptions{})
	gone, asGone := a.NewAgent(t, "gone", "secrets:read:a/*")
	_, token := a.NewToken(t, asGone, vault.TokenSpec{Scopes: gone.Scopes})
	for _, as := range []vaulttest.Actor{asGone, token} {
		_, err := as.Get(t, "a/SENSITIVE")
		wantError(t, "of one that goes", err, vault.ErrApproval)
	}
	pending := a.ask("a/CRITICAL")
	a.mustApprove(a.ask("a/SENSITIVE"))
	wantError(t, "deny", a.deny(a.listed(a.ask("a/DENIED")), "no"), nil)
	before := a.listed(pending)[0]
	a.clock.Pass(time.Minute)
	a.Must(t, func(s *vault.Session) error { _, err := s.RevokeAgent(gone.ID, vault.NarrowOptions{}); return err })
	list := a.listed()
	if len(list) != 1 || fmt.Sprint(list[0]) != fmt.Sprint(before) {
		t.Errorf("after a rewrite: %+v, before: %+v", list, before)
	}
	a.mustApprove(pending)
	wantValue(t, "the agent", a.as, "a/CRITICAL", "one")
	_, err := a.get("a/SENSITIVE")
	wantError(t, "what was approved", err, vault.ErrApproval)
	_, err = a.get("a/DENIED")
	wantError(t, "what was denied", err, vault.ErrApproval)
}

// A request outlives the token that made it, in the list and in a verification.
func TestRequestOfATokenThatExpired(t *testing.T) {
	for name, scope := range map[string]string{"reads": "secrets:read:a/*", "writes": "secrets:*:a/*"} {
		t.Run(name, func(t *testing.T) {
			a := newAsking(t)
			made, token := a.NewToken(t, a.as, vault.TokenSpec{Scopes: vaulttest.Scopes(t, scope), TTL: time.Minute})
			_, err := token.Get(t, "a/SENSITIVE")
			id := a.asked(err)[0].ID
			if q := a.listed(id)[0]; q.Requester != made.ID || q.Agent != a.agent.ID || q.Name != "svc" {
				t.Errorf("it is %+v", q)
			}
			shown := a.listed(id)
			a.clock.Pass(time.Hour)
			// A decision about it now is useless, but does no harm.
			if err := a.approve(shown); errors.Is(err, vault.ErrDamaged) {
				t.Errorf("approving it: %v", err)
			}
			a.Set(t, "x/K", "x", vault.SetOptions{})
			if problems := a.Verify().Problems; len(problems) > 0 {
				t.Errorf("an honest vault does not hold: %q", problems)
			}
			a.Must(t, func(s *vault.Session) error { _, err := s.Purge(vaulttest.Path(t, "x/K")); return err })
		})
	}
}

// A request of the owner's own token names the owner as its agent.
func TestRequestOfTheOwnersToken(t *testing.T) {
	a := newAsking(t)
	made, token := a.NewToken(t, a.Do, vault.TokenSpec{Scopes: vaulttest.Scopes(t, "secrets:read:*")})
	_, err := token.Get(t, "a/CRITICAL")
	id := a.asked(err)[0].ID
	if q := a.listed(id)[0]; q.Requester != made.ID || q.Agent != audit.Owner || q.Name != "" {
		t.Errorf("it is %+v", q)
	}
	a.mustApprove(id)
	wantValue(t, "the token", token, "a/CRITICAL", "one")
}

func TestReasonHasALimit(t *testing.T) {
	a := newAsking(t)
	a.Opts.Reason = strings.Repeat("r", 501)
	if _, err := a.get("a/SENSITIVE"); !isSyntax(err) {
		t.Errorf("a long reason: %v", err)
	}
	a.Opts.Reason = strings.Repeat("r", 500)
	a.ask("a/SENSITIVE")
}
