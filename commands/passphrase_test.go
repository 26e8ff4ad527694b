package commands

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// The new owner key of a rekey that began while somebody typed a passphrase stays in the config: it is nowhere else.
func TestPassphraseDuringARekey(t *testing.T) {
	id, next := newKey(t), newKey(t)
	h := newHome(t, defaultProfile, &profile{Credential: ownerCredential, Key: id.Text()})
	begin := func() {
		p := &profile{Credential: ownerCredential, Key: id.Text(), NextKey: next.Text()}
		if err := (&config{Version: 1, Profiles: map[string]*profile{defaultProfile: p}, path: h.conf}).save(); err != nil {
			t.Error(err)
		}
	}
	var out bytes.Buffer
	p := Program{Stdin: &typist{first: begin, Reader: strings.NewReader("hunter2\n")}, Stdout: &out, Stderr: &out, Dir: h.dir, WorkFactor: 4,
		Env: []string{"HOME=" + h.dir, "USERPROFILE=" + h.dir, "LOCALAPPDATA=" + h.dir, "XDG_CONFIG_HOME=" + filepath.Join(h.dir, ".config")}}
	exit := p.Run([]string{"passphrase", "--new-fd", "0"})
	if exit == 0 || !strings.Contains(out.String(), "was changed by another process meanwhile; run it again") {
		t.Errorf("%d, %s", exit, &out)
	}
	if !h.has(id.Text()) || !h.has(next.Text()) {
		t.Error("an owner key is lost")
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
