package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"
	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/bolt"
	"ass/vault/internal/keys"
)

// These attacks are on a salvage, which reads a damaged file, and on a restore, which puts
// a backup back.

// backUp makes a backup, verifies it, and returns its name.
func (v *victim) backUp() string {
	v.t.Helper()
	file := filepath.Join(v.t.TempDir(), "backup.db")
	var b Backup
	v.do(func(s *Session) {
		var err error
		if b, err = s.BackUp(file); err != nil {
			v.t.Fatal(err)
		}
	})
	if _, err := b.Verify(v.owner, Options{}); err != nil {
		v.t.Fatal(err)
	}
	return file
}

func (v *victim) restore(file string) Restoration {
	v.t.Helper()
	plan, err := PlanRestore(v.path, file, v.owner, v.opts)
	if err == nil {
		plan, err = Restore(v.path, file, v.owner, plan, v.opts)
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return plan
}

// headless zeroes bbolt's two meta pages.
func (v *victim) headless() {
	v.t.Helper()
	v.raw(func(b []byte) []byte { clear(b[:2*bolt.PageSize]); return b })
}

func (v *victim) raw(fn func([]byte) []byte) {
	v.t.Helper()
	b, err := os.ReadFile(v.path)
	if err == nil {
		err = os.WriteFile(v.path, fn(b), 0o600)
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *victim) agent(name string) (id string, k tokens.AgentKey) {
	v.t.Helper()
	scopes, err := tokens.ScopesOf([]string{"secrets:*:a/*"})
	if err != nil {
		v.t.Fatal(err)
	}
	v.do(func(s *Session) {
		a, key, err := s.CreateAgent(AgentSpec{Name: name, Scopes: scopes})
		if err != nil {
			v.t.Fatal(err)
		}
		id, k = a.ID, key
	})
	return id, k
}

func (v *victim) revoke(id string) {
	v.t.Helper()
	v.do(func(s *Session) {
		if _, err := s.RevokeAgent(id, NarrowOptions{}); err != nil {
			v.t.Fatal(err)
		}
	})
}

// opens reports whether an agent's key reads a/K.
func (v *victim) opens(k tokens.AgentKey) bool {
	v.t.Helper()
	opened, err := Open(v.path, v.opts)
	if err != nil {
		v.t.Fatal(err)
	}
	defer opened.Close()
	s, err := opened.Agent(k)
	if err == nil {
		_, _, err = s.Get(v.p("a/K"), 0)
	}
	return err == nil
}

// forge puts an unsigned entry into the log, in the owner's name. If it comes after a gap,
// it cannot be checked.
func (v *victim) forge(at uint64, ev audit.Event) {
	v.t.Helper()
	ev.ID, ev.ActorID, ev.ActorType = "x", audit.Owner, audit.Human
	if ev.Metadata == nil {
		ev.Metadata = map[string]any{}
	}
	body, err := json.Marshal(ev)
	if err != nil {
		v.t.Fatal(err)
	}
	value := keys.LP(keys.LP(keys.LP(nil, audit.Owner), body), make([]byte, ed25519.SignatureSize))
	v.give(bucketAudit, audit.Key(at), append(value, make([]byte, audit.MACSize)...))
}

// holds has the agents with these keys write to the vault, and then verifies it: the log
// must know the agents as authors.
func (v *victim) holds(keys ...tokens.AgentKey) {
	v.t.Helper()
	for i, k := range keys {
		opened, err := Open(v.path, v.opts)
		if err != nil {
			v.t.Fatal(err)
		}
		s, err := opened.Agent(k)
		if err == nil {
			_, _, err = s.Set(v.p(fmt.Sprint("a/BY_", i)), []byte("x"), SetOptions{})
		}
		if err = errors.Join(err, opened.Close()); err != nil {
			v.t.Errorf("agent %d: %v", i, err)
		}
	}
	if found := v.problems(); found != "" {
		v.t.Error(found)
	}
}

// If the revocation of an agent can be read, an unsigned entry does not bring the agent
// back. Nor does it bring back a replaced key or a lower tier.
func TestForgedEntriesGiveNoRights(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	serial := func(n float64) map[string]any {
		return map[string]any{"name": "x", "serial": n, "namespaces": []string{}, "scopes": []string{"secrets:*:*"}}
	}
	for name, ev := range map[string]audit.Event{
		"created":                    {Type: audit.AgentCreated, Metadata: serial(1)},
		"another key":                {Type: audit.AgentKeyRotated, Metadata: serial(1)},
		"many keys later":            {Type: audit.AgentKeyRotated, Metadata: serial(math.MaxUint32)},
		"a key that is no number":    {Type: audit.AgentKeyRotated, Metadata: serial(-1)},
		"a key that is no whole one": {Type: audit.AgentKeyRotated, Metadata: serial(1.5)},
		"more keys than can be":      {Type: audit.AgentKeyRotated, Metadata: serial(1e300)},
		"the tier of a secret": {Type: audit.SecretUpdated, ResourceID: "a/K", Metadata: map[string]any{"version": 4,
			"tier": "standard"}},
		"the purge of a secret":        {Type: audit.SecretPurged, ResourceID: "a/K"},
		"a revocation named as secret": {Type: audit.AgentRevoked, ResourceID: "a/K"},
		"an issue of a token": {Type: audit.TokenIssued, ResourceID: "8c0f4bb4-9c0a-4a6b-8a38-1f2b6b0f1f11",
			Metadata: map[string]any{"public_key": make([]byte, 32), "scopes": []string{"secrets:*:*"}}},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			id, stolen := v.agent("goes")
			turned, old := v.agent("turns")
			file := v.backUp()
			v.do(func(s *Session) {
				if _, _, err := s.Set(v.p("a/K"), []byte("critical"), SetOptions{Tier: tokens.Critical}); err != nil {
					t.Fatal(err)
				}
				if _, _, err := s.RotateAgentKey(turned, NarrowOptions{}); err != nil {
					t.Fatal(err)
				}
			})
			v.revoke(id)
			for _, about := range []string{id, turned} {
				e := ev
				if e.ResourceID == "" {
					e.ResourceID = about
				}
				v.forge(v.end()+2, e)
				v.remove(bucketAgents, []byte(about)) // so that only the log tells of the agent
			}
			v.compact()
			v.headless()
			plan := v.restore(file)
			if plan.KeepsLog {
				t.Fatal("the forged entry was not seen, so this proves nothing")
			}
			for what, k := range map[string]tokens.AgentKey{"revoked": stolen, "replaced": old} {
				opened, err := Open(v.path, v.opts)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := opened.Agent(k); err == nil {
					t.Errorf("the key that was %s opens the vault again", what)
				}
				opened.Close()
			}
			v.do(func(s *Session) {
				if h, _, err := s.History(v.p("a/K")); err != nil || h.Tier != tokens.Critical {
					t.Errorf("the tier went back to %s: %v", h.Tier, err)
				}
				// The next key of an agent is a new one.
				if _, k, err := s.RotateAgentKey(turned, NarrowOptions{}); err == nil && k == old {
					t.Error("the key that was replaced came back with the next one")
				}
			})
			v.holds()
		})
	}
}

// end returns the number of the last log entry. It does not trust the head.
func (v *victim) end() (seq uint64) {
	v.edit(func(b func(string) *bbolt.Bucket) {
		k, _ := b(bucketAudit).Cursor().Last()
		seq = audit.Seq(k)
	})
	return seq
}

// An attacker takes a record out of a backup while it is restored. The restore fails, or has the record.
func TestRestoreOfWhatIsThinnedMeanwhile(t *testing.T) {
	t.Parallel()
	missed := 0
	for call := 1; ; call++ {
		v := newVictim(t)
		file := v.backUp()
		thin := &victim{t, filepath.Join(t.TempDir(), "thin.db"), v.owner, Options{}}
		whole, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(thin.path, whole, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		thin.remove(bucketVersions, versionKey(v.p("a/K"), 1))
		thin.compact()
		changed, err := os.ReadFile(thin.path)
		if err != nil || len(bytes.TrimRight(changed, "\x00")) > len(whole) {
			t.Fatalf("the file grew from %d bytes to %d: %v", len(whole), len(changed), err)
		}
		changed = changed[:len(whole)]
		plan, err := PlanRestore(v.path, file, v.owner, v.opts)
		if err != nil {
			t.Fatal(err)
		}
		calls, o := 0, v.opts
		o.Now = func() time.Time {
			if calls++; calls == call {
				f, err := os.OpenFile(file, os.O_RDWR, 0)
				if err == nil {
					_, err = f.WriteAt(changed, 0)
					err = errors.Join(err, f.Close())
				}
				if err != nil {
					t.Error(err)
				}
			}
			return time.Now()
		}
		_, err = Restore(v.path, file, v.owner, plan, o)
		if calls < call {
			break
		}
		if errors.Is(err, ErrDamaged) {
			missed++
		}
		v.do(func(s *Session) {
			if _, _, gone := s.Get(v.p("a/K"), 1); gone != nil {
				t.Errorf("call %d: the restore ended with %v; then: %v", call, err, gone)
			}
		})
	}
	if missed == 0 {
		t.Error("no restore has missed the record")
	}
}

// An attacker puts records from an older copy into a damaged file. If the log says that an
// agent was revoked, neither a restore nor a salvage brings the agent back.
func TestOldRecordsInADamagedFile(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"restore", "salvage", "salvage of a log with a hole"} {
		t.Run(way, func(t *testing.T) {
			v := newVictim(t)
			file := v.backUp()
			v.do(func(s *Session) { v.set(s, "a/K", "another") })
			hole := audit.Key(v.end())
			id, stolen := v.agent("late") // created after the backup
			old := map[string][]byte{
				metaEpoch: v.take(bucketMeta, []byte(metaEpoch)),
				id:        v.take(bucketAgents, []byte(id)),
			}
			v.revoke(id)
			v.edit(func(b func(string) *bbolt.Bucket) {
				for k, value := range old {
					bucket := bucketAgents
					if k == metaEpoch {
						bucket = bucketMeta
					}
					if err := b(bucket).Put([]byte(k), value); err != nil {
						t.Fatal(err)
					}
				}
			})
			if strings.HasSuffix(way, "hole") {
				v.remove(bucketAudit, hole)
			}
			v.compact()
			v.headless()
			if way == "restore" {
				v.restore(file)
			} else {
				to := filepath.Join(t.TempDir(), "new.db")
				r, err := Salvage(v.path, to, v.owner, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if (r.LogFile != "") != strings.HasSuffix(way, "hole") {
					t.Errorf("the log was written to %q", r.LogFile)
				}
				if !slices.ContainsFunc(r.Lost, func(s string) bool {
					return strings.Contains(s,
						id+": the log says that it was revoked")
				}) {
					t.Errorf("the record that was put back was not seen, so this proves nothing: %q", r.Lost)
				}
				v.path = to
			}
			opened, err := Open(v.path, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer opened.Close()
			if _, err := opened.Agent(stolen); err == nil {
				t.Error("an agent that was revoked opens the vault again")
			}
		})
	}
}

// If an attacker puts the key and the records of the previous epoch into a damaged file, the
// log still says which key an agent has. Neither a restore nor a salvage revives the key before.
func TestAReplacedKeyIsNotRevived(t *testing.T) {
	for _, way := range []string{"restore", "salvage"} {
		t.Run(way, func(t *testing.T) {
			v := newVictim(t)
			file := v.backUp()
			id, stolen := v.agent("late") // created after the backup
			epoch, record := v.take(bucketMeta, []byte(metaEpoch)), v.take(bucketAgents, []byte(id))
			v.do(func(s *Session) {
				if _, _, err := s.RotateAgentKey(id, NarrowOptions{}); err != nil {
					t.Fatal(err)
				}
			})
			v.give(bucketMeta, []byte(metaEpoch), epoch)
			v.give(bucketAgents, []byte(id), record)
			v.compact()
			v.headless()
			if way == "restore" {
				v.restore(file)
			} else {
				to := filepath.Join(t.TempDir(), "new.db")
				r, err := Salvage(v.path, to, v.owner, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if want := id + ": the log says that its key was rotated"; !slices.Contains(r.Lost, want) {
					t.Errorf("lost: %q, want %q", r.Lost, want)
				}
				v.path = to
			}
			v.opts = Options{}
			if v.opens(stolen) {
				t.Error("the key that was replaced opens the vault again")
			}
		})
	}
}

// If a gap in the log may be about an agent, a salvage still keeps the agent.
func TestSalvageKeepsAgentsBehindAHole(t *testing.T) {
	v := newVictim(t)
	_, k := v.agent("worker")
	created := v.end()
	v.restore(v.backUp()) // makes a checkpoint, which lists the agent
	v.remove(bucketAudit, audit.Key(created))
	v.compact()
	to := filepath.Join(t.TempDir(), "new.db")
	r, err := Salvage(v.path, to, v.owner, Options{})
	if err != nil || r.LogFile == "" || r.Agents != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	v.path, v.opts = to, Options{}
	v.holds(k)
}

// compact removes the data in pages that bbolt freed.
func (v *victim) compact() {
	v.t.Helper()
	clean := filepath.Join(v.t.TempDir(), "clean.db")
	src, err := bbolt.Open(v.path, 0o600, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	dst, err := bbolt.Open(clean, 0o600, &bbolt.Options{PageSize: bolt.PageSize})
	if err == nil {
		err = bbolt.Compact(dst, src, 0)
	}
	if err = errors.Join(err, src.Close(), dst.Close()); err == nil {
		err = os.Rename(clean, v.path)
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

// because returns the reason that the newest entry of an event about an agent has.
func (v *victim) because(event, agent string) (why string) {
	v.do(func(s *Session) {
		entries, err := s.Log(1, func(e audit.Event) bool { return e.Type == event && e.ResourceID == agent })
		if err != nil || len(entries) != 1 {
			v.t.Fatal(event, entries, err)
		}
		why, _ = entries[0].Metadata["because"].(string)
	})
	return why
}

// If a restore does not continue the log of the replaced vault, the new log names the
// agents that are kept, so that a verification can check what they do.
func TestRestoreTellsOfAgents(t *testing.T) {
	t.Parallel()
	for name, hole := range map[string]bool{"the log goes on": false, "the log has a hole": true} {
		t.Run(name, func(t *testing.T) {
			v := newVictim(t)
			stays, staysKey := v.agent("stays")
			turns, _ := v.agent("turns")
			goes, goesKey := v.agent("goes")
			file := v.backUp()
			late, lateKey := v.agent("late")
			var turnsKey tokens.AgentKey
			v.do(func(s *Session) {
				var err error
				if _, turnsKey, err = s.RotateAgentKey(turns, NarrowOptions{}); err != nil {
					t.Fatal(err)
				}
			})
			v.revoke(goes)
			if hole {
				v.forge(v.end()+2, audit.Event{Type: audit.VaultCompacted})
			}
			plan := v.restore(file)
			if plan.KeepsLog == hole {
				t.Fatalf("%+v", plan)
			}
			if v.opens(goesKey) {
				t.Error("the agent that was revoked opens the vault")
			}
			v.holds(staysKey, turnsKey, lateKey)
			because := ""
			if hole {
				because = "carried over from the vault that was replaced"
			}
			for event, agent := range map[string]string{audit.AgentRevoked: goes, audit.AgentKeyRotated: turns,
				audit.AgentCreated: late} {
				if got := v.because(event, agent); got != because {
					t.Errorf("%s: %q", event, got)
				}
			}
			v.revoke(late)
			v.revoke(stays)
			v.holds(turnsKey)
		})
	}
}

// Reading a hostile file ends. An attacker can make a file with elements that all share
// the same huge bytes, entries with numbers far apart, or impossible version numbers.
func TestHostileFilesEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	t.Parallel()
	if UnderRace {
		t.Skip("it takes too long, and nothing here runs at once")
	}
	page := func(elements func(i int) (key, at, size uint32)) []byte {
		p := make([]byte, bolt.PageSize)
		order.PutUint16(p[8:], leafPage)
		order.PutUint16(p[10:], 200)
		for i := range 200 {
			e := p[pageHeader+i*elemSize:]
			k, at, size := elements(i)
			order.PutUint32(e[4:], at-uint32(pageHeader+i*elemSize))
			order.PutUint32(e[8:], k)
			order.PutUint32(e[12:], size)
		}
		return p
	}
	t.Run("elements that overlap", func(t *testing.T) {
		big := keys.LP(keys.LP(keys.LP([]byte{1}, "owner"), make([]byte, ed25519.SignatureSize)), make([]byte, 3<<20))
		big = append(big, make([]byte, 32)...)
		var b []byte
		const pages = 400
		for n := range pages {
			b = append(b, page(func(int) (uint32, uint32, uint32) {
				return 3, uint32((pages-n)*bolt.PageSize) - 3, uint32(len(big))
			})...)
		}
		b = append(b, big...)
		list, total := bolt.Scan(b, plausible), 0
		for _, e := range list {
			total += len(e.Key) + len(e.Value)
		}
		if len(list) == 0 || total > 4*len(b) {
			t.Errorf("%d elements of %d bytes in all in a file of %d", len(list), total, len(b))
		}
	})
	t.Run("numbers far apart", func(t *testing.T) {
		v := newVictim(t)
		v.edit(func(b func(string) *bbolt.Bucket) {
			value := keys.LP(keys.LP(keys.LP(nil, audit.Owner), []byte("{}")), make([]byte, ed25519.SignatureSize))
			value = append(value, make([]byte, audit.MACSize)...)
			for n := uint64(1); n < 3000; n++ {
				for _, seq := range []uint64{n << 19, math.MaxUint64 - n} {
					if err := b(bucketAudit).Put(audit.Key(seq), value); err != nil {
						t.Fatal(err)
					}
				}
			}
		})
		to := filepath.Join(t.TempDir(), "new.db")
		if _, err := Salvage(v.path, to, v.owner, Options{}); err != nil {
			t.Fatal(err)
		}
		if err := verifies(to, v.owner); err != nil {
			t.Error(err)
		}
	})
	t.Run("versions that cannot be", func(t *testing.T) {
		v := newVictim(t)
		file := v.backUp()
		v.forge(v.end()+2, audit.Event{Type: audit.SecretUpdated, ResourceID: "a/K", Metadata: map[string]any{"version": 1e18,
			"tier": "standard"}})
		// The record of the secret is removed too, so that only the log tells of it.
		v.remove(bucketSecrets, []byte("a/K"))
		v.compact()
		to := filepath.Join(t.TempDir(), "new.db")
		r, err := Salvage(v.path, to, v.owner, Options{})
		if err != nil || len(r.Lost) > 20 {
			t.Fatalf("%d lost, %v", len(r.Lost), err)
		}
		salvaged := &victim{t, to, v.owner, Options{}}
		salvaged.do(func(s *Session) {
			if h, _, err := s.History(v.p("a/K")); err != nil || h.Version != 3 {
				t.Errorf("a/K is at version %d: %v", h.Version, err)
			}
		})
		if err := verifies(to, v.owner); err != nil {
			t.Error(err)
		}
		v.restore(file)
		v.holds()
	})
	t.Run("a version that its author made up", func(t *testing.T) {
		v := newVictim(t)
		v.do(func(s *Session) {
			const n = 1 << 50
			err := s.commit(func(t *tx) error {
				head := secretBody{ID: "x", Version: n, Tier: tokens.Standard, Type: DefaultType, CreatedAt: t.now,
					UpdatedAt: t.now, Seq: t.seq()}
				if err := t.put(bucketSecrets, []byte("a/UP"), true, head); err != nil {
					return err
				}
				return t.log(audit.SecretUpdated, "secret", "a/UP", map[string]any{"version": n, "tier": "standard"})
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		if found := v.problems(); !strings.Contains(found, "a/UP: it does not match log entry") {
			t.Errorf("%s", found)
		}
		to := filepath.Join(t.TempDir(), "new.db")
		if _, err := Salvage(v.path, to, v.owner, Options{}); err != nil {
			t.Fatal(err)
		}
	})
}

func verifies(file string, owner *Identity) error {
	r, err := VerifyBackup(file, owner, Options{})
	if err == nil && len(r.Problems) > 0 {
		err = fmt.Errorf("%q", r.Problems)
	}
	return err
}

// An attacker who knows the owner's public key can seal a root of his own to it, and make a
// whole vault under that root. As a backup, this vault is refused. In the vault's place, it
// counts as another vault, and nothing is taken from it.
func TestHostileBackup(t *testing.T) {
	v := newVictim(t)
	file := v.backUp()
	mallory := newVictim(t)
	var root *keys.Root
	mallory.do(func(s *Session) { root = s.root })
	sealed, err := keys.SealFor(v.owner, root.Key[:])
	if err != nil {
		t.Fatal(err)
	}
	mallory.give(bucketMeta, []byte(metaRoot), sealed)
	b, err := os.ReadFile(mallory.path)
	if err != nil {
		t.Fatal(err)
	}
	hostile := filepath.Join(t.TempDir(), "hostile.db")
	if err := os.WriteFile(hostile, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := PlanRestore(v.path, hostile, v.owner, v.opts); !errors.Is(err, ErrWrongKey) {
		t.Errorf("as a backup: %v", err)
	}
	if _, err := Salvage(hostile, filepath.Join(t.TempDir(), "new.db"), v.owner, Options{}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("salvaged: %v", err)
	}
	if err := os.Rename(hostile, v.path); err != nil {
		t.Fatal(err)
	}
	if _, err := PlanRestore(v.path, file, v.owner, v.opts); !errors.Is(err, ErrExists) {
		t.Errorf("in the vault's place: %v", err)
	}
}

// If a file is in the way, or is of the wrong kind, the error says so. No act overwrites an
// existing file, not even with a temporary file.
func TestCopiesInOddPlaces(t *testing.T) {
	v := newVictim(t)
	file := v.backUp()
	dir := filepath.Dir(v.path)
	backUp := func(to string) error {
		var err error
		v.do(func(s *Session) { _, err = s.BackUp(to) })
		return err
	}
	before, err := os.ReadFile(v.path)
	if err != nil {
		t.Fatal(err)
	}
	link := func(from, to string) string {
		t.Helper()
		if err := os.Link(from, to); err != nil {
			t.Skip(err)
		}
		return to
	}
	for to, want := range map[string]error{
		v.path:                         ErrExists,
		v.path + newSuffix:             ErrConflict,
		filepath.Join(dir, "no/x.db"):  ErrNotMade,
		filepath.Join(v.path, "x.db"):  nil,
		filepath.Join(dir, "y.db.new"): ErrConflict,
	} {
		if err := backUp(to); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("a backup to %s: %v", to, err)
		}
	}
	if after, err := os.ReadFile(v.path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the vault was changed: %v", err)
	}
	v.do(func(s *Session) {
		if _, _, err := s.RekeyOwner(NewOwnership(v.owner), v.path); !errors.Is(err, ErrExists) {
			t.Errorf("a rekey whose log goes over the vault: %v", err)
		}
	})

	// A salvage never writes to the damaged file.
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	if err := os.WriteFile(damaged, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Salvage(damaged, damaged, v.owner, Options{}); err == nil {
		t.Error("a salvage into the damaged file")
	}
	if after, err := os.ReadFile(damaged); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the damaged file was touched: %v", err)
	}

	// A salvage refuses a file that is not a vault file.
	empty, huge := filepath.Join(t.TempDir(), "empty"), filepath.Join(t.TempDir(), "huge")
	for name, size := range map[string]int64{empty: 0, huge: 3 << 30} {
		f, err := os.Create(name)
		if err == nil {
			err = errors.Join(f.Truncate(size), f.Close())
		}
		if err != nil {
			t.Skip(err)
		}
	}
	for from, says := range map[string]string{
		empty:       "no root of a vault was found in it",
		huge:        "it is larger than 1 GiB",
		dir:         "it is not a regular file",
		os.DevNull:  "it is not a regular file",
		dir + "/no": syscall.ENOENT.Error(),
	} {
		if _, err := Salvage(from, filepath.Join(t.TempDir(), "new.db"), v.owner, Options{}); err == nil ||
			!strings.Contains(err.Error(), says) {
			t.Errorf("a salvage of %s: %v", from, err)
		}
	}

	// A restore refuses a file that is not a backup, and a backup that is the vault itself
	// or lies where the restore writes.
	for from, want := range map[string]error{
		v.path:                                ErrConflict,
		link(v.path, v.path+".link"):          ErrConflict,
		link(file, v.path+newSuffix):          ErrConflict,
		empty:                                 ErrDamaged,
		dir:                                   ErrNoVault,
		filepath.Join(t.TempDir(), "nothing"): ErrNoVault,
	} {
		if _, err := PlanRestore(v.path, from, v.owner, v.opts); !errors.Is(err, want) {
			t.Errorf("a restore from %s: %v", from, err)
		}
	}
	// In the vault's place, a restore replaces an empty file, but no folder and no link.
	for name, want := range map[string]error{"folder": ErrNoVault, "link": ErrNoVault, "empty": nil} {
		at := filepath.Join(t.TempDir(), "vault.db")
		err := error(nil)
		switch name {
		case "folder":
			err = os.Mkdir(at, 0o700)
		case "link":
			err = os.Symlink(v.path, at)
		case "empty":
			err = os.WriteFile(at, nil, 0o600)
		}
		if err != nil {
			t.Skip(err)
		}
		plan, err := PlanRestore(at, file, v.owner, v.opts)
		if !errors.Is(err, want) {
			t.Errorf("over a %s: %v", name, err)
		}
		if err == nil {
			if _, err := Restore(at, file, v.owner, plan, v.opts); err != nil {
				t.Errorf("over a %s: %v", name, err)
			}
		}
	}
	// A plan makes no files.
	at := filepath.Join(t.TempDir(), "vault.db")
	if _, err := PlanRestore(at, file, v.owner, v.opts); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(at + "*"); len(left) > 0 {
		t.Errorf("a plan made %q", left)
	}
}

// If one plan is restored twice, the second restore sees that the vault has changed. The
// first restore keeps the replaced file: a whole vault, which can be restored in full. The
// names of replaced files do not collide.
func TestRestoreOfWhatWasReplaced(t *testing.T) {
	v := newVictim(t)
	id, goesKey := v.agent("goes")
	file := v.backUp()
	v.do(func(s *Session) { v.set(s, "a/K", "newest") })
	plan, err := PlanRestore(v.path, file, v.owner, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	first, err := Restore(v.path, file, v.owner, plan, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(v.path, file, v.owner, plan, v.opts); !errors.Is(err, ErrConflict) {
		t.Errorf("the same plan again: %v", err)
	}
	v.revoke(id)
	second := v.restore(first.Replaced)
	if first.Replaced == second.Replaced {
		t.Error("both kept what they replaced under one name")
	}
	if got, err := v.get(); err != nil || got != "newest" {
		t.Errorf("%q, %v", got, err)
	}
	if v.opens(goesKey) {
		t.Error("an agent that was revoked since came back")
	}
	v.holds()
}

// While another command uses the vault, a restore waits. If it waits too long, the error
// names that command.
func TestRestoreWhileTheVaultIsInUse(t *testing.T) {
	v := newVictim(t)
	file := v.backUp()
	plan, err := PlanRestore(v.path, file, v.owner, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	o := v.opts
	o.LockTimeout, o.Command = -1, "ass secrets set"
	opened, err := Open(v.path, o)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	_, err1 := PlanRestore(v.path, file, v.owner, o)
	_, err2 := Restore(v.path, file, v.owner, plan, o)
	for _, err := range []error{err1, err2} {
		if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "ass secrets set") {
			t.Error(err)
		}
	}
}

// If the vault is gone, nothing tells of revocations after the backup. Unless the newest
// entry that this machine has seen is the last one of the backup, every agent in the
// backup may have been revoked, and the plan names them all.
func TestRestoreOnAnotherMachine(t *testing.T) {
	v := newVictim(t)
	v.agent("ci")
	file := v.backUp()
	if err := os.Remove(v.path); err != nil {
		t.Fatal(err)
	}
	plan, err := PlanRestore(v.path, file, v.owner, v.opts)
	if err != nil || len(plan.Reviving) != 0 {
		t.Errorf("on the machine that made it: %q, %v", plan.Reviving, err)
	}
	plan, err = PlanRestore(v.path, file, v.owner, Options{MemoryDir: t.TempDir()})
	if err != nil || len(plan.Reviving) != 1 {
		t.Errorf("on one that never saw the vault: %q, %v", plan.Reviving, err)
	}
}

// If two processes make the same backup, neither disturbs the other, and the first that is
// verified gets the name.
func TestBackupsAtOnce(t *testing.T) {
	v := newVictim(t)
	other := t.TempDir()
	for _, to := range []string{"", filepath.Join(other, "copy.db")} {
		var b Backup
		v.do(func(s *Session) {
			var err error
			if b, err = s.BackUp(to); err != nil {
				t.Fatal(err)
			}
		})
		var second Backup
		v.do(func(s *Session) {
			var err error
			if second, err = s.BackUp(to); err != nil {
				t.Fatal(err)
			}
		})
		if _, err := b.Verify(v.owner, Options{}); err != nil {
			t.Errorf("the first: %v", err)
		}
		if _, err := second.Verify(v.owner, Options{}); (to == "") != (err == nil) || to != "" && !errors.Is(err, ErrExists) {
			t.Errorf("the second to %q: %v", to, err)
		}
		second.Discard()
		if to == "" {
			f, err := b.Open()
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			b.Discard()
		}
	}
	for _, dir := range []string{filepath.Dir(v.path), other} {
		if left, _ := filepath.Glob(filepath.Join(dir, ".ass-*")); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	}
}

// A salvage that finds nothing of the log, and no head that says where it ended, says so in the
// new vault, which verifies.
func TestSalvageWithoutALog(t *testing.T) {
	v := newVictim(t)
	v.do(func(s *Session) {
		if err := s.Compact(""); err != nil { // no old page has an entry
			t.Fatal(err)
		}
	})
	l, err := bolt.ReadLayout(v.path)
	if err != nil {
		t.Fatal(err)
	}
	v.raw(func(b []byte) []byte {
		for id, p := range l.Pages {
			page := b[id*bolt.PageSize:][:(1+p.More)*bolt.PageSize]
			for i := 0; p.Bucket == bucketMeta && p.Leaf && i < p.Keys; i++ {
				if string(pageKey(page, i)) == metaHead {
					clear(pageValue(page, i))
				}
			}
			if p.Bucket == bucketAudit {
				clear(page)
			}
		}
		return b
	})
	to := v.path + ".salvaged"
	r, err := Salvage(v.path, to, v.owner, Options{})
	if err != nil || r.Entries != 0 || r.LogFile == "" {
		t.Fatalf("%+v, %v", r, err)
	}
	n := &victim{t, to, v.owner, Options{MemoryDir: t.TempDir()}}
	if found := n.problems(); found != "" {
		t.Errorf("the verification found:\n%s", found)
	}
	if got, err := n.get(); got != "three" {
		t.Errorf("a/K has %d bytes, %v", len(got), err)
	}
}
