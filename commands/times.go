package commands

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// parseTime parses a date (2026-06-01, local), an RFC 3339 time, or an age (90s, 2h,
// 7d). It reports whether s is a date, which stands for a whole day.
func parseTime(s string, now time.Time) (t time.Time, day bool, err error) {
	if t, err := time.ParseInLocation(time.DateOnly, s, time.Local); err == nil {
		return t, true, nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, false, nil
	}
	if d, err := parseAge(s); err == nil {
		return now.Add(-d), false, nil
	}
	return t, false, errors.New("it must be a date (2026-06-01), an RFC 3339 time (2026-06-01T10:30:00Z), or how long " +
		"ago (2h, 7d)")
}

// never takes a date back.
const never = "never"

// parseWhen parses a time to come: a date (2027-01-01, where this machine is), an RFC 3339 time, how soon (90d), or
// never, which is nil.
func parseWhen(s string, now time.Time) (*time.Time, error) {
	if s == never {
		return nil, nil
	}
	if d, err := parseAge(s); err == nil {
		at := now.Add(d)
		return &at, nil
	}
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return &at, nil
		}
	}
	return nil, errors.New("it must be a date (2027-01-01), an RFC 3339 time (2027-01-01T10:30:00Z), how soon (90d), " +
		"or never")
}

// parseAge is time.ParseDuration that also takes days and refuses negative durations.
func parseAge(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		return time.Duration(n) * 24 * time.Hour, err
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < 0 {
		err = errors.New("negative")
	}
	return d, err
}

// parseOlder parses a date (2026-06-01, local), an RFC 3339 time, or how long ago that was in units of the calendar. It
// takes no minutes: who writes 3m for three months must not lose what is older than three minutes.
func parseOlder(s string, now time.Time) (time.Time, error) {
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.ParseInLocation(form, s, time.Local); err == nil {
			return at, nil
		}
	}
	d, err := parseSpan(s)
	if err != nil {
		return time.Time{}, errors.New("it must be how long ago (90d, 2w, 3mo, 1y), or a date (2026-06-01)")
	}
	return d.before(now), nil
}

// calendarSpan is a length of time in units of the calendar.
type calendarSpan struct{ days, months int }

// parseSpan parses a whole number of days, weeks, months or years: 90d, 2w, 3mo, 1y. "m" alone is no unit: in durations
// (--ttl 15m), it is a minute.
func parseSpan(s string) (d calendarSpan, err error) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz")
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return d, errSpan
	}
	switch count := int(n); s[len(digits):] {
	case "d":
		d.days = count
	case "w":
		d.days = 7 * count
	case "mo":
		d.months = count
	case "y":
		d.months = 12 * count
	default:
		return d, errSpan
	}
	return d, nil
}

var errSpan = errors.New("it must be a whole number of days, weeks, months or years: 90d, 2w, 3mo, 1y")

// before returns the time so long before t.
func (d calendarSpan) before(t time.Time) time.Time { return t.AddDate(0, -d.months, -d.days) }

// after returns the time so long after t.
func (d calendarSpan) after(t time.Time) time.Time { return t.AddDate(0, d.months, d.days) }
