// Package leaks looks for values in files, in the history of a git repository, in what is staged there, and in what
// agent programs write down. It knows no vault and no terminal: it gets a [redact.Finder], and says where that finds
// something.
//
// Whoever made the files may be hostile. Links are not followed, nothing but plain files is opened, a file is never in
// memory as a whole, and git is asked in ways in which a repository cannot make it run a program (git.go). A name that
// has a value in it is a finding, and is masked wherever it is reported.
package leaks

import (
	"cmp"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"ass/commands/internal/redact"
)

// Where a value was found.
const (
	Files       = "files"
	History     = "history"
	Staged      = "staged"
	Transcripts = "transcripts"
)

// What of a place holds the value, if that is not the content of a file.
const (
	Name   = "name"   // of the file, or of one in the folder
	Commit = "commit" // its message, or another line of it
	Tag    = "tag"
)

// Finding is a place where a value stands.
type Finding struct {
	In     string
	What   string // "" for the content of a file
	File   string // as the scan was told to name it, and masked
	Commit string // id of the first commit that has it
	Object string // id, of what is in git
	Secret int    // number of the value in the finder
	Form   string

	Line   int   // from 1; 0 for a name
	Column int64 // from 1
	Offset int64
	More   int // how many further places of the same value in this file are not reported

	order int // of the commit in the history, from 1; 0 if none has it
}

// MostPerFile is how many places of one value are reported for one file.
const MostPerFile = 20

// MostFindings is how many findings are reported for one scan, so that they need a bounded amount of memory. The others
// are counted.
const MostFindings = 10_000

// Scan is one look through some places.
type Scan struct {
	Finder *redact.Finder
	Mark   func(secret int) string // what stands for a value in a name
	Skip   []fs.FileInfo           // files that are not looked at, such as the vault

	// Found gets what is found, Missed what could not be looked at. They are called one after the other, in the order of
	// the places.
	Found  func(Finding)
	Missed func(name string, why error)

	// How much was looked at so far, also while the scan goes on.
	Read   atomic.Int64 // bytes, without holes
	Looked atomic.Int64 // files, or objects of git
	Beyond int          // how many findings are not reported because there are too many
	Unseen int          // how many places were missed

	found int
}

// report passes a finding on.
func (s *Scan) report(f Finding) {
	if s.found++; s.found > MostFindings {
		s.Beyond += 1 + f.More
		return
	}
	s.Found(f)
}

func (s *Scan) miss(name string, why error) {
	s.Unseen++
	s.Missed(s.masked(name), why)
}

func (s *Scan) masked(name string) string { return s.Finder.Mask(name, s.Mark) }

// worker looks at one thing after the other.
type worker struct {
	search *redact.Search
	of     Finding // what is looked at
	places []Finding
	counts map[int]int // by value: how many places there are
	more   map[int]int // how many of them are not in places
}

func (s *Scan) newWorker() *worker {
	w := &worker{counts: map[int]int{}, more: map[int]int{}}
	w.search = s.Finder.NewSearch(func(x redact.Found) {
		if w.counts[x.Secret]++; w.counts[x.Secret] > MostPerFile {
			w.more[x.Secret]++
			return
		}
		f := w.of
		f.Secret, f.Form, f.Offset, f.Line, f.Column = x.Secret, x.Form, x.At, x.Line, x.Column
		w.places = append(w.places, f)
	})
	return w
}

// wipe wipes what was read last.
func (w *worker) wipe() { w.search.Wipe() }

// begin begins to look at something.
func (w *worker) begin(of Finding) {
	w.of, w.places = of, nil
	clear(w.counts)
	clear(w.more)
	w.search.Reset()
}

// end returns what was found since begin.
func (w *worker) end() []Finding {
	w.search.End()
	for i := range slices.Backward(w.places) {
		f := &w.places[i]
		f.More = w.more[f.Secret] // with the last of its places
		delete(w.more, f.Secret)
	}
	return w.places
}

// inName looks at a name. It returns a finding for each value in it.
func (s *Scan) inName(w *worker, of Finding, name string) []Finding {
	if len(name) < 8 { // as most names are
		return nil
	}
	of.What = Name
	w.begin(of)
	_, _ = w.search.ReadFrom(strings.NewReader(name))
	list := w.end()
	for i := range list {
		list[i].Line, list[i].Column, list[i].Offset = 0, 0, 0
	}
	list = slices.CompactFunc(list, func(a, b Finding) bool { return a.Secret == b.Secret })
	return slices.Clone(list)
}

// result is what became of one job.
type result struct {
	found  []Finding
	missed []missed
}

type missed struct {
	name string
	why  error
}

// inOrder runs jobs on all cores, and reports what they return in the order in which they were added. feed calls add
// for each job, which waits while too many are unfinished.
func (s *Scan) inOrder(feed func(add func(job func(*worker) result))) {
	const most = 1024 // jobs ahead of the slowest
	type job struct {
		do   func(*worker) result
		done chan result
	}
	jobs, order := make(chan job, 16), make(chan chan result, most)
	go func() {
		defer close(order)
		defer close(jobs)
		feed(func(do func(*worker) result) {
			j := job{do, make(chan result, 1)}
			order <- j.done
			jobs <- j
		})
	}()
	var working sync.WaitGroup
	defer working.Wait()
	for range runtime.GOMAXPROCS(0) {
		working.Go(func() {
			w := s.newWorker()
			defer w.wipe()
			for j := range jobs {
				j.done <- j.do(w)
			}
		})
	}
	for done := range order {
		r := <-done
		for _, m := range r.missed {
			s.miss(m.name, m.why)
		}
		for _, f := range r.found {
			s.report(f)
		}
	}
}

// byPlace sorts findings by where they are.
func byPlace(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Offset, b.Offset),
		a.Secret-b.Secret)
}
