// Package limits gives the tests the same surroundings everywhere. Test binaries call Set before
// their first test. It stands alone, so that the tests of every package can use it.
package limits

import "runtime/debug"

// Set gives this process and its children an ordinary umask and, where that is possible, a limit of memory. It also
// lets the heap grow before garbage is collected: a test makes much garbage, and keeps little of it.
func Set() {
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(1 << 30) // bytes, from which on garbage is collected more often
	set()
}
