package commands

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

// dashboard is all that the page of ass open shows.
type dashboard struct {
	nonce    string // for its one script and its one style
	now      time.Time
	path     string
	with     string // flags that its commands need, with a space before
	info     vault.Info
	problems []string
	warnings []string
	verified string // what was verified
	rest     string // what was not, and what verifies it; "" if everything was
	secrets  []vault.Secret
	due      []vault.Due // the earliest first
	tiers    map[tokens.Tier]int
	agents   []vault.Agent // the active ones first
	active   int
	tokens   []vault.TokenInfo
	requests []vault.Request
	log      []vault.Entry
	names    logPrinter // of who made the entries
	total    int
	reach    []reach // by agent
	matrix   matrix
	reads    readsPicture
}

// pageLimits say how many things of a kind the page shows.
type pageLimits struct {
	secrets, log, reach, agents, tokens, requests, problems, pictures int
}

// shownMost are the limits, and dashboardBytes is how large the page may get: texts that others wrote could make it
// larger, and then it shows less of everything.
var shownMost = pageLimits{secrets: 2000, log: 2000, reach: 2000, agents: 200, tokens: 200, requests: 200,
	problems: 100, pictures: 40}

const dashboardBytes = 2_000_000

// wholeMost is how many records and log entries are all verified for the page. So many take half a second.
const wholeMost = 10_000

// collect gathers everything that the page shows, while the vault is open once.
func (a *app) collect(s *vault.Session, h setup) (d *dashboard, err error) {
	d = &dashboard{now: a.now(), path: a.tilde(h.at.path), tiers: map[tokens.Tier]int{}}
	if a.Profile != defaultProfile {
		d.with = " --profile " + shellWord(a.Profile)
	}
	nonce, err := vault.Generate(24, "alnum")
	if err != nil {
		return d, err
	}
	d.nonce = string(nonce)
	if d.info, err = s.Info(); err != nil {
		return d, err
	}
	if d.total, err = s.CountLog(nil); err != nil {
		return d, err
	}
	if d.log, err = s.Log(shownMost.log, nil); err != nil {
		return d, err
	}
	st := status{app: a, setup: h}
	d.warnings = append(a.exposed(h.at), st.ownerWarnings()...)
	a.manyRecords()
	if d.secrets, err = s.List(tokens.Namespace{}, false); err != nil {
		return d, err
	}
	for _, secret := range d.secrets {
		d.tiers[secret.Tier]++
	}
	if d.due, err = s.Due(tokens.Namespace{}, d.now.Add(dueSoon)); err != nil {
		return d, err
	}
	if err := d.collectAgents(s); err != nil {
		return d, err
	}
	if err := d.verify(s); err != nil {
		return d, err
	}
	requests, err := s.Requests()
	if err != nil {
		return d, err
	}
	for _, q := range requests {
		if q.Status == vault.Pending {
			d.requests = append(d.requests, q)
		}
	}
	if d.reads, err = readsOf(s.Vault(), picturedMost); err != nil {
		return d, err
	}
	ids := d.reads.actors()
	for _, e := range d.log {
		ids[e.ActorID] = true
	}
	known, err := s.Vault().Actors(slices.Collect(maps.Keys(ids))...)
	d.names = logPrinter{app: a, known: known}
	d.reads.paint(d.now, known)
	return d, err
}

// verify checks the whole vault if it is small. Otherwise it checks the entries that the page shows, and the end of
// the log. The records that it shows are checked as they are read. Whether the vault is small does not depend on how
// much the file says that it holds, which anybody could have written.
func (d *dashboard) verify(s *vault.Session) error {
	records := 2*len(d.secrets) + len(d.agents) + len(d.tokens) // a secret has at least one version
	if records+d.total <= wholeMost {
		report, err := s.Reverify()
		d.problems, d.verified = report.Problems, "every record and the log hold"
		return err
	}
	numbers := make([]uint64, len(d.log))
	for i, e := range d.log {
		numbers[i] = e.Seq
	}
	found, err := s.CheckListed(numbers)
	if err != nil {
		return err
	}
	d.problems = found.Problems
	if back := s.Vault().Rollback(); back != nil {
		d.problems = append(d.problems, rollbackWithWayOut(back))
	}
	if err := s.Unlisted(); err != nil {
		d.problems = append(d.problems, withWayOut(err))
	}
	d.verified = "the newest " + grouped(len(d.log)-len(found.Unknown)) + " log entries hold"
	d.rest = "The vault is large, so the page checked the end of the log and the MAC of each record that it shows. All " +
		grouped(d.total) + " log entries and all records are verified by"
	return nil
}

func (d *dashboard) collectAgents(s *vault.Session) (err error) {
	if d.agents, err = s.Agents(); err != nil {
		return err
	}
	ended := func(g vault.Agent) int {
		if g.RevokedAt != nil {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(d.agents, func(a, b vault.Agent) int { return cmp.Compare(ended(a), ended(b)) })
	for d.active < len(d.agents) && d.agents[d.active].RevokedAt == nil {
		d.active++
	}
	paths := make([]string, len(d.secrets))
	for i, secret := range d.secrets {
		paths[i] = secret.Path.String()
	}
	for _, g := range d.agents {
		d.reach = append(d.reach, reachOf(g, paths))
	}
	d.matrix = newMatrix(d.secrets, paths)
	list, err := s.Tokens()
	for _, t := range list {
		if t.State == vault.TokenActive {
			d.tokens = append(d.tokens, t)
		}
	}
	return err
}

// render writes the page. It shows less if the page would be too large.
func (d *dashboard) render() []byte {
	for most := shownMost; ; {
		p := &webPage{}
		d.write(p, most)
		if p.b.Len() <= dashboardBytes || most == (pageLimits{}) {
			return p.b.Bytes()
		}
		for _, n := range []*int{&most.secrets, &most.log, &most.reach, &most.agents, &most.tokens, &most.requests,
			&most.problems, &most.pictures} {
			*n /= 2
		}
	}
}

// newest returns at most n of the secrets, those that changed last, in the order of their paths.
func newest(list []vault.Secret, n int) []vault.Secret {
	if len(list) <= n {
		return list
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b vault.Secret) int { return b.UpdatedAt.Compare(a.UpdatedAt) })
	list = list[:n]
	slices.SortFunc(list, func(a, b vault.Secret) int { return a.Path.Compare(b.Path) })
	return list
}

// whose says who made an entry: what kind of actor and, for people, its name.
func (d *dashboard) whose(e vault.Entry) (id, name string) {
	if e.ActorID == audit.Owner {
		return audit.Owner, ""
	}
	return d.names.actor(e)
}
