package vault

import (
	"fmt"

	"ass/tokens"
	"ass/vault/internal/fault"
)

// Errors of opening and creating.
var (
	// ErrNoVault says that there is no file where the vault should be.
	ErrNoVault = fault.ErrNoVault

	// ErrExists says that a vault, or another file, is there already. It is never
	// overwritten.
	ErrExists = fault.ErrExists

	// ErrOtherVault says that another vault lies where a backup was to be restored. It
	// wraps ErrExists.
	ErrOtherVault = fault.ErrOtherVault

	// ErrFormat says that this program does not know the format of the file.
	ErrFormat = fault.ErrFormat

	// ErrDamaged says that the file, or a record in it, is corrupt or tampered with.
	// [DamageError] says which.
	ErrDamaged = fault.ErrDamaged

	// ErrBadCopy says that a new backup failed its verification. It wraps ErrDamaged.
	ErrBadCopy = fault.ErrBadCopy

	// ErrBusy says that another process held the lock for longer than the
	// limit. [BusyError] says which process.
	ErrBusy = fault.ErrBusy

	// ErrWrongKey says that a credential does not open this vault.
	ErrWrongKey = fault.ErrWrongKey

	// ErrNotMade says that a backup, or an archive of the log, could not be written to
	// its destination. Only the message carries the system's error, because that error
	// is not about the vault.
	ErrNotMade = fault.ErrNotMade

	// ErrMaybeDone says that the disk failed at a point of no return: the act may have
	// been done, or a power cut may undo it. The message says which. After any other
	// system error, nothing was changed.
	ErrMaybeDone = fault.ErrMaybeDone

	// ErrPassphrase says that a passphrase does not open the stored identity.
	ErrPassphrase = fault.ErrPassphrase
)

// Errors about what a credential may do.
var (
	// ErrDenied says that the credential does not allow the act.
	ErrDenied = fault.ErrDenied

	// ErrTierFixed says that a grantee tried to change the tier of an existing secret.
	// It wraps ErrDenied.
	ErrTierFixed = fault.ErrTierFixed

	// ErrLapsed says that the credential has expired, or that the clock is before its
	// issue.
	ErrLapsed = fault.ErrLapsed

	// ErrApproval says that a human must approve first. [ApprovalError] carries
	// the requests.
	ErrApproval = fault.ErrApproval

	// ErrAbove says that an act needs the owner's key, and that no request was made. [AboveError] says for what.
	ErrAbove = fault.ErrAbove

	// ErrRefused says that a human denied the request.
	ErrRefused = fault.ErrRefused

	// ErrDeniedBefore says that the same request was denied recently, so a new one needs
	// a reason. It wraps ErrRefused.
	ErrDeniedBefore = fault.ErrDeniedBefore

	// ErrThere says that a secret that was asked for is there already.
	ErrThere = fault.ErrThere

	// ErrTooManyRequests says that a grantee has as many pending requests as it may
	// have. It wraps ErrConflict.
	ErrTooManyRequests = fault.ErrTooManyRequests
)

// Errors of acting on secrets.
var (
	// ErrNotFound says that there is no such secret or version.
	ErrNotFound = fault.ErrNotFound

	// ErrUnknown says that there is no such agent, token, request or log entry. It wraps
	// ErrNotFound.
	ErrUnknown = fault.ErrUnknown

	// ErrNoAgent says that no agent has such an id or name. It wraps ErrUnknown.
	ErrNoAgent = fault.ErrNoAgent

	// ErrConflict says that the secret is not in the state that the caller asked for:
	// it is at another version, deleted, or not deleted.
	ErrConflict = fault.ErrConflict

	// ErrAhead says that a log entry is dated ahead of the clock, so that an archive stops
	// before it. It wraps ErrConflict.
	ErrAhead = fault.ErrAhead
)

// Errors that carry what they are about.
type (
	// DamageError names what is damaged. It wraps [ErrDamaged].
	DamageError = fault.DamageError

	// BusyError says which process holds the lock. It wraps [ErrBusy].
	BusyError = fault.BusyError
)

// MissingError says that there is no secret at a path. It wraps [ErrNotFound].
type MissingError struct{ Path tokens.Path }

func (e *MissingError) Error() string { return "no secret at " + e.Path.String() }
func (e *MissingError) Unwrap() error { return ErrNotFound }

// DeletedError says that a secret was deleted and can be restored. It wraps
// [ErrNotFound].
type DeletedError struct {
	Path    tokens.Path
	Version uint64 // the version that was asked for, if a later one can be read; else 0
}

func (e *DeletedError) Error() string {
	if e.Version > 0 {
		return fmt.Sprintf("%s version %d was deleted", e.Path, e.Version)
	}
	return e.Path.String() + " was deleted"
}
func (e *DeletedError) Unwrap() error { return ErrNotFound }

// BackupError says that a vault file is a backup. Every act is logged in the file
// itself, and backups stay unchanged, so one can only be looked at. It wraps
// [ErrConflict].
type BackupError struct{ Path string }

func (e *BackupError) Error() string {
	return e.Path + " is a backup: a command would add to its log, and backups stay unchanged"
}
func (e *BackupError) Unwrap() error { return ErrConflict }
