package commands

import (
	"slices"
	"strings"

	"ass/vault"
)

type approvalsGroup struct {
	List    approvalsList    `cmd:"" aliases:"ls" help:"List the requests that wait for a decision."`
	Approve approvalsApprove `cmd:"" help:"Let agents read what they asked for."`
	Deny    approvalsDeny    `cmd:"" help:"Refuse what agents asked for."`
	Show    approvalsShow    `cmd:"" help:"Show one request; an agent sees its own."`
	Watch   approvalsWatch   `cmd:"" help:"Tell of each new request, until Ctrl-C."`
	Wait    approvalsWait    `cmd:"" help:"Wait until requests are decided; an agent waits for its own."`

	Walk approvalsWalk `cmd:"" name:"walk" default:"1" hidden:"" help:"Go through what waits, one by one, on a terminal."`
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
	defer func() { a.waits = 0 }() // they are listed here
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
		rows := [][]cell{{{"ID", dim}, {"AGENT", dim}, {"TIER", dim}, {"STATUS", dim}, {"WANTS", dim},
			{"SECRET", dim}, {"REQUESTED", dim}}}
		ids := a.shownIDs(idsOf(list, func(q vault.Request) string { return q.ID }))
		list = slices.DeleteFunc(list, func(q vault.Request) bool { return c.Status != "all" && q.Status != c.Status })
		total := len(list)
		for _, q := range roundRobin(list, c.Limit) {
			items = append(items, requestJSONOf(q))
			if q.Doubt != nil && q.Status == vault.Pending {
				a.out.warn("request %s cannot be approved: %v", q.ID, q.Doubt)
			}
			rows = append(rows, []cell{{ids[q.ID], ""}, {orElse(q.Name, q.Agent), ""}, tierCell(q.Tier), a.requestState(q),
				{wants(q), ""}, {q.Path.String(), ""}, {a.when(q.CreatedAt), dim}})
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
			a.out.table(rows, whole, words, words, words, words, paths)
			if more > 0 {
				a.out.noteOf(sayf("%d more", more).
					hint("list them all with --limit 0, or end the requests of an agent with: ass agents revoke AGENT"))
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
	chosen := map[string]bool{}
	for _, q := range inTurn(list)[:most] {
		chosen[q.ID] = true
	}
	return slices.DeleteFunc(slices.Clone(list), func(q vault.Request) bool { return !chosen[q.ID] })
}

// inTurn returns the requests in another order: one of each agent in turn.
func inTurn(list []vault.Request) []vault.Request {
	turn := map[string]int{} // how many an agent has so far
	type placed struct {
		vault.Request
		turn int
	}
	all := make([]placed, len(list))
	for i, q := range list {
		all[i] = placed{q, turn[q.Agent]}
		turn[q.Agent]++
	}
	sortStable(all, func(a, b placed) int { return a.turn - b.turn })
	some := make([]vault.Request, len(list))
	for i, q := range all {
		some[i] = q.Request
	}
	return some
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
				{{"requested", dim}, {a.when(q.CreatedAt), ""}},
				{{"ends", dim}, {a.expires(q.ExpiresAt), ""}},
			}
			if q.Denial != "" {
				rows = append(rows, []cell{{"denied", dim}, {q.Denial, ""}})
			}
			rows = append(rows, a.reasonRows(q)...)
			a.out.table(rows)
		})
	})
}

// reasonRows are the rows of a table with the reason of a request.
func (a *app) reasonRows(q vault.Request) (rows [][]cell) {
	if q.Reason == "" {
		return [][]cell{{{"reason", dim}, {"none was given", ""}}}
	}
	lines := []string{q.Reason}
	if a.out.tty {
		lines = quoteLines(q.Reason, columns(a.out.w)-len(agentsWords)-3)
	}
	for i, line := range lines {
		label := agentsWords
		if i > 0 {
			label = strings.Repeat(" ", len(agentsWords)-1) + "|"
		}
		rows = append(rows, []cell{{label, dim}, {line, ""}})
	}
	return rows
}
