// Package audit is the log that proves itself: an append-only sequence of
// signed, chained entries.
//
// The actor signs each entry together with the MAC of the entry before it. Each
// entry has a MAC under a key that is used only once: after each entry, a new key,
// derived one-way, replaces the old one. A thief of the file and of every key in
// use today therefore cannot alter any earlier entry (forward-secure logging, as in
// Schneier and Kelsey, "Secure Audit Logs to Support Computer Forensics", 1999).
// The first key of each epoch derives from the vault's root alone, so the owner
// can recompute every key and check every entry.
//
// The log alone cannot show that its tail was cut off together with the head that
// counts it. Package vault therefore remembers, outside the file, how far the log
// had come.
//
// The package works on bytes that it is handed. It knows no database, no clock
// and no files. Read event.go for what is logged, chain.go for how an entry is
// made, and verify.go for how a log is checked.
package audit
