package vault

import (
	"errors"
	"io/fs"
	"os"

	"ass/vault/disk"
	"ass/vault/internal/bolt"
	"ass/vault/internal/fault"
)

// newSuffix ends the name of a file that is being built beside the vault.
const newSuffix = ".new"

// prepareFile builds the new file for path under another name. as acts in it, and its head
// is saved; end is the newest log entry of the new file. [disk.Publish] renames it to path.
// Before that rename, nothing has changed; after it, everything has.
func prepareFile(path string, as *Session, fill func(*builder) error) (end mark, err error) {
	if err := os.Remove(path + newSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return end, err
	}
	return makeFile(path+newSuffix, path, as, fill)
}

// makeFile is prepareFile for a file at path itself, which must be free. If root makes it, it gets
// the owner of the file at like. On an error, makeFile leaves no file.
func makeFile(path, like string, as *Session, fill func(*builder) error) (end mark, err error) {
	if err := disk.Reserve(path, like); err != nil {
		return end, err
	}
	if end, err = fillFile(path, as, fill); err != nil {
		_ = os.Remove(path)
	}
	return end, err
}

// builder fills a new file.
type builder struct {
	*bolt.Builder
	t *tx
}

func newBuilder(b *bolt.Builder, as *Session) *builder {
	w := &builder{b, as.newTx(b.Tx)}
	w.t.anew, w.t.fresh = true, true
	return w
}

// fillFile is makeFile for an empty file that exists. On an error, the file stays.
func fillFile(path string, as *Session, fill func(*builder) error) (end mark, err error) {
	err = bolt.Build(path, allBuckets(as.epoch.Format), func(b *bolt.Builder) error {
		w := newBuilder(b, as)
		if err := fill(w); err != nil {
			return err
		}
		end = w.t.mark()
		return w.t.saveHead()
	})
	return end, err
}

// replacement says how a new file takes the place of the vault.
type replacement struct {
	next     *Session // acts in the new file
	distrust bool     // believe nothing that a member of the epoch could have written into the head
	kept     string   // the name under which to keep the replaced file; "" to keep none
	named    bool     // go on even if the file has other names
}

// replaceFile lets prepare build a new file, from the one that s has open, as prepareFile does,
// and puts it in the place of the vault. s then becomes next. If the file has another name, that would
// stay an old copy of it, so the error is then a [NamesError], unless r says otherwise.
func (s *Session) replaceFile(r *replacement, prepare func(old *tx) (end mark, err error)) error {
	if s.v.opts.ReadOnly {
		return errReadOnly
	}
	var end mark
	build := func(old *tx) (err error) {
		if err := s.v.refuseNames(r.named); err != nil {
			return err
		}
		end, err = prepare(old)
		return err
	}
	var err error
	if r.distrust {
		err = s.viewUnchecked(build)
	} else {
		err = s.view(func(old *tx) error {
			if err := old.refuseBackup(); err != nil {
				return err
			}
			// Even in a large vault: the new digest will vouch for the records that are here.
			if err := old.checkDigest(); err != nil {
				return err
			}
			return build(old)
		})
	}
	if err == nil && r.kept != "" {
		err = s.v.opts.Unfinished.Keep(s.v.path, r.kept) // a second name, until the new file takes the first
	}
	if err != nil {
		return err
	}
	published, err := s.publish()
	if !published && r.kept != "" { // a second name of the vault is not a copy
		_ = os.Remove(r.kept)
	}
	upgraded := s.v.format < r.next.epoch.Format
	if published && r.next != s {
		s.become(r.next)
	}
	if err != nil {
		return err
	}
	if r.distrust { // the number of the newest entry may have come from an insider
		s.v.opts.memory().note(s.v.vid, end, true)
		s.v.seen, s.v.back = end, nil
	}
	s.v.remember(end)
	if upgraded { // a program that knows the older format alone looks here, and takes an older file for one
		s.v.opts.memory().note(s.v.vid, mark{Seq: end.Seq, MAC: end.MAC}, true)
	}
	return nil
}

// become gives s the keys of next, which acts in the file that is there now.
func (s *Session) become(next *Session) {
	s.ring.Wipe()
	if next.root != s.root {
		s.root.Wipe()
	}
	if next.owner != s.owner {
		s.way = nil
	}
	s.epoch, s.ring, s.secret, s.root, s.owner, s.pub, s.by = next.epoch, next.ring, next.secret, next.root, next.owner,
		next.pub, next.by
	s.batches, s.v.format = next.batches, next.epoch.Format
	s.marks, s.v.marks = next.marks, next.marks
	if s.v.vid != next.epoch.Vault { // this machine has not yet seen the new vault id
		s.v.vid, s.v.seen, s.v.back = next.epoch.Vault, mark{}, nil
	}
}

// publish puts the new file in the place of the vault, and opens it.
func (s *Session) publish() (published bool, err error) {
	// Close before the rename: Windows cannot rename over an open file.
	release, err := s.v.db.Leave()
	if err != nil {
		_ = os.Remove(s.v.path + newSuffix)
		return false, err
	}
	published, err = disk.Publish(s.v.path+newSuffix, s.v.path)
	release()
	if opening := s.v.db.Reopen(); err == nil && opening != nil {
		err = fault.New(ErrMaybeDone, "the change was made, but then the vault could not be opened: %v", opening)
	}
	return published, err
}
