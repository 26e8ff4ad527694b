// Package bolt is one bbolt file that somebody may have damaged or crafted. bbolt trusts
// its pages, so this package checks each page before bbolt reads it, puts a failed commit
// back, and finds what is left in a file that no longer opens. It knows no key and no
// record.
//
// Read pages.go (what is checked), then way.go (which pages an act needs), then tx.go and
// db.go. Each page is checked when it is first needed, so the cost grows with the depth of
// the tree, not with the size of the file.
package bolt
