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

func main() { commands.Main() }
