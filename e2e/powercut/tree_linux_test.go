//go:build (amd64 || arm64) && !race

package powercut

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// node is a file, a folder or a symbolic link, whatever its names are.
type node struct {
	path  string // its newest name, for people
	mode  fs.FileMode
	data  []byte           // of a file: what programs see
	names map[string]*node // of a folder: what programs see

	// What the command found.
	oldMode  fs.FileMode
	oldData  []byte
	oldNames map[string]*node
}

func (n *node) folder() bool { return n.mode.IsDir() }

// load reads a folder, which from now on is what is on the disk.
func load(path, name string) (*node, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	n := &node{path: name, mode: info.Mode()}
	switch {
	case n.folder():
		n.names = map[string]*node{}
		entries, err := os.ReadDir(path)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if n.names[e.Name()], err = load(filepath.Join(path, e.Name()), filepath.Join(name, e.Name())); err != nil {
				return nil, err
			}
		}
	case n.mode.IsRegular():
		n.data, err = os.ReadFile(path)
	case n.mode&fs.ModeSymlink != 0:
		var target string
		target, err = os.Readlink(path)
		n.data = []byte(target)
	default:
		err = fmt.Errorf("%s is neither a file nor a folder, which is not modelled", path)
	}
	n.oldMode, n.oldData, n.oldNames = n.mode, n.data, maps.Clone(n.names)
	return n, err
}

// tree is everything below a folder, by path. A folder's path ends with a slash.
type tree map[string]leaf

type leaf struct {
	mode fs.FileMode
	data []byte
}

// seen returns the tree as programs see it.
func (n *node) seen() tree {
	t := tree{}
	n.into(t, "", func(n *node) (map[string]*node, leaf) { return n.names, leaf{n.mode, n.data} })
	return t
}

// before returns the tree as the command found it.
func (n *node) before() tree {
	t := tree{}
	n.into(t, "", func(n *node) (map[string]*node, leaf) { return n.oldNames, leaf{n.oldMode, n.oldData} })
	return t
}

func (n *node) into(t tree, path string, state func(*node) (map[string]*node, leaf)) {
	names, as := state(n)
	if !n.folder() {
		t[path] = as
		return
	}
	if path != "" {
		path += "/"
		t[path] = as
	}
	for name, below := range names {
		below.into(t, path+name, state)
	}
}

func (t tree) sum() (sum [32]byte) {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(h, "%q %v %d\n", path, t[path].mode, len(t[path].data))
		h.Write(t[path].data)
	}
	h.Sum(sum[:0])
	return sum
}

// write makes the tree in an empty folder.
func (t tree) write(dir string) error {
	for _, path := range slices.Sorted(maps.Keys(t)) { // a folder comes before what is in it
		at, l := filepath.Join(dir, path), t[path]
		var err error
		switch {
		case strings.HasSuffix(path, "/"):
			err = os.Mkdir(at, l.mode.Perm())
		case l.mode&fs.ModeSymlink != 0:
			err = os.Symlink(string(l.data), at)
		default:
			err = os.WriteFile(at, l.data, l.mode.Perm())
		}
		if err == nil && l.mode&fs.ModeSymlink == 0 {
			err = os.Chmod(at, l.mode.Perm()) // whatever the umask is
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// differs names a path at which two trees differ.
func (t tree) differs(from tree) error {
	for _, path := range slices.Sorted(maps.Keys(t)) {
		l, there := from[path]
		switch {
		case !there:
			return fmt.Errorf("%s should not be there", path)
		case l.mode != t[path].mode:
			return fmt.Errorf("%s has the mode %v instead of %v", path, t[path].mode, l.mode)
		case !bytes.Equal(l.data, t[path].data):
			return fmt.Errorf("%s has another content", path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(from)) {
		if _, there := t[path]; !there {
			return fmt.Errorf("%s is missing", path)
		}
	}
	return nil
}

var errNotThere = errors.New("there is no such file in the model")

// find returns the folder of a path, and what has the name there; nil for nothing.
func (n *node) find(path string) (dir *node, name string, at *node, err error) {
	if path == "." {
		return nil, "", n, nil
	}
	dir = n
	parts := strings.Split(path, "/")
	for _, part := range parts[:len(parts)-1] {
		if dir = dir.names[part]; dir == nil || !dir.folder() {
			return nil, "", nil, fmt.Errorf("%s: %w", path, errNotThere)
		}
	}
	name = parts[len(parts)-1]
	return dir, name, dir.names[name], nil
}
