package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
)

// inYears acts as an insider whose clock is years ahead.
func (c *company) inYears(who string, years int, fn func(*Session, *tx) error) {
	c.t.Helper()
	c.insider(who, func(s *Session, t *tx) error {
		t.now = t.now.AddDate(years, 0, 0)
		return fn(s, t)
	})
}

func (c *company) ahead() (list []string) {
	c.t.Helper()
	c.do(func(s *Session) {
		for _, verify := range []func() (Report, error){func() (Report, error) { return s.Verify(false) }, s.Reverify} {
			r, err := verify()
			if err != nil || len(r.Problems) > 0 {
				c.t.Errorf("the vault does not hold: %q, %v", r.Problems, err)
			}
			if list != nil && fmt.Sprint(list) != fmt.Sprint(r.Ahead) {
				c.t.Errorf("again, it names %q, and before %q", r.Ahead, list)
			}
			list = append([]string{}, r.Ahead...)
		}
	})
	return list
}

func askForCard(c *company) func(s *Session, t *tx) error {
	return func(s *Session, t *tx) error {
		_, _, err := s.requestOne(t, subject{RequestRead, c.p("prod/app/CARD"), 1, tokens.Critical}, nil, true)
		return err
	}
}

// A request dated ahead would wait for years, after the right to ask is gone. It counts as
// expired, at once and later, and is named. The honest request beside it counts.
func TestARequestFromTheFutureDoesNotWait(t *testing.T) {
	c := newCompany(t)
	c.inYears("reader", 50, askForCard(c))
	pending := func() (list []Request) {
		c.do(func(s *Session) {
			all, err := s.Requests()
			if err != nil {
				t.Fatal(err)
			}
			for _, q := range all {
				if q.Status == Pending {
					list = append(list, q)
				}
				if q.Ahead != (q.CreatedAt.Year() > time.Now().Year()+40) || q.Ahead && q.Status != Expired {
					t.Errorf("%+v", q)
				}
				if !q.Ahead {
					continue
				}
				for _, err := range []error{s.Approve([]Request{q}), s.Deny([]Request{q}, "no")} {
					if c.opts.Now != nil { // the commit has cleared it
						c.check("20 years later, deciding", err, ErrUnknown, "no request")
					} else {
						c.check("deciding", err, ErrConflict, "ahead of this machine's clock")
					}
				}
			}
		})
		return list
	}
	if list := pending(); len(list) > 0 {
		t.Errorf("now, it waits: %+v", list)
	}
	if _, err := c.read("reader", "prod/app/CARD"); !errors.Is(err, ErrApproval) {
		t.Fatal(err)
	}
	if list := pending(); len(list) != 1 || list[0].CreatedAt.After(time.Now()) {
		t.Errorf("beside an honest one: %+v", list)
	}
	named := strings.Join(c.ahead(), "\n")
	for _, want := range []string{"(approval.requested by \"" + c.id["reader"] + "\"): it is dated", "request "} {
		if !strings.Contains(named, want) {
			t.Errorf("the verification names\n%s\nwant: %s", named, want)
		}
	}
	c.opts.Now = func() time.Time { return time.Now().AddDate(20, 0, 0) }
	if list := pending(); len(list) > 0 {
		t.Errorf("20 years later, it waits: %+v", list)
	}
	c.do(func(s *Session) {
		c.put(s, "dev/K", 0) // the first commit clears it, as it clears what is too old
		if list, err := s.Requests(); err != nil || len(list) > 0 {
			t.Errorf("left: %+v, %v", list, err)
		}
	})
}

// Clocks of two machines differ a little. That is no reason to refuse a request.
func TestARequestOfAClockABitFastWaits(t *testing.T) {
	for grace, want := range map[time.Duration]string{clockGrace - 10*time.Second: Pending, clockGrace + 10*time.Second: Expired} {
		c := newCompany(t)
		c.insider("reader", func(s *Session, t *tx) error {
			t.now = t.now.Add(grace)
			return askForCard(c)(s, t)
		})
		c.do(func(s *Session) {
			if list, err := s.Requests(); err != nil || len(list) != 1 || list[0].Status != want {
				t.Errorf("%s ahead: %+v, %v; want %s", grace, list, err, want)
			}
		})
	}
}

// A verification names what is dated ahead, whoever wrote it, and calls it no damage.
func TestDatesAheadAreNamed(t *testing.T) {
	c := newCompany(t)
	if got := c.ahead(); len(got) > 0 {
		t.Fatalf("before: %q", got)
	}
	c.inYears("mallory", 1, func(s *Session, t *tx) error {
		w, err := s.planWrite(t, c.p("prod/mine/M"), SetOptions{})
		if err == nil {
			_, err = s.write(t, c.p("prod/mine/M"), w, []byte("x"))
		}
		return err
	})
	got := c.ahead()
	if len(got) != 3 || !strings.Contains(got[0], "(secret.updated by \""+c.id["mallory"]+"\")") ||
		!strings.HasPrefix(got[1], `"prod/mine/M": it is dated `) || !strings.HasPrefix(got[2], "prod/mine/M version 2: it is dated ") {
		t.Errorf("it names %q", got)
	}
	c.opts.Now = func() time.Time { return time.Now().AddDate(1, 0, 1) }
	if got := c.ahead(); len(got) > 0 {
		t.Errorf("when that date is past: %q", got)
	}
}

func TestManyDatesAhead(t *testing.T) {
	var a aheads
	for range mostAhead + 5 {
		a.add("x", time.Now())
	}
	if got := a.lines("records"); len(got) != mostAhead+1 || got[mostAhead] != "5 more records are dated ahead of this machine's clock" {
		t.Errorf("%q", got)
	}
}

// One entry that is dated ahead would keep the log from ever being archived.
func TestAnArchiveGoesPastADateAhead(t *testing.T) {
	c := newCompany(t)
	archive := func(past bool) (a Archived, err error) {
		file := filepath.Join(t.TempDir(), "old.jsonl")
		c.do(func(s *Session) { a, err = s.ArchiveLog(file, time.Now().Add(time.Second), past) })
		if err == nil {
			if _, problems, err := VerifyArchive(file, nil); err != nil || len(problems) > 0 {
				t.Errorf("the archive: %q, %v", problems, err)
			}
		} else if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Errorf("a file was made all the same: %v", err)
		}
		c.finds("")
		return a, err
	}
	last := c.receipt().Seq
	c.inYears("mallory", 70, func(_ *Session, t *tx) error { return t.log(audit.SecretRead, "secret", "prod/mine/M", nil) })
	c.do(func(s *Session) { c.put(s, "dev/K", 0) })

	a, err := archive(false)
	if err != nil || a.Last != last || a.Stop != last+1 || a.StopAt.Year() < time.Now().Year()+69 {
		t.Fatalf("it archived up to %d, and %d dated %s stopped it, %v; want %d", a.Last, a.Stop, a.StopAt, err, last)
	}
	_, err = archive(false)
	c.check("once more", err, ErrAhead, fmt.Sprintf("log entry %d stops it: it is dated ", last+1))
	if a, err := archive(true); err != nil || a.First != last+1 || a.Last <= last+1 || a.Stop != 0 {
		t.Errorf("past it: %+v, %v", a, err)
	}
	end := c.receipt().Seq
	c.inYears("mallory", 70, func(_ *Session, t *tx) error { return t.log(audit.SecretRead, "secret", "prod/mine/M", nil) })
	c.do(func(s *Session) { // nothing old follows it, so it stops nothing
		for _, past := range []bool{false, true} {
			if seq, stop, err := s.lastBefore(time.Now().Add(time.Second), past); seq != end || stop.Seq != 0 || err != nil {
				t.Errorf("with one at the end, it archives up to %d, stopped by %d, %v; want %d", seq, stop.Seq, err, end)
			}
		}
	})
}
