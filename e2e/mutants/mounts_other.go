//go:build unix && !linux

package main

import "syscall"

// withOwnMounts does nothing: no test mounts anything here.
func withOwnMounts(*syscall.SysProcAttr) {}
