package vault

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
	"ass/vault/disk"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// Archived is a part of the log that was moved into a file of its own.
type Archived struct {
	File        string
	First, Last uint64
	SHA256      string // what the owner signed, in hex
	Vault       string // id of the vault

	// Stop is the number of an entry dated ahead of the clock, at StopAt, that kept older entries
	// behind it in the log; 0 for none.
	Stop   uint64
	StopAt time.Time
}

// ArchiveLog moves the log entries that are older than a time into a new file, and
// cuts them off the log. The file must not exist yet. The whole vault must verify: from
// then on, the owner vouches for what the entries proved about the records. The file
// can be verified by itself; see [VerifyArchive]. If no entry is that old, the error is
// [ErrConflict].
//
// An entry that is dated ahead of the clock stops it, like any other that is not old. If pastAhead
// is true, such an entry is archived too, if an old one follows it: no honest entry is older than
// the one before it.
func (s *Session) ArchiveLog(file string, before time.Time, pastAhead bool) (a Archived, err error) {
	if err := s.mayOnlyOwner("archive the log", audit.LogArchived, s.v.ID()); err != nil {
		return a, err
	}
	if err := checkTarget(file); err != nil {
		return a, err
	}
	cut, stop, err := s.lastBefore(before, pastAhead)
	if err != nil {
		return a, err
	}
	v := newVerification(s)
	v.told.keepAt = cut
	report, err := v.verify()
	if err == nil {
		err = report.Err(s.v.path, "the log failed its verification, so nothing was archived")
	}
	if err != nil {
		return a, err
	}
	if cut <= v.told.from.Cut && stop.Seq > 0 {
		return a, fault.New(ErrAhead, "log entry %d stops it: it is dated %s, ahead of this machine's clock", stop.Seq,
			stop.CreatedAt.Format(time.RFC3339))
	}
	if cut <= v.told.from.Cut {
		return a, fault.New(ErrConflict, "the log has no entries before %s", before.UTC().Format(time.RFC3339))
	}
	var cp checkpoint
	var reasons map[string]Request
	err = s.view(func(t *tx) error {
		if cp, err = v.cutOff(t); err != nil {
			return err
		}
		if reasons, err = s.reasonsIn(t); err != nil {
			return err
		}
		var walked error
		done, err := s.writeArchive(file, v.told.from, cut, func(yield func(k, val []byte) bool) {
			for k, val := range t.ownLog(&walked) {
				if audit.Seq(k) > cut || !yield(k, val) {
					return
				}
			}
		})
		if err == nil {
			a = done
			a.Stop, a.StopAt = stop.Seq, stop.CreatedAt
		}
		if walked != nil && !errors.Is(walked, errStop) {
			err = errors.Join(err, walked)
		}
		return err
	})
	if err != nil {
		return a, a.discardOnError(err)
	}
	err = s.copyAnew(cut, "", v.stillHolds, func(t *tx) error {
		if err := t.log(audit.LogArchived, "vault", s.v.ID(), a.logged()); err != nil {
			return err
		}
		if err := t.putCheckpoint(cp, v.told); err != nil {
			return err
		}
		return s.keepReasons(t, reasons)
	})
	return a, a.discardOnError(err)
}

// stillHolds checks that a vault that was verified is as it was, or verifies it again. It was not locked in between, and
// the checkpoint vouches for what is there now.
func (v *verification) stillHolds(now *tx) error {
	if was, is := v.t.head, now.head; is.log == was.log && is.digest == was.digest && is.count == was.count { // the digest was checked
		return nil
	}
	again := newVerification(v.s)
	again.t, again.again, now.both = now, true, true
	if err := again.run(); err != nil {
		return err
	}
	return again.Err(v.s.v.path, "the vault was changed after its verification, so nothing was archived")
}

// discardOnError returns err, and removes the archive if archiving failed. If err is
// [ErrMaybeDone], the log may have been cut, so the archive stays.
func (a Archived) discardOnError(err error) error {
	if a.File != "" && err != nil && !errors.Is(err, ErrMaybeDone) {
		_ = os.Remove(a.File)
	}
	return err
}

func (a Archived) logged() map[string]any {
	return map[string]any{"file": a.File, "first": a.First, "last": a.Last, "sha256": a.SHA256}
}

// checkTarget refuses a name for a new file if it is taken, or if it ends like the
// names of files that ass makes and removes by itself.
func checkTarget(file string) error {
	for _, suffix := range []string{newSuffix, reserveSuffix, disk.LockSuffix, disk.GateSuffix} {
		if strings.HasSuffix(file, suffix) {
			return fault.New(ErrConflict, "%s: ass makes and removes files with names that end in %s", file, suffix).
				Hint("choose another name")
		}
	}
	return disk.CheckFree(file)
}

// lastBefore returns the number of the entry up to which all entries are older than a time, but
// for those that are dated ahead of the clock, if pastAhead is true; 0 if the first one is not. If
// one of those keeps older ones in the log, lastBefore returns it, too.
func (s *Session) lastBefore(at time.Time, pastAhead bool) (seq uint64, stop Entry, err error) {
	now, young := s.v.opts.Now(), false
	var past uint64 // seq, if pastAhead is true
	err = s.v.db.Each(bucketAudit, func(k, value []byte) {
		if young || audit.Seq(k) == 0 {
			return
		}
		switch e := parseEntry(k, value); {
		case e.CreatedAt.Before(at):
			if past = e.Seq; stop.Seq == 0 {
				seq = e.Seq
			}
		case !IsAhead(e.CreatedAt, now):
			young = true
		case stop.Seq == 0:
			stop = e
		}
	})
	if pastAhead || past == seq {
		return past, Entry{}, err
	}
	return seq, stop, err
}

// cutOff returns the checkpoint of a verification that has passed the entry at which
// to cut.
func (v *verification) cutOff(t *tx) (c checkpoint, err error) {
	c = v.told.kept
	value, err := t.get(bucketAudit, audit.Key(v.told.keepAt))
	if err != nil {
		return c, err
	}
	m := macOf(value)
	c.CutMAC = m[:]
	// If a record is gone, the checkpoint need not say which entry tells of it.
	still := map[string]bool{}
	for _, bucket := range []string{bucketTokens, bucketRequests} {
		err := t.walk(bucket, nil, func(k, _ []byte) error {
			if _, id, ok := cutRequestKey(k); ok && bucket == bucketRequests {
				for _, event := range []string{audit.ApprovalRequested, audit.ApprovalGranted, audit.ApprovalDenied, approvalSpent} {
					still[event+" "+id.String()] = true
				}
			}
			still[string(k)] = true
			return nil
		})
		if err != nil {
			return c, err
		}
	}
	c.Told = slices.DeleteFunc(c.Told, func(x toldAt) bool { return !still[x.What] })
	return c, nil
}

// writeArchive writes entries up to last into a file, syncs it and verifies it. from
// is the checkpoint after which they begin.
func (s *Session) writeArchive(file string, from checkpoint, last uint64, entries iter.Seq2[[]byte,
	[]byte]) (a Archived, err error) {
	a = Archived{File: file, First: from.Cut + 1, Last: last, Vault: s.v.ID()}
	h := audit.ArchiveHeader{Vault: s.v.ID(), OwnerKey: s.pub, First: a.First, Last: last, Epoch: from.Epoch,
		PrevMAC: make([]byte, audit.MACSize), Actors: []audit.ArchiveActor{}}
	if from.Cut > 0 {
		h.PrevMAC = from.CutMAC
	}
	for _, who := range from.Actors {
		h.Actors = append(h.Actors, audit.ArchiveActor{ID: who.ID, PublicKey: who.Pub, Issuer: who.Issuer})
	}
	defer func() {
		if err != nil {
			err = wrapCreate("the log could not be archived, and nothing was changed", err)
		}
	}()
	part, err := s.v.opts.Unfinished.Beside(file)
	if err != nil {
		return a, err
	}
	defer part.End()
	err = disk.Write(part.Path, func(f io.Writer) error {
		w := bufio.NewWriterSize(f, 64<<10)
		if a.SHA256, err = audit.WriteArchive(w, h, s.root.Sign, entries); err != nil {
			return err
		}
		return w.Flush()
	})
	if err == nil {
		_, _, err = VerifyArchive(part.Path, nil)
	}
	if err == nil {
		err = disk.Move(part.Path, file)
	}
	return a, disk.Named(file, err)
}

// VerifyArchive checks a file of archived entries. It needs no key. It calls visit, if
// set, for each entry that can be read. It returns which entries the file should have,
// and the problems with them. If the file is not an archive, or was altered after the
// owner signed it, the error is [ErrDamaged].
func VerifyArchive(file string, visit func(Entry)) (a Archived, problems []string, err error) {
	return verifyArchive(file, func(e Entry, _ [audit.MACSize]byte) {
		if visit != nil {
			visit(e)
		}
	})
}

func verifyArchive(file string, visit func(Entry, [audit.MACSize]byte)) (a Archived, problems []string, err error) {
	f, err := disk.Open(file)
	if err != nil {
		return a, nil, err
	}
	defer f.Close()
	each := func(seq uint64, mac [audit.MACSize]byte, ev audit.Event) { visit(Entry{seq, ev}, mac) }
	of := func(owner ed25519.PublicKey) string {
		id := keys.VaultIDOf(owner)
		return hex.EncodeToString(id[:])
	}
	h, findings, err := audit.VerifyArchive(io.Reader(f), of, each)
	if err != nil {
		return a, nil, fault.Damaged(file, "%v", err)
	}
	for _, f := range findings {
		problems = append(problems, f.String())
	}
	return Archived{File: file, First: h.First, Last: h.Last, Vault: h.Vault}, problems, nil
}

// ownLog yields the entries of the log, without the checkpoint. The error of the walk
// goes to walked.
func (t *tx) ownLog(walked *error) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		*walked = t.walk(bucketAudit, nil, func(k, v []byte) error {
			if !bytes.Equal(k, checkpointKey) && !yield(k, v) {
				return errStop
			}
			return nil
		})
	}
}
