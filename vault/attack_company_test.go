package vault

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// The attacker of these tests (attack_grants, _tokens, _forgery, _approvals) is an
// insider: an agent or a token, with its key, the raw file, and this package
// without its checks. It has the epoch's MAC key, so it can make valid MACs, a valid
// digest and a valid head. The design promises what it still cannot do.
//
// The review of the design rejected some ideas. These tests keep them out:
//
//   - signatures above the standard tier only: TestWhatAGranteeMayNotWriteIsRefused
//   - a vault-wide clock: TestADateFarAheadIsFound
//   - grant keys that anyone can make: TestForgedGrants, TestForgedTokens
//   - a stanza that binds no context: TestCopiedCiphertextIsNotOpened
//   - an integrity key that survives revocation, an epoch per node: TestOldKeysOpenNothing
//   - keys that repeat after a purge, approvals of several files: TestAnApprovalOpensOneVersion
//   - a lock file that is deleted, text concatenated in a derivation: lock_test.go, vectors_test.go
//
// TestAVaultMadeForTheOwnerIsRefused covers a whole vault that an attacker makes for the
// owner's public key.

// company is a vault with agents and tokens in it.
type company struct {
	*victim
	vid    keys.VaultID
	secret map[string]keys.Key // of an agent or a token, by name
	id     map[string]string   // by name
	text   map[string]string   // of the tokens
}

var companyAgents = map[string]string{
	"reader":  "secrets:read:prod/app/*",
	"exact":   "secrets:read:prod/app/DB",
	"writer":  "secrets:write:prod/*",
	"deleter": "secrets:delete:prod/app/*",
	"mallory": "secrets:*:prod/mine/*",
}

var templates [newestFormat + 1]struct { // by format
	once sync.Once
	c    company
	raw  []byte
}

// newCompany returns a copy of a company that is built only once.
func newCompany(t *testing.T) *company { t.Helper(); return newCompanyIn(t, newestFormat) }

func newCompanyIn(t *testing.T, format int) *company {
	t.Helper()
	template := &templates[format]
	template.once.Do(func() { template.c, template.raw = buildCompany(t, format) })
	if template.raw == nil {
		t.Fatal("there is no company")
	}
	c := template.c
	c.secret, c.id, c.text = maps.Clone(c.secret), maps.Clone(c.id), maps.Clone(c.text)
	c.victim = &victim{t, filepath.Join(t.TempDir(), "vault.db"), c.owner, Options{MemoryDir: t.TempDir(), Throwaway: true}}
	if err := os.WriteFile(c.path, template.raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return &c
}

func buildCompany(t *testing.T, format int) (company, []byte) {
	c := company{victim: newVictimIn(t, Options{oldFormat: format}), secret: map[string]keys.Key{}, id: map[string]string{}, text: map[string]string{}}
	token := func(name string, s *Session, scopes string, tier tokens.Tier) {
		got, err := s.IssueToken(TokenSpec{Scopes: c.scopes(scopes), Tier: tier})
		if err != nil {
			t.Fatal(err)
		}
		parsed, _ := tokens.ParseToken(got.Text)
		c.secret[name], c.id[name], c.text[name] = parsed.Signature, got.ID, got.Text
	}
	c.do(func(s *Session) {
		c.vid = s.epoch.Vault
		for _, name := range slices.Sorted(maps.Keys(companyAgents)) {
			a, k, err := s.CreateAgent(AgentSpec{Name: name, Scopes: c.scopes(companyAgents[name])})
			if err != nil {
				t.Fatal(err)
			}
			c.secret[name], c.id[name] = k.Secret, a.ID
		}
		for _, path := range []string{"prod/app/DB", "prod/app/DB", "prod/app/deep/K", "prod/apple/K", "prod/TOP",
			"prod/mine/M", "dev/K"} {
			c.put(s, path, 0)
		}
		c.put(s, "prod/app/HR", tokens.Sensitive)
		c.put(s, "prod/app/CARD", tokens.Critical)
		c.put(s, "prod/mine/CRIT", tokens.Critical)
		token("owner's token", s, "secrets:*:prod/app/*", tokens.Sensitive)
	})
	c.honest("writer", func(s *Session) { // seals to published recipients: a node's, and the roots'
		c.put(s, "prod/app/W", 0)
		c.put(s, "prod/other/W", 0)
		c.put(s, "prod/app/WCARD", tokens.Critical)
	})
	c.honest("reader", func(s *Session) { token("reader's token", s, "secrets:read:prod/app/deep/*", 0) })
	c.honest("mallory", func(s *Session) { token("mallory's token", s, "secrets:*:prod/mine/M", 0) })
	if found := c.problems(); found != "" {
		t.Fatalf("before any attack:\n%s", found)
	}
	raw, err := os.ReadFile(c.path)
	if err != nil {
		t.Fatal(err)
	}
	return c, raw
}

const marker = "VALUE of "

// put sets a value that names its path, so that a test recognises the value anywhere.
func (c *company) put(s *Session, path string, tier tokens.Tier) {
	c.t.Helper()
	if _, _, err := s.Set(c.p(path), []byte(marker+path), SetOptions{Tier: tier}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *company) scopes(s string) tokens.Scopes {
	scopes, err := tokens.ParseScopes(s)
	if err != nil {
		c.t.Fatal(err)
	}
	return scopes
}

func (c *company) open(fn func(*Vault)) {
	c.t.Helper()
	opened, err := Open(c.path, c.opts)
	if err != nil {
		c.t.Fatal(err)
	}
	defer opened.Close()
	fn(opened)
}

// honest acts as an agent or a token through the program. If the program refuses the
// key, honest returns the error.
func (c *company) honest(who string, fn func(*Session)) (err error) {
	c.t.Helper()
	c.open(func(v *Vault) {
		var s *Session
		if text := c.text[who]; text != "" {
			s, err = v.Token(text)
		} else {
			s, err = v.Agent(tokens.AgentKey{Secret: c.secret[who], Vault: [4]byte(c.vid[:4])})
		}
		if err == nil {
			fn(s)
		}
	})
	return err
}

// read reads a secret through the program.
func (c *company) read(who, path string) (value string, err error) {
	c.t.Helper()
	kerr := c.honest(who, func(s *Session) {
		var b []byte
		_, b, err = s.Get(c.p(path), 0)
		value = string(b)
	})
	return value, errors.Join(kerr, err)
}

// insider acts with a grantee's keys and without the program's checks.
func (c *company) insider(who string, fn func(*Session, *tx) error) {
	c.t.Helper()
	c.open(func(v *Vault) {
		kind := audit.Agent
		if c.text[who] != "" {
			kind = audit.Token
		}
		s, _, err := v.granteeSession(c.secret[who], kind)
		if err == nil {
			err = s.commit(func(t *tx) error { return fn(s, t) })
		}
		if err != nil {
			c.t.Fatalf("the attack of %s itself: %v", who, err)
		}
	})
}

// insert stores a value as it is, and corrects the digest. If value is nil, insert
// removes the record.
func insert(t *tx, bucket string, k, value []byte) error {
	if _, err := t.forget(bucket, k); err != nil {
		return err
	}
	if value == nil {
		return t.b.Delete(bucket, k)
	}
	m := macOf(value)
	t.head.digest.add(t.digest(bucket, k, m[:]))
	t.head.count++
	t.changed.tally(bucket, standingIn(bucket, value), 1)
	return t.b.Put(bucket, k, value)
}

func (c *company) check(what string, err error, kind error, says string) {
	c.t.Helper()
	if !errors.Is(err, kind) || !strings.Contains(fmt.Sprint(err), says) {
		c.t.Errorf("%s: %v\nwant %v: … %s …", what, err, kind, says)
	}
}

func (c *company) finds(want string) {
	c.t.Helper()
	if found := c.problems(); want == "" && found != "" || !strings.Contains(found, want) {
		c.t.Errorf("the verification found:\n%s\nwant: %s", found, want)
	}
}

// place says where a version is stored.
type place struct {
	path    tokens.Path
	tier    tokens.Tier
	version uint64
}

// places lists the places of all versions. They are not secret: anybody who has the file
// can list them.
func (c *company) places() (list []place) {
	c.open(func(v *Vault) {
		err := v.db.Each(bucketVersions, func(k, value []byte) {
			var body versionBody
			r, _ := parseRecord(value)
			text, n, _ := cutVersionKey(k)
			if err := audit.DecodeStrict(r.body, &body); err != nil {
				c.t.Fatal(err)
			}
			list = append(list, place{c.p(text), body.Tier, n})
		})
		if err != nil {
			c.t.Fatal(err)
		}
	})
	return list
}

// own returns the keys that a session has before it derives any along a path.
func own(s *Session) map[keys.Key]bool {
	have := map[keys.Key]bool{s.grantee.Seal: true, s.grantee.secret: true, s.epoch.MAC: true, s.epoch.HeadKey(): true,
		s.epoch.DigestKey(): true}
	for _, n := range s.ring.Nodes {
		have[n.Key] = true
	}
	return have
}

// loot adds all keys that can be derived along a path, or along the end of it. It starts
// from every node, even if the keyring says that the node is not above the path.
func loot(s *Session, p tokens.Path) map[keys.Key]bool {
	have, segments := own(s), strings.Split(p.String(), "/")
	for _, n := range s.ring.Nodes {
		for from := range segments {
			k := n.Key
			for _, segment := range segments[from:] {
				have[keys.ChildKey(k, keys.KindSecret, segment)] = true
				k = keys.ChildKey(k, keys.KindNamespace, segment)
				have[k] = true
			}
		}
	}
	return have
}

// epoch returns the epoch of the vault with another number.
func (c *company) epoch(n uint32) (e keys.Epoch) {
	c.open(func(v *Vault) {
		s, err := v.Owner(c.owner)
		if err != nil {
			c.t.Fatal(err)
		}
		e = s.epoch
	})
	e.N = n
	return e
}

// keysTo returns every identity that a session can make from its keys, for every place
// in some epochs.
func (c *company) keysTo(s *Session, places []place, epochs ...uint32) (ids []age.Identity) {
	elsewhere := [][]byte{}
	for _, id := range c.id {
		elsewhere = append(elsewhere, keys.GrantContext(c.vid, id))
	}
	recipients := map[keys.Key]keys.PubWrap{}
	for _, n := range epochs {
		e := s.epoch
		e.N = n
		elsewhere = append(elsewhere, e.HeadContext(), binary.BigEndian.AppendUint32(append(keys.LP(nil, "epoch"),
			c.vid[:]...), n))
		for _, p := range places {
			ctx := e.VersionContext(p.tier, p.path, p.version)
			for k := range loot(s, p.path) {
				ids = append(ids, keys.KeyWrap{Key: k, Ctx: ctx})
			}
			for _, n := range s.ring.Nodes {
				above := []keys.Node{n}
				for text := p.path.Namespace().String(); text != ""; text = text[:max(0, strings.LastIndexByte(text, '/'))] {
					if at, ok := n.Derive(keys.Node{Tier: n.Tier, Kind: keys.KindNamespace, Path: text}); ok {
						above = append(above, at)
					}
				}
				for _, at := range above {
					if recipients[at.Key].Key == nil {
						recipients[at.Key] = keys.PubWrap{Key: keys.NodePrivate(at.Key)}
					}
				}
			}
			for _, w := range recipients {
				w.Ctx = ctx
				ids = append(ids, w)
			}
		}
	}
	for _, ctx := range elsewhere {
		for k := range own(s) {
			ids = append(ids, keys.KeyWrap{Key: k, Ctx: ctx})
		}
	}
	return ids
}

// blobs finds every age file in raw bytes, in records and in freed pages. In the meta
// bucket, age files are plain; elsewhere they are in base64.
func blobs(raw []byte) (found [][]byte) {
	const intro = "age-encryption.org/v1"
	for rest := raw; ; {
		i := bytes.Index(rest, []byte(intro))
		if i < 0 {
			break
		}
		if i >= 4 { // records have their length before them
			if n := binary.BigEndian.Uint32(rest[i-4:]); uint64(n) <= uint64(len(rest)-i) {
				found = append(found, rest[i:][:n])
			}
		}
		found, rest = append(found, rest[i:]), rest[i+1:]
	}
	for rest := raw; ; {
		i := bytes.Index(rest, []byte(base64.StdEncoding.EncodeToString([]byte(intro))))
		if i < 0 {
			return found
		}
		rest = rest[i:]
		end := bytes.IndexFunc(rest, func(r rune) bool {
			return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", r)
		})
		if b, err := base64.StdEncoding.DecodeString(string(rest[:max(end, 0)])); err == nil {
			found = append(found, b)
		}
		rest = rest[1:]
	}
}

// opened returns the plaintexts that some identities open in raw bytes.
func opened(raw []byte, ids []age.Identity) (plain []string) {
	for _, b := range blobs(raw) {
		if r, err := age.Decrypt(bytes.NewReader(b), ids...); err == nil {
			value, _ := io.ReadAll(r) // ignore the error: where a file in meta ends is not known
			plain = append(plain, string(value))
		}
	}
	slices.Sort(plain)
	return slices.Compact(plain)
}

func (c *company) raw() []byte {
	c.t.Helper()
	raw, err := os.ReadFile(c.path)
	if err != nil {
		c.t.Fatal(err)
	}
	return raw
}

// bodyOf reads the body of a record without checking its MAC or its author.
func bodyOf(t *tx, bucket string, k []byte, body any) error {
	value, err := t.get(bucket, k)
	if err != nil {
		return err
	}
	r, err := parseRecord(value)
	return errors.Join(err, audit.DecodeStrict(r.body, body))
}

// inChild runs a test in a child process, and reports whether this is that process. An
// endless loop then does not end the other tests too.
func inChild(t *testing.T) bool {
	t.Helper()
	if os.Getenv("ASS_TEST_CHILD") != "" {
		debug.SetMaxStack(16 << 20)
		return true
	}
	var run []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		run = append(run, "^"+regexp.QuoteMeta(part)+"$")
	}
	child := exec.Command(os.Args[0], "-test.run="+strings.Join(run, "/"), "-test.timeout=20s")
	child.Env = append(os.Environ(), "ASS_TEST_CHILD=1")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v: %.1200s", err, out)
	}
	return false
}
