package bolt

import (
	"errors"
	"maps"
	"os"
)

// Layout says where things lie in a file. It is for tests that damage files.
type Layout struct {
	Pages   map[uint64]Page   // by id
	Roots   map[string]uint64 // the root pages of the buckets; 0 for one inside another page
	TxID    uint64            // of the newest transaction
	Root    uint64            // the root of all buckets
	Free    uint64            // the page of the list of free pages
	FreeIDs []uint64          // in that list, if its sum is valid
}

// Page is one page, or several that are one.
type Page struct {
	Bucket  string // "" for the pages above the buckets
	Depth   int    // number of pages above it in its bucket
	Leaf    bool
	Keys    int
	More    uint64 // pages that follow it and belong to it
	content []byte // of a branch
}

// Child returns the id of the page below the i-th element of a branch.
func (p Page) Child(i int) uint64 { return order.Uint64(p.content[pageHeader+i*elemSize+8:]) }

// ReadLayout reads and checks every page of the file at path.
func ReadLayout(path string) (l Layout, err error) {
	f, err := os.Open(path)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w, err := readTree(f, path)
	if err == nil {
		err = w.all()
	}
	if err != nil {
		return l, err
	}
	return w.layout(), nil
}

// Watch returns a function that says which pages were checked, up to the next commit.
func (st *DB) Watch() (checked func() Layout, err error) {
	w, err := st.tree()
	if err != nil {
		return nil, err
	}
	return w.layout, nil
}

func (w *tree) layout() Layout {
	l := Layout{Pages: map[uint64]Page{}, Roots: map[string]uint64{}, TxID: w.txid, Root: w.root, Free: w.free}
	tops := map[slot]string{}
	for name, b := range w.buckets {
		l.Roots[name] = b.root
		tops[b.at] = name
	}
	for ids := w.freeIDs; len(ids) > 0; ids = ids[8:] {
		l.FreeIDs = append(l.FreeIDs, order.Uint64(ids))
	}
	for id, p := range maps.All(w.seen) {
		page := Page{Leaf: p.leaf, Keys: p.n, More: p.over, content: p.b}
		for at := p.at; at != (slot{}); at = w.seen[at.page].at {
			if name, ok := tops[at]; ok {
				page.Bucket = name
				break
			}
			page.Depth++
		}
		l.Pages[id] = page
	}
	return l
}
