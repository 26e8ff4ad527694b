package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
)

// mutant is one small change to one file. It is text in the place of other text, so the rest of
// the file, with its line numbers and directives, stays as it is.
type mutant struct {
	file     string // from the root, with slashes
	line     int
	pattern  string
	nth      int    // among those of the pattern on this line, from 1
	source   string // the line, for people and for accepted.txt
	before   string // the two lines before it, for accepted.txt
	change   string // for people
	from, to int    // the bytes that are replaced
	by       string
}

// id names a mutant for -run: vault/tx.go:12:negate-if, and the second one of its kind on that
// line vault/tx.go:12:negate-if#2.
func (m mutant) id() string { return fmt.Sprintf("%s:%d:%s", m.file, m.line, m.kind()) }

func (m mutant) kind() string {
	if m.nth == 1 {
		return m.pattern
	}
	return fmt.Sprintf("%s#%d", m.pattern, m.nth)
}

// apply returns the file with the change.
func (m mutant) apply(src []byte) []byte {
	return slices.Concat(src[:m.from], []byte(m.by), src[m.to:])
}

// patterns are the kinds of changes. Each is tried on every node of a file; above are the nodes
// around it, the file first. What a pattern leaves out would be killed by any test, or by none.
var patterns = []struct {
	name, what string
	find       func(f *finder, n ast.Node, above []ast.Node)
}{
	{"negate-if", "the opposite of an if", negateIf},
	{"drop-check", "an if that returns an error never does", dropCheck},
	{"drop-skip", "an if that ends a function or a turn of a loop without an error never does", dropSkip},
	{"drop-call", "a call whose result nobody uses is not made", dropCall},
	{"skip-act", "a call that gives nothing but an error is not made, as if it had succeeded", skipAct},
	{"drop-append", "nothing is appended", dropAppend},
	{"nil-error", "nil is returned in the place of an error", nilError},
	{"swap-compare", "< for <=, == for !=, and the like", swapCompare},
	{"swap-logic", "&& for ||, and the reverse", swapLogic},
	{"off-by-one", "0 for 1, and the reverse", offByOne},
	{"permissions", "others may read a file or enter a folder", permissions},
	{"drop-join", "one error less in errors.Join, and what it comes from", dropJoin},
	{"drop-case", "a case that does nothing, or one that is not there if it does nothing", dropCase},
}

// finder collects the mutants of one file.
type finder struct {
	files   *token.FileSet
	src     []byte
	lines   []string
	name    string
	pattern string
	skip    func(function string) bool
	found   []mutant
}

// mutantsOf returns every mutant of a file, in the order of the lines. It leaves out the functions
// that skip names.
func mutantsOf(name string, src []byte, skip func(function string) bool) ([]mutant, error) {
	f := &finder{files: token.NewFileSet(), src: src, lines: strings.Split(string(src), "\n"), name: name, skip: skip}
	file, err := parser.ParseFile(f.files, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, p := range patterns {
		f.pattern = p.name
		ast.PreorderStack(file, nil, func(n ast.Node, above []ast.Node) bool {
			if fn, ok := n.(*ast.FuncDecl); ok && f.skip(fn.Name.Name) {
				return false
			}
			p.find(f, n, above)
			return true
		})
	}
	slices.SortStableFunc(f.found, func(a, b mutant) int { return cmp.Compare(a.line, b.line) })
	seen := map[string]int{}
	for i, m := range f.found {
		key := fmt.Sprint(m.line, m.pattern)
		seen[key]++
		f.found[i].nth = seen[key]
	}
	return f.found, nil
}

// replace adds a mutant that has by in the place of the text from one place to another.
func (f *finder) replace(from, to token.Pos, by, change string) {
	start, end := f.files.Position(from), f.files.Position(to)
	f.found = append(f.found, mutant{file: f.name, line: start.Line, pattern: f.pattern,
		source: strings.TrimSpace(f.lines[start.Line-1]),
		before: strings.Join(f.lines[max(start.Line-3, 0):start.Line-1], "\n"),
		change: change, from: start.Offset, to: end.Offset, by: by})
}

func (f *finder) text(n ast.Node) string {
	return string(f.src[f.files.Position(n.Pos()).Offset:f.files.Position(n.End()).Offset])
}

// brief is text in one line, for people.
func (f *finder) brief(n ast.Node) string {
	words := []rune(strings.Join(strings.Fields(f.text(n)), " "))
	if len(words) > 80 {
		return string(words[:80]) + "…"
	}
	return string(words)
}

// never keeps statements in the file, so that what they use stays used, but not in the program.
func (f *finder) never(from, to token.Pos, what string) {
	kept := string(f.src[f.files.Position(from).Offset:f.files.Position(to).Offset])
	f.replace(from, to, "if false {\n"+kept+"\n}", what)
}

// negateIf leaves == and != to swapCompare.
func negateIf(f *finder, n ast.Node, _ []ast.Node) {
	if n, ok := n.(*ast.IfStmt); ok {
		if compared, ok := n.Cond.(*ast.BinaryExpr); !ok || compared.Op != token.EQL && compared.Op != token.NEQ {
			f.replace(n.Cond.Pos(), n.Cond.End(), "!("+f.text(n.Cond)+")", "if !("+f.brief(n.Cond)+")")
		}
	}
}

func dropCheck(f *finder, n ast.Node, above []ast.Node) {
	if n, ok := n.(*ast.IfStmt); ok && f.fails(n.Body, above) {
		f.replace(n.Cond.Pos(), n.Cond.End(), "false && ("+f.text(n.Cond)+")", "never: if "+f.brief(n.Cond))
	}
}

// fails reports whether a block ends with an error.
func (f *finder) fails(block *ast.BlockStmt, above []ast.Node) bool {
	if len(block.List) == 0 {
		return false
	}
	switch last := block.List[len(block.List)-1].(type) {
	case *ast.ReturnStmt:
		results := resultsAround(above)
		if !endsInError(results) {
			return false
		}
		return len(last.Results) == 0 || !isNil(last.Results[len(last.Results)-1])
	case *ast.AssignStmt:
		return len(last.Lhs) == 1 && isNamed(last.Lhs[0], "err")
	}
	return false
}

func dropSkip(f *finder, n ast.Node, above []ast.Node) {
	one, ok := n.(*ast.IfStmt)
	if !ok || len(one.Body.List) == 0 || f.fails(one.Body, above) {
		return
	}
	switch one.Body.List[len(one.Body.List)-1].(type) {
	case *ast.ReturnStmt, *ast.BranchStmt:
		f.replace(one.Cond.Pos(), one.Cond.End(), "false && ("+f.text(one.Cond)+")", "never: if "+f.brief(one.Cond))
	}
}

// dropCall leaves Close out: what it would close is seldom missed before the process ends.
func dropCall(f *finder, n ast.Node, above []ast.Node) {
	call := ignored(n)
	if call == nil || !inBlock(n, above) {
		return
	}
	switch name := called(call); name {
	case "Close", "panic":
	default:
		f.never(n.Pos(), n.End(), "without: "+f.brief(n))
	}
}

// skipAct leaves out what only makes an error: nilError does that.
func skipAct(f *finder, n ast.Node, above []ast.Node) {
	var value ast.Expr
	switch n := n.(type) {
	case *ast.AssignStmt:
		if len(n.Lhs) == 1 && isNamed(n.Lhs[0], "err") {
			value = n.Rhs[0]
		}
	case *ast.ReturnStmt:
		if results := resultsAround(above); endsInError(results) && len(n.Results) == results.NumFields() {
			value = n.Results[len(n.Results)-1]
		}
	}
	call, ok := value.(*ast.CallExpr)
	if !ok || makesError[called(call)] {
		return
	}
	f.replace(call.Pos(), call.End(), "func() error { if false { return "+f.text(call)+" }; return nil }()",
		"without: "+f.brief(call))
}

var makesError = map[string]bool{"New": true, "Errorf": true, "Join": true, "Named": true, "Damaged": true,
	"Unusable": true, "damaged": true, "errorf": true, "usagef": true, "bad": true, "found": true}

func dropAppend(f *finder, n ast.Node, above []ast.Node) {
	to, ok := n.(*ast.AssignStmt)
	if !ok || to.Tok != token.ASSIGN || len(to.Rhs) != 1 || !inBlock(n, above) {
		return
	}
	if call, ok := to.Rhs[0].(*ast.CallExpr); ok && called(call) == "append" && f.text(call.Args[0]) == f.text(to.Lhs[0]) {
		f.never(n.Pos(), n.End(), "without: "+f.brief(n))
	}
}

// ignored returns the call of a statement that uses no result of it.
func ignored(n ast.Node) *ast.CallExpr {
	switch n := n.(type) {
	case *ast.ExprStmt:
		call, _ := n.X.(*ast.CallExpr)
		return call
	case *ast.DeferStmt:
		return n.Call
	case *ast.AssignStmt:
		if len(n.Rhs) == 1 && !slices.ContainsFunc(n.Lhs, func(to ast.Expr) bool { return !isNamed(to, "_") }) {
			call, _ := n.Rhs[0].(*ast.CallExpr)
			return call
		}
	}
	return nil
}

// inBlock reports whether a statement stands by itself, and is not a part of another one.
func inBlock(n ast.Node, above []ast.Node) bool {
	switch parent := above[len(above)-1].(type) {
	case *ast.BlockStmt, *ast.CaseClause:
		return true
	case *ast.CommClause:
		return parent.Comm != n
	}
	return false
}

// nilError evaluates what it does not return, which may be an act.
func nilError(f *finder, n ast.Node, above []ast.Node) {
	ret, ok := n.(*ast.ReturnStmt)
	results := resultsAround(above)
	if !ok || !endsInError(results) || len(ret.Results) != results.NumFields() {
		return
	}
	if last := ret.Results[len(ret.Results)-1]; !isNil(last) {
		f.replace(last.Pos(), last.End(), "func() error { _ = "+f.text(last)+"; return nil }()", "nil for "+f.brief(last))
	}
}

// resultsAround returns the results of the innermost function.
func resultsAround(above []ast.Node) *ast.FieldList {
	for _, n := range slices.Backward(above) {
		switch n := n.(type) {
		case *ast.FuncDecl:
			return n.Type.Results
		case *ast.FuncLit:
			return n.Type.Results
		}
	}
	return nil
}

func endsInError(results *ast.FieldList) bool {
	return results.NumFields() > 0 && isNamed(results.List[len(results.List)-1].Type, "error")
}

var otherComparison = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR,
	token.EQL: token.NEQ, token.NEQ: token.EQL,
}

// swapCompare leaves out a condition that is err != nil or err == nil: without what follows it,
// as in dropCheck and dropCase, there is more to find.
func swapCompare(f *finder, n ast.Node, above []ast.Node) {
	compared, ok := n.(*ast.BinaryExpr)
	if !ok || otherComparison[compared.Op] == 0 {
		return
	}
	switch above[len(above)-1].(type) {
	case *ast.IfStmt, *ast.CaseClause:
		if isNamed(compared.X, "err") && isNil(compared.Y) {
			return
		}
	}
	op := otherComparison[compared.Op].String()
	f.replace(compared.OpPos, compared.OpPos+token.Pos(len(compared.Op.String())), op,
		fmt.Sprintf("%s %s %s", f.brief(compared.X), op, f.brief(compared.Y)))
}

func swapLogic(f *finder, n ast.Node, _ []ast.Node) {
	joined, ok := n.(*ast.BinaryExpr)
	if !ok || joined.Op != token.LAND && joined.Op != token.LOR {
		return
	}
	op := "&&"
	if joined.Op == token.LAND {
		op = "||"
	}
	f.replace(joined.Pos(), joined.End(), fmt.Sprintf("((%s) %s (%s))", f.text(joined.X), op, f.text(joined.Y)),
		fmt.Sprintf("(%s) %s (%s)", f.brief(joined.X), op, f.brief(joined.Y)))
}

// offByOne leaves the signal of a Kill alone: it would really be sent, and maybe not to a test. What
// is returned with an error means nothing.
func offByOne(f *finder, n ast.Node, above []ast.Node) {
	number, ok := n.(*ast.BasicLit)
	if !ok || number.Value != "0" && number.Value != "1" {
		return
	}
	around := above[len(above)-1]
	switch around := around.(type) {
	case *ast.CallExpr:
		if called(around) == "Kill" {
			return
		}
	case *ast.ReturnStmt:
		if endsInError(resultsAround(above)) && !isNil(around.Results[len(around.Results)-1]) {
			return
		}
	}
	other := map[string]string{"0": "1", "1": "0"}[number.Value]
	f.replace(number.Pos(), number.End(), other, fmt.Sprintf("%s for %s in %s", other, number.Value, f.brief(around)))
}

var morePermissions = map[string]string{"0o600": "0o644", "0o700": "0o755", "0o400": "0o444"}

func permissions(f *finder, n ast.Node, _ []ast.Node) {
	if mode, ok := n.(*ast.BasicLit); ok && morePermissions[mode.Value] != "" {
		f.replace(mode.Pos(), mode.End(), morePermissions[mode.Value], morePermissions[mode.Value]+" for "+mode.Value)
	}
}

func dropJoin(f *finder, n ast.Node, _ []ast.Node) {
	call, ok := n.(*ast.CallExpr)
	if !ok || called(call) != "Join" || !isNamed(call.Fun.(*ast.SelectorExpr).X, "errors") {
		return
	}
	for i, arg := range call.Args {
		var others []string
		for j, other := range call.Args {
			if j != i {
				others = append(others, f.text(other))
			}
		}
		f.replace(call.Lparen+1, call.Rparen, strings.Join(others, ", "), "errors.Join without "+f.brief(arg))
	}
}

func dropCase(f *finder, n ast.Node, _ []ast.Node) {
	one, ok := n.(*ast.CaseClause)
	if !ok || len(one.Body)+len(one.List) == 0 {
		return
	}
	what := "default"
	if len(one.List) > 0 {
		what = "case " + f.brief(one.List[0])
	}
	if len(one.Body) == 0 {
		f.replace(one.Case, one.Colon+1, "", "without "+what)
		return
	}
	f.never(one.Body[0].Pos(), one.Body[len(one.Body)-1].End(), "nothing in "+what)
}

// called returns the name of what is called, without its package or receiver.
func called(call *ast.CallExpr) string {
	switch fun := call.Fun.(type) {
	case *ast.Ident:
		return fun.Name
	case *ast.SelectorExpr:
		return fun.Sel.Name
	}
	return ""
}

func isNamed(n ast.Node, name string) bool {
	id, ok := n.(*ast.Ident)
	return ok && id.Name == name
}

func isNil(n ast.Node) bool { return isNamed(n, "nil") }

// packageOf returns the folder of a mutant's file.
func (m mutant) packageOf() string { return path.Dir(m.file) }
