package commands

import "io/fs"

// Whose a file is, its access list says here; it is not looked at.

func ofStranger(fs.FileInfo) bool { return false }

func ofAnother(fs.FileInfo) bool { return false }
