//go:build unix && race

package limits

import "golang.org/x/sys/unix"

// set gives this process and its children an ordinary umask. The race detector reserves more
// addresses than any limit allows.
func set() { unix.Umask(0o022) }
