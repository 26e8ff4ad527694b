package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"go.etcd.io/bbolt"

	"ass/tokens"
	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

// device is an identity of another kind than the owner's, as a hardware key is.
type device struct{ *age.X25519Identity }

func newDevice(t *testing.T) device {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return device{id}
}

// way seals an owner key to the device.
func (d device) way(t *testing.T, name string, owner *Identity) Way {
	t.Helper()
	var file bytes.Buffer
	w, err := age.Encrypt(&file, d.Recipient())
	if err == nil {
		_, err = io.WriteString(w, owner.Text())
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return Way{Name: name, Recipient: d.Recipient().String(), Sealed: file.Bytes()}
}

// opens returns the owner key that the device finds in one of some files; nil if it opens none.
func (d device) opens(files [][]byte) *Identity {
	for _, file := range files {
		r, err := age.Decrypt(bytes.NewReader(file), d)
		if err != nil {
			continue
		}
		text, _ := io.ReadAll(r)
		if id, err := ParseIdentity(string(text)); err == nil {
			return id
		}
	}
	return nil
}

// sealed returns the age files in the vault.
func (v *victim) sealed() [][]byte {
	v.t.Helper()
	opened, err := Open(v.path, Options{})
	v.must(err)
	defer opened.Close()
	files, err := opened.SealedKeys()
	v.must(err)
	return files
}

// ways returns the names of the ways, or the error.
func (v *victim) ways() (text string) {
	v.t.Helper()
	v.do(func(s *Session) {
		ways, err := s.Ways()
		var names []string
		for _, w := range ways {
			names = append(names, w.Name)
		}
		if text = strings.Join(names, ","); err != nil {
			text = err.Error()
		}
	})
	return text
}

// marked reports whether the file says that it has ways.
func (v *victim) marked() (has bool) {
	v.edit(func(b func(string) *bbolt.Bucket) { has = b(bucketMeta).Get([]byte(metaFeatures)) != nil })
	return has
}

func (v *victim) addWay(way Way) {
	v.t.Helper()
	v.do(func(s *Session) { _, err := s.AddWay(way); v.must(err) })
}

// newVictimWithWays returns a vault that two devices open, too.
func newVictimWithWays(t *testing.T) (v *victim, one, two device) {
	t.Helper()
	v, one, two = newVictim(t), newDevice(t), newDevice(t)
	v.addWay(one.way(t, "one", v.owner))
	v.addWay(two.way(t, "two", v.owner))
	return v, one, two
}

// Whatever is done with a vault, its ways open it, and nobody else's device does.
func TestWaysStay(t *testing.T) {
	for name, act := range map[string]func(v *victim){
		"nothing": func(*victim) {},
		"rekey":   func(v *victim) { v.do(func(s *Session) { _, err := s.Rekey(); v.must(err) }) },
		"purge":   func(v *victim) { v.do(func(s *Session) { _, err := s.Purge(v.p("a/L")); v.must(err) }) },
		"revoke": func(v *victim) {
			v.do(func(s *Session) {
				a, _, err := s.CreateAgent(AgentSpec{Name: "worker", Scopes: scopesOf(v.t, "secrets:read:*")})
				v.must(err)
				_, err = s.RevokeAgent(a.ID, NarrowOptions{})
				v.must(err)
			})
		},
		"compact": func(v *victim) { v.compact() },
		"archive": func(v *victim) { v.archive() },
		"write":   func(v *victim) { v.do(func(s *Session) { v.set(s, "a/K", "x") }) },
		"restore": func(v *victim) { v.restore(v.backUp()) },
		"restore where nothing is": func(v *victim) {
			file := v.backUp()
			v.path = filepath.Join(v.t.TempDir(), "vault.db")
			v.restore(file)
		},
		"salvage": func(v *victim) {
			to := filepath.Join(v.t.TempDir(), "vault.db")
			r, err := Salvage(v.path, to, v.owner, v.opts)
			v.must(err)
			if len(r.Lost) > 0 {
				v.t.Errorf("lost: %q", r.Lost)
			}
			v.path = to
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, one, two := newVictimWithWays(t)
			act(v)
			if got := v.ways(); got != "one,two" {
				t.Errorf("the ways are %q", got)
			}
			files := v.sealed()
			for _, d := range []device{one, two} {
				if id := d.opens(files); id == nil || id.Text() != v.owner.Text() {
					t.Error("a device does not open the vault")
				}
			}
			if newDevice(t).opens(files) != nil {
				t.Error("a stranger's device opens it")
			}
			if found := v.problems(); found != "" {
				t.Error(found)
			}
			if !v.marked() {
				t.Error("the vault is not marked")
			}
		})
	}
}

// A restore takes the ways of the backup, and those of the vault that it replaces.
func TestRestoreJoinsWays(t *testing.T) {
	v, one, two := newVictim(t), newDevice(t), newDevice(t)
	none := v.backUp()
	v.addWay(one.way(t, "one", v.owner))
	first := v.backUp()
	v.addWay(two.way(t, "two", v.owner))
	v.restore(first)
	if got := v.ways(); got != "one,two" {
		t.Errorf("after a backup with one of two, the ways are %q", got)
	}
	v.restore(none)
	if got := v.ways(); got != "one,two" {
		t.Errorf("after a backup without any, the ways are %q", got)
	}
	there := v.path
	v.path = filepath.Join(t.TempDir(), "vault.db")
	v.restore(none)
	long := strings.Repeat("é", 32)
	v.addWay(newDevice(t).way(t, "one", v.owner)) // a copy that goes its own way
	v.addWay(newDevice(t).way(t, long, v.owner))
	other := v.backUp()
	v.path = there
	v.addWay(newDevice(t).way(t, long, v.owner))
	v.restore(other)
	if got, want := v.ways(), "one,"+long+",one-2,two,"+strings.Repeat("é", 31)+"-2"; got != want {
		t.Errorf("after a backup with other keys of the same names, the ways are %q, not %q", got, want)
	}
	v.path = filepath.Join(t.TempDir(), "vault.db")
	v.restore(none)
	if got := v.ways(); got != "" {
		t.Errorf("where nothing is, the ways are %q", got)
	}
	if found := v.problems(); found != "" {
		t.Error(found)
	}
	if v.marked() {
		t.Error("a vault without ways is marked")
	}
}

// The next owner key has the ways that were sealed for it, and no others. A new vault can have them from the start.
func TestOwnershipHasItsWays(t *testing.T) {
	v, one, two := newVictimWithWays(t)
	next, err := NewIdentity()
	v.must(err)
	own := NewOwnership(next, two.way(t, "two", next))
	v.do(func(s *Session) {
		_, _, err := s.RekeyOwner(own, filepath.Join(t.TempDir(), "log.jsonl"))
		v.must(err)
		if s.VaultID() != own.VaultID() {
			t.Error("the vault has another id than was said")
		}
		if ways, err := s.Ways(); err != nil || len(ways) != 1 {
			t.Errorf("in the same session: %v, %v", ways, err)
		}
	})
	if v.owner = next; v.ways() != "two" {
		t.Errorf("the ways are %q", v.ways())
	}
	if files := v.sealed(); one.opens(files) != nil || two.opens(files).Text() != next.Text() {
		t.Error("the wrong device opens it")
	}
	if found := v.problems(); found != "" {
		t.Error(found)
	}
	v.do(func(s *Session) {
		_, _, err := s.RekeyOwner(NewOwnership(next), filepath.Join(t.TempDir(), "log.jsonl"))
		v.must(err)
	})
	if v.ways() != "" || v.sealed() != nil || v.marked() || v.problems() != "" {
		t.Errorf("without ways: %q, %s", v.ways(), v.problems())
	}

	v.path = filepath.Join(t.TempDir(), "vault.db")
	own = NewOwnership(v.owner, one.way(t, "first", v.owner))
	id, err := CreateFor(v.path, own, v.opts)
	v.must(err)
	if id != own.VaultID() || v.ways() != "first" || v.problems() != "" {
		t.Errorf("a new vault: %s, %q, %s", id, v.ways(), v.problems())
	}
}

// Ways that somebody altered without the root are refused, and named. A rewrite signs none of them.
func TestAlteredWays(t *testing.T) {
	mallory := newDevice(t)
	type list struct{ sealed, first, second []byte }
	join := func(parts ...[]byte) (value []byte) {
		for _, part := range parts {
			value = keys.LP(value, part)
		}
		return value
	}
	other := newVictim(t)
	foreign := other.owner
	for name, alter := range map[string]func(l list) []byte{
		"the list":          func(l list) []byte { l.sealed[len(l.sealed)-1] ^= 1; return join(l.sealed, l.first, l.second) },
		"a file":            func(l list) []byte { l.first[len(l.first)-1] ^= 1; return join(l.sealed, l.first, l.second) },
		"the order":         func(l list) []byte { return join(l.sealed, l.second, l.first) },
		"one is missing":    func(l list) []byte { return join(l.sealed, l.first) },
		"one is twice":      func(l list) []byte { return join(l.sealed, l.first, l.second, l.second) },
		"one is replaced":   func(l list) []byte { return join(l.sealed, l.first, mallory.way(t, "two", foreign).Sealed) },
		"one more":          func(l list) []byte { return join(l.sealed, l.first, l.second, mallory.way(t, "x", foreign).Sealed) },
		"no file":           func(l list) []byte { return join(l.sealed) },
		"a byte too many":   func(l list) []byte { return append(join(l.sealed, l.first, l.second), 0) },
		"a byte is missing": func(l list) []byte { v := join(l.sealed, l.first, l.second); return v[:len(v)-1] },
		"nothing":           func(list) []byte { return nil },
		"empty":             func(list) []byte { return []byte{} },
		"of another epoch":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			v, one, two := newVictimWithWays(t)
			value := v.take(bucketMeta, []byte(metaWays))
			var bad []byte
			if alter == nil { // the one way from before the second was added
				old := newDevice(t)
				v.addWay(old.way(t, "old", v.owner))
				bad = value
			} else {
				sealed, rest, _ := keys.CutLP(bytes.Clone(value))
				first, rest, _ := keys.CutLP(rest)
				second, _, _ := keys.CutLP(rest)
				bad = alter(list{sealed, first, second})
			}
			if bad == nil {
				v.remove(bucketMeta, []byte(metaWays))
			} else {
				v.give(bucketMeta, []byte(metaWays), bad)
			}
			if found := v.problems(); !strings.Contains(found, "meta/ways: ") {
				t.Errorf("a verification finds: %s", found)
			}
			if opened, err := Open(v.path, Options{}); err == nil {
				if files, err := opened.SealedKeys(); bad == nil && (files != nil || !errors.Is(err, ErrDamaged)) {
					t.Errorf("the files of a vault without any: %d, %v", len(files), err)
				}
				opened.Close()
			}
			if value, err := v.get(); err != nil || value != "three" { // it is about who else opens the vault
				t.Errorf("a read: %q, %v", value, err)
			}
			v.do(func(s *Session) {
				if _, err := s.Ways(); !errors.Is(err, ErrDamaged) {
					t.Errorf("to list them: %v", err)
				}
				if _, err := s.Rekey(); !errors.Is(err, ErrDamaged) {
					t.Errorf("a rewrite: %v", err)
				}
				if _, err := s.AddWay(mallory.way(t, "three", v.owner)); !errors.Is(err, ErrDamaged) {
					t.Errorf("to add one: %v", err)
				}
				next, err := NewIdentity()
				v.must(err)
				if _, _, err := s.RekeyOwner(NewOwnership(next), filepath.Join(t.TempDir(), "log.jsonl")); err == nil {
					t.Error("a rekey does not see it")
				}
			})
			v.do(func(s *Session) {
				a, _, err := s.CreateAgent(AgentSpec{Name: "worker", Scopes: scopesOf(v.t, "secrets:read:*")})
				v.must(err)
				s.OpenedBy(one.way(t, "one", v.owner).Sealed)
				if _, err = s.RevokeAgent(a.ID, NarrowOptions{Lose: true}); !errors.Is(err, ErrDamaged) {
					t.Errorf("to take a right away with a key that would open nothing then: %v", err)
				}
				s.OpenedBy(nil)
				_, err = s.RevokeAgent(a.ID, NarrowOptions{})
				if loss := new(LossError); !errors.As(err, &loss) || !strings.Contains(strings.Join(loss.Lost, ""), "meta/ways") {
					t.Errorf("to take a right away: %v", err)
				}
				_, err = s.RevokeAgent(a.ID, NarrowOptions{Lose: true})
				v.must(err)
			})
			if found := v.problems(); found != "" || v.ways() != "" {
				t.Errorf("afterwards: %q, %s", v.ways(), found)
			}
			v.addWay(one.way(t, "one", v.owner))
			v.addWay(two.way(t, "two", v.owner))
			if v.ways() != "one,two" {
				t.Errorf("they cannot be added again: %q", v.ways())
			}
		})
	}
}

// The mark, too, tells of the ways: in the meta bucket, in the head, and in the log, which an insider cannot write.
func TestTheMarkOfWays(t *testing.T) {
	v, _, _ := newVictimWithWays(t)
	v.remove(bucketMeta, []byte(metaWays))
	v.remove(bucketMeta, []byte(metaFeatures))
	v.asMember(func(h *head) { h.features = nil })
	if found := v.problems(); !strings.Contains(found, "its features are not those of the entry that began the epoch") {
		t.Errorf("without any trace but the log's: %s", found)
	}
	v.do(func(s *Session) {
		if _, err := s.Rekey(); !errors.Is(err, ErrDamaged) {
			t.Errorf("a rewrite: %v", err)
		}
	})
	plain := newVictim(t)
	plain.give(bucketMeta, []byte(metaWays), keys.LP(keys.LP(nil, "list"), "file"))
	if found := plain.problems(); !strings.Contains(found, "ways") {
		t.Errorf("ways in a vault without a mark: %s", found)
	}
	plain.do(func(s *Session) { _, err := s.Rekey(); plain.must(err) })
	if found := plain.problems(); found != "" {
		t.Errorf("a rewrite keeps them: %s", found)
	}

	// A program from before them must not rewrite the vault without them.
	v, _, _ = newVictimWithWays(t)
	defer knowing()()
	if _, err := Open(v.path, v.opts); !errors.Is(err, ErrFormat) {
		t.Errorf("a program from before: %v", err)
	}
}

// Somebody can make a vault of their own, seal its owner key to somebody else's public recipient, and write the other
// vault's id into it. It does not open.
func TestForgedForAWay(t *testing.T) {
	v, one, _ := newVictimWithWays(t)
	forged := newVictim(t)
	forged.addWay(one.way(t, "one", forged.owner))
	id := one.opens(forged.sealed())
	if id == nil || id.Text() != forged.owner.Text() {
		t.Fatal("the attack does not begin")
	}
	want, wrap := v.id(), forged.take(bucketMeta, []byte(forged.wrapName()))
	forged.give(bucketMeta, []byte(metaVault), want[:])
	forged.give(bucketMeta, []byte(id.WrapName(want)), wrap)
	opened, err := Open(forged.path, Options{})
	forged.must(err)
	defer opened.Close()
	if _, err := opened.Owner(id); !errors.Is(err, ErrWrongKey) && !errors.Is(err, ErrDamaged) {
		t.Errorf("a forged vault: %v", err)
	}
}

func TestWhatAWayMayBe(t *testing.T) {
	v, d := newVictim(t), newDevice(t)
	good := d.way(t, "key", v.owner)
	now := time.Date(2026, 11, 27, 12, 0, 0, 999, time.UTC)
	v.opts.Now = func() time.Time { now = now.Add(time.Second); return now }
	v.do(func(s *Session) {
		for _, name := range []string{"", " key", "key ", "a\nb", "\x1b[31m", "\xff", strings.Repeat("k", mostInName+1)} {
			way := good
			way.Name = name
			if _, err := s.AddWay(way); err == nil {
				t.Errorf("the name %q", name)
			}
		}
		for what, change := range map[string]func(*Way){
			"no file":             func(w *Way) { w.Sealed = nil },
			"a large file":        func(w *Way) { w.Sealed = make([]byte, mostWay+1) },
			"no recipient":        func(w *Way) { w.Recipient = "" },
			"an endless one":      func(w *Way) { w.Recipient = strings.Repeat("a", mostWay+1) },
			"no file in a rekey":  nil,
			"no file in a create": nil,
		} {
			way := good
			err := error(nil)
			if change != nil {
				change(&way)
				_, err = s.AddWay(way)
			} else if way.Sealed = nil; strings.Contains(what, "rekey") {
				_, _, err = s.RekeyOwner(NewOwnership(v.owner, way), filepath.Join(t.TempDir(), "log.jsonl"))
			} else {
				_, err = CreateFor(filepath.Join(t.TempDir(), "vault.db"), NewOwnership(v.owner, way), Options{})
			}
			if err == nil {
				t.Errorf("%s is taken", what)
			}
		}
		for i := range MostWays {
			way := newDevice(t).way(t, fmt.Sprintf("key %d", i), v.owner)
			_, err := s.CanAddWay(way.Name, way.Recipient, false)
			v.must(err)
			_, err = s.AddWay(way)
			v.must(err)
			if _, err := s.CanAddWay(way.Name, "another", false); !errors.Is(err, ErrConflict) {
				t.Errorf("a name again: %v", err)
			}
			if name, err := s.CanAddWay(way.Name, "another", true); i < MostWays-1 && (err != nil || name != way.Name+"-2") {
				t.Errorf("a free name: %q, %v", name, err)
			}
			if _, err := s.CanAddWay("another", way.Recipient, true); !errors.Is(err, ErrConflict) {
				t.Errorf("a recipient again: %v", err)
			}
		}
		if _, err := s.AddWay(good); !errors.Is(err, ErrConflict) {
			t.Errorf("one too many: %v", err)
		}
		ways, err := s.Ways()
		v.must(err)
		if at := ways[0].AddedAt; at.Nanosecond() != 0 || at.Before(now.Add(-time.Hour)) {
			t.Errorf("added at %s", at)
		}
	})
	if found := v.problems(); found != "" {
		t.Error(found)
	}
}

// Nobody but the owner lists or adds ways.
func TestWaysAreTheOwners(t *testing.T) {
	v, _, _ := newVictimWithWays(t)
	var key tokens.AgentKey
	v.do(func(s *Session) {
		_, k, err := s.CreateAgent(AgentSpec{Name: "worker", Scopes: scopesOf(v.t, "secrets:*:*")})
		v.must(err)
		key = k
	})
	opened, err := Open(v.path, v.opts)
	v.must(err)
	defer opened.Close()
	s, err := opened.Agent(key)
	v.must(err)
	if _, err := s.Ways(); !errors.Is(err, ErrDenied) {
		t.Errorf("an agent lists them: %v", err)
	}
	if _, err := s.AddWay(newDevice(t).way(t, "mine", v.owner)); !errors.Is(err, ErrDenied) {
		t.Errorf("an agent adds one: %v", err)
	}
}

// In a file that does not open, the files are found all the same, and a salvage says when they are gone.
func TestWaysInDamage(t *testing.T) {
	v, one, _ := newVictimWithWays(t)
	value := v.take(bucketMeta, []byte(metaWays))
	v.raw(func(b []byte) []byte {
		clear(b[:2*bolt.PageSize])
		return b
	})
	files, err := FindSealedKeys(v.path)
	v.must(err)
	if one.opens(files) == nil {
		t.Fatal("they are not found")
	}
	salvage := func() (r Salvaged, is *victim) {
		to := filepath.Join(t.TempDir(), "vault.db")
		r, err := Salvage(v.path, to, one.opens(files), v.opts)
		v.must(err)
		return r, &victim{t, to, v.owner, Options{}}
	}
	if r, is := salvage(); len(r.Lost) > 0 || is.ways() != "one,two" {
		t.Errorf("salvaged: %q, %q", r.Lost, is.ways())
	}
	v.raw(func(b []byte) []byte {
		for at := bytes.Index(b, value); at >= 0; at = bytes.Index(b, value) {
			b[at+len(value)/2] ^= 1
		}
		return b
	})
	r, is := salvage()
	if len(r.Lost) != 1 || !strings.Contains(r.Lost[0], "meta/ways") || is.ways() != "" {
		t.Errorf("salvaged without them: %q, %q", r.Lost, is.ways())
	}
	if found := is.problems(); found != "" {
		t.Error(found)
	}
}

// FuzzWays parses what anybody can write into the file.
func FuzzWays(f *testing.F) {
	root := keys.NewRoot(keys.Key{1})
	e := keys.NewEpoch(root.Vault, 1, keys.Key{2}, keys.Format2)
	f.Add(keys.LP(keys.LP(nil, "list"), "file"))
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, value []byte) {
		list, files, err := cutWays(value)
		if err == nil {
			again := keys.LP(nil, list)
			for _, file := range files {
				again = keys.LP(again, file)
			}
			if !bytes.Equal(again, value) {
				t.Errorf("%x was taken for %x", value, again)
			}
		}
		if _, err := openWays(root, e, value); err == nil {
			t.Error("a list that the owner did not make opens")
		}
	})
}
