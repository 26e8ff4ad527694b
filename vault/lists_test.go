package vault

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// An act on many secrets is one entry with a list; see lists.go.

func itemsOf(version uint64, paths ...string) (items []audit.Item) {
	for _, p := range paths {
		items = append(items, audit.Item{Path: p, Version: version, Tier: "standard"})
	}
	return items
}

// logList logs a list that no honest program would make.
func logList(event, of string, note map[string]any, items ...audit.Item) func(*company, *Session, *tx) error {
	return func(_ *company, _ *Session, t *tx) error {
		return logListing(t, audit.Event{Type: event, ResourceType: "namespace", ResourceID: of, Metadata: note, Items: items})
	}
}

// A verification looks at each item of a list.
func TestChecksOfLists(t *testing.T) {
	t.Parallel()
	long := func(n int) (items []audit.Item) {
		for i := range n {
			items = append(items, itemsOf(1, fmt.Sprintf("prod/mine/%0110d", i))...)
		}
		return items
	}
	checks(t, map[string]check{
		"a read out of scope": {"mallory", logList(audit.SecretRead, "prod", nil, itemsOf(1, "prod/app/DB", "prod/mine/M", "prod/mine/N")...),
			nil, `whose scopes do not cover "prod/app/DB"`, 0},
		"a read of one, out of scope": {"mallory", func(_ *company, _ *Session, t *tx) error {
			return t.logRead(itemsOf(1, "prod/app/DB")[0], "")
		}, nil, `whose scopes do not cover "prod/app/DB"`, 0},
		"a read by a token, out of scope": {"mallory's token", logList(audit.SecretRead, "prod/mine", nil,
			itemsOf(1, "prod/mine/CRIT", "prod/mine/M")...), nil, `whose scopes do not cover "prod/mine/CRIT"`, 0},
		"a read of what is no path": {"mallory", logList(audit.SecretRead, "prod/mine", nil, itemsOf(1, "prod/mine/../X", "prod/mine/M")...), nil,
			`whose scopes do not cover "prod/mine/../X"`, 0},
		"an import out of scope": {"mallory", logList(audit.SecretImported, "prod", nil, itemsOf(3, "prod/app/DB", "prod/mine/M")...), nil,
			`whose scopes do not cover "prod/app/DB"`, 0},
		"an import that wrote nothing": {"mallory", logList(audit.SecretImported, "prod/mine", nil, itemsOf(2, "prod/mine/M")...), nil,
			"it does not match log entry", 0},
		"an import of a version that was there": {"mallory", logList(audit.SecretImported, "prod/mine", nil, itemsOf(1, "prod/mine/M")...), nil,
			`it records version 1, but before it "prod/mine/M" was at version 1`, 0},
		"twice":        {"mallory", logList(audit.SecretRead, "prod/mine", nil, itemsOf(1, "prod/mine/M", "prod/mine/M")...), nil, `: its list has "prod/mine/M" twice`, 0},
		"not in order": {"mallory", logList(audit.SecretRead, "prod/mine", nil, itemsOf(1, "prod/mine/N", "prod/mine/M")...), nil, `: its list is not in order at "prod/mine/M"`, 0},
		"an import that is not in order": {"mallory", logList(audit.SecretImported, "prod/mine", nil, itemsOf(1, "prod/mine/Y", "prod/mine/X")...), nil,
			`: its list is not in order at "prod/mine/X"`, 0},
		"elsewhere": {"mallory", logList(audit.SecretRead, "prod/app", nil, itemsOf(1, "prod/mine/M", "prod/mine/N")...), nil,
			`: it names "prod/app", but the secrets of its list are in "prod/mine"`, 0},
		"of another act": {"mallory", logList(audit.SecretUpdated, "prod/mine", nil, itemsOf(1, "prod/mine/M")...), nil,
			"which is only for reads and imports", 0},
		"an import as in format 1": {"mallory", logList(audit.SecretImported, "prod/mine", map[string]any{"keys": []string{"X"},
			"versions": []int{1}, "tiers": []string{"standard"}}), nil, ": it is not a valid import", 0},
		"too large to read": {"mallory", logList(audit.SecretRead, "prod/mine", nil, long(8000)...), nil, "larger than any that ass writes", 0},
		"larger than ass writes": {"mallory", func(c *company, s *Session, t *tx) error {
			err := logList(audit.SecretRead, "prod/mine", nil, long(6000)...)(c, s, t)
			return errors.Join(err, t.logRead(itemsOf(1, "prod/app/DB")[0], "")) // so that something is found
		}, nil, "audit entry ", 1},
		"an approval that nobody gave": {"mallory", func(_ *company, _ *Session, t *tx) error {
			items := itemsOf(1, "prod/mine/CRIT", "prod/mine/M")
			items[0].Approval = "8c6dd8f2-6b35-8c7c-8a4e-7d0f0a1b2c3d"
			return t.append(listEvent(audit.SecretRead, items))
		}, nil, `: no entry before it granted the approval "8c6dd8f2`, 0},
	})
}

// Each item counts as a use of a token. What the token reads behind its end is named.
func TestListsCountUses(t *testing.T) {
	for _, limit := range []uint64{1, 2, 3, 4} {
		c := newCompany(t)
		c.do(func(s *Session) {
			got, err := s.IssueToken(TokenSpec{Scopes: c.scopes("secrets:*:prod/mine/*"), Uses: limit})
			if err != nil {
				t.Fatal(err)
			}
			parsed, _ := tokens.ParseToken(got.Text)
			c.secret["t"], c.id["t"], c.text["t"] = parsed.Signature, got.ID, got.Text
		})
		read := logList(audit.SecretRead, "prod/mine", nil, itemsOf(1, "prod/mine/A", "prod/mine/B", "prod/mine/C")...)
		c.insider("t", func(s *Session, t *tx) error {
			return errors.Join(read(c, s, t), t.log(audit.SecretRead, "secret", "prod/mine/M", nil))
		})
		want := ""
		if limit <= 3 {
			want = "by token " + c.id["t"] + ", which had ended with entry "
		}
		c.finds(want)
	}
}

// An approval for a critical secret serves once, in whatever form the log tells of its uses, and whatever is archived
// or was verified in between.
func TestListsSpendApprovals(t *testing.T) {
	t.Parallel()
	one := func(_ *Session, t *tx, i audit.Item) error { return t.logRead(i, "") }
	listed := func(_ *Session, t *tx, i audit.Item) error {
		return t.append(listEvent(audit.SecretRead, append([]audit.Item{i}, itemsOf(1, "prod/app/DB")...)))
	}
	between := map[string]func(*testing.T, *company){
		"nothing":        func(*testing.T, *company) {},
		"a verification": func(_ *testing.T, c *company) { c.finds("") },
		"an archive": func(t *testing.T, c *company) {
			c.do(func(s *Session) {
				if _, err := s.ArchiveLog(filepath.Join(t.TempDir(), "log"), time.Now().Add(time.Minute), false); err != nil {
					t.Fatal(err)
				}
			})
		},
	}
	for what, then := range between {
		for name, again := range map[string]func(*Session, *tx, audit.Item) error{"one": one, "listed": listed} {
			t.Run(what+"/"+name, func(t *testing.T) {
				c := newCompany(t)
				c.ask("reader", "prod/app/CARD")
				if err := c.approve(); err != nil {
					t.Fatal(err)
				}
				item := itemsOf(1, "prod/app/CARD")[0]
				item.Tier = "critical"
				err := c.honest("reader", func(s *Session) {
					values, err := s.GetMany(nil, []tokens.Path{c.p("prod/app/CARD"), c.p("prod/app/DB")})
					if err != nil || len(values) != 2 {
						t.Fatal(values, err)
					}
					entries, err := s.Log(1, nil)
					if err != nil || len(entries[0].Items) != 2 {
						t.Fatal(entries, err)
					}
					item.Approval = entries[0].Items[0].Approval
				})
				if err != nil || item.Approval == "" {
					t.Fatal(err, item)
				}
				c.finds("")
				then(t, c)
				c.insider("reader", func(s *Session, t *tx) error { return again(s, t, item) })
				c.finds(`it uses approval "` + item.Approval + `", which was spent with entry `)
			})
		}
	}
}

// An approval for a sensitive secret serves any number of times.
func TestListsUseApprovals(t *testing.T) {
	c := newCompany(t)
	c.ask("reader", "prod/app/HR")
	if err := c.approve(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		err := c.honest("reader", func(s *Session) {
			if _, err := s.GetMany(nil, []tokens.Path{c.p("prod/app/HR"), c.p("prod/app/DB")}); err != nil {
				t.Fatal(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	c.finds("")
}

var listsFlag = flag.Int("lists", 2000, "how many secrets TestManySecrets imports and reads")

// An import and a read of many secrets are few entries of limited size, which tell of each secret once, in order.
func TestManySecrets(t *testing.T) {
	t.Parallel()
	n := *listsFlag
	v := newVictim(t)
	took := func(what string, fn func()) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		since := time.Now()
		fn()
		runtime.ReadMemStats(&after)
		t.Logf("%-28s %8.3f s, %5d MiB allocated, %5d MiB of memory in all", what, time.Since(since).Seconds(),
			(after.TotalAlloc-before.TotalAlloc)>>20, after.Sys>>20)
	}
	var items []Item
	for i := range n {
		items = append(items, Item{Key: fmt.Sprintf("KEY_%07d", (i*7919)%n), Value: []byte(fmt.Sprint("value ", (i*7919)%n))})
	}
	slices.SortFunc(items, func(a, b Item) int { return strings.Compare(a.Key[4:], b.Key[4:]) })
	items = slices.CompactFunc(items, func(a, b Item) bool { return a.Key == b.Key })
	slices.Reverse(items) // not in the order of their paths
	n = len(items)
	ns, err := tokens.ParseNamespace("production/app")
	if err != nil {
		t.Fatal(err)
	}
	var issued Issued
	v.do(func(s *Session) {
		took("import", func() {
			done, err := s.Import(ns, items, ImportOptions{Type: "api_key"})
			if err != nil || len(done) != n {
				t.Fatal(len(done), err)
			}
			for i, d := range done {
				if d.Path.Key() != items[i].Key || d.Outcome != ImportCreated {
					t.Fatalf("item %d is %+v", i, d)
				}
			}
		})
		if issued, err = s.IssueToken(TokenSpec{Scopes: scopesOf(t, "secrets:read:production/*"), Uses: uint64(n)}); err != nil {
			t.Fatal(err)
		}
	})
	opened, err := Open(v.path, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	s, err := opened.Token(issued.Text)
	if err != nil {
		t.Fatal(err)
	}
	took("read", func() {
		values, err := s.GetAll(ns)
		if err != nil || len(values) != n {
			t.Fatal(len(values), err)
		}
		for i, one := range values {
			if want := items[n-1-i]; one.Path.Key() != want.Key || string(one.Value) != string(want.Value) {
				t.Fatalf("value %d is %s of %s", i, one.Value, one.Path)
			}
		}
	})
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	v.do(func(s *Session) {
		list, err := s.Tokens()
		if err != nil || len(list) != 1 || list[0].Used != uint64(n) || list[0].State != TokenUsedUp {
			t.Errorf("the token is %+v, %v", list, err)
		}
		for _, event := range []string{audit.SecretImported, audit.SecretRead} {
			entries, err := s.Log(0, func(e audit.Event) bool { return e.Type == event })
			if err != nil {
				t.Fatal(err)
			}
			last, told := "", 0
			for _, e := range slices.Backward(entries) {
				if e.ResourceID != ns.String() || e.ResourceType != "namespace" {
					t.Errorf("%s is about %s %q", event, e.ResourceType, e.ResourceID)
				}
				for _, item := range e.Items {
					if item.Path <= last || item.Version != 1 || item.Tier != "standard" || (item.Type == "api_key") != (event == audit.SecretImported) {
						t.Fatalf("%s: %+v behind %s", event, item, last)
					}
					last = item.Path
					told++
				}
			}
			t.Logf("%s: %d entries of %d secrets", event, len(entries), told)
			if told != n || len(entries) > 1+told/300 {
				t.Errorf("%s: %d entries tell of %d secrets", event, len(entries), told)
			}
		}
		largest := 0
		err = s.view(func(t *tx) error {
			return t.walk(bucketAudit, nil, func(_, value []byte) error {
				e, err := audit.Parse(value)
				largest = max(largest, len(e.Body))
				return err
			})
		})
		if err != nil || largest > audit.MaxBody || n >= 2000 && largest < audit.MaxBody*3/4 {
			t.Errorf("the largest body has %d bytes, %v", largest, err)
		}
		took("read by the owner", func() {
			if values, err := s.GetAll(ns); err != nil || len(values) != n {
				t.Fatal(len(values), err)
			}
		})
		took("verify", func() {
			if r, err := s.Verify(false); err != nil || len(r.Problems) > 0 {
				t.Error(r.Problems, err)
			}
		})
		file := filepath.Join(t.TempDir(), "log")
		took("archive", func() {
			if _, err := s.ArchiveLog(file, time.Now().Add(time.Minute), false); err != nil {
				t.Fatal(err)
			}
		})
		told := map[string]int{}
		took("verify the archive", func() {
			_, problems, err := VerifyArchive(file, func(e Entry) {
				for _, item := range e.Secrets() {
					told[item.Path]++
				}
			})
			if err != nil || len(problems) > 0 {
				t.Error(problems, err)
			}
		})
		for _, i := range items {
			if told["production/app/"+i.Key] != 3 { // stored, and read twice
				t.Fatalf("the archive tells %d times of %s", told["production/app/"+i.Key], i.Key)
			}
		}
	})
	if found := v.problems(); found != "" {
		t.Error(found)
	}
}

func scopesOf(t *testing.T, texts ...string) tokens.Scopes {
	t.Helper()
	scopes, err := tokens.ScopesOf(texts)
	if err != nil {
		t.Fatal(err)
	}
	return scopes
}

// An import in parts has, in each part, the number of the entry that tells of it, also if it lowers tiers, raises
// them in a rewrite, or leaves some items as they are.
func TestManySecretsAgain(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	ns, err := tokens.ParseNamespace("long/" + strings.Repeat("x", 100) + "/" + strings.Repeat("y", 100))
	if err != nil {
		t.Fatal(err)
	}
	var items []Item
	for i := range 600 { // 180 KiB of items
		items = append(items, Item{Key: fmt.Sprintf("K%03d", i), Value: []byte("one")})
	}
	imports := func(entries int, unchanged any, o ImportOptions) {
		t.Helper()
		v.do(func(s *Session) {
			before, err := s.Log(1, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Import(ns, items, o); err != nil {
				t.Fatal(err)
			}
			var got []Entry
			got, err = s.Log(0, func(e audit.Event) bool { return e.Type == audit.SecretImported })
			got = slices.DeleteFunc(got, func(e Entry) bool { return e.Seq <= before[0].Seq })
			if err != nil || len(got) != entries {
				t.Errorf("%d entries instead of %d, %v", len(got), entries, err)
			}
			for i, e := range got { // the newest first
				if want := map[bool]any{true: unchanged}[i == 0]; e.Metadata["unchanged"] != want {
					t.Errorf("entry %d tells of %v unchanged secrets", e.Seq, e.Metadata["unchanged"])
				}
			}
		})
		if found := v.problems(); found != "" {
			t.Error(found)
		}
	}
	imports(3, nil, ImportOptions{Tier: tokens.Sensitive})
	for i := range 250 {
		items[2*i].Value = []byte("two")
	}
	imports(2, 350.0, ImportOptions{})
	imports(7, nil, ImportOptions{Tier: tokens.Standard}) // seals each earlier version anew
	imports(3, nil, ImportOptions{Tier: tokens.Critical}) // a rewrite
}

// The list of what an act seals anew goes on in further entries, which have the roots of what they tell of.
func TestManyResealed(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 30, 1300} {
		c := newCompany(t)
		ns, err := tokens.ParseNamespace("prod/app/many")
		if err != nil {
			t.Fatal(err)
		}
		var items []Item
		for i := range n {
			items = append(items, Item{Key: fmt.Sprintf("K%04d", i), Value: []byte("x")})
		}
		err = c.honest("writer", func(s *Session) { // cannot read, so it seals to the recipient of the reader's node
			if _, err := s.Import(ns, items, ImportOptions{}); err != nil {
				t.Fatal(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		c.do(func(s *Session) {
			if _, _, err := s.CreateAgent(AgentSpec{Name: "new", Scopes: c.scopes("secrets:read:prod/app/many/*")}); err != nil {
				t.Fatal(err)
			}
			entries, err := s.Log(0, func(e audit.Event) bool { return e.Metadata["resealed"] != nil })
			if err != nil {
				t.Fatal(err)
			}
			told := 0
			for i, e := range slices.Backward(entries) {
				told += len(e.Metadata["resealed"].([]any))
				if act := i == len(entries)-1; act != (e.Type == audit.AgentCreated) || !act && (e.Type != audit.VaultResealed || e.ResourceID != s.VaultID()) {
					t.Errorf("%d resealed: entry %d is %s of %q", n, e.Seq, e.Type, e.ResourceID)
				}
			}
			if want := map[int]int{1: 1, 30: 1, 1300: 3}[n]; told != n || len(entries) != want {
				t.Errorf("%d entries tell of %d versions instead of %d", len(entries), told, n)
			}
			if _, _, err := s.Get(c.p("prod/app/many/K0000"), 0); err != nil {
				t.Error(err)
			}
		})
		c.finds("")
	}
}

// So does the list of the versions of one secret whose tier is lowered.
func TestManyLowered(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	v.do(func(s *Session) {
		for range 100 {
			if _, _, err := s.Set(v.p("a/LONG"), []byte("x"), SetOptions{Tier: tokens.Sensitive}); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := s.Set(v.p("a/LONG"), []byte("x"), SetOptions{Tier: tokens.Standard}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Get(v.p("a/LONG"), 1); err != nil {
			t.Error(err)
		}
		entries, err := s.Log(3, func(e audit.Event) bool { return e.Metadata["resealed"] != nil })
		if err != nil || len(entries) != 2 || entries[0].Type != audit.VaultResealed || entries[1].Type != audit.SecretUpdated {
			t.Errorf("the log tells %+v, %v", entries, err)
		}
	})
	if found := v.problems(); found != "" {
		t.Error(found)
	}
}

// vaultOf makes a vault of a format.
func vaultOf(t *testing.T, format int) *victim {
	t.Helper()
	owner, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{t, filepath.Join(t.TempDir(), "vault.db"), owner, Options{MemoryDir: t.TempDir()}}
	if format == keys.Format1 {
		v.opts = v.opts.InFormat1()
	}
	if _, err := Create(v.path, owner, v.opts); err != nil {
		t.Fatal(err)
	}
	return v
}

// In a vault of format 1, each read has an entry, and an import has its lists in the metadata. Both are read as ever,
// and so is a log that goes on in format 2.
func TestListsInFormat1(t *testing.T) {
	v := vaultOf(t, keys.Format1)
	ns, err := tokens.ParseNamespace("a/b")
	if err != nil {
		t.Fatal(err)
	}
	items := []Item{{Key: "M", Value: []byte("m")}, {Key: "K", Value: []byte("k")}, {Key: "L", Value: []byte("l")}} // not in the order of their names
	act := func(s *Session) {
		t.Helper()
		for i := range items {
			items[i].Value = append(items[i].Value, 'x')
		}
		if _, err := s.Import(ns, append(items, Item{Key: "SAME", Value: []byte("same")}), ImportOptions{}); err != nil {
			t.Fatal(err)
		}
		if values, err := s.GetAll(ns); err != nil || len(values) != 4 {
			t.Fatal(len(values), err)
		}
	}
	told := func(s *Session, after uint64) (lines []string) {
		entries, err := s.Log(0, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range slices.Backward(entries) {
			if e.Seq > after {
				var secrets []string
				for _, item := range e.Secrets() {
					secrets = append(secrets, fmt.Sprintf("%s=%d", item.Path, item.Version))
				}
				lines = append(lines, fmt.Sprint(e.Type, " ", e.ResourceType, " ", len(e.Items), " ", e.Metadata["unchanged"], " ", secrets))
			}
		}
		return lines
	}
	v.do(func(s *Session) {
		act(s)
		act(s)
		got := told(s, 6)
		want := []string{
			"secret.imported namespace 0 1 [a/b/M=2 a/b/K=2 a/b/L=2]", "secret.read secret 0 <nil> [a/b/K=2]",
			"secret.read secret 0 <nil> [a/b/L=2]", "secret.read secret 0 <nil> [a/b/M=2]", "secret.read secret 0 <nil> [a/b/SAME=1]",
		}
		if !slices.Equal(got, want) {
			t.Errorf("the log tells:\n%s", strings.Join(got, "\n"))
		}
		if err := s.commit(func(t *tx) error {
			ev := listEvent(audit.SecretRead, itemsOf(1, "a/b/K", "a/b/L"))
			return t.append(ev)
		}); err != nil {
			t.Fatal(err)
		}
	})
	if found := v.problems(); found != "audit entry 12: it has a list of secrets, but belongs to an epoch of format 1" {
		t.Errorf("a list is found: %q", found)
	}
	v = vaultOf(t, keys.Format1)
	v.do(act)
	v.opts.oldFormat = 0
	v.do(func(s *Session) {
		if _, err := s.Rekey(); err != nil {
			t.Fatal(err)
		}
		act(s)
		got := told(s, 7)
		want := []string{"secret.imported namespace 3 1 [a/b/K=2 a/b/L=2 a/b/M=2]", "secret.read namespace 4 <nil> [a/b/K=2 a/b/L=2 a/b/M=2 a/b/SAME=1]"}
		if !slices.Equal(got, want) {
			t.Errorf("in format 2, the log tells:\n%s", strings.Join(got, "\n"))
		}
	})
	if found := v.problems(); found != "" {
		t.Errorf("a log of both formats:\n%s", found)
	}
}

// The owner's look into the log finds a secret in an import, in whatever form its entry is.
func TestLookFindsImports(t *testing.T) {
	for _, format := range []int{keys.Format1, keys.Format2} {
		v := vaultOf(t, format)
		ns, err := tokens.ParseNamespace("a/b")
		if err != nil {
			t.Fatal(err)
		}
		v.do(func(s *Session) {
			if _, err := s.Import(ns, []Item{{Key: "K", Value: []byte("k")}, {Key: "L", Value: []byte("l")}}, ImportOptions{Tier: tokens.Critical}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.GetAll(ns); err != nil {
				t.Fatal(err)
			}
		})
		for _, name := range []string{"K", "L"} {
			v.remove(bucketVersions, versionKey(v.p("a/b/"+name), 1))
			v.remove(bucketSecrets, []byte("a/b/"+name))
		}
		v.do(func(s *Session) {
			err := s.viewUnchecked(func(t *tx) error { // the records are gone, which a small vault notices
				for name, want := range map[string]toldOf{"a/b/K": {seq: 2, tier: tokens.Critical, last: 1, settled: true}, "a/b/L": {seq: 2, tier: tokens.Critical, last: 1, settled: true}, "a/b/M": {}} {
					t.looked = nil
					if got, err := s.look(t, v.p(name)); err != nil || got != want {
						v.t.Errorf("format %d: the log tells %+v of %s, %v", format, got, name, err)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// A list of many secrets, which several cores read, has what each secret has by itself, in order. If one of them is
// damaged, the list names that one.
func TestAListOfMany(t *testing.T) {
	t.Parallel()
	v := newVictim(t)
	ns, err := tokens.ParseNamespace("many")
	if err != nil {
		t.Fatal(err)
	}
	const n = 500
	want := map[string]string{} // by path: the type
	v.do(func(s *Session) {
		for i, kind := range Types {
			var items []Item
			for k := i; k < n; k += len(Types) {
				items = append(items, Item{Key: fmt.Sprintf("K%03d", k), Value: []byte("a value")})
				want[fmt.Sprintf("many/K%03d", k)] = kind
			}
			if _, err := s.Import(ns, items, ImportOptions{Type: kind}); err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.List(ns, false)
		if err != nil || len(list) != n {
			t.Fatal(len(list), err)
		}
		ids := map[string]bool{}
		for i, secret := range list {
			name := secret.Path.String()
			if name != fmt.Sprintf("many/K%03d", i) || secret.Type != want[name] || secret.Version != 1 || ids[secret.ID] {
				t.Errorf("item %d: %+v", i, secret)
			}
			ids[secret.ID] = true
			if alone, _, err := s.History(secret.Path); err != nil || alone != secret {
				t.Errorf("%s is %+v in the list and %+v by itself, %v", name, secret, alone, err)
			}
		}
	})
	damaged := bytes.Clone(v.take(bucketSecrets, []byte("many/K317")))
	damaged[len(damaged)-1] ^= 1
	v.give(bucketSecrets, []byte("many/K317"), damaged)
	v.do(func(s *Session) {
		list, err := s.List(ns, false)
		if !errors.Is(err, ErrDamaged) || !strings.Contains(fmt.Sprint(err), "many/K317") {
			t.Errorf("%d secrets are listed, though one is damaged: %v", len(list), err)
		}
	})
}
