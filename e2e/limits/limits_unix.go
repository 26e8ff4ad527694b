//go:build unix && !race

package limits

import "golang.org/x/sys/unix"

// memory is what one test binary, or a program that it starts, may take, in bytes of addresses. Go
// reserves up to 2 GiB that it never uses. A broken program once took all of a machine.
const memory = 12 << 30

// set limits the memory of this process and of its children, and gives them an ordinary umask.
func set() {
	unix.Umask(0o022)
	var is unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &is) == nil && is.Cur > memory {
		_ = unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: memory, Max: is.Max})
	}
}
