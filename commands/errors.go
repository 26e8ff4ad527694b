package commands

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"ass/tokens"
	"ass/vault"
	"ass/vault/disk"
)

// The exit codes, published in docs/exit-codes.md. Numbers are never reused and
// never change their meaning.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNoVault     = 3
	exitNotFound    = 4
	exitDenied      = 5
	exitApproval    = 6
	exitBusy        = 7
	exitDamaged     = 8
	exitFound       = 9
	exitNotProgram  = 126
	exitNoProgram   = 127
	exitInterrupted = 130
)

type exitMeaning struct {
	Code    int    `json:"code"`
	Meaning string `json:"meaning"`
}

// exits says what each exit code means, for ass help --json.
var exits = []exitMeaning{
	{exitDone, "done"},
	{exitFailed, "failed, for a reason that the message names"},
	{exitUsage, "the command line, a name or a value is not of the form it must have, or a confirmation is missing; " +
		"nothing was changed"},
	{exitNoVault, "there is no vault, or no credential for it"},
	{exitNotFound, "there is no such secret, version, agent, token or request, or nothing to hand over"},
	{exitDenied, "denied: the credential does not open it, has lapsed, or does not cover it; or a human said no"},
	{exitApproval, "a human must approve first"},
	{exitBusy, "another process used the vault for longer than --lock-timeout"},
	{exitDamaged, "the file, or a record in it, is corrupt or was tampered with"},
	{exitFound, "what the command looks for is there: secrets that expire or are due, reads of a canary, values that leaked"},
	{exitNotProgram, "ass run: the file is there, but it is not executable or cannot be started"},
	{exitNoProgram, "ass run: there is no such program"},
	{exitInterrupted, "interrupted at a prompt; nothing was changed"},
}

var (
	errUsage       = errors.New("usage")
	errNotLoggedIn = errors.New("not logged in")
	errInterrupted = errors.New("interrupted")
	errDeclined    = errors.New("nothing was changed")
	errFound       = errors.New("found")
)

type kindOfError struct {
	err  error
	exit int
	code string
}

// kinds maps each kind of error to the exit code and to the code in JSON. The first
// match wins.
func kinds() []kindOfError {
	return []kindOfError{
		{errUsage, exitUsage, "VALIDATION_ERROR"},
		{errNoProgram, exitNoProgram, "PROGRAM_NOT_FOUND"},
		{errNotProgram, exitNotProgram, "PROGRAM_NOT_EXECUTABLE"},
		{errInterrupted, exitInterrupted, "INTERRUPTED"},
		{errDeclined, exitFailed, "DECLINED"},
		{errFound, exitFound, "FOUND"},
		{errNotLoggedIn, exitNoVault, "UNAUTHORIZED"},
		{vault.ErrNoVault, exitNoVault, "VAULT_NOT_FOUND"},
		{vault.ErrExists, exitFailed, "VAULT_EXISTS"},
		{vault.ErrFormat, exitFailed, "VAULT_FORMAT"},
		{vault.ErrDamaged, exitDamaged, "VAULT_DAMAGED"},
		{vault.ErrBusy, exitBusy, "VAULT_BUSY"},
		{vault.ErrWrongKey, exitDenied, "UNAUTHORIZED"},
		{vault.ErrDenied, exitDenied, "SCOPE_DENIED"},
		{vault.ErrLapsed, exitDenied, "UNAUTHORIZED"},
		{vault.ErrRefused, exitDenied, "APPROVAL_DENIED"},
		{vault.ErrApproval, exitApproval, "APPROVAL_REQUIRED"},
		{vault.ErrAbove, exitDenied, "UNAUTHORIZED"},
		{vault.ErrPassphrase, exitDenied, "UNAUTHORIZED"},
		{vault.ErrUnknown, exitNotFound, "NOT_FOUND"},
		{vault.ErrNotFound, exitNotFound, "SECRET_NOT_FOUND"},
		{vault.ErrConflict, exitFailed, "CONFLICT"},
		{fs.ErrNotExist, exitFailed, "FILE_ERROR"},
		{fs.ErrPermission, exitFailed, "FILE_ERROR"},
		{vault.ErrMaybeDone, exitFailed, "MAYBE_DONE"},
		{vault.ErrNotMade, exitFailed, "FILE_ERROR"},
		{syscall.ENOSPC, exitFailed, "FILE_ERROR"},
		{syscall.EDQUOT, exitFailed, "FILE_ERROR"},
		{syscall.EFBIG, exitFailed, "FILE_ERROR"},
		{syscall.EIO, exitFailed, "FILE_ERROR"},
		{syscall.EROFS, exitFailed, "FILE_ERROR"},
		{syscall.EBUSY, exitFailed, "FILE_ERROR"},
	}
}

// kindError is a message with a kind of [kinds], and with what the person can do, if that is known.
type kindError struct {
	kind      error
	text, way string
}

func (e *kindError) Error() string  { return onOneLine(e.text, e.way) }
func (e *kindError) Unwrap() error  { return e.kind }
func (e *kindError) WayOut() string { return e.way }

// hint adds the way out: what the person can do. It is an imperative, or a command.
func (e *kindError) hint(format string, args ...any) *kindError {
	e.way = fmt.Sprintf(format, args...)
	return e
}

func usagef(format string, args ...any) *kindError { return errorf(errUsage, format, args...) }

// failf is for errors of no kind.
func failf(format string, args ...any) *kindError { return errorf(nil, format, args...) }

// sayf is failf for warnings and notes.
func sayf(format string, args ...any) *kindError { return errorf(nil, format, args...) }

func errorf(kind error, format string, args ...any) *kindError {
	return &kindError{kind: kind, text: fmt.Sprintf(format, args...)}
}

// hintedError is an error of another package with a way out that this one knows.
type hintedError struct {
	error
	way string
}

func (e *hintedError) Error() string  { return onOneLine(e.error.Error(), e.way) }
func (e *hintedError) Unwrap() error  { return e.error }
func (e *hintedError) WayOut() string { return e.way }

func withHint(err error, format string, args ...any) error {
	return &hintedError{err, fmt.Sprintf(format, args...)}
}

// onOneLine joins a message and its way out, which may be empty.
func onOneLine(text, way string) string {
	if way == "" {
		return text
	}
	return text + "; " + way
}

// classify returns the exit code of an error and the code that JSON carries.
func classify(err error) (exit int, code string) {
	var syntax *tokens.SyntaxError
	if errors.As(err, &syntax) {
		return exitUsage, "VALIDATION_ERROR"
	}
	for _, k := range kinds() {
		if errors.Is(err, k.err) {
			return k.exit, k.code
		}
	}
	return exitFailed, "FAILED"
}

// fail prints an error and returns the exit code.
func (a *app) fail(err error) int {
	exit, code := classify(err)
	message, way := tellError(a.withNearest(err))
	if exit == exitUsage {
		message = a.asGiven(message, err)
	}
	message, way = clean(message), clean(way)
	if a.JSON {
		told := errorJSON{Code: code, Message: message, Hint: way}
		var approval *vault.ApprovalError
		if errors.As(err, &approval) {
			ids := approval.IDs()
			told.ApprovalID, told.ApprovalIDs, told.Command = ids[0], ids, approveCommand(approval)
		}
		if b, jerr := jsonLine(errorResult{told}); jerr == nil {
			to := a.out.errw
			if a.errors != nil {
				to = a.errors
			}
			_, _ = to.Write(b)
			return exit
		}
	}
	a.out.say("", message, way)
	return exit
}

// vaultFault adds advice to a system error about the vault's own files. Changes to
// these are never half done.
func vaultFault(err error) error {
	switch {
	case errors.Is(err, vault.ErrMaybeDone):
		return err // its message says what is known
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return withHint(notChanged(err), "make room and run it again")
	case errors.Is(err, syscall.EFBIG):
		return withHint(notChanged(err), "let files be larger (ulimit -f), and run it again")
	case errors.Is(err, syscall.EIO):
		return withHint(fmt.Errorf("%w; nothing was changed, but this disk fails", err),
			"copy the vault to another one before anything else")
	case errors.Is(err, syscall.EBUSY):
		return notChanged(err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return withHint(fmt.Errorf("%w; nothing was changed: every access is logged in the vault's file, so it must be "+
			"writable", err),
			"as the owner, read with --unlogged")
	}
	return err
}

func notChanged(err error) error { return fmt.Errorf("%w; nothing was changed", err) }

type wayOut struct {
	err  error
	hint string
}

// hints are the ways out of errors that package vault reports. That package knows no
// command line, so it cannot name them.
func hints() []wayOut {
	return []wayOut{
		{vault.ErrBusy, "run it again, or wait longer with --lock-timeout"},
		{vault.ErrNoAgent, "list the agents with: ass agents list"},
		{vault.ErrTierFixed, "leave --tier out"},
		{vault.ErrOtherVault, "choose another place with --api-url"},
		{vault.ErrTooManyRequests, "have some decided first: ass approvals list"},
		{vault.ErrDeniedBefore, "to ask again, say why with --reason"},
		{vault.ErrAhead, "if the clock is right, go past such entries with --past-ahead"},
		{vault.ErrBadCopy, "look at the vault with: ass vault check"},
	}
}

// withWayOut returns the message of an error, on one line, with what the person can do.
func withWayOut(err error) string { return onOneLine(tellError(err)) }

// tellError returns the message of an error, on one line, and, apart from it, what the person can do.
func tellError(err error) (message, way string) {
	if both, ok := err.(interface{ Unwrap() []error }); ok { // each with its own way out
		messages, ways := []string{}, []string{}
		for _, err := range both.Unwrap() {
			m, w := tellError(err)
			messages = append(messages, m)
			if w != "" && !slices.Contains(ways, w) {
				ways = append(ways, w)
			}
		}
		return strings.Join(messages, "; "), strings.Join(ways, "; ")
	}
	message = err.Error()
	if missing := (*fs.PathError)(nil); errors.As(err, &missing) && errors.Is(missing, fs.ErrNotExist) {
		// The name of the system call says nothing to a person.
		what := "there is no file or folder "
		if missing.Op == "write" {
			what = "there is no folder for "
		}
		message = strings.Replace(message, missing.Error(), what+missing.Path, 1)
	}
	var ways []string
	for e := err; e != nil; e = errors.Unwrap(e) {
		if with, ok := e.(interface{ WayOut() string }); ok && with.WayOut() != "" {
			ways = append(ways, with.WayOut())
			message = strings.Replace(message, "; "+with.WayOut(), "", 1)
		}
	}
	if known := knownWay(err); known != "" {
		ways = append(ways, known)
	}
	return strings.ReplaceAll(message, "\n", "; "), strings.ReplaceAll(strings.Join(ways, "; "), "\n", "; ")
}

// knownWay returns the way out of an error of another package; empty if there is none.
func knownWay(err error) string {
	for _, h := range hints() {
		if errors.Is(err, h.err) {
			return h.hint
		}
	}
	var (
		damage   *vault.DamageError
		deleted  *vault.DeletedError
		backup   *vault.BackupError
		noRoom   *vault.NoRoomError
		names    *vault.NamesError
		mounted  *disk.MountedError
		approval *vault.ApprovalError
		archived *vault.ArchivedError
		file     *fs.PathError
	)
	switch {
	case errors.As(err, &damage) && damage.Whole:
		return "restore a backup with: ass vault restore BACKUP; without one, save what can be read with: ass " +
			"vault salvage " +
			shellWord(damage.Where) + " NEW"
	case errors.As(err, &damage):
		return "to list every problem: ass audit verify"
	case errors.As(err, &deleted):
		return "bring it back with: ass secrets restore " + deleted.Path.String()
	case errors.As(err, &noRoom):
		return "while nobody uses the vault, put it in place by hand: mv " + shellWord(noRoom.Kept) + " " +
			shellWord(noRoom.Path)
	case errors.As(err, &names) && names.Count == 0:
		return mountTheFolder + ", and start again"
	case errors.As(err, &names):
		return "as the owner, make it a file of its own: ass vault compact"
	case errors.As(err, &mounted):
		return mountTheFolder
	case errors.As(err, &backup):
		return "restore it with: ass vault restore " + shellWord(backup.Path) + "; as the owner, read from it with " +
			"--unlogged"
	case errors.As(err, &archived):
		return "check it with: ass audit verify --archive " + shellWord(archived.File) + " --expect RECEIPT"
	case errors.As(err, &approval):
		return "a human does that with: " + approveCommand(approval)
	case errors.As(err, &file) && errors.Is(file, fs.ErrNotExist) && file.Op == "write":
		return "make it first"
	case errors.As(err, &file) && errors.Is(file, fs.ErrNotExist) && !filepath.IsAbs(file.Path):
		return "name it from the folder that you are in, or with its whole path"
	case errors.As(err, &file) && errors.Is(file, fs.ErrNotExist):
		return "look at the name"
	}
	return ""
}

// rollbackWithWayOut says that the file is not the vault that this machine saw last, and what the person can do.
func rollbackWithWayOut(back *vault.Rollback) string {
	if back.Format > 0 { // ass vault accept refuses it
		return back.String() + "; put the newer file back, or, to go back to this one, move it elsewhere and run: ass vault restore FILE"
	}
	return back.String() + "; if that is intended: ass vault accept"
}

// mountTheFolder is the way out of a mount that a rename cannot reach.
const mountTheFolder = "mount the folder that it is in, not the file"

// approveCommand returns the command that approves the requests of an error.
func approveCommand(e *vault.ApprovalError) string {
	return "ass approvals approve " + strings.Join(e.IDs(), " ")
}

// bugError names the place of a panic and the type of its value. It leaves out the
// value, which could contain a secret.
func bugError(bug any) error {
	where := "an unknown place"
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc)])
	ours := strings.TrimSuffix(reflect.TypeFor[app]().PkgPath(), "commands")
	for panicked := false; ; {
		f, more := frames.Next()
		if panicked && strings.HasPrefix(f.Function, ours) {
			where = fmt.Sprintf("%s, line %d", f.Function, f.Line)
			break
		}
		panicked = panicked || f.Function == "runtime.gopanic"
		if !more {
			break
		}
	}
	return failf("this is a bug in ass, at %s (%T)", where, bug).
		hint("please report it")
}
