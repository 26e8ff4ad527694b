package vault

import (
	"errors"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// The owner's signature says which tier a secret has in this epoch: that of the head, if the owner wrote it last. Where
// another did, the bucket tiers has a statement of the owner's, which anybody can check and nobody else can make.
// Raising a tier begins a new epoch, so a statement that somebody puts back is never lower. If there is none, the owner
// looks into the log.

// tierBody is a statement of a tier, keyed by the path of the secret.
type tierBody struct {
	Seq  uint64      `json:"seq"`  // Number of the log entry with which it was made.
	Tier tokens.Tier `json:"tier"` // Tier of the secret.
}

// statedTier returns the tier that a statement gives a secret; 0 if there is no statement. Format 1 has none.
func (t *tx) statedTier(p tokens.Path) (tokens.Tier, error) {
	if t.Format < keys.Format2 {
		return 0, nil
	}
	body, _, err := tierKind.get(t, secretBucketKey(p))
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err == nil && !body.Tier.Valid() {
		err = tierKind.damaged(secretBucketKey(p), "it states no tier")
	}
	return body.Tier, err
}

// toldTier returns the tier that a secret has at least, by what the owner has said of it, and whether another than the
// owner wrote its head last, so that the next write by the owner has to state it.
func (s *Session) toldTier(t *tx, p tokens.Path) (tier tokens.Tier, state bool, err error) {
	if !s.isOwner() || t.authorOf(p) == audit.Owner {
		return 0, false, nil
	}
	if tier, err = t.statedTier(p); err != nil || tier != 0 {
		return tier, false, err
	}
	told, err := s.look(t, p)
	return told.tier, true, err
}

// tierToSign is tierOf for an act that signs the head as it is. To the owner, a head with a lower tier than the owner
// has said is damage: once the owner had signed it, the next value would have that tier.
func (s *Session) tierToSign(t *tx, p tokens.Path, head secretBody) (tokens.Tier, error) {
	tier, err := t.tierOf(p, head)
	if err != nil || !s.isOwner() {
		return tier, err
	}
	told, _, err := s.toldTier(t, p)
	if tier = max(tier, told); err == nil && tier > head.Tier {
		err = fault.Damaged(p.String(), "its record says %s, but it is %s: store a value anew, which keeps that tier, or "+
			"purge it",
			head.Tier, tier)
	}
	return tier, err
}

// lookAnew returns what the log tells of a secret that is not there. If the owner or the log says that it is, somebody
// has removed its records: created anew without a word about its tier, it would be a standard one. The owner may say
// the tier. What cannot be read in the log keeps nobody from storing a secret with a tier; then the numbers go on
// behind the last one that can.
func (s *Session) lookAnew(t *tx, p tokens.Path, tier tokens.Tier) (told toldOf, err error) {
	if !s.isOwner() && t.Format < keys.Format2 {
		return told, nil
	}
	said := s.isOwner() && tier != 0
	way := "restore a backup, or store it anew with a --tier"
	if !s.isOwner() {
		way = "ask the owner of the vault"
	}
	if stated, serr := t.statedTier(p); !said && (serr != nil || stated != 0) {
		if serr == nil {
			serr = fault.Damaged(p.String(), "its record is missing, though the owner has stated its tier (%s): %s", stated, way)
		}
		return told, serr
	}
	told, err = s.look(t, p)
	if !s.isOwner() || tier != 0 {
		err = nil
	}
	if err == nil && told.seq > 0 && !said {
		err = fault.Damaged(p.String(), "its record is missing, though log entry %d tells of it (%s): %s", told.seq,
			max(told.tier, tokens.Standard), way)
	}
	return told, err
}

// stateTier makes a statement of the tier that a write by the owner gives a secret, if it needs one: because another
// wrote the secret last, or because an older statement says otherwise.
func (s *Session) stateTier(t *tx, p tokens.Path, w *write) error {
	if !s.isOwner() || t.Format < keys.Format2 || w.was == 0 {
		return nil
	}
	if !w.state {
		stated, err := t.statedTier(p)
		if err != nil || stated == 0 || stated == w.head.Tier {
			return err
		}
	}
	return tierKind.put(t, secretBucketKey(p), tierBody{t.seq(), w.head.Tier})
}

// tier checks a statement: it says what the owner's newest entry about the secret says.
func (v *verification) tier(k, val []byte) error {
	body, _, err := tierKind.read(v.t, k, val)
	if err != nil {
		return err
	}
	told := v.told.tiers[string(k)]
	if !body.Tier.Valid() || body.Tier != told && !v.told.isUnclear(body.Seq) {
		return tierKind.damaged(k, "it states %s, but the owner's newest log entry about the secret says %s: an old statement was put back",
			body.Tier, told)
	}
	return nil
}
