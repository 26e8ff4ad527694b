// Package world is what the tests of the whole program share: a home for it, and what must
// hold in every home.
package world

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"ass/vault"
	"ass/vault/vaulttest"
)

// Marker is part of each value that a test stores.
const Marker = "hunter2"

// RaceOptions are the value of GORACE: by default, a program under the race detector
// sleeps a second before it ends.
const RaceOptions = "atexit_sleep_ms=0"

// TakeHangups lets the programs that this process starts get a hangup, also if this process
// was started to ignore it (nohup). A program that inherits that is not hung up either.
func TakeHangups() { signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) }

// Env returns the environment of a program that uses this home.
func Env(home string) []string {
	return append(os.Environ(), "HOME="+home, "XDG_DATA_HOME=", "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", "XDG_RUNTIME_DIR=")
}

// Run runs ass in a home. On an error, the output is followed by what it wrote to stderr.
func Run(home string, args ...string) ([]byte, error) {
	cmd := exec.Command("ass", args...)
	cmd.Env = Env(home)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return append(out, stderr.Bytes()...), err
	}
	return out, nil
}

// CheckVaults checks every vault below dir with every unencrypted owner key below dir. It
// returns the problems that it found.
func CheckVaults(dir string) (problems []string) {
	var vaults []string
	keys := map[string]bool{}
	key := regexp.MustCompile(`AGE-SECRET-KEY-[A-Z0-9-]+`)
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if strings.HasSuffix(path, ".new") {
			problems = append(problems, path+" was left behind")
		}
		if strings.HasSuffix(path, ".db") {
			vaults = append(vaults, path)
		} else if b, err := os.ReadFile(path); err == nil {
			for _, k := range key.FindAllString(string(b), -1) {
				keys[k] = true
			}
		}
		return nil
	})
	for _, path := range vaults {
		opened := false
		for k := range keys {
			id, err := vault.ParseIdentity(k)
			if err != nil {
				continue
			}
			found, err := vaulttest.Check(path, id)
			if errors.Is(err, vault.ErrWrongKey) {
				continue
			}
			opened = true
			if err != nil {
				found = append(found, err.Error())
			}
			problems = append(problems, found...)
		}
		if !opened {
			problems = append(problems, path+": no owner key lies here that opens it, so it was not checked")
		}
	}
	return problems
}

// FindMarker returns a file below dir that holds a value in clear; "" if there is none.
func FindMarker(dir string) (found string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(Marker)) {
				found = path
			}
		}
		return nil
	})
	return found
}
