// Package disk opens, locks, writes, moves and removes files that others may have put in
// their place, or may swap between a check and the opening. A new file appears whole, or
// not at all, and a file that is replaced is replaced as a whole. The package syncs
// each file that it makes, replaces or removes. It knows no vault.
//
// open.go opens, lock.go locks, create.go makes and replaces files, names.go gives finished
// files their names, and register.go notes the files that are not finished, so that a later
// process can remove them. They rename and remove by way of rename_unix.go and
// rename_windows.go.
package disk
