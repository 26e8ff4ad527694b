package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// accepted.txt lists mutants that no test can or should kill. Each has a block of lines: its
// pattern (with #2 for the second one of the pattern on its line) and file, a part of its line of
// source, and the reason. If the line says nothing of its own, such as return err, a part of one of
// the two lines before it serves. There are no line numbers, because the code moves.
//
//go:embed accepted.txt
var acceptedList string

type argument struct {
	kind, file, source, reason string
}

// parseArguments reads the blocks of accepted.txt. Lines that begin with a # are comments.
func parseArguments(text string) (all []argument, err error) {
	var block []string
	for line := range strings.Lines(text + "\n\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
		case line != "":
			block = append(block, line)
		case len(block) > 0:
			kind, file, ok := strings.Cut(block[0], " ")
			if !ok || len(block) < 3 {
				return nil, fmt.Errorf("accepted.txt: %q needs a pattern and a file, a line of source, and a reason", block[0])
			}
			all = append(all, argument{kind, file, block[1], strings.Join(block[2:], " ")})
			block = nil
		}
	}
	return all, nil
}

// among returns the mutants that an argument is about, which should be one.
func (a argument) among(all []mutant) (found []mutant) {
	sameKind := slices.DeleteFunc(slices.Clone(all), func(m mutant) bool { return a.kind != m.kind() || a.file != m.file })
	for _, textOf := range []func(mutant) string{
		func(m mutant) string { return m.source }, func(m mutant) string { return m.before },
	} {
		for _, m := range sameKind {
			if strings.Contains(textOf(m), a.source) {
				found = append(found, m)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	return found
}

// argued returns the reason of each mutant that has one. An argument about no mutant is stale, one
// about several is vague, and both are errors.
func argued(arguments []argument, all []mutant) (reasons map[string]string, err error) {
	reasons = map[string]string{}
	for _, a := range arguments {
		found := a.among(all)
		if len(found) != 1 {
			return nil, fmt.Errorf("accepted.txt: %d mutants are %s in %s at %q, not one; mend it, or remove it",
				len(found), a.kind, a.file, a.source)
		}
		reasons[found[0].id()] = a.reason
	}
	return reasons, nil
}
