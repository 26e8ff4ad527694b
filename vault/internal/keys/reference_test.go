package keys

import (
	"crypto/hpke"

	"ass/tokens"
)

// These functions walk the tree of path keys by hand, to compare with what a keyring derives.

// namespaceKey walks down from the key of a tier to the key of a namespace.
func namespaceKey(tier Key, ns tokens.Namespace) Key {
	for _, segment := range ns.Segments() {
		tier = ChildKey(tier, KindNamespace, segment)
	}
	return tier
}

// secretKey walks down from the key of a tier to the key of one secret.
func secretKey(tier Key, p tokens.Path) Key {
	return ChildKey(namespaceKey(tier, p.Namespace()), KindSecret, p.Key())
}

// openPub is the inverse of sealPub.
func openPub(k hpke.PrivateKey, ctx, sealed []byte) ([]byte, error) {
	return Decrypt(PubWrap{Key: k, Ctx: ctx}, sealed)
}
