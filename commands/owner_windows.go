package commands

import "io/fs"

// On Windows, the access list of a file says who owns it; ass does not read the list.

func ofStranger(fs.FileInfo) bool { return false }

func ofAnother(fs.FileInfo) bool { return false }
