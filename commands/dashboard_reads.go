package commands

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"ass/audit"
	"ass/vault"
)

// Who has read how much when, as the log tells it.

// picturedMost is how many entries, the newest ones, the picture looks at. So many take a tenth of a second.
const picturedMost = 200_000

// readsPicture counts reads, and reads that were refused, in columns of time.
type readsPicture struct {
	from   time.Time // when the first column begins
	step   time.Duration
	n      int  // columns
	cut    bool // whether the log has entries that were not looked at
	events []readEvent
	rows   []*readsRow // those who read most come first
}

// readEvent is one entry of the log: how many secrets somebody read, or tried to.
type readEvent struct {
	at      time.Time
	who     string
	n       int
	refused bool
}

// readsRow is what an agent and its tokens read, or the owner.
type readsRow struct {
	id            string
	read, refused []int // by column
	reads, noes   int
}

// readsOf looks for reads among the newest entries of the log, at most so many. It stops at no date, because whoever
// writes an entry dates it.
func readsOf(v *vault.Vault, most int) (r readsPicture, err error) {
	walked, who := 0, map[string]string{} // one copy of each id
	add := func(event, actor []byte, at time.Time, n int) {
		id, known := who[string(actor)]
		if !known {
			id = string(actor)
			who[id] = id
		}
		r.events = append(r.events, readEvent{at, id, n, string(event) != audit.SecretRead})
	}
	_, err = v.EachEntry(vault.Query{Maybe: func(g audit.Glance) (can, sure bool) {
		if walked++; walked > most {
			return true, true
		}
		if t := string(g.Type); t != audit.SecretRead && t != audit.SecretRead+audit.Denied {
			return false, false
		}
		at, dated := g.CreatedAt()
		if _, one := g.Secret(); one && dated {
			add(g.Type, g.Actor, at, 1)
			return false, false
		}
		return true, true
	}}, func(e vault.Entry, _ int) bool {
		if r.cut = walked > most; r.cut {
			return false
		}
		if isRead(e.Event) {
			add([]byte(e.Type), []byte(e.ActorID), e.CreatedAt, e.CountSecrets())
		}
		return true
	})
	return r, err
}

// actors returns the ids of those who read.
func (r *readsPicture) actors() map[string]bool {
	ids := map[string]bool{}
	for _, e := range r.events {
		ids[e.who] = true
	}
	return ids
}

// paint chooses the columns, and counts. What a token did, its agent did.
func (r *readsPicture) paint(now time.Time, known map[string]vault.Actor) {
	const day = 24 * time.Hour
	first := now
	for _, e := range r.events {
		if e.at.Before(first) {
			first = e.at
		}
	}
	least, most := 14, 28
	if r.step = day; now.Sub(first) < 2*day {
		r.step, least, most = time.Hour, 24, 49
	}
	last := now.UTC().Truncate(r.step)
	r.n = min(max(int(last.Sub(first.UTC().Truncate(r.step))/r.step)+1, least), most)
	r.from = last.Add(-time.Duration(r.n-1) * r.step)
	rows := map[string]*readsRow{}
	for _, e := range r.events {
		if e.at.Before(r.from) {
			continue
		}
		id := cmp.Or(known[e.who].Issuer, e.who)
		x := rows[id]
		if x == nil {
			x = &readsRow{id: id, read: make([]int, r.n), refused: make([]int, r.n)}
			rows[id] = x
		}
		at := min(int(e.at.Sub(r.from)/r.step), r.n-1) // an entry can be dated ahead
		if e.refused {
			x.refused[at] += e.n
			x.noes += e.n
			continue
		}
		x.read[at] += e.n
		x.reads += e.n
	}
	r.rows = slices.SortedFunc(maps.Values(rows), func(a, b *readsRow) int {
		return cmp.Or(cmp.Compare(b.reads+b.noes, a.reads+a.noes), cmp.Compare(a.id, b.id))
	})
}

// pictures writes who read how much when.
func (d *dashboard) pictures(p *webPage, most pageLimits) {
	r := &d.reads
	if len(r.rows) == 0 {
		p.part("reads", "Reads over time", "")
		p.put("<p class=\"empty\">Nobody has read a secret lately.</p></section>\n")
		return
	}
	by, format, end := "day", time.DateOnly, r.from.Add(time.Duration(r.n-1)*r.step)
	if r.step < 24*time.Hour {
		by, format = "hour", toTheMinute
	}
	p.part("reads", "Reads over time", fmt.Sprintf("secrets read each %s (UTC), with an agent's tokens", by))
	p.put(`<div class="scroll" tabindex="0" role="region" aria-label="Reads over time"><table class="reads"><thead><tr>`+
		`<th scope="col">Who</th><th scope="col" class="span"><span>{}</span> <span>{}</span></th><th scope="col" class="n most">Most</th>`+
		`<th scope="col" class="n">Reads</th><th scope="col" class="n">Refused</th></tr></thead>
<tbody>`, r.from.Format(format), end.Format(format))
	shown := r.rows[:min(len(r.rows), most.pictures)]
	for _, x := range shown {
		name := d.actorName(x.id)
		p.put(`<tr><th scope="row">{}</th><td class="bars">`, name)
		top := p.bars(r, x, name, by, format)
		p.put(`</td><td class="n most">{}</td><td class="n">{}</td><td class="n">`, top, x.reads)
		if x.noes > 0 {
			p.put(`<span class="tag bad">{}</span>`, x.noes)
		} else {
			p.put(`<span class="dim">0</span>`)
		}
		p.put("</td></tr>\n")
	}
	p.put("</tbody></table></div>\n")
	p.put(`<p class="dim">Each row has its own scale: its highest bar is “most”. Red is what was refused.</p>
`)
	if n := len(r.rows) - len(shown); n > 0 {
		reads, noes := 0, 0
		for _, x := range r.rows[len(shown):] {
			reads, noes = reads+x.reads, noes+x.noes
		}
		p.leftOut(fmt.Sprintf("The %s that read most; %s more %s left out, with %s and %s. Any of them:",
			grouped(len(shown)), grouped(n),
			isOrAre(n), count(reads, "read"), count(noes, "refusal")), d.ass("audit report --agent NAME"))
	}
	if r.cut {
		p.leftOut("This is from the newest "+grouped(picturedMost)+" of "+grouped(d.total)+" log entries. All that one "+
			"agent did:",
			d.ass("audit report --agent NAME"))
	}
	p.put("</section>\n")
}

// bars writes one row of the picture, and returns what its highest bar stands for.
func (p *webPage) bars(r *readsPicture, x *readsRow, name, by, format string) (top int) {
	at := 0
	for i := range r.n {
		if n := x.read[i] + x.refused[i]; n > top {
			top, at = n, i
		}
	}
	when := func(i int) string { return r.from.Add(time.Duration(i) * r.step).Format(format) }
	const wide, high = 10, 100
	p.put(`<svg viewBox="0 0 {} 100" preserveAspectRatio="none" role="img"><title>{}: {}, {} refused</title>`+
		`<desc>One bar for each {} from {} to {}. The highest is {}, with {}.</desc>`, fmt.Sprint(r.n*wide), name,
		count(x.reads, "read"), x.noes, by, when(0), when(r.n-1), when(at), count(top, "read"))
	for i := range r.n {
		read, refused := x.read[i], x.refused[i]
		if read+refused == 0 {
			continue
		}
		all := max(6, high*(read+refused)/top)
		red := 0
		if refused > 0 {
			red = max(6, all*refused/(read+refused))
		}
		p.put(`<g><title>{}: {}, {} refused</title>`, when(i), count(read, "read"), refused)
		if read > 0 {
			p.put(`<path d="M{} 100v-{}h8v{}z"/>`, fmt.Sprint(i*wide+1), fmt.Sprint(all), fmt.Sprint(all))
		}
		if red > 0 {
			p.put(`<path class="no" d="M{} {}h8v{}h-8z"/>`, fmt.Sprint(i*wide+1), fmt.Sprint(high-all), fmt.Sprint(red))
		}
		p.put(`</g>`)
	}
	p.put(`</svg>`)
	return top
}
