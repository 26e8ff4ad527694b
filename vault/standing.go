package vault

import (
	"errors"
	"slices"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// LeaksScan is the purpose of reads by [Session.GetStanding], in the metadata of their log entries.
const LeaksScan = "leaks scan"

// GetStanding reads the current values of the secrets in some namespaces and below them that the session opens without
// an approval, or, if every is true, all of their values that can be read. It returns them in the order of their paths,
// the newest of each first. closed is how many secrets the session may read, but not so: they need an approval, or a
// newer token. GetStanding makes no request and uses no approval. The log says that the values were compared with what lies
// elsewhere ([LeaksScan]), and handed to nobody.
//
// The reads of current values are one list in the log. An entry names a secret once, so older values are in further
// ones.
func (s *Session) GetStanding(namespaces []tokens.Namespace, every bool) (values []Value, closed int, err error) {
	err = s.updateReading(func(t *tx) error {
		values, closed = nil, 0
		paths, err := s.readable(t, namespaces)
		if err != nil {
			return err
		}
		heads, err := t.liveHeads(paths)
		if err != nil {
			return err
		}
		opened, err := s.openStanding(t, paths, heads, every)
		if err != nil {
			return err
		}
		var read []tokens.Path
		var rounds [][]audit.Item // the newest that were opened, then the ones before them, and so on
		round := 0
		for i, o := range opened {
			if round++; i == 0 || o.Path != opened[i-1].Path {
				round = 0
			}
			if round == len(rounds) {
				rounds = append(rounds, nil)
			}
			rounds[round] = append(rounds[round], o.item)
			read, values = append(read, o.Path), append(values, o.Value)
		}
		if err := s.authorize(t, tokens.Read, audit.SecretRead, read...); err != nil {
			return err
		}
		for _, items := range rounds {
			log := readLog{t: t, purpose: LeaksScan}
			for _, item := range items {
				if err := log.add(item); err != nil {
					return err
				}
			}
			if err := log.flush(); err != nil {
				return err
			}
		}
		closed = len(paths)
		for i, o := range opened {
			if o.current && (i == 0 || o.Path != opened[i-1].Path) {
				closed--
			}
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return values, closed, nil
}

// readable returns the paths of the secrets in some namespaces and below them that the session may read, in order.
func (s *Session) readable(t *tx, namespaces []tokens.Namespace) (paths []tokens.Path, err error) {
	for _, ns := range namespaces {
		err := t.heads(ns, func(p tokens.Path, head secretBody) {
			if head.DeletedAt == nil && s.Can(tokens.Read, p) {
				paths = append(paths, p)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	sortList(paths, tokens.Path.Compare)
	return slices.Compact(paths), nil
}

// openedValue is a value that was opened without an approval, and what the log has to say of that.
type openedValue struct {
	Value
	item    audit.Item
	current bool
}

// openStanding opens versions on all cores, the newest of each secret first, and leaves out those for which the session
// has no key.
func (s *Session) openStanding(t *tx, paths []tokens.Path, heads []secretBody, every bool) (opened []openedValue,
	err error) {
	free := buffers{}
	worker := func() func(*reading) {
		own, h := s.inOrder(), t.another()
		return func(r *reading) { own.open(h, r) }
	}
	done := func(r *reading) error {
		free.back(r.v)
		if errors.Is(r.err, keys.ErrNoKey) || errors.Is(r.err, ErrDenied) {
			return nil
		}
		v, item, err := s.handOut(t, r)
		opened = append(opened, openedValue{v, item, r.n == r.head.Version})
		return err
	}
	return opened, inBatches(worker, done, func(add func(reading, int) error) error {
		for i, p := range paths {
			numbers := []uint64{heads[i].Version}
			if every {
				if numbers, err = t.versionNumbers(p); err != nil {
					return err
				}
				slices.Reverse(numbers)
			}
			for _, n := range numbers {
				if heads[i].checkVersion(p, n) != nil {
					continue
				}
				r := reading{path: p, head: heads[i], n: n}
				if err := t.find(&r); err != nil {
					return err
				}
				r.v = free.copyOf(r.v)
				if err := add(r, len(r.v)); err != nil {
					return err
				}
			}
			s.v.opts.step(i+1, len(paths))
		}
		return nil
	})
}
