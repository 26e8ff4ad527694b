package keys

// Wiping goes as far as Go allows. It cannot reach copies that the runtime made on a stack
// or elsewhere in memory, copies that a library keeps, or strings, such as an owner key as
// it is typed and stored. See docs/threat-model.md.

// Wipe overwrites the key.
func (k *Key) Wipe() { clear(k[:]) }

// Wipe overwrites the root and its signing key.
func (r *Root) Wipe() {
	r.Key.Wipe()
	clear(r.Sign)
}

// Wipe overwrites the keys of all nodes and files.
func (r Ring) Wipe() {
	for i := range r.Nodes {
		r.Nodes[i].Key.Wipe()
	}
	for _, fileKey := range r.Files {
		clear(fileKey)
	}
}

// Wipe overwrites the keys of a grantee.
func (g *Grantee) Wipe() {
	g.Seal.Wipe()
	clear(g.Sign)
}
