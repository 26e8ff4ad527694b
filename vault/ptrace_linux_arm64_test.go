package vault

import (
	"errors"
	"syscall"
)

func enteredCall(tid int) (number uint64, args [6]uint64, err error) {
	var r syscall.PtraceRegs
	err = syscall.PtraceGetRegs(tid, &r)
	return r.Regs[8], [6]uint64(r.Regs[:6]), err
}

// On arm64, the number of a call is in another set of registers, which package syscall cannot
// reach.
func skipCall(int) error { return errors.ErrUnsupported }

func setResult(int, syscall.Errno) error { return errors.ErrUnsupported }

var archFileCalls = map[uint64]string{}
