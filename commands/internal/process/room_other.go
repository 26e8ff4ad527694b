//go:build !linux

package process

import "math"

// Room returns math.MaxInt64 twice: it is not known here how much memory this process can get.
func Room() (hard, soft int64) { return math.MaxInt64, math.MaxInt64 }
