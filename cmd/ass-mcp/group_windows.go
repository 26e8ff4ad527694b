package main

import "os/exec"

// inGroup leaves a command as it is: Windows has no process groups to end, so the end of ass ends
// what it started alone.
func inGroup(*exec.Cmd) {}
