package commands

import (
	"encoding"
	"reflect"
	"strings"
)

// What ass help says about the results: the commands that print them, and their fields.

// result is one thing that a command may print with --json.
type result struct {
	of   any    // a value of its type; nil if it is not JSON
	when string // when it is printed, and where, if that is not always and stdout
}

// results returns what each command may print with --json. ass help shows it, and a test
// runs every command and compares.
func results() map[string][]result {
	one := func(of any) []result { return []result{{of, ""}} }
	left := result{leftOutResult{}, "on stderr, if secrets are left out"}
	return map[string][]result{
		"login":             one(loginResult{}),
		"logout":            one(logoutResult{}),
		"profile list":      one(profilesResult{}),
		"profile use":       one(profileResult{}),
		"profile rename":    one(profileResult{}),
		"profile delete":    one(logoutResult{}),
		"whoami":            {{whoamiResult{}, ""}, {whoamiSelfResult{}, "of an agent or a token"}},
		"status":            one(statusResult{}),
		"unlock":            one(unlockResult{}),
		"lock":              one(lockResult{}),
		"passphrase":        one(passphraseResult{}),
		"key show":          one(keyResult{}),
		"key test":          one(keyTestResult{}),
		"key split":         one(splitResult{}),
		"key list":          one(keyListResult{}),
		"key add":           one(keyAddResult{}),
		"key remove":        one(newOwnerResult{}),
		"key join":          {{keyResult{}, ""}, {loginResult{}, "with --login"}},
		"secrets list":      {{secretsResult{}, ""}, {namespacesResult{}, "for the namespace '*'"}},
		"secrets get":       {{valueResult{}, `encoding is "base64" if the value is not UTF-8`}},
		"secrets set":       one(storedResult{}),
		"secrets rotate":    one(storedResult{}),
		"secrets find":      one(secretsResult{}),
		"secrets edit":      one(storedResult{}),
		"secrets diff":      one(diffResult{}),
		"secrets describe":  one(describedResult{}),
		"secrets due":       one(dueResult{}),
		"secrets delete":    {{deleteResult{}, ""}, {deleteAllResult{}, "with --recursive"}},
		"secrets restore":   one(restoredResult{}),
		"secrets rollback":  one(storedResult{}),
		"secrets history":   {{historyResult{}, "total is how many there are, if --limit leaves some out"}},
		"secrets prune":     one(pruneResult{}),
		"secrets mv":        one(movedResult{}),
		"secrets cp":        one(movedResult{}),
		"secrets purge":     one(purgeResult{}),
		"leaks of":          one(leakedResult{}),
		"env import":        {{importResult{}, "references are the keys whose values have ${NAME} in them, acting those that act on the program that gets them"}},
		"import":            one(storeImportResult{}),
		"env export":        {{exportResult{}, "with --output"}, {nil, "without --output, the file itself"}, left},
		"run":               {{nil, "what the program prints"}, left},
		"inject":            {{injectResult{}, "with --out"}, {nil, "without --out, the file itself"}},
		"agents list":       one(agentsResult{}),
		"agents create":     {{newKeyResult{}, ""}, {keyFileResult{}, "with --write-key"}},
		"agents show":       one(agentResult{}),
		"agents update":     one(updatedAgentResult{}),
		"agents rotate-key": {{newKeyResult{}, ""}, {keyFileResult{}, "with --write-key"}},
		"agents revoke":     one(revokedResult{}),
		"tokens issue":      one(issueResult{}),
		"tokens list":       one(tokensResult{}),
		"tokens revoke":     one(tokenRevokedResult{}),
		"approvals":         {{nil, "nothing: it is for a terminal"}},
		"approvals list":    {{requestsResult{}, "total is how many there are, if --limit leaves some out"}},
		"approvals show":    one(requestJSON{}),
		"approvals watch":   {{requestJSON{}, "one a line"}, {canaryResult{}, "one a line, for the read of a canary"}},
		"approvals wait":    one(requestsResult{}),
		"approvals approve": one(decidedResult{}),
		"approvals deny":    one(decidedResult{}),
		"mcp serve":         {{nil, "the messages of the protocol"}},
		"mcp config":        {{mcpConfigResult{}, "with --write"}, {nil, "without --write, the block itself"}},
		"request":           one(requestJSON{}),
		"explain":           {{explainResult{}, ""}, {explainAgentResult{}, "with --agent"}},
		"leaks scan":        one(leaksResult{}),
		"audit":             {{logResult{}, ""}, {eventJSON{}, "one a line, with --tail"}},
		"audit verify":      {{verifyResult{}, ""}, {archiveResult{}, "with --archive"}},
		"audit report":      one(reportResult{}),
		"audit archive":     one(archivedResult{}),
		"vault info":        one(infoResult{}),
		"vault check":       one(verifyResult{}),
		"vault backup":      {{backupResult{}, ""}, {nil, "with --to-stdout, the backup itself"}},
		"vault restore":     {{restoreResult{}, ""}, {verifyResult{}, "with --verify-only"}},
		"vault salvage":     one(salvageResult{}),
		"vault compact":     one(compactResult{}),
		"vault rekey":       {{rekeyResult{}, ""}, {newOwnerResult{}, "with --new-key"}},
		"vault accept":      one(acceptResult{}),
		"vault upgrade":     one(upgradeResult{}),
		"init":              {{initResult{}, ""}, {trustResult{}, "with --trust"}},
		"open":              one(openResult{}),
		"completion":        {{nil, "the script itself"}},
		"version":           one(versionResult{}),

		"helper git":         {{helperLinkResult{}, "with --install"}, {nil, "without it, what git reads"}},
		"helper docker":      {{helperLinkResult{}, "with --install"}, {nil, "without it, what docker reads"}},
		"helper aws":         {{nil, "what the AWS tools read"}},
		"helper kube":        {{nil, "what kubectl reads"}},
		"helper ssh-askpass": {{helperLinkResult{}, "with --install"}, {nil, "without it, the answer itself"}},
		"helper claude":      {{nil, "the value itself"}},
		"completion install": one(completionResult{}),
	}
}

// shapes describes results in one line.
func shapes(list []result) string {
	var said []string
	for _, r := range list {
		switch {
		case r.of == nil:
			said = append(said, r.when)
		case r.when == "":
			said = append(said, shape(reflect.TypeOf(r.of)))
		default:
			said = append(said, shape(reflect.TypeOf(r.of))+" ("+r.when+")")
		}
	}
	return strings.Join(said, "; ")
}

// shape returns the fields of a type as JSON without the values: {"name","optional"?,
// "list":[…],"object":{"field"}}.
func shape(t reflect.Type) string {
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return "" // a string
	}
	switch t.Kind() {
	case reflect.Pointer:
		return shape(t.Elem())
	case reflect.Slice:
		if of := shape(t.Elem()); of != "" {
			return "[" + of + "]"
		}
		return "[…]"
	case reflect.Map:
		return "{…}"
	case reflect.Struct:
		return "{" + strings.Join(fields(t), ",") + "}"
	}
	return ""
}

func fields(t reflect.Type) (list []string) {
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			list = append(list, fields(f.Type)...)
			continue
		case name == "":
			continue // not exported
		}
		said := `"` + name + `"`
		if of := shape(f.Type); of != "" {
			said += ":" + of
		}
		if options == "omitempty" {
			said += "?"
		}
		list = append(list, said)
	}
	return list
}
