package vault

// Keys are wiped when a vault is closed, as far as Go lets us: those that a session
// holds, where they lie. What the runtime has copied on the way, to a stack or to
// another place in memory, what a library keeps for itself, and strings, such as an
// owner key as it is typed and stored, cannot be reached. docs/threat-model.md says so.

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

// wipe wipes what a grant was read into, but for the file keys, which are those of the
// keyring that was made of it.
func (g grant) wipe() {
	clear(g.MK)
	clear(g.JWTKey)
	for _, n := range g.Nodes {
		clear(n.Key)
	}
}

// wipe leaves a session that opens nothing more. What it signs with is the root's key,
// or the grantee's.
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
