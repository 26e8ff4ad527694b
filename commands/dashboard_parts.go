package commands

import (
	"fmt"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

// The parts of the page of ass open.

// write writes the page, with at most so many things of a kind.
func (d *dashboard) write(p *webPage, most pageLimits) {
	p.begin(d.nonce)
	p.put(`<header><h1>Agent Secret Store</h1><p><code>{}</code> as of `, d.path)
	p.time(d.now)
	p.put("</p></header>\n<nav aria-label=\"Parts of the page\">")
	for _, part := range []struct {
		id, title string
		n         int
	}{
		{"health", "Health", len(d.problems)}, {"requests", "Approvals", len(d.requests)}, {"access", "Access", 0},
		{"reads", "Reads", 0}, {"secrets", "Secrets", len(d.secrets)}, {"agents", "Agents", d.active},
		{"tokens", "Tokens", len(d.tokens)}, {"log", "Audit log", d.total},
	} {
		p.put(`<a href="#{}">{}`, part.id, part.title)
		if part.n > 0 {
			p.put(` <span class="dim">{}</span>`, part.n)
		}
		p.put(`</a> `)
	}
	p.put("</nav>\n<main>\n")
	d.health(p, most)
	d.waiting(p, most)
	d.access(p, most)
	d.pictures(p, most)
	d.secretList(p, most)
	d.agentList(p, most)
	d.tokenList(p, most)
	d.entries(p, most)
	p.put(`</main>
<footer>Made by ass {}. The page shows the vault as it was then; it loads nothing and sends nothing.</footer>
`, version())
	p.end(d.nonce)
}

// ass returns a command line for this vault.
func (d *dashboard) ass(line string) string { return "ass" + d.with + " " + line }

func (d *dashboard) health(p *webPage, most pageLimits) {
	p.put(`<section id="health" aria-labelledby="health-title"><h2 id="health-title">Health `)
	if n := len(d.problems); n > 0 {
		p.put(`<span class="tag bad">{} found</span>`, count(n, "problem"))
	} else {
		p.put(`<span class="tag ok">{}</span>`, d.verified)
	}
	p.put("</h2>\n<dl class=\"facts\">")
	for _, fact := range []struct {
		name  string
		value any
	}{
		{"Secrets", len(d.secrets)}, {"Sensitive", d.tiers[tokens.Sensitive]}, {"Critical", d.tiers[tokens.Critical]},
		{"Active agents", d.active}, {"Live tokens", len(d.tokens)}, {"Waiting for you", len(d.requests)},
		{"Log entries", d.total}, {"File", size(d.info.Bytes)},
	} {
		p.put(`<div><dt>{}</dt><dd>{}</dd></div>`, fact.name, fact.value)
	}
	p.put("</dl>\n")
	if len(d.problems)+len(d.warnings) > 0 {
		p.put(`<ul class="notes">`)
		for _, problem := range d.problems[:min(len(d.problems), most.problems)] {
			p.put(`<li class="bad">{}</li>`, problem)
		}
		for _, warning := range d.warnings {
			p.put(`<li class="warn">{}</li>`, warning)
		}
		p.put("</ul>\n")
	}
	if n := len(d.problems) - most.problems; n > 0 {
		p.leftOut(count(n, "more problem")+". All of them:", d.ass("audit verify"))
	}
	if d.rest != "" {
		p.leftOut(d.rest, d.ass("audit verify"))
	}
	p.put("</section>\n")
}

func (d *dashboard) waiting(p *webPage, most pageLimits) {
	shown, note := roundRobin(d.requests, max(most.requests, 1)), ""
	if len(shown) < len(d.requests) {
		note = fmt.Sprintf("%s of %s, agents in turn", grouped(len(shown)), grouped(len(d.requests)))
	}
	p.part("requests", "Waiting for approval", note)
	if len(shown) == 0 {
		p.put("<p class=\"empty\">Nobody waits for you.</p>\n")
	}
	p.put(`<div class="cards">`)
	for _, q := range shown {
		d.request(p, q)
	}
	p.put("</div>\n")
	if len(shown) < len(d.requests) {
		p.leftOut("All of them:", d.ass("approvals list --limit 0"))
	}
	p.put("</section>\n")
}

// sinceThen says how the secret has changed since a request for it, if it has.
func sinceThen(q vault.Request) string {
	switch {
	case q.Current == q.Version || q.Action == vault.RequestCreate:
		return ""
	case q.Current == 0:
		return "; the secret is deleted"
	}
	return fmt.Sprintf("; the secret is now at v%d", q.Current)
}

// request writes the card of a request.
func (d *dashboard) request(p *webPage, q vault.Request) {
	p.put(`<article class="card"><h3><b>{}</b> wants to {} <code>`, orElse(q.Name, q.Agent), q.Action)
	p.path(q.Path.String())
	p.put(`</code></h3><p class="dim">`)
	if q.Action == vault.RequestCreate {
		p.text(versionOf(q))
	} else {
		p.tier(q.Tier)
		p.put(` v{}{}`, q.Version, sinceThen(q))
	}
	p.put(` · <span class="mono">{}</span></p>`, askerOf(q))
	if q.Reason == "" {
		p.put(`<p class="dim">No reason was given.</p>`)
	} else {
		p.put(`<figure class="said"><figcaption>Why, in the agent's words, which nobody has checked</figcaption>`+
			`<blockquote>{}</blockquote></figure>`, q.Reason)
	}
	p.put(`<dl class="when"><div><dt>Asked</dt><dd>`)
	p.time(q.CreatedAt)
	p.put(`</dd></div><div><dt>Lapses</dt><dd>`)
	p.time(q.ExpiresAt)
	p.put(`</dd></div></dl>`)
	if q.Doubt != nil {
		p.put(`<p><span class="tag bad">cannot be approved</span> {}</p>`, withWayOut(q.Doubt))
	} else {
		p.put(`<p class="do"><span>Yes</span>`)
		p.command(d.ass("approvals approve " + q.ID))
		p.put(`</p>`)
	}
	p.put(`<p class="do"><span>No</span>`)
	p.command(d.ass("approvals deny " + q.ID))
	p.put("</p></article>\n")
}

func (d *dashboard) secretList(p *webPage, most pageLimits) {
	shown, note := newest(d.secrets, most.secrets), "names and numbers, never a value"
	p.part("secrets", "Secrets", note)
	if len(d.secrets) == 0 {
		p.put(`<p class="empty">No secrets yet: `)
		p.command(d.ass("secrets set production/KEY"))
		p.put("</p></section>\n")
		return
	}
	if len(shown) < len(d.secrets) {
		p.leftOut(fmt.Sprintf("The page has %s of %s secrets: those that changed last. The others:", grouped(len(shown)),
			grouped(len(d.secrets))), d.ass("secrets list '*'"), d.ass("secrets list NAMESPACE"))
	}
	d.dueList(p)
	p.put(`<input type="search" data-filter="secrets-rows" aria-label="Filter the secrets" placeholder="Filter by path, type or tier" hidden>
`)
	p.table("Secrets", "Path", "Type", "Tier", "Version", "Updated", "Created (UTC)")
	p.put(`<tbody id="secrets-rows">`)
	for _, x := range shown {
		p.put(`<tr><td class="path"><code>{}</code></td><td>{}</td><td>`, x.Path, x.Type)
		p.tier(x.Tier)
		p.put(`</td><td>v{}</td><td class="time">`, x.Version)
		p.time(x.UpdatedAt)
		p.put("</td><td class=\"time\">{}</td></tr>\n", x.CreatedAt.UTC().Format(toTheMinute))
	}
	p.put("</tbody></table></div></section>\n")
}

// What the page says of secrets that expire or should have another value.
const (
	dueSoon = 30 * 24 * time.Hour
	dueMost = 50
)

func (d *dashboard) dueList(p *webPage) {
	if len(d.due) == 0 {
		return
	}
	if len(d.due) > dueMost {
		p.leftOut(fmt.Sprintf("The page has the %d most urgent of %s secrets that expire or should have another value. "+
			"The others:",
			dueMost, grouped(len(d.due))), d.ass("secrets due --within 30d"))
	}
	p.table("Secrets that expire or should have another value", "Due", "What", "When", "Description")
	p.put("<tbody>")
	for _, x := range d.due[:min(len(d.due), dueMost)] {
		past, what := !x.Next().After(d.now), "should have another value"
		if x.Expires != nil && x.Next().Equal(*x.Expires) {
			if what = "expires"; past {
				what = "has expired"
			}
		}
		p.put(`<tr><td class="path"><code>{}</code></td><td>{}</td><td class="time">`, x.Path, what)
		p.time(x.Next())
		p.put("</td><td>{}</td></tr>\n", description(*x.Secret))
	}
	p.put("</tbody></table></div>\n")
}

// agentsAtOnce is how many agents are listed without a frame that scrolls.
const agentsAtOnce = 20

func (d *dashboard) agentList(p *webPage, most pageLimits) {
	p.part("agents", "Agents", "and each secret that they can open")
	if len(d.agents) == 0 {
		p.put(`<p class="empty">No agents yet: `)
		p.command(d.ass("agents create"))
		p.put("</p></section>\n")
		return
	}
	shown, all := d.agents[:min(len(d.agents), most.agents)], 0
	for i := range shown {
		all += d.reach[i].n
	}
	each := all
	if all > most.reach {
		each = most.reach / max(len(shown), 1)
	}
	if len(shown) > agentsAtOnce {
		p.put(`<div class="scroll" tabindex="0" role="region" aria-label="Agents">`)
	}
	for i, g := range shown {
		d.agent(p, g, d.reach[i], each)
	}
	if len(shown) > agentsAtOnce {
		p.put(`</div>`)
	}
	if len(shown) < len(d.agents) {
		p.leftOut(fmt.Sprintf("%s of %s agents. All of them:", grouped(len(shown)), grouped(len(d.agents))),
			d.ass("agents list"))
	}
	p.put("</section>\n")
}

// agent writes about an agent, and at most so many of the secrets that it reaches.
func (d *dashboard) agent(p *webPage, g vault.Agent, r reach, most int) {
	p.put(`<details><summary><b>{}</b> <code class="dim">{}</code> `, g.Name, g.ID)
	if g.RevokedAt != nil {
		p.put(`<span class="tag bad">revoked</span>`)
	} else {
		p.put(`<span class="tag ok">active</span> <span class="dim">{}</span>`, count(r.n, "secret"))
	}
	if g.LastActiveAt != nil {
		p.put(` <span class="dim">last active `)
		p.time(*g.LastActiveAt)
		p.put(`</span></summary><div>`)
	} else {
		p.put(` <span class="dim">never active</span></summary><div>`)
	}
	if g.Description != "" {
		p.put(`<p>{}</p>`, g.Description)
	}
	p.put(`<p>`)
	for _, scope := range g.Scopes.Strings() {
		p.put(`<code class="tag">{}</code> `, scope)
	}
	p.put("</p>\n")
	if r.n == 0 {
		p.put("<p class=\"empty\">It can open nothing that is there now.</p></div></details>\n")
		return
	}
	p.table("What "+g.Name+" can open", "Secret", "Tier", "Read", "Write", "Delete")
	p.put(`<tbody>`)
	left := most
	for _, x := range r.all {
		for i := x.from; i < x.to && left > 0; i, left = i+1, left-1 {
			can := g.Access(d.secrets[i])
			p.put(`<tr><td class="path"><code>{}</code></td><td>`, d.secrets[i].Path)
			p.tier(d.secrets[i].Tier)
			for _, right := range []vault.Right{can.Read, can.Write, can.Delete} {
				p.put(`</td><td>`)
				p.right(right)
			}
			p.put("</td></tr>\n")
		}
	}
	p.put("</tbody></table></div>\n")
	if most < r.n {
		p.leftOut(fmt.Sprintf("%s of %s. All of them:", grouped(most), count(r.n, "secret")), d.ass("explain --agent "+g.ID))
	}
	p.put("</div></details>\n")
}

func (p *webPage) right(r vault.Right) {
	switch r {
	case vault.Standing:
		p.put(`<span class="tag ok">{}</span>`, string(r))
	case vault.NoRight:
		p.put(`<span class="dim">{}</span>`, string(r))
	default:
		p.put(`<span class="tag warn">{}</span>`, string(r))
	}
}

func (d *dashboard) tokenList(p *webPage, most pageLimits) {
	p.part("tokens", "Live tokens", "")
	if len(d.tokens) == 0 {
		p.put("<p class=\"empty\">No live tokens.</p></section>\n")
		return
	}
	p.table("Live tokens", "Token", "Issued by", "Scopes", "Uses", "Ends")
	p.put(`<tbody>`)
	shown := d.tokens[max(0, len(d.tokens)-most.tokens):]
	for _, t := range shown {
		p.put(`<tr><td class="path"><code>{}</code></td><td>{}</td><td class="path">`, t.ID, orElse(t.IssuerName, t.Issuer))
		for _, scope := range t.Scopes.Strings() {
			p.put(`<code>{}</code><br>`, scope)
		}
		p.put(`</td><td>{}</td><td class="time">`, tokenUses(t))
		p.time(t.Expires)
		p.put("</td></tr>\n")
	}
	p.put("</tbody></table></div>\n")
	if len(shown) < len(d.tokens) {
		p.leftOut(fmt.Sprintf("The %s newest of %s. All of them:", grouped(len(shown)), grouped(len(d.tokens))),
			d.ass("tokens list"))
	}
	p.put("</section>\n")
}

func (d *dashboard) entries(p *webPage, most pageLimits) {
	shown, note := d.log[:min(len(d.log), most.log)], "the newest entry first"
	p.part("log", "Audit log", note)
	if len(shown) < d.total {
		p.leftOut(fmt.Sprintf("The page has the newest %s of %s entries. The others:", grouped(len(shown)), grouped(d.total)),
			d.ass("audit --limit 0"), d.ass("audit --agent NAME --limit 0"))
	}
	p.put(`<input type="search" data-filter="log-rows" aria-label="Filter the log" placeholder="Filter by event, secret, actor or time" hidden>
`)
	p.table("Audit log", "Time (UTC)", "Event", "About", "Who")
	p.put(`<tbody id="log-rows">`)
	for _, e := range shown {
		p.put(`<tr><td class="time">{}</td><td>`, e.CreatedAt.UTC().Format(toTheSecond))
		if isDenied(e.Event) {
			p.put(`<span class="tag bad">{}</span>`, e.Type)
		} else {
			p.put(`{}`, e.Type)
		}
		p.put(`</td><td class="path"><code>{}</code></td><td class="who">`, resource(e.Event))
		if id, name := d.whose(e); name != "" {
			p.put(`{} <code class="dim">{}</code>`, name, id)
		} else {
			p.put(`{}`, id)
		}
		p.put("</td></tr>\n")
	}
	p.put("</tbody></table></div></section>\n")
}

// actorName returns the name of an agent, the owner, or an id of which nothing tells more.
func (d *dashboard) actorName(id string) string {
	if id == audit.Owner {
		return audit.Owner
	}
	return orElse(d.names.known[id].Name, id)
}

func isOrAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
