package vault

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

// asMember changes the head of a file with the keys of the epoch alone, as every agent could.
func (v *victim) asMember(change func(h *head)) {
	v.t.Helper()
	var e keys.Epoch
	v.opts.ReadOnly = true
	v.do(func(s *Session) { e = s.epoch })
	v.opts.ReadOnly = false
	plain, err := keys.Open(e.HeadKey(), e.HeadContext(), v.take(bucketMeta, []byte(metaHead)))
	if err != nil {
		v.t.Fatal(err)
	}
	h, err := decodeHead(plain, e.Format)
	if err != nil {
		v.t.Fatal(err)
	}
	change(&h)
	if plain, err = h.encode(e.Format); err != nil {
		v.t.Fatal(err)
	}
	if h.mark == [32]byte{} { // without a mark
		plain = []byte(strings.Replace(string(plain), `,"backup":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`, "", 1))
	}
	sealed, err := keys.Seal(e.HeadKey(), e.HeadContext(), plain)
	if err != nil {
		v.t.Fatal(err)
	}
	v.give(bucketMeta, []byte(metaHead), sealed)
}

func (v *victim) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// copyOf is a backup as a victim.
func (v *victim) copyOf(file string) *victim { return &victim{v.t, file, v.owner, Options{}} }

// The mark of a backup is the owner's: a member of the epoch can make no vault pass for a backup, and none for another.
func TestTheMarkOfABackup(t *testing.T) {
	const forged = "the owner made no such backup"
	for name, attack := range map[string]struct {
		do     func(v *victim, other head) // other is the head of an earlier backup
		backup bool                        // whether it is done to a backup, not to the vault
		owner  string                      // what the owner is told
		agent  string                      // what an agent is told
	}{
		"a backup": {func(*victim, head) {}, true, "", "is a backup"},
		"a backup whose mark is taken away": {func(v *victim, _ head) {
			v.asMember(func(h *head) { h.mark = [32]byte{} })
		}, true, "is not the head of a backup", "is not the head of a backup"},
		"a backup with the mark of another": {func(v *victim, other head) {
			v.asMember(func(h *head) { h.mark = other.mark })
		}, true, forged, "is a backup"},
		"a backup with a made-up mark": {func(v *victim, _ head) {
			v.asMember(func(h *head) { h.mark = [32]byte{1} })
		}, true, forged, "is a backup"},
		"a vault whose next key is taken away": {func(v *victim, _ head) {
			v.asMember(func(h *head) { h.backup = true })
		}, false, "is not the head of a backup", "is not the head of a backup"},
		"a vault with the mark of a backup in the place of the next key": {func(v *victim, other head) {
			v.asMember(func(h *head) { h.backup, h.mark = true, other.mark })
		}, false, forged, "is a backup"},
		"a vault with the number and the mark of a backup": {func(v *victim, other head) {
			v.asMember(func(h *head) { h.backup, h.mark, h.log.Seq = true, other.mark, other.log.Seq })
		}, false, forged, "is not a backup, it is damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			_, k := v.agent("reader")
			var other head
			v.copyOf(v.backUp()).asMember(func(h *head) { other = *h })
			if other.mark == [32]byte{} {
				t.Fatal("the earlier backup has no mark")
			}
			v.do(func(s *Session) { v.set(s, "a/L", "newer") })
			is, file := v, v.backUp()
			if attack.backup {
				is = v.copyOf(file)
			}
			attack.do(is, other)
			if found := is.problems(); attack.owner == "" && found != "" || !strings.Contains(found, attack.owner) {
				t.Errorf("a verification does not say %q:\n%s", attack.owner, found)
			}
			is.do(func(s *Session) {
				_, _, err := s.Set(v.p("a/K"), []byte("x"), SetOptions{})
				if want := attack.owner; err == nil || want != "" && !(errors.Is(err, ErrDamaged) && strings.Contains(err.Error(), want)) {
					t.Errorf("the owner writes: %v, want %q", err, want)
				}
			})
			opened, err := Open(is.path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			s, err := opened.Agent(k)
			if err == nil {
				_, _, err = s.Get(v.p("a/K"), 0)
			}
			v.must(opened.Close())
			if err == nil || strings.HasPrefix(attack.agent, "is a backup") != errors.As(err, new(*BackupError)) {
				t.Errorf("an agent reads: %v, want %q", err, attack.agent)
			}
			if !attack.backup {
				return
			}
			if _, err := PlanRestore(filepath.Join(t.TempDir(), "vault.db"), file, v.owner, v.opts); (err == nil) != (attack.owner == "") {
				t.Errorf("a restore of it: %v", err)
			}
		})
	}
}

// A head has the next key or the mark of a backup.
func TestAHeadWithBoth(t *testing.T) {
	b, err := head{backup: true, mark: [32]byte{1}}.encode(keys.Format2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeHead(b, keys.Format2); err != nil {
		t.Error(err)
	}
	both := strings.Replace(string(b), `"count"`, `"kNext":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","count"`, 1)
	if _, err := decodeHead([]byte(both), keys.Format2); !errors.Is(err, ErrDamaged) {
		t.Errorf("with both: %v", err)
	}
}

// knowing makes this program know certain features, and no others, until the returned function runs.
func knowing(features ...string) (end func()) {
	known := knownFeatures
	knownFeatures = features
	return func() { knownFeatures = known }
}

// withFeature runs fn while this program knows a feature.
func withFeature(t *testing.T, fn func()) {
	t.Helper()
	defer knowing("later")()
	fn()
}

// newMarked makes a vault and a backup of it, both marked by a later program.
func newMarked(t *testing.T) (v *victim, file string) {
	t.Helper()
	withFeature(t, func() {
		v = newVictim(t)
		v.do(func(s *Session) {
			s.v.marks = []string{"later"}
			if _, err := s.Rekey(); err != nil {
				t.Fatal(err)
			}
		})
		if found := v.problems(); found != "" {
			t.Fatal(found)
		}
		file = v.backUp()
	})
	return v, file
}

// A vault that a later program has marked is refused by every act, also if the mark is taken away from all places but
// one.
func TestMarksOfLaterPrograms(t *testing.T) {
	noMeta := func(v *victim) { v.remove(bucketMeta, []byte(metaFeatures)) }
	noHead := func(v *victim) { v.asMember(func(h *head) { h.features = nil }) }
	for name, attack := range map[string]struct {
		do    func(v *victim)
		opens bool // whether the file opens without a key
	}{
		"in all places":   {func(*victim) {}, false},
		"not in meta":     {noMeta, true},
		"not in the head": {noHead, false},
		"only in the entry that begins the epoch": {func(v *victim) { noHead(v); noMeta(v) }, true},
		"another one in meta": {func(v *victim) {
			v.give(bucketMeta, []byte(metaFeatures), []byte(`["later","more"]`))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			v, file := newMarked(t)
			withFeature(t, func() { attack.do(v) })
			newer := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "needs a newer ass") {
					t.Errorf("%s: %v", what, err)
				}
			}
			opened, err := Open(v.path, v.opts)
			if err == nil {
				var s *Session
				if s, err = opened.Owner(v.owner); err == nil {
					_, err = s.Verify(true)
				}
				if !attack.opens {
					t.Error("it opens")
				}
				opened.Close()
			}
			newer("open and verify", err)
			if attack.opens && name != "only in the entry that begins the epoch" { // a read looks at no old entry
				opened, oerr := Open(v.path, v.opts)
				v.must(oerr)
				s, oerr := opened.Owner(v.owner)
				v.must(oerr)
				_, _, oerr = s.Get(v.p("a/K"), 0)
				newer("a read", oerr)
				v.must(opened.Close())
			}
			withFeature(t, func() { _, err = PlanRestore(v.path, file, v.owner, v.opts) })
			if name == "another one in meta" {
				newer("a restore by a program that knows the one", err)
				return
			}
			if err != nil {
				t.Errorf("a restore by a program that knows it: %v", err)
			}
			_, err = PlanRestore(v.path, file, v.owner, v.opts)
			newer("a restore of a backup with the mark", err)
			fresh := v.without(file)
			_, err = PlanRestore(v.path, fresh, v.owner, v.opts)
			newer("a restore of a backup without one", err)
			_, err = Salvage(v.path, filepath.Join(t.TempDir(), "vault.db"), v.owner, v.opts)
			newer("a salvage", err)
			if err != nil && !strings.Contains(err.Error(), v.path) {
				t.Errorf("a salvage names another file: %v", err)
			}
			v.raw(func(b []byte) []byte { // so that it does not open, and its pages are scanned
				clear(b[:2*bolt.PageSize])
				return b
			})
			_, err = PlanRestore(v.path, fresh, v.owner, v.opts)
			newer("a restore over what is left", err)
			withFeature(t, func() {
				r, err := Salvage(v.path, filepath.Join(t.TempDir(), "vault.db"), v.owner, v.opts)
				if err != nil || r.Secrets != 2 {
					t.Errorf("a salvage by a program that knows it: %+v, %v", r, err)
				}
			})
		})
	}
}

// without returns a backup of the vault from before it was marked.
func (v *victim) without(marked string) string {
	v.t.Helper()
	var file string
	withFeature(v.t, func() {
		is := v.copyOf(filepath.Join(v.t.TempDir(), "vault.db"))
		is.restore(marked)
		is.do(func(s *Session) {
			s.v.marks = nil
			if _, err := s.Rekey(); err != nil {
				v.t.Fatal(err)
			}
		})
		file = is.backUp()
	})
	return file
}

// A program that knows the feature takes it along, and finds where somebody took the mark away.
func TestMarksStay(t *testing.T) {
	for name, act := range map[string]func(v *victim){
		"rekey":   func(v *victim) { v.do(func(s *Session) { _, err := s.Rekey(); v.must(err) }) },
		"compact": func(v *victim) { v.compact() },
		"archive": func(v *victim) { v.archive() },
		"restore": func(v *victim) { v.restore(v.backUp()) },
		"salvage": func(v *victim) {
			to := filepath.Join(v.t.TempDir(), "vault.db")
			_, err := Salvage(v.path, to, v.owner, v.opts)
			v.must(err)
			v.path = to
		},
		"write": func(v *victim) { v.do(func(s *Session) { v.set(s, "a/K", "x") }) },
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := newMarked(t)
			withFeature(t, func() {
				act(v)
				if found := v.problems(); found != "" {
					t.Fatal(found)
				}
				if text := string(v.take(bucketMeta, []byte(metaFeatures))); text != `["later"]` {
					t.Errorf("meta/features is %s", text)
				}
				whole := v.take(bucketMeta, []byte(metaHead))
				v.remove(bucketMeta, []byte(metaFeatures))
				if found := v.problems(); !strings.Contains(found, "meta/features: it is not what the head says") {
					t.Errorf("without the mark in meta: %s", found)
				}
				v.asMember(func(h *head) { h.features = nil })
				if found := v.problems(); !strings.Contains(found, "its features are not those of the entry that began the epoch") {
					t.Errorf("with the mark in the log alone: %s", found)
				}
				v.give(bucketMeta, []byte(metaFeatures), []byte(`["later"]`))
				if found := v.problems(); !strings.Contains(found, "meta/features: it is not what the head says") {
					t.Errorf("without the mark in the head: %s", found)
				}
				v.give(bucketMeta, []byte(metaHead), whole)
				if found := v.problems(); found != "" {
					t.Error(found)
				}
			})
		})
	}
}

// meta/features has one form.
func TestTheFormOfMarks(t *testing.T) {
	defer knowing("a", "b")()
	for text, want := range map[string]error{
		`["a"]`: nil, `["a","b"]`: nil, `["a","c"]`: ErrFormat,
		`[]`: ErrDamaged, `null`: ErrDamaged, ``: ErrDamaged, `["b","a"]`: ErrDamaged, `["a","a"]`: ErrDamaged, `["A"]`: ErrDamaged,
		`[""]`: ErrDamaged, `["a"`: ErrDamaged, `"a"`: ErrDamaged, `["a",1]`: ErrDamaged, `["a-9z"]`: ErrFormat, `["a_z"]`: ErrDamaged,
		`["` + strings.Repeat("z", 40) + `"]`: ErrFormat, `["` + strings.Repeat("z", 41) + `"]`: ErrDamaged,
	} {
		if _, err := parseFeatures("vault.db", []byte(text), keys.Format2); !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
	if _, err := parseFeatures("vault.db", []byte(`["a"]`), keys.Format1); !errors.Is(err, ErrDamaged) {
		t.Errorf("in format 1: %v", err)
	}
	if names, err := parseFeatures("vault.db", nil, keys.Format2); names != nil || err != nil {
		t.Errorf("without: %v, %v", names, err)
	}
}
