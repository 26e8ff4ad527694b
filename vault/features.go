package vault

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ass/audit"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// A later program may store something in a vault that this one must not pass over, without a new format. It then marks
// the vault with the name of that feature: in meta/features, where a program looks before it reads anything else, in
// the head, which members of the epoch make, and in the entry that begins the epoch, which only the owner makes. A
// program refuses a vault with a mark that it does not know, wherever it finds it.

// knownFeatures are the names of the features that this program knows.
var knownFeatures = []string{featureWays}

// isFeatureName reports whether a text is 1 to 40 of a-z, 0-9 and "-". A regular expression would be compiled at the
// start of every command.
func isFeatureName(s string) bool {
	return len(s) > 0 && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// parseFeatures reads meta/features. There is no such value if a vault has no marks.
func parseFeatures(path string, value []byte, format int) (names []string, err error) {
	if value == nil {
		return nil, nil
	}
	valid := format >= keys.Format2 && json.Unmarshal(value, &names) == nil && len(names) > 0 && slices.IsSorted(names)
	for i, name := range names {
		valid = valid && isFeatureName(name) && (i == 0 || name != names[i-1])
	}
	if !valid {
		return nil, fault.Damaged("meta/features", "it is not a list of features")
	}
	return names, refuseNewer(path, names)
}

// featuresIn returns the marks that the entry that begins an epoch tells of.
func featuresIn(ev audit.Event) []string { return audit.Texts(ev.Metadata["features"]) }

// refuseNewer returns an error if this program does not know one of the features.
func refuseNewer(path string, names []string) error {
	for _, name := range names {
		if !slices.Contains(knownFeatures, name) {
			return &newerError{path, name}
		}
	}
	return nil
}

// newerError says that a later program has marked a vault. It wraps [ErrFormat].
type newerError struct{ path, name string }

func (e *newerError) Error() string {
	return fmt.Sprintf("%s uses %q, which this program does not know: it needs a newer ass", e.path, audit.Short(e.name))
}

func (e *newerError) Unwrap() error { return ErrFormat }

// putFeatures marks a new file as the vault is marked from which it comes.
func (t *tx) putFeatures(names []string) error {
	if t.head.features = names; len(names) == 0 {
		return nil
	}
	value, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return t.putMeta(metaFeatures, value)
}

// checkFeatures compares the marks of the head with those of meta/features.
func (t *tx) checkFeatures() error {
	value, err := t.get(bucketMeta, []byte(metaFeatures))
	if err == nil {
		err = refuseNewer(t.b.Path(), t.head.features)
	}
	if err != nil {
		return err
	}
	names, err := parseFeatures(t.b.Path(), value, t.Format)
	if err == nil && !slices.Equal(names, t.head.features) {
		err = fault.Damaged("meta/features", "it is not what the head says: somebody changed the one or the other")
	}
	return err
}
