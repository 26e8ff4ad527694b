package vault

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
)

// Receipt names an entry of the log: its number and its MAC. Agents and tokens know the key of
// the next entry, so one that has seen an earlier end of the log can put that end back and go on
// from there. A machine that saw the later end notices, by its memory. Everybody else needs a
// receipt of it, from outside of the file.
type Receipt struct {
	Seq uint64
	MAC [audit.MACSize]byte
}

// String is SEQ:MAC, with the MAC in hex.
func (r Receipt) String() string {
	return strconv.FormatUint(r.Seq, 10) + ":" + hex.EncodeToString(r.MAC[:])
}

// ParseReceipt is the inverse of [Receipt.String]. If the text is no receipt, the error is a
// [tokens.SyntaxError].
func ParseReceipt(text string) (r Receipt, err error) {
	number, digits, _ := strings.Cut(text, ":")
	seq, err := strconv.ParseUint(number, 10, 64)
	mac, herr := hex.DecodeString(digits)
	if err != nil || herr != nil || seq == 0 || len(mac) != len(r.MAC) {
		return r, &tokens.SyntaxError{What: "receipt", Problem: "it must be SEQ:MAC, as ass audit prints it: the number of an " +
			"entry, and 64 hexadecimal digits"}
	}
	return Receipt{seq, [audit.MACSize]byte(mac)}, nil
}

// Receipt returns the receipt of the newest entry, the zero Receipt if there is none. It needs no
// key, so it checks nothing: a verification says whether the log holds.
func (v *Vault) Receipt() (Receipt, error) {
	last, _, err := v.lastEntry(0)
	return Receipt{last.Seq, last.MAC}, err
}

// Expect returns an error if the log has not the entry of a receipt. If another entry, or none,
// is in its place, the error is [ErrDamaged]. If the entry is in an archive, it is [ErrUnknown],
// and names the archive. Together with a verification that finds nothing, it shows that the log
// up to that entry is as it was when the receipt was made.
func (s *Session) Expect(r Receipt) error {
	return s.viewUnchecked(func(t *tx) error {
		last, there, err := s.v.lastEntry(r.Seq)
		if err != nil {
			return err
		}
		cut, err := t.checkpoint()
		if err != nil {
			return err
		}
		if r.Seq == cut.Cut && len(cut.CutMAC) == len(there.MAC) {
			there = mark{Seq: cut.Cut, MAC: [audit.MACSize]byte(cut.CutMAC)}
		}
		where := fmt.Sprintf("audit entry %d", r.Seq)
		switch {
		case r.Seq > last.Seq:
			return fault.Damaged(where, "it is missing, and the receipt shows that it was there: the end of the log was "+
				"dropped, or the file is an older copy, or the receipt is of another vault")
		case r.Seq < cut.Cut:
			return s.archivedIn(r.Seq)
		case there.Seq != r.Seq || there.MAC != r.MAC:
			return fault.Damaged(where, "it is not the entry of the receipt: the file is a copy with a history of its own, or the "+
				"receipt is of another vault")
		}
		return nil
	})
}

// archivedIn returns an error that names the archive of an entry, if the log still tells of it.
func (s *Session) archivedIn(seq uint64) error {
	list, err := s.v.Log(1, func(ev audit.Event) bool {
		first, _ := ev.Metadata["first"].(float64)
		last, _ := ev.Metadata["last"].(float64)
		return ev.Type == audit.LogArchived && first <= float64(seq) && float64(seq) <= last
	})
	if err != nil {
		return err
	}
	file := "the archive that has it"
	if len(list) > 0 {
		if name, ok := list[0].Metadata["file"].(string); ok {
			file = name
		}
	}
	return &ArchivedError{seq, file}
}

// ArchivedError says that an entry was archived, so that the vault does not show whether a
// receipt of it holds. It wraps [ErrUnknown].
type ArchivedError struct {
	Seq  uint64
	File string // that has the entry, in words if it is not known
}

func (e *ArchivedError) Error() string {
	return fmt.Sprintf("log entry %d was archived, so the vault does not show whether its receipt holds", e.Seq)
}
func (e *ArchivedError) Unwrap() error { return ErrUnknown }

// ExpectArchived is [VerifyArchive], and checks that the file has the entry of a receipt. If
// another entry is in its place, that is a problem. If the file has no entry of that number, the
// error is [ErrUnknown].
func ExpectArchived(file string, r Receipt) (a Archived, problems []string, err error) {
	found := false
	a, problems, err = verifyArchive(file, func(e Entry, mac [audit.MACSize]byte) {
		found = found || Receipt{e.Seq, mac} == r
	})
	switch {
	case err != nil:
	case r.Seq < a.First || r.Seq > a.Last:
		err = fault.New(ErrUnknown, "%s has the log entries %d to %d, and the receipt is of entry %d", file, a.First, a.Last, r.Seq)
	case !found:
		problems = append(problems, fmt.Sprintf("audit entry %d: it is not the entry of the receipt", r.Seq))
	}
	return a, problems, err
}
