//go:build race

package world

// UnderRace says that the race detector slows everything down.
const UnderRace = true
