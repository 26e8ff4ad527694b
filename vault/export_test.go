package vault

// HeadHasNoKey reports whether the key of the next audit entry is missing in the
// head, as it must be in a backup.
func HeadHasNoKey(s *Session) (missing bool) {
	_ = s.view(func(t *tx) error {
		missing = t.head.backup && t.head.log.Key == key{}
		return nil
	})
	return missing
}
