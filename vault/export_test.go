package vault

import (
	"bytes"

	"ass/vault/internal/keys"
)

// HeadHasNoKey reports whether the head lacks the key of the next log entry, as it must in a
// backup.
func HeadHasNoKey(s *Session) (missing bool) {
	_ = s.view(func(t *tx) error {
		missing = t.head.backup && t.head.log.Key == keys.Key{}
		return nil
	})
	return missing
}

// OwnerLike is v.Owner(id). If the vault is the one of s in everything that Owner reads, OwnerLike
// does not open the root again, which takes longer than reading a value.
func OwnerLike(s *Session, opened map[string][]byte, v *Vault, id *Identity) (*Session, error) {
	for name := range opened {
		if got, err := v.meta(name); err != nil || !bytes.Equal(got, opened[name]) {
			return v.Owner(id)
		}
	}
	return v.ownerSession(id, s.root, s.epoch.N, s.secret, s.epoch.Format), nil // v does not wipe it: s still needs its root
}

// Meta returns what Owner reads of a vault.
func Meta(v *Vault, id *Identity) (map[string][]byte, error) {
	values := map[string][]byte{}
	var err error
	for _, name := range []string{metaVault, metaRoot, metaBind, id.WrapName(v.vid), metaEpoch} {
		if values[name], err = v.meta(name); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// InFormat1 makes vaults, and begins epochs, as earlier programs did.
func (o Options) InFormat1() Options {
	o.oldFormat = keys.Format1
	return o
}

// Tests keep the note of every verification that finds no problem. So all tests also cover
// verifications that begin where an earlier one ended.
func init() { worthKeeping = func(_, _ uint64) bool { return true } }
