package commands

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"ass/commands/internal/process"
)

// The programs that ass approvals watch starts. None is started by a shell, and none gets an agent's words in its
// arguments.

// oneStart keeps two programs from being started at the same moment: a start changes a limit of this process for a while.
var oneStart sync.Mutex

// begin starts a program in the folder and with the environment of this run, but for the credentials in it.
func (a *app) begin(cmd *exec.Cmd, more ...string) error {
	cmd.Env, cmd.Dir = slices.Concat(a.env, more), a.dir
	for _, name := range credentialVariables {
		cmd.Env = dropVariable(cmd.Env, name)
	}
	oneStart.Lock()
	defer oneStart.Unlock()
	return process.Start(cmd)
}

// start runs a program to its end.
func (a *app) start(cmd *exec.Cmd, more ...string) error {
	cmd.Stdout, cmd.Stderr = a.out.errw, a.out.errw // stdout has the requests
	cmd.WaitDelay = time.Second                     // a program in its background may keep the pipe
	if err := a.begin(cmd, more...); err != nil {
		return errors.New("it cannot be started")
	}
	var exit *exec.ExitError
	switch err := cmd.Wait(); {
	case errors.As(err, &exit):
		return errors.New(exit.ProcessState.String()) // exit status 1, signal: killed
	case errors.Is(err, exec.ErrWaitDelay):
		return nil
	default:
		return err
	}
}

// handTo starts a program that gets news as JSON on its stdin.
func (a *app) handTo(ctx context.Context, program string, n news) error {
	line, err := jsonLine(n.json())
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Stdin = bytes.NewReader(line)
	return a.start(cmd)
}

// notifier is how a desktop shows a notification.
type notifier struct {
	args []string // the program, and what it always gets
	give func(title, body string) (args, env []string)
}

const (
	appleScript = `on run {title, body}
display notification body with title title
end run`

	// A toast is XML: the texts come from the environment and become text nodes, so nothing in them is read as code or
	// as markup. Only a registered application can show one; PowerShell is.
	toastScript = `$ErrorActionPreference = 'Stop'
$null = [Windows.UI.Notifications.ToastNotificationManager, Windows.UI.Notifications, ContentType = WindowsRuntime]
$toast = [Windows.UI.Notifications.ToastNotificationManager]::GetTemplateContent([Windows.UI.Notifications.ToastTemplateType]::ToastText02)
$lines = $toast.GetElementsByTagName('text')
$null = $lines.Item(0).AppendChild($toast.CreateTextNode($env:ASS_NOTICE_TITLE))
$null = $lines.Item(1).AppendChild($toast.CreateTextNode($env:ASS_NOTICE_BODY))
$app = '{1AC14E77-02E7-4E5D-B744-2EB1AE5198B7}\WindowsPowerShell\v1.0\powershell.exe'
[Windows.UI.Notifications.ToastNotificationManager]::CreateToastNotifier($app).Show((New-Object Windows.UI.Notifications.ToastNotification $toast))`
)

// notifierOf returns the notifier of a system.
func notifierOf(system string) notifier {
	asArgs := func(title, body string) (args, env []string) { return []string{title, body}, nil }
	switch system {
	case "darwin":
		return notifier{[]string{"osascript", "-e", appleScript}, asArgs}
	case "windows":
		return notifier{[]string{"powershell", "-NoProfile", "-NonInteractive", "-Command", toastScript},
			func(title, body string) (args, env []string) {
				return nil, []string{"ASS_NOTICE_TITLE=" + title, "ASS_NOTICE_BODY=" + body}
			}}
	}
	return notifier{[]string{"notify-send", "--app-name=ass", "--"}, func(title, body string) (args, env []string) {
		return []string{title, markup(body)}, nil
	}}
}

// markup escapes a text for notify-send, which reads the body as markup.
func markup(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

// findNotifier finds the notifier of this desktop.
func (a *app) findNotifier() (notifier, error) {
	n := notifierOf(runtime.GOOS)
	if _, err := a.lookPath(n.args[0]); err != nil {
		return n, errorf(errNoProgram, "--notify needs %s, which is not on PATH", n.args[0]).
			hint("--exec starts a program of your own")
	}
	return n, nil
}

// notify shows a request, or a read of a canary, on the desktop. Others may see the screen, so it says who asks for what
// and no more: an agent chooses the words of the reason.
func (a *app) notify(ctx context.Context, n notifier, what news) error {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	program, err := a.lookPath(n.args[0])
	if err != nil {
		return err
	}
	q := what.request
	title := clean(orElse(q.Name, q.Agent)) + " asks for your approval"
	body := fmt.Sprintf("%s\n%s", clean(q.Path.String()), q.ID)
	if c := what.canary; c != nil {
		title, body = clean(c.who())+" reads a canary", fmt.Sprintf("%s\n%s", clean(c.Path), c.Event)
	}
	args, env := n.give(title, body)
	return a.start(exec.CommandContext(ctx, program, slices.Concat(n.args[1:], args)...), env...)
}
