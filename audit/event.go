package audit

import (
	"encoding/json"
	"time"
)

// Names of events. Those of the hosted product where it has one; a refusal is
// the name of the act with [Denied] behind it.
const (
	SecretCreated    = "secret.created"
	SecretUpdated    = "secret.updated"
	SecretRotated    = "secret.rotated"
	SecretImported   = "secret.imported"
	SecretRead       = "secret.read"
	SecretDeleted    = "secret.deleted"
	SecretRestored   = "secret.restored"
	SecretRolledBack = "secret.rolled_back"
	SecretPurged     = "secret.purged"

	AgentCreated    = "agent.created"
	AgentRevoked    = "agent.revoked"
	AgentKeyRotated = "agent.key_rotated"

	TokenIssued  = "token.issued"
	TokenRevoked = "token.revoked"

	ApprovalRequested = "approval.requested"
	ApprovalGranted   = "approval.granted"
	ApprovalDenied    = "approval.denied"
	ApprovalCleanup   = "approval.expired_cleanup"

	VaultCreated   = "vault.created"
	VaultRewritten = "vault.rewritten"
	VaultCompacted = "vault.compacted"
	VaultAccepted  = "vault.accepted"
	VaultBackedUp  = "vault.backed_up"
	VaultRestored  = "vault.restored" // begins an epoch, which may not be the next one
	VaultSalvaged  = "vault.salvaged"
	LogArchived    = "audit.archived"

	Denied = ".denied"
)

// Kinds of actors.
const (
	Human  = "human"
	Agent  = "agent"
	Token  = "token"
	System = "system"
)

// Event is the body of an entry, in the fields of the hosted product. It is
// stored in clear: no value of a secret ever goes in.
type Event struct {
	ID           string         `json:"id"` // UUID
	Type         string         `json:"event_type"`
	ActorID      string         `json:"actor_id"`
	ActorType    string         `json:"actor_type"`
	ResourceType string         `json:"resource_type"` // "secret", "vault", …
	ResourceID   string         `json:"resource_id"`   // a path, an id
	Metadata     map[string]any `json:"metadata"`
	IPAddress    string         `json:"ip_address"` // empty: nothing here comes over a network
	CreatedAt    time.Time      `json:"created_at"` // UTC, milliseconds

	// Epoch is set in the entry that begins an epoch, and in no other.
	Epoch uint32 `json:"epoch,omitempty"`
}

// Encode returns the bytes that an entry signs and stores.
func (e Event) Encode() ([]byte, error) {
	if e.Metadata == nil {
		e.Metadata = map[string]any{}
	}
	e.CreatedAt = e.CreatedAt.UTC().Truncate(time.Millisecond)
	return json.Marshal(e)
}

// Writes reports whether the event says that the record of its secret changed,
// and whether a record is left.
func (e Event) Writes() (changed, left bool) {
	switch e.Type {
	case SecretCreated, SecretUpdated, SecretRotated, SecretDeleted, SecretRestored, SecretRolledBack:
		return true, true
	case SecretPurged:
		return true, false
	}
	return false, false
}

// WritesValue reports whether the event says that a version was written, whose
// number is in the metadata.
func (e Event) WritesValue() bool {
	switch e.Type {
	case SecretCreated, SecretUpdated, SecretRotated, SecretRolledBack:
		return true
	}
	return false
}
