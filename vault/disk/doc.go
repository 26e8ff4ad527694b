// Package disk opens, locks, writes, moves and removes files that others may have put in
// their place, or may swap between a check and the opening. Whatever it writes under a
// name is whole: a file appears, or is replaced, in one piece. It syncs what it writes,
// and the folder. It knows no vault.
//
// open.go opens, lock.go locks, write.go makes files and replaces small ones, and names.go
// gives finished files their names.
package disk
