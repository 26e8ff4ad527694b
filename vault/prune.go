package vault

import (
	"errors"
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/fault"
)

// To prune is to remove old versions of secrets for good. It takes values away, so it is a rewrite, one for all of
// them. The newest version of a secret is never pruned, whether the secret is deleted or not: the numbers of later
// versions go on behind it, and it is what a restore brings back.

// PruneRule says which versions go. One goes if all that is set says so.
type PruneRule struct {
	Keep   int       // how many of the newest versions of each secret stay; 0 if this does not matter
	Before time.Time // only what was written before that goes; zero if this does not matter
}

// Pruning says which versions of a secret go.
type Pruning struct {
	Path     tokens.Path
	Versions []uint64 // in ascending order
	Left     int      // how many stay
}

// Prunable returns what a rule would prune: of the secret at p, if there is one, otherwise of all secrets in ns and
// below it, deleted ones included. The zero Namespace is the whole vault. values is how many stored values the vault
// has. Only the owner can prune: for others the error is [ErrDenied]. If nothing is at p or in ns, it is [ErrNotFound].
func (s *Session) Prunable(p tokens.Path, ns tokens.Namespace, rule PruneRule) (list []Pruning, values int, err error) {
	if err := s.mayOnlyOwner("prune secrets", "", ""); err != nil {
		return nil, 0, err
	}
	err = s.view(func(t *tx) (err error) {
		if values, err = t.count(bucketVersions); err != nil {
			return err
		}
		heads, err := t.headsAt(p, ns)
		if err != nil {
			return err
		}
		for p, head := range heads {
			one, err := t.prunable(p, head, rule)
			if err != nil {
				return err
			}
			if len(one.Versions) > 0 {
				list = append(list, one)
			}
		}
		slices.SortFunc(list, func(a, b Pruning) int { return a.Path.Compare(b.Path) })
		return nil
	})
	return list, values, err
}

// headsAt returns the head of the secret at p, if there is one, otherwise those of all secrets in ns and below it.
func (t *tx) headsAt(p tokens.Path, ns tokens.Namespace) (map[tokens.Path]secretBody, error) {
	one, within := p != (tokens.Path{}), ns != (tokens.Namespace{})
	heads := map[tokens.Path]secretBody{}
	if one {
		head, err := t.secretHead(p)
		if err == nil {
			heads[p] = head
		}
		if err == nil || !errors.Is(err, ErrNotFound) {
			return heads, err
		}
	}
	if within || !one {
		if err := t.heads(ns, func(p tokens.Path, head secretBody) { heads[p] = head }); err != nil {
			return nil, err
		}
	}
	switch {
	case len(heads) > 0 || !one && !within:
		return heads, nil
	case one:
		return nil, &MissingError{p}
	}
	return nil, fault.New(ErrNotFound, "no secrets in %s", ns)
}

// prunable returns what a rule prunes of one secret.
func (t *tx) prunable(p tokens.Path, head secretBody, rule PruneRule) (one Pruning, err error) {
	one.Path = p
	numbers, err := t.versionNumbers(p)
	if err != nil {
		return one, err
	}
	if len(numbers) == 0 || numbers[len(numbers)-1] != head.Version {
		return one, secretKind.damaged(secretBucketKey(p), "version %d is not its newest one", head.Version)
	}
	one.Left = len(numbers)
	for _, n := range numbers[:max(0, len(numbers)-max(rule.Keep, 1))] {
		if !rule.Before.IsZero() {
			body, _, err := versionKind.get(t, versionKey(p, n))
			if err != nil {
				return one, err
			}
			if !body.CreatedAt.Before(rule.Before) {
				continue
			}
		}
		one.Versions = append(one.Versions, n)
	}
	one.Left -= len(one.Versions)
	return one, nil
}

// PrunableVersion is Prunable for one version of a secret, by its number. For the newest one, the error is
// [ErrConflict].
func (s *Session) PrunableVersion(p tokens.Path, n uint64) (one Pruning, values int, err error) {
	if err := s.mayOnlyOwner("purge a version", "", ""); err != nil {
		return one, 0, err
	}
	err = s.view(func(t *tx) (err error) {
		if values, err = t.count(bucketVersions); err != nil {
			return err
		}
		one = Pruning{Path: p, Versions: []uint64{n}}
		head, numbers, err := t.mayPrune(one)
		if err == nil && n == head.Version {
			err = newestStays(p, head)
		}
		one.Left = len(numbers) - 1
		return err
	})
	return one, values, err
}

// newestStays returns the error for who would prune the newest version of a secret.
func newestStays(p tokens.Path, head secretBody) error {
	if head.DeletedAt != nil {
		return fault.New(ErrConflict, "v%d is the newest version of %s, which a restore brings back", head.Version, p).
			Hint("remove the deleted secret with all its versions: ass secrets purge %s", p)
	}
	return fault.New(ErrConflict, "v%d is the current version of %s", head.Version, p).
		Hint("store another value first, with ass secrets rotate %s, or remove the secret with all its versions: ass "+
			"secrets purge %s",
			p, p)
}

// mayPrune checks that the versions are there that a person was shown. It returns the head of the secret, and the
// numbers of its versions.
func (t *tx) mayPrune(one Pruning) (head secretBody, numbers []uint64, err error) {
	if head, err = t.secretHead(one.Path); err != nil {
		return head, nil, err
	}
	numbers, err = t.versionNumbers(one.Path)
	for _, n := range one.Versions {
		if _, there := slices.BinarySearch(numbers, n); err == nil && !there {
			err = noVersion(one.Path, n)
		}
	}
	return head, numbers, err
}

// Prune removes versions of secrets for good, and nothing else. It rewrites the vault, so that the bytes are gone
// from the file. The list comes from Prunable: if a version in it is not there any more, or became the newest one,
// the error is [ErrConflict], and nothing is changed.
func (s *Session) Prune(list []Pruning) error {
	if len(list) == 0 {
		return nil
	}
	what := list[0].Path.String()
	if len(list) > 1 {
		what = commonNamespace(list)
	}
	if err := s.mayOnlyOwner("prune secrets", audit.SecretPruned, what); err != nil {
		return err
	}
	plan := &rewritePlan{why: "versions pruned", what: what, prune: map[tokens.Path]*pruned{}}
	err := s.view(func(t *tx) error {
		for _, one := range list {
			head, numbers, err := t.mayPrune(one)
			if errors.Is(err, ErrNotFound) || err == nil && slices.Contains(one.Versions, head.Version) {
				return fault.New(ErrConflict, "%s was changed meanwhile, so nothing was pruned", one.Path).Hint("run it again")
			}
			if err != nil {
				return err
			}
			plan.prune[one.Path] = &pruned{numbers: slices.Sorted(slices.Values(one.Versions)), head: head.Version}
			for _, n := range numbers {
				if n <= head.DeletedTo && !slices.Contains(one.Versions, n) {
					plan.prune[one.Path].earlier = true
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	plan.then = func(_ *Session, t *tx) error {
		for _, one := range list {
			if err := t.logPruned(one.Path, plan.prune[one.Path]); err != nil {
				return err
			}
		}
		return nil
	}
	return s.rewrite(plan)
}

func commonNamespace(list []Pruning) string {
	items := make([]audit.Item, len(list))
	for i, one := range list {
		items[i].Path = one.Path.String()
	}
	slices.SortFunc(items, func(a, b audit.Item) int { return strings.Compare(a.Path, b.Path) })
	return audit.CommonNamespace(items)
}

// pruned is what a rewrite leaves out of a secret.
type pruned struct {
	numbers []uint64 // in ascending order
	head    uint64   // the newest version, which stays
	earlier bool     // whether versions stay that were deleted before a value was stored again
}

// prunes reports whether the rewrite leaves out a version.
func (p *rewritePlan) prunes(path tokens.Path, n uint64) bool {
	of := p.prune[path]
	if of == nil {
		return false
	}
	_, gone := slices.BinarySearch(of.numbers, n)
	return gone
}

// prunedHead changes the head of a secret to what the rewrite leaves of it. If the newest version is another one than
// when the versions were chosen, it returns an error: to prune must not leave a secret without a value.
func (p *rewritePlan) prunedHead(path tokens.Path, head *secretBody) error {
	of := p.prune[path]
	switch {
	case of == nil:
		return nil
	case of.head != head.Version:
		return fault.New(ErrConflict, "%s was changed meanwhile, so nothing was pruned", path).Hint("run it again")
	case !of.earlier: // then a restore has nothing to bring back
		head.DeletedTo = 0
	}
	return nil
}

// logPruned logs which versions of a secret are gone. Nothing else may be missing.
func (t *tx) logPruned(p tokens.Path, of *pruned) error {
	head, err := t.secretHead(p)
	if err != nil {
		return err
	}
	for numbers := range slices.Chunk(of.numbers, mostNumbers) {
		err := t.log(audit.SecretPruned, "secret", p.String(), map[string]any{"version": head.Version, "tier": head.Tier,
			"versions": numbers})
		if err != nil {
			return err
		}
	}
	return nil
}

// secretPruned learns which versions the owner has pruned. It believes no entry that was not checked, and nothing
// about the newest version.
func (st *story) secretPruned(seq uint64, by string, ev audit.Event, checked bool) {
	if by != audit.Owner {
		st.found("audit entry %d: %s by %q, who is not the owner", seq, ev.Type, by)
		return
	}
	r := st.records[ev.ResourceID]
	if !checked || !r.there() {
		return
	}
	r.without(slices.DeleteFunc(numbersIn(ev.Metadata["versions"]), func(n uint64) bool { return n == r.Version }))
	if len(r.Versions) == 0 || r.Versions[0].Number > r.Earlier {
		r.Earlier = 0
	}
}
