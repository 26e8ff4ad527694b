package commands

import "strings"

// How a report is printed: as text, or as Markdown.

// reportTable is one table of a report.
type reportTable struct {
	title string
	empty string // what is said if it has no rows
	head  []string
	rows  [][]string
}

// tables returns what both forms show.
func (r reportResult) tables() []reportTable {
	could := reportTable{title: "Could open", head: []string{"who", "scopes", "from", "until"}, empty: "Nothing that the log tells of."}
	for _, g := range r.Agents {
		if len(g.Scopes) == 0 {
			could.rows = append(could.rows, []string{"agent " + g.ID, "not in the log any more", "", textOf(g.RevokedAt)})
		}
		for i, s := range g.Scopes {
			until := textOf(g.RevokedAt)
			if i+1 < len(g.Scopes) {
				until = g.Scopes[i+1].From
			}
			could.rows = append(could.rows, []string{"agent " + g.ID, strings.Join(s.Scopes, ", "), s.From, orElse(until, "now")})
		}
	}
	for _, t := range r.Tokens {
		until := t.ExpiresAt
		if ended := textOf(t.EndedAt); ended != "" && ended < until {
			until = ended
		}
		scopes := strings.Join(t.Scopes, ", ")
		if t.MaxUses != nil {
			scopes += " (" + plural(int(*t.MaxUses), "use") + ")"
		}
		if t.IssuedAt == nil {
			scopes = "not in the log any more"
		}
		could.rows = append(could.rows, []string{"token " + t.TokenID, scopes, textOf(t.IssuedAt), until})
	}
	acts := func(title, empty, last string, rows []reportRow) reportTable {
		t := reportTable{title: title, empty: empty, head: []string{"what", "event", "times", "first", "last"}}
		if last != "" {
			t.head = append(t.head, last)
		}
		for _, x := range rows {
			row := []string{x.Path, x.Event, uintText(uint64(x.Count)), x.FirstAt, x.LastAt}
			if last != "" {
				row = append(row, x.Reason)
			}
			t.rows = append(t.rows, row)
		}
		return t
	}
	asked := reportTable{title: "Asked for", empty: "Nothing.", head: []string{"what", "action", "asked", "decision", "decided", "request"}}
	for _, q := range r.Asked {
		asked.rows = append(asked.rows, []string{q.Path, q.Action, textOf(q.AskedAt), q.Status, textOf(q.DecidedAt), q.ID})
	}
	list := []reportTable{could, acts("Read", "Nothing.", "", r.Read), acts("Wrote", "Nothing.", "", r.Wrote), asked,
		acts("Was refused", "Nothing.", "why", r.Refused)}
	if len(r.Other) > 0 {
		list = append(list, acts("Other", "", "", r.Other))
	}
	return list
}

// title says of whom the report is.
func (r reportResult) title() string {
	var names []string
	for _, g := range r.Agents {
		names = append(names, "agent "+strings.TrimPrefix(g.Name+" ("+g.ID+")", " "))
	}
	if names == nil {
		for _, t := range r.Tokens {
			names = append(names, "token "+t.TokenID+" of "+orElse(t.AgentName, orElse(t.AgentID, "an unknown issuer")))
		}
	}
	return "What the log tells of " + strings.Join(names, " and ")
}

// about says from which entries the report is made, and what vouches for them.
func (r reportResult) about() (lines []string) {
	said := pluralOf(r.Entries, "log entry", "log entries") + " by it"
	if r.Since != nil {
		said += " from " + *r.Since + " on"
	}
	lines = append(lines, said+".")
	if r.Archived > 0 {
		lines = append(lines, "Log entries 1 to "+uintText(r.Archived)+" were archived, and are not in this report.")
	}
	switch n := len(r.Problems); {
	case r.Verified:
		lines = append(lines, "The log was verified with the owner's key before this report was made.")
	case n > 0:
		lines = append(lines, "The log does NOT hold: "+plural(n, "problem")+", the first: "+r.Problems[0])
	default:
		lines = append(lines, "The log was NOT verified: "+r.Unverified+".")
	}
	return lines
}

func (r *report) print(a *app, format string) {
	x := r.result
	if format == "markdown" {
		a.out.write(x.markdown())
		return
	}
	a.out.line("%s", x.title())
	for _, t := range x.tables() {
		a.out.line("\n%s", strings.ToUpper(t.title))
		if len(t.rows) == 0 {
			a.out.line("%s", t.empty)
			continue
		}
		var rows [][]cell
		head := []cell{}
		for _, text := range t.head {
			head = append(head, cell{strings.ToUpper(text), dim})
		}
		rows = append(rows, head)
		for _, row := range t.rows {
			cells := []cell{}
			for _, text := range row {
				cells = append(cells, cell{text, ""})
			}
			rows = append(rows, cells)
		}
		a.out.table(rows)
	}
	a.out.line("\nLOG")
	for _, line := range x.about() {
		a.out.line("%s", line)
	}
	a.out.line("receipt: %s", x.Receipt)
}

// markdown returns the report for a pull request. Texts from the log cannot get out of their cells, nor become a link or
// a mention.
func (r reportResult) markdown() string {
	var b strings.Builder
	b.WriteString("## " + markdownText(r.title()) + "\n")
	for _, t := range r.tables() {
		b.WriteString("\n### " + t.title + "\n\n")
		if len(t.rows) == 0 {
			b.WriteString(t.empty + "\n")
			continue
		}
		b.WriteString("| " + strings.Join(t.head, " | ") + " |\n|" + strings.Repeat(" --- |", len(t.head)) + "\n")
		for _, row := range t.rows {
			for _, text := range row {
				b.WriteString("| " + markdownCode(text) + " ")
			}
			b.WriteString("|\n")
		}
	}
	b.WriteString("\n### Log\n\n")
	for _, line := range r.about() {
		b.WriteString(markdownText(line) + "\n")
	}
	b.WriteString("\nReceipt: " + markdownCode(r.Receipt) + "\n")
	return b.String()
}

// markdownCode returns a text as code, which has no links and no mentions. A text that could end it is escaped instead.
func markdownCode(text string) string {
	if text = clean(text); text == "" {
		return ""
	}
	if strings.ContainsAny(text, "`|") {
		return markdownText(text)
	}
	return "`" + text + "`"
}

// markdownText escapes what Markdown gives a meaning.
func markdownText(text string) string {
	var b strings.Builder
	for _, c := range clean(text) {
		switch {
		case c == '<':
			b.WriteString("&lt;")
			continue
		case c == '@':
			b.WriteString("&#64;")
			continue
		case strings.ContainsRune("\\`*_{}[]#|~!", c):
			b.WriteByte('\\')
		}
		b.WriteRune(c)
	}
	return b.String()
}
