//go:build (amd64 || arm64) && !race

package faults

import (
	"encoding/json"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"ass/e2e/trace"
	"ass/e2e/world"
	"ass/tokens"
	"ass/vault"
	"ass/vault/device"
)

func (t tree) paths() []string { return slices.Sorted(maps.Keys(t)) }

// after is a home after a command with a fault.
type after struct {
	*home
	result
	now  tree // as the command left it
	fail func(format string, args ...any)
}

// maybe says that a command which failed may have done its work all the same, as it says itself.
var maybe = regexp.MustCompile(`a power cut may undo it|the change was made, but then|may or may not have been made|this was done all the same`)

// note matches what a command says of a fault, besides an error.
var note = regexp.MustCompile(`^ass: (the token could not be revoked|warning: |this is the new owner key|the log up to now |profile default still has )`)

// check checks what must hold after every command with a fault.
func (w *home) check(f fault, r result, calls []trace.FileCall) {
	w.t.Helper()
	a := &after{home: w, result: r, now: w.load()}
	a.fail = func(format string, args ...any) {
		w.t.Helper()
		where := ""
		if f.at > 0 && f.at <= len(calls) {
			where = " (" + calls[f.at-1].Name + " " + strings.TrimPrefix(calls[f.at-1].Path, w.root+"/") + ")"
		}
		args = append([]any{f, where, len(calls)}, args...)
		w.t.Errorf("%s%s of %d: "+format+"\n  exit code %d, stderr: %s", append(args, r.Exit, r.Stderr)...)
	}
	a.said()
	a.whole()
	a.next()
	a.ownerKey()
	if w.s.check != nil {
		w.s.check(a)
	}
	a.again()
}

// said checks how the command ended, and that it is done if it says so.
func (a *after) said() {
	if a.killed {
		return
	}
	done := a.s.done(a)
	switch {
	case a.Exit == 0 && !done:
		a.fail("it says that it is done, and is not")
	case a.Exit == 0:
		return
	case a.Exit != 1:
		a.fail("it ended with another exit code than 1")
	case done && !maybe.MatchString(a.Stderr):
		a.fail("it says that it failed, and did its work")
	}
	errors := 0
	for line := range strings.Lines(a.Stderr) {
		text, ours := strings.CutPrefix(line, "ass: ")
		if !note.MatchString(line) && !strings.Contains(a.usual, line) {
			errors++
		}
		if first := text[:1]; !ours || first != strings.ToLower(first) && !strings.Contains(a.usual, line) {
			a.fail("the line %q is not of our form", line)
		}
	}
	if errors != 1 {
		a.fail("it said %d lines", errors)
	}
	if strings.Contains(a.Stderr, world.Marker) || strings.Contains(a.Stderr, "AGE-SECRET-KEY") {
		a.fail("it said a value")
	}
}

// whole checks that no file is half.
func (a *after) whole() {
	if e, there := a.now[configFile]; there && !json.Valid([]byte(e.data)) {
		a.fail("config.json is no JSON")
	}
	for name, e := range a.now {
		if !e.mode.IsRegular() || strings.HasPrefix(path.Base(name), ".ass-") {
			continue
		}
		ok := true
		switch {
		case strings.HasPrefix(name, config+"/recovery-"):
			_, err := vault.ParseIdentity(ownerKey.FindString(e.data))
			ok = err == nil
		case name == project+"/worker.key":
			_, err := tokens.ParseAgentKey(strings.TrimSpace(e.data))
			ok = err == nil
		case path.Ext(name) == ".json" || path.Base(name) == ".assrc":
			ok = json.Valid([]byte(e.data))
		case name == unlockFile:
			_, err := tokens.ParseToken(e.data)
			ok = err == nil
		}
		if !ok {
			a.fail("%s is half: %d bytes", name, len(e.data))
		}
	}
	for _, name := range a.s.makes {
		if now := a.now[name].data; now != a.before[name].data && now != a.end[name].data {
			a.fail("%s is neither old nor new: %d bytes", name, len(now))
		}
	}
}

// next runs any next command, and checks that nothing lies about after that.
func (a *after) next() {
	if r := a.run("secrets", "list", "a"); r.Exit != 0 && r.Exit != 3 || strings.Contains(r.Stderr, "this machine") {
		a.fail("ass secrets list ended with %d: %s", r.Exit, r.Stderr)
	}
	now := a.load()
	for name, e := range now {
		switch base := path.Base(name); {
		case strings.HasPrefix(base, ".ass-"), strings.HasPrefix(base, "ass-run-"), strings.HasPrefix(base, "note-"),
			name == vaultFile+".new" && now[vaultFile].mode != 0:
			a.fail("%s was left behind", name)
		case strings.Contains(e.data, world.Marker) && !slices.Contains(a.s.makes, name):
			a.fail("%s holds a value", name)
		}
	}
}

// ownerKey checks that the owner's key is somewhere, if there is a vault.
func (a *after) ownerKey() {
	now := a.load()
	if _, there := now[vaultFile]; !there || a.s.lost {
		return
	}
	v, err := vault.Open(a.in(vaultFile), vault.Options{ReadOnly: true, MemoryDir: a.in(state + "/seen")})
	if err != nil {
		a.fail("the vault does not open: %v", err)
		return
	}
	defer v.Close()
	if err := v.MemoryError(); err != nil {
		a.fail("the memory cannot be read: %v", err)
	}
	if back := v.Rollback(); back != nil {
		a.fail("a false warning: %s", back)
	}
	if files, err := v.SealedKeys(); err == nil && strings.Contains(now[configFile].data, "way:") { // it opens what the vault has
		for _, file := range files {
			plain, err := device.Open(furtherKey, file, device.UI{})
			if err != nil {
				continue
			}
			if id, err := vault.ParseIdentity(string(plain)); err == nil {
				if _, err = v.Owner(id); err == nil {
					return
				}
			}
		}
	}
	for name, e := range now {
		if !strings.HasPrefix(name, config+"/") && name != project+"/owner.key" {
			continue
		}
		for _, key := range ownerKey.FindAllString(e.data, -1) {
			if id, err := vault.ParseIdentity(key); err == nil {
				if _, err = v.Owner(id); err == nil {
					return
				}
			}
		}
		if a.locked(e.data) {
			return
		}
	}
	a.fail("no file has the owner's key")
}

// locked reports whether a config has the owner's key, locked with the passphrase.
func (a *after) locked(text string) bool {
	var c struct {
		Profiles map[string]struct{ Key string }
	}
	if json.Unmarshal([]byte(text), &c) != nil {
		return false
	}
	id, err := vault.UnlockIdentity(c.Profiles["default"].Key, passphrase)
	return err == nil && id.Text() == a.key
}

// again runs the same command again, or what leads to the same, and reads a value.
func (a *after) again() {
	if a.s.again != nil {
		a.s.again(a)
	} else {
		a.works(a.s.args...)
	}
	if r := a.works("secrets", "get", "a/K"); r.Stdout != one {
		a.fail("a/K has not its value")
	}
	a.works("vault", "check")
}

// works runs a command that must succeed without a warning about old copies.
func (a *after) works(args ...string) result {
	r := a.run(args...)
	if r.Exit != 0 {
		a.fail("ass %q ended with %d: %s%s", args, r.Exit, r.Stdout, r.Stderr)
	}
	if strings.Contains(r.Stderr, "this machine") && !strings.Contains(a.usual, "this machine") {
		a.fail("ass %q: a false warning: %s", args, r.Stderr)
	}
	return r
}

// quoted returns a text as it is in JSON.
func quoted(text string) string {
	b, _ := json.Marshal(text) // a string always has a form in JSON
	return string(b)
}
