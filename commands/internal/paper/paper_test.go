package paper

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func random(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func keySheet(r *rand.Rand) Sheet { return Sheet{X25519: r.IntN(2) == 0, Payload: random(r, keyBytes)} }

func shareSheet(r *rand.Rand) Sheet {
	total := fewest + r.IntN(mostShares-1)
	return Sheet{X25519: r.IntN(2) == 0, Payload: random(r, shareBytes), Share: &Share{Set: r.Uint32N(Sets),
		Number: 1 + r.IntN(total), Threshold: fewest + r.IntN(total-1), Total: total}}
}

func sequence(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// What is on paper stays there for decades: these sheets must be read for ever. If this test fails, mend the code.
func TestKnownSheets(t *testing.T) {
	for name, c := range map[string]struct {
		sheet Sheet
		lines []string
	}{
		"key":        {Sheet{Payload: sequence(32)}, []string{"10VD M2J0 003W M85D DCP3", "80R0 UM6Q FNRE APFE 6T4F", "DJXH YTXN KYH1 UMKT 2ACV", "YQY2 EE70"}},
		"X25519":     {Sheet{X25519: true, Payload: bytes.Repeat([]byte{255}, 32)}, []string{"1163 5HJA DXQU AN1R T6PD", "N7Y7 FK87 96YY 9JNH 9JT3", "E34C VEH1 5EMF Y8RF 9W9H", "9J7K YH5T"}},
		"zeros":      {Sheet{Payload: make([]byte, 32)}, []string{"109R YJU0 0000 0000 00TD", "0000 0000 0000 0000 002W", "0000 0000 0000 0000 00TR", "0000 00MA"}},
		"share":      {Sheet{Share: &Share{Set: 4711, Number: 2, Threshold: 3, Total: 5}, Payload: sequence(35)}, []string{"12T5 AVK2 3505 KE00 03K7", "5XCE T5PU 82W4 F085 CADA", "F50K 24YR JXXA 0QY3 XYFW", "UTNM M2NQ 57YJ MXM2 A1YD"}},
		"last share": {Sheet{X25519: true, Share: &Share{Set: Sets - 1, Number: 16, Threshold: 16, Total: 16}, Payload: bytes.Repeat([]byte{255}, 35)}, []string{"13HP HK1J JJYY YY8H TAEM", "CTMP P922 8PW5 5WTN M7JY", "HQ61 F2YW AUPY PJA7 KHDE", "F7J6 K09X M0C7 4FQP A099"}},
	} {
		got := c.sheet.Lines()
		if !reflect.DeepEqual(got, c.lines) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(c.lines, "\n"))
		}
		again, err := Read(strings.Join(c.lines, "\n"))
		if err != nil || len(again) != 1 || !reflect.DeepEqual(again[0], c.sheet) {
			t.Errorf("%s is read as %+v, %v", name, again, err)
		}
	}
	if name := SetName(4711); name != "05KE" {
		t.Errorf("the set is %s", name)
	}
}

// Every wrong character, every two wrong ones, and every two that are swapped are found, and the line is named.
func TestSlipsAreFound(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range []Sheet{keySheet(r), shareSheet(r)} {
		lines := s.Lines()
		check := func(line int, typed []byte, what string) {
			t.Helper()
			changed := append([]string{}, lines...)
			changed[line] = string(typed)
			_, err := Read(strings.Join(changed, "\n"))
			if group := regexp.MustCompile(`group (\d)`).FindStringSubmatch(fmt.Sprint(err)); group != nil && int(group[1][0]-'0') > (len(typed)+3)/perGroup {
				t.Fatalf("line %d of %d characters: %v", line+1, len(typed), err)
			}
			if e, ok := err.(interface{ Unwrap() []error }); !ok || len(e.Unwrap()) != 1 || e.Unwrap()[0].(*LineError).Line != line+1 {
				t.Fatalf("line %d, %s: %v", line+1, what, err)
			}
		}
		for line, text := range lines {
			text = strings.ReplaceAll(text, " ", "")
			for i := range text {
				for x := range base {
					if alphabet[x] == text[i] {
						continue
					}
					typed := []byte(text)
					typed[i] = alphabet[x]
					check(line, typed, fmt.Sprintf("character %d is wrong", i+1))
					_, err := Read(strings.Join(append(append(append([]string{}, lines[:line]...), string(typed)), lines[line+1:]...), "\n"))
					if want := fmt.Sprintf("is in group %d", i/perGroup+1); !strings.HasSuffix(err.Error(), want) {
						t.Fatalf("%v, and not %s", err, want)
					}
				}
				for j := range i {
					if text[i] == text[j] {
						continue
					}
					typed := []byte(text)
					typed[i], typed[j] = typed[j], typed[i]
					check(line, typed, "two are swapped")
					typed = []byte(text)
					typed[i], typed[j] = alphabet[r.IntN(29)], alphabet[r.IntN(29)]
					if string(typed) != text {
						check(line, typed, "two are wrong")
					}
				}
				check(line, append([]byte(text[:i]), text[i+1:]...), "one is missing")
				check(line, append([]byte(text[:i]+"X"), text[i:]...), "one is too many")
			}
		}
	}
}

// A line of another sheet is found and named, also where both sheets are of one key or one set, and so are lines in
// another order.
func TestLinesOfOtherSheets(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	missed, tried := 0, 0
	for range 500 {
		a := shareSheet(r)
		b := a
		b.Share = &Share{Set: a.Share.Set, Number: a.Share.Number%a.Share.Total + 1, Threshold: a.Share.Threshold, Total: a.Share.Total}
		b.Payload = random(r, shareBytes)
		for line := 1; line < Lines; line++ {
			mixed := a.Lines()
			mixed[line] = b.Lines()[line]
			_, err := Read(strings.Join(mixed, "\n"))
			if err == nil {
				t.Fatal("a line of another sheet is taken")
			}
			tried++
			if !strings.HasPrefix(err.Error(), fmt.Sprintf("line %d is wrong", line+1)) {
				missed++ // the check of the whole found it
			}
		}
		swapped := a.Lines()
		swapped[1], swapped[2] = swapped[2], swapped[1]
		if _, err := Read(strings.Join(swapped, "\n")); err == nil {
			t.Fatal("lines in another order are taken")
		}
	}
	if missed > tried/100 { // 1 in 841 is expected
		t.Errorf("%d of %d are not named", missed, tried)
	}
}

// What people do to a line does not matter: case, blanks, dashes, numbers, the letters that look like digits.
func TestForgiving(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	lookAlike := strings.NewReplacer("0", "o", "1", "l", "2", "Z", "5", "s", "8", "b", "6", "G")
	for range 300 {
		s := keySheet(r)
		if r.IntN(2) == 0 {
			s = shareSheet(r)
		}
		plain := s.Lines()
		for name, f := range map[string]func(i int, line string) string{
			"as it is":     func(i int, line string) string { return line },
			"lower case":   func(i int, line string) string { return strings.ToLower(line) },
			"no blanks":    func(i int, line string) string { return strings.ReplaceAll(line, " ", "") },
			"dashes":       func(i int, line string) string { return strings.ReplaceAll(line, " ", "-") },
			"blanks":       func(i int, line string) string { return "  " + strings.Join(strings.Split(line, ""), "\u00a0 ") + "\r" },
			"look-alikes":  func(i int, line string) string { return lookAlike.Replace(line) },
			"numbers":      func(i int, line string) string { return fmt.Sprintf("%d: %s", i+1, line) },
			"brackets":     func(i int, line string) string { return fmt.Sprintf(" %d) %s", i+1, line) },
			"bare numbers": func(i int, line string) string { return fmt.Sprintf("%d  %s", i+1, line) },
			"as a comment": func(i int, line string) string {
				return fmt.Sprintf("#   %d:  %s\n\n# and a word: about it", i+1, line)
			},
			"divided":      func(i int, line string) string { return line + map[bool]string{true: "\n-----"}[i == 3] },
			"beside a key": func(i int, line string) string { return line + "\nAGE-SECRET-KEY-1QQQ" },
			"a mark at 0":  func(i int, line string) string { return map[bool]string{true: "\ufeff"}[i == 0] + line },
		} {
			var text []string
			for i, line := range plain {
				text = append(text, f(i, line))
			}
			got, err := Read(strings.Join(text, "\n"))
			if err != nil || len(got) != 1 || !reflect.DeepEqual(got[0], s) {
				t.Fatalf("%s: %+v, %v, want %+v", name, got, err, s)
			}
			if !IsSheet(strings.Join(text, "\n")) {
				t.Fatalf("%s: it is taken for no sheet", name)
			}
		}
		got, err := Read(strings.ReplaceAll(strings.Join(plain, ""), " ", "")) // a QR code has it on one line
		if err != nil || !reflect.DeepEqual(got[0], s) {
			t.Fatalf("on one line: %v", err)
		}
		three := strings.Join(plain, "\n") + "\n"
		if got, err := Read(three + three + three); err != nil || len(got) != 3 {
			t.Fatalf("three sheets: %d, %v", len(got), err)
		}
	}
}

// Each problem is named by its line, all of them at once, and by its sheet if there is more than one.
func TestProblems(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	a, b := shareSheet(r).Lines(), shareSheet(r).Lines()
	join := func(lines ...string) string { return strings.Join(lines, "\n") }
	for name, c := range map[string]struct{ text, want string }{
		"nothing":             {"", ""},
		"prose":               {"hello, world", "line 1 has"},
		"strange":             {join(a[0], "ÄBCD", a[2], a[3]), "line 2 has a character that no sheet has"},
		"too few":             {join(a[:3]...), "line 4 is missing"},
		"two short":           {join(a[0], a[1][:22], a[2], a[3]+"X"), "line 2 has 18 characters, and should have 20\nline 4 has 21 characters, and should have 20"},
		"none of it":          {join(a[1:]...), "line 1 is wrong"},
		"numbered, missing":   {join("1: "+a[0], "3: "+a[2], "4: "+a[3]), "line 2 is missing"},
		"first missing":       {join("2: "+a[1], "3: "+a[2]), "line 1 is missing"},
		"second sheet":        {join(append(append([]string{}, a...), b[:2]...)...), "sheet 2: line 3 is missing\nsheet 2: line 4 is missing"},
		"next sheet too soon": {join("1: "+a[0], "2: "+a[1], "3: "+a[2], "1: "+b[0], "2: "+b[1], "3: "+b[2], "4: "+b[3]), "sheet 1: line 4 is missing"},
		"only one, missing":   {a[0], "line 2 is missing\nline 3 is missing\nline 4 is missing"},
		"third missing":       {join("1: "+a[0], "2: "+a[1], "4: "+a[3]), "line 3 is missing"},
		"two missing":         {join("1: "+a[0], "4: "+a[3]), "line 2 is missing\nline 3 is missing"},
		"line 7":              {join(a[0], "7: "+a[1]), "line 2 is missing, and this is line 7"},
	} {
		sheets, err := Read(c.text)
		said := ""
		if err != nil {
			said = err.Error()
		}
		exact := strings.Contains(name, "missing") || name == "two short" || name == "second sheet"
		if !strings.HasPrefix(said, c.want) || exact && said != c.want || err != nil && sheets != nil || (c.want == "") != (err == nil) {
			t.Errorf("%s: %q, want %q", name, said, c.want)
		}
	}
	future := lineCheck(1, nil, append([]byte{2}, make([]byte, perLine-1)...))
	var rd Reader
	if err := rd.Add("2" + strings.Repeat("0", perLine-1) + show(future[:])); err == nil || !strings.Contains(err.Error(), "this version of ass does not know") {
		t.Errorf("a later form: %v", err)
	}
}

// A sheet that was never made is none, although each of its lines is right.
func TestImpossibleSheets(t *testing.T) {
	for name, s := range map[string]Sheet{
		"number 0":        {Share: &Share{Number: 0, Threshold: 2, Total: 3}, Payload: make([]byte, shareBytes)},
		"number above":    {Share: &Share{Number: 4, Threshold: 2, Total: 3}, Payload: make([]byte, shareBytes)},
		"threshold 1":     {Share: &Share{Number: 1, Threshold: 1, Total: 3}, Payload: make([]byte, shareBytes)},
		"threshold above": {Share: &Share{Number: 1, Threshold: 4, Total: 3}, Payload: make([]byte, shareBytes)},
		"total above":     {Share: &Share{Number: 1, Threshold: 4, Total: 17}, Payload: make([]byte, shareBytes)},
	} {
		if _, err := parse(s.symbols()); err == nil {
			t.Errorf("%s is taken", name)
		}
		data, lines := s.symbols(), []string{}
		for i := range Lines {
			own := data[i*perLine : (i+1)*perLine]
			check := lineCheck(i+1, tagFor(i+1, data), own)
			lines = append(lines, show(own)+show(check[:]))
		}
		if _, err := Read(strings.Join(lines, "\n")); err == nil || !strings.HasPrefix(err.Error(), "there is no share ") {
			t.Errorf("%s is read: %v", name, err)
		}
		good := shareSheet(rand.New(rand.NewPCG(11, 12))).Lines()
		if _, err := Read(strings.Join(append(append(append([]string{}, good...), lines...), good...), "\n")); err == nil ||
			!strings.HasPrefix(err.Error(), "sheet 2: there is no share ") {
			t.Errorf("%s is read among others: %v", name, err)
		}
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a sheet that cannot be read is written")
			}
		}()
		Sheet{Share: &Share{Number: 1, Threshold: 1, Total: 1}, Payload: make([]byte, shareBytes)}.Lines()
	}()
	large := append([]byte{form, 0, 0, 0, 0, 0, 0}, bytes.Repeat([]byte{base - 1}, keyLen)...)
	copy(large[wholeAt:], wholeCheck(large))
	if _, err := parse(large); err == nil {
		t.Error("a number of more than 32 bytes is taken")
	}
	data := Sheet{Payload: sequence(32)}.symbols()
	data[20]++
	if _, err := parse(data); err == nil {
		t.Error("the check of the whole misses a change")
	}
}

func TestNumbered(t *testing.T) {
	for text, want := range map[string]struct {
		n    int
		rest string
	}{
		"1: A": {1, " A"}, "12) A": {12, " A"}, "# 3.A": {3, "A"}, "##  4: A": {4, " A"}, "123: A": {0, "123: A"}, ": A": {0, ": A"},
		"0: A": {0, "0: A"}, "-1: A": {0, "-1: A"}, "A: B": {0, "A: B"}, "A": {0, "A"}, "": {0, ""}, "1": {0, "1"},
	} {
		if n, rest := numbered(text); n != want.n || rest != want.rest {
			t.Errorf("%q is %d and %q", text, n, rest)
		}
	}
}

// A line with a few characters too few or too many is still the line of a sheet.
func TestIsSheet(t *testing.T) {
	for n, want := range map[int]bool{0: false, 15: false, 16: true, 20: true, 24: true, 25: false, ownerText: true, shareText: true, shareText + 1: false} {
		if got := IsSheet(strings.Repeat("A", n) + "\nB"); got != want {
			t.Errorf("%d characters: %v", n, got)
		}
	}
	if !IsSheet("1: A") {
		t.Error("a line with its number is none of a sheet")
	}
}

// Other texts that a prompt for a key gets are no sheets.
func TestNoSheets(t *testing.T) {
	for _, text := range []string{"", "ass_0123456789abcdef0123456789abcdef", "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJhZ3QifQ.c2ln",
		"AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ", "-----BEGIN AGE ENCRYPTED FILE-----", "hello", "# 1234 4567 8901 2345 6789"} {
		if IsSheet(text) {
			t.Errorf("%q is taken for a sheet", text)
		}
	}
}

func FuzzRead(f *testing.F) {
	r := rand.New(rand.NewPCG(9, 10))
	f.Add(strings.Join(keySheet(r).Lines(), "\n"))
	f.Add("1: " + strings.Join(shareSheet(r).Lines(), "\n"))
	f.Add("4: 1\n2)\n\n# 3. x\nAGE-\n")
	f.Fuzz(func(t *testing.T, text string) {
		sheets, err := Read(text)
		IsSheet(text)
		if err != nil {
			if sheets != nil || err.Error() == "" {
				t.Fatal("an error with sheets, or without words")
			}
			return
		}
		for _, s := range sheets {
			again, err := Read(strings.Join(s.Lines(), "\n"))
			if err != nil || len(again) != 1 || !reflect.DeepEqual(again[0], s) {
				t.Fatalf("%+v is read again as %+v, %v", s, again, err)
			}
		}
	})
}
