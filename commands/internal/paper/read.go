package paper

import (
	"errors"
	"fmt"
	"strings"
)

// LineError says what is wrong with a line. It never quotes the line.
type LineError struct {
	Sheet   int    // which sheet of the text, from 1 on; 0 if there is one alone
	Line    int    // which line of the sheet, from 1 on; 0 for the sheet as a whole
	Problem string // such as "line 2 has 19 characters, and should have 20"
}

func (e *LineError) Error() string {
	if e.Sheet > 0 {
		return fmt.Sprintf("sheet %d: %s", e.Sheet, e.Problem)
	}
	return e.Problem
}

// Reader reads one sheet, line by line. The zero value is ready.
type Reader struct {
	data []byte
	read int
}

// Line returns the number of the line that comes next, from 1 on.
func (r *Reader) Line() int { return r.read + 1 }

// Done reports whether the sheet is complete.
func (r *Reader) Done() bool { return r.read == Lines }

// width returns how many characters the next line has.
func (r *Reader) width() int {
	if r.read == 0 {
		return perLine + checks
	}
	return min(perLine, lengthOf(r.data)-r.read*perLine) + checks
}

// Add reads the next line, as somebody typed it: upper or lower case, with blanks and dashes anywhere, with its number
// or without. If the line is wrong, the error is a [*LineError], and the same line comes next.
func (r *Reader) Add(text string) error {
	line, want := r.Line(), r.width()
	n, rest := numbered(text)
	wrong := func(format string, args ...any) error {
		return &LineError{Line: line, Problem: fmt.Sprintf("line %d ", line) + fmt.Sprintf(format, args...)}
	}
	if n != 0 && n != line {
		return wrong("is missing, and this is line %d", n)
	}
	typed, strange := symbolsOf(rest)
	if strange != 0 {
		return wrong("has a character that no sheet has")
	}
	if n == 0 && len(typed) == want+1 && int(typed[0]) == line {
		typed = typed[1:] // its number, with a blank behind it
	}
	if len(typed) != want {
		return wrong("has %d characters, and should have %d", len(typed), want)
	}
	if group, ok := suspect(line, tagFor(line, r.data), typed); !ok {
		if group > 0 {
			return wrong("is wrong; if one character is, it is in group %d", group)
		}
		return wrong("is wrong")
	}
	if line == 1 && lengthOf(typed) == 0 {
		return wrong("is of a form that this version of ass does not know")
	}
	r.data = append(r.data, typed[:len(typed)-checks]...)
	r.read++
	return nil
}

// missing is the error of a sheet without the next line.
func (r *Reader) missing() error {
	return &LineError{Line: r.Line(), Problem: fmt.Sprintf("line %d is missing", r.Line())}
}

// Sheet returns what was read, once the reader is done. The error is a [*LineError].
func (r *Reader) Sheet() (Sheet, error) {
	s, err := parse(r.data)
	if err != nil {
		return Sheet{}, &LineError{Problem: err.Error()}
	}
	return s, nil
}

// LinesIn returns those lines of a text that can be lines of a sheet; of a whole sheet on one line, as a QR code has
// it, each of its lines. A comment (#) is none unless a number and a colon begin it, and an owner key as age writes it
// is none, nor a divider.
func LinesIn(text string) (list []string) {
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = strings.TrimSpace(line)
		n, rest := numbered(line)
		typed, strange := symbolsOf(rest)
		switch {
		case strings.HasPrefix(line, "#") && n == 0, strings.HasPrefix(strings.ToUpper(line), "AGE-"):
			continue
		case n == 0 && strange == 0 && len(typed) == 0:
			continue
		}
		if n == 0 && strange == 0 && (len(typed) == ownerText || len(typed) == shareText) {
			whole := show(typed)
			for ; len(whole) > perLine+checks; whole = whole[perLine+checks:] {
				list = append(list, whole[:perLine+checks])
			}
			line = whole
		}
		list = append(list, line)
	}
	return list
}

// IsSheet reports whether a text is that of sheets, even if it is mistyped: its first line that is no comment has about
// as many characters as the line of a sheet, and no other.
func IsSheet(text string) bool {
	list := LinesIn(text)
	if len(list) == 0 || strings.HasPrefix(list[0], "-----") {
		return false
	}
	const slips = 4 // characters too few or too many
	n, rest := numbered(list[0])
	typed, strange := symbolsOf(rest)
	return n > 0 || strange == 0 && len(typed) >= perLine+checks-slips && len(typed) <= perLine+checks+slips
}

// Read reads all sheets of a text. The error joins a [*LineError] for each line that is wrong or missing.
func Read(text string) ([]Sheet, error) {
	var t texts
	for _, line := range LinesIn(text) {
		n, _ := numbered(line)
		for n > 0 && n <= Lines && n != t.r.Line() && t.lost(t.r.missing()) {
		}
		if t.ended {
			break
		}
		if err := t.r.Add(line); err != nil {
			t.lost(err)
		}
		t.finish()
	}
	for t.r.read > 0 && t.lost(t.r.missing()) {
	}
	if len(t.wrong) == 0 {
		return t.sheets, nil
	}
	all := make([]error, len(t.wrong))
	for i, e := range t.wrong {
		if len(t.sheets) <= 1 {
			e.Sheet = 0
		}
		all[i] = e
	}
	return nil, errors.Join(all...)
}

// texts is a text that is being read.
type texts struct {
	r      Reader
	bad    bool // something is wrong with the sheet that is being read
	ended  bool // what follows cannot be read
	sheets []Sheet
	wrong  []*LineError
}

// lost notes that the next line is wrong or missing, and goes on behind it. It reports false if that cannot be: without
// the first line, nobody knows what the others are.
func (t *texts) lost(err error) bool {
	t.note(err)
	if t.r.read == 0 {
		t.sheets, t.ended = append(t.sheets, Sheet{}), true
		return false
	}
	t.r.data = append(t.r.data, make([]byte, t.r.width()-checks)...)
	t.r.read++
	t.finish()
	return true
}

func (t *texts) note(err error) {
	var e *LineError
	if errors.As(err, &e) {
		e.Sheet = len(t.sheets) + 1
		t.wrong, t.bad = append(t.wrong, e), true
	}
}

// finish takes the sheet, once it is complete.
func (t *texts) finish() {
	if !t.r.Done() {
		return
	}
	var s Sheet
	if !t.bad {
		var err error
		if s, err = t.r.Sheet(); err != nil {
			t.note(err)
		}
	}
	t.sheets, t.r, t.bad = append(t.sheets, s), Reader{}, false
}
