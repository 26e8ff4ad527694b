// Package audit is the log that proves itself: an append-only sequence of
// signed, chained entries.
//
// Each entry is signed by its actor over the MAC of the entry before it, and
// MACed under a key that exists only once: after an entry its key is replaced
// by the next, derived one-way, so whoever steals the file and every key in use
// today can alter nothing that was logged before (forward-secure logging, as in
// Schneier and Kelsey, "Secure Audit Logs to Support Computer Forensics", 1999).
// Each epoch of the vault begins with a key that only the vault's root gives, so
// the owner can recompute every key and check every entry.
//
// What this does not show is a tail cut off together with the head that counts
// it; the vault package remembers outside of the file how far the log had come.
//
// The package works on bytes that it is handed. It knows no database, no clock
// and no files. Read event.go for what is logged, chain.go for how an entry is
// made, verify.go for how a log is checked.
package audit
