package vault

import "ass/vault/internal/keys"

// HeadHasNoKey reports whether the head lacks the key of the next log entry, as it must in a
// backup.
func HeadHasNoKey(s *Session) (missing bool) {
	_ = s.view(func(t *tx) error {
		missing = t.head.backup && t.head.log.Key == keys.Key{}
		return nil
	})
	return missing
}

// Tests keep the note of every verification that finds no problem. So all tests also cover
// verifications that begin where an earlier one ended.
func init() { worthKeeping = func(_, _ uint64) bool { return true } }
