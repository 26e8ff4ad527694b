package commands

import "path/filepath"

type completionInstall struct {
	Shell string `arg:"" optional:"" help:"bash, zsh or fish; that of $SHELL if omitted."`
	Force bool   `help:"Overwrite a file that ass did not write."`
}

func (completionInstall) Help() string {
	return `Writes one file, and prints what is left to do:

  bash  ~/.local/share/bash-completion/completions/ass
  zsh   ~/.local/share/zsh/site-functions/_ass
  fish  ~/.config/fish/completions/ass.fish

XDG_DATA_HOME and XDG_CONFIG_HOME count. After an update of ass, run it again.`
}

func (c completionInstall) Run(a *app) error {
	if a.confined {
		return usagef("a shell runs what is installed, so a program that acts for a model installs nothing")
	}
	shell := c.Shell
	if shell == "" {
		shell = filepath.Base(a.getenv("SHELL"))
		if _, err := completionFor(shell); err != nil {
			return usagef("$SHELL names none of bash, zsh and fish").
				hint("name one: ass completion install bash")
		}
	}
	script, err := completionFor(shell)
	if err != nil {
		return err
	}
	path, err := a.completionFile(shell)
	if err != nil {
		return err
	}
	r := completionResult{Shell: shell, File: path}
	r.Next, r.Line = a.completionNext(shell, path)
	if is, err := readSmall(path, int64(len(script))); err != nil || string(is) != script {
		if err := a.mayOverwrite(path, c.Force); err != nil {
			return err
		}
		if err := a.writeOutput(path, []byte(script)); err != nil {
			return err
		}
		r.Written = true
		a.changed("%s is written", path)
	}
	return a.answer(r, func() {
		if r.Written {
			a.out.done("Wrote the completion for %s to %s", shell, a.tilde(path))
		} else {
			a.out.done("The completion for %s is already in %s", shell, a.tilde(path))
		}
		a.out.line("%s", r.Next)
		if r.Line != "" {
			a.out.write(r.Line + "\n") // in one piece, to be copied
		}
	})
}

// completionFile is the file of a completion, in a folder of the user in which the shell looks by itself. Zsh looks in
// none, and gets one beside that of bash.
func (w *world) completionFile(shell string) (string, error) {
	xdg, below, file := "XDG_DATA_HOME", ".local/share", "bash-completion/completions/ass"
	switch shell {
	case "zsh":
		file = "zsh/site-functions/_ass"
	case "fish":
		xdg, below, file = "XDG_CONFIG_HOME", ".config", "fish/completions/ass.fish"
	}
	dir := w.getenv(xdg)
	if !filepath.IsAbs(dir) { // the shells take no notice of others
		if !filepath.IsAbs(w.home()) {
			return "", errorf(errNoHome, "HOME is not set, or is no absolute path").
				hint("set it, or %s", xdg)
		}
		dir = filepath.Join(w.home(), filepath.FromSlash(below))
	}
	return filepath.Join(dir, filepath.FromSlash(file)), nil
}

// completionNext says what to do so that the shell uses the file, and which line that needs in the shell's own file; ""
// for none.
func (w *world) completionNext(shell, path string) (next, line string) {
	switch shell {
	case "zsh":
		rc := filepath.Join(orElse(w.getenv("ZDOTDIR"), w.home()), ".zshrc")
		return "Put this line into " + w.tilde(rc) + ", before compinit:",
			"fpath=(" + shellWord(filepath.Dir(path)) + " $fpath)"
	case "fish":
		return "Every fish uses it from now on.", ""
	}
	return "A new bash uses it, if the package bash-completion is installed.", ""
}
