//go:build race

package bolt

func init() { underRace = true }
