package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ass/tokens"
	"ass/vault"
)

// Which agent can open what, counted by namespace. Paths are in order, so what a pattern of a scope covers is one
// range of them. With a few ranges for each agent, nothing here goes over all secrets for every agent.

// span is a range of the ordered list of secrets: from the first up to, but without, the last.
type span struct{ from, to int }

// shownActions are the rights that the page tells of, in this order.
var shownActions = [...]tokens.Action{tokens.Read, tokens.Write, tokens.Delete}

// reach is what an agent may do something with.
type reach struct {
	of  [len(shownActions)][]span // by action; none overlaps another
	all []span                    // in any way, in order
	n   int                       // how many secrets that are
}

// reachOf returns what an agent reaches of the secrets with these paths, which are in order.
func reachOf(g vault.Agent, paths []string) (r reach) {
	if g.RevokedAt != nil {
		return r
	}
	for i, action := range shownActions {
		for _, p := range g.Scopes.Patterns(action) {
			if x := spanOf(p, paths); x.from < x.to {
				r.of[i] = append(r.of[i], x)
				r.all = append(r.all, x)
			}
		}
	}
	slices.SortFunc(r.all, func(a, b span) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(b.to, a.to)) })
	merged := r.all[:0]
	for _, x := range r.all { // of two patterns, one contains the other or they have nothing in common
		if n := len(merged); n == 0 || x.from >= merged[n-1].to {
			merged = append(merged, x)
			r.n += x.to - x.from
		}
	}
	r.all = merged
	return r
}

func spanOf(p tokens.Pattern, paths []string) span {
	if exact, ok := p.Exact(); ok {
		i, there := slices.BinarySearch(paths, exact.String())
		if there {
			return span{i, i + 1}
		}
		return span{}
	}
	below := p.Namespace().String()
	if below == "" {
		return span{0, len(paths)}
	}
	from, _ := slices.BinarySearch(paths, below+"/")
	to, _ := slices.BinarySearch(paths, below+"0") // the character after the slash
	return span{from, to}
}

// mostColumns is how many namespaces the matrix has.
const mostColumns = 24

// matrix has a column for each namespace. If there are too many, a column stands for all that begin alike; if that is
// still too many, only those with the most secrets have one.
type matrix struct {
	columns []nsColumn
	others  int // namespaces without a column
}

type nsColumn struct {
	name  string
	below bool                  // whether there are namespaces below, which count as well
	at    map[tokens.Tier][]int // places of its secrets in the ordered list
	n     int                   // how many that are
}

func newMatrix(secrets []vault.Secret, paths []string) (m matrix) {
	depth := 1
	for deeper := 2; deeper < tokens.MaxPathSegments; deeper++ {
		names, last := map[string]bool{}, ""
		for _, path := range paths {
			if ns, _ := beginning(path, deeper); ns != last {
				names[ns], last = true, ns
			}
		}
		if len(names) > mostColumns {
			break
		}
		depth = deeper
	}
	at := map[string]*nsColumn{}
	for i, secret := range secrets {
		ns, below := beginning(paths[i], depth)
		c := at[ns]
		if c == nil {
			c = &nsColumn{name: ns, at: map[tokens.Tier][]int{}}
			at[ns] = c
		}
		c.at[secret.Tier] = append(c.at[secret.Tier], i)
		c.below = c.below || below
		c.n++
	}
	for _, c := range at {
		m.columns = append(m.columns, *c)
	}
	byName := func(a, b nsColumn) int { return strings.Compare(a.name, b.name) }
	slices.SortFunc(m.columns, func(a, b nsColumn) int { return cmp.Or(cmp.Compare(b.n, a.n), byName(a, b)) })
	if n := len(m.columns); n > mostColumns {
		m.columns, m.others = m.columns[:mostColumns], n-mostColumns
	}
	slices.SortFunc(m.columns, byName)
	return m
}

// beginning returns at most so many segments of the namespace of a path, and whether it has more.
func beginning(path string, segments int) (ns string, more bool) {
	for i := range len(path) {
		if path[i] == '/' {
			if segments--; segments == 0 {
				return path[:i], strings.IndexByte(path[i+1:], '/') >= 0
			}
		}
	}
	return path[:strings.LastIndexByte(path, '/')], false
}

// share is how many secrets of a column an agent may do something with, and for how many of them it needs an approval
// each time.
type share struct{ n, asks int }

// share counts the secrets of a column in some spans.
func (c nsColumn) share(spans []span, action tokens.Action) (s share) {
	for tier, at := range c.at {
		for _, x := range spans {
			from, _ := slices.BinarySearch(at, x.from)
			to, _ := slices.BinarySearch(at, x.to)
			s.n += to - from
			if vault.AgentAsks(action, tier) {
				s.asks += to - from
			}
		}
	}
	return s
}

// access writes the matrix of agents and namespaces.
func (d *dashboard) access(p *webPage, most pageLimits) {
	shown, m := min(d.active, most.agents), d.matrix
	p.part("access", "Who can open what", "active agents, in each namespace")
	if shown == 0 || len(m.columns) == 0 {
		p.put(`<p class="empty">It takes an agent and a secret to show what agents can open.</p></section>
`)
		return
	}
	p.put(`<p class="legend"><span><b class="r">R</b> reads</span> <span><b class="r">W</b> writes</span> ` +
		`<span><b class="r">D</b> deletes</span> <span><b class="r ask">R?</b> some or all of it needs your approval each time` +
		`</span> <span><b class="r">R<i>2/5</i></b> only so many of the secrets</span> <span>– nothing</span></p>
`)
	class := "matrix"
	if len(m.columns) > 8 {
		class = "matrix many"
	}
	p.put(`<div class="scroll" tabindex="0" role="region" aria-label="Agents and namespaces"><table class="{}"><thead><tr>`+
		`<th scope="col">Agent</th>`, class)
	special := false
	for _, c := range m.columns {
		p.put(`<th scope="col" class="ns" title="{}"><span>`, c.name)
		p.path(c.name)
		if c.below {
			p.put(`/<wbr>…`)
		}
		p.put(`</span></th>`)
		special = special || c.n > len(c.at[tokens.Standard])
	}
	p.put(`</tr><tr><th scope="row">Secrets</th>`)
	for _, c := range m.columns {
		p.put(`<td>{}</td>`, c.n)
	}
	if special {
		p.put(`</tr><tr><th scope="row">sensitive, critical</th>`)
		for _, c := range m.columns {
			p.put(`<td>{}, {}</td>`, len(c.at[tokens.Sensitive]), len(c.at[tokens.Critical]))
		}
	}
	p.put("</tr></thead>\n<tbody>")
	for i, g := range d.agents[:shown] {
		p.put(`<tr><th scope="row">{}</th>`, g.Name)
		for _, c := range m.columns {
			p.put(`<td>`)
			p.cell(c, d.reach[i])
			p.put(`</td>`)
		}
		p.put("</tr>\n")
	}
	p.put("</tbody></table></div>\n")
	if shown < d.active {
		p.leftOut(fmt.Sprintf("%s of %s active agents. Any of them:", grouped(shown), grouped(d.active)),
			d.ass("explain --agent NAME"))
	}
	if m.others > 0 {
		p.leftOut(fmt.Sprintf("The %d namespaces with the most secrets; %s left out. What an agent can open in any of them:",
			len(m.columns), count(m.others, "more namespace")+" "+isOrAre(m.others)), d.ass("explain --agent NAME"))
	}
	p.put("</section>\n")
}

// cell writes what an agent can do in a namespace.
func (p *webPage) cell(c nsColumn, r reach) {
	can := false
	for i, action := range shownActions {
		s := c.share(r.of[i], action)
		if s.n == 0 {
			continue
		}
		can = true
		letter := strings.ToUpper(action.String()[:1])
		switch {
		case s.n == c.n && s.asks == 0:
			p.put(`<b class="r">{}</b>`, letter)
			continue
		case s.asks > 0:
			p.put(`<b class="r ask" title="may {} {} of {}; {} of them with an approval each time">{}?`, action, s.n, c.n, s.asks, letter)
		default:
			p.put(`<b class="r" title="may {} {} of {}">{}`, action, s.n, c.n, letter)
		}
		if s.n < c.n {
			p.put(`<i>{}/{}</i>`, s.n, c.n)
		}
		p.put(`</b>`)
	}
	if !can {
		p.put(`–`)
	}
}
