package paper

import (
	"fmt"
	"html"
	"strings"

	"rsc.io/qr/coding"
)

// Page is a sheet with all that is printed around it.
type Page struct {
	Title string
	About []string // what a person must know about it, in paragraphs of one line
	Lines []string // as [Sheet.Lines] returns them
	Key   string   // the owner key as age writes it; "" for a share
}

// code is the smallest QR code that says what age reads or, for a share, its lines: capitals and digits. It does
// without package rsc.io/qr, which has pictures, too, and adds 0.02 ms of init to every command.
func (p Page) code() (*coding.Code, error) {
	text := coding.Alpha(p.Key)
	if text == "" {
		text = coding.Alpha(strings.ReplaceAll(strings.Join(p.Lines, ""), " ", ""))
	}
	version := coding.Version(coding.MinVersion)
	for version < coding.MaxVersion && text.Bits(version) > 8*version.DataBytes(coding.M) {
		version++
	}
	plan, err := coding.NewPlan(version, coding.M, 0)
	if err != nil {
		return nil, err
	}
	return plan.Encode(text)
}

// Text returns the page as text. All but an owner key is a comment, so age takes a file with it for an identity file.
func (p Page) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n#\n", p.Title)
	for _, text := range p.About {
		fmt.Fprintf(&b, "# %s\n", text)
	}
	b.WriteString("#\n")
	for i, line := range p.Lines {
		fmt.Fprintf(&b, "#   %d:  %s\n", i+1, line)
	}
	if p.Key != "" {
		fmt.Fprintf(&b, "#\n# The same key, as age writes it:\n%s\n", p.Key)
	}
	return b.String()
}

// quiet is how many light modules a reader needs around a QR code.
const quiet = 4

// Blocks returns the QR code for a terminal, with two modules in each character. With colours, it is dark on light in
// every theme: both colours are of the fixed part of the palette. Without colours, the light modules have the colour of
// the text, so it is right where text is light on dark.
func (p Page) Blocks(colours bool) (string, error) {
	code, err := p.code()
	if err != nil {
		return "", err
	}
	const darkOnLight, plain = "\x1b[38;5;16;48;5;231m", "\x1b[0m"
	blocks := []string{"█", "▄", "▀", " "} // by what is dark: nothing, above, below, both
	if colours {
		blocks = []string{" ", "▀", "▄", "█"}
	}
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		if colours {
			b.WriteString(darkOnLight)
		}
		for x := -quiet; x < code.Size+quiet; x++ {
			dark := 0
			if code.Black(x, y) {
				dark |= 1
			}
			if code.Black(x, y+1) {
				dark |= 2
			}
			b.WriteString(blocks[dark])
		}
		if colours {
			b.WriteString(plain)
		}
		b.WriteString("\n")
	}
	return b.String(), nil
}

// SVG returns the QR code as a picture of its own.
func (p Page) SVG() (string, error) {
	code, err := p.code()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	side := code.Size + 2*quiet
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" shape-rendering="crispEdges">`+
		"\n<path fill=\"#fff\" d=\"M0 0h%dv%dH0z\"/>\n<path fill=\"#000\" d=\"", side*6, side*6, side, side, side, side)
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			start := x
			for code.Black(x, y) {
				x++
			}
			if x > start {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", start+quiet, y+quiet, x-start, x-start)
			}
		}
	}
	b.WriteString("\"/>\n</svg>\n")
	return b.String(), nil
}

// HTML returns the page for a browser to print, on one sheet of A4 or Letter. It loads nothing and has no script.
func (p Page) HTML() (string, error) {
	picture, err := p.SVG()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	title := html.EscapeString(p.Title)
	b.WriteString(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="only light">
<title>` + title + `</title>
<style>
@page { margin: 15mm }
body { margin: 0 auto; max-width: 175mm; background: #fff; color: #000; font: 11pt/1.4 sans-serif }
h1 { font-size: 16pt; overflow-wrap: anywhere }
table { border-collapse: collapse; margin: 8mm 0 }
th, td { padding: 2mm 3mm; border-bottom: .3mm solid #999; text-align: left; font: 15pt monospace; white-space: pre }
th { color: #555 }
svg { width: 60mm; height: 60mm }
code { font: 10pt monospace; overflow-wrap: anywhere }
.by { margin-top: 10mm }
</style>
</head>
<body>
<h1>` + title + "</h1>\n")
	for _, text := range p.About {
		b.WriteString("<p>" + html.EscapeString(text) + "</p>\n")
	}
	b.WriteString("<table>\n")
	for i, line := range p.Lines {
		fmt.Fprintf(&b, "<tr><th>%d</th><td>%s</td></tr>\n", i+1, html.EscapeString(line))
	}
	b.WriteString("</table>\n" + picture)
	if p.Key != "" {
		b.WriteString("<p>The same key, as age writes it, and as the QR code has it:<br><code>" + html.EscapeString(p.Key) + "</code></p>\n")
	}
	b.WriteString("<p class=\"by\">Written on ________________ Kept at ________________ Tested on ________________</p>\n</body>\n</html>\n")
	return b.String(), nil
}
