package trace

import (
	"errors"
	"syscall"
)

// enteredCall returns the number and the arguments of the call that a stopped thread enters.
func enteredCall(tid int) (number uint64, args [6]uint64, err error) {
	var r syscall.PtraceRegs
	err = syscall.PtraceGetRegs(tid, &r)
	return r.Regs[8], [6]uint64(r.Regs[:6]), err
}

// result returns what the call that a thread leaves returns: a negative errno if it failed.
func result(tid int) (int64, error) {
	var r syscall.PtraceRegs
	err := syscall.PtraceGetRegs(tid, &r)
	return int64(r.Regs[0]), err
}

// setSecondArg changes the second argument of the call that a thread enters.
func setSecondArg(tid int, value uint64) error {
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	r.Regs[1] = value
	return syscall.PtraceSetRegs(tid, &r)
}

// skipCall skips nothing: on arm64, the number of a call is in another set of registers, which
// package syscall cannot reach.
func skipCall(int) error { return errors.ErrUnsupported }

func setResult(int, syscall.Errno) error { return errors.ErrUnsupported }

var archFileCalls = map[uint64]string{}
