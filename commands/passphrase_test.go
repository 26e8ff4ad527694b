package commands

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The new owner key of a rekey that began while somebody typed a passphrase stays in the config: it is nowhere else.
func TestPassphraseDuringARekey(t *testing.T) {
	for _, args := range [][]string{{"passphrase", "--new-fd", "0"}, {"login", "--passphrase-fd", "0"}} {
		next := newKey(t)
		dir := t.TempDir()
		h := &aHome{t, dir, filepath.Join(dir, ".config", "ass", "config.json")}
		text := func() string {
			b, err := os.ReadFile(h.conf)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		var out bytes.Buffer
		p := Program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Dir: h.dir, WorkFactor: 4, Env: []string{"HOME=" + h.dir,
			"USERPROFILE=" + h.dir, "LOCALAPPDATA=" + h.dir, "XDG_CONFIG_HOME=" + filepath.Join(h.dir, ".config")}}
		if exit := p.Run([]string{"secrets", "set", "a/K", "hunter2"}); exit != 0 {
			t.Fatal(&out)
		}
		old := regexp.MustCompile(`AGE-SECRET-KEY-[A-Z0-9-]+`).FindString(text())
		begin := func() {
			both := strings.Replace(text(), `"`+old+`"`, `"`+old+`", "next_key": "`+next.Text()+`"`, 1)
			if err := os.WriteFile(h.conf, []byte(both), 0o600); err != nil {
				t.Error(err)
			}
		}
		out.Reset()
		p.Stdin = &typist{first: begin, Reader: strings.NewReader("hunter2\n")}
		exit := p.Run(args)
		if exit == 0 || !strings.Contains(out.String(), "was changed by another process meanwhile; run it again") {
			t.Errorf("%s: %d, %s", args[0], exit, &out)
		}
		if !h.has(old) || !h.has(next.Text()) {
			t.Errorf("%s: an owner key is lost", args[0])
		}
	}
}

// typist does something before its first byte is read.
type typist struct {
	first func()
	io.Reader
}

func (t *typist) Read(b []byte) (int, error) {
	if t.first != nil {
		t.first()
		t.first = nil
	}
	return t.Reader.Read(b)
}
