package commands

import (
	"strings"
	"unicode/utf8"

	"ass/vault"
)

// A reason is what an agent says, to a person who is to say yes. It may be untrue, and it may be made to look like
// something else that ass prints. So it is marked wherever it is shown, and on a terminal, where a long line goes on
// at the left edge, each of its lines has a mark.

// agentsWords marks what an agent says. It stands before the words, which could end with anything.
const agentsWords = "the agent's words"

// Marks of lines that are an agent's words.
const quoteMark = "  | "

// saidBy names the fields of a request that an agent has filled in freely.
func saidBy(q vault.Request) []string {
	if q.Reason == "" {
		return []string{}
	}
	return []string{"reason"}
}

// quoteLines splits an agent's words into lines that take at most so many columns, if possible between words. The lines are
// as they are shown: characters that a terminal does not show as themselves are escaped.
func quoteLines(text string, wide int) (lines []string) {
	for text = clean(text); text != ""; {
		end, space, used := 0, 0, 0
		for i, r := range text {
			if used += widthOf(r); used > wide && i > 0 {
				break
			}
			if end = i + utf8.RuneLen(r); r == ' ' {
				space = end
			}
		}
		if end < len(text) && space > 0 {
			end = space
		}
		lines = append(lines, strings.TrimRight(text[:end], " "))
		text = text[end:]
	}
	return lines
}
