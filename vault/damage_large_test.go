package vault

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/bolt"
)

// largeVault is a vault of some MiB. Every large bucket has branches on two levels, and the list
// of free pages takes more than one page.
type largeVault struct {
	t      *testing.T
	owner  *Identity
	path   string
	raw    []byte
	values map[string]string // by path
	w      bolt.Layout
	random *rand.Rand
}

func newLargeVault(t *testing.T) *largeVault {
	t.Helper()
	owner, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	l := &largeVault{t: t, owner: owner, path: filepath.Join(t.TempDir(), "vault.db"), values: map[string]string{},
		random: rand.New(rand.NewPCG(3, 4))}
	if _, err := Create(l.path, owner, Options{}); err != nil {
		t.Fatal(err)
	}
	v, err := Open(l.path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := v.Owner(owner)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 { // the second round frees the pages of the first
		err := s.update(func(t *tx) error {
			for i := range 1500 {
				p, err := tokens.ParsePath(fmt.Sprintf("large/%0120d/K", i))
				if err != nil {
					return err
				}
				value := fmt.Sprintf("value %d of %d %0300d", round, i, i)
				l.values[p.String()] = value
				plan, err := s.planWrite(t, p, SetOptions{})
				if err == nil {
					_, err = s.write(t, p, plan, []byte(value))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if l.raw, err = os.ReadFile(l.path); err != nil {
		t.Fatal(err)
	}
	if l.w, err = bolt.ReadLayout(l.path); err != nil || len(l.w.FreeIDs) == 0 {
		t.Fatal(len(l.w.FreeIDs), err)
	}
	return l
}

// some returns up to n random pages of a bucket: leaves, or branches with the bucket's root
// first.
func (l *largeVault) some(bucket string, leaf bool, n int) (ids []uint64) {
	for id, p := range l.w.Pages {
		if p.Bucket == bucket && p.Leaf == leaf {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	if root := l.w.Roots[bucket]; !leaf {
		ids = append([]uint64{root}, slices.DeleteFunc(ids, func(id uint64) bool { return id == root })...)
		n--
		l.random.Shuffle(len(ids)-1, func(i, j int) { ids[1+i], ids[1+j] = ids[1+j], ids[1+i] })
		return ids[:min(len(ids), n+1)]
	}
	l.random.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids[:min(len(ids), n)]
}

// near returns the path of a secret whose reading needs a record on the page or below it, and
// the index of that record on its page. The path is "" in buckets other than those of secrets
// and versions.
func (l *largeVault) near(id uint64) (path string, i int) {
	for !l.w.Pages[id].Leaf {
		id = l.w.Pages[id].Child(0)
	}
	b := l.raw[id*bolt.PageSize:]
	for i := range l.w.Pages[id].Keys {
		k := pageKey(b, i)
		if l.w.Pages[id].Bucket == bucketSecrets {
			return string(k), i
		}
		if path, n, ok := cutVersionKey(k); ok && n == 2 && l.w.Pages[id].Bucket == bucketVersions {
			return path, i
		}
	}
	return "", 0
}

// needed reports whether every command reads the page, or reading the path that is near does.
// Of the log, commands read only the way to its end, so only its root counts.
func (l *largeVault) needed(id uint64) bool {
	return l.w.Pages[id].Bucket != bucketAudit || id == l.w.Roots[bucketAudit]
}

// hurt is one damage. A step that needs the damaged bytes must refuse them. If no step needs
// them, the damage may go unnoticed.
type hurt struct {
	name    string
	page    bool   // one of many pages of a bucket
	near    string // a path that lies there, or ""
	refused bool   // whether opening the vault or reading that path must fail
	works   bool   // whether every step must succeed
	do      func(b []byte) []byte
}

func (l *largeVault) hurts(all bool) (hurts []hurt) {
	many := 1
	if all {
		many = 4
	}
	add := func(name string, id uint64, refused bool, do func(page []byte)) {
		path, _ := l.near(id)
		hurts = append(hurts, hurt{name: fmt.Sprintf("page %d of %q: %s", id, l.w.Pages[id].Bucket, name), page: true,
			near: path, refused: refused && l.needed(id), do: func(b []byte) []byte {
				do(b[id*bolt.PageSize:])
				return b
			}})
	}
	put32 := func(at int, v uint32) func([]byte) { return func(b []byte) { order.PutUint32(b[at:], v) } }
	put16 := func(at int, v uint16) func([]byte) { return func(b []byte) { order.PutUint16(b[at:], v) } }
	leafOf := func(bucket string) uint64 { return l.some(bucket, true, 1)[0] }

	for _, bucket := range []string{bucketVersions, bucketSecrets, bucketAudit} {
		for _, id := range l.some(bucket, false, 1+many) {
			p := l.w.Pages[id]
			to := func(child uint64) func([]byte) {
				return func(b []byte) { order.PutUint64(b[pageHeader+8:], child) }
			}
			toAll := func(child uint64) func([]byte) {
				return func(b []byte) {
					for i := range p.Keys {
						order.PutUint64(b[pageHeader+i*elemSize+8:], child)
					}
				}
			}
			second := p.Child(1)
			other := map[string]string{bucketVersions: bucketSecrets, bucketSecrets: bucketVersions,
				bucketAudit: bucketVersions}[bucket]
			for name, child := range map[string]uint64{
				"itself": id, "the root of its bucket": l.w.Roots[bucket], "the root": l.w.Root, "the list of free pages": l.w.Free,
				"a meta page":    1,
				"another bucket": leafOf(other), "the root of another bucket": l.w.Roots[other],
				"the page of its neighbour": second,
				"a free page":               l.w.FreeIDs[0], "nowhere": 1 << 60,
				"behind the end": uint64(len(l.raw) / bolt.PageSize),
			} {
				add("its first points to "+name, id, true, to(child))
				if name == "itself" || name == "the root of its bucket" || all {
					add("all of it points to "+name, id, true, toAll(child))
				}
			}
			add("its count is one more", id, true, put16(10, uint16(p.Keys+1)))
			add("its count is one less", id, true, put16(10, uint16(p.Keys-1)))
			add("its count is nothing", id, true, put16(10, 0))
			add("its count is huge", id, true, put16(10, math16))
			add("it says that it is a leaf", id, true, put16(8, leafPage))
			add("it says that it is a list of free pages", id, true, put16(8, freePage))
			add("its key reaches out of it", id, true, put32(pageHeader+4, 1<<30))
			add("its key is at another place", id, true, put32(pageHeader, 1<<31))
			add("it flows over", id, true, put32(12, uint32(p.More)+1))
			add("it flows over the end", id, true, put32(12, 1<<31))
			add("the first byte of a key flipped", id, true, func(b []byte) { pageKey(b, 0)[0] ^= 1 })
		}
		// The branch says that the page below begins later than it does. The way to the first
		// path of that page then leads to the page before it.
		for _, id := range l.some(bucket, false, 1+many) {
			p := l.w.Pages[id]
			for i := 1; i < p.Keys && i <= many; i++ {
				first := pageKey(l.raw[id*bolt.PageSize:], i)
				path, n, ok := cutVersionKey(first)
				if bucket == bucketSecrets {
					path, n, ok = string(first), 2, true
				}
				if ok {
					hurts = append(hurts, hurt{name: fmt.Sprintf("page %d of %q: it says that page %d below begins later", id, bucket,
						i), page: i > 1, near: path, refused: n <= 2, do: func(b []byte) []byte {
						k := pageKey(b[id*bolt.PageSize:], i)
						k[len(path)-1]++
						return b
					}})
				}
			}
		}
		for _, id := range l.some(bucket, true, many) {
			p := l.w.Pages[id]
			last := pageHeader + (p.Keys-1)*elemSize
			add("its value reaches out of it", id, true, put32(last+12, 1<<31-1))
			add("its key is huge", id, true, put32(last+8, 1<<31))
			add("its key is at another place", id, true, put32(pageHeader+4, 8))
			add("its value is a bucket", id, false, put32(pageHeader, bucketLeaf)) // that record alone is refused
			add("its count is one less", id, true, put16(10, uint16(p.Keys-1)))
			add("its count is huge", id, true, put16(10, math16))
			add("it flows over", id, true, put32(12, uint32(p.More)+1))
			add("it flows over the end", id, true, put32(12, 1<<32-1))
			add("it is a branch", id, true, put16(8, branchPage))
			// The flipped bit is in a digit of the last path, so the keys stay in order.
			add("a bit of a key flipped", id, bucket == bucketSecrets,
				func(b []byte) { k := pageKey(b, p.Keys-1); k[len(k)-1-9*b2i(bucket == bucketVersions)] ^= 1 })
			add("a bit of a value flipped", id, true, func(b []byte) { _, i := l.near(id); pageValue(b, i)[60] ^= 1 })
		}
	}
	// These are all kinds of pages, damaged as disks damage them.
	ids := []uint64{l.w.Root, l.w.Free}
	for _, bucket := range []string{bucketVersions, bucketSecrets, bucketAudit} {
		ids = append(append(ids, l.some(bucket, false, 1+many)...), l.some(bucket, true, many)...)
	}
	pages := uint64(len(l.raw) / bolt.PageSize)
	for _, id := range ids {
		near := ""
		if id != l.w.Free && id != l.w.Root {
			near, _ = l.near(id)
		}
		put := func(name string, refused bool, do func(b, page []byte)) {
			hurts = append(hurts, hurt{name: fmt.Sprintf("page %d of %q: %s", id, l.w.Pages[id].Bucket, name), page: true,
				near: near, refused: refused, do: func(b []byte) []byte {
					do(b, b[id*bolt.PageSize:][:bolt.PageSize])
					return b
				}})
		}
		needed := id == l.w.Free || id == l.w.Root || l.needed(id)
		put("zeroed", needed, func(_, page []byte) { clear(page) })
		put("full of ones", needed, func(_, page []byte) {
			for i := range page {
				page[i] = 0xff
			}
		})
		put("swapped with the next", needed, func(b, page []byte) {
			next := b[(id+1)%pages*bolt.PageSize:][:bolt.PageSize]
			for i := range page {
				page[i], next[i] = next[i], page[i]
			}
		})
		put("replaced by the one before", needed, func(b, page []byte) { copy(page, b[(id-1)*bolt.PageSize:]) })
		put("half of it zeroed", false, func(_, page []byte) { clear(page[bolt.PageSize/2:]) })
		for range many {
			at := l.random.IntN(bolt.PageSize)
			put(fmt.Sprintf("byte %d flipped", at), false, func(_, page []byte) { page[at] ^= 1 << l.random.IntN(8) })
		}
		cut := func(name string, n uint64) {
			hurts = append(hurts, hurt{name: name, refused: true, do: func(b []byte) []byte { return b[:n] }})
		}
		cut(fmt.Sprintf("cut at page %d", id), id*bolt.PageSize)
		cut(fmt.Sprintf("cut in the middle of page %d", id), id*bolt.PageSize+bolt.PageSize/2)
	}
	// The list of free pages.
	free := func(name string, do func(list []byte)) {
		hurts = append(hurts, hurt{name: "list of free pages: " + name, refused: true, do: func(b []byte) []byte {
			do(b[l.w.Free*bolt.PageSize:])
			return b
		}})
	}
	noSum := func(list []byte) {
		clear(list[(uint64(order.Uint32(list[12:]))+1)*bolt.PageSize-freeSum:][:freeSum])
	}
	live := func(list []byte) { // it names a page in use, in order
		for i := range len(l.w.FreeIDs) - 1 {
			if n := l.w.FreeIDs[i] + 1; n < l.w.FreeIDs[i+1] && l.w.Pages[n].Keys > 0 {
				copy(list[pageHeader+8*(i+1):], u64LE(n))
				return
			}
		}
		l.t.Fatal("no page in use lies behind a free one")
	}
	free("it names a page in use", live)
	free("it names a page in use, and has no sum", func(b []byte) { live(b); noSum(b) })
	free("out of order, without a sum", func(b []byte) {
		order.PutUint64(b[pageHeader:],
			order.Uint64(b[pageHeader+16:]))
		noSum(b)
	})
	free("it names page 0, without a sum", func(b []byte) { order.PutUint64(b[pageHeader:], 0); noSum(b) })
	free("it names itself, without a sum", func(b []byte) { order.PutUint64(b[pageHeader:], l.w.Free); noSum(b) })
	free("a huge count", put16(10, math16))
	free("a huge count behind a huge count", func(b []byte) {
		order.PutUint16(b[10:],
			math16)
		order.PutUint64(b[pageHeader:], 1<<62)
	})
	free("it flows over", put32(12, 9))
	free("it flows over the end", put32(12, 1<<32-1))
	free("it is a leaf", put16(8, leafPage))
	hurts = append(hurts, hurt{name: "list of free pages: no sum", works: true,
		do: func(b []byte) []byte { noSum(b[l.w.Free*bolt.PageSize:]); return b }})
	hurts = append(hurts, hurt{name: "list of free pages: a wrong sum", works: true, do: func(b []byte) []byte {
		b[(l.w.Free+1+uint64(order.Uint32(b[l.w.Free*bolt.PageSize+12:])))*bolt.PageSize-1] ^= 1
		return b
	}})
	// The two meta pages, and the end of the file.
	newer := l.w.TxID % 2
	meta := func(name string, refused, works bool, do func(newer, older []byte)) {
		hurts = append(hurts, hurt{name: name, refused: refused, works: works, do: func(b []byte) []byte {
			do(b[newer*bolt.PageSize:][:bolt.PageSize], b[(1-newer)*bolt.PageSize:][:bolt.PageSize])
			return b
		}})
	}
	meta("newer meta page zeroed", true, false, func(n, _ []byte) { clear(n) })
	meta("older meta page zeroed", false, true, func(_, o []byte) { clear(o) })
	meta("both meta pages zeroed", true, false, func(n, o []byte) { clear(n); clear(o) })
	meta("meta pages swapped", true, false, func(n, o []byte) {
		for i := range n {
			n[i], o[i] = o[i], n[i]
		}
	})
	meta("newer meta page replaced by the older", true, false, func(n, o []byte) { copy(n, o) })
	meta("older meta page replaced by the newer", true, false, func(n, o []byte) { copy(o, n) })
	hurts = append(hurts, hurt{name: "newer meta page swapped with the list of free pages", refused: true,
		do: func(b []byte) []byte {
			meta, list := b[newer*bolt.PageSize:][:bolt.PageSize], b[l.w.Free*bolt.PageSize:][:bolt.PageSize]
			for i := range meta {
				meta[i], list[i] = list[i], meta[i]
			}
			return b
		}})
	for i := range pageHeader + 64 {
		if all || i%8 == 3 {
			meta(fmt.Sprintf("newer meta page: byte %d flipped", i), i >= pageHeader, false,
				func(n, _ []byte) { n[i] ^= 1 << l.random.IntN(8) })
			meta(fmt.Sprintf("older meta page: byte %d flipped", i), false, i >= pageHeader,
				func(_, o []byte) { o[i] ^= 1 << l.random.IntN(8) })
		}
	}
	hurts = append(hurts,
		hurt{name: "junk behind the end", works: true, do: func(b []byte) []byte {
			return append(b, bytes.Repeat([]byte{0xa5},
				3*bolt.PageSize+17)...)
		}},
		hurt{name: "old pages behind the end", works: true, do: func(b []byte) []byte {
			return append(b,
				b[2*bolt.PageSize:64*bolt.PageSize]...)
		}},
	)
	return hurts
}

const math16 = 1<<16 - 1

func u64LE(n uint64) []byte { b := make([]byte, 8); order.PutUint64(b, n); return b }

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestDamageLarge is TestDamage with targeted damage, in a vault that is larger than any limit.
func TestDamageLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	if UnderRace {
		t.Skip("it takes too long, and nothing here runs at once")
	}
	l := newLargeVault(t)
	all := flag.Lookup("damage-all").Value.String() == "true"
	hurts := l.hurts(all)
	if !all { // all damage that is rare, and some that is on many pages
		l.random.Shuffle(len(hurts), func(i, j int) { hurts[i], hurts[j] = hurts[j], hurts[i] })
		slices.SortStableFunc(hurts, func(a, b hurt) int { return b2i(a.page) - b2i(b.page) })
		hurts = hurts[:min(len(hurts), 60)]
	}
	if testing.Verbose() {
		kinds := map[string]int{}
		for _, p := range l.w.Pages {
			kinds[fmt.Sprintf("%s leaf=%t", p.Bucket, p.Leaf)]++
		}
		t.Logf("%d pages, %d free ones in %d bytes, %v", len(l.raw)/bolt.PageSize, len(l.w.FreeIDs), 8*len(l.w.FreeIDs),
			kinds)
	}
	outcomes := map[string]int{}
	for _, h := range hurts {
		if err := os.WriteFile(l.path, h.do(bytes.Clone(l.raw)), 0o600); err != nil {
			t.Fatal(err)
		}
		outcome := l.use(h, all)
		outcomes[outcome]++
		if h.refused && outcome == nothingHurt || h.works && outcome != nothingHurt {
			t.Errorf("%s: %s", h.name, outcome)
		}
	}
	for outcome, n := range outcomes {
		t.Logf("%5d times: %s", n, outcome)
	}
}

const nothingHurt = "nothing that counts was hurt: every value is right"

// use uses a damaged vault as people do. Each step returns the right values or ErrDamaged. use
// returns nothingHurt, or the first step that was refused.
func (l *largeVault) use(h hurt, all bool) string {
	l.t.Helper()
	refused := ""
	check := func(step string, err error) bool {
		if err != nil && !errors.Is(err, ErrDamaged) {
			l.t.Errorf("%s: %s: %v (%T)", h.name, step, err, err)
		}
		if err != nil && refused == "" {
			refused = "refused: " + step
		}
		return err == nil
	}
	// A reader comes first, because it needs no list of free pages.
	if v, err := Open(l.path, Options{ReadOnly: true}); check("opening", err) {
		if s, err := v.Owner(l.owner); check("the owner's key", err) {
			if list, err := s.List(tokens.Namespace{}, false); check("listing", err) && len(list) != len(l.values) {
				l.t.Errorf("%s: %d secrets are listed of %d", h.name, len(list), len(l.values))
			}
			_, err = s.Info()
			check("info", err)
			_, err = s.Log(3, nil)
			check("log", err)
			if all {
				_, err = s.Verify(false)
				check("verifying", err)
			}
		}
		v.Close()
	}
	v, err := Open(l.path, Options{})
	if !check("opening to write", err) {
		return refused
	}
	defer v.Close()
	s, err := v.Owner(l.owner)
	if !check("the owner's key", err) {
		return refused
	}
	paths := []string{fmt.Sprintf("large/%0120d/K", 7), fmt.Sprintf("large/%0120d/K", 1499)}
	if h.near != "" {
		paths = append([]string{h.near}, paths...)
	}
	get := func(step string) {
		for _, path := range paths {
			p, err := tokens.ParsePath(path)
			if err != nil {
				l.t.Fatal(err)
			}
			if _, value, err := s.Get(p, 0); check(step, err) && string(value) != l.values[path] {
				l.t.Errorf("%s: %s is another value", h.name, path)
			}
		}
	}
	get("reading")
	p, err := tokens.ParsePath(fmt.Sprintf("large/%0120d/NEW", 700))
	if err != nil {
		l.t.Fatal(err)
	}
	_, _, err = s.Set(p, []byte("x"), SetOptions{})
	check("writing", err)
	err = s.commit(func(t *tx) error { // what many commands do on the way
		return errors.Join(t.remove(bucketSecrets, secretBucketKey(p)), t.log(audit.SecretPurged, "secret", p.String(), nil))
	})
	check("removing", err)
	get("reading again")
	if refused == "" {
		return nothingHurt
	}
	return refused
}
