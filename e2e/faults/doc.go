// Package faults tests what is left of a command's work outside of the vault's file when the command is
// killed, or when the system fails one of its file calls, on Linux (amd64 and arm64). It has only tests.
//
// For each command, [TestFaults] runs the program under ptrace, once undisturbed, and then once for each
// fault: a kill at a call, or a call that fails. Then it runs the next commands and looks at every file.
// The vault's own file is tested like this in package vault.
//
// faults_linux_test.go picks the faults, home_linux_test.go is the home of a user, after_linux_test.go
// checks, and scenarios_linux_test.go has the commands.
package faults
