package vault

import (
	"errors"
	"fmt"

	"ass/tokens"
)

// Errors of opening and creating.
var (
	// ErrNoVault says that there is no file where the vault should be.
	ErrNoVault = errors.New("no vault")

	// ErrExists says that a vault, or another file, is there already. It is never
	// overwritten.
	ErrExists = errors.New("a vault exists already")

	// ErrOtherVault says that another vault lies where a backup was to be restored. It
	// wraps ErrExists.
	ErrOtherVault error = &stateError{ErrExists, "another vault"}

	// ErrFormat says that this program does not know the format of the file.
	ErrFormat = errors.New("unknown format")

	// ErrDamaged says that the file, or a record in it, is corrupt or tampered with.
	// [DamageError] says which.
	ErrDamaged = errors.New("damaged")

	// ErrBadCopy says that a new backup failed its verification. It wraps ErrDamaged.
	ErrBadCopy error = &stateError{ErrDamaged, "bad copy"}

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

	// ErrTierFixed says that a grantee tried to change the tier of an existing secret.
	// It wraps ErrDenied.
	ErrTierFixed error = &stateError{ErrDenied, "the tier is fixed"}

	// ErrLapsed says that the credential has expired, or that the clock is behind its
	// last use.
	ErrLapsed = errors.New("lapsed")

	// ErrApproval says that a human must approve first. [ApprovalError] carries
	// the requests.
	ErrApproval = errors.New("approval required")

	// ErrRefused says that a human denied the request.
	ErrRefused = errors.New("approval denied")

	// ErrDeniedBefore says that the same request was denied recently, so a new one needs
	// a reason. It wraps ErrRefused.
	ErrDeniedBefore error = &stateError{ErrRefused, "denied before"}

	// ErrTooManyRequests says that a grantee has as many pending requests as it may
	// have. It wraps ErrConflict.
	ErrTooManyRequests error = &stateError{ErrConflict, "too many requests"}
)

// Errors of acting on secrets.
var (
	// ErrNotFound says that there is no such secret or version.
	ErrNotFound = errors.New("not found")

	// ErrUnknown says that there is no such agent, token or request. It wraps
	// ErrNotFound.
	ErrUnknown error = &stateError{ErrNotFound, "not known"}

	// ErrNoAgent says that no agent has such an id or name. It wraps ErrUnknown.
	ErrNoAgent error = &stateError{ErrUnknown, "no agent"}

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

// DeletedError says that a secret was deleted and can be restored. It wraps
// [ErrNotFound].
type DeletedError struct{ Path tokens.Path }

func (e *DeletedError) Error() string { return e.Path.String() + " was deleted" }
func (e *DeletedError) Unwrap() error { return ErrNotFound }

// BackupError says that a vault file is a backup. Every read is logged in the file
// itself, and backups stay unchanged, so nothing can be read from one. It wraps
// [ErrConflict].
type BackupError struct{ Path string }

func (e *BackupError) Error() string {
	return e.Path + " is a backup: reading a secret would add to its log, and backups stay unchanged"
}
func (e *BackupError) Unwrap() error { return ErrConflict }

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
