package commands

import (
	"bytes"
	_ "embed"
	"fmt"
	"html"
	"strconv"
	"strings"
	"time"

	"ass/tokens"
)

// How the page of ass open is written, so that no text of somebody else's can be more than a text in it.

// fixedHTML is HTML that this program writes. A constant can be one and a variable cannot, so the compiler sees to it
// that whatever comes from elsewhere goes through [webPage.text].
type fixedHTML string

// webPage is HTML that is being written.
type webPage struct{ b bytes.Buffer }

// put writes markup, with a text for each {} in it. A {} stands between tags, or in an attribute in double quotes.
func (p *webPage) put(m fixedHTML, texts ...any) {
	rest := string(m)
	for _, x := range texts {
		before, after, is := strings.Cut(rest, "{}")
		if !is {
			panic("more texts than places for them: " + string(m))
		}
		p.b.WriteString(before)
		p.text(x)
		rest = after
	}
	if strings.Contains(rest, "{}") {
		panic("a place without a text: " + string(m))
	}
	p.b.WriteString(rest)
}

// text writes a text. It is escaped for HTML, and what a reader could not see as itself is, as on a terminal.
func (p *webPage) text(x any) {
	switch x := x.(type) {
	case string:
		p.b.WriteString(html.EscapeString(clean(x)))
	case int:
		p.b.WriteString(grouped(x))
	default:
		p.text(fmt.Sprint(x))
	}
}

// grouped writes a number with a comma at each thousand.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// count writes a number with its noun: "1 secret", "2,000 secrets".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// How times look. The page may be read much later, so they are absolute; its script adds how long ago that is.
const (
	toTheMinute = "2006-01-02 15:04"
	toTheSecond = "2006-01-02 15:04:05"
)

// time writes a time with its zone.
func (p *webPage) time(t time.Time) {
	p.put(`<time datetime="{}">{} UTC</time>`, stamp(t), t.UTC().Format(toTheMinute))
}

// path writes a path or a namespace, which may be broken behind its slashes.
func (p *webPage) path(path string) {
	for {
		segment, rest, more := strings.Cut(path, "/")
		if p.text(segment); !more {
			return
		}
		p.put(`/<wbr>`)
		path = rest
	}
}

// command writes a command to type, which a tap selects.
func (p *webPage) command(line string) {
	p.put(`<span class="cmd"><code>{}</code><button type="button" hidden>Copy</button></span>`, line)
}

func (p *webPage) tier(t tokens.Tier) {
	switch t {
	case tokens.Critical:
		p.put(`<span class="tag bad">critical</span>`)
	case tokens.Sensitive:
		p.put(`<span class="tag warn">sensitive</span>`)
	default:
		p.put(`<span class="tag">{}</span>`, t)
	}
}

// part begins a part of the page, with a heading. note stands behind it, smaller; it may be empty.
func (p *webPage) part(id, title, note string) {
	p.put(`<section id="{}" aria-labelledby="{}-title"><h2 id="{}-title">{}`, id, id, id, title)
	if note != "" {
		p.put(` <small>{}</small>`, note)
	}
	p.put("</h2>\n")
}

// table begins a table that scrolls by itself, with its column headings.
func (p *webPage) table(label string, headings ...string) {
	p.put(`<div class="scroll" tabindex="0" role="region" aria-label="{}"><table><thead><tr>`, label)
	for _, h := range headings {
		p.put(`<th scope="col">{}</th>`, h)
	}
	p.put("</tr></thead>\n")
}

// leftOut says that the page shows a part of something, and with which commands one sees the rest.
func (p *webPage) leftOut(what string, commands ...string) {
	p.put(`<p class="left">{}`, what)
	for i, line := range commands {
		if i > 0 {
			p.put(` or`)
		}
		p.put(` `)
		p.command(line)
	}
	p.put("</p>\n")
}

//go:embed dashboard.css
var dashboardCSS string

//go:embed dashboard.js
var dashboardJS string

// begin writes what stands before the parts.
func (p *webPage) begin(nonce string) {
	p.put(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'nonce-{}'; script-src 'nonce-{}'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>Agent Secret Store</title>
<style nonce="{}">
`, nonce, nonce, nonce)
	p.b.WriteString(dashboardCSS)
	p.put("</style>\n</head>\n<body>\n")
}

// end writes what stands behind the parts.
func (p *webPage) end(nonce string) {
	p.put(`<script nonce="{}">
`, nonce)
	p.b.WriteString(dashboardJS)
	p.put("</script>\n</body>\n</html>\n")
}
