// Ass is the Agent Secret Store without a server: encrypted secrets at paths, in
// one file, with an audit log that proves itself.
//
// See README.md for a start, and docs/design.md for how it is built.
package main

import "ass/commands"

func main() { commands.Main() }
