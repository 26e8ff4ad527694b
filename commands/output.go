package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"
)

// The rules of what is printed where:
//
//   - stdout carries the answer, stderr everything else.
//   - Colours, relative times and the marks ✓ and ● are for terminals. In a pipe, the
//     same words appear without them, and times are RFC 3339.
//   - A value is printed as it is. Every other text may come from the vault's file, or
//     from a name that somebody chose. In it, characters that move the cursor, turn the
//     direction of writing or are invisible are escaped, in JSON, too.
//   - What is said on stderr begins with "ass:". See messages.go.
//
// This is the only file that writes to stdout.

type output struct {
	w, errw io.Writer
	colours bool // on a terminal
	tty     bool // stdout is a terminal
	errTTY  bool // stderr is a terminal
	quiet   bool // no warnings and no notes
	asJSON  bool // stderr has JSON: an object in each line
	warned  map[string]bool
	held    *bytes.Buffer // output that waits for the vault to close; nil: print at once
	err     error         // the first failure to write to stdout
}

func newOutput(w, errw io.Writer, in *world) *output {
	return &output{
		w: w, errw: errw, warned: map[string]bool{}, tty: isTerminal(w), errTTY: isTerminal(errw),
		colours: in.getenv("NO_COLOR") == "" && in.getenv("TERM") != "dumb",
	}
}

func isTerminal(x any) bool {
	f, ok := x.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (o *output) write(s string) { o.print([]byte(s)) }

func (o *output) print(b []byte) {
	if o.held != nil {
		o.held.Write(b)
		return
	}
	if o.err != nil {
		return
	}
	if _, err := o.w.Write(b); err != nil {
		o.err = fmt.Errorf("write to stdout: %v", err) // not wrapped: it is not about the vault
	}
}

// shows returns an error if it is known that nothing can be printed. Commands that make a key,
// which is then printed and kept nowhere, ask before they make it.
func (o *output) shows(what string) error {
	f, ok := o.w.(*os.File)
	if !ok {
		return nil
	}
	if err := unwritable(f); err != nil {
		return fmt.Errorf("%v, so %s would be lost; nothing was changed", err, what)
	}
	return nil
}

// hold keeps the output back until release, so that a slow reader does not keep the
// vault locked.
func (o *output) hold() { o.held = &bytes.Buffer{} }

// release prints the held output, and wipes it: it may hold a value.
func (o *output) release() {
	held := o.held.Bytes()
	o.held = nil
	o.print(held)
	clear(held)
}

// value prints a secret value: exactly its bytes. On a terminal, a newline follows, and unless it is to be raw, what
// the terminal would not show is escaped: a value comes from anywhere, and could move the cursor or change the
// clipboard.
func (o *output) value(b []byte, raw bool) {
	if !o.tty {
		o.print(b)
		return
	}
	if !raw {
		if shown := visible(b); len(shown) != len(b) {
			defer clear(shown)
			defer o.noteOf(sayf("characters that a terminal does not show are escaped").
				hint("as it is: --raw, or in a pipe"))
			b = shown
		}
	}
	o.print(b)
	o.write("\n")
}

// diff prints a unified diff: on a terminal in colours, and with what it would not show escaped.
func (o *output) diff(text []byte) {
	if !o.tty {
		o.print(text)
		return
	}
	for line := range bytes.Lines(visible(text)) {
		colour := ""
		switch {
		case bytes.HasPrefix(line, []byte("--- ")), bytes.HasPrefix(line, []byte("+++ ")), line[0] == '@':
			colour = dim
		case line[0] == '-':
			colour = red
		case line[0] == '+':
			colour = green
		}
		o.write(o.colour(colour, string(bytes.TrimSuffix(line, []byte("\n")))) + "\n")
	}
}

// visible escapes what a terminal does not show as itself, but for newlines and tabs. It returns b if there is
// nothing of that kind. An escape is longer than what it stands for.
func visible(b []byte) []byte {
	var shown []byte
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		escape := ""
		switch {
		case r == utf8.RuneError && n == 1:
			escape = fmt.Sprintf(`\x%02x`, b[i])
		case r != '\n' && r != '\t' && isUnseen(r):
			escape = strings.Trim(strconv.QuoteRuneToASCII(r), "'")
		}
		if escape != "" && shown == nil {
			shown = append(make([]byte, 0, 2*len(b)+16), b[:i]...)
		}
		switch {
		case escape != "":
			shown = append(shown, escape...)
		case shown != nil:
			shown = append(shown, b[i:i+n]...)
		}
		i += n
	}
	if shown == nil {
		return b
	}
	return shown
}

// pass prints everything it reads from r.
func (o *output) pass(r io.Reader) {
	if _, err := io.Copy(o.w, r); err != nil {
		o.err = fmt.Errorf("write to stdout: %v", err)
	}
}

// line prints a line of the answer. It escapes the arguments as clean does. On a terminal, a long line is broken
// between words.
func (o *output) line(format string, args ...any) { o.write(o.broken(sentence(format, args)) + "\n") }

func (o *output) broken(text string) string {
	if !o.tty {
		return text
	}
	wide := columns(o.w)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if textWidth(line) > wide {
			lines[i] = strings.Join(wrap(line, "", wide), "\n")
		}
	}
	return strings.Join(lines, "\n")
}

// sentence is Sprintf that escapes the texts among the arguments with clean. The format
// is ours; the arguments are not.
func sentence(format string, args []any) string {
	shown := make([]any, len(args))
	for i, x := range args {
		switch x := x.(type) {
		case string:
			shown[i] = clean(x)
		case error:
			shown[i] = clean(x.Error())
		case fmt.Stringer:
			shown[i] = clean(x.String())
		default:
			shown[i] = x
		}
	}
	return fmt.Sprintf(format, shown...)
}

// done prints on stdout that something was done.
func (o *output) done(format string, args ...any) {
	mark := ""
	if o.tty {
		mark = o.colour(green, "✓") + " "
	}
	o.write(o.broken(mark+sentence(format, args)) + "\n")
}

// json prints v as one line of JSON.
func (o *output) json(v any) error {
	b, err := jsonLine(v)
	if err != nil {
		return err
	}
	o.print(b)
	clear(b)
	return nil
}

// jsonLine returns v as one line of JSON. If a terminal would not show a character as
// itself, jsonLine writes it as a \u escape, which means the same.
func jsonLine(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if isPlain(b) || bytes.IndexFunc(b, isUnseen) < 0 {
		return append(b, '\n'), nil
	}
	var out []byte
	for _, r := range string(b) { // such characters occur only in strings
		switch {
		case !isUnseen(r):
			out = utf8.AppendRune(out, r)
		case r < 0x10000:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			r1, r2 := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, r1, r2)
		}
	}
	return append(out, '\n'), nil
}

// withArticle returns a noun with its article: "an agent key", "a token".
func withArticle(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
)

func (o *output) colour(code, s string) string {
	if code == "" || !o.tty || !o.colours || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// isUnseen reports whether a terminal does not show a character as itself. These are
// the control characters, those that turn the direction of writing, and those of no
// width.
func isUnseen(r rune) bool {
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// isPlain reports whether a text is all printable ASCII. Nearly every text is.
func isPlain[T string | []byte](s T) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// clean escapes the characters that a terminal does not show as themselves. So a name
// from a file that somebody else made cannot move the cursor, or deceive with colours.
func clean(s string) string {
	if isPlain(s) || utf8.ValidString(s) && strings.IndexFunc(s, isUnseen) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isUnseen(r) {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// when shows a time: how long ago for people, RFC 3339 for programs.
func (a *app) when(t time.Time) string {
	if !a.out.tty {
		return t.UTC().Format(time.RFC3339)
	}
	return ago(a.now().Sub(t))
}

func ago(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", d/time.Minute)
	case d < day:
		return fmt.Sprintf("%dh ago", d/time.Hour)
	case d < 14*day:
		return fmt.Sprintf("%dd ago", d/day)
	case d < 60*day:
		return fmt.Sprintf("%dw ago", d/(7*day))
	case d < 730*day:
		return fmt.Sprintf("%dmo ago", d/(30*day))
	}
	return fmt.Sprintf("%dy ago", d/(365*day))
}

// size shows a number of bytes.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// plural formats a number with its noun: "1 secret", "2 secrets".
func plural(n int, noun string) string { return pluralOf(n, noun, noun+"s") }

// pluralOf is plural for nouns with an irregular plural.
func pluralOf(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func uintText(n uint64) string { return strconv.FormatUint(n, 10) }

// progress returns two functions: step shows on a terminal how far a long operation is,
// once it has taken half a second, and end removes the line again.
func (o *output) progress(what string, now func() time.Time) (step func(done, total int), end func()) {
	if !o.errTTY || o.asJSON {
		return func(int, int) {}, func() {}
	}
	start, shown := now(), false
	step = func(done, total int) {
		if now().Sub(start) < 500*time.Millisecond || total == 0 {
			return
		}
		shown = true
		const width = 30
		full := min(width, done*width/total)
		fmt.Fprintf(o.errw, "\r%s [%s%s] %d/%d ", what, strings.Repeat("=", full), strings.Repeat(" ", width-full), done,
			total)
	}
	return step, func() {
		if shown {
			fmt.Fprint(o.errw, "\r\x1b[K")
		}
	}
}

// counting shows on a terminal, from some time on, how far something is of which nobody knows how long it takes. end
// takes the line away before something else is printed, and the last time for good.
func (o *output) counting(say func() string, from time.Duration) (end func(last bool)) {
	if !o.errTTY || o.asJSON {
		return func(bool) {}
	}
	var mu sync.Mutex
	shown := false
	done := make(chan struct{})
	go func() {
		wait := from
		for {
			select {
			case <-done:
				return
			case <-time.After(wait):
			}
			wait = 200 * time.Millisecond
			mu.Lock()
			if shown = true; !isDone(done) {
				fmt.Fprintf(o.errw, "\r\x1b[K%s", say())
			}
			mu.Unlock()
		}
	}()
	return func(last bool) {
		mu.Lock()
		defer mu.Unlock()
		if last {
			close(done)
		}
		if shown {
			fmt.Fprint(o.errw, "\r\x1b[K")
		}
		shown = false
	}
}

func isDone(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
