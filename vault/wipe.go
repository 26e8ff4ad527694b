package vault

// Closing a vault wipes the keys that its sessions hold, as far as Go allows. It cannot
// reach copies that the runtime made on a stack or elsewhere in memory, copies that a
// library keeps, or strings, such as an owner key as it is typed and stored. See
// docs/threat-model.md.

func (k *key) wipe() { clear(k[:]) }

func (r *rootKeys) wipe() {
	r.root.wipe()
	clear(r.sign)
}

func (r keyring) wipe() {
	for i := range r.nodes {
		r.nodes[i].key.wipe()
	}
	for _, fileKey := range r.files {
		clear(fileKey)
	}
}

func (g *grantee) wipe() {
	g.seal.wipe()
	clear(g.sign)
}

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
	s.epoch.mk.wipe()
	s.ring.wipe()
	s.secret.wipe()
	if s.root != nil {
		s.root.wipe()
	}
	if s.as != nil {
		s.as.grantee.wipe()
		s.as.secret.wipe()
	}
}
