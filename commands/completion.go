package commands

import (
	_ "embed"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Completion: the shell calls ass to learn what may come next. The answer names secrets
// and agents, but ass opens nothing, asks for no passphrase and logs nothing. The
// scripts pass the answers on literally: no shell expands them.

type completionGroup struct {
	Script  completionScript  `cmd:"" name:"script" default:"withargs" hidden:"" help:"Print the script."`
	Install completionInstall `cmd:"" help:"Put the script where the shell looks for it."`
}

type completionScript struct {
	Shell string `arg:"" help:"bash, zsh or fish."`
}

func (completionScript) Help() string {
	return `ass completion install puts it where your shell finds it. By hand:

  bash: ass completion bash > ~/.local/share/bash-completion/completions/ass
  zsh:  ass completion zsh > ~/.zfunc/_ass    (with ~/.zfunc in fpath)
  fish: ass completion fish > ~/.config/fish/completions/ass.fish

Paths, agents, tokens, requests and events are completed as well; zsh and fish show what
each is.`
}

//go:embed completion/ass.bash
var bashCompletion string

//go:embed completion/ass.zsh
var zshCompletion string

//go:embed completion/ass.fish
var fishCompletion string

func (c completionScript) Run(a *app) error {
	script, err := completionFor(c.Shell)
	if err != nil {
		return err
	}
	a.out.write(script)
	return nil
}

// completionFor returns the script for a shell.
func completionFor(shell string) (string, error) {
	script, ok := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[shell]
	if !ok {
		return "", usagef("completion supports bash, zsh and fish")
	}
	return script, nil
}

// The scripts call these two with the words of the command line, up to and including the one being typed. The answers
// are lines: what may come next, and for suggestCommand a tab and what that is. It answers filesLine if the name of a
// file may come next. The scripts of older versions call completeCommand.
const (
	completeCommand = "__complete"
	suggestCommand  = "__suggest"
	filesLine       = ":files"
)

// candidate is what may come next on a command line.
type candidate struct{ text, about string }

// complete answers the shell. It reports no error: nobody asked for anything yet.
func (a *app) complete(root *kong.Node, command string, words []string) error {
	a.out.quiet = true
	a.LockTimeout = 0
	if len(words) == 0 {
		return nil
	}
	current, found := words[len(words)-1], false
	list, files := a.suggest(root, words[:len(words)-1], current)
	for _, s := range list {
		switch {
		case !strings.HasPrefix(s.text, current):
			continue
		case command == completeCommand || s.about == "":
			a.out.line("%s", s.text)
		default:
			a.out.line("%s\t%s", s.text, s.about)
		}
		found = true
	}
	if files && !found && command == suggestCommand {
		a.out.line(filesLine)
	}
	return nil
}

// suggest returns what may come after some words. Some of it may not begin with the current word. files says whether
// it may be the name of a file.
func (a *app) suggest(root *kong.Node, words []string, current string) (list []candidate, files bool) {
	if slices.Contains(words, "--") {
		return nil, true // the words after -- belong to another program
	}
	l := readTyped(root, words)
	a.Profile, a.APIURL = orElse(l.profile, a.getenv("ASS_PROFILE")), l.apiURL
	does := orDefault(l.at)
	name, value, hasValue := strings.Cut(current, "=")
	switch f := flagNamed(l.at, name); {
	case l.waiting != nil:
		return a.values(l, l.waiting.Value, current)
	case f != nil && hasValue:
		list, files = a.values(l, f.Value, value)
		return prefixed(list, name+"="), files
	case strings.HasPrefix(current, "-"):
		if l.help {
			return []candidate{{"--all", "All commands on one page."}, {"--json", "For programs."}}, false
		}
		for _, f := range flagsOf(does) {
			list = append(list, candidate{"--" + f.Name, f.Help})
		}
	case len(l.at.Children) > 0 && l.given == 0:
		for _, n := range l.at.Children {
			if !n.Hidden {
				list = append(list, candidate{n.Name, n.Help})
			}
		}
		if does != l.at && len(does.Positional) > 0 && !l.help { // what the group takes without a command
			more, _ := a.values(l, does.Positional[0], current)
			list = append(list, more...)
		}
		if l.at.Type == kong.ApplicationNode && !l.help {
			list = append(list, candidate{"help", "Show help."})
		}
	case len(does.Positional) > 0 && !l.help:
		if i := min(l.given, len(does.Positional)-1); i == l.given || does.Positional[i].IsCumulative() {
			return a.values(l, does.Positional[i], current)
		}
	}
	return list, false
}

func prefixed(list []candidate, by string) []candidate {
	list = slices.Clone(list)
	for i := range list {
		list[i].text = by + list[i].text
	}
	return list
}

// typed is the part of a command line that is there.
type typed struct {
	at      *kong.Node // the group or command that it reaches
	waiting *kong.Flag // that has no value yet; nil for none
	given   int        // number of arguments
	help    bool       // it begins with help

	namespace, profile, apiURL string
}

// readTyped follows a command line.
func readTyped(root *kong.Node, words []string) typed {
	l := typed{at: root}
	if len(words) > 0 && words[0] == "help" {
		l.help, words = true, words[1:]
	}
	for _, w := range words {
		name, value, hasValue := strings.Cut(w, "=")
		f := flagNamed(l.at, name)
		switch {
		case l.waiting != nil:
			l.set(l.waiting, w)
			l.waiting = nil
		case f != nil && hasValue:
			l.set(f, value)
		case f != nil && !f.IsBool():
			l.waiting = f
		case strings.HasPrefix(w, "-"):
		case childNamed(l.at, w) != nil:
			l.at = childNamed(l.at, w)
		default:
			if l.given++; l.namespace == "" && commandName(l.at) == "env export" {
				l.namespace = w
			}
		}
	}
	return l
}

func (l *typed) set(f *kong.Flag, value string) {
	switch f.Name {
	case "namespace":
		l.namespace = value
	case "profile":
		l.profile = value
	case "api-url":
		l.apiURL = value
	}
}

// flagNamed returns the flag of a command that a word names; nil for none.
func flagNamed(n *kong.Node, word string) *kong.Flag {
	if !strings.HasPrefix(word, "-") {
		return nil
	}
	for _, f := range flagsOf(orDefault(n)) {
		if word == "--"+f.Name || word == shortOf(f) {
			return f
		}
	}
	return nil
}
