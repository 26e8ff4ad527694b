package process

import "golang.org/x/sys/unix"

// noTracing keeps the other programs of this user, and the child of ass run, from
// reading the memory and the environment of this process. Root still can. It does not
// protect the programs that this process starts.
func noTracing() { _ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
