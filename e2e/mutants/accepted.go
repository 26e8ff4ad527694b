package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
)

// Two files name mutants of their own: accepted.txt those that no test can or should kill, with the
// reason, and list.txt those that matter most. Each mutant has a block of lines: its pattern (with #2
// for the second one of the pattern on its line) and file, a part of its line of source, and in
// accepted.txt the reason. If the line says nothing of its own, such as return err, a part of one of
// the two lines before it serves. There are no line numbers, because the code moves.
var (
	//go:embed accepted.txt
	acceptedList string
	//go:embed list.txt
	matterList string
)

type block struct {
	kind, file, source, reason string
}

// parseBlocks reads the blocks of a file. Lines that begin with a # are comments.
func parseBlocks(text string) (all []block, err error) {
	var lines []string
	for line := range strings.Lines(text + "\n\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "#"):
		case line != "":
			lines = append(lines, line)
		case len(lines) > 0:
			kind, file, ok := strings.Cut(lines[0], " ")
			if !ok || len(lines) < 2 {
				return nil, fmt.Errorf("%q needs a pattern and a file, and a line of source", lines[0])
			}
			all = append(all, block{kind, file, lines[1], strings.Join(lines[2:], " ")})
			lines = nil
		}
	}
	return all, nil
}

// among returns the mutants that a block is about, which should be one.
func (b block) among(all []mutant) (found []mutant) {
	sameKind := slices.DeleteFunc(slices.Clone(all), func(m mutant) bool { return b.kind != m.kind() || b.file != m.file })
	for _, textOf := range []func(mutant) string{
		func(m mutant) string { return m.source }, func(m mutant) string { return m.before },
	} {
		for _, m := range sameKind {
			if strings.Contains(textOf(m), b.source) {
				found = append(found, m)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	return found
}

// named returns the blocks of a file by the mutants that they are about. A block about no mutant is
// stale, one about several is vague, and both are errors. So is a reason where there should be none.
func named(file, text string, reasons bool, all []mutant) (by map[string]block, err error) {
	blocks, err := parseBlocks(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	by = map[string]block{}
	for _, b := range blocks {
		found := b.among(all)
		if len(found) != 1 {
			return nil, fmt.Errorf("%s: %d mutants are %s in %s at %q, not one; mend it, or remove it",
				file, len(found), b.kind, b.file, b.source)
		}
		id := found[0].id()
		if _, again := by[id]; again {
			return nil, fmt.Errorf("%s: %s is named twice", file, id)
		}
		if (b.reason != "") != reasons {
			return nil, fmt.Errorf("%s: %s in %s at %q: its reason is missing, or does not belong here", file, b.kind, b.file,
				b.source)
		}
		by[id] = b
	}
	return by, nil
}
