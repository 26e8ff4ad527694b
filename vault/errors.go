package vault

import (
	"errors"
	"fmt"
)

// Errors of opening and creating.
var (
	// ErrNoVault says that there is no file where the vault should be.
	ErrNoVault = errors.New("no vault")

	// ErrExists says that a vault is there already; one is never overwritten.
	ErrExists = errors.New("a vault is there already")

	// ErrFormat says that the file is of a format that this program does not know.
	ErrFormat = errors.New("unknown format")

	// ErrDamaged says that the file, or a record in it, is not what an honest
	// program wrote. [DamageError] carries which.
	ErrDamaged = errors.New("damaged")

	// ErrBusy says that another process held the lock for longer than the
	// limit. [BusyError] carries which.
	ErrBusy = errors.New("busy")

	// ErrWrongKey says that a credential does not open this vault.
	ErrWrongKey = errors.New("wrong key")

	// ErrNotMade says that a copy, or a file of the log, could not be written where it
	// was to go. What the system said is in the message alone: it is not about the vault.
	ErrNotMade = errors.New("not made")

	// ErrPassphrase says that a passphrase does not open the stored identity.
	ErrPassphrase = errors.New("wrong passphrase")
)

// Errors of what a credential may do.
var (
	// ErrDenied says that the credential may not do it.
	ErrDenied = errors.New("denied")

	// ErrLapsed says that the credential has expired, or that the clock stands
	// before its last use.
	ErrLapsed = errors.New("lapsed")

	// ErrApproval says that a human must approve first. [ApprovalError] carries
	// the requests.
	ErrApproval = errors.New("approval required")

	// ErrRefused says that a human was asked, and said no.
	ErrRefused = errors.New("approval denied")
)

// Errors of acting on secrets.
var (
	// ErrNotFound says that there is no such secret or version.
	ErrNotFound = errors.New("not found")

	// ErrUnknown says that there is no such agent, token or request. It wraps
	// ErrNotFound.
	ErrUnknown error = &stateError{ErrNotFound, "not known"}

	// ErrConflict says that the secret is not in the state that the caller
	// asked for: another version, deleted, not deleted.
	ErrConflict = errors.New("conflict")
)

// DamageError names what does not hold. It wraps [ErrDamaged].
type DamageError struct {
	Where   string // a file, or bucket/key
	Problem string
	Whole   bool // nothing can be read of the file
}

func (e *DamageError) Error() string { return e.Where + ": " + e.Problem }
func (e *DamageError) Unwrap() error { return ErrDamaged }

func damaged(where, format string, args ...any) error {
	return &DamageError{Where: where, Problem: fmt.Sprintf(format, args...)}
}

// notVault is for a file of which nothing can be read.
func notVault(path, problem string) error {
	return &DamageError{Where: path, Problem: problem, Whole: true}
}

// stateError is a message that reads by itself and still has a kind.
type stateError struct {
	kind error
	text string
}

func (e *stateError) Error() string { return e.text }
func (e *stateError) Unwrap() error { return e.kind }

func errorOf(kind error, format string, args ...any) error {
	return &stateError{kind, fmt.Sprintf(format, args...)}
}
