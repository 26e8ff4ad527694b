package commands

import (
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"ass/tokens"
)

// People type the words of the tool that they come from, and mistype ours. The error for a word that ass does not
// know names the command that was most likely meant. It never repeats what could be a value.

// elsewhere has a line for words of other tools, and behind the colon what they mean. The first that is there is
// meant: in the group that was typed, or of the secrets. One that begins with ass is meant as it stands. A word with
// its group counts before the word alone. It is a text because a map would be filled at the start of each command.
const elsewhere = `
show view get: get, show
read cat print reveal fetch decrypt clip get-secret-value: get
put insert write update store save patch encrypt create-secret put-secret-value update-secret: set
edit: edit, set
add new: set, create, issue
create: set, issue, create
register: create
gen generate get-random-password pwgen: issue, create, ass secrets set PATH --generate
remove rm del delete: delete, revoke
unset delete-secret: delete
destroy erase shred: purge, revoke
prune: prune, purge
undelete recover restore-secret: restore
rotate roll regenerate rotate-secret: rotate, rotate-key
ls tree list-secrets: list
find search grep: find, list
namespaces folders projects environments: ass secrets list '*'
secrets/log secrets/versions versions: history
diff: diff, history
describe info stat exists metadata describe-secret: describe, show, history
revert undo: rollback
mv move rename: mv
cp copy: cp
accept allow: approve
grant permit: approve, ass agents create
reject refuse decline: deny
approve-all: ass approvals approve --all
import upload push load: ass env import
export download dump pull: ass env export
exec exec-env exec-file shell: ass run
template substitute render: ass inject
signin setup configure vault/init vault/create vault/new: ass login
signout: ass logout
me: ass whoami
config doctor: ass status
seal vault/seal: ass lock
unseal vault/unseal: ass unlock
dashboard ui web gui: ass open
man docs commands: ass help --all
log logs events activity audit/list audit/ls audit/show audit/get: ass audit
tail audit/follow audit/watch: ass audit --tail
updatekeys: ass vault rekey
policy acl permissions: ass explain
audit/check: verify
audit/export: archive
tokens/get tokens/show tokens/info tokens/describe tokens/lookup: list
fsck: ass vault check
vault/verify: check
vault/dump vault/export: backup
vault/import: restore
vault/repair: salvage
vault/show vault/get vault/describe vault/stat: info
vault/migrate: upgrade
vault/shrink vault/vacuum: compact
mcp/start mcp/run mcp/server: serve
mcp/install mcp/add mcp/setup mcp/init: config
`

// groupsElsewhere has a line for what other tools have before a word, and behind the colon our group; none for no
// group.
const groupsElsewhere = `
kv item items document note secretsmanager: secrets
auth account:
operator: vault
user users identity: agents
service-token: tokens
`

// flagsElsewhere has a line for flags of other tools, and behind the colon ours; the first that the command has is
// meant.
const flagsElsewhere = `
format: json
output o: output, out, json
plain raw quiet q: silent
yes y assume-yes no-confirm confirm overwrite: force
f: force, file
expires expires-in expiry duration: ttl
env e environment: env, namespace
project folder p: namespace
secret-id: key
secret-string: value
policy permissions: scopes
follow watch: tail
n: limit
event type: action
from: since
to: until
comment message m: reason
i: in
level: tier
uses num-uses: max-uses
`

// meanings returns what a table has for a word. ok is false if the table does not have the word.
func meanings(table, word string) (list []string, ok bool) {
	for line := range strings.Lines(table) {
		words, means, _ := strings.Cut(strings.TrimSpace(line), ":")
		if word != "" && slices.Contains(strings.Fields(words), word) {
			return strings.Split(strings.TrimSpace(means), ", "), true
		}
	}
	return nil, false
}

// meant returns what a word of another tool means behind a group, or anywhere.
func meant(group, word string) []string {
	here, _ := meanings(elsewhere, group+"/"+word)
	anywhere, _ := meanings(elsewhere, word)
	return append(here, anywhere...)
}

// commandMeant returns the command that a word most likely means behind a group, "" for none. next is the word after
// it, "" for none.
func commandMeant(at *kong.Node, word, next string) string {
	top, here := root(at), commandName(at)
	secrets := childNamed(top, "secrets")
	words := meant(here, word)
	if m := nodeFor(at, word, words); m != "" {
		return m
	}
	if here == "" || here == "env" || here == "vault" {
		if m := nodeFor(secrets, word, words); m != "" {
			return m
		}
	}
	if group, ok := meanings(groupsElsewhere, word); ok && here == "" {
		return behind(top, childNamed(top, group[0]), next)
	}
	if one := nearest(at, word); one != nil {
		return behind(top, one, next)
	}
	for _, group := range append([]*kong.Node{top}, top.Children...) { // a command without its group, or in another
		if c := childNamed(group, word); c != nil && !c.Hidden && (here == "" || group == top) {
			return commandName(c)
		}
	}
	if one := nearest(secrets, word); one != nil && here == "" {
		return commandName(one)
	}
	return ""
}

// behind returns the command of a group that the next word means; the group if it means none.
func behind(top, group *kong.Node, next string) string {
	switch {
	case group == nil && next != "":
		return commandMeant(top, next, "")
	case group == nil:
		return ""
	}
	if next != "" && len(group.Children) > 0 {
		if m := nodeFor(group, next, meant(commandName(group), next)); m != "" {
			return m
		}
	}
	return commandName(group)
}

// nodeFor returns the command of a group that a word names, or else the first of some others that is there.
func nodeFor(group *kong.Node, word string, others []string) string {
	for _, name := range append([]string{word}, others...) {
		if text, ok := strings.CutPrefix(name, "ass "); ok {
			return text
		}
		if c := childNamed(group, name); c != nil && !c.Hidden {
			return commandName(c)
		}
	}
	return ""
}

// commandsOf returns the names of the commands of a group.
func commandsOf(group *kong.Node) (names []string) {
	for _, c := range group.Children {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return names
}

// nearest returns the command of a group whose name is like a word; nil for none.
func nearest(group *kong.Node, word string) *kong.Node {
	var names []string
	for _, c := range group.Children {
		if !c.Hidden {
			names = append(append(names, c.Name), c.Aliases...)
		}
	}
	if like := alike(word, names); len(word) > 3 && len(like) > 0 {
		return childNamed(group, like[0])
	}
	return nil
}

// flagMeant returns the flag of a command that a word most likely means, "" for none. The word is without dashes.
func flagMeant(names []string, word string) string {
	others, _ := meanings(flagsElsewhere, word)
	for _, name := range others {
		if slices.Contains(names, name) {
			return "--" + name
		}
	}
	if like := alike(word, names); len(word) > 1 && len(like) > 0 {
		return "--" + like[0]
	}
	return ""
}

// flagNames returns the names of the flags that are fields of commands or groups.
func flagNames(of ...any) (names []string) {
	for _, x := range of {
		var l quickLine
		l.fields(reflect.New(reflect.TypeOf(x).Elem()).Elem())
		for _, f := range l.flags {
			names = append(names, f.name)
		}
	}
	return names
}

// unknownWord explains a word that is not known: an argument where a command should be, or a flag. token is the word.
func (a *app) unknownWord(err *kong.ParseError, token, command, see string, args []string) error {
	at := err.Context.Model.Node
	if n := err.Context.Selected(); n != nil {
		at = n
	}
	isFlag := strings.HasPrefix(token, "-")
	name, _, _ := strings.Cut(token, "=")
	named := ""
	if unknownName().MatchString(name) || isFlag && len(token) == 2 && slices.Contains(args, token) {
		named = " " + name
	} else { // it may be a value, so it is not repeated
		name = ""
	}
	if isFlag {
		names := []string{"version"} // which kong does not know
		if at.Parent != nil {
			names = nil
		}
		for _, f := range flagsOf(orDefault(at)) {
			names = append(names, f.Name)
		}
		see = didYouMeanOr(flagMeant(names, strings.TrimLeft(name, "-")), see)
		if slices.Contains(takesValue, command) {
			return usagef("unknown flag (put a value that begins with - after --, or pass it through stdin)").
				hint("%s", see)
		}
		return usagef("unknown flag%s", named).
			hint("%s", see)
	}
	if at.Parent != nil && at.Parent.DefaultCmd == at && !slices.Contains(args, at.Name) {
		at = at.Parent // which runs it, because the word was no command
		see = "see: ass " + commandName(at) + " --help"
	}
	if len(at.Children) == 0 {
		return usagef("too many arguments").
			hint("%s", see)
	}
	next := ""
	if i := slices.Index(args, token); i >= 0 && i+1 < len(args) {
		next = args[i+1]
	}
	meant := ""
	if name != "" {
		meant = commandMeant(at, name, next)
	}
	if _, err := tokens.ParsePath(token); meant == "" && err == nil && (commandName(at) == "" ||
		commandName(at) == "secrets") {
		meant = "secrets get PATH"
	}
	if meant != "" {
		meant = "ass " + meant
	}
	return usagef("unknown command%s", named).
		hint("%s", didYouMeanOr(meant, see))
}

// didYouMeanOr is a way out: what was most likely meant, if anything, and where to see more.
func didYouMeanOr(meant, see string) string {
	if meant == "" {
		return see
	}
	return "did you mean: " + meant + "? " + see
}
