package vault

import (
	"errors"
	"slices"
	"strconv"

	"ass/audit"
	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

// The buckets. All except meta and audit hold records. The digest in the head
// covers all records. The names in the file are those of format ass/1: "asks" are requests,
// "answers" are decisions, and "unsealed" lists versions that wait to be sealed under the
// key of their own secret.
const (
	bucketMeta       = "meta"
	bucketRecipients = "recipients"
	bucketSecrets    = "secrets"
	bucketVersions   = "versions"
	bucketReseal     = "unsealed"
	bucketAgents     = "agents"
	bucketGrants     = "grants"
	bucketTokens     = "tokens"
	bucketUses       = "uses"
	bucketRequests   = "asks"
	bucketDecisions  = "answers"
	bucketTiers      = "tiers"
	bucketAudit      = "audit"
)

// recordBuckets returns the buckets of a format that hold records, in the order in which a verification
// reads them: secrets come before their versions.
func recordBuckets(format int) (names []string) {
	for _, r := range allRules {
		if r.since <= format {
			names = append(names, r.bucket)
		}
	}
	return names
}

func allBuckets(format int) []string {
	return append([]string{bucketMeta, bucketAudit}, recordBuckets(format)...)
}

// The keys of the meta bucket.
const (
	metaFormat = "format" // formatPrefix and the number of the format
	metaVault  = "vault"  // the vault id, 16 bytes; the owner recomputes it
	metaRoot   = "root"   // the root, an age file encrypted to the owner
	metaBind   = "bind"   // in format 1, ties the root to the owner's identity; then comes the wrap, see keys.WrapName
	metaEpoch  = "epoch"  // u32 number ‖ the epoch's secret, sealed under the root
	metaHead   = "head"   // see head
	metaCounts = "counts" // see counts; nothing is decided on them

	metaFeatures = "features" // what a program has to know besides the format, as a JSON list; none if nothing
	metaWays     = "ways"     // further ways to open the vault; see Way
)

// metaNames are the keys of the meta bucket of the owner's vault.
func (s *Session) metaNames() []string {
	names := []string{metaFormat, metaVault, metaRoot, metaBind, metaEpoch, metaHead}
	if s.epoch.Format >= keys.Format2 {
		names[3] = s.owner.WrapName(s.epoch.Vault)
		names = append(names, metaCounts, metaFeatures)
		if slices.Contains(s.marks, featureWays) {
			names = append(names, metaWays)
		}
	}
	return names
}

const (
	formatPrefix = "ass/"
	newestFormat = keys.Format2
)

// NewestFormat names the format of new vaults.
func NewestFormat() string { return formatName(newestFormat) }

// formatName returns the text that names a format in a file.
func formatName(format int) string { return formatPrefix + strconv.Itoa(format) }

// macOf returns the MAC at the end of a stored record or entry.
func macOf(value []byte) (m [32]byte) {
	if len(value) >= len(m) {
		m = [32]byte(value[len(value)-len(m):])
	}
	return m
}

// lastEntry returns the number and the MAC of the newest log entry, and those of the entry
// at, if that exists. It needs no key.
func (v *Vault) lastEntry(at uint64) (last, then mark, err error) {
	err = v.db.View(func(t *bolt.Tx) error {
		k, value, err := t.Last(bucketAudit)
		if err != nil {
			return err
		}
		if k != nil {
			last = mark{Seq: audit.Seq(k), MAC: macOf(value)}
		}
		if value, err = t.Get(bucketAudit, audit.Key(at)); value != nil {
			then = mark{Seq: at, MAC: macOf(value)}
		}
		return err
	})
	return last, then, err
}

// firstEntry returns the number of the oldest log entry that is not archived; 0 if there
// is none.
func (v *Vault) firstEntry() (seq uint64, err error) {
	err = v.db.View(func(t *bolt.Tx) error {
		return t.Walk(bucketAudit, nil, func(k, _ []byte) error {
			if seq = audit.Seq(k); seq > 0 { // else it is the checkpoint
				return errStop
			}
			return nil
		})
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return seq, err
}
