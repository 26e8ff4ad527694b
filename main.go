// Ass is the Agent Secret Store without a server: encrypted secrets at paths, in
// one file, with an audit log that proves itself.
//
// See README.md for a start, and docs/design.md for how it is built.
//
// The two lines below keep the runtime from reading and watching the CPU limits of a
// container, which takes a twentieth of a short command's time.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main

import "ass/commands"

func main() { commands.Main() }
