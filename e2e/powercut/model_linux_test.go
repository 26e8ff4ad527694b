//go:build (amd64 || arm64) && !race

package powercut

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
)

// kind is what an operation does.
type kind int

const (
	naming   kind = iota // changes names in folders
	writing              // writes bytes
	resizing             // sets the size of a file
	moding               // sets the mode
	syncing              // fsync
	datasync             // fdatasync
	saying               // the command begins to say on stdout that it is done
)

// op is one operation that the program made.
type op struct {
	kind kind
	what string // for people
	node *node  // the file or folder

	names []entry // of naming: names, and what they lead to from now on

	off  int64 // of writing
	data []byte
	was  int64 // size of the file before it

	size int64       // of resizing
	mode fs.FileMode // of moding
	upto int         // of a sync: the number of operations that it covers

	whole []byte // of naming a file: its content at that moment
}

// entry is one name in a folder.
type entry struct {
	dir  *node
	name string
	to   *node // nil for nothing
}

func (e entry) path() string { return filepath.Join(e.dir.path, e.name) }

const (
	pageSize   = 4096
	sectorSize = 512
)

// atom is a part of an operation that reaches the disk on its own.
type atom struct {
	op   int
	kind kind
	node *node

	from, to int   // of writing: a part of the data, within one page
	size     int64 // of growing: the size; see grows
	grows    bool  // the file gets as long as this page reaches

	deps  []int // of naming: earlier ones of the same names, without which it cannot be
	above []int // of naming: those of the folders, without which nobody sees it
}

// record is what a program did to a folder.
type record struct {
	top *node
	ops []op

	atoms []atom
}

// split makes the atoms of the operations.
func (r *record) split() {
	last := map[[2]any]int{} // newest atom about a name, by folder and name
	named := map[*node]int{} // newest atom that gave a node a name
	for i, o := range r.ops {
		switch o.kind {
		case naming:
			a := atom{op: i, kind: naming, node: o.node}
			me := len(r.atoms)
			for _, e := range o.names {
				if before, ok := last[[2]any{e.dir, e.name}]; ok {
					a.deps = append(a.deps, before)
				}
				if made, ok := named[e.dir]; ok {
					a.above = append(a.above, made)
				}
			}
			if gone := o.names[0]; o.node.folder() && gone.to == nil { // an emptied folder
				for key, before := range last {
					if key[0] == any(o.node) {
						a.deps = append(a.deps, before)
					}
				}
			}
			for _, e := range o.names {
				last[[2]any{e.dir, e.name}] = me
				if e.to != nil {
					named[e.to] = me
				}
			}
			r.atoms = append(r.atoms, a)
		case writing:
			for from := 0; from < len(o.data); {
				at := o.off + int64(from)
				to := min(len(o.data), from+pageSize-int(at%pageSize))
				r.atoms = append(r.atoms, atom{op: i, kind: writing, node: o.node, from: from, to: to})
				if end := o.off + int64(to); end > o.was {
					r.atoms = append(r.atoms, atom{op: i, kind: writing, node: o.node, grows: true, size: end})
				}
				from = to
			}
		case resizing, moding:
			r.atoms = append(r.atoms, atom{op: i, kind: o.kind, node: o.node})
		}
	}
}

// model says what a sync promises, and which orders are kept.
type model struct {
	ordered   bool // names reach all folders in the order of the operations
	syncNames bool // an fsync of a file or folder also makes its newest name last
}

var models = []model{{false, false}, {true, false}, {false, true}, {true, true}}

func (m model) String() string {
	s := "names in any order"
	if m.ordered {
		s = "names in order"
	}
	if m.syncNames {
		s += ", fsync makes the newest name last"
	}
	return s
}

// lasting says which atoms are surely on the disk after the first cut operations.
func (r *record) lasting(cut int, m model) []bool {
	last := make([]bool, len(r.atoms))
	var sure func(i int)
	sure = func(i int) {
		if last[i] {
			return
		}
		last[i] = true
		for _, dep := range r.atoms[i].deps {
			sure(dep)
		}
	}
	for _, o := range r.ops[:cut] {
		if o.kind != syncing && o.kind != datasync {
			continue
		}
		newest := -1
		for i, a := range r.atoms {
			if a.op >= o.upto {
				break
			}
			switch {
			case a.kind == naming:
				if slices.ContainsFunc(r.ops[a.op].names, func(e entry) bool { return e.dir == o.node }) {
					sure(i)
				}
				if a.node == o.node {
					newest = i
				}
			case a.node == o.node && (a.kind != moding || o.kind == syncing):
				last[i] = true
			}
		}
		if m.syncNames && o.kind == syncing && newest >= 0 {
			r.withAbove(newest, sure)
		}
	}
	later := false
	for i := len(r.atoms) - 1; i >= 0 && m.ordered; i-- {
		if r.atoms[i].kind == naming {
			later = later || last[i]
			last[i] = later
		}
	}
	return last
}

// withAbove calls fn for a name, and for the names of the folders above it.
func (r *record) withAbove(i int, fn func(int)) {
	fn(i)
	for _, above := range r.atoms[i].above {
		r.withAbove(above, fn)
	}
}

// choice says what a disk has of the operations that no sync covers.
type choice struct {
	how  string // none, all, without, alone, names, random
	atom int    // of without and alone; of names, the number of pending names that are there
	seed uint64 // of random
	data bool   // of names: the data is there
}

func (c choice) String() string {
	switch c.how {
	case "without", "alone", "names":
		return fmt.Sprintf("%s %d", c.how, c.atom)
	}
	return c.how
}

// kept says of every atom how many of its bytes are on the disk: for atoms without data, 0 or 1.
// pending are the atoms up to the cut that need not be there.
func (r *record) kept(cut int, m model, c choice) (kept []int, pending []int) {
	last := r.lasting(cut, m)
	kept = make([]int, len(r.atoms))
	whole := func(i int) int { return max(1, r.atoms[i].to-r.atoms[i].from) }
	names := 0
	random := rand.New(rand.NewPCG(c.seed, uint64(cut)))
	odds := []float64{0.1, 0.5, 0.9}[random.IntN(3)]
	prefix := random.IntN(1 + r.count(cut, last))
	for i, a := range r.atoms {
		if a.op >= cut {
			break
		}
		if last[i] {
			kept[i] = whole(i)
			continue
		}
		pending = append(pending, i)
		there := false
		switch c.how {
		case "all":
			there = true
		case "without":
			there = i != c.atom
		case "alone":
			there = i == c.atom
		case "names":
			there = c.data
			if a.kind == naming {
				there = names < c.atom
			}
		case "random":
			there = random.Float64() < odds
			if a.kind == naming && m.ordered {
				there = names < prefix
			}
		}
		if a.kind == naming {
			names++
		}
		if there {
			kept[i] = whole(i)
			if n := a.to - a.from; c.how == "random" && n > sectorSize && random.IntN(8) == 0 { // torn within the page
				kept[i] = sectorSize * (1 + random.IntN(n/sectorSize))
				kept[i] = min(kept[i], n)
			}
		}
	}
	r.close(kept, cut, m, c)
	return kept, pending
}

// count returns the number of names up to the cut that need not be there.
func (r *record) count(cut int, last []bool) (n int) {
	for i, a := range r.atoms {
		if a.op < cut && a.kind == naming && !last[i] {
			n++
		}
	}
	return n
}

// close makes a choice of names possible: a name cannot be there without what it had before.
func (r *record) close(kept []int, cut int, m model, c choice) {
	if c.how == "alone" && r.atoms[c.atom].kind == naming { // with what it needs
		var need func(i int)
		need = func(i int) {
			kept[i] = 1
			for _, dep := range slices.Concat(r.atoms[i].deps, r.atoms[i].above) {
				need(dep)
			}
		}
		need(c.atom)
		for i, a := range r.atoms[:c.atom] {
			if m.ordered && a.kind == naming {
				kept[i] = 1
			}
		}
		return
	}
	gap := false
	for i, a := range r.atoms {
		if a.op >= cut {
			break
		}
		if a.kind != naming {
			continue
		}
		for _, dep := range a.deps {
			if kept[dep] == 0 {
				kept[i] = 0
			}
		}
		if m.ordered && gap {
			kept[i] = 0
		}
		gap = gap || kept[i] == 0
	}
}

// disk returns the tree with what is kept of the operations.
func (r *record) disk(kept []int) tree {
	type state struct {
		names map[string]*node
		leaf
		size int64
	}
	now := map[*node]*state{}
	get := func(n *node) *state {
		if now[n] == nil {
			names := map[string]*node{}
			for name, to := range n.oldNames {
				names[name] = to
			}
			now[n] = &state{names, leaf{n.oldMode, slices.Clone(n.oldData)}, int64(len(n.oldData))}
		}
		return now[n]
	}
	for i, a := range r.atoms {
		if kept[i] == 0 {
			continue
		}
		o, s := r.ops[a.op], get(a.node)
		switch {
		case a.kind == naming:
			for _, e := range o.names {
				if names := get(e.dir).names; e.to == nil {
					delete(names, e.name)
				} else {
					names[e.name] = e.to
				}
			}
		case a.kind == moding:
			s.mode = o.mode
		case a.kind == resizing:
			s.size = o.size
			s.data = s.data[:min(int64(len(s.data)), s.size)]
		case a.grows:
			s.size = max(s.size, a.size)
		default:
			at := int(o.off) + a.from
			if more := at + kept[i] - len(s.data); more > 0 {
				s.data = append(s.data, make([]byte, more)...)
			}
			copy(s.data[at:], o.data[a.from:a.from+kept[i]])
		}
	}
	t := tree{}
	r.top.into(t, "", func(n *node) (map[string]*node, leaf) {
		s := get(n)
		if more := int(s.size) - len(s.data); more > 0 {
			s.data = append(s.data, make([]byte, more)...)
		}
		return s.names, leaf{s.mode, s.data[:s.size]}
	})
	return t
}

// lost names the operations, or the parts of them, that are not on a disk. It only counts those on
// lock files.
func (r *record) lost(kept, pending []int) string {
	var list []string
	locks := 0
	for _, i := range pending {
		a := r.atoms[i]
		o, whole := r.ops[a.op], max(1, a.to-a.from)
		what := fmt.Sprintf("%d %s", a.op+1, o.what)
		switch {
		case kept[i] == whole:
			continue
		case a.kind != naming && (strings.HasSuffix(a.node.path, ".lock") || strings.HasSuffix(a.node.path, ".gate")):
			locks++
			continue
		case a.grows:
			what += fmt.Sprintf(": the size %d", a.size)
		case a.kind == writing && kept[i] > 0:
			what += fmt.Sprintf(": all but %d of %d bytes at %d", kept[i], whole, o.off+int64(a.from))
		case a.kind == writing:
			what += fmt.Sprintf(": %d bytes at %d", whole, o.off+int64(a.from))
		}
		list = append(list, what)
	}
	if most := 16; len(list) > most {
		list = append(list[:most], fmt.Sprintf("and %d more", len(list)-most))
	}
	if locks > 0 {
		list = append(list, fmt.Sprintf("and %d about what is in lock files", locks))
	}
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, "\n    ")
}

// versions returns every whole content that a path had: before the command, when a finished file
// got the name, and in the end. there says whether the path was there before, and in the end.
func (r *record) versions(path string, end tree) (list [][]byte, before, after bool) {
	l, before := r.top.before()[path]
	if before {
		list = append(list, l.data)
	}
	for _, o := range r.ops {
		if o.kind == naming && o.whole != nil && slices.ContainsFunc(o.names, func(e entry) bool {
			return e.to != nil && e.path() == path
		}) {
			list = append(list, o.whole)
		}
	}
	if l, after = end[path]; after {
		list = append(list, l.data)
	}
	return list, before, after
}

func among(list [][]byte, b []byte) bool {
	return slices.ContainsFunc(list, func(v []byte) bool { return bytes.Equal(v, b) })
}
