// Package disk opens, locks, writes, moves and removes files that others may have put in
// their place, or may swap between a check and the opening. Whatever it writes under a
// name is whole: a file appears, or is replaced, in one piece. It syncs what it writes,
// and the folder. It knows no vault.
package disk
