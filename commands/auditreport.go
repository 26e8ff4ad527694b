package commands

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/vault"
)

// A report on what agents and tokens could open and did, as the log tells it.

type auditReport struct {
	Agent  string `help:"Agent to report on, with its tokens: its name or id, also of one that was revoked." placeholder:"AGENT"`
	Token  string `help:"Token to report on: its id." placeholder:"ID"`
	Since  string `help:"Only what was done from then on: a date, an RFC 3339 time, or how long ago (2h, 7d)." placeholder:"TIME"`
	Format string `help:"text, or markdown for a pull request." default:"text" placeholder:"FORMAT"`
}

func (auditReport) Help() string {
	return `Says, from the log alone, which scopes an agent and its tokens had, what they read, wrote
and asked for, and what was refused to them, how often and when. It ends with the
receipt of the log (see ass audit verify --expect).

If the owner's key opens without a passphrase, or with --passphrase-fd, the vault and its
log are verified first; exit code 8 if anything does not hold. Otherwise the report says
that nothing vouches for it.`
}

func (c auditReport) Run(a *app) error {
	var since time.Time
	if (c.Agent == "") == (c.Token == "") {
		return usagef("name an agent with --agent, or a token with --token").
			hint("as in: ass audit report --agent worker")
	}
	if !slices.Contains(reportFormats, c.Format) {
		return usagef("--format must be one of: %s", strings.Join(reportFormats, ", "))
	}
	if c.Since != "" {
		var err error
		if since, _, err = parseTime(c.Since, a.now()); err != nil {
			return usagef("--since: %v", err)
		}
	}
	h, err := a.find()
	if err != nil {
		return err
	}
	var r *report
	tell := func(v *vault.Vault, s *vault.Session) (err error) {
		r, err = c.collect(v, s, since)
		return err
	}
	var checked *vault.Report
	if h.cred.kind == ownerCredential && (!asks(h.cred.text) || a.givesPassphrase()) {
		err = a.withSession(access{readOnly: true, owner: "verify the vault", progress: "verifying"}, func(s *vault.Session) error {
			found, err := s.Reverify()
			if err != nil {
				return err
			}
			checked = &found
			return tell(s.Vault(), nil)
		})
	} else {
		err = a.look(tell)
	}
	if err != nil {
		return err
	}
	switch {
	case checked != nil:
		r.result.Problems = list(checked.Problems)
		r.result.Verified = len(checked.Problems) == 0
	case h.cred.kind == ownerCredential:
		r.result.Unverified = "the owner's key has a passphrase, and was not asked for"
	default:
		r.result.Unverified = "only the owner's key can verify the log"
	}
	if err := a.answer(r.result, func() { r.print(a, c.Format) }); err != nil {
		return err
	}
	if n := len(r.result.Problems); n > 0 {
		return &verifyError{n}
	}
	return nil
}

var reportFormats = []string{"text", "markdown"}

type (
	reportResult struct {
		Agents     []reportAgent `json:"agents"`
		Archived   uint64        `json:"archived"` // number of the last log entry that was archived, of which the report cannot tell
		Asked      []reportAsked `json:"asked"`
		Entries    int           `json:"entries"` // that they made, from since on
		Other      []reportRow   `json:"other"`
		Problems   []string      `json:"problems"`
		Read       []reportRow   `json:"read"`
		Receipt    string        `json:"receipt"` // of the newest entry of the log
		Refused    []reportRow   `json:"refused"`
		Since      *string       `json:"since"`
		Tokens     []reportToken `json:"tokens"`
		Unverified string        `json:"unverified,omitempty"` // why the log was not verified
		Verified   bool          `json:"verified"`
		Wrote      []reportRow   `json:"wrote"`
	}

	reportAgent struct {
		ID        string         `json:"id"`
		Name      string         `json:"name"`
		RevokedAt *string        `json:"revoked_at"`
		Scopes    []reportScopes `json:"allowed_scopes"`
	}

	// reportScopes are the scopes that an agent had from a time on: each new key may have others.
	reportScopes struct {
		From   string   `json:"from"`
		Scopes []string `json:"scopes"`
	}

	reportToken struct {
		AgentID   string   `json:"agent_id"`
		AgentName string   `json:"agent_name"`
		EndedAt   *string  `json:"ended_at"` // when it was revoked, or what opened for it ended; null if the log tells of no such end
		ExpiresAt string   `json:"expires_at"`
		IssuedAt  *string  `json:"issued_at"` // null if that was archived
		MaxUses   *uint64  `json:"max_uses"`
		Scopes    []string `json:"scopes"`
		TokenID   string   `json:"token_id"`
	}

	// reportRow is what was done to one secret, in one way.
	reportRow struct {
		Count   int    `json:"count"`
		Event   string `json:"event_type"`
		FirstAt string `json:"first_at"`
		LastAt  string `json:"last_at"`
		Path    string `json:"path"`             // or what else it was about
		Reason  string `json:"reason,omitempty"` // why it was refused
	}

	reportAsked struct {
		Action    string  `json:"action"`
		AskedAt   *string `json:"asked_at"` // null if that was archived
		DecidedAt *string `json:"decided_at"`
		ID        string  `json:"id"`
		Path      string  `json:"path"`
		Status    string  `json:"status"` // pending, approved or denied
	}
)

// report is a report that is being made.
type report struct {
	result reportResult
	ids    map[string]bool // of whom it is
	rows   map[rowKey]*row
	asked  map[string]*reportAsked
	agents map[string]*reportAgent
	tokens map[string]*reportToken
}

type rowKey struct{ kind, event, path, reason string }

type row struct {
	count       int
	first, last time.Time
}

// What rows are about.
const (
	rowRead    = "read"
	rowWrote   = "wrote"
	rowRefused = "refused"
	rowOther   = "other"
)

// collect reads the log.
func (c auditReport) collect(v *vault.Vault, s *vault.Session, since time.Time) (*report, error) {
	known, err := v.Actors()
	if err != nil {
		return nil, err
	}
	r := &report{rows: map[rowKey]*row{}, asked: map[string]*reportAsked{}, agents: map[string]*reportAgent{},
		tokens: map[string]*reportToken{}}
	ref := orElse(c.Agent, c.Token)
	if r.ids, err = actorsNamed(v, s, "--agent", ref); err != nil {
		return nil, err
	}
	for id := range r.ids {
		switch x := known[id]; {
		case x.Issuer != "" || x.ID == "":
			r.tokens[id] = &reportToken{TokenID: id, AgentID: x.Issuer, AgentName: x.Name, Scopes: []string{}}
		case id != audit.Owner:
			r.agents[id] = &reportAgent{ID: id, Name: x.Name, Scopes: []reportScopes{}}
		}
	}
	if r.ids[audit.Owner] || c.Token != "" && len(r.agents) > 0 || c.Agent != "" && len(r.agents) == 0 {
		return nil, usagef("a report is on an agent (--agent NAME) or a token (--token ID), and %q is none of that kind", ref)
	}
	r.result.Since = nil
	if !since.IsZero() {
		from := stamp(since)
		r.result.Since = &from
	}
	if r.result.Receipt, r.result.Archived, err = endsOfLog(v); err != nil {
		return nil, err
	}
	_, err = v.EachEntry(vault.Query{Maybe: r.maybe}, func(e vault.Entry, _ int) bool {
		r.grants(e.Event)
		if r.ids[e.ActorID] && !e.CreatedAt.Before(since) {
			r.result.Entries++
			r.act(e.Event)
		}
		return true
	})
	r.finish(since)
	return r, err
}

// endsOfLog returns the receipt of the newest entry, and the number of the last one that was archived; 0 for none.
func endsOfLog(v *vault.Vault) (receipt string, archived uint64, err error) {
	newest, err := v.Receipt()
	if err != nil {
		return "", 0, err
	}
	total, err := v.CountLog(nil)
	return newest.String(), newest.Seq - uint64(total), err
}

func (r *report) maybe(g audit.Glance) (can, sure bool) {
	if r.ids[string(g.Actor)] {
		return true, false
	}
	family, _, _ := strings.Cut(string(g.Type), ".")
	return family == "agent" || family == "token" || family == "approval" || endsTokens(string(g.Type)), false
}

// endsTokens reports whether an event ends every token that there was.
func endsTokens(event string) bool {
	return event == audit.VaultRestored || event == audit.VaultSalvaged
}

// ended notes that tokens ended. Those that were issued later have been met before.
func (r *report) ended(at string, which func(*reportToken) bool) {
	for _, t := range r.tokens {
		if t.IssuedAt == nil && which(t) {
			t.EndedAt = &at
		}
	}
}

// grants takes what the log tells of rights. The newest entry comes first.
func (r *report) grants(e audit.Event) {
	at := stamp(e.CreatedAt)
	switch {
	case endsTokens(e.Type):
		r.ended(at, func(*reportToken) bool { return true })
	case e.Type == audit.AgentRevoked, e.Type == audit.AgentKeyRotated:
		r.ended(at, func(t *reportToken) bool { return t.AgentID == e.ResourceID })
	}
	switch e.Type {
	case audit.AgentCreated, audit.AgentKeyRotated:
		if g := r.agents[e.ResourceID]; g != nil {
			g.Scopes = append(g.Scopes, reportScopes{at, audit.Texts(e.Metadata["scopes"])})
		}
	case audit.AgentUpdated:
		if g := r.agents[e.ResourceID]; g != nil {
			g.Scopes = append(g.Scopes, reportScopes{at, audit.Texts(e.Metadata["scopes"])})
		}
		for _, id := range audit.Texts(e.Metadata["tokens_ended"]) {
			r.ended(at, func(t *reportToken) bool { return t.TokenID == id })
		}
	case audit.AgentRevoked:
		if g := r.agents[e.ResourceID]; g != nil && g.RevokedAt == nil {
			g.RevokedAt = &at
		}
	case audit.TokenIssued:
		if t := r.tokens[e.ResourceID]; t != nil && t.IssuedAt == nil {
			t.Scopes, t.IssuedAt = audit.Texts(e.Metadata["scopes"]), &at
			t.ExpiresAt, _ = e.Metadata["expires_at"].(string)
			if n, ok := e.Metadata["max_uses"].(float64); ok && n > 0 {
				uses := uint64(n)
				t.MaxUses = &uses
			}
		}
	case audit.TokenRevoked:
		r.ended(at, func(t *reportToken) bool { return t.TokenID == e.ResourceID })
	case audit.ApprovalRequested, audit.ApprovalGranted, audit.ApprovalDenied:
		if asker, _ := e.Metadata["asker"].(string); r.ids[asker] {
			r.request(e, at)
		}
	}
}

func (r *report) request(e audit.Event, at string) {
	q := r.asked[e.ResourceID]
	if q == nil {
		q = &reportAsked{ID: e.ResourceID, Path: resource(e), Status: vault.Pending}
		q.Action, _ = e.Metadata["action"].(string)
		r.asked[e.ResourceID] = q
	}
	switch e.Type {
	case audit.ApprovalRequested:
		q.AskedAt = &at
	case audit.ApprovalGranted:
		q.Status, q.DecidedAt = vault.Approved, &at
	case audit.ApprovalDenied:
		q.Status, q.DecidedAt = vault.Denied, &at
	}
}

// act takes what one of them did.
func (r *report) act(e audit.Event) {
	event, refused := strings.CutSuffix(e.Type, audit.Denied)
	switch {
	case refused && event != "approval":
		why, _ := e.Metadata["reason"].(string)
		r.add(rowKey{rowRefused, event, resource(e), why}, e.CreatedAt)
	case e.Type == audit.SecretRead:
		r.each(rowRead, e)
	case strings.HasPrefix(e.Type, "secret."):
		r.each(rowWrote, e)
	case e.Type == audit.ApprovalRequested || e.Type == audit.TokenIssued: // these have tables of their own
	default:
		r.add(rowKey{rowOther, e.Type, resource(e), ""}, e.CreatedAt)
	}
}

func (r *report) each(kind string, e audit.Event) {
	for _, item := range e.Secrets() {
		r.add(rowKey{kind, e.Type, item.Path, ""}, e.CreatedAt)
	}
}

func (r *report) add(k rowKey, at time.Time) { tally(r.rows, k, at) }

// tally counts one more act of a kind.
func tally[K comparable](rows map[K]*row, k K, at time.Time) {
	x := rows[k]
	if x == nil {
		x = &row{first: at, last: at}
		rows[k] = x
	}
	x.count++
	if at.Before(x.first) {
		x.first = at
	}
	if at.After(x.last) {
		x.last = at
	}
}

// finish puts everything in order.
func (r *report) finish(since time.Time) {
	result := &r.result
	result.Problems = []string{}
	of := map[string]*[]reportRow{rowRead: &result.Read, rowWrote: &result.Wrote, rowRefused: &result.Refused, rowOther: &result.Other}
	for _, rows := range of {
		*rows = []reportRow{}
	}
	ordered := slices.Collect(maps.Keys(r.rows))
	sortList(ordered, func(a, b rowKey) int {
		return cmp.Or(strings.Compare(a.path, b.path), strings.Compare(a.event, b.event), strings.Compare(a.reason, b.reason))
	})
	for _, k := range ordered {
		x, rows := r.rows[k], of[k.kind]
		*rows = append(*rows, reportRow{Count: x.count, Event: k.event, FirstAt: stamp(x.first), LastAt: stamp(x.last), Path: k.path,
			Reason: k.reason})
	}
	result.Asked = []reportAsked{}
	for _, q := range r.asked {
		if from := stamp(since); since.IsZero() || q.AskedAt != nil && *q.AskedAt >= from || q.DecidedAt != nil && *q.DecidedAt >= from {
			result.Asked = append(result.Asked, *q)
		}
	}
	sortList(result.Asked, func(a, b reportAsked) int {
		return cmp.Or(strings.Compare(textOf(a.AskedAt), textOf(b.AskedAt)), strings.Compare(a.ID, b.ID))
	})
	result.Agents, result.Tokens = []reportAgent{}, []reportToken{}
	for _, id := range slices.Sorted(maps.Keys(r.agents)) {
		g := *r.agents[id]
		slices.Reverse(g.Scopes)
		g.Scopes = slices.CompactFunc(g.Scopes, func(a, b reportScopes) bool { return slices.Equal(a.Scopes, b.Scopes) })
		result.Agents = append(result.Agents, g)
	}
	for _, t := range r.tokens {
		result.Tokens = append(result.Tokens, *t)
	}
	sortList(result.Tokens, func(a, b reportToken) int {
		return cmp.Or(strings.Compare(textOf(a.IssuedAt), textOf(b.IssuedAt)), strings.Compare(a.TokenID, b.TokenID))
	})
}

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
