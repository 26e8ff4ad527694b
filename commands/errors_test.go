package commands

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// docs/exit-codes.md says what the table of kinds says, no less and no more.
func TestExitCodesAreDocumented(t *testing.T) {
	b, err := os.ReadFile("../docs/exit-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	row := regexp.MustCompile(`(?m)^\| (\d+) \|.*\| ([^|]*) \|$`)
	for _, m := range row.FindAllStringSubmatch(string(b), -1) {
		for code := range strings.SplitSeq(m[2], ",") {
			if code = strings.Trim(code, " `"); code != "" {
				documented[m[1]+" "+code] = true
			}
		}
	}
	if len(documented) == 0 {
		t.Fatal("no table was found in docs/exit-codes.md")
	}
	used := map[string]bool{strconv.Itoa(exitFailed) + " FAILED": true}
	for _, k := range kinds {
		used[strconv.Itoa(k.exit)+" "+k.code] = true
	}
	for pair := range used {
		if !documented[pair] {
			t.Errorf("docs/exit-codes.md does not say %s", pair)
		}
	}
	for pair := range documented {
		if !used[pair] {
			t.Errorf("docs/exit-codes.md says %s, which nothing ends with", pair)
		}
	}
	for exit, want := range map[int]int{exitDone: 0, exitFailed: 1, exitUsage: 2, exitNoVault: 3, exitNotFound: 4, exitDenied: 5, exitApproval: 6, exitBusy: 7, exitDamaged: 8} {
		if exit != want {
			t.Errorf("an exit code was renumbered: %d is %d", want, exit)
		}
	}
}
