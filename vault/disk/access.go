package disk

import "io/fs"

// Access is what others can do with a file or a folder.
type Access struct {
	// Mode has the permissions as on Unix. On Windows, those of others are what the access list gives to
	// anybody but this user, the administrators and the system. A sticky folder is one in which others can
	// only add files.
	Mode fs.FileMode

	// Stranger says that it belongs to a user who could use it against this one: neither this
	// user nor root. If ass runs as root, with sudo or in a container, there are no strangers: that
	// person means the files that are there. On Windows, the administrators and the system count as root.
	Stranger bool

	Another bool // it belongs to another user, root included

	// On Windows, the ids of this user and of those others.
	Me     string
	Others []string
}
