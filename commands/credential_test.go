package commands

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ass/vault"
)

// scrypt takes 256 MiB. Where there are fewer, ass says so before the system ends it.
func TestRoomForPassphrase(t *testing.T) {
	defer func(was func() (int64, int64)) { memoryRoom = was }(memoryRoom)
	home := t.TempDir()
	id, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	locked, err := id.Lock("hunter2", 10) // a cheap one: 1 MiB
	if err != nil {
		t.Fatal(err)
	}
	if n := vault.PassphraseMemory(locked); n != 1<<20 {
		t.Errorf("a work factor of 10 takes %d bytes", n)
	}
	if n := vault.PassphraseMemory(""); n != 256<<20 {
		t.Errorf("a new passphrase takes %d bytes", n)
	}
	path := filepath.Join(home, "vault.db")
	if _, err := vault.Create(path, id, vault.Options{}); err != nil {
		t.Fatal(err)
	}
	c := &config{Version: 1, path: filepath.Join(home, ".config", "ass", "config.json"), Profiles: map[string]*profile{
		defaultProfile: {Credential: ownerCredential, Key: locked, APIURL: path}}}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	run := func(most, free int64) (exit int, said string) {
		memoryRoom = func() (int64, int64) { return most, free }
		var errs bytes.Buffer
		exit = Program{Stdin: strings.NewReader("hunter2\n"), Stdout: &bytes.Buffer{}, Stderr: &errs, Dir: home,
			Env: []string{"HOME=" + home}}.Run([]string{"agents", "list", "--passphrase-fd", "0"})
		return exit, errs.String()
	}
	const mib = 1 << 20
	if exit, said := run(math.MaxInt64, math.MaxInt64); exit != 0 || strings.Contains(said, "memory") {
		t.Errorf("with room: %d, %s", exit, said)
	}
	if exit, said := run(20*mib, math.MaxInt64); exit != exitFailed || !strings.Contains(said, "takes 1.0 MiB of memory, and this "+
		"process can get no more than 20.0 MiB") || strings.Count(said, "\n") != 1 {
		t.Errorf("with a limit: %d, %s", exit, said)
	}
	if exit, said := run(math.MaxInt64, 3*mib); exit != 0 || !strings.Contains(said, "3.0 MiB are free") {
		t.Errorf("with little memory: %d, %s", exit, said)
	}
}

// A program gets no owner key, and no key from a file that others can read or write.
func TestKeysForPrograms(t *testing.T) {
	id := newKey(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	run := func(env string) (exit int, said string) {
		var out bytes.Buffer
		exit = Program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Dir: dir,
			Env: []string{"HOME=" + dir, "USERPROFILE=" + dir, "LOCALAPPDATA=" + dir, env}}.Run([]string{"secrets", "list"})
		return exit, out.String()
	}
	if exit, said := run("ASS_AGENT_KEY=" + id.Text()); exit != exitUsage || !strings.Contains(said, "not for programs") {
		t.Errorf("an owner key: %d, %s", exit, said)
	}
	for mode, refused := range map[os.FileMode]bool{0o600: false, 0o640: true, 0o602: true} {
		err := os.WriteFile(file, []byte("ass_"+strings.Repeat("0", 54)), 0o600)
		if err = errors.Join(err, os.Chmod(file, mode)); err != nil {
			t.Fatal(err)
		}
		exit, said := run("ASS_AGENT_KEY_FILE=" + file)
		if said := strings.Contains(said, "others can read or write"); exit == 0 || said != (refused && runtime.GOOS != "windows") {
			t.Errorf("a file of mode %v: %d, %v", mode, exit, said)
		}
	}
}
