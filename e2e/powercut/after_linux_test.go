//go:build (amd64 || arm64) && !race

package powercut

import (
	"encoding/json"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ass/vault"
)

// after is a home after a power cut.
type after struct {
	*home
	c     *cutter
	disk  tree
	acked bool // the command has said that it is done
	fail  func(claim, format string, args ...any)

	hasVault bool
	loggedIn bool   // there is a profile
	vid      string // the vault's id
	first    uint64 // the first entry of its log
}

// checkAll checks what must hold on every disk.
func (a *after) checkAll() {
	a.checkFiles()
	_, a.hasVault = a.disk[vaultFile]
	_, a.loggedIn = a.disk[configFile]
	switch _, before := a.c.r.top.before()[vaultFile]; {
	case !a.hasVault && (before || a.acked):
		a.fail("the vault is there", "there is no vault")
		return
	case !a.hasVault: // it was not made yet
		a.use()
		return
	}
	if a.looksInside() {
		a.checkMemory()
		a.use()
	}
}

// watched are the files that must be there as a whole, or not at all.
var watched = []string{configFile, config + "/*.key", state + "/unlocked-*", vaultFile + ".replaced-*",
	vaultFile + ".log-*", project + "/*"}

func (a *after) checkFiles() {
	for _, name := range a.c.watchedNames() {
		versions, before, end := a.c.r.versions(name, a.c.end)
		now, there := a.disk[name]
		claim := path.Base(name) + " is whole"
		switch {
		case there && !among(versions, now.data):
			a.fail(claim, "%s has %d bytes, and no content that was ever meant", name, len(now.data))
		case a.acked && end && !there:
			a.fail(claim, "%s is not there", name)
		case a.acked && end && string(now.data) != string(a.c.end[name].data):
			a.fail(claim, "%s has an older content", name)
		case a.acked && !end && there:
			a.fail(path.Base(name)+" is gone", "%s has come back", name)
		case before && end && !there:
			a.fail(claim, "%s is gone", name)
		}
	}
	if b, there := a.disk[configFile]; there && !json.Valid(b.data) {
		a.fail("config.json is whole", "it is not JSON")
	}
}

// watchedNames returns the names that were there before the command, or are there in the end.
func (c *cutter) watchedNames() (names []string) {
	for _, t := range []tree{c.r.top.before(), c.end} {
		for name := range t {
			matches := func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok }
			if slices.ContainsFunc(watched, matches) && !strings.HasSuffix(name, "/") && !slices.Contains(names, name) &&
				!strings.HasSuffix(name, ".lock") && !strings.HasSuffix(name, ".gate") {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// looksInside reads the log. It reports false if the vault does not open.
func (a *after) looksInside() bool {
	v, err := vault.Open(a.in(vaultFile), vault.Options{ReadOnly: true})
	if err != nil {
		a.fail("the vault opens", "%v", err)
		return false
	}
	defer v.Close()
	since := a.c.seq
	if a.c.s.anew {
		since = 0
	}
	entries, newest, err := v.LogAfter(since, nil)
	if err != nil {
		a.fail("the vault opens", "%v", err)
		return false
	}
	if newest < a.c.seq && !a.c.s.anew {
		a.fail("the log is as long as before", "it ends at entry %d, and an ended command saw entry %d", newest, a.c.seq)
	}
	all, err := v.Log(0, nil)
	if err != nil || len(all) == 0 {
		a.fail("the vault opens", "its log has %d entries: %v", len(all), err)
		return false
	}
	a.vid, a.first = v.ID(), all[len(all)-1].Seq
	n := 0
	for _, e := range entries {
		if e.Type == a.c.s.event {
			n++
		}
	}
	if a.acked && a.c.s.event != "" && n == 0 {
		a.fail("the log tells of it", "there is no entry %s", a.c.s.event)
	}
	return true
}

// checkMemory puts an older copy in the place of the vault. This machine must notice.
func (a *after) checkMemory() {
	type older struct {
		whose string
		vault []byte
	}
	var copies []older
	if a.c.older != nil {
		copies = append(copies, older{"an ended command", a.c.older})
	}
	if a.acked && a.c.s.event != "" && !a.c.s.anew && a.c.seq > 0 {
		copies = append(copies, older{"this command", a.c.r.top.before()[vaultFile].data})
	}
	for _, o := range copies {
		old := filepath.Join(a.root, "older.db")
		if err := os.WriteFile(old, o.vault, 0o600); err != nil {
			a.t.Fatal(err)
		}
		v, err := vault.Open(old, vault.Options{ReadOnly: true, MemoryDir: a.in(state + "/seen")})
		if err != nil {
			a.t.Fatal(err)
		}
		unread, back := v.MemoryError(), v.Rollback()
		v.Close()
		switch {
		case unread != nil:
			a.fail("this machine's note can be read", "%s", strings.ReplaceAll(unread.Error(), a.root, ""))
		case back == nil:
			a.fail("this machine remembers", "it does not notice a copy from before the newest entry of %s", o.whose)
		case back.Forked:
			a.fail("this machine remembers", "it takes a copy from before the newest entry of %s for a fork", o.whose)
		}
	}
}

// use runs the next commands.
func (a *after) use() {
	if a.hasVault && !a.loggedIn && (a.c.w.key != "") {
		a.works("login", "--key", a.c.w.key)
		a.loggedIn = true
	}
	if a.hasVault {
		if a.loggedIn {
			a.verify()
		} else { // the first command was cut
			a.fail("the vault has its key", "there is a vault, and no config.json")
			return
		}
	}
	if a.c.seq > 0 {
		a.value("steady/KEY", "steady")
		a.value("steady/LAST", "last")
	}
	if a.c.s.check != nil {
		a.c.s.check(a)
	}
	a.works("secrets", "set", "after/KEY", "after")
	a.value("after/KEY", "after")
	a.works("vault", "check")
	a.works("audit", "verify")
}

// verify is the first command after the cut.
func (a *after) verify() {
	_, errs := a.works("audit", "verify")
	if strings.Contains(errs, "for the first time") && (a.c.seq > 0 && !a.c.s.anew || a.acked) {
		a.fail("this machine remembers", "it has no note of the vault")
	}
}

// works runs a command that must succeed without a warning about old copies.
func (a *after) works(args ...string) (out, errs string) {
	code, out, errs := a.run(nil, args...)
	name := "ass " + strings.Join(args[:min(2, len(args))], " ")
	if code != 0 {
		a.fail(name+" works", "it ended with %d: %s%s", code, out, errs)
	}
	a.checkWarnings(name, errs)
	return out, errs
}

// checkWarnings checks that no command took the vault for an older copy or a fork.
func (a *after) checkWarnings(name, errs string) {
	for line := range strings.Lines(strings.ReplaceAll(errs, a.root, "")) {
		switch {
		case !strings.Contains(line, "this machine"), strings.Contains(line, "for the first time"):
		case strings.Contains(line, "cannot be read"):
			a.fail("this machine's note can be read", "%s: %s", name, strings.TrimSpace(line))
		default:
			a.fail("no false warning", "%s: %s", name, strings.TrimSpace(line))
		}
	}
}

// value checks that a secret has one of these values; "" means that it may not be there.
func (a *after) value(name string, values ...string) (is string) {
	code, out, errs := a.run(nil, "secrets", "get", name)
	switch {
	case code == 4:
		out = ""
	case code != 0:
		a.fail("ass secrets get works", "%s: it ended with %d: %s", name, code, errs)
		return ""
	}
	if !slices.Contains(values, out) {
		a.fail(name+" has its value", "it has one of %d bytes, with exit code %d", len(out), code)
	}
	a.checkWarnings("ass secrets get", errs)
	return out
}

// newOr returns the values that a secret may have: the new one alone if the command has said so.
func (a *after) newOr(old, now string) []string {
	if a.acked {
		return []string{now}
	}
	return []string{old, now}
}

// kept checks that the entries that were cut off the log are in a file.
func (a *after) kept(cut bool, pattern string) {
	if !cut {
		return
	}
	for name, now := range a.disk {
		if ok, _ := path.Match(pattern, name); ok {
			if len(now.data) > 0 && string(a.c.end[name].data) == string(now.data) {
				return
			}
		}
	}
	a.fail("the old log entries are kept", "they were cut off, and are in no file %s", pattern)
}
