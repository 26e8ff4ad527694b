package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Most of the time for one mutant would go into building it. So mutants are built together: each is
// a copy of the function that it changes, and the function begins by calling the copy if a file
// says so. The few that cannot be built like this are built one by one.
//
// The same file can ask for a list of the mutants whose functions are called. So it is known which
// tests can see a mutant, and no others are run.

// switchSource is added to each package with mutants.
const switchSource = `package %s

import (
	"fmt"
	"os"
	"strconv"
	"sync"
)

var mutantSaid, _ = os.ReadFile(%q)
var mutantNumber, _ = strconv.Atoi(string(mutantSaid))
var mutantsSeen sync.Map

func mutantOn(n int) bool {
	if mutantNumber == %d {
		if _, seen := mutantsSeen.LoadOrStore(n, true); !seen {
			f, _ := os.OpenFile(%q, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			_, _ = fmt.Fprintln(f, n)
			_ = f.Close()
		}
	}
	return mutantNumber == n
}
`

// record is the number that asks for the list of mutants.
const record = -1

// switchable returns a call of a copy of a function, from inside the function, if there is one.
func switchable(fn *ast.FuncDecl, number int) (call string, ok bool) {
	if fn.Body == nil {
		return "", false
	}
	name := fmt.Sprintf("mutant%d_%s", number, fn.Name.Name)
	if fn.Recv != nil {
		receiver := fn.Recv.List[0]
		if len(receiver.Names) == 0 || isNamed(receiver.Names[0], "_") {
			return "", false
		}
		name = receiver.Names[0].Name + "." + name
	}
	var args []string
	for _, field := range fn.Type.Params.List {
		if len(field.Names) == 0 {
			return "", false
		}
		for _, arg := range field.Names {
			if arg.Name == "_" {
				return "", false
			}
			args = append(args, arg.Name)
		}
		if _, variadic := field.Type.(*ast.Ellipsis); variadic {
			args[len(args)-1] += "..."
		}
	}
	call = name + "(" + strings.Join(args, ", ") + ")"
	if fn.Type.Results.NumFields() > 0 {
		return "return " + call, true
	}
	return call + "; return", true
}

// switched returns a file that has each of the mutants, by its number. lines says on which line the
// copy of each begins; a mutant that is not there cannot be switched.
func switched(src []byte, mutants map[int]mutant) (out []byte, lines map[int]int, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", src, parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, err
	}
	offset := func(p token.Pos) int { return files.Position(p).Offset }
	inserted := map[int]string{} // into the source, by place
	var copies [][]byte
	lines = map[int]int{}
	line := bytes.Count(src, []byte("\n")) + 1
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		from, name, body, to := offset(fn.Pos()), offset(fn.Name.Pos()), offset(fn.Body.Lbrace)+1, offset(fn.End())
		for number, m := range mutants {
			call, ok := switchable(fn, number)
			if !ok || m.from < body || m.to > to {
				continue
			}
			inserted[body] += fmt.Sprintf(" if mutantOn(%d) { %s };", number, call)
			changed := slices.Concat([]byte("\n"), src[from:name], fmt.Appendf(nil, "mutant%d_", number),
				src[name:m.from], []byte(m.by), src[m.to:to], []byte("\n"))
			copies = append(copies, changed)
			lines[number] = line + 1
			line += bytes.Count(changed, []byte("\n"))
		}
	}
	at := 0
	for _, place := range sortedKeys(inserted) {
		out = append(append(out, src[at:place]...), inserted[place]...)
		at = place
	}
	return append(append(out, src[at:]...), bytes.Join(copies, nil)...), lines, nil
}

func sortedKeys[V any](m map[int]V) (keys []int) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

var compileError = regexp.MustCompile(`(?m)^(?:\./)?([\w./-]+\.go):(\d+):\d+: `)

// switchAll writes the project with all mutants into w.path("switched"), and remembers the numbers
// of those that it could switch.
func (w *workshop) switchAll(ctx context.Context, all []mutant) error {
	if err := copyTree(w.root, w.path("switched")); err != nil {
		return err
	}
	byFile := map[string]map[int]mutant{}
	for i, m := range all {
		if byFile[m.file] == nil {
			byFile[m.file] = map[int]mutant{}
		}
		byFile[m.file][i+1] = m
	}
	for {
		w.numbers = map[string]int{}
		lines := map[string]map[int]int{}
		var pkgs []string
		for file, mutants := range byFile {
			var err error
			if lines[file], err = w.switchFile(file, mutants); err != nil {
				return err
			}
			for number := range lines[file] {
				w.numbers[mutants[number].id()] = number
			}
			pkgs = append(pkgs, "./"+path.Dir(file))
		}
		slices.Sort(pkgs)
		if pkgs = slices.Compact(pkgs); len(pkgs) == 0 {
			return nil
		}
		cmd := exec.CommandContext(ctx, "go", append([]string{"build", allErrors}, pkgs...)...)
		cmd.Dir, cmd.Env = w.path("switched"), w.env
		said, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		refused := 0
		for _, found := range compileError.FindAllStringSubmatch(string(said), -1) {
			file := found[1]
			line, _ := strconv.Atoi(found[2])
			number := 0
			for n, begins := range lines[file] {
				if begins <= line && (number == 0 || begins > lines[file][number]) {
					number = n
				}
			}
			if _, there := byFile[file][number]; there {
				delete(byFile[file], number)
				refused++
			}
		}
		if refused == 0 {
			return fmt.Errorf("the mutants together do not build: %w\n%s", err, said)
		}
	}
}

// switchFile writes one file of the project with its mutants.
func (w *workshop) switchFile(file string, mutants map[int]mutant) (lines map[int]int, err error) {
	src, err := os.ReadFile(filepath.Join(w.root, file))
	if err != nil {
		return nil, err
	}
	out, lines, err := switched(src, mutants)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), "", src, parser.PackageClauseOnly)
	if err != nil {
		return nil, err
	}
	on := fmt.Sprintf(switchSource, parsed.Name.Name, w.path("on"), record, w.path("reached"))
	if err := os.WriteFile(w.path("switched", path.Dir(file), "mutant_switch.go"), []byte(on), 0o600); err != nil {
		return nil, err
	}
	return lines, os.WriteFile(w.path("switched", file), out, 0o600)
}
