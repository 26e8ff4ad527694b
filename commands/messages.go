package commands

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// What is said on stderr: errors, warnings and notes, each with the way out, if there is one. Each is
//
//   - for programs (--json), one object in a line: {"note":…}, {"warning":…} or {"error":…}, with a "hint" if there is a
//     way out;
//   - in a pipe, one line: "ass: what happened; the way out";
//   - on a terminal, broken between words, and the way out is a line of its own: "ass: hint: …".

// warn tells the person what to mend. It prints each warning once.
func (o *output) warn(format string, args ...any) { o.warnOnce(fmt.Sprintf(format, args...), "") }

// warnOf is warn with an error, and with its way out.
func (o *output) warnOf(err error) { o.warnOnce(tellError(err)) }

func (o *output) warnOnce(text, way string) {
	if key := onOneLine(text, way); !o.warned[key] {
		o.warned[key] = true
		o.tell("warning", text, way)
	}
}

// note says what the person should know.
func (o *output) note(format string, args ...any) { o.tell("note", fmt.Sprintf(format, args...), "") }

// noteOf is note with an error, and with its way out.
func (o *output) noteOf(err error) {
	text, way := tellError(err)
	o.tell("note", text, way)
}

func (o *output) tell(kind, text, way string) {
	text, way = clean(text), clean(way)
	switch {
	case o.quiet:
	case o.asJSON && kind == "warning":
		o.jsonNote(warningResult{text, way})
	case o.asJSON:
		o.jsonNote(noteResult{text, way})
	case kind == "warning":
		o.say("warning: ", text, way)
	default:
		o.say("", text, way)
	}
}

// say prints a message as people read it. The texts are clean.
func (o *output) say(label, text, way string) {
	if !o.errTTY {
		fmt.Fprintf(o.errw, "ass: %s%s\n", label, onOneLine(text, way))
		return
	}
	lines := wrap(label+text, said, columns(o.errw))
	if way != "" {
		lines = append(lines, wrap("hint: "+way, said, columns(o.errw))...)
	}
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(line + "\n")
	}
	_, _ = o.errw.Write([]byte(b.String()))
}

// said begins what is said.
const said = "ass: "

// jsonNote prints v as JSON, for programs.
func (o *output) jsonNote(v any) {
	if b, err := jsonLine(v); err == nil && !o.quiet {
		_, _ = o.errw.Write(b)
	}
}

// aside prints what belongs to the answer on stdout.
func (o *output) aside(format string, args ...any) {
	if !o.quiet {
		fmt.Fprintln(o.errw, sentence(format, args))
	}
}

// wrap breaks a message between words into lines of at most so many columns. The first begins with label, and the
// others with as many spaces. A longer word stays whole, and so does a command, if a line has room for it: both are
// copied from the screen. Spaces before the first word indent all lines.
func wrap(text, label string, wide int) (lines []string) {
	indent := text[:len(text)-len(strings.TrimLeft(text, " "))]
	prefix := label + indent
	left := utf8.RuneCountInString(prefix)
	wide -= left
	if lines = fill(unbroken(text[len(indent):], wide), wide); len(lines) == 0 {
		return []string{prefix}
	}
	for i := range lines {
		lines[i] = prefix + lines[i]
		prefix = strings.Repeat(" ", left)
	}
	return lines
}

// fill puts words into lines of at most so many columns. A wider word has a line of its own.
func fill(words []string, wide int) (lines []string) {
	line, used := "", 0
	for _, w := range words {
		n := textWidth(w)
		switch {
		case line == "":
			line, used = w, n
		case used+1+n > wide:
			lines = append(lines, line)
			line, used = w, n
		default:
			line, used = line+" "+w, used+1+n
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// unbroken splits a text into words. A command of ass at its end, or before the next "; ", is one word if it is no
// wider than a line.
func unbroken(text string, wide int) (words []string) {
	for text != "" {
		before, command, found := strings.Cut(text, ": ass ")
		if !found {
			return append(words, strings.Split(text, " ")...)
		}
		words = append(words, strings.Split(before+":", " ")...)
		command, text, _ = strings.Cut("ass "+command, "; ")
		if text != "" {
			command += ";"
		}
		if textWidth(command) <= wide {
			words = append(words, command)
		} else {
			words = append(words, strings.Split(command, " ")...)
		}
	}
	return words
}

// columns is how wide the terminal is, if f is one.
func columns(f any) int {
	const usual, least = 80, 40
	if file, ok := f.(*os.File); ok {
		if wide, _, err := term.GetSize(int(file.Fd())); err == nil && wide > 0 {
			return max(wide, least)
		}
	}
	return usual
}

// widthOf is how many columns a character takes at most.
func widthOf(r rune) int {
	if r < 0x1100 { // no wide character is below
		return 1
	}
	return 2
}

// textWidth is how many columns a text takes at most.
func textWidth(s string) (n int) {
	for _, r := range s {
		n += widthOf(r)
	}
	return n
}
