package tokens

// Tier decides whether a human must approve a read. Tiers are ordered: a
// higher one is stricter. The zero Tier is not a valid tier. An agent's grant holds the
// keys of the standard tier alone, so a read above it is not refused by a check: the key is
// missing until an approval brings it.
type Tier uint8

// The numbers are part of every key derivation and never change.
const (
	Standard  Tier = 1 // no approval
	Sensitive Tier = 2 // an approval for each version; it is good for an hour
	Critical  Tier = 3 // an approval for each read, and to overwrite or delete
)

// Tiers lists every tier, the least strict first.
var Tiers = []Tier{Standard, Sensitive, Critical}

// ParseTier reads the name of a tier.
func ParseTier(s string) (Tier, error) {
	for _, t := range Tiers {
		if s == t.String() {
			return t, nil
		}
	}
	return 0, syntaxErrorf("tier", "it must be standard, sensitive or critical")
}

// Valid reports whether t is one of [Tiers].
func (t Tier) Valid() bool { return Standard <= t && t <= Critical }

func (t Tier) String() string {
	switch t {
	case Standard:
		return "standard"
	case Sensitive:
		return "sensitive"
	case Critical:
		return "critical"
	}
	return "no tier"
}

// MarshalText writes the name, for JSON.
func (t Tier) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the name, for JSON.
func (t *Tier) UnmarshalText(b []byte) (err error) {
	*t, err = ParseTier(string(b))
	return err
}
