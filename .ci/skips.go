// Skips reads what go test -json prints. It shows what go test shows, and ends with 1 if a test
// failed, or was skipped that is not on a list. Each line of a list is the name of a test, in which
// * stands for anything, and a part of the reason.
//
//	go test -json ./... | go run .ci/skips.go .ci/skips LIST…
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

func main() {
	var list strings.Builder
	for _, file := range os.Args[1:] {
		b, err := os.ReadFile(file)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		list.Write(b)
	}
	said := map[string]*strings.Builder{} // by package and test
	bad, skipped := 0, 0
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text()) // a compiler's message
			continue
		}
		key := e.Package + " " + e.Test
		if said[key] == nil {
			said[key] = &strings.Builder{}
		}
		switch e.Action {
		case "output", "build-output":
			said[key].WriteString(e.Output)
			if e.Action == "build-output" {
				fmt.Print(e.Output)
			}
		case "fail", "build-fail":
			bad++
			fmt.Print(said[key])
			fmt.Printf("FAIL\t%s\t%s\n", e.Package, e.Test)
		case "skip":
			if e.Test == "" { // no test files
				break
			}
			skipped++
			if reason := said[key].String(); !allowed(list.String(), e.Test, reason) {
				bad++
				fmt.Printf("%s %s was skipped, which is on no list:\n%s", e.Package, e.Test, reason)
			}
		case "pass":
			if e.Test == "" {
				fmt.Printf("ok  \t%s\t%.1fs\n", e.Package, e.Elapsed)
			}
		}
	}
	if lines.Err() != nil {
		fmt.Fprintln(os.Stderr, lines.Err())
		os.Exit(2)
	}
	fmt.Printf("%d tests were skipped\n", skipped)
	if bad > 0 {
		os.Exit(1)
	}
}

func allowed(list, test, reason string) bool {
	for line := range strings.Lines(list) {
		name, why, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "" || name == "#" || why == "" {
			continue
		}
		is, err := path.Match(name, strings.ReplaceAll(test, "/", ":")) // * matches no slash
		if err == nil && is && strings.Contains(reason, why) {
			return true
		}
	}
	return false
}
