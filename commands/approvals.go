package commands

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/vault"
)

type approvalsGroup struct {
	List    approvalsList    `cmd:"" aliases:"ls" help:"List the requests that wait for a decision."`
	Approve approvalsApprove `cmd:"" help:"Let agents read what they asked for."`
	Deny    approvalsDeny    `cmd:"" help:"Refuse what agents asked for."`
	Show    approvalsShow    `cmd:"" help:"Show one request; an agent sees its own."`
	Wait    approvalsWait    `cmd:"" help:"Wait until requests are decided; an agent waits for its own."`
}

type approvalsList struct {
	Status string `short:"s" help:"pending (if omitted), approved, denied, expired, or all." default:"pending"`
	Limit  int    `short:"l" help:"Number of requests to list; 0 for all. When the list is cut, requests of different agents are interleaved." default:"50"`
}

func (approvalsList) Help() string {
	return `A request waits for 24 hours, an approval is good for one hour, and for one read of a
critical secret. Requests are listed for a week; the audit log keeps them for ever.`
}

func (c approvalsList) Run(a *app) error {
	switch c.Status {
	case vault.Pending, vault.Approved, vault.Denied, vault.Expired, "all":
	default:
		return usagef("--status must be pending, approved, denied, expired or all")
	}
	if c.Limit < 0 {
		return usagef("--limit must not be negative")
	}
	return a.withSession(access{readOnly: true, itself: true}, func(s *vault.Session) (err error) {
		list, err := s.Requests()
		if err != nil {
			return err
		}
		defer func() { // list the valid records, then name an altered one
			if err == nil {
				err = s.Unlisted()
			}
		}()
		a.warnOfAhead(list)
		items := []requestJSON{}
		rows := [][]cell{{{"ID", dim}, {"AGENT", dim}, {"TIER", dim}, {"STATUS", dim}, {"SECRET", dim}, {"REQUESTED", dim}}}
		list = slices.DeleteFunc(list, func(q vault.Request) bool { return c.Status != "all" && q.Status != c.Status })
		total := len(list)
		for _, q := range roundRobin(list, c.Limit) {
			items = append(items, requestJSONOf(q))
			if q.Doubt != nil && q.Status == vault.Pending {
				a.out.warn("request %s cannot be approved: %v", q.ID, q.Doubt)
			}
			rows = append(rows, []cell{{q.ID, ""}, {orElse(q.Name, q.Agent), ""}, tierCell(q.Tier), a.requestState(q),
				{q.Path.String(), ""}, {a.when(q.CreatedAt), dim}})
		}
		answer, more := requestsResult{Items: items}, total-len(items)
		if more > 0 {
			answer.Total = total
		}
		return a.answer(answer, func() {
			if len(items) == 0 {
				a.out.note("no %srequests", strings.TrimPrefix(c.Status+" ", "all "))
				return
			}
			a.out.table(rows)
			if more > 0 {
				a.out.note("%d more; list them all with --limit 0, or end the requests of an agent with: ass agents revoke "+
					"AGENT", more)
			}
		})
	})
}

// warnOfAhead names the requests that count as expired because of their date.
func (a *app) warnOfAhead(list []vault.Request) {
	var ids []string
	for _, q := range list {
		if q.Ahead {
			ids = append(ids, q.ID+" of "+orElse(q.Name, q.Agent))
		}
	}
	if len(ids) > 0 {
		a.out.warn("dated ahead of this machine's clock, so they count as expired: %s", some(ids))
	}
}

// roundRobin chooses at most the given number of requests (0 for all), one of each agent
// in turn, so that an agent with many requests cannot hide those of another. It keeps
// their order.
func roundRobin(list []vault.Request, most int) []vault.Request {
	if most == 0 || len(list) <= most {
		return list
	}
	var agents []string
	by := map[string][]int{}
	for i, q := range list {
		if by[q.Agent] == nil {
			agents = append(agents, q.Agent)
		}
		by[q.Agent] = append(by[q.Agent], i)
	}
	var chosen []int
	for turn := 0; len(chosen) < most; turn++ {
		for _, agent := range agents {
			if turn < len(by[agent]) && len(chosen) < most {
				chosen = append(chosen, by[agent][turn])
			}
		}
	}
	slices.Sort(chosen)
	some := make([]vault.Request, len(chosen))
	for i, at := range chosen {
		some[i] = list[at]
	}
	return some
}

func requestJSONOf(q vault.Request) requestJSON {
	return requestJSON{
		ID: q.ID, AgentID: q.Agent, AgentName: q.Name, ActorID: q.Requester, Status: q.Status,
		AccessTier:      q.Tier,
		RequestedScopes: []string{"secrets:" + scopeOf(q) + ":" + q.Path.String()}, Action: q.Action,
		Path:    q.Path.String(),
		Version: q.Version, Reason: nullable(q.Reason), DenialReason: nullable(q.Denial), Used: q.Used,
		CreatedAt: stamp(q.CreatedAt), ExpiresAt: stamp(q.ExpiresAt), DecidedAt: stampOf(q.DecidedAt),
	}
}

// scopeOf returns the action of the scope that a request is within.
func scopeOf(q vault.Request) string {
	if q.Action == vault.RequestCreate {
		return vault.RequestRead
	}
	return q.Action
}

func (a *app) requestState(q vault.Request) cell {
	c := cell{text: q.Status}
	switch q.Status {
	case vault.Pending:
		if c.colour = yellow; a.out.tty {
			c.text += " ○"
		}
	case vault.Approved:
		c.colour = green
		if q.Used {
			c.text += ", used"
		}
	case vault.Denied:
		c.colour = red
	}
	return c
}

type approvalsApprove struct {
	IDs   []string `arg:"" name:"id" help:"Ids of requests, or the beginnings of ids."`
	Force bool     `short:"f" help:"Skip the confirmation; ass still asks for the passphrase."`
}

func (approvalsApprove) Help() string {
	return `Shows who asks, for what and why, and what that agent has read lately. Where the owner
key has a passphrase, it is asked for on the terminal, or read from --passphrase-fd,
each time. Fails if a secret has moved on since it was shown. Approves all of the
requests, or none.`
}

func (c approvalsApprove) Run(a *app) error {
	const what = "approve requests"
	if a.PassphraseFD != nil && *a.PassphraseFD == 0 {
		return usagef("an approval does not read the passphrase from stdin; use a terminal, or another descriptor with " +
			"--passphrase-fd")
	}
	shown, err := a.showRequests(c.IDs, what)
	if err != nil {
		return err
	}
	if asks := slices.IndexFunc(shown, asksForSecret); asks >= 0 {
		return c.provide(a, shown, asks)
	}
	if err := a.confirm(c.Force, "Approve "+describeCount(len(shown))+"?"); err != nil {
		return err
	}
	return a.decided(shown, what, "Approved", func(s *vault.Session) error { return s.Approve(shown) })
}

// asksForSecret reports whether a request asks for a secret that is not there.
func asksForSecret(q vault.Request) bool { return q.Action == vault.RequestCreate && q.Current == 0 }

// provide asks for the value of a secret that an agent asked for, and stores it.
func (c approvalsApprove) provide(a *app, shown []vault.Request, asks int) error {
	q := shown[asks]
	switch {
	case len(shown) > 1:
		return usagef("request %s asks for a secret that is not there, and you type it in: approve that one alone", q.ID)
	case !a.interactive():
		return usagef("request %s asks for a secret that is not there: approve it on a terminal, where you can type it in, or "+
			"store it first: ass secrets set %s", q.ID, q.Path)
	}
	value, err := a.askValue(fmt.Sprintf("Value of %s (empty to stop): ", q.Path))
	if err != nil {
		return err
	}
	if value == "" {
		return errorf(errDeclined, "nothing was stored; the request still waits")
	}
	return a.decided(shown, "approve requests", "Approved", func(s *vault.Session) error {
		return s.Provide(q, []byte(value))
	})
}

type approvalsDeny struct {
	IDs    []string `arg:"" name:"id" help:"Ids of requests, or the beginnings of ids."`
	Reason string   `short:"r" help:"Why; the agent sees it." required:"" placeholder:"TEXT"`
	Force  bool     `short:"f" help:"Skip the confirmation."`
}

func (c approvalsDeny) Run(a *app) error {
	const what = "deny requests"
	if strings.TrimSpace(c.Reason) == "" {
		return usagef("--reason is empty; say why, for the agent")
	}
	shown, err := a.showRequests(c.IDs, what)
	if err != nil {
		return err
	}
	// A denial gives nothing away, so without a terminal it needs no confirmation.
	if a.interactive() {
		if err := a.confirm(c.Force, "Deny "+describeCount(len(shown))+"?"); err != nil {
			return err
		}
	}
	return a.decided(shown, what, "Denied", func(s *vault.Session) error { return s.Deny(shown, c.Reason) })
}

func describeCount(n int) string {
	if n == 1 {
		return "this request"
	}
	return fmt.Sprintf("these %d requests", n)
}

func (a *app) decided(shown []vault.Request, what, said string, decide func(*vault.Session) error) error {
	return a.withSession(access{owner: what}, func(s *vault.Session) error {
		if err := decide(s); err != nil {
			return err
		}
		ids := make([]string, len(shown))
		for i, q := range shown {
			ids[i] = q.ID
		}
		a.changed("%s: %s", strings.ToLower(said), strings.Join(ids, ", "))
		return a.answer(decidedResult{IDs: ids, Status: strings.ToLower(said)}, func() {
			for _, id := range ids {
				a.out.done("%s: %s", said, id)
			}
		})
	})
}

// showRequests finds the requests and shows, on stderr, what a person needs to
// know before a decision.
func (a *app) showRequests(ids []string, what string) ([]vault.Request, error) {
	var shown []vault.Request
	err := a.withSession(access{readOnly: true, owner: what}, func(s *vault.Session) error {
		list, err := s.Requests()
		if err != nil {
			return err
		}
		byID := map[string]vault.Request{}
		for _, q := range list {
			byID[q.ID] = q
		}
		lately := reads{}
		seen := map[string]bool{}
		for _, id := range ids {
			q, whole := byID[id]
			if !whole {
				if q, err = findRequest(s, list, id); err != nil {
					return err
				}
			}
			if q.Doubt != nil {
				return q.Doubt
			}
			if !seen[q.ID] {
				seen[q.ID] = true
				shown = append(shown, q)
				lately[q.Requester], lately[q.Agent] = nil, nil
			}
		}
		if err := lately.fill(s); err != nil {
			return err
		}
		for _, q := range shown {
			a.showRequest(q, lately.of(q))
		}
		return nil
	})
	return shown, err
}

// reads maps the id of an actor to what it has read lately, newest first.
type reads map[string][]vault.Entry

// shownReads is how many reads are shown with a request.
const shownReads = 5

// fill collects the reads of all actors in one pass over the log.
func (r reads) fill(s *vault.Session) error {
	_, err := s.Log(1, func(e audit.Event) bool {
		if some, wanted := r[e.ActorID]; wanted && isRead(e) && len(some) < shownReads {
			r[e.ActorID] = append(some, vault.Entry{Event: e})
		}
		return false
	})
	return err
}

// of returns the latest reads of the requester of a request and of its agent.
func (r reads) of(q vault.Request) []vault.Entry {
	list := slices.Clone(r[q.Requester])
	if q.Agent != q.Requester {
		list = append(list, r[q.Agent]...)
	}
	slices.SortStableFunc(list, func(a, b vault.Entry) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list[:min(len(list), shownReads)]
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
		return found, errorf(vault.ErrUnknown, "no request %s; list the pending ones with: ass approvals list", id)
	case 1:
		return some[0], nil
	}
	return found, usagef("%d requests begin with %s; give the whole id", len(some), id)
}

// beginWith returns the item whose id was typed. If there is none, and enough of an
// id was typed, it returns all items whose ids begin with it.
func beginWith[T any](list []T, typed string, id func(T) string) (some []T) {
	const enough = 8 // characters
	for _, x := range list {
		if id(x) == typed {
			return []T{x}
		}
		if len(typed) >= enough && strings.HasPrefix(id(x), typed) {
			some = append(some, x)
		}
	}
	return some
}

// askerOf names who made a request.
func askerOf(q vault.Request) string {
	if q.Requester != q.Agent {
		return "token " + q.Requester + " of " + orElse(q.Name, q.Agent)
	}
	return orElse(q.Name, q.Agent) + " (" + q.Requester + ")"
}

// versionOf says what a request is about: a version, or a secret that is to be.
func versionOf(q vault.Request) string {
	switch {
	case q.Action != vault.RequestCreate:
		return fmt.Sprintf("v%d, %s", q.Version, q.Tier)
	case q.Current == 0:
		return "it is not there yet"
	}
	return fmt.Sprintf("it is there now, at v%d", q.Current)
}

func (a *app) showRequest(q vault.Request, lately []vault.Entry) {
	version := versionOf(q)
	if q.Current != q.Version && q.Action != vault.RequestCreate {
		version += fmt.Sprintf("; the secret is now at v%d", q.Current)
		if q.Current == 0 {
			version = fmt.Sprintf("v%d, %s; the secret is deleted", q.Version, q.Tier)
		}
	}
	why := orElse(q.Reason, "no reason was given")
	a.out.note("request %s, %s (%s)", q.ID, q.Status, a.when(q.CreatedAt))
	a.out.note("  who:    %s", askerOf(q))
	a.out.note("  what:   %s %s (%s)", q.Action, q.Path, version)
	a.out.note("  why:    %s", why)
	if len(lately) == 0 {
		a.out.note("  lately: no reads")
	}
	for i, e := range lately {
		label := "        "
		if i == 0 {
			label = "lately: "
		}
		a.out.note("  %s%s %s, %s", label, e.Type, e.About(), a.when(e.CreatedAt))
	}
}

type approvalsShow struct {
	ID string `arg:"" name:"id" help:"Id of a request, or its beginning."`
}

func (c approvalsShow) Run(a *app) error {
	return a.withSession(access{readOnly: true, itself: true}, func(s *vault.Session) error {
		list, err := s.Requests()
		if err != nil {
			return err
		}
		q, err := findRequest(s, list, c.ID)
		if err != nil {
			return err
		}
		return a.answer(requestJSONOf(q), func() {
			rows := [][]cell{
				{{"id", dim}, {q.ID, ""}},
				{{"status", dim}, a.requestState(q)},
				{{"who", dim}, {askerOf(q), ""}},
				{{"action", dim}, {q.Action + " " + q.Path.String() + " (" + versionOf(q) + ")", ""}},
				{{"reason", dim}, {orElse(q.Reason, "none was given"), ""}},
				{{"requested", dim}, {a.when(q.CreatedAt), ""}},
				{{"ends", dim}, {a.when(q.ExpiresAt), ""}},
			}
			if q.Denial != "" {
				rows = append(rows, []cell{{"denied", dim}, {q.Denial, ""}})
			}
			a.out.table(rows)
		})
	})
}

type approvalsWait struct {
	IDs     []string      `arg:"" name:"id" help:"Ids of requests, or their beginnings."`
	Timeout time.Duration `help:"How long to wait; 0 for as long as the requests live." default:"0"`
}

func (approvalsWait) Help() string {
	return `Ends with 0 when all of the requests are approved, with 5 when one is denied or has
expired, and with 6 when one still waits at the end of --timeout.`
}

func (c approvalsWait) Run(a *app) error {
	done, err := c.until(a)
	if err != nil {
		return err
	}
	return a.answer(requestsResult{Items: requestsJSON(done)}, func() {
		for _, q := range done {
			a.out.done("Approved: %s", q.ID)
		}
	})
}

// until waits, and returns the requests as they were decided.
func (c approvalsWait) until(a *app) ([]vault.Request, error) {
	if c.Timeout < 0 {
		return nil, usagef("--timeout must not be negative")
	}
	a.quietQuit()
	var pending []vault.Request // as they were when the vault was last free
	start, told := a.now(), false
	for {
		asked, still, err := c.look(a)
		if err == nil {
			pending = still
		}
		switch {
		case err != nil && !(told && errors.Is(err, vault.ErrBusy)):
			return nil, err
		case err == nil && len(pending) == 0:
			return asked, nil
		case c.Timeout > 0 && a.now().Sub(start) >= c.Timeout:
			return nil, &vault.ApprovalError{Requests: pending}
		case !told && !a.JSON:
			a.out.note("waiting for a human: %s", approveCommand(&vault.ApprovalError{Requests: pending}))
		}
		told = true
		time.Sleep(pollEvery)
	}
}

// look returns the requests, and those that wait for a decision. A denied or expired request is
// an error.
func (c approvalsWait) look(a *app) (asked, pending []vault.Request, err error) {
	err = a.withSession(access{readOnly: true, itself: true}, func(s *vault.Session) error {
		list, err := s.Requests()
		if err != nil {
			return err
		}
		for _, id := range c.IDs {
			q, err := findRequest(s, list, id)
			if err != nil {
				return err
			}
			if err := undecided(q); err != nil {
				return err
			}
			is := q.Action == vault.RequestCreate && q.Current > 0 // the human stored it, and that is what was asked for
			if asked = append(asked, q); q.Status == vault.Pending && !is {
				pending = append(pending, q)
			}
		}
		return nil
	})
	return asked, pending, err
}

// undecided returns the error of a request that nobody will approve any more.
func undecided(q vault.Request) error {
	switch {
	case q.Status == vault.Denied:
		return errorf(vault.ErrRefused, "the request to %s %s was denied: %s", q.Action, q.Path, q.Denial)
	case q.Status == vault.Expired && q.DecidedAt != nil:
		return errorf(vault.ErrRefused, "the approval to %s %s has expired; ask again", q.Action, q.Path)
	case q.Ahead:
		return errorf(vault.ErrRefused, "the request to %s %s is dated %s, ahead of this machine's clock, so it does not "+
			"count; ask again", q.Action, q.Path, stamp(q.CreatedAt))
	case q.Status == vault.Expired:
		return errorf(vault.ErrRefused, "the request to %s %s expired without a decision", q.Action, q.Path)
	}
	return nil
}

func requestsJSON(list []vault.Request) []requestJSON {
	items := make([]requestJSON, len(list))
	for i, q := range list {
		items[i] = requestJSONOf(q)
	}
	return items
}

// patience is whether a command waits for a human who must approve.
type patience struct {
	Wait    bool          `help:"If a human must approve, wait for the decision."`
	Timeout time.Duration `help:"How long to wait with --wait; 0 for as long as the request lives." default:"0"`
}

// with runs act, and waits if that is wanted. act may run several times.
func (p patience) with(a *app, act func() error) error {
	if p.Timeout < 0 {
		return usagef("--timeout must not be negative")
	}
	if !p.Wait {
		return act()
	}
	return a.waiting(p.Timeout, act)
}

// waiting runs act. If act needs approval, waiting polls until the owner has decided,
// and runs act again. It gives up after most, if most is positive. It holds no lock
// in between.
func (a *app) waiting(most time.Duration, act func() error) error {
	a.quietQuit()
	start, told := a.now(), ""
	for {
		err := act()
		var need *vault.ApprovalError
		if !errors.As(err, &need) {
			return err
		}
		if ids := strings.Join(need.IDs(), " "); ids != told { // again, if the secret changed
			a.out.note("waiting for a human: ass approvals approve %s", ids)
			told = ids
		}
		for waits := true; waits; {
			if most > 0 && a.now().Sub(start) >= most {
				return err
			}
			time.Sleep(pollEvery)
			if waits, err = a.stillPending(need, err); err != nil && !errors.Is(err, vault.ErrApproval) {
				return err
			}
		}
	}
}

// stillPending reports whether a request still waits for a decision. A denied or
// expired request is an error, which ends the wait.
func (a *app) stillPending(need *vault.ApprovalError, was error) (waits bool, err error) {
	err = was
	lookErr := a.withSession(access{readOnly: true}, func(s *vault.Session) error {
		list, lerr := s.Requests()
		if lerr != nil {
			return lerr
		}
		for _, r := range need.Requests {
			for _, q := range list {
				switch gone := undecided(q); {
				case q.ID != r.ID:
				case gone != nil:
					err = gone
				case q.Status == vault.Pending:
					waits = true
				}
			}
		}
		return nil
	})
	switch {
	case errors.Is(lookErr, vault.ErrBusy):
		return true, was
	case lookErr != nil:
		return false, lookErr
	}
	return waits, err
}
