package vault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
)

// pruneAll leaves each secret its newest version.
func pruneAll(s *Session) error {
	list, _, err := s.Prunable(tokens.Path{}, tokens.Namespace{}, PruneRule{Keep: 1})
	if err == nil {
		err = s.Prune(list)
	}
	return err
}

// prune prunes a secret by a rule, and returns what went.
func (v *victim) prune(path string, rule PruneRule) (list []Pruning) {
	v.t.Helper()
	v.do(func(s *Session) {
		var err error
		list, _, err = s.Prunable(v.p(path), tokens.Namespace{}, rule)
		v.must(err)
		v.must(s.Prune(list))
	})
	return list
}

// numbers returns the versions of a secret, the oldest first.
func (v *victim) numbers(path string) (list []uint64) {
	v.t.Helper()
	v.do(func(s *Session) {
		_, versions, err := s.History(v.p(path))
		v.must(err)
		for _, x := range slices.Backward(versions) {
			list = append(list, x.Number)
		}
	})
	return list
}

func (v *victim) wantNumbers(path string, want ...uint64) {
	v.t.Helper()
	if got := v.numbers(path); !slices.Equal(got, want) {
		v.t.Errorf("%s has the versions %v, want %v", path, got, want)
	}
	if found := v.problems(); found != "" {
		v.t.Error(found)
	}
}

// clockVictim is a vault with a/K at v1 to v4, which were written 40, 30, 20 and 10 days ago, and b/K at v1.
func clockVictim(t *testing.T) (v *victim, now time.Time) {
	now = time.Now()
	v = newVictimIn(t, Options{Now: func() time.Time { return now }})
	v.purge("a/K")
	start := now
	for _, days := range []int{0, 10, 20, 30} {
		now = start.AddDate(0, 0, days)
		v.store("c/K", fmt.Sprint(days))
	}
	now = start.AddDate(0, 0, 40)
	v.store("b/K", "one")
	return v, now
}

func TestPrunable(t *testing.T) {
	v, now := clockVictim(t)
	ago := func(days int) time.Time { return now.AddDate(0, 0, -days) }
	for name, c := range map[string]struct {
		rule PruneRule
		want []uint64
	}{
		"the newest one stays":         {PruneRule{}, []uint64{1, 2, 3}},
		"keep one":                     {PruneRule{Keep: 1}, []uint64{1, 2, 3}},
		"keep two":                     {PruneRule{Keep: 2}, []uint64{1, 2}},
		"keep more than there are":     {PruneRule{Keep: 9}, nil},
		"older than 25 days":           {PruneRule{Before: ago(25)}, []uint64{1, 2}},
		"older than any":               {PruneRule{Before: ago(41)}, nil},
		"older, but the newest stays":  {PruneRule{Before: ago(0)}, []uint64{1, 2, 3}},
		"older, and not among the two": {PruneRule{Keep: 3, Before: ago(15)}, []uint64{1}},
	} {
		t.Run(name, func(t *testing.T) {
			v.do(func(s *Session) {
				list, values, err := s.Prunable(v.p("c/K"), tokens.Namespace{}, c.rule)
				if err != nil || values != 6 {
					t.Fatal(values, err)
				}
				var got []uint64
				for _, one := range list {
					got = append(got, one.Versions...)
					if one.Left != 4-len(one.Versions) {
						t.Errorf("%d stay", one.Left)
					}
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("%v go, want %v", got, c.want)
				}
			})
		})
	}
}

// A name can be that of a secret, of a namespace, or of both. The secret comes first.
func TestPrunableWhere(t *testing.T) {
	v := newVictim(t)
	v.store("a/K/BELOW", "one")
	v.store("a/K/BELOW", "two")
	ns := func(text string) tokens.Namespace {
		ns, err := tokens.ParseNamespace(text)
		v.must(err)
		return ns
	}
	for name, c := range map[string]struct {
		p    tokens.Path
		ns   tokens.Namespace
		want string
	}{
		"a secret":                  {v.p("a/K"), tokens.Namespace{}, "[a/K]"},
		"a secret and a namespace":  {v.p("a/K"), ns("a/K"), "[a/K]"},
		"a namespace":               {tokens.Path{}, ns("a"), "[a/K a/K/BELOW]"},
		"no secret but a namespace": {v.p("a/N"), ns("a"), "[a/K a/K/BELOW]"},
		"the whole vault":           {tokens.Path{}, tokens.Namespace{}, "[a/K a/K/BELOW]"},
		"nothing":                   {v.p("n/N"), ns("n/N"), "not found"},
		"no namespace":              {tokens.Path{}, ns("n"), "not found"},
	} {
		v.do(func(s *Session) {
			list, _, err := s.Prunable(c.p, c.ns, PruneRule{Keep: 1})
			var paths []string
			for _, one := range list {
				paths = append(paths, one.Path.String())
			}
			got := fmt.Sprint(paths)
			if errors.Is(err, ErrNotFound) {
				got = "not found"
			}
			if got != c.want {
				t.Errorf("%s: %s, want %s", name, got, c.want)
			}
		})
	}
}

// One rewrite prunes all. The rest is as it was, and the log says what went.
func TestPrune(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	v.store("a/L", "second")
	var before, after Report
	v.do(func(s *Session) {
		var err error
		before, err = s.Verify(false)
		v.must(err)
		list, _, err := s.Prunable(tokens.Path{}, tokens.Namespace{}, PruneRule{Keep: 1})
		v.must(err)
		v.must(s.Prune(list))
		after, err = s.Verify(true)
		v.must(err)
		if after.Epoch != before.Epoch+1 {
			t.Errorf("epoch %d after %d", after.Epoch, before.Epoch)
		}
		entries, err := s.v.Log(10, func(e audit.Event) bool { return e.Type == audit.SecretPruned })
		v.must(err)
		var told []string
		for _, e := range entries {
			told = append(told, fmt.Sprint(e.ResourceID, e.Metadata["versions"], e.Metadata["version"]))
		}
		if got := strings.Join(told, "; "); got != "a/L[1] 2; a/K[1 2] 3" {
			t.Errorf("the log says %q", got)
		}
		if _, _, err := s.Get(v.p("a/K"), 2); !errors.Is(err, ErrNotFound) {
			t.Errorf("a pruned version is read: %v", err)
		}
		if _, _, err := s.Rollback(v.p("a/K"), 2); !errors.Is(err, ErrNotFound) {
			t.Errorf("a pruned version is rolled back to: %v", err)
		}
	})
	if got, err := v.get(); got != "three" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	v.wantNumbers("a/K", 3)
	v.wantNumbers("a/L", 2)
	if n := v.store("a/K", "four"); n != 4 {
		t.Errorf("stored as v%d", n)
	}
	v.wantNumbers("a/K", 3, 4)
}

// What is pruned stays gone, and nobody misses it, whatever happens to the vault then. Numbers go on.
func TestPrunedForGood(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(v *victim){
		"nothing":          func(*victim) {},
		"archived":         (*victim).archive,
		"archived twice":   func(v *victim) { v.archive(); v.archive() },
		"a new owner key":  (*victim).newKey,
		"salvaged":         (*victim).salvaged,
		"headless":         func(v *victim) { v.headless(); v.salvaged() },
		"an agent revoked": func(v *victim) { id, _ := v.agent("worker"); v.revoke(id) },
		"compacted":        (*victim).compact,
		"restored":         func(v *victim) { v.restore(v.backUp()) },
		"pruned again":     func(v *victim) { v.set4(); v.prune("a/K", PruneRule{Keep: 2}) },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			v.prune("a/K", PruneRule{Keep: 1})
			then(v)
			want := []uint64{3}
			if name == "pruned again" {
				want = []uint64{3, 4}
			}
			v.wantNumbers("a/K", want...)
			last := want[len(want)-1]
			if n := v.store("a/K", "next"); n != last+1 {
				t.Errorf("the next version is v%d", n)
			}
			v.wantNumbers("a/K", append(want, last+1)...)
		})
	}
}

// A backup from before brings the values back. Their numbers do not come twice.
func TestPrunedComesBackWithABackup(t *testing.T) {
	v := newVictim(t)
	file := v.backUp()
	v.prune("a/K", PruneRule{Keep: 1})
	v.set4()
	v.prune("a/K", PruneRule{Keep: 1})
	v.restore(file)
	v.wantNumbers("a/K", 1, 2, 3)
	if n := v.store("a/K", "five"); n != 5 {
		t.Errorf("the next version is v%d, though there was a v4", n)
	}
	v.prune("a/K", PruneRule{Keep: 2})
	v.wantNumbers("a/K", 3, 5)
}

// Versions that were deleted before a value was stored again are pruned like others, and the last version of a
// deleted secret stays for a restore.
func TestPruneDeleted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keep      int
		want      []uint64
		deletedTo uint64
		from, to  uint64 // what a restore brings back; 0 for nothing
	}{
		"some of the earlier ones": {2, []uint64{3, 4}, 3, 3, 3},
		"all of them":              {1, []uint64{4}, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			v.do(func(s *Session) { _, _, err := s.Delete(v.p("a/K")); v.must(err) })
			v.set4()
			v.prune("a/K", PruneRule{Keep: c.keep})
			v.wantNumbers("a/K", c.want...)
			v.do(func(s *Session) {
				secret, _, err := s.History(v.p("a/K"))
				v.must(err)
				v.must(s.view(func(t *tx) error {
					x, _, err := s.learnLog(t, false)
					if told := x.told.records["a/K"]; err == nil && told.Earlier != c.deletedTo {
						v.t.Errorf("the log tells of v%d as the last deleted one, want v%d", told.Earlier, c.deletedTo)
					}
					return err
				}))
				if secret.DeletedTo != c.deletedTo {
					t.Errorf("deleted up to v%d, want v%d", secret.DeletedTo, c.deletedTo)
				}
				done, err := s.Restore(v.p("a/K"))
				if (err == nil) != (c.from > 0) || err == nil && (done.From != c.from || done.To != c.to) {
					t.Errorf("restored v%d to v%d, %v", done.From, done.To, err)
				}
			})
			v.archive()
			v.salvaged()
			v.wantNumbers("a/K", c.want...)
		})
	}
	v := newVictim(t)
	v.do(func(s *Session) { _, _, err := s.Delete(v.p("a/K")); v.must(err) })
	v.prune("a/K", PruneRule{Keep: 1})
	v.do(func(s *Session) {
		done, err := s.Restore(v.p("a/K"))
		if err != nil || done.From != 3 || done.To != 3 {
			t.Errorf("restored v%d to v%d, %v", done.From, done.To, err)
		}
	})
	v.wantNumbers("a/K", 3)
}

// One version can be named, but not the newest one: that is the secret itself.
func TestPruneVersion(t *testing.T) {
	v := newVictim(t)
	one := func(n uint64) (err error) {
		v.do(func(s *Session) {
			var p Pruning
			if p, _, err = s.PrunableVersion(v.p("a/K"), n); err == nil {
				if p.Left != 2 {
					t.Errorf("%d stay", p.Left)
				}
				err = s.Prune([]Pruning{p})
			}
		})
		return err
	}
	for n, want := range map[uint64]error{3: ErrConflict, 4: ErrNotFound, 0: ErrNotFound} {
		if err := one(n); !errors.Is(err, want) {
			t.Errorf("v%d: %v", n, err)
		}
	}
	v.must(one(2))
	v.wantNumbers("a/K", 1, 3)
	v.do(func(s *Session) { _, _, err := s.Delete(v.p("a/K")); v.must(err) })
	if err := one(3); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "restore") {
		t.Error(err)
	}
}

// What a person was shown is what goes, or nothing.
func TestPruneWhatWasShown(t *testing.T) {
	v := newVictim(t)
	for name, list := range map[string][]Pruning{
		"the newest":     {{Path: v.p("a/L"), Versions: []uint64{1}}},
		"gone meanwhile": {{Path: v.p("a/K"), Versions: []uint64{1, 7}}},
		"no such secret": {{Path: v.p("a/K"), Versions: []uint64{1}}, {Path: v.p("a/N"), Versions: []uint64{1}}},
	} {
		v.do(func(s *Session) {
			if err := s.Prune(list); !errors.Is(err, ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	v.wantNumbers("a/K", 1, 2, 3)
}

// A rewrite that finds another newest version than the one that stays stops.
func TestPrunedHeadMoved(t *testing.T) {
	v := newVictim(t)
	plan := rewritePlan{prune: map[tokens.Path]*pruned{v.p("a/K"): {numbers: []uint64{1}, head: 3}}}
	for n, want := range map[uint64]error{3: nil, 1: ErrConflict, 4: ErrConflict} {
		if err := plan.prunedHead(v.p("a/K"), &secretBody{Version: n}); !errors.Is(err, want) {
			t.Errorf("v%d: %v", n, err)
		}
	}
}

// Only the owner prunes, and the log has the refusal.
func TestOthersPruneNothing(t *testing.T) {
	v := newVictim(t)
	_, k := v.agent("worker")
	opened, err := Open(v.path, v.opts)
	v.must(err)
	s, err := opened.Agent(k)
	v.must(err)
	if _, _, err := s.Prunable(v.p("a/K"), tokens.Namespace{}, PruneRule{Keep: 1}); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
	if _, _, err := s.PrunableVersion(v.p("a/K"), 1); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
	if err := s.Prune([]Pruning{{Path: v.p("a/K"), Versions: []uint64{1}}}); !errors.Is(err, ErrDenied) {
		t.Error(err)
	}
	v.must(opened.Close())
	v.do(func(s *Session) {
		entries, err := s.v.Log(10, func(e audit.Event) bool { return e.Type == audit.SecretPruned+audit.Denied })
		if err != nil || len(entries) != 1 || entries[0].ResourceID != "a/K" {
			t.Errorf("the log has %v, %v", entries, err)
		}
	})
	v.wantNumbers("a/K", 1, 2, 3)
}

// The absence of what the owner has pruned is accepted, and no other.
func TestPrunedNothingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(v *victim, k tokens.AgentKey, old []byte)
		want string
	}{
		"another version removed": {func(v *victim, _ tokens.AgentKey, _ []byte) {
			v.remove(bucketVersions, versionKeyOf("a/K", 3))
		}, "a/K version 3: it is missing"},
		"the same number of another secret removed": {func(v *victim, _ tokens.AgentKey, _ []byte) {
			v.remove(bucketVersions, versionKeyOf("a/L", 1))
		}, "a/L version 1: it is missing"},
		"an agent says that it pruned": {func(v *victim, k tokens.AgentKey, _ []byte) {
			v.insider(k, func(s *Session, t *tx) error {
				if err := t.remove(bucketVersions, versionKeyOf("a/K", 2)); err != nil {
					return err
				}
				return t.log(audit.SecretPruned, "secret", "a/K", map[string]any{"version": 3, "tier": "standard",
					"versions": []uint64{2}})
			})
		}, "who is not the owner\na/K version 2: it is missing"},
		"an agent stores a pruned number again": {func(v *victim, k tokens.AgentKey, _ []byte) {
			v.insider(k, func(s *Session, t *tx) error {
				if err := s.writeVersion(t, v.p("a/K"), 1, t.newVersion(tokens.Standard), []byte("one")); err != nil {
					return err
				}
				return t.log(audit.SecretRead, "secret", "a/K", map[string]any{"version": 3, "tier": "standard"})
			})
		}, "a/K version 1: it does not match what the log says was written"},
		"an entry names the newest version": {func(v *victim, _ tokens.AgentKey, _ []byte) {
			v.do(func(s *Session) {
				v.must(s.commit(func(t *tx) error {
					if err := t.remove(bucketVersions, versionKeyOf("a/K", 3)); err != nil {
						return err
					}
					return t.log(audit.SecretPruned, "secret", "a/K", map[string]any{"version": 3, "tier": "standard",
						"versions": []uint64{3}})
				}))
			})
		}, "a/K version 3: it is missing"},
		"the old record is put back": {func(v *victim, _ tokens.AgentKey, old []byte) {
			v.give(bucketVersions, versionKeyOf("a/K", 1), old)
		}, "MAC mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			_, k := v.agent("worker")
			old := v.take(bucketVersions, versionKeyOf("a/K", 1))
			v.do(func(s *Session) {
				one, _, err := s.PrunableVersion(v.p("a/K"), 1)
				v.must(err)
				v.must(s.Prune([]Pruning{one}))
			})
			c.do(v, k, old)
			if found := v.problems(); !strings.Contains(found, c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
		})
	}
}

// A request for a version that is pruned goes with it.
func TestPrunedRequests(t *testing.T) {
	v := newVictim(t)
	_, k := v.agent("worker")
	v.do(func(s *Session) {
		_, _, err := s.Set(v.p("a/K"), []byte("four"), SetOptions{Tier: tokens.Critical})
		v.must(err)
	})
	for n := uint64(3); n <= 4; n++ {
		v.insider(k, func(s *Session, t *tx) error {
			_, _, err := s.requestOne(t, subject{RequestRead, v.p("a/K"), n, tokens.Critical}, nil, true)
			return err
		})
	}
	v.prune("a/K", PruneRule{Keep: 1})
	v.do(func(s *Session) {
		list, err := s.Requests()
		if err != nil || len(list) != 1 || list[0].Version != 4 {
			t.Errorf("%v, %v", list, err)
		}
	})
	v.wantNumbers("a/K", 4)
}
