// Package trace runs a child process under ptrace, for tests on Linux (amd64 and arm64). [Files] asks
// about each call of one thread that changes a file, and can make the call fail or kill the child
// there. [Calls] shows every system call of every thread.
//
// files_linux.go has Files, and calls_linux.go has the loop below it and Calls. Nothing of this
// is linked into ass.
package trace
