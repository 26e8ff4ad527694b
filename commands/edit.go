package commands

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/diff"

	"ass/commands/internal/process"
	"ass/tokens"
	"ass/vault"
)

type secretsEdit struct {
	Path       string `arg:"" help:"Secret to edit, such as production/gemini/GEMINI_API_KEY."`
	FileOnDisk bool   `name:"file-on-disk" help:"If no folder in memory is here, let the value be in a file on the disk meanwhile."`
	asking
}

func (secretsEdit) Help() string {
	return `Opens the value in $VISUAL or $EDITOR, in a file that only you can read, in a folder in
memory. When the editor ends, the file is gone, and what it has is the next version; if
nothing was changed, nothing is stored. An editor may keep copies elsewhere (backups,
undo files, plugins): look at its settings.`
}

func (c secretsEdit) Run(a *app) (err error) {
	p, err := a.path(c.Path)
	if err != nil {
		return err
	}
	editor := orElse(a.getenv("VISUAL"), a.getenv("EDITOR"))
	if strings.TrimSpace(editor) == "" {
		return usagef("neither VISUAL nor EDITOR names an editor").hint("set one of them, or pipe the value into: ass "+
			"secrets set %s", shellWord(p.String()))
	}
	var before vault.Secret
	var value []byte
	err = a.withSession(access{}, func(s *vault.Session) (err error) {
		before, value, err = s.Get(p, 0)
		return err
	})
	if err != nil {
		return err
	}
	defer clear(value)
	files, err := c.place(a, p.Key(), value)
	if err != nil {
		return err
	}
	defer func() {
		if rerr := files.Remove(); rerr != nil {
			err = errors.Join(err, fmt.Errorf("the file with the value could not be removed: %w", rerr))
		}
	}()
	file := files.Path(editedName(p.Key()))
	for { // until it is stored, or the person gives up: what was typed must not be lost to a slip
		edited, err := a.edit(editor, file, value)
		if err != nil {
			return err
		}
		if bytes.Equal(edited, value) {
			return a.answer(storedResult{jsonOf(before), false}, func() {
				a.out.line("Nothing changed: %s stays at v%d", p, before.Version)
			})
		}
		err = c.store(a, p, edited, &before)
		clear(edited)
		if err == nil || !a.interactive() {
			return err
		}
		a.out.noteOf(err)
		answer, aerr := a.ask("Edit it again? [Y/n] ")
		if aerr != nil || strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "n") {
			return err
		}
	}
}

// store stores what was edited. If the secret was changed meanwhile, it is an error once: the person then knows.
func (c secretsEdit) store(a *app, p tokens.Path, edited []byte, before *vault.Secret) error {
	if len(edited) == 0 {
		return usagef("value: it is empty, so nothing was stored at %s", p).
			hint("to store an empty value: ass secrets set %s --allow-empty", shellWord(p.String()))
	}
	o := vault.SetOptions{IfVersion: &before.Version}
	if err := vault.CheckSet(edited, o); err != nil {
		return err
	}
	return a.withSession(access{}, func(s *vault.Session) error {
		secret, was, err := s.Set(p, edited, o)
		if errors.Is(err, vault.ErrConflict) {
			if now, _, herr := s.History(p); herr == nil {
				*before = now
			}
		}
		if err != nil {
			return err
		}
		return a.wrote(secret, was, "stored at")
	})
}

// place writes the file that is edited, in memory if it can be.
func (c secretsEdit) place(a *app, key string, value []byte) (*process.Files, error) {
	memory, _ := a.fileFolders()
	process.SweepFiles(memory...)
	dir, ok := a.fileFolder(c.FileOnDisk)
	if !ok {
		return nil, usagef("an editor needs a file, and neither XDG_RUNTIME_DIR nor /dev/shm is a folder in memory here").
			hint("to let it be on the disk: --file-on-disk")
	}
	files, err := process.WriteFiles(a.unfinished(), dir, []process.File{{Name: editedName(key), Content: value}})
	if err != nil {
		return nil, withRoom(err)
	}
	if err := os.Chmod(files.Path(editedName(key)), 0o600); err != nil {
		return nil, errors.Join(err, files.Remove())
	}
	return files, nil
}

// editedName is the name of the file that is edited. It ends as the key does, for editors that go by that. Names that
// begin with a dot are those of ass in such a folder.
func editedName(key string) string {
	if strings.HasPrefix(key, ".") {
		return "_" + key
	}
	return key
}

// edit runs the editor on a file, and returns what is in it then. value is what was there at first.
func (a *app) edit(editor, file string, value []byte) (edited []byte, err error) {
	cmd := exec.Command("sh", "-c", editor+` "$@"`, editor, file) // as git does: it may have arguments, and quotes
	if runtime.GOOS == "windows" {
		words := strings.Fields(editor)
		cmd = exec.Command(words[0], append(words[1:], file)...)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.in, a.out.w, a.out.errw
	if !a.out.tty {
		cmd.Stdout = a.out.errw // stdout has the answer
	}
	// Ctrl-C and Ctrl-\ are the editor's. What ends ass ends the editor, too, because the file must go.
	keys, ends := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(keys, os.Interrupt, syscall.SIGQUIT)
	signal.Notify(ends, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(keys)
	defer signal.Stop(ends)
	if err = a.begin(cmd); err == nil {
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err = <-ended:
		case <-ends:
			_ = cmd.Process.Kill()
			<-ended
			return nil, errorf(errInterrupted, "interrupted, so nothing was stored")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the editor %s failed, so nothing was stored: %w", editor, err)
	}
	edited, err = os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("what the editor left cannot be read, so nothing was stored: %w", err)
	}
	if n := len(edited) - 1; n >= 0 && edited[n] == '\n' && !bytes.HasSuffix(value, []byte("\n")) {
		edited = edited[:n] // editors end the last line
	}
	return edited, nil
}

type secretsDiff struct {
	Path   string  `arg:"" help:"Secret to compare versions of, such as production/gemini/GEMINI_API_KEY."`
	From   *uint64 `help:"The older version; the one before --to if omitted." placeholder:"N"`
	To     *uint64 `help:"The newer version; the current one if omitted." placeholder:"M"`
	Reveal bool    `help:"Show the values; without it, only which lines differ, and how long they are."`
	asking
	logging
}

func (secretsDiff) Help() string {
	return `Compares two versions, line by line. Values are masked: what is shown is which lines
differ, and how long they are. Both versions are read, and the log says so.`
}

func (c secretsDiff) Run(a *app) error {
	p, err := a.path(c.Path)
	if err != nil {
		return err
	}
	for flag, n := range map[string]*uint64{"--from": c.From, "--to": c.To} {
		if n != nil && *n == 0 {
			return usagef("%s: versions begin at 1", flag)
		}
	}
	a.unlogged = c.Unlogged
	return a.withSession(access{}, func(s *vault.Session) error {
		from, to, err := c.versions(s, p)
		if err != nil {
			return err
		}
		var values [2][]byte
		for i, n := range []uint64{from, to} {
			if _, values[i], err = s.Get(p, n); err != nil {
				return err
			}
			defer clear(values[i])
		}
		names := [2]string{fmt.Sprintf("%s v%d", p, from), fmt.Sprintf("%s v%d", p, to)}
		same := bytes.Equal(values[0], values[1])
		ended := values
		if newline := []byte("\n"); !bytes.HasSuffix(values[0], newline) && !bytes.HasSuffix(values[1], newline) {
			ended = [2][]byte{append(bytes.Clone(values[0]), '\n'), append(bytes.Clone(values[1]), '\n')} // no remark about both
		}
		var text []byte
		if !same {
			text = diff.Diff(names[0], ended[0], names[1], ended[1])
			if !c.Reveal {
				text = maskDiff(text)
			}
		}
		return a.answer(diffResult{Path: p.String(), From: from, To: to, Same: same, Revealed: c.Reveal, Diff: string(text)},
			func() {
				if same {
					a.out.line("%s: v%d and v%d are the same", p, from, to)
					return
				}
				_, body, _ := bytes.Cut(text, []byte("\n")) // without the line "diff A B"
				a.out.diff(body)
			})
	})
}

// versions returns the numbers of the versions to compare.
func (c secretsDiff) versions(s *vault.Session, p tokens.Path) (from, to uint64, err error) {
	secret, list, err := s.History(p)
	if err != nil {
		return 0, 0, err
	}
	to = secret.Version
	if c.To != nil {
		to = *c.To
	}
	if c.From != nil {
		return *c.From, to, nil
	}
	for _, v := range list { // the newest first
		if v.Number < to && !v.Deleted {
			return v.Number, to, nil
		}
	}
	return 0, 0, errorf(vault.ErrNotFound, "%s has no version before v%d", p, to).hint("its versions: ass secrets "+
		"history %s", shellWord(p.String()))
}

// maskDiff masks the values in a diff. It shows no names either: in a value of one line, what stands before a = or a
// : may be the secret itself.
func maskDiff(text []byte) []byte {
	var out bytes.Buffer
	for i, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		if i < 3 || bytes.HasPrefix(line, []byte("@@")) || bytes.HasPrefix(line, []byte(`\ `)) {
			fmt.Fprintf(&out, "%s\n", line)
			continue
		}
		fmt.Fprintf(&out, "%s•••• (%s)\n", line[:1], plural(len(line)-1, "byte"))
	}
	return out.Bytes()
}
