package vault

import (
	"flag"
	"os"
	"testing"

	"ass/audit"
)

var (
	lengthen    = flag.String("lengthen", "", "vault whose log TestLengthen makes longer, for measurements")
	lengthenKey = flag.String("lengthen-key", "", "file with its owner's key")
	lengthenBy  = flag.Int("lengthen-by", 0, "by how many entries")
)

// TestLengthen adds entries to the log of a vault, many in a transaction. An act of format 2 has one entry, so no command
// makes a log of a million entries in less than an hour.
func TestLengthen(t *testing.T) {
	if *lengthen == "" {
		t.Skip("it measures, and is asked for with -lengthen")
	}
	text, err := os.ReadFile(*lengthenKey)
	if err != nil {
		t.Fatal(err)
	}
	id, err := ParseIdentity(string(text))
	if err != nil {
		t.Fatal(err)
	}
	v, err := Open(*lengthen, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	s, err := v.Owner(id)
	if err != nil {
		t.Fatal(err)
	}
	list, err := v.Paths("")
	if err != nil || len(list) == 0 {
		t.Fatalf("%d secrets to read: %v", len(list), err)
	}
	for left := *lengthenBy; left > 0; left -= min(left, 20_000) {
		err := s.commit(func(t *tx) error {
			for i := range min(left, 20_000) {
				if err := t.log(audit.SecretRead, "secret", list[i%len(list)].String(), map[string]any{"tier": "standard", "version": 1}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
