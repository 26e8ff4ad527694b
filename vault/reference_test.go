package vault

import (
	"ass/tokens"
	"ass/vault/internal/keys"
)

// These functions walk the tree of path keys by hand, to compare with what a keyring derives.

// namespaceKey walks down from the key of a tier to the key of a namespace.
func namespaceKey(tier keys.Key, ns tokens.Namespace) keys.Key {
	for _, segment := range ns.Segments() {
		tier = keys.ChildKey(tier, keys.KindNamespace, segment)
	}
	return tier
}

// secretKey walks down from the key of a tier to the key of one secret.
func secretKey(tier keys.Key, p tokens.Path) keys.Key {
	return keys.ChildKey(namespaceKey(tier, p.Namespace()), keys.KindSecret, p.Key())
}
