package leaks

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Git starts git in a folder. Its repository may be a stranger's, so only plumbing is asked: it shows no page, verifies
// no signature, converts no text, runs no filter and no external diff, whatever the configuration says. Command has to
// see to hooks, fsmonitor, fetching and variables.
type Git struct {
	Command func(args ...string) *exec.Cmd
}

// mostSaid is how much of an error of git is kept.
const mostSaid = 1 << 10

// running is a git that runs.
type running struct {
	out  *bufio.Reader
	cmd  *exec.Cmd
	pipe io.Closer
	said limited
}

func (g Git) start(in io.Reader, args ...string) (*running, error) {
	r := &running{cmd: g.Command(args...)}
	r.cmd.Stdin, r.cmd.Stderr = in, &r.said
	out, err := r.cmd.StdoutPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("git cannot be started: %w", bare(err))
	}
	r.out, r.pipe = bufio.NewReaderSize(out, 256<<10), out
	return r, nil
}

// end waits for the end of git. It returns its complaint, or before, which is why nothing more is read.
func (r *running) end(before error) error {
	if before != nil {
		_ = r.pipe.Close()
		_ = r.cmd.Process.Kill()
	}
	err := r.cmd.Wait()
	switch {
	case len(r.said) > 0 && (err != nil || before != nil):
		line, _, _ := strings.Cut(strings.TrimSpace(string(r.said)), "\n")
		return errors.New("git: " + line)
	case before != nil:
		return before
	case err != nil:
		return fmt.Errorf("git: %w", err)
	}
	return nil
}

// stop ends git: what it would say is not needed.
func (r *running) stop() {
	_ = r.pipe.Close()
	_ = r.cmd.Process.Kill()
	_ = r.cmd.Wait()
}

// limited keeps the beginning of what is written to it.
type limited []byte

func (l *limited) Write(b []byte) (int, error) {
	*l = append(*l, b[:min(len(b), mostSaid-len(*l))]...)
	return len(b), nil
}

// run runs git, and returns what it printed, without the last newline.
func (g Git) run(args ...string) (string, error) {
	r, err := g.start(nil, args...)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(r.out, 1<<20))
	return strings.TrimSuffix(string(b), "\n"), r.end(err)
}

// Folder returns the folder in which git keeps the repository. It returns an error if there is none, or if git does not
// trust it.
func (g Git) Folder() (string, error) { return g.run("rev-parse", "--absolute-git-dir") }

// object is the header that cat-file prints in front of an object.
type object struct {
	id, kind string
	size     int64
	missing  bool
}

var errUnreadable = errors.New("git cannot read it, or does not have it")

var errNotGits = errors.New("git printed what it never prints")

// parseObject reads a header of cat-file --batch: "ID TYPE SIZE", or "ID missing".
func parseObject(line string) (o object, err error) {
	parts := strings.Split(line, " ")
	switch {
	case len(parts) < 2 || !isObjectID(parts[0]):
		return o, errNotGits
	case len(parts) == 2 && parts[1] == "missing":
		return object{id: parts[0], missing: true}, nil
	case len(parts) != 3:
		return o, errNotGits
	}
	size, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil || size < 0 || parts[2] != strconv.FormatInt(size, 10) {
		return o, errNotGits
	}
	switch parts[1] {
	case "blob", "tree", "commit", "tag":
		return object{id: parts[0], kind: parts[1], size: size}, nil
	}
	return o, errNotGits
}

// isObjectID reports whether a text is the whole id of an object.
func isObjectID(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// readLine reads up to an end, and returns what is before it. A longer line than any of git's is an error.
func readLine(r *bufio.Reader, end byte) (string, error) {
	line, err := r.ReadSlice(end)
	if err != nil {
		if err == bufio.ErrBufferFull {
			err = errNotGits
		}
		if len(line) > 0 {
			err = tooShort(err)
		}
		return "", err
	}
	return string(line[:len(line)-1]), nil
}

// tooShort returns an error for an output that ends in its middle.
func tooShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// objects searches the objects that cat-file prints, one after the other, and hands on those in which something was
// found. each gets the number of the object, too.
func (s *Scan) objects(out *bufio.Reader, w *worker, each func(n int, o object, found []Finding)) error {
	for n := 0; ; n++ {
		line, err := readLine(out, '\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		o, err := parseObject(line)
		if err != nil {
			return err
		}
		if o.missing {
			each(n, o, nil)
			continue
		}
		w.begin(Finding{Object: o.id, What: map[string]string{"tree": Name, "commit": Commit, "tag": Tag}[o.kind]})
		read, err := w.search.ReadFrom(countedReader{io.LimitReader(out, o.size), s})
		if err == nil && read < o.size {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		if end, err := out.ReadByte(); err != nil || end != '\n' {
			return cmp.Or(tooShort(err), errNotGits)
		}
		s.Looked.Add(1)
		each(n, o, w.end())
	}
}

// History looks into every object of a repository: those of all branches, tags and stashes, and those that nothing
// names any more, as long as git has them. A finding names the first commit that has it, and the file there.
func (s *Scan) History(g Git) error {
	w := s.newWorker()
	defer w.wipe()
	all, err := g.start(nil, "cat-file", "--batch-all-objects", "--unordered", "--buffer", "--batch")
	if err != nil {
		return err
	}
	p := past{s: s, w: w, objects: map[string]*origin{}, inTrees: map[int]Finding{}, names: map[string]bool{}}
	if err = all.end(s.objects(all.out, w, p.add)); err != nil {
		s.miss("the history", err)
	}
	if err := p.find(g); err != nil {
		s.miss("the commits of what was found in the history", err)
	}
	p.report()
	return nil
}

// past is what was found in a history, and where it comes from.
type past struct {
	s       *Scan
	w       *worker
	found   []Finding
	beyond  int // that are not kept
	objects map[string]*origin
	left    int // of the objects whose origin is to be found

	// A name stays in many trees, so only the change that brought it is a finding.
	inTrees map[int]Finding // by value; one is enough to know that names are to be looked at
	names   map[string]bool // that were
}

// origin is the first commit that has an object, and the file that the object is there.
type origin struct {
	commit, file string
	order        int // of the commit, from 1; 0 if none has it
}

func (p *past) add(_ int, o object, list []Finding) {
	if o.missing {
		p.s.miss("object "+o.id, errUnreadable)
	}
	if o.kind == "tree" {
		for _, f := range list {
			if known, ok := p.inTrees[f.Secret]; !ok || f.Object < known.Object {
				f.Line, f.Column, f.Offset, f.More = 0, 0, 0, 0
				p.inTrees[f.Secret] = f
			}
		}
		return
	}
	p.keep(list)
	if len(list) > 0 && o.kind != "tag" {
		p.left++
		p.objects[o.id] = &origin{}
	}
}

func (p *past) keep(list []Finding) {
	room := min(len(list), MostFindings-len(p.found))
	p.found = append(p.found, list[:room]...)
	for _, f := range list[room:] {
		p.beyond += 1 + f.More
	}
}

// find goes through the history, from its beginning, until it knows all origins. If there are names to look at, it goes
// on to the end.
func (p *past) find(g Git) error {
	if p.left == 0 && len(p.inTrees) == 0 {
		return nil
	}
	commits, err := g.start(nil, "rev-list", "--all", "--reflog", "--topo-order", "--reverse")
	if err != nil {
		return err
	}
	defer commits.stop()
	changes, err := g.start(commits.out, "diff-tree", "--stdin", "--always", "--root", "-m", "-r", "-t", "--raw", "-z", "--no-abbrev",
		"--no-renames", "--no-ext-diff", "--no-textconv")
	if err != nil {
		return err
	}
	now, order := "", 0
	is := func(id, file string) {
		if x := p.objects[id]; x != nil && x.order == 0 {
			*x = origin{now, file, order}
			p.left--
		}
	}
	err = eachChange(changes.out, func(id string) {
		if id != now { // a merge is named once for each parent
			now = id
			order++
			is(id, "")
		}
	}, func(c change) bool {
		if c.status != 'D' {
			is(c.id, c.name)
			p.name(c, now, order)
		}
		return p.left > 0 || len(p.inTrees) > 0
	})
	if err == nil && p.left == 0 && len(p.inTrees) == 0 {
		changes.stop()
		return nil
	}
	return changes.end(err)
}

// name looks at the name of what a commit added.
func (p *past) name(c change, commit string, order int) {
	if len(p.inTrees) == 0 || p.names[c.name] || len(p.names) == MostFindings {
		return
	}
	own := c.name[strings.LastIndexByte(c.name, '/')+1:]
	list := p.s.inName(p.w, Finding{Object: c.id, Commit: commit, File: c.name, order: order}, own)
	if len(list) > 0 {
		p.names[c.name] = true
		p.keep(list)
	}
}

// report reports what was found in the order of the commits. Findings in no commit come at the end.
func (p *past) report() {
	for _, f := range p.found {
		if f.What == Name {
			delete(p.inTrees, f.Secret)
		}
	}
	for _, f := range p.inTrees { // in names of trees that no commit has
		p.keep([]Finding{f})
	}
	for i := range p.found {
		f := &p.found[i]
		if x := p.objects[f.Object]; x != nil && f.What != Name {
			f.Commit, f.File, f.order = x.commit, x.file, x.order
		}
		f.In, f.File = History, p.s.masked(f.File)
	}
	slices.SortStableFunc(p.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(uint(a.order-1), uint(b.order-1)), byPlace(a, b), cmp.Compare(a.Object, b.Object))
	})
	for _, f := range p.found {
		p.s.report(f)
	}
	p.s.Beyond += p.beyond
}

// Staged looks into what is staged and differs from the last commit.
func (s *Scan) Staged(g Git) error {
	base, err := g.run("rev-parse", "--verify", "--quiet", "HEAD^{tree}")
	if err != nil || !isObjectID(base) { // there is no commit yet
		if base, err = g.run("hash-object", "-t", "tree", "--stdin"); err != nil {
			return err
		}
	}
	list, err := g.start(nil, "diff-index", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff",
		"--no-textconv", "--ignore-submodules=all", base, "--")
	if err != nil {
		return err
	}
	var files []change
	err = eachChange(list.out, func(string) {}, func(c change) bool {
		if c.isFile() {
			files = append(files, c)
		}
		return true
	})
	if err = list.end(err); err != nil {
		return err
	}
	w := s.newWorker()
	defer w.wipe()
	var ids bytes.Buffer
	for _, c := range files {
		ids.WriteString(c.id + "\n")
	}
	all, err := g.start(&ids, "cat-file", "--batch", "--buffer")
	if err != nil {
		return err
	}
	seen := 0
	err = s.objects(all.out, w, func(n int, o object, found []Finding) {
		if n >= len(files) || o.id != files[n].id {
			return
		}
		seen++
		name := files[n].name
		if o.missing {
			s.miss(name, errUnreadable)
			return
		}
		found = append(s.inName(w, Finding{Object: o.id}, name), found...)
		for _, f := range found {
			f.In, f.File = Staged, s.masked(name)
			s.report(f)
		}
	})
	if err = all.end(err); err == nil && seen != len(files) {
		err = errNotGits
	}
	return err
}

// change is a file of a commit, or of the index, that differs from one before it.
type change struct {
	mode, id, name string
	status         byte
}

// isFile reports whether there is content: of a file or a link, and not of a submodule or of what was removed.
func (c change) isFile() bool {
	return c.status != 'D' && c.status != 'U' && c.mode != "160000" && c.mode != "000000" && strings.Trim(c.id, "0") != ""
}

// eachChange reads the raw format of diff-tree and diff-index, with -z: ":MODE MODE ID ID STATUS", NUL, the name, NUL.
// In front of the changes of a commit stands its id, and NUL. It ends when fn returns false.
func eachChange(r *bufio.Reader, commit func(id string), fn func(change) bool) error {
	for {
		head, err := readLine(r, 0)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if isObjectID(head) {
			commit(head)
			continue
		}
		parts := strings.Split(strings.TrimPrefix(head, ":"), " ")
		if !strings.HasPrefix(head, ":") || len(parts) != 5 || len(parts[4]) != 1 || len(parts[1]) != 6 || !isObjectID(parts[3]) {
			return errNotGits
		}
		name, err := readLine(r, 0)
		if err != nil || name == "" {
			return cmp.Or(tooShort(err), errNotGits)
		}
		if !fn(change{mode: parts[1], id: parts[3], name: name, status: parts[4][0]}) {
			return nil
		}
	}
}
