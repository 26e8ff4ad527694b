// Package fault has the kinds of errors that package vault reports. It stands alone, so
// that the packages below vault can report them too. Package vault exports the kinds
// again, and says what each one means.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Errors of opening and creating.
var (
	ErrNoVault          = errors.New("no vault")
	ErrExists           = errors.New("a vault exists already")
	ErrOtherVault error = &stateError{kind: ErrExists, text: "another vault"}
	ErrFormat           = errors.New("unknown format")
	ErrDamaged          = errors.New("damaged")
	ErrBadCopy    error = &stateError{kind: ErrDamaged, text: "bad copy"}
	ErrBusy             = errors.New("busy")
	ErrWrongKey         = errors.New("wrong key")
	ErrNotMade          = errors.New("not made")
	ErrMaybeDone        = errors.New("the change may have been made")
	ErrPassphrase       = errors.New("wrong passphrase")
)

// Errors about what a credential may do.
var (
	ErrDenied                = errors.New("denied")
	ErrTierFixed       error = &stateError{kind: ErrDenied, text: "the tier is fixed"}
	ErrLapsed                = errors.New("lapsed")
	ErrApproval              = errors.New("approval required")
	ErrAbove                 = errors.New("above")
	ErrRefused               = errors.New("approval denied")
	ErrDeniedBefore    error = &stateError{kind: ErrRefused, text: "denied before"}
	ErrTooManyRequests error = &stateError{kind: ErrConflict, text: "too many requests"}
	ErrThere           error = &stateError{kind: ErrConflict, text: "it is there"}
)

// Errors of acting on secrets.
var (
	ErrNotFound       = errors.New("not found")
	ErrUnknown  error = &stateError{kind: ErrNotFound, text: "not known"}
	ErrNoAgent  error = &stateError{kind: ErrUnknown, text: "no agent"}
	ErrConflict       = errors.New("conflict")
	ErrAhead    error = &stateError{kind: ErrConflict, text: "dated ahead"}
)

// DamageError names what is damaged. It wraps [ErrDamaged].
type DamageError struct {
	Where   string // a file, or bucket/key
	Problem string
	Whole   bool // the file as a whole is damaged: a verification would stop at the same place
}

func (e *DamageError) Error() string { return e.Where + ": " + e.Problem }
func (e *DamageError) Unwrap() error { return ErrDamaged }

// Damaged returns the error for one damaged thing: where is a file, or bucket/key.
func Damaged(where, format string, args ...any) error {
	return &DamageError{Where: where, Problem: fmt.Sprintf(format, args...)}
}

// Unusable returns the error for a file that is damaged as a whole.
func Unusable(path, problem string) error {
	return &DamageError{Where: path, Problem: problem, Whole: true}
}

// BusyError says which process holds the lock. It wraps [ErrBusy].
type BusyError struct {
	Path   string // of the vault
	Holder string // "pid 4121 (ass secrets set), since 10:30:01"; "" if unknown
	Waited time.Duration
}

func (e *BusyError) Error() string {
	who := e.Holder
	if who == "" {
		who = "another process"
	}
	return fmt.Sprintf("%s is in use by %s; waited %s", e.Path, who, e.Waited)
}

func (e *BusyError) Unwrap() error { return ErrBusy }

// stateError wraps the error of its kind, but has a complete message of its own.
type stateError struct {
	kind error
	text string
	way  string
}

func (e *stateError) Error() string {
	if e.way == "" {
		return e.text
	}
	return e.text + "; " + e.way
}
func (e *stateError) Unwrap() error { return e.kind }

// WayOut returns what can be done about the error, which is the end of its message as well; empty if nothing is known.
func (e *stateError) WayOut() string { return e.way }

// Hint adds the way out.
func (e *stateError) Hint(format string, args ...any) error {
	e.way = fmt.Sprintf(format, args...)
	return e
}

// New returns an error of a kind, with a complete message of its own.
func New(kind error, format string, args ...any) *stateError {
	return &stateError{kind: kind, text: fmt.Sprintf(format, args...)}
}
