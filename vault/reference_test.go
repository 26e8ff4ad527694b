package vault

import (
	"crypto/hpke"

	"ass/tokens"
)

// These functions walk the tree of path keys by hand, to compare with what a keyring derives.

// namespaceKey walks down from the key of a tier to the key of a namespace.
func namespaceKey(tier key, ns tokens.Namespace) key {
	for _, segment := range ns.Segments() {
		tier = childKey(tier, kindNamespace, segment)
	}
	return tier
}

// secretKey walks down from the key of a tier to the key of one secret.
func secretKey(tier key, p tokens.Path) key {
	return childKey(namespaceKey(tier, p.Namespace()), kindSecret, p.Key())
}

// openPub is the inverse of sealPub.
func openPub(k hpke.PrivateKey, ctx, sealed []byte) ([]byte, error) {
	return decrypt(pubWrap{key: k, ctx: ctx}, sealed)
}
