package vault

import (
	"testing"

	"ass/audit"
)

// grow adds many reads to the log, more than a person would make. It writes a thousand in each
// transaction.
func grow(t testing.TB, s *Session, entries int) {
	t.Helper()
	for done := 0; done < entries; done += 1000 {
		err := s.commit(func(t *tx) error {
			for range min(1000, entries-done) {
				if err := t.log(audit.SecretRead, "secret", "production/service0/KEY0", map[string]any{"version": 1,
					"tier": "standard"}); err != nil {
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

// BenchmarkVerifyLog measures the cost of a log entry: of checking it, and of comparing it with
// an earlier check.
func BenchmarkVerifyLog(b *testing.B) {
	const entries = 20000
	s := benchVault(b, 10)
	s.v.opts.MemoryDir = b.TempDir()
	grow(b, s, entries)
	for name, verify := range map[string]func() (Report, error){
		"all":   func() (Report, error) { return s.Verify(false) },
		"again": s.Reverify,
	} {
		b.Run(name, func(b *testing.B) {
			verify() // this run is remembered
			b.ReportAllocs()
			for b.Loop() {
				if r, err := verify(); err != nil || len(r.Problems) > 0 || (r.Verified > entries) != (name == "again") {
					b.Fatal(r, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*entries), "ns/entry")
		})
	}
}
