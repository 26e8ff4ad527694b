package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/bolt"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// The owner key can be sealed to further recipients: a hardware key, an SSH key, another age identity. Each such age
// file is a way to open the vault without a copy of the owner key. Package device makes and opens the files; here they
// are bytes.
//
//	meta/ways = lp(list) ‖ lp(age file) ‖ …
//	list      = Seal(KDF(root, -, "ass/2 ways"), lp("ways") ‖ vid ‖ u32 epoch ‖ eid, JSON)
//	JSON      = [{name, recipient, added_at, sum}]     in the order of the files; sum: SHA-256 of the file, in hex
//
// The files are public, as their recipients are. The list is the owner's: only the root makes it, and every rewrite
// seals it anew for its epoch. So nobody can add a recipient to whom the next owner key would be sealed, or put an
// older list back.

// featureWays marks a vault that has ways: a program from before them would drop them in a rewrite.
const featureWays = "ways"

// Way is a further way to open a vault: the owner key, sealed to a recipient.
type Way struct {
	Name      string    // names it in the vault; see [CheckWayName]
	Recipient string    // to what it is sealed, as text: age1…, ssh-ed25519 …, or the identity AGE-PLUGIN-…
	AddedAt   time.Time // in seconds; the zero time stands for now
	Sealed    []byte    // the age file, whose content is the text of the owner key
}

// Limits of ways.
const (
	MostWays   = 32
	mostWay    = 16 << 10 // bytes of an age file, and of a recipient
	mostInName = 64       // bytes
)

// CheckWayName returns an error unless a text can name a way: 1 to 64 bytes of printable characters, without a blank at
// an end.
func CheckWayName(name string) error {
	if name == "" || len(name) > mostInName || name != strings.TrimSpace(name) || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return &tokens.SyntaxError{What: "name of a key",
			Problem: fmt.Sprintf("it has 1 to %d printable characters, and no blank at its ends", mostInName)}
	}
	return nil
}

// Ownership is an owner key that is to own a vault, and the further ways to open it. It is used once, by [CreateFor] or
// [Session.RekeyOwner].
type Ownership struct {
	ID   *Identity
	Ways []Way

	root *keys.Root
}

// NewOwnership draws the root of a vault for an owner key.
func NewOwnership(id *Identity, ways ...Way) *Ownership {
	return &Ownership{ID: id, Ways: ways, root: keys.NewRoot(keys.Random())}
}

// check returns an error if one of the ways cannot be stored.
func (o *Ownership) check() error {
	for _, way := range o.Ways {
		if err := checkWay(way); err != nil {
			return err
		}
	}
	return nil
}

// VaultID returns the id that the vault will have, in hex.
func (o *Ownership) VaultID() string { return hex.EncodeToString(o.root.Vault[:]) }

// listedWay is a way in the list.
type listedWay struct {
	Name      string    `json:"name"`
	Recipient string    `json:"recipient"`
	AddedAt   time.Time `json:"added_at"`
	Sum       string    `json:"sum"`
}

// cutWays takes meta/ways apart.
func cutWays(value []byte) (list []byte, files [][]byte, err error) {
	list, rest, ok := keys.CutLP(value)
	for ok && len(rest) > 0 {
		var file []byte
		if file, rest, ok = keys.CutLP(rest); ok && len(file) > mostWay {
			ok = false
		}
		files = append(files, file)
	}
	if !ok || len(files) == 0 || len(files) > MostWays {
		return nil, nil, fault.Damaged("meta/"+metaWays, "it is not a list of ways to open the vault")
	}
	return list, files, nil
}

// SealedKeys returns the age files of the further ways to open the vault; nil if there are none. No key protects them:
// whoever opens one has to try the owner key in it with [Vault.Owner], and to know the id of the vault.
func (v *Vault) SealedKeys() ([][]byte, error) {
	if !slices.Contains(v.marks, featureWays) {
		return nil, nil
	}
	value, err := v.meta(metaWays)
	if err != nil {
		return nil, err
	}
	_, files, err := cutWays(bytes.Clone(value))
	return files, err
}

// FindSealedKeys is [Vault.SealedKeys] for a file that does not open as a vault. It returns whatever looks like such
// age files, the surest first, without duplicates.
func FindSealedKeys(path string) (files [][]byte, err error) {
	found, err := bolt.ScanFile(path, plausible)
	if err != nil {
		return nil, err
	}
	met := map[string]bool{}
	for _, e := range found {
		if string(e.Key) != metaWays {
			continue
		}
		_, some, _ := cutWays(e.Value)
		for _, file := range some {
			if !met[string(file)] && len(files) < MostWays {
				met[string(file)] = true
				files = append(files, file)
			}
		}
	}
	return files, nil
}

// Ways returns the further ways to open the vault, in the order in which they were added. Only the owner can list them.
// If somebody altered them, the error is [ErrDamaged].
func (s *Session) Ways() (ways []Way, err error) {
	if !s.isOwner() {
		return nil, fault.New(ErrDenied, "only the owner can see what opens the vault")
	}
	err = s.view(func(t *tx) error {
		ways, err = s.waysIn(t, nil)
		return err
	})
	return ways, err
}

// OpenedBy tells the session which age file its owner key comes from. A rewrite that would leave this file out fails:
// there may be no other way to the owner key.
func (s *Session) OpenedBy(sealed []byte) { s.way = sealed }

// waysIn reads the ways. told is what the log tells, if that is known, because an insider may have made the head.
func (s *Session) waysIn(t *tx, told *story) ([]Way, error) {
	if !slices.Contains(t.head.features, featureWays) && (told == nil || !slices.Contains(told.features, featureWays)) {
		return nil, nil
	}
	value, err := t.get(bucketMeta, []byte(metaWays))
	if err != nil {
		return nil, err
	}
	return openWays(s.root, s.epoch, bytes.Clone(value))
}

func openWays(root *keys.Root, e keys.Epoch, value []byte) ([]Way, error) {
	sealed, files, err := cutWays(value)
	if err != nil {
		return nil, err
	}
	k, ctx := root.WaysWrap(e)
	defer k.Wipe()
	plain, err := keys.Open(k, ctx, sealed)
	defer clear(plain)
	var list []listedWay
	if err != nil || json.Unmarshal(plain, &list) != nil || len(list) != len(files) {
		return nil, fault.Damaged("meta/"+metaWays, "its list does not open, or is of another epoch: it was modified or put back")
	}
	ways := make([]Way, len(list))
	for i, w := range list {
		if w.Sum != sumOfFile(files[i]) {
			return nil, fault.Damaged("meta/"+metaWays, "the age file of %q was modified", audit.Short(w.Name))
		}
		ways[i] = Way{w.Name, w.Recipient, w.AddedAt, files[i]}
	}
	return ways, nil
}

func sumOfFile(file []byte) string {
	sum := sha256.Sum256(file)
	return hex.EncodeToString(sum[:])
}

// putWays writes the ways for the epoch of next, and marks the vault accordingly.
func (w *builder) putWays(next *Session, ways []Way) error {
	marks := slices.DeleteFunc(slices.Clone(next.marks), func(name string) bool { return name == featureWays })
	if len(ways) > 0 {
		marks = append(marks, featureWays)
		slices.Sort(marks)
	}
	next.marks = marks
	if len(ways) == 0 {
		return nil
	}
	list := make([]listedWay, len(ways))
	for i, way := range ways {
		if way.AddedAt.IsZero() { // those of a new vault
			way.AddedAt = w.t.now.UTC().Truncate(time.Second)
		}
		list[i] = listedWay{way.Name, way.Recipient, way.AddedAt, sumOfFile(way.Sealed)}
	}
	plain, err := json.Marshal(list)
	if err != nil {
		return err
	}
	k, ctx := next.root.WaysWrap(next.epoch)
	defer k.Wipe()
	sealed, err := keys.Seal(k, ctx, plain)
	if err != nil {
		return err
	}
	value := keys.LP(nil, sealed)
	for _, way := range ways {
		value = keys.LP(value, way.Sealed)
	}
	return w.t.putMeta(metaWays, value)
}

// keepWays writes the ways of a vault that is rewritten, or those of its new owner.
func (s *Session) keepWays(old *tx, next *Session, w *builder, p *rewritePlan) error {
	ways, err := s.waysIn(old, p.told)
	if s.way != nil && (err != nil || !slices.ContainsFunc(ways, func(w Way) bool { return bytes.Equal(w.Sealed, s.way) })) {
		return fault.New(ErrDamaged, "meta/%s was modified, and without it the key that opened the vault would open it no more", metaWays).
			Hint("log in with the owner key itself, and do it again")
	}
	if p.owner != nil {
		return w.putWays(next, p.owner.Ways)
	}
	if err != nil {
		if err = p.leave("the further keys that open the vault (meta/"+metaWays+")", audit.Owner, err); err != nil {
			return err
		}
	}
	if p.way != nil {
		if ways, err = addWay(ways, *p.way); err != nil {
			return err
		}
	}
	return w.putWays(next, ways)
}

// addWay appends a way, unless the vault has one of that name, or for that recipient.
func addWay(ways []Way, way Way) ([]Way, error) {
	for _, has := range ways {
		if has.Recipient == way.Recipient {
			return nil, fault.New(ErrConflict, "this key opens the vault already, as %q", audit.Short(has.Name))
		}
	}
	for _, has := range ways {
		if has.Name == way.Name {
			return nil, fault.New(ErrConflict, "a key named %q already opens the vault", audit.Short(way.Name)).
				Hint("give this one another name")
		}
	}
	if len(ways) >= MostWays {
		return nil, fault.New(ErrConflict, "a vault has no more than %d further keys", MostWays)
	}
	return append(ways, way), nil
}

// checkWay returns an error if a way cannot be stored.
func checkWay(way Way) error {
	if err := CheckWayName(way.Name); err != nil {
		return err
	}
	if len(way.Sealed) == 0 || len(way.Sealed) > mostWay || way.Recipient == "" || len(way.Recipient) > mostWay {
		return &tokens.SyntaxError{What: "key", Problem: fmt.Sprintf("its recipient, and the age file for it, have 1 to %d bytes", mostWay)}
	}
	return nil
}

// CanAddWay returns the error that [Session.AddWay] would return for a name and a recipient, before anything is sealed.
// If the name is taken, and free is set, it tries the name with a number behind it. It returns the name that is free.
func (s *Session) CanAddWay(name, recipient string, free bool) (string, error) {
	if err := CheckWayName(name); err != nil {
		return "", err
	}
	ways, err := s.Ways()
	if err != nil {
		return "", err
	}
	for n, try := 2, name; ; n, try = n+1, fmt.Sprintf("%s-%d", name, n) {
		taken := slices.ContainsFunc(ways, func(w Way) bool { return w.Name == try })
		if !taken || !free {
			_, err = addWay(ways, Way{Name: try, Recipient: recipient})
			return try, err
		}
	}
}

// AddWay stores a further way to open the vault, and begins an epoch, which it returns. Whoever has the identity of the
// way is the owner from then on. If the name or the recipient is taken, the error is [ErrConflict].
func (s *Session) AddWay(way Way) (epoch uint32, err error) {
	if err := s.mayOnlyOwner("add a key to the vault", audit.VaultRewritten, s.v.ID()); err != nil {
		return 0, err
	}
	if err := checkWay(way); err != nil {
		return 0, err
	}
	way.AddedAt = time.Time{}
	err = s.rewrite(&rewritePlan{why: "key added", what: s.v.ID(), way: &way, note: map[string]any{"key": way.Name}})
	return s.epoch.N, err
}

// keepWays writes the ways of the backup, and those of the vault that it replaces: whoever could open that one can open
// the restored one. (Removing a way gives the vault another id, so no removed way comes back.)
func (r *restore) keepWays(old *tx, next *Session, w *builder) error {
	ways, err := r.from.waysIn(old, nil)
	if err != nil {
		return err
	}
	for _, way := range r.ways {
		if slices.ContainsFunc(ways, func(has Way) bool { return has.Recipient == way.Recipient }) {
			continue
		}
		name := []rune(way.Name) // copies that went their own ways may each have a key of this name
		for n := 2; slices.ContainsFunc(ways, func(has Way) bool { return has.Name == way.Name }); n++ {
			way.Name = fmt.Sprintf("%s-%d", string(name), n)
			for len(way.Name) > mostInName {
				name = name[:len(name)-1]
				way.Name = fmt.Sprintf("%s-%d", string(name), n)
			}
		}
		if more, err := addWay(ways, way); err == nil {
			ways = more
		}
	}
	return w.putWays(next, ways)
}

// findWays returns a value of meta/ways that holds; nil if there is none.
func (w *salvage) findWays() []byte {
	for _, e := range w.found {
		if string(e.Key) == metaWays {
			if _, err := openWays(w.s.root, w.s.epoch, e.Value); err == nil {
				return e.Value
			}
		}
	}
	return nil
}
