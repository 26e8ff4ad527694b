package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Manual pages, made from what ass help --json says. They keep to the macros of man(7) that groff and mandoc both know.

// help is the answer of ass help --json, as far as pages need it.
type help struct {
	Version string
	Help    string
	Groups  []struct {
		Title    string
		Commands []command
	}
	Commands    []command
	Environment []struct{ Name, Help string }
	ExitCodes   []struct {
		Code    int
		Meaning string
	} `json:"exit_codes"`
}

type command struct {
	Command   string // "ass secrets get"
	Aliases   []string
	Help      string // one sentence
	Detail    string // paragraphs; lines that are indented stay as they are
	Arguments []argument
	Flags     []flagHelp
	JSON      string // the results, in one line
}

type argument struct {
	Name, Help, Default  string
	Required, Repeatable bool
}

type flagHelp struct {
	Name, Short, Help, Default, Placeholder string
	Environment                             []string
	Required, Repeatable                    bool
	TakesValue                              bool `json:"takes_value"`
}

// places are the files that ass(1) names. TestNewcomer sees that the first three are made.
var places = [][2]string{
	{"~/.local/share/ass/vault.db", "The vault ($XDG_DATA_HOME). On macOS, in ~/Library/Application Support."},
	{"~/.config/ass/config.json", "The stored credentials ($XDG_CONFIG_HOME)."},
	{"~/.local/state/ass/", "What this machine remembers about each vault ($XDG_STATE_HOME)."},
	{".assrc", "The default namespace of a project (ass init)."},
}

// manPages returns the text of each page, by the name of its file: ass.1, ass-secrets.1, ass-secrets-get.1. The date is
// that of the release; its day stands in each page.
func manPages(helpJSON []byte, date time.Time) (map[string]string, error) {
	var h help
	if err := json.Unmarshal(helpJSON, &h); err != nil {
		return nil, fmt.Errorf("ass help --json: %w", err)
	}
	if len(h.Commands) == 0 || len(h.Groups) == 0 {
		return nil, fmt.Errorf("ass help --json names no commands")
	}
	pages := map[string]string{}
	render := func(name, help string, write func(p *manPage)) {
		p := &manPage{h: &h}
		fmt.Fprintf(&p.b, ".TH %s 1 %s \"%s\" \"Agent Secret Store\"\n", escaped(strings.ToUpper(name)),
			date.UTC().Format(time.DateOnly), escaped("ass "+h.Version))
		p.b.WriteString(".ad l\n.nh\n") // names and paths are never broken
		p.section("NAME")
		p.line(escaped(name) + ` \- ` + escaped(lowerFirst(strings.TrimSuffix(help, "."))))
		write(p)
		pages[name+".1"] = p.b.String()
	}
	render("ass", h.Help, (*manPage).overview)
	leaf := map[string]bool{}
	for _, c := range h.Commands {
		leaf[c.Command] = true
		render(pageName(c.Command), c.Help, func(p *manPage) { p.command(c) })
	}
	for _, g := range h.Groups {
		for _, c := range g.Commands {
			if !leaf[c.Command] {
				render(pageName(c.Command), c.Help, func(p *manPage) { p.group(c) })
			}
		}
	}
	return pages, nil
}

func pageName(command string) string { return strings.ReplaceAll(command, " ", "-") }

// lowerFirst makes the first letter small, unless the word is a name, such as MCP.
func lowerFirst(s string) string {
	if len(s) > 1 && s[1] >= 'a' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

// manPage is a page that is being written.
type manPage struct {
	b strings.Builder
	h *help
}

// escaped returns a text for the middle of a line: every character stands for itself, and can be copied from a terminal
// as it was written.
var escaped = func() func(string) string {
	special := strings.NewReplacer(`\`, `\e`, `-`, `\-`, `'`, `\(aq`, "`", `\(ga`, `^`, `\(ha`, `~`, `\(ti`, `"`, `\(dq`)
	return func(s string) string {
		s = special.Replace(s)
		var b strings.Builder
		for _, r := range s {
			if r < 0x80 {
				b.WriteRune(r)
			} else {
				fmt.Fprintf(&b, `\[u%04X]`, r)
			}
		}
		return b.String()
	}
}()

// line writes a line of escaped text. A dot or a quote at its beginning would make it a macro.
func (p *manPage) line(text string) {
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, `'`) {
		text = `\&` + text
	}
	p.b.WriteString(text + "\n")
}

// macro writes a macro with arguments that are not escaped yet.
func (p *manPage) macro(name string, args ...string) {
	for _, arg := range args {
		name += ` "` + escaped(arg) + `"`
	}
	p.b.WriteString(name + "\n")
}

func (p *manPage) section(title string) { p.macro(".SH", title) }

// entry writes what stands at the left of a list, escaped already, and the help beside it.
func (p *manPage) entry(left, help string) {
	p.b.WriteString(".TP\n")
	p.line(left)
	p.line(escaped(help))
}

// text writes paragraphs as the pages of ass --help have them: a line that is indented stays as it is.
func (p *manPage) text(text string) {
	as, start := false, true // as it is; at the start of a section
	for line := range strings.SplitSeq(text, "\n") {
		indented := strings.HasPrefix(line, " ")
		switch {
		case line == "":
			start = false
			if as {
				p.b.WriteString(".fi\n.RE\n")
				as = false
			}
			continue
		case indented && !as:
			p.b.WriteString(".PP\n.RS 4\n.nf\n")
			as = true
		case !indented && as:
			p.b.WriteString(".fi\n.RE\n.PP\n")
			as = false
		case !indented && !start:
			p.b.WriteString(".PP\n")
		}
		start = true
		p.line(escaped(strings.TrimPrefix(line, "  ")))
	}
	if as {
		p.b.WriteString(".fi\n.RE\n")
	}
}

func bold(s string) string   { return `\fB` + escaped(s) + `\fR` }
func italic(s string) string { return `\fI` + escaped(s) + `\fR` }

func (a argument) form() string {
	form := italic("<" + a.Name + ">")
	if a.Repeatable {
		form += " ..."
	}
	if !a.Required {
		form = "[" + form + "]"
	}
	return form
}

func (f flagHelp) form() string {
	form := bold(f.Name)
	if f.Short != "" {
		form = bold(f.Short) + ", " + form
	}
	if f.TakesValue {
		form += "=" + italic(or(f.Placeholder, f.Default))
	}
	return form
}

// about is the help of a flag, with its default and the variable that sets it.
func (f flagHelp) about() string {
	text := strings.TrimSuffix(f.Help, ".") + "."
	if f.Default != "" {
		text += " The default is " + f.Default + "."
	}
	for _, v := range f.Environment {
		text += " Also set by $" + v + "."
	}
	return text
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (p *manPage) flags(title string, list []flagHelp) {
	if len(list) == 0 {
		return
	}
	p.section(title)
	for _, f := range list {
		p.entry(f.form(), f.about())
	}
}

// global reports whether every command has a flag.
func (p *manPage) global(f flagHelp) bool {
	for _, c := range p.h.Commands {
		if !slices.ContainsFunc(c.Flags, func(o flagHelp) bool { return o.Name == f.Name && o.Help == f.Help }) {
			return false
		}
	}
	return true
}

func (p *manPage) split(list []flagHelp) (own, global []flagHelp) {
	for _, f := range list {
		if p.global(f) {
			global = append(global, f)
		} else {
			own = append(own, f)
		}
	}
	return own, global
}

// command writes the page of a command.
func (p *manPage) command(c command) {
	p.section("SYNOPSIS")
	form := bold(c.Command)
	for _, a := range c.Arguments {
		form += " " + a.form()
	}
	p.line(form + " [" + italic("flags") + "]")
	own, global := p.split(c.Flags)
	p.section("DESCRIPTION")
	p.text(c.Help + "\n\n" + c.Detail)
	if len(c.Aliases) > 0 {
		group := c.Command[:strings.LastIndex(c.Command, " ")]
		p.b.WriteString(".PP\n")
		p.line("A shorter name is " + bold(group+" "+strings.Join(c.Aliases, ", "+group+" ")) + ".")
	}
	p.commands(c.Command)
	if len(c.Arguments) > 0 {
		p.section("ARGUMENTS")
		for _, a := range c.Arguments {
			text := a.Help
			if a.Default != "" {
				text += " The default is " + a.Default + "."
			}
			p.entry(a.form(), text)
		}
	}
	p.flags("OPTIONS", own)
	p.section("GLOBAL OPTIONS")
	p.line("Every command has them, and")
	p.line(escaped("ass(1) says what they do:"))
	names := make([]string, len(global))
	for i, f := range global {
		names[i] = bold(f.Name)
	}
	p.line(strings.Join(names, " ") + ".")
	if c.JSON != "" {
		p.section("JSON")
		p.line("With " + bold("--json") + ", the command prints:")
		p.b.WriteString(".PP\n")
		// The names of fields are joined by commas, and a line may break behind one.
		p.line(strings.ReplaceAll(escaped(c.JSON), ",", `,\:`))
	}
	p.section("EXIT STATUS")
	p.line("0 if all is well. " + escaped("ass(1) lists the others."))
	p.seeAlso(c.Command)
}

// group writes the page of a group of commands.
func (p *manPage) group(c command) {
	p.section("SYNOPSIS")
	p.line(bold(c.Command) + " " + italic("<command>") + " [" + italic("flags") + "]")
	p.section("DESCRIPTION")
	p.text(c.Help + "\n\n" + c.Detail)
	p.commands(c.Command)
	p.seeAlso(c.Command)
}

// commands lists the commands of a group, if it is one.
func (p *manPage) commands(group string) {
	list := p.below(group)
	if len(list) > 0 {
		p.section("COMMANDS")
	}
	for _, c := range list {
		p.entry(reference(c.Command), c.Help)
	}
}

// below lists the commands of a group.
func (p *manPage) below(group string) (list []command) {
	for _, c := range p.h.Commands {
		if strings.HasPrefix(c.Command, group+" ") {
			list = append(list, c)
		}
	}
	return list
}

func reference(command string) string { return bold(pageName(command)) + "(1)" }

// seeAlso names ass(1), the group of a command, and the group's other commands.
func (p *manPage) seeAlso(of string) {
	list := []string{reference("ass")}
	group := strings.Join(strings.Fields(of)[:2], " ")
	if below := p.below(group); len(below) > 0 {
		if of != group {
			list = append(list, reference(group))
		}
		for _, c := range below {
			if c.Command != of && of != group {
				list = append(list, reference(c.Command))
			}
		}
	}
	p.section("SEE ALSO")
	p.line(strings.Join(list, ", "))
}

// overview writes ass(1).
func (p *manPage) overview() {
	p.section("SYNOPSIS")
	p.line(bold("ass") + " " + italic("<command>") + " [" + italic("flags") + "]")
	p.section("DESCRIPTION")
	p.text(`A secret vault for AI agents and the people who run them. Secrets are encrypted and stored at
paths, such as production/gemini/GEMINI_API_KEY. The vault is one file on this machine: there is no server, and nothing
uses the network.

The first secret makes the vault, if there is none:

  printf %s "$KEY" | ass secrets set production/gemini/GEMINI_API_KEY
  ass secrets get production/gemini/GEMINI_API_KEY

Then run "ass login" once on a terminal. It shows the owner key, so that you can keep it on paper, and asks for a
passphrase.

An agent has a key of its own, which opens what its scopes cover:

  ass agents create --name worker --scopes "secrets:read:production/gemini/*"

A program gets secrets in its environment, and nowhere on the disk:

  ass run --namespace production -- program

The log says who read what, and proves that no entry was altered:

  ass audit
  ass audit verify`)
	p.section("COMMANDS")
	for _, g := range p.h.Groups {
		p.macro(".SS", g.Title)
		for _, c := range g.Commands {
			p.entry(reference(c.Command), c.Help)
		}
	}
	_, global := p.split(p.h.Commands[0].Flags)
	p.flags("GLOBAL OPTIONS", global)
	p.section("ENVIRONMENT")
	p.line("A flag that a variable sets has that variable in its description.")
	for _, v := range p.h.Environment {
		p.entry(bold(v.Name), v.Help)
	}
	p.section("FILES")
	for _, f := range places {
		p.entry(italic(f[0]), f[1])
	}
	p.section("EXIT STATUS")
	for _, e := range p.h.ExitCodes {
		p.entry(bold(fmt.Sprint(e.Code)), upperFirst(e.Meaning)+".")
	}
	p.section("SEE ALSO")
	var pages []string
	for _, g := range p.h.Groups {
		for _, c := range g.Commands {
			pages = append(pages, reference(c.Command))
		}
	}
	p.line(strings.Join(pages, ", "))
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
