package vault

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ass/tokens"
)

func (c *company) receipt() (r Receipt) {
	c.t.Helper()
	c.open(func(v *Vault) {
		var err error
		if r, err = v.Receipt(); err != nil {
			c.t.Fatal(err)
		}
	})
	return r
}

func (c *company) expect(r Receipt) (err error) {
	c.t.Helper()
	c.do(func(s *Session) { err = s.Expect(r) })
	return err
}

// Everybody who has a key may go on from an earlier end of the log that they have seen. A machine
// that never saw the later end has nothing to compare with, but for a receipt.
func TestADroppedEndOfTheLogIsFoundWithAReceipt(t *testing.T) {
	c := newCompany(t)
	older, early := c.raw(), c.receipt()
	c.do(func(s *Session) { c.put(s, "prod/app/DB", 0); c.put(s, "prod/app/DB", 0) })
	late := c.receipt()
	if late.Seq != early.Seq+2 {
		t.Fatalf("the receipts are of the entries %d and %d", early.Seq, late.Seq)
	}
	for name, r := range map[string]Receipt{"the newest": late, "an earlier": early} {
		if err := c.expect(r); err != nil {
			t.Errorf("the log has the entry of %s receipt: %v", name, err)
		}
	}
	c.check("another MAC", c.expect(Receipt{early.Seq, late.MAC}), ErrDamaged, "not the entry of the receipt")
	c.check("no such entry yet", c.expect(Receipt{late.Seq + 1, late.MAC}), ErrDamaged, "it is missing")

	if err := os.WriteFile(c.path, older, 0o600); err != nil {
		t.Fatal(err)
	}
	c.opts.MemoryDir = t.TempDir() // another machine
	c.check("the end is gone", c.expect(late), ErrDamaged, "the end of the log was dropped, or the file is an older copy")
	for range 3 {
		if _, err := c.read("exact", "prod/app/DB"); err != nil {
			t.Fatal(err)
		}
	}
	c.finds("") // so a verification alone finds nothing: see the threat model
	c.check("the log went on from before", c.expect(late), ErrDamaged, "a copy with a history of its own")
	if err := c.expect(early); err != nil {
		t.Errorf("that entry is still there: %v", err)
	}
}

// The receipt of an archived entry is compared with the archive, and that of the last one with
// what the owner signed about it.
func TestReceiptsOfArchivedEntries(t *testing.T) {
	c := newCompany(t)
	old := c.receipt()
	c.do(func(s *Session) { c.put(s, "dev/K", 0) })
	last := c.receipt()
	file := filepath.Join(t.TempDir(), "old.jsonl")
	c.do(func(s *Session) {
		if _, err := s.ArchiveLog(file, time.Now().Add(time.Second), false); err != nil {
			t.Fatal(err)
		}
	})
	if err := c.expect(last); err != nil {
		t.Errorf("the last archived entry: %v", err)
	}
	c.check("another last one", c.expect(Receipt{last.Seq, old.MAC}), ErrDamaged, "not the entry of the receipt")
	err := c.expect(old)
	var archived *ArchivedError
	if !errors.As(err, &archived) || !errors.Is(err, ErrUnknown) || archived.File != file || archived.Seq != old.Seq {
		t.Errorf("an entry before it: %v (%+v)", err, archived)
	}
	if a, problems, err := ExpectArchived(file, old); err != nil || len(problems) > 0 || a.Last != last.Seq {
		t.Errorf("the archive has it: %+v, %q, %v", a, problems, err)
	}
	if _, problems, err := ExpectArchived(file, Receipt{old.Seq, last.MAC}); err != nil || len(problems) != 1 {
		t.Errorf("another entry of that number: %q, %v", problems, err)
	}
	_, _, err = ExpectArchived(file, Receipt{last.Seq + 1, last.MAC})
	c.check("an entry that is not in the archive", err, ErrUnknown, "the receipt is of entry")
	c.do(func(s *Session) {
		if r, err := s.Verify(false); err != nil || len(r.Problems) > 0 || r.Receipt != c.receiptIn(s.v) {
			t.Errorf("the verification's receipt is %v: %q, %v", r.Receipt, r.Problems, err)
		}
	})
}

func (c *company) receiptIn(v *Vault) Receipt {
	r, err := v.Receipt()
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func TestParseReceipt(t *testing.T) {
	want := Receipt{Seq: 42, MAC: [32]byte{1, 2, 255}}
	if got, err := ParseReceipt(want.String()); err != nil || got != want {
		t.Errorf("%v became %v: %v", want, got, err)
	}
	mac := strings.Repeat("ab", 32)
	for _, text := range []string{"", ":", "42", "42:", ":" + mac, "0:" + mac, "-1:" + mac, "42:" + mac[1:], "42:" + mac + "00",
		"42:" + mac[:62] + "xy", "18446744073709551616:" + mac, "42 :" + mac} {
		var bad *tokens.SyntaxError
		if r, err := ParseReceipt(text); !errors.As(err, &bad) {
			t.Errorf("%q is read as %v: %v", text, r, err)
		}
	}
}
