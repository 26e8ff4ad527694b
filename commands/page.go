package commands

import (
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// A page of help has what is special about a command first, and the flags that every
// command has in one line. Lines break between words.

// showHelp is how kong answers --help.
func (a *app) showHelp(_ kong.HelpOptions, ctx *kong.Context) error {
	n := ctx.Selected()
	if n == nil {
		n = ctx.Model.Node
	}
	a.out.write(a.page(n))
	return nil
}

// page returns the help of a command, of a group or of ass.
func (a *app) page(n *kong.Node) string {
	if isHiddenDefault(n) {
		n = n.Parent
	}
	p := a.newPage()
	p.b.WriteString("Usage: " + strings.Join(usages(n), "\n       ") + "\n")
	p.about(n)
	if n.Type == kong.ApplicationNode {
		for _, g := range commandGroups(n) {
			p.heading(g.title)
			var rows [][2]string
			for _, c := range g.nodes {
				rows = append(rows, [2]string{c.Name, c.Help})
			}
			p.columns(rows)
		}
		p.flags("Global flags", n.Flags)
		p.heading("More help")
		p.columns([][2]string{{"ass <command> --help", "Show the help of one command."},
			{"ass help --all", "Show that of all commands on one page."}, {"ass help --json", "Print the same for programs."}})
		return p.b.String()
	}
	if len(n.Children) > 0 {
		p.heading("Commands:")
		p.columns(commandRows(n))
	}
	p.parameters(n)
	p.b.WriteByte('\n')
	p.text("Global: " + strings.Join(globalFlags(n), " ") + " (ass --help)")
	return p.b.String()
}

// pages returns the help of all commands below a node. It has the global flags once.
func (a *app) pages(n *kong.Node) string {
	p := a.newPage()
	p.flags("Global flags, which every command has:", root(n).Flags)
	for _, c := range leaves(n) {
		p.heading(usages(c)[0])
		p.about(c)
		p.parameters(c)
	}
	return strings.TrimPrefix(p.b.String(), "\n")
}

// usages returns the forms of a command line that runs a command, or one of a group.
func usages(n *kong.Node) []string {
	name, does := "ass "+commandName(n), orDefault(n)
	forms := []string{name}
	for _, arg := range does.Positional {
		forms[0] += " " + arg.Summary()
	}
	switch {
	case n.Type == kong.ApplicationNode:
		forms[0] = "ass <command>"
	case len(n.Children) > 0 && does == n:
		forms[0] += " <command>"
	case len(n.Children) > 0:
		forms = append(forms, name+" <command>")
	}
	for i := range forms {
		forms[i] += " [flags]"
	}
	return forms
}

// orDefault returns the command that a group runs by itself; for any other, the node.
func orDefault(n *kong.Node) *kong.Node {
	if n.DefaultCmd != nil {
		return n.DefaultCmd
	}
	return n
}

func root(n *kong.Node) *kong.Node {
	for n.Parent != nil {
		n = n.Parent
	}
	return n
}

// ownFlags returns the flags of a command and of its groups: all but the global ones.
func ownFlags(n *kong.Node) (list []*kong.Flag) {
	for ; n.Parent != nil; n = n.Parent {
		list = append(list, n.Flags...)
	}
	return list
}

func globalFlags(n *kong.Node) (list []string) {
	for _, f := range root(n).Flags {
		if f.Name != "help" {
			list = append(list, "--"+f.Name)
		}
	}
	return list
}

// flagForm returns a flag as it is written, with what stands for its value.
func flagForm(f *kong.Flag) string {
	form := "    --" + f.Name
	if f.Short != 0 {
		form = "-" + string(f.Short) + ", --" + f.Name
	}
	if f.IsBool() {
		return form
	}
	return form + "=" + orElse(f.PlaceHolder, f.Default)
}

// commandRows lists the commands of a group, with their help.
func commandRows(group *kong.Node) (rows [][2]string) {
	for _, c := range group.Children {
		if c.Hidden {
			continue
		}
		name := c.Name
		if c.Parent.Parent != nil {
			name = "ass " + commandName(c)
		}
		if len(c.Aliases) > 0 {
			name += " (" + strings.Join(c.Aliases, ", ") + ")"
		}
		rows = append(rows, [2]string{name, c.Help})
	}
	return rows
}

type commandGroup struct {
	title string
	nodes []*kong.Node
}

// commandGroups lists the commands of ass by their groups.
func commandGroups(app *kong.Node) (groups []commandGroup) {
	for _, c := range app.Children {
		if n := len(groups); n == 0 || groups[n-1].title != c.Group.Title {
			groups = append(groups, commandGroup{title: c.Group.Title})
		}
		g := &groups[len(groups)-1]
		g.nodes = append(g.nodes, c)
	}
	return groups
}

// helpPage is a page that is being written.
type helpPage struct {
	*app
	b    strings.Builder
	wide int
}

// newPage begins a page as wide as the terminal, but no wider than is good to read.
func (a *app) newPage() *helpPage {
	const widest = 100
	return &helpPage{app: a, wide: min(columns(a.out.w), widest)}
}

func (p *helpPage) heading(title string) { p.b.WriteString("\n" + title + "\n") }

// about says what a command does.
func (p *helpPage) about(n *kong.Node) {
	p.b.WriteByte('\n')
	p.text(n.Help)
	does := orDefault(n)
	if isHiddenDefault(does) && does != n {
		p.b.WriteByte('\n')
		p.text("Without a command: " + does.Help)
	}
	for _, detail := range []string{n.Detail, does.Detail} {
		if detail != "" {
			p.b.WriteByte('\n')
			p.text(detail)
		}
		if does == n {
			break
		}
	}
}

// parameters lists the arguments and the flags of a command.
func (p *helpPage) parameters(n *kong.Node) {
	n = orDefault(n)
	if len(n.Positional) > 0 {
		p.heading("Arguments:")
		var rows [][2]string
		for _, arg := range n.Positional {
			rows = append(rows, [2]string{arg.Summary(), p.helpWithVariable(arg)})
		}
		p.columns(rows)
	}
	p.flags("Flags:", ownFlags(n))
}

func (p *helpPage) flags(title string, list []*kong.Flag) {
	var rows [][2]string
	for _, f := range list {
		if f.Hidden {
			continue
		}
		rows = append(rows, [2]string{flagForm(f), p.helpWithVariable(f.Value)})
	}
	if len(rows) > 0 {
		p.heading(title)
		p.columns(rows)
	}
}

// text writes paragraphs. A line that is indented stays as it is.
func (p *helpPage) text(text string) {
	var words []string
	end := func() {
		for _, line := range fill(words, p.wide) {
			p.b.WriteString(line + "\n")
		}
		words = nil
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" && line[0] != ' ' {
			words = append(words, strings.Fields(line)...)
			continue
		}
		end()
		p.b.WriteString(line + "\n")
	}
	end()
}

// columns writes names, and beside each what it is. A long name has a line of its own.
func (p *helpPage) columns(rows [][2]string) {
	const margin, gap, widest = 2, 2, 26
	left := 0
	for _, row := range rows {
		if n := utf8.RuneCountInString(row[0]); n <= widest {
			left = max(left, n)
		}
	}
	for _, row := range rows {
		pad := strings.Repeat(" ", margin) + row[0]
		used := margin + utf8.RuneCountInString(row[0])
		at := margin + left + gap
		if used > at-gap {
			p.b.WriteString(pad + "\n")
			pad, used = "", 0
		}
		for _, line := range fill(strings.Fields(row[1]), p.wide-at) {
			p.b.WriteString(pad + strings.Repeat(" ", at-used) + line + "\n")
			pad, used = "", 0
		}
	}
}
