package vault

import "syscall"

func callNumber(tid int) uint64 {
	var regs syscall.PtraceRegs
	if syscall.PtraceGetRegs(tid, &regs) != nil {
		return 0
	}
	return regs.Orig_rax
}

func otherFileCall(call uint64) bool {
	return call == syscall.SYS_RENAME || call == syscall.SYS_UNLINK
}
