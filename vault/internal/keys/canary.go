package keys

import "github.com/google/uuid"

// The id of a secret is a random UUID (RFC 9562, version 4). That of a canary is one as well, but its second half is a
// MAC of the first under a key of the owner's. So the owner recognises it wherever the record goes, and to everybody else it
// is an id like all others. One random id in 2^62 passes for a canary's by chance.

// CanaryID makes the id of a canary from a random id.
func (r *Root) CanaryID(random uuid.UUID) uuid.UUID {
	sum := mac(kdf(r.Key, nil, "ass/2 canary"), random[:8])
	copy(random[8:], sum[:8])
	random[8] = random[8]&0x3f | 0x80 // the variant of RFC 9562
	return random
}

// IsCanary reports whether [Root.CanaryID] made an id.
func (r *Root) IsCanary(id uuid.UUID) bool { return r.CanaryID(id) == id }

// CanaryWrap returns the key and the context that seal what the owner's machine remembers of canaries.
func (r *Root) CanaryWrap() (Key, []byte) {
	return kdf(r.Key, nil, "ass/2 canaries"), append(LP(nil, "canaries"), r.Vault[:]...)
}
