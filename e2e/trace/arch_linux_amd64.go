package trace

import "syscall"

// enteredCall returns the number and the arguments of the call that a stopped thread enters.
func enteredCall(tid int) (number uint64, args [6]uint64, err error) {
	var r syscall.PtraceRegs
	err = syscall.PtraceGetRegs(tid, &r)
	return r.Orig_rax, [6]uint64{r.Rdi, r.Rsi, r.Rdx, r.R10, r.R8, r.R9}, err
}

// result returns what the call that a thread leaves returns: a negative errno if it failed.
func result(tid int) (int64, error) {
	var r syscall.PtraceRegs
	err := syscall.PtraceGetRegs(tid, &r)
	return int64(r.Rax), err
}

// setSecondArg changes the second argument of the call that a thread enters.
func setSecondArg(tid int, value uint64) error {
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	r.Rsi = value
	return syscall.PtraceSetRegs(tid, &r)
}

// skipCall makes the system skip the call that a thread enters.
func skipCall(tid int) error {
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	r.Orig_rax = ^uint64(0)
	return syscall.PtraceSetRegs(tid, &r)
}

// setResult makes the call that a thread leaves return errno.
func setResult(tid int, errno syscall.Errno) error {
	var r syscall.PtraceRegs
	if err := syscall.PtraceGetRegs(tid, &r); err != nil {
		return err
	}
	r.Rax = uint64(-int64(errno))
	return syscall.PtraceSetRegs(tid, &r)
}

var archFileCalls = map[uint64]string{syscall.SYS_RENAME: "rename", syscall.SYS_UNLINK: "unlinkat"}
