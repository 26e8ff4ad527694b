package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var measureBefore = flag.String("measure-before", "", "an earlier ass to measure beside this one; it fills its own vaults, "+
	"which takes minutes")

// before is the column of an earlier ass.
const before = "before"

// setUpBefore makes the vaults of the rows anew, with an earlier program and its commands.
func setUpBefore(_ *testing.T, bin, dir string, m *meter) (tasks, error) {
	b := &earlier{m: m, bin: bin, dir: dir, can: tasks{}}
	for _, n := range []int{10, 1000, 100000} {
		if m.named("set, "+thousands(n)+" secrets") != nil {
			b.fill(n)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "1000.env"), variables(1000), 0o600); err != nil {
		return nil, err
	}
	b.bulk()
	if long := fmt.Sprintf("audit verify --all, %s entries", thousands(*measureEntries)); m.named(long) != nil {
		home := b.copy(b.home(1000), "long")
		for range *measureEntries / serviceSize { // in format 1, each secret that is read has an entry
			b.run(home, "env", "export", "--namespace", filepath.Dir(secretPath(0)))
		}
		b.row(long, home, "", "audit", "verify", "--all")
	}
	return b.can, b.err
}

// earlier makes vaults with an earlier program. After an error, it does nothing more.
type earlier struct {
	m        *meter
	bin, dir string
	can      tasks
	err      error
}

func (b *earlier) home(n int) string { return filepath.Join(b.dir, fmt.Sprint(n)) }

func (b *earlier) run(home string, args ...string) {
	if b.err == nil {
		b.err = sh(home, measuredEnv(home), "'"+strings.Join(append([]string{b.bin}, args...), "' '")+"' >/dev/null")
	}
}

func (b *earlier) copy(home, name string) string {
	to := filepath.Join(b.dir, name)
	if b.err == nil {
		b.err = copyAll(home, to)
	}
	return to
}

func (b *earlier) row(name, home, key string, args ...string) *row {
	r := &row{}
	r.line(b.bin, home, key, args...)
	b.can[name] = r
	return r
}

// fill makes a vault of n secrets, with the rows that read and write it.
func (b *earlier) fill(n int) {
	home, in := b.home(n), ", "+thousands(n)+" secrets"
	if b.err == nil {
		b.err = os.MkdirAll(home, 0o700)
	}
	for at := 0; at < n && b.err == nil; at += serviceSize {
		var text strings.Builder
		for i := at; i < min(at+serviceSize, n); i++ {
			fmt.Fprintf(&text, "%s=a value of a usual length\n", filepath.Base(secretPath(i)))
		}
		file := filepath.Join(home, "some.env")
		b.err = os.WriteFile(file, []byte(text.String()), 0o600)
		b.run(home, "env", "import", file, "--namespace", filepath.Dir(secretPath(at)))
	}
	b.run(home, "agents", "create", "--name", "reader", "--scopes", "secrets:read:*", "--write-key", filepath.Join(home, "key"))
	key, err := os.ReadFile(filepath.Join(home, "key"))
	if b.err = errors.Join(b.err, err); b.err != nil {
		return
	}
	b.row("get, owner"+in, home, "", "secrets", "get", secretPath(n/2))
	b.row("get, agent"+in, home, strings.TrimSpace(string(key)), "secrets", "get", secretPath(n/2))
	sets := home
	if n <= 1000 {
		sets = b.copy(home, fmt.Sprint(n, "-sets"))
	}
	b.row("set"+in, sets, "", "secrets", "set", "other/KEY%d", "a value of a usual length")
	b.row("status"+in, home, "", "status")
	b.row("vault info"+in, home, "", "vault", "info")
	b.row("completion"+in, home, "", completeWords(n)...)
	b.row("list 10,000"+in, home, "", "secrets", "list", "team0")
	if n == 100000 {
		b.row("vault rekey, 100,000 versions", home, "", "vault", "rekey", "--force")
		b.m.addWhole(func(name string, args ...string) *row { return b.row(name, home, "", args...) }, home)
		b.run(home, "vault", "backup", filepath.Join(home, "whole.db"))
	}
}

// bulk adds the rows of many secrets.
func (b *earlier) bulk() {
	full, small := b.home(1000), b.home(10)
	if _, err := os.Stat(full); err != nil {
		return
	}
	b.row("list 1,000", full, "", "secrets", "list", "team0")
	b.row("env export, 1,000", full, "", "env", "export", filepath.Dir(secretPath(0)))
	fresh := filepath.Join(b.dir, "fresh")
	b.row("env import, 1,000 new ones", fresh, "", "env", "import", b.m.dotenv, "--namespace", "imported").prep = freshCopy(small, fresh)
	forty := b.copy(small, "forty")
	b.run(forty, "env", "import", b.m.fortyVars, "--namespace", "forty")
	b.row("run, 40 secrets", forty, "", "run", "--namespace", "forty", "--", "true")
}
