// Package disk opens, locks, writes, moves and removes files that others may have put in
// their place, or may swap between a check and the opening. If writing a file fails,
// no half of it stays under its name, and a file that is replaced is replaced as a whole.
// It knows no vault.
//
// open.go opens, lock.go locks, write.go makes files and replaces small ones, and names.go
// gives finished files their names.
package disk
