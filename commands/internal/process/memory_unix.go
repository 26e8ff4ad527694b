//go:build unix

package process

import (
	"os/exec"

	"golang.org/x/sys/unix"
)

// coreLimit is the core dump limit that this process started with; nil before
// KeepMemory.
var coreLimit *unix.Rlimit

// KeepMemory keeps the memory of this process, with its keys and values, out of core
// dumps. Where the system has a way, it also hides the memory from the other programs
// of this user. It ignores failures, because this is only one more line of defence.
func KeepMemory() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CORE, &limit) == nil {
		coreLimit = &limit
		setCoreLimit(0)
	}
	noTracing()
}

// setCoreLimit sets the soft limit. It leaves the hard limit alone, because a lowered
// hard limit could not be raised again.
func setCoreLimit(most uint64) {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: most, Max: coreLimit.Max})
}

// giveCoreLimit restores the original core dump limit for a program that is about to be
// started or to replace this one.
func giveCoreLimit() {
	if coreLimit != nil {
		setCoreLimit(coreLimit.Cur)
	}
}

// Start starts another program with the original core dump limit.
func Start(cmd *exec.Cmd) error {
	giveCoreLimit()
	err := cmd.Start()
	if coreLimit != nil {
		setCoreLimit(0)
	}
	return err
}
