package vault

// Closing a vault wipes the keys that its sessions hold, as far as Go allows: package keys
// says what it cannot reach.

// wipe wipes the keys in a decoded grant, except the file keys: the keyring made from the
// grant shares those.
func (g grant) wipe() {
	clear(g.MK)
	clear(g.JWTKey)
	for _, n := range g.Nodes {
		clear(n.Key)
	}
}

// wipe wipes all keys of a session, which then opens nothing. Its signing key is the root's
// or the grantee's, and is wiped with that.
func (s *Session) wipe() {
	s.epoch.MAC.Wipe()
	s.ring.Wipe()
	s.secret.Wipe()
	if s.root != nil {
		s.root.Wipe()
	}
	if s.grantee != nil {
		s.grantee.Grantee.Wipe()
		s.grantee.secret.Wipe()
	}
}
