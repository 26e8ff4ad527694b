//go:build !race

package powercut

import (
	"golang.org/x/sys/unix"

	"ass/e2e/trace"
)

// modern returns the number and the arguments of a call.
func modern(c trace.Call) (number uint64, args [6]uint64) { return c.Number, c.Args }

var archHarmless = []uint64{unix.SYS_NEWFSTATAT}
