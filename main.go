// Ass is the Agent Secret Store without a server: encrypted secrets at paths, in
// one file, with an audit log that proves itself.
//
// See README.md for a start, and docs/design.md for how it is built.
//
// The runtime reads the CPU limits of a container at its start, and nothing keeps it from
// that. The line below makes it close their files again. Otherwise they stay open, and
// --passphrase-fd 3 takes a limit for the passphrase if nobody opened descriptor 3.
//
//go:debug containermaxprocs=0
package main

import "ass/commands"

func main() {
	growStack(0)
	commands.Main()
}

// growStack makes room on the stack for all that a command needs. The runtime doubles a stack that is too small, and
// then looks up each function that is on it. With two functions on it, that costs nothing; with the thirty of a command
// that is under way, a twentieth of the command.
//
//go:noinline
func growStack(i int) byte {
	var room [24 << 10]byte
	return room[i]
}
