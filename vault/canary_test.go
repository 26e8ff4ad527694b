package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

var yes, no = true, false

// canaries lists the paths of the canaries, each with how often it was read since it has its value. What a look at what
// is new finds must be what a look at everything finds.
func (c *company) canaries() map[string]int {
	c.t.Helper()
	counts := func(everything bool) map[string]int {
		found := map[string]int{}
		c.do(func(s *Session) {
			list, err := s.Canaries(everything)
			if err != nil {
				c.t.Fatal(err)
			}
			for _, x := range list {
				found[x.Path.String()] = x.Count
				if len(x.Reads) != min(x.Count, MaxCanaryReads) {
					c.t.Errorf("%s: %d reads are listed of %d", x.Path, len(x.Reads), x.Count)
				}
			}
		})
		return found
	}
	fresh := counts(false)
	if all := counts(true); !maps.Equal(fresh, all) {
		c.t.Errorf("what is new: %v; everything: %v", fresh, all)
	}
	return fresh
}

func (c *company) mark(path string, is *bool) {
	c.t.Helper()
	c.do(func(s *Session) {
		if _, _, err := s.Set(c.p(path), []byte(marker+path), SetOptions{Canary: is}); err != nil {
			c.t.Fatal(err)
		}
	})
}

// A canary stays one, whoever writes it and whatever becomes of the vault, and a verification finds nothing wrong with
// it.
func TestACanaryStaysOne(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	c.mark("prod/app/DB", &yes)
	at := "prod/app/DB"
	expect := func(step string, want ...string) {
		t.Helper()
		if got := slices.Sorted(maps.Keys(c.canaries())); !slices.Equal(got, want) {
			t.Errorf("after %s: %q", step, got)
		}
		if found := c.problems(); found != "" {
			t.Errorf("after %s:\n%s", step, found)
		}
	}
	expect("it was marked", at)
	if err := c.honest("writer", func(s *Session) { c.put(s, at, 0) }); err != nil {
		t.Fatal(err)
	}
	expect("a write by an agent", at)
	move := func(s *Session, o MoveOptions, from, to string) {
		t.Helper()
		plan, err := s.PlanMove([]Move{{c.p(from), c.p(to)}}, o)
		if err == nil {
			_, err = s.Move(plan)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		name string
		do   func(s *Session)
		want []string
	}{
		{"a write by the owner", func(s *Session) { c.put(s, at, 0) }, []string{at}},
		{"a tier that rises", func(s *Session) { c.put(s, at, tokens.Sensitive) }, []string{at}},
		{"a rekey", func(s *Session) {
			if _, err := s.Rekey(); err != nil {
				t.Fatal(err)
			}
		}, []string{at}},
		{"a revocation", func(s *Session) {
			if _, err := s.RevokeAgent(c.id["mallory"], NarrowOptions{}); err != nil {
				t.Fatal(err)
			}
		}, []string{at}},
		{"a deletion", func(s *Session) {
			if _, _, err := s.Delete(c.p(at)); err != nil {
				t.Fatal(err)
			}
		}, nil},
		{"a restore of the secret", func(s *Session) {
			if _, err := s.Restore(c.p(at)); err != nil {
				t.Fatal(err)
			}
		}, []string{at}},
		{"a copy", func(s *Session) { move(s, MoveOptions{Copy: true}, at, "dev/COPY") }, []string{"dev/COPY", at}},
		{"a move", func(s *Session) { move(s, MoveOptions{}, at, "dev/MOVED") }, []string{"dev/COPY", "dev/MOVED"}},
		{"a mark that was taken back", func(s *Session) {
			if _, _, err := s.Set(c.p("dev/COPY"), []byte("v"), SetOptions{Canary: &no}); err != nil {
				t.Fatal(err)
			}
		}, []string{"dev/MOVED"}},
		{"a new owner key", func(s *Session) {
			next, err := NewIdentity()
			if err == nil {
				_, _, err = s.RekeyOwner(NewOwnership(next), filepath.Join(t.TempDir(), "log.jsonl"))
			}
			if err != nil {
				t.Fatal(err)
			}
			if list, err := s.Canaries(false); err != nil || len(list) != 1 {
				t.Errorf("this machine has forgotten the canary: %v, %v", list, err)
			}
			c.owner = next
		}, []string{"dev/MOVED"}},
	} {
		c.do(step.do)
		expect(step.name, step.want...)
	}
}

// Only the owner marks a canary, takes the mark back, and can tell. Others see a secret like all others, in the file
// and in the log as well.
func TestNobodyElseCanTellACanary(t *testing.T) {
	c := newCompany(t)
	const first, second = "prod/mine/ONE", "prod/mine/TWO"
	c.mark(first, &yes)
	c.mark(second, nil)
	c.mark("prod/mine/M", &yes)
	err := c.honest("mallory", func(s *Session) {
		for _, is := range []*bool{&yes, &no} {
			for _, path := range []string{first, second, "prod/mine/NEW"} {
				if _, _, err := s.Set(c.p(path), []byte("v"), SetOptions{Canary: is}); !errors.Is(err, ErrDenied) {
					t.Errorf("mallory says whether %s is one: %v", path, err)
				}
			}
		}
		if _, err := s.Canaries(true); !errors.Is(err, ErrDenied) {
			t.Errorf("mallory lists them: %v", err)
		}
		list, err := s.List(tokens.Namespace{}, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range list {
			if s.IsCanary(secret) {
				t.Errorf("mallory can tell %s", secret.Path)
			}
			if id, err := uuid.Parse(secret.ID); err != nil || id.Version() != 4 || id.Variant() != uuid.RFC4122 {
				t.Errorf("%s has the id %s", secret.Path, secret.ID)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(bytes.ToLower(c.raw()), []byte("canar")) {
		t.Error("the file says that it has canaries")
	}
	c.insider("mallory", func(s *Session, t *tx) error { // all that the records and entries of the two differ in are ids, paths and times
		form := func(path string) string {
			v, err := t.get(bucketSecrets, secretBucketKey(c.p(path)))
			if err != nil {
				c.t.Fatal(err)
			}
			head, _, err := secretKind.read(t, secretBucketKey(c.p(path)), v)
			if err != nil {
				c.t.Fatal(err)
			}
			var body map[string]any
			b, _ := json.Marshal(head)
			json.Unmarshal(b, &body)
			for _, name := range []string{"id", "seq", "created_at", "updated_at"} {
				if body[name] == nil {
					c.t.Errorf("a head has no %s", name)
				}
				delete(body, name)
			}
			b, _ = json.Marshal(body)
			return string(b)
		}
		if a, b := form(first), form(second); a != b {
			c.t.Errorf("%s\n%s", a, b)
		}
		return t.log(audit.SecretRead, "secret", "prod/mine/M", nil)
	})
	var created []string
	c.open(func(v *Vault) {
		entries, err := v.Log(0, func(e audit.Event) bool { return e.ResourceID == first || e.ResourceID == second })
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.ActorID == audit.Owner {
				note, _ := json.Marshal(e.Metadata)
				created = append(created, e.Type+string(note))
			}
		}
	})
	if len(created) != 2 || created[0] != created[1] {
		t.Errorf("the log tells them apart: %q", created)
	}
}

// Each read of a canary's value counts, each refused one and each request, until it gets another value.
func TestReadsOfACanary(t *testing.T) {
	c := newCompany(t)
	expect := func(step string, want map[string]int) {
		t.Helper()
		if got := c.canaries(); !maps.Equal(got, want) {
			t.Errorf("after %s: %v", step, got)
		}
	}
	expect("nothing", map[string]int{})
	c.mark("prod/app/DB", &yes)
	c.mark("prod/mine/M", &yes)
	c.mark("prod/mine/CRIT", &yes)
	quiet := map[string]int{"prod/app/DB": 0, "prod/mine/M": 0, "prod/mine/CRIT": 0}
	expect("they were marked", quiet)
	c.do(func(s *Session) {
		if _, err := s.List(tokens.Namespace{}, false); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Describe(c.p("prod/app/DB"), func(a *About) { a.Description = "x" }); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := c.read("mallory", "prod/mine/M"); err != nil {
		t.Fatal(err)
	}
	expect("a read", map[string]int{"prod/app/DB": 0, "prod/mine/M": 1, "prod/mine/CRIT": 0})
	if _, err := c.read("mallory", "prod/app/DB"); !errors.Is(err, ErrDenied) {
		t.Fatal(err)
	}
	expect("a read that was refused", map[string]int{"prod/app/DB": 1, "prod/mine/M": 1, "prod/mine/CRIT": 0})
	if _, err := c.read("mallory", "prod/mine/CRIT"); !errors.Is(err, ErrApproval) {
		t.Fatal(err)
	}
	expect("a request", map[string]int{"prod/app/DB": 1, "prod/mine/M": 1, "prod/mine/CRIT": 1})
	if err := c.honest("reader", func(s *Session) {
		if _, err := s.GetMany(nil, []tokens.Path{c.p("prod/app/DB"), c.p("prod/app/deep/K")}); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	expect("a read of several", map[string]int{"prod/app/DB": 2, "prod/mine/M": 1, "prod/mine/CRIT": 1})
	c.do(func(s *Session) {
		if _, _, err := s.GetStanding([]tokens.Namespace{{}}, true); err != nil {
			t.Fatal(err)
		}
	})
	expect("the owner's scan for leaks", map[string]int{"prod/app/DB": 2, "prod/mine/M": 1, "prod/mine/CRIT": 1})
	c.do(func(s *Session) {
		list, err := s.Canaries(false)
		if err != nil || len(list) != 3 || list[0].Path != c.p("prod/app/DB") {
			t.Fatalf("%+v, %v", list, err)
		}
		var got []string
		for _, r := range list[0].Reads {
			got = append(got, r.Event+" "+r.Actor)
		}
		if want := []string{"secret.read " + c.id["reader"], "secret.read.denied " + c.id["mallory"]}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if _, err := s.RevokeAgent(c.id["mallory"], NarrowOptions{}); err != nil { // a rewrite seals every version anew
			t.Fatal(err)
		}
	})
	expect("a revocation", map[string]int{"prod/app/DB": 2, "prod/mine/M": 1, "prod/mine/CRIT": 1})
	if err := c.honest("reader", func(s *Session) {
		if _, _, err := s.GetStanding([]tokens.Namespace{{}}, false); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	expect("an agent's scan for leaks", map[string]int{"prod/app/DB": 3, "prod/mine/M": 1, "prod/mine/CRIT": 1})
	for path := range quiet {
		c.do(func(s *Session) { c.put(s, path, 0) })
	}
	expect("new values", quiet)
}

// Nobody but the owner ends the alarm: not by a write, a deletion or a rollback. Reads of older versions count, and
// what the owner does with the secret, the vault or the log hides none.
func TestAnAlarmStays(t *testing.T) {
	t.Parallel()
	const path = "prod/mine/M"
	for name, do := range map[string]func(*company, *Session){
		"a write":    func(c *company, s *Session) { c.put(s, path, 0) },
		"a deletion": func(c *company, s *Session) { s.Delete(c.p(path)) },
		"a rollback": func(c *company, s *Session) { s.Rollback(c.p(path), 1) },
		"a read of an older version": func(c *company, s *Session) {
			if _, _, err := s.Get(c.p(path), 1); err != nil {
				c.t.Error(err)
			}
		},
		"a description": func(c *company, s *Session) {
			s.Describe(c.p(path), func(a *About) { a.Description = "x" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.mark(path, &yes)
			for _, look := range []bool{true, false} { // in between, or not
				if _, err := c.read("mallory", path); err != nil {
					t.Fatal(err)
				}
				before := 1
				if look {
					before = c.canaries()[path]
				}
				if err := c.honest("mallory", func(s *Session) { do(c, s) }); err != nil {
					t.Fatal(err)
				}
				if got := c.canaries()[path]; got < before+1 {
					t.Errorf("it counts %d", got)
				}
				if name == "a deletion" {
					break
				}
			}
		})
	}
	for name, do := range map[string]func(*company, *Session) string{
		"a move": func(c *company, s *Session) string {
			plan, err := s.PlanMove([]Move{{c.p(path), c.p("dev/MOVED")}}, MoveOptions{})
			if err == nil {
				_, err = s.Move(plan)
			}
			if err != nil {
				c.t.Fatal(err)
			}
			return "dev/MOVED"
		},
		"an archive": func(c *company, s *Session) string {
			if _, err := s.ArchiveLog(filepath.Join(c.t.TempDir(), "old.jsonl"), time.Now().Add(time.Hour), false); err != nil {
				c.t.Fatal(err)
			}
			return path
		},
		"a rekey": func(c *company, s *Session) string {
			if _, err := s.Rekey(); err != nil {
				c.t.Fatal(err)
			}
			return path
		},
		"a restore of the value": nil,
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.mark(path, &yes)
			if _, err := c.read("mallory", path); err != nil {
				t.Fatal(err)
			}
			if got := c.canaries(); got[path] != 1 {
				t.Fatal(got)
			}
			now := path
			if do != nil {
				c.do(func(s *Session) { now = do(c, s) })
			} else {
				backup := c.backUp()
				c.do(func(s *Session) { c.put(s, path, 0) })
				if got := c.canaries()[path]; got != 0 {
					t.Errorf("another value: %d", got)
				}
				c.restore(backup)
			}
			if got := c.canaries(); !maps.Equal(got, map[string]int{now: 1}) {
				t.Error(got)
			}
		})
	}
}

// Without the note of a machine, with one that does not open, or with one of another log, everything is looked at anew.
func TestTheNoteOfCanaries(t *testing.T) {
	c := newCompany(t)
	c.mark("prod/mine/M", &yes)
	if _, err := c.read("mallory", "prod/mine/M"); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"prod/mine/M": 1}
	if got := c.canaries(); !maps.Equal(got, want) {
		t.Fatal(got)
	}
	file := c.opts.memory().canaryFile(c.vid)
	good, err := os.ReadFile(file)
	if err != nil || bytes.Contains(good, []byte("mine")) {
		t.Fatalf("the note is in clear: %v", err)
	}
	foreign := newCompany(t)
	foreign.mark("prod/mine/CRIT", &yes)
	other, err := os.ReadFile(foreign.opts.memory().canaryFile(foreign.vid))
	if err != nil {
		t.Fatal(err)
	}
	for name, note := range map[string][]byte{"nothing": nil, "no age file": []byte("x"), "half of it": good[:len(good)/2], "another's": other} {
		if err := os.WriteFile(file, note, 0o600); err != nil {
			t.Fatal(err)
		}
		if name == "nothing" {
			os.Remove(file)
		}
		c.open(func(v *Vault) {
			if got := v.KnowsCanaries(); got != (name != "nothing") {
				t.Errorf("%s: %v", name, got)
			}
		})
		c.do(func(s *Session) {
			list, err := s.Canaries(false)
			if err != nil || len(list) != 1 || list[0].Count != 1 {
				t.Errorf("%s: %+v, %v", name, list, err)
			}
		})
		if now, err := os.ReadFile(file); err != nil || bytes.Equal(now, note) {
			t.Errorf("%s: the note was not written anew: %v", name, err)
		}
	}
	c.opts.MemoryDir = ""
	if got := c.canaries(); !maps.Equal(got, want) {
		t.Errorf("without a memory: %v", got)
	}
}

// A random id is no canary's, and one that was changed anywhere is none either.
func TestCanaryIDs(t *testing.T) {
	root, other := keys.NewRoot(keys.Random()), keys.NewRoot(keys.Random())
	seen := map[uuid.UUID]bool{}
	for range 200 {
		random := uuid.New()
		id := root.CanaryID(random)
		switch {
		case root.IsCanary(random), !root.IsCanary(id), other.IsCanary(id), seen[id]:
			t.Fatalf("%s of %s", id, random)
		case id.Version() != 4 || id.Variant() != uuid.RFC4122 || !reflect.DeepEqual(id[:8], random[:8]):
			t.Fatalf("%s of %s", id, random)
		}
		seen[id] = true
		for bit := range 128 {
			changed := id
			changed[bit/8] ^= 1 << (bit % 8)
			if root.IsCanary(changed) {
				t.Fatalf("bit %d of %s", bit, id)
			}
		}
	}
}
