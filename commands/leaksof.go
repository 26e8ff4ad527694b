package commands

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

// What a leaked value means: who has it, where it lies, and what to do, in that order.

type leaksOf struct {
	Path    string  `arg:"" help:"Secret whose value has leaked."`
	Version *uint64 `help:"Version that has leaked; the current one if omitted." placeholder:"N"`
}

func (leaksOf) Help() string {
	return `Says, from the log, who wrote and read this version of a secret and since when, who else
could have read it, where the same value is, and which copies of the vault hold it. Then
it lists what to do, the most urgent first. Nothing is changed.

The vault and its log are verified first; exit code 8 if anything does not hold. An agent
that opens the file with a program of its own leaves no entry: so those who can read it
now are listed as well.`
}

func (c leaksOf) Run(a *app) error {
	p, err := a.path(c.Path)
	if err != nil {
		return err
	}
	if c.Version != nil && *c.Version == 0 {
		return usagef("--version: versions begin at 1")
	}
	var problems int
	how := access{readOnly: true, owner: "say who has read a secret", progress: "verifying"}
	err = a.withSession(how, func(s *vault.Session) error {
		checked, err := s.Reverify()
		if err != nil {
			return err
		}
		r, err := c.collect(a, s, p)
		if err != nil {
			return err
		}
		r.Problems, r.Verified = list(checked.Problems), len(checked.Problems) == 0
		problems = len(r.Problems)
		return a.answer(r, func() { r.print(a) })
	})
	if err == nil && problems > 0 {
		err = &verifyError{problems}
	}
	return err
}

type (
	leakedResult struct {
		Path       string        `json:"path"`
		Version    uint64        `json:"version"`
		Current    uint64        `json:"current_version"` // 0 if there is no secret any more, or a deleted one
		Tier       string        `json:"access_tier,omitempty"`
		Canary     bool          `json:"canary,omitempty"`
		WrittenAt  *string       `json:"written_at"` // null if the log does not tell any more
		ReplacedAt *string       `json:"replaced_at"`
		RemovedAt  *string       `json:"removed_at"`
		Who        []leakedWho   `json:"who"`
		Same       []leakedPlace `json:"same_value"`
		Copies     []leakedCopy  `json:"copies"`
		Steps      []leakedStep  `json:"steps"`
		Archived   uint64        `json:"archived"` // number of the last log entry that was archived, which is not looked at
		Receipt    string        `json:"receipt"`
		Verified   bool          `json:"verified"`
		Problems   []string      `json:"problems"`
	}

	// leakedWho is somebody who has the value, or could have it.
	leakedWho struct {
		ActorID   string  `json:"actor_id"`
		ActorName string  `json:"actor_name,omitempty"`
		Did       string  `json:"did"` // wrote, read, was refused, asked, or, without a time, can read
		Count     int     `json:"count,omitempty"`
		FirstAt   *string `json:"first_at"`
		LastAt    *string `json:"last_at"`
	}

	// leakedPlace is a version that has the same value.
	leakedPlace struct {
		Path    string `json:"path"`
		Version uint64 `json:"version,omitempty"` // 0: several may have it
		Why     string `json:"why"`
	}

	// leakedCopy is a copy of the vault that has the version.
	leakedCopy struct {
		File  string `json:"file,omitempty"` // none for one that went to stdout
		At    string `json:"at"`
		There bool   `json:"there"` // whether the file is still where it was written
	}

	leakedStep struct {
		Do      string `json:"do"`
		Command string `json:"command,omitempty"`
	}
)

// What somebody did with a value.
const (
	didWrite   = "wrote"
	didRead    = "read"
	wasRefused = "was refused"
	didAsk     = "asked"
	canRead    = "can read"
)

// leak follows one version of a secret back through the log, from the newest entry on.
type leak struct {
	path    string
	version uint64
	current uint64 // at the time of the entry that is looked at; 0 if that is not known
	now     string // where it is now, if it moved since
	raised  uint64 // by how much moves raised its number since

	rows  map[leakKey]*row
	same  map[string]leakedPlace
	wrote string // who wrote it; "" until the entry is found

	written, replaced, removed time.Time
}

type leakKey struct{ actor, did string }

func (l *leak) add(actor, did string, at time.Time) { tally(l.rows, leakKey{actor, did}, at) }

func (l *leak) sameAs(path string, version uint64, why string) {
	key := fmt.Sprint(path, " ", version)
	l.same[key] = leakedPlace{path, version, why}
}

// maybe decides by a glance whether an entry can be about the version.
func (l *leak) maybe(g audit.Glance) (can, sure bool) {
	family, _, _ := strings.Cut(string(g.Type), ".")
	if path, one := g.Secret(); one && path != l.path {
		return false, false
	}
	return family == "secret" || string(g.Type) == audit.ApprovalRequested, false
}

// entry takes one entry. It returns false at the one that wrote the value.
func (l *leak) entry(e audit.Event) (more bool) {
	if e.Type == audit.SecretRead+audit.Denied || e.Type == audit.ApprovalRequested {
		for _, item := range vault.Reading(e) {
			if item.Path == l.path && (l.current == 0 || l.current == l.version) {
				did := wasRefused
				if e.Type == audit.ApprovalRequested {
					did = didAsk
				}
				l.add(e.ActorID, did, e.CreatedAt)
			}
		}
		return true
	}
	items := e.Secrets()
	for i, item := range items {
		if item.Path != l.path || strings.HasSuffix(e.Type, audit.Denied) {
			continue
		}
		if more = l.item(e, items, i); !more {
			return false
		}
		break
	}
	return true
}

// item takes what an entry tells of the secret.
func (l *leak) item(e audit.Event, items []audit.Item, i int) (more bool) {
	item := items[i]
	from := numberIn(e, "from_version")
	switch e.Type {
	case audit.SecretRead:
		if item.Version == l.version {
			l.add(e.ActorID, didRead, e.CreatedAt)
		}
		return true
	case audit.SecretPurged, audit.SecretPruned:
		if e.Type == audit.SecretPurged || slices.Contains(numbersIn(e, "versions"), l.version) {
			l.removed = e.CreatedAt
		}
		return true
	case audit.SecretCopied:
		if item.To != "" {
			l.copied(e, items, item.To)
			return true
		}
	case audit.SecretMoved:
		if item.To != "" { // it moved away; what this path got since has higher numbers
			for _, to := range items {
				if to.Path == item.To && item.Version >= l.version && to.Version+l.version >= item.Version {
					l.sameAs(item.To, to.Version+l.version-item.Version, "it moved there")
				}
			}
			return true
		}
		for _, old := range items {
			if old.Path == item.From && item.Version >= old.Version { // the numbers were raised by so much
				by := min(l.version-1, item.Version-old.Version)
				l.path, l.version, l.current, l.raised = old.Path, l.version-by, old.Version, l.raised+by
			}
		}
		return true
	case audit.SecretRolledBack, audit.SecretMended:
		if from != 0 && from == l.version && item.Version != l.version {
			l.sameAs(l.now, item.Version+l.raised, "the same value, brought back")
		}
	case audit.SecretCreated, audit.SecretUpdated, audit.SecretRotated, audit.SecretImported:
	default:
		return true
	}
	switch {
	case item.Version > l.version:
		l.replaced, l.current = e.CreatedAt, item.Version-1
		return true
	case item.Version < l.version:
		return true
	}
	l.add(e.ActorID, didWrite, e.CreatedAt)
	l.wrote, l.written = e.ActorID, e.CreatedAt
	switch {
	case item.From != "":
		l.sameAs(item.From, 0, "it was copied from there")
	case from != 0:
		l.sameAs(l.now, from+l.raised, "the same value, before it was brought back")
	}
	return false
}

// copied notes that the secret was copied to a path. The numbers there are those here, raised by as much as the current
// one; with --latest, the current one alone came along, and the list of what was sealed anew tells.
func (l *leak) copied(e audit.Event, items []audit.Item, path string) {
	for _, to := range items {
		if to.Path != path || l.current != 0 && l.current < l.version {
			continue
		}
		at := uint64(0)
		if l.current != 0 {
			if at = to.Version - min(to.Version, l.current-l.version); at == 0 {
				return
			}
		}
		if sealed, _ := e.Metadata["resealed"].([]any); at != 0 && at != to.Version && len(sealed) > 0 {
			there := slices.ContainsFunc(sealed, func(x any) bool {
				one, _ := x.(map[string]any)
				n, _ := one["version"].(float64)
				return one["path"] == path && uint64(n) == at
			})
			if !there {
				return
			}
		}
		l.sameAs(path, at, "copied from it")
	}
}

func numberIn(e audit.Event, name string) uint64 {
	n, _ := e.Metadata[name].(float64)
	return uint64(max(0, n))
}

func numbersIn(e audit.Event, name string) (numbers []uint64) {
	all, _ := e.Metadata[name].([]any)
	for _, x := range all {
		if n, ok := x.(float64); ok && n > 0 {
			numbers = append(numbers, uint64(n))
		}
	}
	return numbers
}

// collect reads the log and the vault.
func (c leaksOf) collect(a *app, s *vault.Session, p tokens.Path) (r *leakedResult, err error) {
	v := s.Vault()
	secret, versions, missing := s.History(p)
	gone := errors.Is(missing, vault.ErrNotFound)
	if missing != nil && !gone {
		return nil, missing
	}
	r = &leakedResult{Path: p.String(), Version: secret.Version, Canary: !gone && s.IsCanary(secret)}
	if !gone {
		r.Tier = secret.Tier.String()
		if secret.DeletedAt == nil {
			r.Current = secret.Version
		}
	}
	if c.Version != nil {
		r.Version = *c.Version
	} else if gone {
		if r.Version, err = lastVersionTold(v, p.String()); err != nil {
			return nil, err
		}
	}
	at := slices.IndexFunc(versions, func(x vault.Version) bool { return x.Number == r.Version })
	l := &leak{path: p.String(), now: p.String(), version: r.Version, current: secret.Version, rows: map[leakKey]*row{},
		same: map[string]leakedPlace{}}
	_, err = v.EachEntry(vault.Query{Maybe: l.maybe}, func(e vault.Entry, _ int) bool { return l.entry(e.Event) })
	if err != nil {
		return nil, err
	}
	switch {
	case r.Version == 0 || at < 0 && l.wrote == "" && gone:
		return nil, missing
	case at < 0 && l.wrote == "":
		return nil, errorf(vault.ErrNotFound, "%s has no version %d, and the log tells of none", p, r.Version).
			hint("its versions: ass secrets history %s", p)
	case l.wrote == "": // the entry was archived, or it is older than the log of this owner
		l.wrote, l.written = versions[at].Author, versions[at].CreatedAt
		l.add(l.wrote, didWrite, l.written)
	}
	if r.Receipt, r.Archived, err = endsOfLog(v); err != nil {
		return nil, err
	}
	r.WrittenAt, r.ReplacedAt, r.RemovedAt = stampOrNull(l.written), stampOrNull(l.replaced), stampOrNull(l.removed)
	actors, err := r.who(s, p, l)
	if err != nil {
		return nil, err
	}
	r.Same = []leakedPlace{}
	for _, key := range slices.Sorted(maps.Keys(l.same)) {
		r.Same = append(r.Same, l.same[key])
	}
	copies, err := s.Copies(l.written)
	if err != nil {
		return nil, err
	}
	r.Copies = []leakedCopy{}
	for _, x := range copies {
		if !l.removed.IsZero() && x.At.After(l.removed) {
			continue
		}
		_, err := os.Lstat(x.File)
		r.Copies = append(r.Copies, leakedCopy{x.File, stamp(x.At), x.File != "" && err == nil})
	}
	r.steps(actors)
	return r, nil
}

// lastVersionTold returns the highest number that the log tells of, for a path where there is no secret.
func lastVersionTold(v *vault.Vault, path string) (n uint64, err error) {
	_, err = v.EachEntry(vault.Query{}, func(e vault.Entry, _ int) bool {
		for _, item := range e.Secrets() {
			if item.Path == path {
				n = max(n, item.Version, numberIn(e.Event, "last"))
			}
		}
		return n == 0
	})
	return n, err
}

// ending is an agent or a token that has the value, or can have it, and how the owner ends it.
type ending struct{ who, command string }

// who lists those who have the value, the first of them first, and then those who can read it now. It returns those of
// them whose keys still open something.
func (r *leakedResult) who(s *vault.Session, p tokens.Path, l *leak) (actors []ending, err error) {
	var ids []string
	has := map[string]bool{}
	for k := range l.rows {
		ids = append(ids, k.actor)
		has[k.actor] = has[k.actor] || k.did == didRead || k.did == didWrite
	}
	known, err := s.Vault().Actors(ids...)
	if err != nil {
		return nil, err
	}
	order := slices.Collect(maps.Keys(l.rows))
	sortList(order, func(a, b leakKey) int {
		return cmp.Or(l.rows[a].first.Compare(l.rows[b].first), strings.Compare(a.actor, b.actor), strings.Compare(a.did, b.did))
	})
	r.Who = []leakedWho{}
	for _, k := range order {
		x := l.rows[k]
		r.Who = append(r.Who, leakedWho{k.actor, actorName(known[k.actor]), k.did, x.count, stampOrNull(x.first),
			stampOrNull(x.last)})
	}
	x, err := s.ExplainPath(p)
	if err != nil {
		return nil, err
	}
	sortList(x.Access, func(a, b vault.Access) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	for _, y := range x.Access {
		if y.Read == vault.Standing && y.Kind != audit.Human && !has[y.ID] && r.RemovedAt == nil {
			name := actorName(vault.Actor{Name: y.Name, Issuer: y.Agent})
			r.Who = append(r.Who, leakedWho{ActorID: y.ID, ActorName: name, Did: canRead})
			has[y.ID] = true
		}
	}
	agents, err := s.Agents()
	if err != nil {
		return nil, err
	}
	for _, g := range agents {
		if has[g.ID] && g.RevokedAt == nil {
			who := fmt.Sprintf("agent %s (ass audit report --agent %s says what else it read)", g.Name, g.ID)
			actors = append(actors, ending{who, "ass agents revoke " + g.ID})
		}
	}
	issued, err := s.Tokens()
	for _, t := range issued {
		if has[t.ID] && t.State == vault.TokenActive {
			actors = append(actors, ending{"token " + t.ID, "ass tokens revoke " + t.ID})
		}
	}
	return actors, err
}

// actorName says, for people, whose an id is.
func actorName(x vault.Actor) string {
	switch {
	case x.Unlock:
		return "owner, unlocked"
	case x.Issuer != "":
		return "token of " + orElse(x.Name, "the owner")
	}
	return x.Name
}

func stampOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return nullable(stamp(t))
}

// steps says what to do, the most urgent first.
func (r *leakedResult) steps(actors []ending) {
	add := func(command, format string, args ...any) {
		r.Steps = append(r.Steps, leakedStep{fmt.Sprintf(format, args...), command})
	}
	switch {
	case r.Canary && r.Version == r.Current:
		add("", "find out who read it: nobody needs a canary")
	case r.Version == r.Current:
		add("ass secrets rotate "+r.Path, "make a new value where this one is used, store it, and end the old one there")
	case r.Current != 0:
		add("", "make sure that the old value is worth nothing any more where it was used: v%d has replaced it here", r.Current)
	default:
		add("", "make sure that the value is worth nothing any more where it was used: the vault has no current value of it")
	}
	for _, x := range r.Same {
		command := "ass leaks of " + x.Path
		if x.Version != 0 {
			command += " --version " + uintText(x.Version)
		}
		if x.Path == r.Path {
			add(command, "see who read the same value as v%d", x.Version)
		} else {
			add(command, "do the same for the same value at another path")
		}
	}
	for _, x := range actors {
		add(x.command, "if %s had no business with it, end it", x.who)
	}
	if r.Canary && r.Version == r.Current {
		add("ass secrets rotate "+r.Path, "then give the canary another value, so that its next read counts anew")
	}
	if r.Version != r.Current && r.RemovedAt == nil && r.Current != 0 {
		add(fmt.Sprintf("ass secrets purge %s --version %d", r.Path, r.Version), "remove the old value from the vault")
	}
	there := 0
	for _, x := range r.Copies {
		if x.There {
			there++
		}
	}
	switch {
	case there > 0:
		add("", "delete the copies of the vault that are not needed: keys of their time open the value there")
	case len(r.Copies) > 0:
		add("", "find the copies of the vault, and delete those that are not needed: keys of their time open the value there")
	}
	add("ass leaks scan --git --transcripts", "look where the value lies in clear")
}

func (r *leakedResult) print(a *app) {
	about := fmt.Sprintf("%s v%d", r.Path, r.Version)
	if r.Tier != "" {
		about += " (" + r.Tier + ")"
	}
	rows := [][]cell{}
	fact := func(name string, at *string) {
		if at != nil {
			rows = append(rows, []cell{{name, dim}, {*at, ""}})
		}
	}
	a.out.line("%s", about)
	fact("written", r.WrittenAt)
	fact("replaced", r.ReplacedAt)
	fact("removed", r.RemovedAt)
	if r.Canary {
		rows = append(rows, []cell{{"a canary", red}, {"nobody needs to read it", ""}})
	}
	a.out.table(rows)
	a.out.line("\nWHO HAS IT")
	rows = nil
	for _, w := range r.Who {
		count := ""
		if w.Count > 1 {
			count = fmt.Sprintf("%d times", w.Count)
		}
		when := textOf(w.FirstAt)
		if w.Count > 1 && textOf(w.LastAt) != when {
			when += " to " + textOf(w.LastAt)
		}
		id := w.ActorID
		if id == w.ActorName {
			id = ""
		}
		rows = append(rows, []cell{{w.Did, ""}, {orElse(w.ActorName, w.ActorID), ""}, {id, dim}, {when, dim}, {count, dim}})
	}
	a.out.table(rows, words, words, whole)
	if len(r.Same)+len(r.Copies) > 0 {
		a.out.line("\nWHERE IT IS, TOO")
		rows = nil
		for _, x := range r.Same {
			where := x.Path
			if x.Version != 0 {
				where += fmt.Sprintf(" v%d", x.Version)
			}
			rows = append(rows, []cell{{where, ""}, {x.Why, dim}})
		}
		for _, x := range r.Copies {
			where, why := a.tilde(x.File), "a copy of the vault, of "+x.At
			switch {
			case x.File == "":
				where = "stdout"
			case !x.There:
				why += "; it is not there any more"
			}
			rows = append(rows, []cell{{where, ""}, {why, dim}})
		}
		a.out.table(rows, paths)
	}
	a.out.line("\nWHAT TO DO")
	rows = nil
	for i, x := range r.Steps {
		text := x.Do
		if x.Command != "" {
			text += ": " + x.Command
		}
		rows = append(rows, []cell{{fmt.Sprintf("%d.", i+1), dim}, {text, ""}})
	}
	a.out.table(rows)
	if r.Archived > 0 {
		a.out.note("log entries 1 to %d were archived, and what they tell is not in this list", r.Archived)
	}
	for _, p := range r.Problems {
		a.out.warn("%s", p)
	}
}
