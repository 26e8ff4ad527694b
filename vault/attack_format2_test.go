package vault

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"
	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// What format 2 closes: an entry says what was written, an epoch has an id, and the owner's records carry a MAC that
// nobody else can make. Each attack here worked on format 1, or on a draft of format 2.

// logListing is logEvent for an insider, who lists the roots that it likes.
func logListing(t *tx, ev audit.Event, roots ...[32]byte) error {
	for _, root := range roots {
		ev.Roots = append(ev.Roots, base64.StdEncoding.EncodeToString(root[:]))
	}
	ev.ID, ev.ActorID, ev.ActorType, ev.CreatedAt = "x", t.by.id, t.by.kind, t.now
	body, err := ev.Encode()
	if err != nil {
		return err
	}
	k, v, next := t.head.log.Append(t.logPlace, t.by.id, t.by.sign, body)
	t.head.log = next
	return t.b.Append(bucketAudit, k, v)
}

// made is a record that an insider makes without storing it. mallory may read and write below prod/mine.
func (c *company) made(s *Session, t *tx, path string, n uint64, value string) *stored {
	c.t.Helper()
	body := versionBody{Seq: t.seq(), Tier: tokens.Standard, CreatedAt: t.now}
	ok, err := s.sealOwn(c.p(path), n, &body, []byte(value))
	if !ok || err != nil {
		c.t.Fatalf("%s: %v, %v", path, ok, err)
	}
	r, err := versionKind.newStored(t.hasher, t.by, versionKey(c.p(path), n), &body)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// madeHead is made for the head of a secret.
func (c *company) madeHead(t *tx, path string, version uint64, id string) *stored {
	c.t.Helper()
	r, err := secretKind.newStored(t.hasher, t.by, []byte(path), &secretBody{Seq: t.seq(), ID: id, Version: version,
		Tier: tokens.Standard, Type: DefaultType, CreatedAt: t.now, UpdatedAt: t.now})
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// storeAll stores records as they are.
func storeAll(t *tx, list ...*stored) (err error) {
	for _, r := range list {
		err = cmp.Or(err, insert(t, r.bucket, r.key, r.value))
	}
	return err
}

// imports is the entry of an import of new secrets below prod/mine.
func (c *company) imports(names ...string) audit.Event {
	var paths []string
	for _, name := range names {
		paths = append(paths, "prod/mine/"+name)
	}
	return listEvent(audit.SecretImported, itemsOf(1, paths...))
}

// An insider signs two records for one place, lets the log tell of one, and puts the other there later.
func TestTwoRecordsForOnePlace(t *testing.T) {
	t.Parallel()
	const m, swapped = "prod/mine/M", "its content is not what the log says was written"
	update := audit.Event{Type: audit.SecretUpdated, ResourceType: "secret", ResourceID: m,
		Metadata: map[string]any{"version": 2, "tier": tokens.Standard}}
	for name, x := range map[string]struct {
		attack func(c *company, s *Session, t *tx) (later []*stored, err error)
		finds  string
	}{
		"two leaves for one value under a listed root": {func(c *company, s *Session, t *tx) ([]*stored, error) {
			list := []*stored{c.made(s, t, m, 2, "evil"), c.madeHead(t, m, 2, "x"), c.made(s, t, m, 2, "good")}
			roots := t.signAll(list)
			return list[2:], errors.Join(storeAll(t, list[:2]...), logListing(t, update, roots...))
		}, m + " version 2: " + swapped},
		"two leaves for one head under a listed root": {func(c *company, s *Session, t *tx) ([]*stored, error) {
			list := []*stored{c.made(s, t, m, 2, "evil"), c.madeHead(t, m, 2, "x"), c.madeHead(t, m, 2, "y")}
			roots := t.signAll(list)
			return list[2:], errors.Join(storeAll(t, list[:2]...), logListing(t, update, roots...))
		}, m + ": it does not match log entry"},
		"another batch of the same records": {func(c *company, s *Session, t *tx) ([]*stored, error) {
			list := []*stored{c.made(s, t, m, 2, "evil"), c.madeHead(t, m, 2, "x")}
			roots := t.signAll(list)
			other := []*stored{c.made(s, t, m, 2, "good"), c.madeHead(t, m, 2, "x")}
			t.signAll(other)
			return other, errors.Join(storeAll(t, list...), logListing(t, update, roots...))
		}, m + " version 2: " + swapped},
		"a further root is listed": {func(c *company, s *Session, t *tx) ([]*stored, error) {
			list := []*stored{c.made(s, t, m, 2, "evil"), c.madeHead(t, m, 2, "x")}
			other := []*stored{c.made(s, t, m, 2, "good")}
			roots := append(t.signAll(list), t.signAll(other)...)
			return other, errors.Join(storeAll(t, list...), logListing(t, update, roots...))
		}, m + " version 2: " + swapped},
		"two depths of one tree": {func(c *company, s *Session, t *tx) ([]*stored, error) {
			list := []*stored{c.made(s, t, "prod/mine/A", 1, "a"), c.made(s, t, "prod/mine/B", 1, "evil"),
				c.madeHead(t, "prod/mine/A", 1, "x"), c.madeHead(t, "prod/mine/B", 1, "x")}
			good := c.made(s, t, "prod/mine/B", 1, "good")
			left := batchNode(2, batchNode(1, list[0].leaf, list[1].leaf), batchNode(1, list[2].leaf, list[3].leaf))
			root := batchNode(3, left, good.leaf) // good stands at place 1 too, but near the root
			sig := ed25519.Sign(t.by.sign, batchMessage(t.Epoch, t.by.id, root))
			finish := func(r *stored, index byte, path ...[32]byte) {
				r.sig = append(slices.Clone(sig), byte(len(path)), index)
				for _, beside := range path {
					r.sig = append(r.sig, beside[:]...)
				}
				t.scratch = appendSigned(t.scratch[:0], t.Epoch, r.bucket, r.key, r.record)
				t.finish(r)
			}
			upper := [2][32]byte{batchNode(1, list[2].leaf, list[3].leaf), batchNode(1, list[0].leaf, list[1].leaf)}
			for i, r := range list {
				finish(r, byte(i), list[i^1].leaf, upper[i/2], good.leaf)
			}
			finish(good, 1, left)
			return []*stored{good}, errors.Join(storeAll(t, list...), logListing(t, c.imports("A", "B"), root))
		}, "prod/mine/B version 1: invalid signature"},
		"of batch 1 at a place of batch 2": {func(c *company, s *Session, t *tx) ([]*stored, error) {
			var versions, heads []*stored
			names := []string{"A", "B", "C", "D", "E", "F", "G", "H", "I"} // 9 versions, and 7 heads, and then 2 heads
			for _, name := range names {
				versions = append(versions, c.made(s, t, "prod/mine/"+name, 1, "x"))
				heads = append(heads, c.madeHead(t, "prod/mine/"+name, 1, "x"))
			}
			list := append(versions, heads...)
			roots := t.signAll(list)
			other := c.madeHead(t, "prod/mine/H", 1, "y") // belongs at place 0 of batch 2
			t.signAll(append([]*stored{other}, list[1:batchSize]...))
			first := t.signAll(list[:batchSize])
			return []*stored{other}, errors.Join(storeAll(t, list...), logListing(t, c.imports(names...), first[0], roots[1]))
		}, "prod/mine/H: it does not match log entry"},
		"the roots are listed in another order": {func(c *company, s *Session, t *tx) ([]*stored, error) {
			var list, heads []*stored
			names := []string{"A", "B", "C", "D", "E", "F", "G", "H", "I"}
			for _, name := range names {
				list = append(list, c.made(s, t, "prod/mine/"+name, 1, "x"))
				heads = append(heads, c.madeHead(t, "prod/mine/"+name, 1, "x"))
			}
			list = append(list, heads...)
			roots := t.signAll(list)
			return list, logListing(t, c.imports(names...), roots[1], roots[0])
		}, "prod/mine/I: it does not match log entry"},
		"a value that is signed anew under its number": {func(c *company, s *Session, t *tx) ([]*stored, error) {
			list := []*stored{c.made(s, t, m, 2, "evil"), c.madeHead(t, m, 2, "x")}
			roots := t.signAll(list)
			anew := []*stored{c.made(s, t, m, 2, "good")} // the same entry, by the same author, and alone in its batch
			t.signAll(anew)
			return anew, errors.Join(storeAll(t, list...), logListing(t, update, roots...))
		}, m + " version 2: " + swapped},
		"no root is listed": {func(c *company, s *Session, t *tx) ([]*stored, error) {
			list := []*stored{c.made(s, t, m, 2, "evil"), c.madeHead(t, m, 2, "x")}
			t.signAll(list)
			return list, logListing(t, update)
		}, m + " version 2: " + swapped},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			var later []*stored
			c.insider("mallory", func(s *Session, t *tx) (err error) {
				later, err = x.attack(c, s, t)
				return err
			})
			whole := !strings.Contains(name, "listed in another order") && name != "no root is listed"
			if whole {
				c.finds("")
			}
			c.insider("mallory", func(_ *Session, t *tx) error { return storeAll(t, later...) })
			c.finds(x.finds)
			c.do(func(s *Session) {
				_, err := s.Rekey()
				c.check("a rewrite, which would sign it", err, ErrDamaged, "")
			})
		})
	}
}

// The owner's MAC decides about the owner's records, for the owner. Whatever somebody does to it, or to the signature
// that it covers, is damage.
func TestTheOwnersMAC(t *testing.T) {
	t.Parallel()
	const db = "prod/app/DB"
	for name, x := range map[string]struct {
		do     func(c *company, s *Session, t *tx, r *record)
		agents bool // whether agents still take the record for the owner's
	}{
		"stripped":          {func(_ *company, _ *Session, _ *tx, r *record) { r.omac = nil }, false},
		"cut":               {func(_ *company, _ *Session, _ *tx, r *record) { r.omac = r.omac[:31] }, false},
		"longer":            {func(_ *company, _ *Session, _ *tx, r *record) { r.omac = append(bytes.Clone(r.omac), 0) }, false},
		"another":           {func(_ *company, _ *Session, _ *tx, r *record) { r.omac = make([]byte, 32) }, true},
		"of another record": {func(c *company, _ *Session, t *tx, r *record) { r.omac = c.omacOf(t, versionKey(c.p(db), 1)) }, true},
		"of another epoch":  {func(c *company, _ *Session, t *tx, r *record) { r.omac = c.omacIn(t, r, func(e *keys.Epoch) { e.N++ }) }, true},
		"of another branch": {func(c *company, _ *Session, t *tx, r *record) {
			r.omac = c.omacIn(t, r, func(e *keys.Epoch) { e.ID[0]++ })
		}, true},
		"with its signature swapped": {func(c *company, _ *Session, t *tx, r *record) {
			v, _ := t.get(bucketVersions, versionKey(c.p(db), 1))
			other, _ := parseRecord(v)
			r.sig = bytes.Clone(other.sig)
		}, false},
		"with its place in the batch swapped": {func(_ *company, _ *Session, _ *tx, r *record) {
			r.sig = bytes.Clone(r.sig)
			r.sig[ed25519.SignatureSize+1] ^= 1
		}, false},
		"with its signature stripped": {func(_ *company, _ *Session, _ *tx, r *record) { r.sig = nil }, false},
		"with another signature by somebody else": {func(_ *company, _ *Session, t *tx, r *record) {
			leaf := batchLeaf(appendSigned(nil, t.Epoch, bucketVersions, versionKeyOf(db, 2), *r))
			fields, _ := signBatch(nil, t.Epoch, audit.Owner, t.by.sign, [][32]byte{leaf})
			r.sig = fields[0]
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			k := versionKey(c.p(db), 2)
			c.insider("mallory", func(s *Session, t *tx) error {
				v, err := t.get(bucketVersions, k)
				if err != nil {
					return err
				}
				r, _ := parseRecord(v)
				x.do(c, s, t, &r)
				return t.putSigned(bucketVersions, k, r)
			})
			c.do(func(s *Session) {
				_, _, err := s.Get(c.p(db), 0)
				c.check("the owner", err, ErrDamaged, `invalid signature for author "owner"`)
			})
			_, err := c.read("reader", db)
			if x.agents != (err == nil) {
				t.Errorf("an agent: %v", err)
			}
			c.finds(db + ` version 2: invalid signature for author "owner"`)
		})
	}
	t.Run("on a record of somebody else", func(t *testing.T) {
		c := newCompany(t)
		k := versionKey(c.p("prod/app/W"), 1)
		c.insider("mallory", func(_ *Session, t *tx) error {
			v, err := t.get(bucketVersions, k)
			r, _ := parseRecord(v)
			r.omac = make([]byte, 32)
			return errors.Join(err, t.putSigned(bucketVersions, k, r))
		})
		c.finds("prod/app/W version 1: invalid signature for author")
		_, err := c.read("reader", "prod/app/W")
		c.check("an agent", err, ErrDamaged, "invalid signature for author")
	})
	t.Run("on a signature that does not hold", func(t *testing.T) { // then agents do not see what the owner sees
		c := newCompany(t)
		c.do(func(s *Session) {
			err := s.commit(func(t *tx) error {
				t.by.sign = keys.NewRoot(keys.Key{1}).Sign
				h, err := t.secretHead(c.p("dev/K"))
				h.Seq, h.Type = t.seq(), "certificate"
				return errors.Join(err, secretKind.put(t, []byte("dev/K"), h))
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := s.Get(c.p("dev/K"), 0); err != nil {
				t.Errorf("the owner's MAC is not enough for the owner: %v", err)
			}
		})
		c.finds(`"dev/K": invalid signature for author "owner"`)
	})
}

// putSigned stores a record with a new MAC of the epoch, which each member can make.
func (t *tx) putSigned(bucket string, k []byte, r record) error {
	t.scratch = appendSigned(t.scratch[:0], t.Epoch, bucket, k, r)
	r.mac = t.mac(r.sig, r.omac)
	return insert(t, bucket, k, r.encode())
}

func (c *company) omacOf(t *tx, k []byte) []byte {
	v, err := t.get(bucketVersions, k)
	r, perr := parseRecord(v)
	if err := errors.Join(err, perr); err != nil || len(r.omac) != 32 {
		c.t.Fatalf("the owner's MAC is %x, %v", r.omac, err)
	}
	return bytes.Clone(r.omac)
}

// omacIn is the owner's MAC of prod/app/DB version 2, under the key of another epoch.
func (c *company) omacIn(t *tx, r *record, change func(*keys.Epoch)) []byte {
	e := t.Epoch
	change(&e)
	key := c.rootKeys().OwnerMAC(e)
	h := newHasher(t.Epoch, &key, nil)
	h.scratch = appendSigned(nil, t.Epoch, bucketVersions, versionKeyOf("prod/app/DB", 2), *r)
	mac := h.ownerMAC(r.sig)
	return mac[:]
}

// rootKeys returns the keys below the vault's root.
func (c *company) rootKeys() (root *keys.Root) {
	file := c.t.TempDir() + "/copy.db"
	if err := os.WriteFile(file, c.raw(), 0o600); err != nil {
		c.t.Fatal(err)
	}
	copied := &victim{c.t, file, c.owner, Options{MemoryDir: c.t.TempDir(), ReadOnly: true}}
	copied.do(func(s *Session) { root = keys.NewRoot(s.root.Key) })
	return root
}

// Somebody puts an old record of the owner's back, of the same epoch.
func TestAnOldRecordOfTheOwnersIsNamed(t *testing.T) {
	t.Parallel()
	set := func(c *company, path string, tier tokens.Tier) {
		c.do(func(s *Session) {
			if _, _, err := s.Set(c.p(path), []byte("new"), SetOptions{Tier: tier}); err != nil {
				c.t.Fatal(err)
			}
		})
	}
	for name, x := range map[string]struct {
		bucket string
		key    func(c *company) []byte // prepares what is there before, too
		change func(c *company)
		remove func(c *company) map[string][]byte // what is taken away with it: the key by bucket
		finds  string
	}{
		"a head": {bucketSecrets, func(*company) []byte { return []byte("dev/K") }, func(c *company) { set(c, "dev/K", 0) },
			func(c *company) map[string][]byte {
				return map[string][]byte{bucketVersions: versionKey(c.p("dev/K"), 2)}
			},
			"dev/K: it does not match log entry"},
		"a head of the same version": {bucketSecrets, func(*company) []byte { return []byte("dev/K") }, func(c *company) {
			c.do(func(s *Session) {
				_, _, err := s.Delete(c.p("dev/K"))
				if _, rerr := s.Restore(c.p("dev/K")); errors.Join(err, rerr) != nil {
					c.t.Fatal(err, rerr)
				}
			})
		}, nil, "dev/K: it does not match log entry"},
		"a version before it was sealed anew for a lower tier": {bucketVersions, func(c *company) []byte {
			return versionKey(c.p("prod/app/CARD"), 1)
		}, func(c *company) { set(c, "prod/app/CARD", tokens.Sensitive) }, nil, "prod/app/CARD version 1: "},
		"a version before it was sealed anew for new readers": {bucketVersions, func(c *company) []byte {
			return versionKey(c.p("prod/other/W"), 1)
		}, func(c *company) {
			c.do(func(s *Session) {
				if _, _, err := s.CreateAgent(AgentSpec{Name: "new", Scopes: c.scopes("secrets:read:prod/other/*")}); err != nil {
					c.t.Fatal(err)
				}
			})
		}, nil, "prod/other/W version 1: it does not match what the log says was written"},
		"a decision about a version that was sealed anew": {bucketDecisions, func(c *company) []byte {
			if err := c.honest("writer", func(s *Session) { c.put(s, "prod/app/WHR", tokens.Sensitive) }); err != nil {
				c.t.Fatal(err)
			}
			k := c.ask("reader", "prod/app/WHR")
			if err := c.approve(); err != nil {
				c.t.Fatal(err)
			}
			return k
		}, func(c *company) {
			c.do(func(s *Session) {
				if _, err := s.IssueToken(TokenSpec{Scopes: c.scopes("secrets:read:prod/app/WHR"), Tier: tokens.Sensitive}); err != nil {
					c.t.Fatal(err)
				}
			})
		}, nil, "answer to request"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			k := x.key(c)
			old := c.take(x.bucket, k)
			x.change(c)
			if bytes.Equal(c.take(x.bucket, k), old) {
				t.Fatal("the record is as it was")
			}
			c.finds("")
			c.insider("mallory", func(_ *Session, t *tx) (err error) {
				if x.remove != nil {
					for bucket, k := range x.remove(c) {
						err = errors.Join(err, insert(t, bucket, k, nil))
					}
				}
				return errors.Join(err, insert(t, x.bucket, k, old))
			})
			c.finds(x.finds)
		})
	}
}

// branch is one of two copies of a vault that went on by themselves.
type branch struct {
	*company
	ghost keys.Key // the secret of an agent that only this branch has
}

// branches makes two copies of a company. Each begins epoch 3, and then changes the same secrets.
func branches(t *testing.T) (discarded, lives *branch) {
	t.Helper()
	of := func(c *company, agent, value string) *branch {
		b := &branch{company: c}
		rekey(c)
		c.do(func(s *Session) {
			if _, _, err := s.Set(c.p("prod/app/DB"), []byte(value), SetOptions{}); err != nil {
				t.Fatal(err)
			}
			a, k, err := s.CreateAgent(AgentSpec{Name: agent, Scopes: c.scopes("secrets:read:prod/app/*")})
			if err != nil {
				t.Fatal(err)
			}
			b.ghost, c.secret[agent], c.id[agent] = k.Secret, k.Secret, a.ID
		})
		return b
	}
	return of(newCompany(t), "ghost", "value of the discarded branch"), of(newCompany(t), "other", "value that lives")
}

// Two copies of a vault each begin epoch 3. What the owner signed in one is worth nothing in the other: neither to the
// epoch's MAC, nor to the owner's MAC or the batches, nor to the seal of a value.
func TestNothingPassesBetweenBranches(t *testing.T) {
	gone, c := branches(t)
	if a, b := gone.epoch(3), c.epoch(3); a.ID == b.ID || a.N != b.N {
		t.Fatalf("the epochs have the ids %x and %x", a.ID, b.ID)
	}
	root := c.rootKeys()
	here, there := c.epoch(3), gone.epoch(3)
	owner := root.OwnerMAC(here)
	for _, bucket := range recordBuckets(newestFormat) {
		type one struct{ k, v []byte }
		var list []one
		gone.open(func(v *Vault) {
			if err := v.db.Each(bucket, func(k, v []byte) { list = append(list, one{bytes.Clone(k), bytes.Clone(v)}) }); err != nil {
				t.Fatal(err)
			}
		})
		if of := rulesOf(bucket); len(list) == 0 && of.signed && bucket != bucketRequests && bucket != bucketDecisions && bucket != bucketTiers {
			t.Errorf("%s: the discarded branch has no record", bucket)
		}
		for _, x := range list {
			r, err := parseRecord(x.v)
			if err != nil {
				t.Fatal(err)
			}
			h := newHasher(here, &owner, newBatches(nil))
			if h.macHolds(bucket, x.k, r) {
				t.Errorf("%s/%q: its MAC holds in the other branch", bucket, x.k)
			}
			if !rulesOf(bucket).signed {
				continue
			}
			who := signer{by: r.by, pub: root.Pub, owner: true}
			if r.by != audit.Owner {
				continue
			}
			if h.signatureHolds(who, bucket, x.k, r) {
				t.Errorf("%s/%q: the owner's MAC holds in the other branch", bucket, x.k)
			}
			if newHasher(here, nil, newBatches(nil)).signatureHolds(who, bucket, x.k, r) {
				t.Errorf("%s/%q: the owner's signature holds in the other branch", bucket, x.k)
			}
			if key := root.OwnerMAC(there); !newHasher(there, &key, newBatches(nil)).signatureHolds(who, bucket, x.k, r) ||
				!newHasher(there, nil, newBatches(nil)).signatureHolds(who, bucket, x.k, r) {
				t.Errorf("%s/%q: it does not even hold in its own branch", bucket, x.k)
			}
		}
	}
	p := c.p("prod/app/DB")
	for _, contexts := range [][2][]byte{
		{here.VersionContext(tokens.Standard, p, 3), there.VersionContext(tokens.Standard, p, 3)},
		{here.HeadContext(), there.HeadContext()},
		{here.DecisionContext([16]byte{1}, "a", tokens.Standard, p, 3), there.DecisionContext([16]byte{1}, "a", tokens.Standard, p, 3)},
	} {
		if bytes.Equal(contexts[0], contexts[1]) {
			t.Errorf("both branches seal with the context %x", contexts[0])
		}
	}
}

// An insider of both branches grafts records of the discarded branch into the one that lives, with new MACs of the
// epoch.
func TestGraftsFromABranchAreNamed(t *testing.T) {
	t.Parallel()
	version := func(c *company) []byte { return versionKey(c.p("prod/app/DB"), 3) }
	for name, x := range map[string]struct {
		bucket string
		key    func(c *company, gone *branch) []byte
		finds  string
	}{
		"a version": {bucketVersions, func(c *company, _ *branch) []byte { return version(c) },
			`prod/app/DB version 3: invalid signature for author "owner"`},
		"a head": {bucketSecrets, func(*company, *branch) []byte { return []byte("prod/app/DB") },
			`"prod/app/DB": invalid signature for author "owner"`},
		"a recipient": {bucketRecipients, func(*company, *branch) []byte {
			return keys.Node{Tier: tokens.Standard, Kind: keys.KindNamespace}.ID()
		}, `invalid signature for author "owner"`},
		"an agent": {bucketAgents, func(_ *company, gone *branch) []byte { return []byte(gone.id["ghost"]) },
			`invalid signature for author "owner"`},
		"an agent that both have": {bucketAgents, func(c *company, _ *branch) []byte { return []byte(c.id["reader"]) },
			`invalid signature for author "owner"`},
		"a token": {bucketTokens, func(c *company, _ *branch) []byte { return []byte(c.id["owner's token"]) },
			`invalid signature for author "owner"`},
	} {
		for _, mac := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				gone, c := branches(t)
				gone.id["owner's token"] = c.id["owner's token"]
				k := x.key(c.company, gone)
				value := gone.take(x.bucket, k)
				r, err := parseRecord(value)
				if err != nil {
					t.Fatal(err)
				}
				c.insider("mallory", func(_ *Session, t *tx) error {
					if mac {
						return t.putSigned(x.bucket, k, r)
					}
					return insert(t, x.bucket, k, value)
				})
				if mac {
					c.finds(x.finds)
				} else {
					c.finds("MAC mismatch: the record was modified or moved")
				}
			})
		}
	}
}

// An agent that only the discarded branch has opens nothing in the one that lives, whatever an insider grafts for it.
func TestAnAgentOfADiscardedBranchReadsNothing(t *testing.T) {
	t.Parallel()
	gone, c := branches(t)
	const secret = "value that lives"
	agent := tokens.AgentKey{Secret: gone.ghost, Vault: [4]byte(c.vid[:4])}
	try := func(when string) {
		t.Helper()
		c.open(func(v *Vault) {
			s, err := v.Agent(agent)
			if err == nil {
				_, _, err = s.Get(c.p("prod/app/DB"), 0)
			}
			if err == nil {
				t.Errorf("%s, it reads", when)
			}
		})
		here, places := c.epoch(3), append(c.places(), gone.places()...)
		gone.open(func(v *Vault) {
			ghost, _, err := v.granteeSession(gone.ghost, audit.Agent)
			if err != nil {
				t.Fatal(err)
			}
			ids := gone.keysTo(ghost, places, 3)
			raw, err := os.ReadFile(gone.path)
			if err != nil || !slices.Contains(opened(raw, ids), "value of the discarded branch") {
				t.Errorf("%s, it reads nothing in its own branch, %v", when, err)
			}
			ghost.epoch = here // it may even know the epoch's id
			for _, plain := range opened(c.raw(), append(ids, gone.keysTo(ghost, places, 3)...)) {
				if strings.Contains(plain, "value") || strings.Contains(plain, "VALUE") {
					t.Errorf("%s, it opens %q", when, plain)
				}
			}
		})
	}
	try("with its key alone")
	index := keys.NewGrantee(gone.ghost).Index
	grants := gone.take(bucketGrants, index[:])
	record := gone.take(bucketAgents, []byte(gone.id["ghost"]))
	c.insider("mallory", func(_ *Session, t *tx) error {
		g, err := parseRecord(grants)
		a, aerr := parseRecord(record)
		return errors.Join(err, aerr, t.putSigned(bucketGrants, index[:], g), t.putSigned(bucketAgents, []byte(gone.id["ghost"]), a))
	})
	try("with its grant and its record")
	c.do(func(s *Session) { // and what is written from now on
		if _, _, err := s.Set(c.p("prod/app/DB"), []byte(secret), SetOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	try("after the owner wrote")
	if err := c.honest("writer", func(s *Session) { c.put(s, "prod/app/NEW", 0) }); err != nil {
		t.Fatal(err)
	}
	try("after an agent wrote to a published recipient")
}

// Both branches derive the keys of their logs from the same numbers, so an insider of both can put the whole log of one
// into the other. The entry that begins the epoch tells which epoch it is.
func TestALogOfAnotherBranchIsNamed(t *testing.T) {
	t.Parallel()
	for name, archived := range map[string]bool{"whole": false, "after its beginning was archived": true} {
		t.Run(name, func(t *testing.T) {
			gone, c := branches(t)
			if archived {
				(&victim{gone.t, gone.path, gone.owner, gone.opts}).archive()
				gone.do(func(s *Session) { gone.put(s, "dev/LATE", 0) })
			}
			type one struct{ k, v []byte }
			var entries []one
			var end audit.Position
			gone.open(func(v *Vault) {
				if err := v.db.Each(bucketAudit, func(k, v []byte) { entries = append(entries, one{bytes.Clone(k), bytes.Clone(v)}) }); err != nil {
					t.Fatal(err)
				}
			})
			gone.insider("mallory", func(_ *Session, t *tx) error { end = t.head.log; return nil })
			c.insider("mallory", func(_ *Session, t *tx) error {
				var old [][]byte
				err := t.walk(bucketAudit, nil, func(k, _ []byte) error { old = append(old, bytes.Clone(k)); return nil })
				for _, k := range old {
					err = errors.Join(err, t.b.Delete(bucketAudit, k))
				}
				for _, x := range entries {
					err = errors.Join(err, t.b.Put(bucketAudit, x.k, x.v))
				}
				t.head.log = end
				return err
			})
			c.opts.MemoryDir = t.TempDir() // this machine saw neither
			c.finds("audit log: it is the log of another epoch 3: it comes from another copy of the vault")
		})
	}
}

// flipped is one flipped bit in an entry of the log.
func flipped(t *tx, seq uint64) error {
	v, err := t.get(bucketAudit, audit.Key(seq))
	v = slices.Clone(v)
	v[len(v)/2] ^= 1
	return errors.Join(err, t.b.Put(bucketAudit, audit.Key(seq), v))
}

// Somebody puts an older head back, and flips a byte in the newer entry, so that the log does not contradict it. A
// rewrite does not make that the owner's word: it stops, or says to the owner, and to the log, what is not known.
func TestARewriteLaundersNothing(t *testing.T) {
	const m = "prod/mine/M"
	for name, remove := range map[string]bool{"the newer version stays": false, "the newer version is removed": true} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			set := func(value string) {
				if err := c.honest("mallory", func(s *Session) {
					if _, _, err := s.Set(c.p(m), []byte(value), SetOptions{}); err != nil {
						t.Fatal(err)
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			set("two")
			head := c.take(bucketSecrets, []byte(m))
			set("three")
			var seq uint64
			c.insider("mallory", func(_ *Session, t *tx) error {
				seq = t.head.log.Seq
				err := errors.Join(insert(t, bucketSecrets, []byte(m), head), flipped(t, seq))
				if remove {
					err = errors.Join(err, insert(t, bucketVersions, versionKey(c.p(m), 3), nil))
				}
				return errors.Join(err, t.log(audit.SecretRead, "secret", m, nil)) // the head wants a whole last entry
			})
			broken := c.problems()
			if !strings.Contains(broken, "MAC mismatch") || !strings.Contains(broken, "its bytes say") {
				t.Errorf("the verification found:\n%s", broken)
			}
			c.do(func(s *Session) {
				loss := &LossError{}
				if _, err := s.RevokeAgent("mallory", NarrowOptions{}); !errors.As(err, &loss) || !strings.Contains(strings.Join(loss.Doubts, "\n"), "MAC mismatch") {
					t.Errorf("the owner is asked about %+v, %v", loss, err)
				}
				n, err := s.RevokeAgent("mallory", NarrowOptions{Lose: true})
				if err != nil {
					t.Fatal(err)
				}
				if !remove && !strings.Contains(strings.Join(n.Mended, "\n"), m+": the value of v3 is current again, as v4") {
					t.Errorf("it mended %q", n.Mended)
				}
				entries, err := s.Log(20, nil)
				if err != nil || !slices.ContainsFunc(entries, func(e Entry) bool { return e.Metadata["log_problems"] != nil }) {
					t.Errorf("the log does not say which entries do not hold, %v", err)
				}
				err = s.view(func(t *tx) error {
					body, r, err := versionKind.get(t, versionKey(c.p(m), 2))
					if r.by != audit.Owner || body.Origin == nil || body.Origin.By != c.id["mallory"] || body.Origin.Unattested {
						c.t.Errorf("version 2 is by %s, from %+v", r.by, body.Origin)
					}
					if remove || err != nil {
						return err
					}
					for _, n := range []uint64{3, 4} {
						body, r, err = versionKind.get(t, versionKey(c.p(m), n))
						if err != nil || r.by != audit.Owner || body.Origin == nil || body.Origin.By != c.id["mallory"] || !body.Origin.Unattested {
							c.t.Errorf("version %d is by %s, from %+v, %v", n, r.by, body.Origin, err)
						}
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
			if after := c.problems(); !strings.Contains(after, "MAC mismatch") {
				t.Errorf("after the revocation, the verification found:\n%s", after)
			}
		})
	}
}

// Somebody breaks the entry that began the epoch. What later entries list is compared all the same.
func TestABrokenBeginningHidesNoSwap(t *testing.T) {
	const m = "prod/mine/M"
	c := newCompany(t)
	rekey(c)
	c.insider("mallory", func(s *Session, t *tx) error {
		list := []*stored{c.made(s, t, m, 2, "evil"), c.madeHead(t, m, 2, "x")}
		other := []*stored{c.made(s, t, m, 2, "good")}
		t.signAll(other)
		return errors.Join(storeRoots(t, list, audit.Event{Type: audit.SecretUpdated, ResourceType: "secret", ResourceID: m,
			Metadata: map[string]any{"version": 2, "tier": tokens.Standard}}), storeAll(t, other...))
	})
	const found = m + " version 2: its content is not what the log says was written"
	c.finds(found)
	c.insider("mallory", func(_ *Session, t *tx) error {
		began := uint64(0)
		err := t.walk(bucketAudit, nil, func(k, v []byte) error {
			if e, err := audit.Parse(v); err == nil && bytes.Contains(e.Body, []byte(`"epoch":3`)) {
				began = audit.Seq(k)
			}
			return nil
		})
		return errors.Join(err, flipped(t, began))
	})
	c.finds("MAC mismatch")
	c.finds(found)
}

// storeRoots signs, lists and stores records.
func storeRoots(t *tx, list []*stored, ev audit.Event) error {
	roots := t.signAll(list)
	return errors.Join(storeAll(t, list...), logListing(t, ev, roots...))
}

// A log that begins in format 1 goes on in format 2, in one vault, in an archive that ends before the change, and in
// one that covers it.
func TestALogCrossesIntoFormat2(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(crossed, end uint64) uint64{
		"an archive that ends in format 1":         func(crossed, _ uint64) uint64 { return crossed - 2 },
		"an archive that ends with the last of 1":  func(crossed, _ uint64) uint64 { return crossed - 1 },
		"an archive that ends with the first of 2": func(crossed, _ uint64) uint64 { return crossed },
		"an archive that ends in format 2":         func(_, end uint64) uint64 { return end - 1 },
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictimIn(t, Options{}.InFormat1())
			v.do(func(s *Session) {
				if _, err := s.Rekey(); err != nil { // now no entry says what the versions before it are
					t.Fatal(err)
				}
				v.set(s, "a/K", "four")
			})
			v.opts.oldFormat = 0
			v.do(func(s *Session) { v.set(s, "a/K", "five") }) // by the owner, in the epoch that is there
			if problems := v.problems(); problems != "" {
				t.Fatal(problems)
			}
			var crossed, end uint64
			v.do(func(s *Session) {
				if _, err := s.Rekey(); err != nil {
					t.Fatal(err)
				}
				v.set(s, "a/K", "six")
				v.set(s, "a/L", "seven")
				err := s.view(func(t *tx) error {
					end = t.head.log.Seq
					return t.walk(bucketAudit, nil, func(k, val []byte) error {
						e, err := audit.Parse(val)
						if n := audit.Seq(k); err == nil && e.Format == keys.Format2 && crossed == 0 {
							crossed = n
						} else if (e.Format == keys.Format2) != (crossed > 0) {
							v.t.Errorf("entry %d is of format %d", n, e.Format)
						}
						return err
					})
				})
				if err != nil || crossed == 0 {
					t.Fatal(crossed, err)
				}
			})
			if problems := v.problems(); problems != "" {
				t.Fatal(problems)
			}
			file, last := t.TempDir()+"/log.jsonl", cut(crossed, end)
			v.archiveUpTo(file, last)
			entries := uint64(0)
			a, problems, err := VerifyArchive(file, func(Entry) { entries++ })
			if err != nil || len(problems) > 0 || a.Last != last || entries != last {
				t.Errorf("the archive has entries up to %d, %d of them; %q, %v", a.Last, entries, problems, err)
			}
			if problems := v.problems(); problems != "" {
				t.Errorf("after the archive:\n%s", problems)
			}
			v.do(func(s *Session) {
				if _, err := s.Rekey(); err != nil {
					t.Error(err)
				}
				_, value, err := s.Get(v.p("a/K"), 4)
				err2 := s.view(func(t *tx) error {
					for n, unattested := range map[uint64]bool{3: true, 4: false, 5: false, 6: false} {
						body, _, err := versionKind.get(t, versionKey(v.p("a/K"), n))
						if err != nil || body.Origin == nil || body.Origin.By != audit.Owner || body.Origin.Unattested != unattested {
							v.t.Errorf("version %d comes from %+v, %v", n, body.Origin, err)
						}
					}
					return nil
				})
				if string(value) != "four" || errors.Join(err, err2) != nil {
					t.Errorf("version 4 is %q, %v, %v", value, err, err2)
				}
			})
			if problems := v.problems(); problems != "" {
				t.Errorf("after another epoch:\n%s", problems)
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := bytes.Split(raw, []byte("\n"))
			i := len(lines) - 3 // the last entry; then comes the end
			lines[i] = bytes.Replace(lines[i], []byte(`"`), []byte(`" `), 1)
			if err := os.WriteFile(file+".bad", bytes.Join(lines, []byte("\n")), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, problems, err := VerifyArchive(file+".bad", nil); err == nil && len(problems) == 0 {
				t.Error("a changed archive holds")
			}
		})
	}
}

// archiveUpTo archives the log up to an entry.
func (v *victim) archiveUpTo(file string, last uint64) {
	v.t.Helper()
	v.do(func(s *Session) {
		of := newVerification(s)
		of.told.keepAt = last
		report, err := of.verify()
		if err = cmp.Or(err, report.Err(s.v.path, "nothing was archived")); err != nil {
			v.t.Fatal(err)
		}
		var cp checkpoint
		err = s.view(func(t *tx) (err error) {
			if cp, err = of.cutOff(t); err != nil {
				return err
			}
			var walked error
			_, err = s.writeArchive(file, of.told.from, last, func(yield func(k, val []byte) bool) {
				for k, val := range t.ownLog(&walked) {
					if audit.Seq(k) > last || !yield(k, val) {
						return
					}
				}
			})
			return err
		})
		if err == nil {
			err = s.copyAnew(last, "", unchecked, func(t *tx) error {
				return errors.Join(t.log(audit.LogArchived, "vault", s.v.ID(), map[string]any{"last": last}), t.putCheckpoint(cp))
			})
		}
		if err != nil {
			v.t.Fatal(err)
		}
	})
}

// A restore over a damaged vault takes from its records which agents were revoked, even if its log cannot be read.
func TestARestoreSeesWhomADamagedVaultRevoked(t *testing.T) {
	t.Parallel()
	for format := keys.Format1; format <= keys.Format2; format++ {
		c := newCompanyIn(t, format)
		c.opts.oldFormat = format
		backup, end := c.backUp(), uint64(0)
		c.do(func(s *Session) {
			if err := s.view(func(t *tx) error { end = t.head.log.Seq; return nil }); err != nil {
				t.Fatal(err)
			}
			if _, err := s.RevokeAgent("mallory", NarrowOptions{}); err != nil {
				t.Fatal(err)
			}
		})
		var gone [][]byte // not with bbolt, which leaves old pages in the file
		c.edit(func(b func(string) *bbolt.Bucket) {
			gone = append(gone, bytes.Clone(b(bucketMeta).Get([]byte(metaHead))))
			for n := end + 1; ; n++ {
				v := b(bucketAudit).Get(audit.Key(n))
				if v == nil {
					return
				}
				gone = append(gone, bytes.Clone(v))
			}
		})
		raw := c.raw()
		for _, v := range gone {
			raw = bytes.ReplaceAll(raw, v, make([]byte, len(v)))
		}
		if err := os.WriteFile(c.path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		plan := c.restore(backup)
		c.do(func(s *Session) {
			list, err := s.Agents()
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range list {
				if a.ID == c.id["mallory"] && a.RevokedAt == nil {
					t.Errorf("format %d: mallory is back; the plan: %+v", format, plan)
				}
			}
		})
	}
}

// An agent issues a token, and signs another record for its id later: with more rights, or a later end. The log tells
// the key of the token, which its claims decide.
func TestATokenIsTheOneThatWasIssued(t *testing.T) {
	c := newCompany(t)
	var got Issued
	if err := c.honest("mallory", func(s *Session) {
		var err error
		if got, err = s.IssueToken(TokenSpec{Scopes: c.scopes("secrets:read:prod/mine/M"), TTL: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
	c.insider("mallory", func(s *Session, t *tx) error {
		var body tokenBody
		err := bodyOf(t, bucketTokens, []byte(got.ID), &body)
		claims, cerr := body.claims(c.vid, got.ID, c.id["mallory"])
		claims.Expires, claims.Scopes = claims.Expires.Add(time.Hour), c.scopes("secrets:*:prod/mine/*")
		signed, serr := claims.HeaderPayload()
		k := keys.TokenKey(s.grantee.secret, got.ID)
		secret := tokens.Signature(signed, k)
		to := keys.NewGrantee(secret)
		g, _, gerr := s.newGrant(claims.Scopes, tokens.Standard)
		old := body.Index
		g.JWTKey = k[:]
		body.HeaderPayload, body.Index, body.Pub = signed, to.Index[:], public(to.Sign)
		c.text["forged"] = tokens.TokenText(signed, secret)
		return errors.Join(err, cerr, serr, gerr, insert(t, bucketGrants, old, nil), t.putGrant(to, got.ID, g),
			t.put(bucketTokens, []byte(got.ID), true, body))
	})
	if got, err := c.read("forged", "prod/mine/M"); err != nil {
		t.Fatalf("the other token reads %q, %v", got, err)
	}
	c.finds("it is not the token that the log tells of")
	rekey(c) // nor does a rewrite give it new keys
	if got, err := c.read("forged", "prod/mine/M"); !errors.Is(err, ErrWrongKey) {
		t.Errorf("after a rewrite, the other token reads %q, %v", got, err)
	}
}

// A record has one form. An insider who makes another, with a MAC and its own signature that hold, is refused.
func TestARecordHasOneForm(t *testing.T) {
	const m = "prod/mine/M"
	head := func(t *tx) []byte {
		v, _ := t.get(bucketSecrets, []byte(m))
		r, _ := parseRecord(v)
		return bytes.Clone(r.body)
	}
	for name, make := range map[string]func(c *company, s *Session, t *tx) *stored{
		"in format 1": func(_ *company, _ *Session, t *tx) *stored {
			r := &stored{record: record{format: keys.Format1, by: t.by.id, body: head(t)}, bucket: bucketSecrets, key: []byte(m)}
			t.scratch = appendSigned(t.scratch[:0], t.Epoch, r.bucket, r.key, r.record)
			r.sig = ed25519.Sign(t.by.sign, t.scratch)
			t.finish(r)
			return r
		},
		"in format 3": func(_ *company, _ *Session, t *tx) *stored {
			r := t.newStored(t.by, bucketSecrets, []byte(m), true, head(t), nil)
			t.signAll([]*stored{r})
			r.value[0] = 3
			return r
		},
		"with data that its kind does not have": func(_ *company, _ *Session, t *tx) *stored {
			r := t.newStored(t.by, bucketSecrets, []byte(m), true, head(t), []byte("x"))
			t.signAll([]*stored{r})
			return r
		},
		"with its data in the body": func(c *company, s *Session, t *tx) *stored {
			made := c.made(s, t, m, 1, "x")
			body := append(made.body[:len(made.body)-1:len(made.body)-1], `,"sealed":"eA=="}`...)
			r := t.newStored(t.by, bucketVersions, made.key, true, body, made.data)
			t.signAll([]*stored{r})
			return r
		},
		"with its data in the body alone": func(c *company, s *Session, t *tx) *stored {
			made := c.made(s, t, m, 1, "x")
			body := append(made.body[:len(made.body)-1:len(made.body)-1], `,"sealed":"`+base64.StdEncoding.EncodeToString(made.data)+`"}`...)
			r := t.newStored(t.by, bucketVersions, made.key, true, body, nil)
			t.signAll([]*stored{r})
			return r
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompany(t)
			c.insider("mallory", func(s *Session, t *tx) error { return storeAll(t, make(c, s, t)) })
			_, err := c.read("mallory", m)
			c.check("mallory", err, ErrDamaged, "it is not a record")
			c.do(func(s *Session) {
				_, _, err := s.Get(c.p(m), 0)
				c.check("the owner", err, ErrDamaged, "it is not a record")
			})
			c.finds("it is not a record")
		})
	}
}

// An insider writes while an archive is made, after the vault was verified and before the checkpoint vouches for it.
func TestAnArchiveVouchesForNothingUnverified(t *testing.T) {
	const m, found = "prod/mine/M", "prod/mine/M version 2: its content is not what the log says was written"
	c := newCompany(t)
	var other []*stored
	c.insider("mallory", func(s *Session, t *tx) error {
		list := []*stored{c.made(s, t, m, 2, "evil"), c.madeHead(t, m, 2, "x")}
		other = []*stored{c.made(s, t, m, 2, "good")}
		t.signAll(other)
		return storeRoots(t, list, audit.Event{Type: audit.SecretUpdated, ResourceType: "secret", ResourceID: m,
			Metadata: map[string]any{"version": 2, "tier": tokens.Standard}})
	})
	c.finds("")
	c.do(func(s *Session) {
		of := newVerification(s)
		if report, err := of.verify(); err != nil || len(report.Problems) > 0 {
			t.Fatal(report.Problems, err)
		}
		if err := s.view(of.stillHolds); err != nil {
			t.Errorf("what is as it was: %v", err)
		}
		c.put(s, "dev/K", 0)
		if err := s.view(of.stillHolds); err != nil {
			t.Errorf("after an honest act: %v", err)
		}
		if err := s.commit(func(t *tx) error { return storeAll(t, other...) }); err != nil {
			t.Fatal(err)
		}
		c.check("after the swap", s.view(of.stillHolds), ErrDamaged, found)
	})
}

// What the log says of a version is held against all that the record says of itself.
func TestAVersionIsHeldAgainstTheStory(t *testing.T) {
	const began = 10
	p, err := tokens.ParsePath("a/K")
	if err != nil {
		t.Fatal(err)
	}
	here, there := inBatch{Root: "x", Leaf: 1}, inBatch{Root: "x", Leaf: 2}
	by := func(who string, where inBatch) placed { return placed{by: who, inBatch: where} }
	from := func(seq uint64, who string, unattested bool) *origin {
		return &origin{Seq: seq, By: who, Unattested: unattested}
	}
	const m = "agt_00000001"
	before := versionAt{Number: 1, Seq: 4, By: m, Sealed: 4}
	in := versionAt{Number: 1, Seq: 12, By: m, Sealed: 12, inBatch: here}
	anew := versionAt{Number: 1, Seq: 4, By: m, Sealed: 12, inBatch: here}
	first := versionAt{Number: 1, Seq: began, By: audit.Owner, Sealed: began, inBatch: here}
	for name, x := range map[string]struct {
		told  versionAt
		body  versionBody
		is    placed
		holds bool
	}{
		"written in this epoch":                      {in, versionBody{Seq: 12}, by(m, here), true},
		"at another place":                           {in, versionBody{Seq: 12}, by(m, there), false},
		"by another":                                 {in, versionBody{Seq: 12}, by("agt_00000002", here), false},
		"by the owner in another's name":             {in, versionBody{Seq: 12}, by(audit.Owner, here), false},
		"of another entry":                           {in, versionBody{Seq: 13}, by(m, here), false},
		"rewritten":                                  {before, versionBody{Seq: began, Origin: from(4, m, false)}, by(audit.Owner, there), true},
		"rewritten, and unattested":                  {before, versionBody{Seq: began, Origin: from(3, m, true)}, by(audit.Owner, there), true},
		"rewritten, by its author":                   {before, versionBody{Seq: began, Origin: from(4, m, false)}, by(m, there), false},
		"rewritten, with another entry":              {before, versionBody{Seq: 11, Origin: from(4, m, false)}, by(audit.Owner, there), false},
		"rewritten, with its own entry":              {before, versionBody{Seq: 4}, by(m, there), false},
		"rewritten, from another entry":              {before, versionBody{Seq: began, Origin: from(5, m, false)}, by(audit.Owner, there), false},
		"rewritten, from another author":             {before, versionBody{Seq: began, Origin: from(4, audit.Owner, false)}, by(audit.Owner, there), false},
		"sealed anew":                                {anew, versionBody{Seq: 12, Origin: from(4, m, false)}, by(audit.Owner, here), true},
		"sealed anew, by its author":                 {anew, versionBody{Seq: 12, Origin: from(4, m, false)}, by(m, here), false},
		"sealed anew, as it was before":              {anew, versionBody{Seq: began, Origin: from(4, m, false)}, by(audit.Owner, there), false},
		"sealed anew, at another place":              {anew, versionBody{Seq: 12, Origin: from(4, m, false)}, by(audit.Owner, there), false},
		"vouched for where the epoch begins":         {first, versionBody{Seq: began}, by(audit.Owner, here), true},
		"vouched for, at another place":              {first, versionBody{Seq: began}, by(audit.Owner, there), false},
		"not told of":                                {versionAt{}, versionBody{Seq: 12}, by(m, here), false},
		"not told of, where the epoch begins":        {versionAt{}, versionBody{Seq: began, Origin: from(4, m, false)}, by(audit.Owner, here), false},
		"not told of, and named by the rewrite":      {versionAt{}, versionBody{Seq: began, Origin: from(4, m, true)}, by(audit.Owner, here), true},
		"not told of, unattested, and not rewritten": {versionAt{}, versionBody{Seq: 11, Origin: from(4, m, true)}, by(audit.Owner, here), false},
		"not told of, unattested, by its author":     {versionAt{}, versionBody{Seq: began, Origin: from(4, m, true)}, by(m, here), false},
		"of an entry that does not hold":             {versionAt{}, versionBody{Seq: 15}, by(m, here), true},
	} {
		st := newStory(keys.NewRoot(keys.Key{1}))
		st.began, st.format, st.unclear = began, keys.Format2, []span{{15, 15}}
		if x.told.Number > 0 {
			st.records["a/K"] = &recordAt{Name: "a/K", Versions: []versionAt{x.told}}
		}
		x.body.by = x.is.by
		if err := st.version(p, 1, x.body, x.is); (err == nil) != x.holds {
			t.Errorf("%s: %v", name, err)
		}
		if x.told.Number == 0 || x.body.Origin != nil && x.told != before { // a head has no origin
			continue
		}
		st.records["a/K"] = &recordAt{Name: "a/K", Seq: x.told.Seq, By: x.told.By, Version: 1, Tier: tokens.Standard, inBatch: x.told.inBatch}
		origins := strings.HasPrefix(name, "rewritten, from")
		if err := st.head(p, secretBody{Seq: x.body.Seq, Version: 1, Tier: tokens.Standard}, x.is); (err == nil) != (x.holds || origins) {
			t.Errorf("a head, %s: %v", name, err)
		}
	}
}

// Where an entry puts the records that it tells of: versions, then heads, by key, sixteen to a root. It puts nothing
// where it lists no root, and nothing that it does not tell of.
func TestWhereAnEntryPutsRecords(t *testing.T) {
	names := []any{}
	ones := []any{}
	for _, c := range "JIHGFEDCBA" {
		names, ones = append(names, string(c)), append(ones, float64(1))
	}
	imported := audit.Event{Type: audit.SecretImported, ResourceID: "ns", Metadata: map[string]any{"keys": names, "versions": ones, "tiers": ones},
		Roots: []string{"r0", "r1"}}
	set := audit.Event{Type: audit.SecretUpdated, ResourceID: "ns/B", Metadata: map[string]any{"version": float64(3),
		"resealed": []any{map[string]any{"path": "ns/B", "version": float64(1)}}}, Roots: []string{"r0"}}
	deleted := audit.Event{Type: audit.SecretDeleted, ResourceID: "ns/B", Metadata: map[string]any{"version": float64(3)}, Roots: []string{"r0"}}
	purged := audit.Event{Type: audit.SecretPurged, ResourceID: "ns/B", Metadata: map[string]any{"version": float64(3)}, Roots: []string{"r0"}}
	mended := audit.Event{Type: audit.SecretMended, ResourceID: "ns/B", Metadata: map[string]any{"version": float64(4)}, Roots: []string{"r0"}}
	with := func(ev audit.Event, change func(*audit.Event)) audit.Event { change(&ev); return ev }
	for i, x := range []struct {
		ev   audit.Event
		head bool
		path string
		n    uint64
		want inBatch
	}{
		{imported, false, "ns/A", 1, inBatch{"r0", 0}},
		{imported, false, "ns/J", 1, inBatch{"r0", 9}},
		{imported, true, "ns/A", 0, inBatch{"r0", 10}},
		{imported, true, "ns/F", 0, inBatch{"r0", 15}},
		{imported, true, "ns/G", 0, inBatch{"r1", 0}},
		{imported, true, "ns/J", 0, inBatch{"r1", 3}},
		{imported, false, "ns/A", 2, inBatch{}},
		{imported, true, "ns/AA", 0, inBatch{}},
		{imported, true, "ns/Z", 0, inBatch{}},
		{with(imported, func(ev *audit.Event) { ev.Roots = ev.Roots[:1] }), true, "ns/F", 0, inBatch{"r0", 15}},
		{with(imported, func(ev *audit.Event) { ev.Roots = ev.Roots[:1] }), true, "ns/G", 0, inBatch{}},
		{with(imported, func(ev *audit.Event) { ev.Roots = nil }), true, "ns/A", 0, inBatch{}},
		{set, false, "ns/B", 1, inBatch{"r0", 0}},
		{set, false, "ns/B", 3, inBatch{"r0", 1}},
		{set, true, "ns/B", 0, inBatch{"r0", 2}},
		{deleted, false, "ns/B", 3, inBatch{}},
		{deleted, true, "ns/B", 0, inBatch{"r0", 0}},
		{purged, true, "ns/B", 0, inBatch{}},
		{purged, false, "ns/B", 3, inBatch{}},
		{mended, false, "ns/B", 4, inBatch{}},
		{mended, true, "ns/B", 0, inBatch{"r0", 0}},
		{with(mended, func(ev *audit.Event) { ev.Metadata = map[string]any{"version": float64(4), "from_version": float64(1)} }), true, "ns/B", 0,
			inBatch{"r0", 1}},
	} {
		bucket, key := bucketVersions, string(versionKeyOf(x.path, x.n))
		if x.head {
			bucket, key = bucketSecrets, x.path
		}
		if got := writtenBy(x.ev).place(bucket, key); got != x.want {
			t.Errorf("%d: %s %s version %d is put at %+v, want %+v", i, x.ev.Type, x.path, x.n, got, x.want)
		}
	}
}
