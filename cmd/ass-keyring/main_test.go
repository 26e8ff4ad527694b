package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/zalando/go-keyring"
)

func TestRun(t *testing.T) {
	keyring.MockInit()
	do := func(stdin string, args ...string) (exit int, out, errs string) {
		var o, e strings.Builder
		exit = run(args, strings.NewReader(stdin), &o, &e)
		return exit, o.String(), e.String()
	}
	for _, c := range []struct {
		stdin, args string
		exit        int
		out         string
	}{
		{"", "get a", 4, ""},
		{"hunter2 \n", "set a", 0, ""},
		{"", "get a", 0, "hunter2 \n"},
		{"hunter3", "set a", 0, ""},
		{"", "get a", 0, "hunter3"},
		{"", "get b", 4, ""},
		{"", "delete a", 0, ""},
		{"", "delete a", 4, ""},
		{"", "get a", 4, ""},
		{strings.Repeat("hunter2", 10_000), "set a", 1, ""},
		{"", "get", 2, ""},
		{"", "list a", 2, ""},
		{"", "get a b", 2, ""},
	} {
		exit, out, errs := do(c.stdin, strings.Split(c.args, " ")...)
		if exit != c.exit || out != c.out || (exit == 0) != (errs == "") || strings.Contains(errs, "hunter") {
			t.Errorf("%s: %d, %q, %q", c.args, exit, out, errs)
		}
	}
	keyring.MockInitWithError(errors.New("no bus"))
	if exit, _, errs := do("", "get", "a"); exit != 1 || !strings.Contains(errs, "cannot be used: no bus") {
		t.Errorf("without a keyring: %d, %q", exit, errs)
	}
}
