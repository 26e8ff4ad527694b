package main

import (
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// withOwnMounts gives a command a list of mounts of its own, which ends with it: as root, some tests
// mount small file systems, and a killed test does not unmount them.
func withOwnMounts(attr *syscall.SysProcAttr) {
	if canHaveMounts() {
		attr.Unshareflags = syscall.CLONE_NEWNS
	}
}

var canHaveMounts = sync.OnceValue(func() bool {
	cmd := exec.Command("true")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return os.Geteuid() == 0 && cmd.Run() == nil
})
