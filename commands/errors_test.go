package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ass/vault"
)

// docs/exit-codes.md says exactly what the table of kinds says.
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
	for _, k := range kinds() {
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
	for exit, want := range map[int]int{exitDone: 0, exitFailed: 1, exitUsage: 2, exitNoVault: 3, exitNotFound: 4,
		exitDenied: 5, exitApproval: 6, exitBusy: 7, exitDamaged: 8} {
		if exit != want {
			t.Errorf("an exit code was renumbered: %d is %d", want, exit)
		}
	}
}

// If two errors are reported as one, each keeps its own way out.
func TestTwoWaysOut(t *testing.T) {
	err := errors.Join(vault.ErrTierFixed, vaultFault(&fs.PathError{Op: "write", Path: "/v/vault.db", Err: syscall.ENOSPC}))
	text, way := tellError(err)
	if way != "leave --tier out; make room and run it again" || strings.Contains(text, "leave") || strings.Contains(text, "room and") {
		t.Errorf("%q, %q", text, way)
	}
}

// An error of a disk comes with advice, on one line. The message does not claim that nothing was
// changed if that is unknown.
func TestDiskFaults(t *testing.T) {
	write := func(said error) error { return &fs.PathError{Op: "write", Path: "/v/vault.db", Err: said} }
	for said, want := range map[error]string{
		syscall.ENOSPC: "make room and run it again",
		syscall.EDQUOT: "make room and run it again",
		syscall.EFBIG:  "let files be larger (ulimit -f), and run it again",
		syscall.EIO:    "copy the vault to another one before anything else",
		syscall.EROFS:  "so it must be writable; as the owner, read with --unlogged",
		syscall.EACCES: "so it must be writable; as the owner, read with --unlogged",
	} {
		err := vaultFault(write(said))
		exit, code := classify(err)
		text := withWayOut(err)
		if exit != exitFailed || code != "FILE_ERROR" || !strings.HasPrefix(text, "write /v/vault.db: ") ||
			!strings.Contains(text, "; nothing was changed") || !strings.HasSuffix(text, want) {
			t.Errorf("%v: %d %s %s", said, exit, code, text)
		}
	}
	err := vaultFault(fmt.Errorf("%w: %w", vault.ErrMaybeDone, write(syscall.ENOSPC)))
	exit, code := classify(err)
	if text := withWayOut(err); exit != exitFailed || code != "MAYBE_DONE" || strings.Contains(text,
		"nothing was changed") {
		t.Errorf("%d %s %s", exit, code, text)
	}
}
