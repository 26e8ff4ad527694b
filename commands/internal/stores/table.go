package stores

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
)

// table is a CSV export: rows with named columns.
type table struct {
	columns []string // in lower case
	rows    []row
}

type row struct {
	line   int
	fields []string
}

// readTable reads CSV with a line of names.
func readTable(b []byte) (*table, error) {
	b = withoutMark(b)
	if err := checkText(b); err != nil {
		return nil, err
	}
	r := csv.NewReader(bytes.NewReader(b))
	t := &table{}
	for {
		fields, err := r.Read()
		var parse *csv.ParseError
		switch {
		case errors.Is(err, io.EOF) && t.columns == nil:
			return nil, wrong("", "it is empty")
		case errors.Is(err, io.EOF):
			return t, nil
		case errors.As(err, &parse):
			return nil, wrong(lineText(parse.StartLine), "%s", csvProblem(parse.Err))
		case err != nil:
			return nil, err
		}
		line, _ := r.FieldPos(0)
		if t.columns == nil {
			for _, name := range fields {
				t.columns = append(t.columns, strings.ToLower(strings.TrimSpace(name)))
			}
			continue
		}
		if len(t.rows) == MaxItems {
			return nil, wrong(lineText(line), "it has more than %d rows", MaxItems)
		}
		t.rows = append(t.rows, row{line, fields})
	}
}

func csvProblem(err error) string {
	switch {
	case errors.Is(err, csv.ErrFieldCount):
		return "it has more or fewer fields than the first line has names"
	case errors.Is(err, csv.ErrQuote), errors.Is(err, csv.ErrBareQuote):
		return "a quote is not closed, or stands inside of a field without quotes"
	}
	return "it is not CSV"
}

// has reports whether the table has all of these columns.
func (t *table) has(names ...string) bool {
	for _, name := range names {
		if t.column(name) < 0 {
			return false
		}
	}
	return true
}

// column returns the place of the first column with one of these names, -1 for none.
func (t *table) column(names ...string) int {
	for _, name := range names {
		for i, c := range t.columns {
			if c == name {
				return i
			}
		}
	}
	return -1
}

// get returns the field of a row in the first column with one of these names.
func (t *table) get(r row, names ...string) string {
	if i := t.column(names...); i >= 0 {
		return r.fields[i]
	}
	return ""
}

// rest calls f for each column whose name is not among known.
func (t *table) rest(r row, known []string, f func(column, value string)) {
	for i, c := range t.columns {
		if !contains(known, c) {
			f(c, r.fields[i])
		}
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
