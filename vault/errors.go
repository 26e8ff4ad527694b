package vault

import (
	"errors"
	"fmt"
)

// Errors of opening and creating.
var (
	// ErrNoVault says that there is no file where the vault should be.
	ErrNoVault = errors.New("no vault")

	// ErrExists says that a vault, or another file, is there already. It is never
	// overwritten.
	ErrExists = errors.New("a vault is there already")

	// ErrFormat says that this program does not know the format of the file.
	ErrFormat = errors.New("unknown format")

	// ErrDamaged says that the file, or a record in it, is corrupt or tampered with.
	// [DamageError] says which.
	ErrDamaged = errors.New("damaged")

	// ErrBusy says that another process held the lock for longer than the
	// limit. [BusyError] says which process.
	ErrBusy = errors.New("busy")

	// ErrWrongKey says that a credential does not open this vault.
	ErrWrongKey = errors.New("wrong key")

	// ErrNotMade says that a backup, or an archive of the log, could not be written to
	// its destination. Only the message carries the system's error, because that error
	// is not about the vault.
	ErrNotMade = errors.New("not made")

	// ErrPassphrase says that a passphrase does not open the stored identity.
	ErrPassphrase = errors.New("wrong passphrase")
)

// Errors about what a credential may do.
var (
	// ErrDenied says that the credential does not allow the act.
	ErrDenied = errors.New("denied")

	// ErrLapsed says that the credential has expired, or that the clock is behind its
	// last use.
	ErrLapsed = errors.New("lapsed")

	// ErrApproval says that a human must approve first. [ApprovalError] carries
	// the requests.
	ErrApproval = errors.New("approval required")

	// ErrRefused says that a human denied the request.
	ErrRefused = errors.New("approval denied")
)

// Errors of acting on secrets.
var (
	// ErrNotFound says that there is no such secret or version.
	ErrNotFound = errors.New("not found")

	// ErrUnknown says that there is no such agent, token or request. It wraps
	// ErrNotFound.
	ErrUnknown error = &stateError{ErrNotFound, "not known"}

	// ErrConflict says that the secret is not in the state that the caller asked for:
	// it is at another version, deleted, or not deleted.
	ErrConflict = errors.New("conflict")
)

// DamageError names what is damaged. It wraps [ErrDamaged].
type DamageError struct {
	Where   string // a file, or bucket/key
	Problem string
	Whole   bool // no part of the file can be read
}

func (e *DamageError) Error() string { return e.Where + ": " + e.Problem }
func (e *DamageError) Unwrap() error { return ErrDamaged }

func damaged(where, format string, args ...any) error {
	return &DamageError{Where: where, Problem: fmt.Sprintf(format, args...)}
}

// notVault returns the error for a file that cannot be read at all.
func notVault(path, problem string) error {
	return &DamageError{Where: path, Problem: problem, Whole: true}
}

// stateError wraps the error of its kind, but has a complete message of its own.
type stateError struct {
	kind error
	text string
}

func (e *stateError) Error() string { return e.text }
func (e *stateError) Unwrap() error { return e.kind }

func errorOf(kind error, format string, args ...any) error {
	return &stateError{kind, fmt.Sprintf(format, args...)}
}
