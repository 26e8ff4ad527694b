//go:build unix

package commands

import (
	"os/exec"

	"golang.org/x/sys/unix"
)

// coreLimit is what this process had for the size of a core dump; nil before
// keepMemory.
var coreLimit *unix.Rlimit

// keepMemory keeps what is in the memory of this process, keys and values, out of
// core dumps and, where the system has a way, from the other programs of this user.
// A failure is no reason to stop: it is one lock more.
func keepMemory() {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CORE, &limit) == nil {
		coreLimit = &limit
		setCoreLimit(0)
	}
	noTracing()
}

// setCoreLimit leaves the hard limit as it is, or it could not be given back.
func setCoreLimit(most uint64) {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: most, Max: coreLimit.Max})
}

// giveCoreLimit gives back the limit of core dumps, for a program that is about to be
// started or to replace this one.
func giveCoreLimit() {
	if coreLimit != nil {
		setCoreLimit(coreLimit.Cur)
	}
}

// start starts another program with the limit of core dumps that this one had.
func start(cmd *exec.Cmd) error {
	giveCoreLimit()
	err := cmd.Start()
	if coreLimit != nil {
		setCoreLimit(0)
	}
	return err
}
