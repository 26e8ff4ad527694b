package limits

// Set does nothing: there is no umask here.
func Set() {}
