package commands

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// Tables. In a pipe, each row is one line, and everything is whole. On a terminal, a table fits: paths lose their
// middle, and other texts go on below, broken between words. Ids were cut before, to what tells them apart.

// cell is one field of a table.
type cell struct{ text, colour string }

// column says how the texts of a column become narrower on a terminal.
type column int

const (
	words column = iota // they go on in the next line
	paths               // or other names whose beginning and end tell the most: they are cut in the middle
	whole               // ids, which [app.shownIDs] has cut: they stay as they are
)

// widest is the text that still makes its column wide. A longer one, from a hostile file say, moves only its own line.
const widest = 120

// table prints rows in columns, without trailing spaces. kinds are those of the first columns; the others are words.
func (o *output) table(rows [][]cell, kinds ...column) {
	for _, row := range rows {
		for i := range row {
			row[i].text = clean(row[i].text)
		}
	}
	if o.tty {
		rows = fitted(rows, kinds, columns(o.w))
	}
	widths := widthsOf(rows)
	wide := 1
	for _, n := range widths {
		wide += n + gap
	}
	b := o.held // the copy of a long table is not free
	if b == nil {
		b = &bytes.Buffer{}
	}
	b.Grow(wide * len(rows))
	for _, row := range rows {
		pad := 0
		for i, c := range row {
			if c.text == "" {
				pad += widths[i] + gap
				continue
			}
			b.WriteString(strings.Repeat(" ", pad))
			b.WriteString(o.colour(c.colour, c.text))
			pad = max(0, widths[i]-utf8.RuneCountInString(c.text)) + gap
		}
		b.WriteByte('\n')
	}
	if o.held == nil {
		o.print(b.Bytes())
	}
}

// gap is how many spaces are between two columns.
const gap = 2

func widthsOf(rows [][]cell) (widths []int) {
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if n := utf8.RuneCountInString(c.text); n <= widest {
				widths[i] = max(widths[i], n)
			}
		}
	}
	return widths
}

// fitted returns the rows as they fit into so many columns of a terminal. A row may become several.
func fitted(rows [][]cell, kinds []column, wide int) [][]cell {
	kindOf := func(i int) column {
		if i < len(kinds) {
			return kinds[i]
		}
		return words
	}
	widths := widthsOf(rows)
	over := (len(widths) - 1) * gap
	for _, n := range widths {
		over += n
	}
	over -= wide
	// A text longer than widest is in no width, so the columns are narrowed for it, too.
	long := slices.ContainsFunc(rows, func(row []cell) bool {
		return slices.ContainsFunc(row, func(c cell) bool { return utf8.RuneCountInString(c.text) > widest })
	})
	if over <= 0 && !long {
		return rows
	}
	over -= narrow(widths, over, leastPath, func(i int) bool { return kindOf(i) == paths })
	over -= narrow(widths, over, leastWords, func(i int) bool { return kindOf(i) == words })
	narrow(widths, over, leastWords, func(i int) bool { return kindOf(i) != whole })
	var fit [][]cell
	for _, row := range rows {
		fit = append(fit, foldRow(row, widths, kindOf)...)
	}
	return fit
}

// The widths below which a column is not narrowed, unless nothing else helps.
const (
	leastPath  = 24
	leastWords = 12
)

// narrow takes so many columns from the widest ones of a kind, none of which gets narrower than least. It returns how
// many it took.
func narrow(widths []int, over, least int, which func(i int) bool) (taken int) {
	for ; taken < over; taken++ {
		most := -1
		for i, n := range widths {
			if which(i) && n > least && (most < 0 || n > widths[most]) {
				most = i
			}
		}
		if most < 0 {
			break
		}
		widths[most]--
	}
	return taken
}

// foldRow returns a row as lines in which no cell is wider than its column.
func foldRow(row []cell, widths []int, kindOf func(int) column) (lines [][]cell) {
	for i, c := range row {
		texts := []string{c.text}
		if utf8.RuneCountInString(c.text) > widths[i] {
			switch kindOf(i) {
			case words:
				texts = fold(c.text, widths[i])
			case paths:
				texts = []string{cutMiddle(c.text, widths[i])}
			}
		}
		for n, text := range texts {
			if n == len(lines) {
				lines = append(lines, make([]cell, len(row)))
			}
			lines[n][i] = cell{text, c.colour}
		}
	}
	return lines
}

// fold breaks a text between words, and behind the commas of a list. A word that is wider than a line loses its middle.
// Spaces before the first word indent all lines.
func fold(text string, wide int) (lines []string) {
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
	wide -= len(indent)
	line, used := "", 0
	for word := range strings.FieldsSeq(text) {
		space := " "
		for part := range strings.SplitAfterSeq(word, ",") {
			part = cutMiddle(part, wide)
			n := utf8.RuneCountInString(part)
			if line != "" && used+len(space)+n > wide {
				lines = append(lines, indent+line)
				line, used = "", 0
			}
			if line != "" {
				line, used = line+space, used+len(space)
			}
			line, used, space = line+part, used+n, ""
		}
	}
	return append(lines, indent+line)
}

// cutMiddle puts … in the place of the middle of a text, so that at most so many characters are left. It keeps more
// of the end, which tells keys apart.
func cutMiddle(text string, wide int) string {
	all := []rune(text)
	if len(all) <= wide {
		return text
	}
	end := max(0, wide-1) * 3 / 5
	return string(all[:max(0, wide-1-end)]) + "…" + string(all[len(all)-end:])
}
