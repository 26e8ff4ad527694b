package audit

import "time"

// Names of events. If the hosted product has a name for an event, it is the same
// here. A refusal has the name of the refused act, followed by [Denied].
const (
	SecretCreated    = "secret.created"
	SecretUpdated    = "secret.updated"
	SecretRotated    = "secret.rotated"
	SecretImported   = "secret.imported"
	SecretRead       = "secret.read"
	SecretDeleted    = "secret.deleted"
	SecretRestored   = "secret.restored"
	SecretRolledBack = "secret.rolled_back"
	SecretDescribed  = "secret.described"
	SecretPurged     = "secret.purged"
	SecretPruned     = "secret.pruned" // some of its versions were removed
	SecretMoved      = "secret.moved"  // with its history, to another path
	SecretCopied     = "secret.copied" // to another path
	SecretMended     = "secret.mended" // after somebody tampered with it

	AgentCreated    = "agent.created"
	AgentUpdated    = "agent.updated" // what it may do; its key stays
	AgentRevoked    = "agent.revoked"
	AgentKeyRotated = "agent.key_rotated"

	TokenIssued  = "token.issued"
	TokenRevoked = "token.revoked"

	ApprovalRequested = "approval.requested"
	ApprovalReason    = "approval.reason_added" // to a request that had none
	ApprovalGranted   = "approval.granted"
	ApprovalDenied    = "approval.denied"
	ApprovalCleanup   = "approval.expired_cleanup"

	VaultCreated   = "vault.created"
	VaultRewritten = "vault.rewritten"
	VaultCompacted = "vault.compacted"
	VaultResealed  = "vault.resealed" // goes on with the list of what the act before it sealed anew
	VaultAccepted  = "vault.accepted"
	VaultBackedUp  = "vault.backed_up"
	VaultRestored  = "vault.restored" // begins an epoch, not always the next one
	VaultSalvaged  = "vault.salvaged"
	LogArchived    = "audit.archived"
	Checkpointed   = "audit.checkpoint" // tells which checkpoint is the vault's, from format 2 on

	Denied = ".denied"
)

// Events returns the names of all events, in the order above. Each also has a form with [Denied] behind it.
func Events() []string {
	return []string{
		SecretCreated, SecretUpdated, SecretRotated, SecretImported, SecretRead, SecretDeleted, SecretRestored, SecretRolledBack,
		SecretDescribed, SecretPurged, SecretPruned, SecretMoved, SecretCopied, SecretMended, AgentCreated, AgentUpdated,
		AgentRevoked, AgentKeyRotated, TokenIssued, TokenRevoked, ApprovalRequested,
		ApprovalReason, ApprovalGranted, ApprovalDenied, ApprovalCleanup, VaultCreated, VaultRewritten, VaultCompacted,
		VaultResealed, VaultAccepted, VaultBackedUp, VaultRestored, VaultSalvaged, LogArchived, Checkpointed,
	}
}

// Kinds of actors.
const (
	Human  = "human"
	Agent  = "agent"
	Token  = "token"
	System = "system"
)

// Event is the body of an entry, with the field names of the hosted product. It
// is stored unencrypted, so it must never contain the value of a secret.
type Event struct {
	ID           string         `json:"id"`            // A UUID.
	Type         string         `json:"event_type"`    // One of the names above, or one with [Denied] after it.
	ActorID      string         `json:"actor_id"`      // Who did it: owner, or the id of an agent or token.
	ActorType    string         `json:"actor_type"`    // One of the kinds of actors above.
	ResourceType string         `json:"resource_type"` // What it was done to: "secret", "vault", …
	ResourceID   string         `json:"resource_id"`   // A path, or an id.
	Metadata     map[string]any `json:"metadata"`      // Details, which differ by event; {} for none.

	// Items are the secrets of an act on several, ascending by path, each once. Then ResourceID is the deepest
	// namespace that holds them all. They are no metadata, because a list of known form is read several times as fast.
	Items []Item `json:"items,omitempty"`

	IPAddress string    `json:"ip_address"` // Empty: nothing here comes over a network.
	CreatedAt time.Time `json:"created_at"` // When, in UTC, to the millisecond.

	// Epoch is set in the entry that begins an epoch, and in no other.
	Epoch uint32 `json:"epoch,omitempty"`

	// Roots are those of the batches in which the records that the entry tells of were signed, in base64. They say what
	// was written. Entries of format 1 have none.
	Roots []string `json:"roots,omitempty"`
}

// Encode returns the event in JSON: the bytes that an entry stores and its actor signs.
func (e Event) Encode() ([]byte, error) {
	if e.Metadata == nil {
		e.Metadata = map[string]any{}
	}
	e.CreatedAt = e.CreatedAt.UTC().Truncate(time.Millisecond)
	return Marshal(e)
}

// Writes reports whether, according to the event, the record of its secret
// changed, and whether that record still exists afterwards.
func (e Event) Writes() (changed, left bool) {
	switch e.Type {
	case SecretCreated, SecretUpdated, SecretRotated, SecretDeleted, SecretRestored, SecretRolledBack, SecretDescribed,
		SecretMended:
		return true, true
	case SecretMoved, SecretCopied: // of each pair, the new path; see WritesItem
		return true, true
	case SecretPurged:
		return true, false
	}
	return false, false
}

// WritesItem is Writes for one secret of an event: a move takes it away from its old path, and a copy leaves it there.
func WritesItem(e *Event, i *Item) (changed, left bool) {
	changed, left = e.Writes()
	if i.To != "" && e.Moves() {
		return e.Type == SecretMoved, e.Type == SecretCopied
	}
	return changed, left
}

// WritesValue reports whether, according to the event, a version was written. The
// number of the version is in the metadata.
func (e Event) WritesValue() bool {
	switch e.Type {
	case SecretCreated, SecretUpdated, SecretRotated, SecretRolledBack:
		return true
	}
	return false
}
