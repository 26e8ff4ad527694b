package paper

import (
	"bytes"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rsc.io/qr"
)

var pages = map[string]Page{
	"key":   {Title: "Owner key <of> a vault", About: []string{"one & two", "three"}, Lines: Sheet{Payload: sequence(32)}.Lines(), Key: "AGE-SECRET-KEY-PQ-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SQA7K5R"},
	"share": {Title: "Share 2 of 5", About: []string{"four"}, Lines: Sheet{Share: &Share{Set: 4711, Number: 2, Threshold: 3, Total: 5}, Payload: sequence(35)}.Lines()},
}

// The text of a page is read again, and for age it is a file with one identity.
func TestPageText(t *testing.T) {
	for name, p := range pages {
		text := p.Text()
		sheets, err := Read(text)
		if err != nil || len(sheets) != 1 || strings.Join(sheets[0].Lines(), "\n") != strings.Join(p.Lines, "\n") {
			t.Errorf("%s: %v, %v", name, sheets, err)
		}
		if want := "# " + p.Title + "\n#\n"; !strings.HasPrefix(text, want) || strings.Count(text, "\n#\n") != 2+len(p.Key)/77 {
			t.Errorf("%s:\n%s", name, text)
		}
		for _, about := range p.About {
			if !strings.Contains(text, "\n# "+about+"\n") {
				t.Errorf("%s: %q is missing", name, about)
			}
		}
		rest := ""
		for line := range strings.Lines(text) {
			if len(line) > 81 {
				t.Errorf("%s: a terminal of 80 columns breaks %q", name, line)
			}
			if !strings.HasPrefix(line, "#") {
				rest += strings.TrimSpace(line)
			}
		}
		if rest != p.Key {
			t.Errorf("%s: age reads %q", name, rest)
		}
	}
}

// All drawings of the code have its modules, with the quiet zone around them.
func TestDrawings(t *testing.T) {
	for name, p := range pages {
		text := p.Key
		if text == "" {
			text = strings.ReplaceAll(strings.Join(p.Lines, ""), " ", "")
		}
		want, err := qr.Encode(text, qr.M)
		if err != nil {
			t.Fatal(err)
		}
		side := want.Size + 2*quiet
		compare := func(drawing string, dark func(x, y int) bool) {
			for y := range side {
				for x := range side {
					if dark(x, y) != want.Black(x-quiet, y-quiet) {
						t.Fatalf("%s, %s: module %d, %d is wrong", name, drawing, x, y)
					}
				}
			}
		}
		for _, colours := range []bool{false, true} {
			text, err := p.Blocks(colours)
			if err != nil {
				t.Fatal(err)
			}
			if begins := strings.Count(text, "\x1b[38;5;16;48;5;231m"); begins != strings.Count(text, "\x1b[0m\n") || (begins > 0) != colours {
				t.Errorf("%s: the colours do not end with the line, or are there unasked", name)
			}
			lines := strings.Split(strings.TrimSuffix(regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(text, ""), "\n"), "\n")
			if len(lines) != (side+1)/2 || len(lines) > 23 || side > 79 {
				t.Errorf("%s: %d lines of %d", name, len(lines), side)
			}
			compare("blocks", func(x, y int) bool {
				r := []rune(lines[y/2])[x]
				upper, lower := r == '█' || r == '▀', r == '█' || r == '▄'
				if y%2 == 0 {
					return upper == colours
				}
				return lower == colours
			})
		}
		svg, err := p.SVG()
		if err != nil {
			t.Fatal(err)
		}
		black := map[[2]int]bool{}
		for _, m := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(svg, -1) {
			n := func(i int) int { x, _ := strconv.Atoi(m[i]); return x }
			for x := range n(3) {
				black[[2]int{n(1) + x, n(2)}] = true
			}
		}
		compare("SVG", func(x, y int) bool { return black[[2]int{x, y}] })
		if !strings.Contains(svg, `viewBox="0 0 `+strconv.Itoa(side)+" "+strconv.Itoa(side)) || strings.Count(svg, "http") != 1 {
			t.Errorf("%s: %s", name, svg[:200])
		}
	}
}

// A real reader reads what the terminal shows.
func TestRealQRReader(t *testing.T) {
	if _, err := exec.LookPath("zbarimg"); err != nil {
		t.Skip("there is no zbarimg")
	}
	for name, p := range pages {
		text, err := p.Blocks(true)
		if err != nil {
			t.Fatal(err)
		}
		text = regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(text, "")
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		const scale = 6
		picture := image.NewGray(image.Rect(0, 0, len([]rune(lines[0]))*scale, 2*len(lines)*scale))
		for y, line := range lines {
			for x, r := range []rune(line) {
				for i := range scale * 2 * scale {
					upper := i < scale*scale
					dark := r == '█' || r == '▀' && upper || r == '▄' && !upper
					picture.SetGray(x*scale+i%scale, y*2*scale+i/scale, color.Gray{map[bool]uint8{true: 0, false: 255}[dark]})
				}
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, picture); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "q.png")
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("zbarimg", "--quiet", "--raw", file).Output()
		want := p.Key
		if want == "" {
			want = strings.ReplaceAll(strings.Join(p.Lines, ""), " ", "")
		}
		if err != nil || strings.TrimSpace(string(out)) != want {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

// The page has what is on the sheet, escaped, and loads nothing.
func TestHTML(t *testing.T) {
	for name, p := range pages {
		page, err := p.HTML()
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range p.Lines {
			if !strings.Contains(page, fmt.Sprintf("<tr><th>%d</th><td>%s</td></tr>", i+1, line)) {
				t.Errorf("%s: a line is missing", name)
			}
		}
		for _, text := range append(p.About, p.Title) {
			if !strings.Contains(page, ">"+html.EscapeString(text)+"</") {
				t.Errorf("%s: %q is missing", name, text)
			}
		}
		for _, tag := range []string{"html", "head", "style", "title", "body", "table", "svg", "h1"} {
			if strings.Count(page, "<"+tag+" ")+strings.Count(page, "<"+tag+">") != strings.Count(page, "</"+tag+">") {
				t.Errorf("%s: the tag %s has no end", name, tag)
			}
		}
		if strings.Contains(page, "<of>") || strings.Contains(page, "one & two") {
			t.Errorf("%s: a text is not escaped", name)
		}
		if loads := regexp.MustCompile(`<(script|link|img|iframe|object)|src=|url\(|@import|https?://`).FindAllString(page, -1); len(loads) != 1 {
			t.Errorf("%s: it loads %q", name, loads) // but for the name of SVG
		}
		if p.Key != "" && !strings.Contains(page, ">"+p.Key+"<") {
			t.Errorf("%s: it has no key for age", name)
		}
	}
}
