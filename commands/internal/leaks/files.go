package leaks

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Root is where a scan of files begins: a folder or a file.
type Root struct {
	Path string // where it is
	Name string // how it is named; "" for names that begin below it
}

// In a folder, so many names are read at once: a folder may have millions.
const namesAtOnce = 4096

// mostOfEndless is how much is read of a file that does not say how large it is, as those of /proc.
const mostOfEndless = 64 << 20

var (
	errNotPlain = errors.New("it is no plain file and no folder")
	errRootGone = errors.New("it was replaced while the scan ran")
)

// Files looks into the files in some folders and below. Links are not followed, except for a root that is one. Holes in
// files are skipped, and compressed files are not opened. in is what the findings say about where they are.
func (s *Scan) Files(in string, roots []Root) {
	s.inOrder(func(add func(func(*worker) result)) {
		w := walk{s, in, add}
		for _, root := range roots {
			w.root(root)
		}
	})
}

// walk is a walk through folders. It opens each file, and a worker reads it.
type walk struct {
	s   *Scan
	in  string
	add func(func(*worker) result)
}

func (w walk) miss(name string, why error) {
	w.add(func(*worker) result { return result{missed: []missed{{name, bare(why)}}} })
}

func (w walk) root(root Root) {
	name := root.Name
	if name == "" {
		name = "."
	}
	f, err := openRoot(root.Path)
	if err != nil {
		w.miss(name, err)
		return
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		w.miss(name, err)
	case info.IsDir():
		w.folder(f, root.Name, plainFolder)
		return
	case info.Mode().IsRegular():
		w.file(f, info, name, filepath.Base(root.Path))
		return
	default:
		w.miss(name, errNotPlain)
	}
	_ = f.Close()
}

// folder looks into an open folder, and closes it.
func (w walk) folder(dir *os.File, name string, of folderKind) {
	defer dir.Close()
	if of == plainFolder && isGitFolder(dir) {
		of = gitFolder
	}
	for {
		list, err := dir.ReadDir(namesAtOnce)
		slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
		for _, entry := range list {
			w.entry(dir, entry, name, of)
		}
		switch {
		case err == io.EOF, err == nil && len(list) == 0:
			return
		case err != nil:
			w.miss(orDot(name), err)
			return
		}
	}
}

func orDot(name string) string {
	if name == "" {
		return "."
	}
	return name
}

func (w walk) entry(dir *os.File, entry fs.DirEntry, above string, of folderKind) {
	own := entry.Name()
	name := join(above, own)
	isDir := entry.IsDir()
	if !isDir && !entry.Type().IsRegular() {
		w.named(name, own) // of a link, a pipe, a device, the name alone
		return
	}
	of = of.below(own, isDir)
	if !isDir && of == gitsObject {
		return
	}
	f, info, err := w.open(dir, own, isDir)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errRootGone): // it went, or became something else, meanwhile
	case err != nil:
		w.named(name, own) // which can be read
		w.miss(name, err)
	case isDir:
		w.named(name, own)
		w.folder(f, name, of)
	default:
		w.file(f, info, name, own)
	}
}

// open opens what a folder has under a name, and makes sure that it is what it was there.
func (w walk) open(dir *os.File, name string, isDir bool) (*os.File, fs.FileInfo, error) {
	f, err := openIn(dir, name, isDir)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() != isDir || err == nil && !isDir && !info.Mode().IsRegular() {
		err = errRootGone
	}
	if err != nil {
		_ = f.Close()
	}
	return f, info, err
}

// named looks at the name of something whose content is not looked at.
func (w walk) named(name, own string) {
	if len(own) < 8 {
		return
	}
	w.add(func(k *worker) result {
		return result{found: w.s.inName(k, Finding{In: w.in, File: w.s.masked(name)}, own)}
	})
}

// file has a worker look into an open file, and close it.
func (w walk) file(f *os.File, info fs.FileInfo, name, own string) {
	if slices.ContainsFunc(w.s.Skip, func(x fs.FileInfo) bool { return os.SameFile(x, info) }) {
		_ = f.Close()
		return
	}
	w.add(func(k *worker) (r result) {
		defer f.Close()
		r.found = w.s.inName(k, Finding{In: w.in, File: name}, own)
		k.begin(Finding{In: w.in, File: name})
		err := w.s.read(k, f, info)
		w.s.Looked.Add(1)
		r.found = append(r.found, k.end()...)
		if len(r.found) > 0 {
			for i, masked := 0, w.s.masked(name); i < len(r.found); i++ {
				r.found[i].File = masked
			}
		}
		if err != nil {
			r.missed = []missed{{name, err}}
		}
		return r
	})
}

// read searches a file, as long as it was when it was opened: it may grow for ever.
func (s *Scan) read(k *worker, f *os.File, info fs.FileInfo) error {
	size := info.Size()
	if size == 0 {
		size = mostOfEndless
		_ = f.SetReadDeadline(time.Now().Add(time.Second)) // for those that wait for what comes
	}
	var err error
	if isSparse(info) {
		err = s.readSparse(k, f, size)
	} else {
		err = s.readPart(k, f, size)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return bare(err)
}

// bare returns an error without the name that its message begins with: a name is reported beside it, and masked.
func bare(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

func (s *Scan) readPart(k *worker, f *os.File, size int64) error {
	_, err := k.search.ReadFrom(countedReader{io.LimitReader(f, size), s})
	return err
}

// countedReader counts what is read, for those who watch.
type countedReader struct {
	io.Reader
	s *Scan
}

func (r countedReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.s.Read.Add(int64(n))
	return n, err
}

// isGitFolder reports whether a folder is one in which git keeps a repository.
func isGitFolder(dir *os.File) bool {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if !hasEntry(dir, name) {
			return false
		}
	}
	return true
}

// folderKind is what a folder is to git. Git compresses its objects, so nothing is found in the files that hold them,
// and [Scan.History] asks git for them. Everything else beside them is looked at.
type folderKind int

const (
	plainFolder folderKind = iota
	gitFolder              // .git, or a bare repository
	objectsFolder
	looseFolder // objects/ab
	packFolder  // objects/pack
	gitsObject
)

// below returns what a folder or a file in such a folder is.
func (k folderKind) below(name string, isDir bool) folderKind {
	isHex := strings.Trim(name, "0123456789abcdef") == ""
	switch {
	case k == gitFolder && isDir && name == "objects":
		return objectsFolder
	case k == objectsFolder && isDir && name == "pack":
		return packFolder
	case k == objectsFolder && isDir && isHex && len(name) == 2:
		return looseFolder
	case k == looseFolder && isHex && (len(name) == 38 || len(name) == 62):
		return gitsObject
	case k == packFolder && strings.HasPrefix(name, "pack-") && slices.Contains([]string{".pack", ".idx"}, filepath.Ext(name)):
		return gitsObject
	}
	return plainFolder
}

func join(above, name string) string {
	switch {
	case above == "":
		return name
	case strings.HasSuffix(above, string(filepath.Separator)):
		return above + name
	}
	return above + string(filepath.Separator) + name
}
