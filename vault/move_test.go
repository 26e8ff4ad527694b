package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// move moves or copies, "from to" a pair, as a command does it: with a plan first.
func (v *victim) move(o MoveOptions, pairs ...string) (done MovePlan, err error) {
	v.t.Helper()
	v.do(func(s *Session) {
		var list []Move
		for _, pair := range pairs {
			from, to, _ := strings.Cut(pair, " ")
			list = append(list, Move{v.p(from), v.p(to)})
		}
		var plan MovePlan
		if plan, err = s.PlanMove(list, o); err == nil {
			done, err = s.Move(plan)
		}
	})
	return done, err
}

func (v *victim) moves(o MoveOptions, pairs ...string) MovePlan {
	v.t.Helper()
	done, err := v.move(o, pairs...)
	v.must(err)
	return done
}

// told returns the versions of a secret as "number:value", in order; "" if it is not there, "none" if it has none.
func (v *victim) told(path string) (text string) {
	v.t.Helper()
	v.do(func(s *Session) {
		_, list, err := s.History(v.p(path))
		if errors.Is(err, ErrNotFound) {
			return
		}
		v.must(err)
		if len(list) == 0 {
			text = "none"
		}
		slices.Reverse(list)
		for _, one := range list {
			value := "deleted"
			if !one.Deleted {
				_, b, err := s.Get(v.p(path), one.Number)
				v.must(err)
				value = string(b)
			}
			text += fmt.Sprintf("%d:%s ", one.Number, value)
		}
	})
	return strings.TrimSpace(text)
}

func (v *victim) isSound() {
	v.t.Helper()
	if found := v.problems(); found != "" {
		v.t.Error(found)
	}
}

func TestMove(t *testing.T) {
	t.Parallel()
	const three = "1:one 2:two 3:three"
	for name, x := range map[string]struct {
		do   func(*victim)
		want map[string]string
	}{
		"moved":             {func(v *victim) { v.moves(MoveOptions{}, "a/K b/K") }, map[string]string{"a/K": "", "b/K": three, "a/L": "1:other"}},
		"copied":            {func(v *victim) { v.moves(MoveOptions{Copy: true}, "a/K b/K") }, map[string]string{"a/K": three, "b/K": three}},
		"the current alone": {func(v *victim) { v.moves(MoveOptions{Copy: true, Latest: true}, "a/K b/K") }, map[string]string{"a/K": three, "b/K": "1:three"}},
		"moved and written": {func(v *victim) { v.moves(MoveOptions{}, "a/K b/K"); v.store("b/K", "four") }, map[string]string{"b/K": three + " 4:four"}},
		"back again": {func(v *victim) { v.moves(MoveOptions{}, "a/K b/K"); v.moves(MoveOptions{}, "b/K a/K") },
			map[string]string{"a/K": "4:one 5:two 6:three", "b/K": ""}},
		"another in its old place": {func(v *victim) { v.moves(MoveOptions{}, "a/K b/K"); v.store("a/K", "new") },
			map[string]string{"a/K": "4:new", "b/K": three}},
		"where another was": {func(v *victim) { v.purge("a/K"); v.moves(MoveOptions{}, "a/L a/K") }, map[string]string{"a/L": "", "a/K": "4:other"}},
		"the current alone where another was": {func(v *victim) {
			v.purge("a/L")
			v.moves(MoveOptions{Copy: true, Latest: true}, "a/K a/L")
		}, map[string]string{"a/K": three, "a/L": "2:three"}},
		"several":        {func(v *victim) { v.moves(MoveOptions{}, "a/L b/c/L", "a/K b/K") }, map[string]string{"a/K": "", "b/K": three, "b/c/L": "1:other"}},
		"several copied": {func(v *victim) { v.moves(MoveOptions{Copy: true}, "a/L 0/L", "a/K z/K") }, map[string]string{"a/K": three, "z/K": three, "0/L": "1:other"}},
		"restored to its earlier versions": {func(v *victim) {
			v.do(func(s *Session) { _, _, err := s.Delete(v.p("a/K")); v.must(err) })
			v.store("a/K", "four")
			v.purge("a/L")
			v.moves(MoveOptions{}, "a/K a/L")
			v.do(func(s *Session) { _, err := s.Restore(v.p("a/L")); v.must(err) })
		}, map[string]string{"a/L": "2:one 3:two 4:three 5:four"}},
		"a copy has no deleted versions": {func(v *victim) {
			v.do(func(s *Session) { _, _, err := s.Delete(v.p("a/K")); v.must(err) })
			v.store("a/K", "four")
			v.moves(MoveOptions{Copy: true}, "a/K b/K")
		}, map[string]string{"b/K": "4:four", "a/K": "1:deleted 2:deleted 3:deleted 4:four"}},
		"after a rollback": {func(v *victim) {
			v.do(func(s *Session) { _, _, err := s.Rollback(v.p("a/K"), 1); v.must(err) })
			v.moves(MoveOptions{}, "a/K b/K")
			v.do(func(s *Session) { _, _, err := s.Rollback(v.p("b/K"), 2); v.must(err) })
		}, map[string]string{"b/K": three + " 4:one 5:two"}},
		"lowered": {func(v *victim) {
			v.tier("a/K", tokens.Critical)
			v.moves(MoveOptions{}, "a/K b/K")
			v.tier("b/K", tokens.Standard)
		}, map[string]string{"b/K": three + " 4:x 5:x"}},
		"raised":   {func(v *victim) { v.moves(MoveOptions{}, "a/K b/K"); v.tier("b/K", tokens.Critical) }, map[string]string{"b/K": three + " 4:x"}},
		"archived": {func(v *victim) { v.moves(MoveOptions{}, "a/K b/K"); v.archive(); v.moves(MoveOptions{}, "b/K c/K") }, map[string]string{"c/K": three, "b/K": ""}},
		"salvaged": {func(v *victim) { v.moves(MoveOptions{}, "a/K b/K"); v.salvaged() }, map[string]string{"a/K": "", "b/K": three}},
		"rekeyed":  {func(v *victim) { v.moves(MoveOptions{}, "a/K b/K"); v.newKey(); v.moves(MoveOptions{}, "b/K c/K") }, map[string]string{"c/K": three, "b/K": ""}},
		"restored from before": {func(v *victim) {
			file := v.backUp()
			v.moves(MoveOptions{}, "a/K b/K")
			v.restore(file)
		}, map[string]string{"a/K": three, "b/K": ""}},
		"restored from after": {func(v *victim) {
			v.moves(MoveOptions{}, "a/K b/K")
			file := v.backUp()
			v.moves(MoveOptions{}, "b/K c/K")
			v.restore(file)
		}, map[string]string{"a/K": "", "b/K": three, "c/K": ""}},
		"a new secret where a moved one was, behind a backup": {func(v *victim) {
			v.moves(MoveOptions{}, "a/K b/K")
			file := v.backUp()
			v.store("a/K", "new")
			v.restore(file)
			v.store("a/K", "newer")
		}, map[string]string{"a/K": "5:newer", "b/K": three}},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			x.do(v)
			for path, want := range x.want {
				if got := v.told(path); got != want {
					t.Errorf("%s is %q, want %q", path, got, want)
				}
			}
			v.isSound()
		})
	}
}

func (v *victim) tier(path string, tier tokens.Tier) {
	v.t.Helper()
	v.do(func(s *Session) { _, _, err := s.Set(v.p(path), []byte("x"), SetOptions{Tier: tier}); v.must(err) })
}

// A move keeps the secret what it is, a copy is another one. Each version says who wrote its value.
func TestWhatAMoveKeeps(t *testing.T) {
	c := newCompany(t)
	head := func(path string) (h secretBody) {
		c.do(func(s *Session) {
			c.must(s.view(func(t *tx) error { return bodyOf(t, bucketSecrets, []byte(path), &h) }))
		})
		return h
	}
	was := head("prod/app/W")
	c.do(func(s *Session) {
		c.must(s.update(func(t *tx) error {
			h, err := t.secretHead(c.p("prod/app/W"))
			h.Seq, h.About = t.seq(), &About{Description: "d", Tags: map[string]string{"a": "b"}}
			return errors.Join(err, secretKind.put(t, []byte("prod/app/W"), h), t.log(audit.SecretRestored, "secret", "prod/app/W",
				map[string]any{"version": 1, "tier": "standard"}))
		}))
	})
	c.moves(MoveOptions{}, "prod/app/W prod/app/W2")
	c.moves(MoveOptions{}, "prod/app/W2 prod/app/W3")
	c.moves(MoveOptions{Copy: true}, "prod/app/W3 prod/app/W4")
	moved, copied := head("prod/app/W3"), head("prod/app/W4")
	if moved.ID != was.ID || !moved.CreatedAt.Equal(was.CreatedAt) || moved.About.MovedFrom != "prod/app/W2" || moved.About.Description != "d" {
		t.Errorf("it is now %+v %+v, before %+v", moved, moved.About, was)
	}
	if copied.ID == was.ID || copied.About.MovedFrom != "" || !reflect.DeepEqual(copied.About.Tags, map[string]string{"a": "b"}) {
		t.Errorf("the copy is %+v %+v", copied, copied.About)
	}
	c.do(func(s *Session) {
		for _, path := range []string{"prod/app/W3", "prod/app/W4"} {
			_, list, err := s.History(c.p(path))
			c.must(err)
			var body versionBody
			c.must(s.view(func(t *tx) error { return bodyOf(t, bucketVersions, versionKeyOf(path, 1), &body) }))
			if list[0].Author != c.id["writer"] || body.Origin.Path != "prod/app/W" || body.Origin.Version != 1 {
				t.Errorf("%s was written by %s, %+v", path, list[0].Author, body.Origin)
			}
		}
	})
	c.finds("")
}

func TestMovesThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		pairs []string
		o     MoveOptions
		kind  error
		says  string
	}{
		"no such secret":      {[]string{"a/X b/X"}, MoveOptions{}, ErrNotFound, "a/X"},
		"a deleted secret":    {[]string{"a/D b/D"}, MoveOptions{}, ErrNotFound, "a/D"},
		"to one that exists":  {[]string{"a/K a/L"}, MoveOptions{}, ErrConflict, "a/L is there already"},
		"to a deleted one":    {[]string{"a/K a/D"}, MoveOptions{}, ErrConflict, "a/D is taken by a deleted secret"},
		"to itself":           {[]string{"a/K a/K"}, MoveOptions{}, ErrConflict, "cannot be moved"},
		"two to one":          {[]string{"a/K b/K", "a/L b/K"}, MoveOptions{}, ErrConflict, "cannot be moved"},
		"one to two":          {[]string{"a/K b/K", "a/K c/K"}, MoveOptions{Copy: true}, ErrConflict, "cannot be moved"},
		"a chain":             {[]string{"a/K b/K", "b/K c/K"}, MoveOptions{}, ErrConflict, "cannot be moved"},
		"nothing":             {nil, MoveOptions{}, ErrNotFound, "nothing to move"},
		"half of it":          {[]string{"a/K b/K", "a/X b/X"}, MoveOptions{}, ErrNotFound, "a/X"},
		"without its history": {[]string{"a/K b/K"}, MoveOptions{Latest: true}, ErrConflict, "takes the history along"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			v.store("a/D", "x")
			v.do(func(s *Session) { _, _, err := s.Delete(v.p("a/D")); v.must(err) })
			end := v.end()
			if _, err := v.move(x.o, x.pairs...); !errors.Is(err, x.kind) || !strings.Contains(fmt.Sprint(err), x.says) {
				t.Errorf("the error is %v", err)
			}
			if v.end() != end {
				t.Error("something was logged")
			}
			v.isSound()
		})
	}
}

// Only the owner moves. What an agent asks for is refused, and logged.
func TestOthersMoveNothing(t *testing.T) {
	c := newCompany(t)
	for _, who := range []string{"mallory", "owner's token"} {
		c.must(c.honest(who, func(s *Session) {
			list := []Move{{c.p("prod/mine/M"), c.p("prod/mine/N")}}
			_, err := s.PlanMove(list, MoveOptions{})
			c.check("a plan", err, ErrDenied, "only the owner can move secrets")
			_, err = s.Move(MovePlan{Secrets: []Moved{{From: list[0].From, Secret: Secret{Path: list[0].To}}}})
			c.check("a move", err, ErrDenied, "only the owner can move secrets")
			_, _, err = s.MovesBelow(c.p("prod/mine/M").Namespace(), c.p("a/K").Namespace())
			c.check("a list", err, ErrDenied, "only the owner")
		}))
	}
	c.finds("")
}

// A plan that was shown is done as shown, or not at all.
func TestAMoveIsWhatWasShown(t *testing.T) {
	for name, between := range map[string]func(c *company, s *Session){
		"a new version": func(c *company, s *Session) { c.put(s, "dev/K", 0) },
		"a new agent": func(c *company, s *Session) {
			_, _, err := s.CreateAgent(AgentSpec{Name: "new", Scopes: c.scopes("secrets:read:prod/new/*")})
			c.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.do(func(s *Session) {
				plan, err := s.PlanMove([]Move{{c.p("dev/K"), c.p("prod/new/K")}}, MoveOptions{})
				c.must(err)
				between(c, s)
				_, err = s.Move(plan)
				c.check("a move", err, ErrConflict, "the vault changed after the plan was shown")
			})
			c.finds("")
		})
	}
}

// A move appends if nobody loses a right. Who gains one reads at once.
func TestWhoGainsByAMove(t *testing.T) {
	c := newCompany(t)
	epoch := func() (n uint32) { c.do(func(s *Session) { n = s.epoch.N }); return n }
	before := epoch()
	done := c.moves(MoveOptions{}, "dev/K prod/app/K")
	if epoch() != before || done.Rewrites {
		t.Error("the vault was rewritten, though nobody loses a right")
	}
	gained := map[string]string{}
	for _, r := range done.Rights {
		if len(r.Losing) > 0 {
			t.Errorf("%+v loses something", r)
		}
		gained[r.ID] = fmt.Sprint(r.Gained)
	}
	want := map[string]string{c.id["reader"]: "map[read:1]", c.id["writer"]: "map[write:1]", c.id["deleter"]: "map[delete:1]",
		c.id["owner's token"]: "map[read:1 write:1 delete:1]"}
	if !reflect.DeepEqual(gained, want) {
		t.Errorf("these gain: %v, want %v", gained, want)
	}
	for _, who := range []string{"reader", "owner's token"} {
		if got, err := c.read(who, "prod/app/K"); got != marker+"dev/K" {
			t.Errorf("%s reads %q, %v", who, got, err)
		}
	}
	c.moves(MoveOptions{Copy: true}, "prod/app/W prod/apple/W") // nobody loses by a copy, not even the reader
	if epoch() != before {
		t.Error("the vault was rewritten for a copy")
	}
	c.moves(MoveOptions{}, "prod/mine/CRIT prod/app/CRIT") // mallory loses it
	if epoch() != before+1 {
		t.Error("the vault was not rewritten, though an agent loses a right")
	}
	if _, err := c.read("reader", "prod/app/CRIT"); !errors.Is(err, ErrApproval) {
		t.Errorf("a critical secret is read without approval: %v", err)
	}
	c.finds("")
}

// If somebody loses a right by a move, the keys from before open nothing in the new file, and the keys that it has
// now open nothing of what was moved.
func TestOldKeysOpenNothingAfterAMove(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	c := newCompany(t)
	before, places := c.raw(), c.places()
	identities := func(who string) (ids []age.Identity) {
		c.open(func(v *Vault) {
			s, g, err := v.granteeSession(c.secret[who], audit.Agent)
			c.must(err)
			s.grantee.Seal = keys.Key{}
			ids = c.keysTo(s, places, g.Epoch, g.Epoch+1)
		})
		return ids
	}
	value := marker + "prod/app/DB"
	old := map[string][]age.Identity{}
	for _, who := range []string{"reader", "exact", "owner's token"} {
		if old[who] = identities(who); !slices.Contains(opened(before, old[who]), value) {
			t.Fatalf("%s cannot read it before: the test looks for the wrong bytes", who)
		}
	}
	if done := c.moves(MoveOptions{}, "prod/app/DB dev/DB"); !done.Rewrites {
		t.Error("the vault was not rewritten")
	}
	places = append(c.places(), places...)
	for who, ids := range old {
		if got := opened(c.raw(), ids); len(got) > 0 {
			t.Errorf("the keys that %s had open %q", who, got)
		}
		if got := opened(c.raw(), identities(who)); slices.Contains(got, value) {
			t.Errorf("the keys that %s has now open what was moved", who)
		}
	}
	c.finds("")
}

// An approval has the key of a version. If what it is for is moved, it opens nothing.
func TestAnApprovalEndsWithAMove(t *testing.T) {
	c := newCompany(t)
	k := c.ask("reader", "prod/app/HR")
	c.must(c.approve())
	fileKey := c.answered("reader", k)
	if len(fileKey) == 0 {
		t.Fatal("there is no approval")
	}
	if done := c.moves(MoveOptions{}, "prod/app/HR prod/app/HR2"); !done.Rewrites || done.Answered != 1 {
		t.Errorf("rewrites: %t, approvals that end: %d", done.Rewrites, done.Answered)
	}
	if _, err := c.read("reader", "prod/app/HR2"); !errors.Is(err, ErrApproval) {
		t.Errorf("it reads on: %v", err)
	}
	c.finds("")
}

// What somebody with the keys of the epoch puts back is found.
func TestWhatIsPutBackAfterAMove(t *testing.T) {
	t.Parallel()
	type kept struct{ bucket, key string }
	db := []kept{{bucketSecrets, "prod/mine/M"}, {bucketVersions, string(versionKeyOf("prod/mine/M", 1))}}
	for name, x := range map[string]struct {
		back []kept
		do   func(c *company, s *Session, t *tx) error
		says string
	}{
		"the old head":             {back: db[:1], says: "prod/mine/M: no log entry accounts for it"},
		"the old head and version": {back: db, says: "prod/mine/M version 1: it does not match what the log says was written"},
		"the old version":          {back: db[1:], says: "prod/mine/M version 1: its secret has no valid record"},
		"its own head at the new path": {do: func(c *company, _ *Session, t *tx) error {
			var h secretBody
			err := bodyOf(t, bucketSecrets, []byte("prod/mine/N"), &h)
			return errors.Join(err, t.put(bucketSecrets, []byte("prod/mine/N"), true, h))
		}, says: "prod/mine/N: it does not match log entry"},
		"its own version at the new path": {do: func(c *company, s *Session, t *tx) error {
			return s.writeVersion(t, c.p("prod/mine/N"), 1, t.newVersion(tokens.Standard), []byte("x"))
		}, says: "prod/mine/N version 1: it does not match what the log says was written"},
		"the new head is gone": {do: func(_ *company, _ *Session, t *tx) error {
			return insert(t, bucketSecrets, []byte("prod/mine/N"), nil)
		}, says: `"prod/mine/N": its record is missing`},
		"a version is gone": {do: func(_ *company, _ *Session, t *tx) error {
			return insert(t, bucketVersions, versionKeyOf("prod/mine/N", 1), nil)
		}, says: "prod/mine/N version 1: it is missing"},
		"an entry of its own": {do: func(_ *company, _ *Session, t *tx) error {
			return t.logEvent(listEvent(audit.SecretMoved, []audit.Item{{Path: "prod/mine/N", Version: 1, Tier: "standard", To: "prod/mine/O"},
				{Path: "prod/mine/O", Version: 1, Tier: "standard", From: "prod/mine/N"}}))
		}, says: "secret.moved by"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.do(func(s *Session) { // the token is for this path alone, so it would lose a right
				_, _, err := s.RevokeToken(c.id["mallory's token"], NarrowOptions{})
				c.must(err)
			})
			values := map[kept][]byte{}
			for _, k := range x.back {
				values[k] = c.take(k.bucket, []byte(k.key))
			}
			if done := c.moves(MoveOptions{}, "prod/mine/M prod/mine/N"); done.Rewrites {
				t.Error("the vault was rewritten, so that what is put back is of another epoch")
			}
			c.finds("")
			c.insider("mallory", func(s *Session, t *tx) (err error) {
				for k, value := range values {
					err = errors.Join(err, insert(t, k.bucket, []byte(k.key), value))
				}
				if x.do != nil {
					err = errors.Join(err, x.do(c, s, t))
				}
				return err
			})
			if found := c.problems(); !strings.Contains(found, x.says) {
				t.Errorf("found:\n%s\nwant: %s", found, x.says)
			}
		})
	}
}

// Secrets of a namespace move in one transaction. What does not fit into one entry goes on in further ones, with both
// paths of a secret in the same.
func TestMovesOfManySecrets(t *testing.T) {
	t.Parallel()
	const many = 700
	v := newVictim(t)
	v.do(func(s *Session) {
		var items []Item
		for i := range many {
			items = append(items, Item{Key: fmt.Sprintf("KEY_%04d", i), Value: fmt.Appendf(nil, "value %d", i)})
		}
		_, err := s.Import(v.p("m/x/K").Namespace(), items, ImportOptions{})
		v.must(err)
		_, err = s.Import(v.p("m/x/K").Namespace(), items[:many/2], ImportOptions{Tier: tokens.Sensitive})
		v.must(err)
		for _, path := range []string{"m/x/KEY_0001", "m/xx/K"} {
			v.set(s, path, "another")
		}
		v.set(s, "m/x/GONE", "x")
		_, _, err = s.Delete(v.p("m/x/GONE"))
		v.must(err)
	})
	for _, o := range []MoveOptions{{}, {Copy: true}} {
		v.do(func(s *Session) {
			from, to := v.p("m/x/K").Namespace(), v.p("other/place/K").Namespace()
			if o.Copy {
				from, to = to, from
			}
			list, deleted, err := s.MovesBelow(from, to)
			v.must(err)
			if len(list) != many || deleted != map[bool]int{false: 1, true: 0}[o.Copy] {
				t.Fatalf("%d secrets, and %d deleted ones", len(list), deleted)
			}
			plan, err := s.PlanMove(list, o)
			v.must(err)
			_, err = s.Move(plan)
			v.must(err)
		})
		v.isSound()
	}
	if got := v.told("m/x/KEY_0001"); got != "4:value 1 5:value 1 6:another" {
		t.Errorf("it is %q", got)
	}
	if got := v.told("m/xx/K"); got != "1:another" {
		t.Errorf("beside the namespace: %q", got)
	}
	if tier := v.tierNow("other/place/KEY_0001"); tier != tokens.Sensitive {
		t.Errorf("its tier is %s", tier)
	}
	v.archive()
	v.isSound()
	v.do(func(s *Session) {
		for _, x := range [][2]string{{"m", "m/x"}, {"m/x", "m"}, {"m", "m"}} {
			from, _ := tokens.ParseNamespace(x[0])
			to, _ := tokens.ParseNamespace(x[1])
			if _, _, err := s.MovesBelow(from, to); !errors.Is(err, ErrConflict) {
				t.Errorf("%s to %s: %v", x[0], x[1], err)
			}
		}
	})
}

func (v *victim) tierNow(path string) (tier tokens.Tier) {
	v.t.Helper()
	v.do(func(s *Session) {
		now, _, err := s.History(v.p(path))
		v.must(err)
		tier = now.Tier
	})
	return tier
}

// A secret with more versions than one entry can list moves as well.
func TestAMoveOfManyVersions(t *testing.T) {
	t.Parallel()
	const many = 150 // a short list has room for less
	v := newVictim(t)
	v.do(func(s *Session) {
		for i := range many {
			v.set(s, "n/long/path/of/a/secret/K", fmt.Sprint(i))
		}
	})
	v.moves(MoveOptions{}, "n/long/path/of/a/secret/K other/long/path/of/a/secret/K")
	if got := v.told("other/long/path/of/a/secret/K"); !strings.HasSuffix(got, "149:148 150:149") {
		t.Errorf("it is %q", got)
	}
	v.isSound()
	v.salvaged()
	v.isSound()
}

// An act that goes by the log first clears what has lapsed, in a transaction of its own.
func TestAMoveAfterSomethingLapsed(t *testing.T) {
	c := newCompany(t)
	c.ask("reader", "prod/app/HR")
	c.opts.Now = func() time.Time { return time.Now().Add(8 * 24 * time.Hour) }
	c.moves(MoveOptions{}, "dev/K dev/K2")
	if c.told("dev/K2") == "" {
		t.Error("nothing was moved")
	}
	c.finds("")
}

// Deleting several secrets is all or nothing.
func TestDeleteAll(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	for _, x := range []struct {
		paths []string
		kind  error
	}{{[]string{"a/K", "a/X"}, ErrNotFound}, {[]string{"a/L", "a/K"}, nil}, {[]string{"a/K"}, ErrNotFound}} {
		v.do(func(s *Session) {
			var paths []tokens.Path
			for _, p := range x.paths {
				paths = append(paths, v.p(p))
			}
			done, _, err := s.DeleteAll(paths)
			if !errors.Is(err, x.kind) || err == nil && len(done) != len(paths) {
				t.Errorf("%v: %v, %v", x.paths, done, err)
			}
			list, err := s.List(tokens.Namespace{}, true)
			v.must(err)
			if want := map[bool]int{true: 0, false: 2}[x.paths[len(x.paths)-1] == "a/X"]; len(list) != want {
				t.Errorf("after %v there are %d deleted secrets, want %d", x.paths, len(list), want)
			}
		})
		v.isSound()
	}
	c := newCompany(t)
	var need *ApprovalError
	c.must(c.honest("mallory", func(s *Session) {
		_, _, err := s.DeleteAll([]tokens.Path{c.p("prod/mine/M"), c.p("prod/mine/CRIT")})
		if !errors.As(err, &need) {
			t.Errorf("a critical secret is deleted: %v", err)
		}
	}))
	c.finds("")
	c.must(c.approve())
	c.must(c.honest("mallory", func(s *Session) {
		_, _, err := s.DeleteAll([]tokens.Path{c.p("prod/mine/M"), c.p("prod/mine/CRIT")})
		c.must(err)
	}))
	c.finds("")
}

// A move signs nothing that a verification would name: what an insider has put in the place of something stays its own.
func TestAMoveSignsNothingOfAnInsider(t *testing.T) {
	t.Parallel()
	const mine, crit, db = "prod/mine/M", "prod/mine/CRIT", "prod/app/DB"
	for name, x := range map[string]struct {
		do   func(*company, *Session, *tx) error
		pair string
		says string
	}{
		"its own value in the place of another": {func(c *company, s *Session, t *tx) error {
			return s.writeVersion(t, c.p(mine), 1, t.newVersion(tokens.Standard), []byte("x"))
		}, mine, "does not match what the log says was written"},
		"its own head": {func(_ *company, _ *Session, t *tx) error {
			var h secretBody
			err := bodyOf(t, bucketSecrets, []byte(mine), &h)
			return errors.Join(err, t.put(bucketSecrets, []byte(mine), true, h))
		}, mine, "it does not match log entry"},
		"a lower tier": {func(_ *company, _ *Session, t *tx) error {
			var h secretBody
			err := bodyOf(t, bucketSecrets, []byte(crit), &h)
			h.Tier, h.Seq = tokens.Standard, t.seq()
			return errors.Join(err, t.put(bucketSecrets, []byte(crit), true, h), t.log(audit.SecretRestored, "secret", crit,
				map[string]any{"version": h.Version, "tier": "standard"}))
		}, crit, "its tier is standard, but it was critical"},
		"a version that is gone": {func(_ *company, _ *Session, t *tx) error {
			return insert(t, bucketVersions, versionKeyOf(db, 2), nil)
		}, db, "its current version is missing"},
		"an earlier version that is gone": {func(_ *company, _ *Session, t *tx) error {
			return insert(t, bucketVersions, versionKeyOf(db, 1), nil)
		}, db, "version 1 is missing"},
		"a flipped bit": {func(_ *company, _ *Session, t *tx) error {
			k := versionKeyOf(db, 1)
			v, err := t.get(bucketVersions, k)
			v = slices.Clone(v)
			v[len(v)/2] ^= 1
			return errors.Join(err, insert(t, bucketVersions, k, v))
		}, db, "version 1"},
		"records that are gone where it is to go": {func(_ *company, _ *Session, t *tx) error {
			return errors.Join(insert(t, bucketSecrets, []byte("prod/TOP"), nil), insert(t, bucketVersions, versionKeyOf("prod/TOP", 1), nil))
		}, mine + " prod/TOP", "its record is missing, though the log tells of it"},
		"a record that is gone where it is to go": {func(_ *company, _ *Session, t *tx) error {
			return insert(t, bucketSecrets, []byte("prod/TOP"), nil)
		}, mine + " prod/TOP", "its versions exist, but its record was removed"},
	} {
		for to, o := range map[string]MoveOptions{"prod/mine/N": {}, "dev/N": {}, "prod/mine/C": {Copy: true}} {
			t.Run(name+" to "+to, func(t *testing.T) {
				c := newCompany(t)
				c.insider("mallory", func(s *Session, t *tx) error { return x.do(c, s, t) })
				pair := x.pair
				if !strings.Contains(pair, " ") {
					pair += " " + to
				}
				_, err := c.move(o, pair)
				c.check("the move", err, ErrDamaged, x.says)
			})
		}
	}
}

// The owner's statement of a tier does not stay behind.
func TestAMoveOfAStatedTier(t *testing.T) {
	c := writtenByBoth(t)
	if done := c.moves(MoveOptions{}, "prod/mine/CRIT prod/mine/CRIT2"); done.Rewrites {
		t.Error("the vault was rewritten, which drops every statement")
	}
	if c.tierNow("prod/mine/CRIT2") != tokens.Critical || c.statement("prod/mine/CRIT") != nil {
		t.Error("its tier is not as it was, or the statement stayed")
	}
	c.finds("")
}

// An insider that removes or breaks a record does not hide what it gains or loses: it has kept its keys.
func TestAMoveCountsWhoIsHidden(t *testing.T) {
	t.Parallel()
	type do = func(c *company, s *Session, t *tx, k []byte) error
	var old []byte
	removed := func(bucket string) do {
		return func(_ *company, _ *Session, t *tx, k []byte) error { return insert(t, bucket, k, nil) }
	}
	broken := func(bucket string) do {
		return func(_ *company, _ *Session, t *tx, k []byte) error {
			v, err := t.get(bucket, k)
			v = slices.Clone(v)
			v[len(v)/2] ^= 1
			return errors.Join(err, insert(t, bucket, k, v))
		}
	}
	for name, x := range map[string]struct {
		who  string
		do   do
		says string // "" if the move goes on, and counts it
	}{
		"an agent is removed": {"exact", removed(bucketAgents), "its record is missing"},
		"an agent is broken":  {"exact", broken(bucketAgents), "agents/"},
		"an old agent is put back": {"reader", func(c *company, _ *Session, t *tx, k []byte) error {
			return insert(t, bucketAgents, k, old)
		}, "an old record was put back"},
		"a token is removed": {"owner's token", removed(bucketTokens), ""},
		"a token is broken":  {"owner's token", broken(bucketTokens), "tokens/"},
		"a token has no grant": {"owner's token", func(_ *company, _ *Session, t *tx, k []byte) error {
			var body tokenBody
			err := bodyOf(t, bucketTokens, k, &body)
			return errors.Join(err, insert(t, bucketGrants, body.Index, nil))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			k := []byte(c.id[x.who])
			old = c.take(bucketAgents, []byte(c.id["reader"]))
			c.updateAgent("reader", "secrets:read:prod/app/*", "secrets:read:prod/z/*")
			c.insider("mallory", func(s *Session, t *tx) error { return x.do(c, s, t, k) })
			for pair, o := range map[string]MoveOptions{"dev/K prod/app/K": {Copy: true}, "prod/app/DB dev/DB": {}} {
				var plan MovePlan
				var err error
				c.do(func(s *Session) {
					from, to, _ := strings.Cut(pair, " ")
					plan, err = s.PlanMove([]Move{{c.p(from), c.p(to)}}, o)
				})
				if x.says != "" {
					c.check(pair, err, ErrDamaged, x.says)
					continue
				}
				c.must(err)
				if !slices.ContainsFunc(plan.Rights, func(r RightsChange) bool { return r.ID == c.id[x.who] }) || plan.Rewrites == o.Copy {
					t.Errorf("%s: %+v", pair, plan)
				}
			}
			if x.says != "" { // the way out
				c.do(func(s *Session) {
					var err error
					if id := c.id[x.who]; isAgentID(id) {
						_, err = s.RevokeAgent(id, NarrowOptions{})
					} else {
						_, _, err = s.RevokeToken(id, NarrowOptions{Lose: true})
					}
					c.must(err)
				})
			}
			c.moves(MoveOptions{}, "prod/app/DB dev/DB")
		})
	}
}

// The numbers of all versions follow from that of the current one. If the entry about it is damaged, the log knows
// another.
func TestNoMoveBehindADamagedEntry(t *testing.T) {
	t.Parallel()
	for _, o := range []MoveOptions{{}, {Copy: true}} {
		v := newVictim(t)
		k := audit.Key(v.end()) // of the newest version of a/K
		v.store("a/M", "x")
		value := v.take(bucketAudit, k)
		value[len(value)/2] ^= 1
		v.give(bucketAudit, k, value)
		if _, err := v.move(o, "a/K b/K"); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "the log does not tell") {
			t.Errorf("the error is %v", err)
		}
		v.moves(o, "a/L b/L")
	}
}

// What a backup has at the old path of a secret gets the tier that the secret had when it was moved. Another secret
// there does not.
func TestARestoreBehindAMoveKeepsTheTier(t *testing.T) {
	v := newVictim(t)
	before := v.backUp()
	v.tier("a/K", tokens.Critical)
	v.moves(MoveOptions{}, "a/K b/K")
	v.store("a/K", "another")
	after := v.backUp()
	v.store("a/K", "newer")
	for file, want := range map[string]tokens.Tier{before: tokens.Critical, after: tokens.Standard} {
		c := v.copyOf(filepath.Join(t.TempDir(), "vault.db"))
		c.opts.MemoryDir = t.TempDir()
		raw, err := os.ReadFile(v.path)
		v.must(err)
		v.must(os.WriteFile(c.path, raw, 0o600))
		c.restore(file)
		if got := c.tierNow("a/K"); got != want {
			t.Errorf("a/K is %s, want %s", got, want)
		}
		c.isSound()
	}
}

// Moving back and forth takes no more numbers than there are versions.
func TestMovingBackAndForth(t *testing.T) {
	v := newVictim(t)
	for range 4 {
		v.moves(MoveOptions{}, "a/K b/K")
		v.moves(MoveOptions{}, "b/K a/K")
	}
	if got := v.told("a/K"); got != "13:one 14:two 15:three" {
		t.Errorf("it is %q", got)
	}
	v.isSound()
}

// If the entry of a move is damaged, the list that goes on behind it is not held against the versions.
func TestADamagedMoveWithALongList(t *testing.T) {
	t.Parallel()
	const many = 150
	v := newVictim(t)
	_, k := v.agent("writer")
	v.do(func(s *Session) {
		for i := range many {
			v.set(s, "n/long/path/of/a/secret/K", fmt.Sprint(i))
		}
	})
	moved := v.end() + 1
	v.moves(MoveOptions{}, "n/long/path/of/a/secret/K a/long/path/of/a/secret/K")
	if v.end() == moved {
		t.Fatal("the list is in one entry")
	}
	v.store("a/K", "four")
	value := v.take(bucketAudit, audit.Key(moved))
	value[len(value)/2] ^= 1
	v.give(bucketAudit, audit.Key(moved), value)
	found := strings.Split(v.problems(), "\n")
	others := slices.DeleteFunc(slices.Clone(found), func(problem string) bool { // where the flipped bit leaves JSON, it repeats the paths
		return strings.HasPrefix(problem, fmt.Sprintf("audit entry %d:", moved))
	})
	if len(others) == len(found) || strings.Contains(strings.Join(others, "\n"), "a/long") {
		t.Errorf("found:\n%.1000s", strings.Join(found, "\n"))
	}
	v.insider(k, func(s *Session, t *tx) error { // nor does it let another put its own in their place
		path := v.p("a/long/path/of/a/secret/K")
		var body versionBody
		err := errors.Join(s.writeVersion(t, path, many-1, t.newVersion(tokens.Standard), []byte("x")), bodyOf(t, bucketVersions,
			versionKey(path, many-1), &body))
		body.Seq = moved + 1
		return errors.Join(err, versionKind.put(t, versionKey(path, many-1), body))
	})
	if found := v.problems(); !strings.Contains(found, "in which the owner sealed versions anew") {
		t.Errorf("found:\n%.1000s", found)
	}
}
