package vault

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"ass/vault/disk"
	"ass/vault/internal/keys"
)

func markAt(seq uint64) mark { return mark{Seq: seq, MAC: [32]byte{byte(seq), 7}} }

// The two slots of a note are written in turn, in the same file.
func TestNotesTakeTurns(t *testing.T) {
	m, vid := memory{dir: filepath.Join(t.TempDir(), "state", "seen")}, keys.VaultID{1, 2, 3}
	if k, err := m.recall(vid); err != nil || k != (mark{}) {
		t.Fatalf("of a vault that it never saw: %v, %v", k, err)
	}
	var before []byte
	for seq := uint64(1); seq < 6; seq++ {
		m.note(vid, markAt(seq), false)
		if k, err := m.recall(vid); err != nil || k != markAt(seq) {
			t.Fatalf("entry %d: it recalls %v, %v", seq, k, err)
		}
		now, err := os.ReadFile(m.file(vid))
		if err != nil || len(now) != 2*slotSize {
			t.Fatalf("%d bytes, %v", len(now), err)
		}
		if seq > 1 {
			if k, _, err := parseSlots(now); err != nil || k != markAt(seq) {
				t.Errorf("%v, %v", k, err)
			}
			same := 0
			for i := range 2 {
				if bytes.Equal(now[i*slotSize:][:slotSize], before[i*slotSize:][:slotSize]) {
					same++
				}
			}
			if same != 1 {
				t.Errorf("entry %d: %d slots stayed as they were", seq, same)
			}
		}
		before = now
	}
	for _, back := range []mark{{Seq: 5, MAC: [32]byte{9}}, markAt(2)} { // after a restore
		m.note(vid, back, false)
		if k, err := m.recall(vid); err != nil || k == back {
			t.Errorf("it goes back unasked to %v: %v", k, err)
		}
		m.note(vid, back, true)
		if k, err := m.recall(vid); err != nil || k != back {
			t.Errorf("it goes back to %v: it recalls %v, %v", back, k, err)
		}
	}
	entries, err := os.ReadDir(m.dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the note: %v, %v", entries, err)
	}
}

// A known answer: the note of entry 258 with a MAC of 32 bytes of 0xab.
func TestSlotVector(t *testing.T) {
	k := mark{Seq: 258, MAC: [32]byte(bytes.Repeat([]byte{0xab}, 32))}
	const want = "0000000000000102" + "abababababababababababababababababababababababababababababababab" + "3a0e099f496aec51"
	if got := hex.EncodeToString(k.slot()); got != want {
		t.Errorf("%s", got)
	}
}

// If a slot was torn when the power failed, the other still tells of the entry before. Of a
// note that tells nothing, the machine warns, and writes it anew.
func TestTornNotes(t *testing.T) {
	m, vid := memory{dir: t.TempDir()}, keys.VaultID{4}
	m.note(vid, markAt(8), false)
	m.note(vid, markAt(9), false)
	whole, err := os.ReadFile(m.file(vid))
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		b := bytes.Clone(whole)
		b[at] ^= 1
		if err := os.WriteFile(m.file(vid), b, 0o600); err != nil {
			t.Fatal(err)
		}
		want := markAt(9)
		if at >= slotSize { // entry 9 is in the second slot
			want = markAt(8)
		}
		if k, err := m.recall(vid); err != nil || k != want {
			t.Fatalf("byte %d is torn: it recalls %v, %v", at, k, err)
		}
		m.note(vid, markAt(10), false)
		if k, err := m.recall(vid); err != nil || k != markAt(10) {
			t.Fatalf("byte %d was torn: then it recalls %v, %v", at, k, err)
		}
	}
	both := bytes.Clone(whole)
	both[0] ^= 1
	both[slotSize] ^= 1
	for name, b := range map[string][]byte{"empty": {}, "zeroes": make([]byte, 2*slotSize), "short": whole[:2*slotSize-1],
		"long": append(bytes.Clone(whole), 0), "both torn": both, "JSON": []byte(`{"seq":9,"mac":"00"}`)} {
		if err := os.WriteFile(m.file(vid), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if k, err := m.recall(vid); err == nil || k != (mark{}) || !strings.Contains(err.Error(), m.file(vid)) {
			t.Errorf("%s: it recalls %v, %v", name, k, err)
		}
		m.note(vid, markAt(11), false)
		if k, err := m.recall(vid); err != nil || k != markAt(11) {
			t.Errorf("%s: then it recalls %v, %v", name, k, err)
		}
	}
}

// A process syncs its note when others have the vault. The next one, if it comes before that, syncs both slots itself.
func TestNotesThatAreNotSynced(t *testing.T) {
	m, vid := memory{dir: t.TempDir()}, keys.VaultID{6}
	syncs := 0
	defer func() { syncNote = disk.SyncData }()
	syncNote = func(f *os.File) error { syncs++; return disk.SyncData(f) }
	m.note(vid, markAt(1), false)
	first := m.write(vid, markAt(2), false)
	if first.f == nil || syncs > 0 {
		t.Fatalf("it is synced at once: %d", syncs)
	}
	if second := m.write(vid, markAt(3), false); second.f != nil || syncs != 2 { // the slot of the first one, and its own
		t.Errorf("of two slots, %d are synced", syncs)
	}
	if k, err := m.recall(vid); err != nil || k != markAt(3) {
		t.Errorf("%v, %v", k, err)
	}
	if u := m.write(vid, markAt(2), false); u.f != nil {
		t.Error("it goes back")
	}
	if err := first.sync(); err != nil || syncs != 3 {
		t.Errorf("%v, %d syncs", err, syncs)
	}
	third := m.write(vid, markAt(4), false)
	if third.f == nil || syncs != 3 {
		t.Errorf("it is synced at once, though the first one is: %d syncs", syncs)
	}
	if err := errors.Join(third.sync(), (unsynced{}).sync()); err != nil {
		t.Error(err)
	}
	if k, err := m.recall(vid); err != nil || k != markAt(4) {
		t.Errorf("%v, %v", k, err)
	}
}

// Any bytes are a note or an error, and a note keeps what it tells, whatever its other slot is.
func FuzzNote(f *testing.F) {
	f.Add(append(markAt(8).slot(), markAt(9).slot()...), uint64(10))
	f.Add(append(markAt(9).slot(), markAt(8).slot()...), uint64(9))
	f.Add(append(markAt(7).slot(), make([]byte, slotSize)...), uint64(1))
	f.Add(append(make([]byte, slotSize), markAt(1<<63).slot()...), uint64(1<<63+1))
	f.Add([]byte(`{"seq":9,"mac":"00"}`), uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, next uint64) {
		k, other, err := parseSlots(b)
		if err != nil {
			if k != (mark{}) {
				t.Errorf("%x tells of %v: %v", b, k, err)
			}
			return
		}
		if newer := slotSize - other; !bytes.Equal(b[newer:][:slotSize], k.slot()) {
			t.Errorf("%x does not tell of %v at %d", b, k, newer)
		}
		copy(b[other:], markAt(next).slot())
		want := k
		if next > k.Seq {
			want = markAt(next)
		}
		if now, _, err := parseSlots(b); err != nil || now != want && now.Seq != next {
			t.Errorf("then it tells of %v instead of %v: %v", now, want, err)
		}
		b[other] ^= 1 // torn
		if now, _, err := parseSlots(b); err != nil || now != k {
			t.Errorf("then it tells of %v instead of %v: %v", now, k, err)
		}
	})
}

// A note with a second name, as in a snapshot by hard links, is not written in place: the
// snapshot would change with it.
func TestNoteWithSecondName(t *testing.T) {
	m, vid := memory{dir: t.TempDir()}, keys.VaultID{5}
	m.note(vid, markAt(1), false)
	second := filepath.Join(t.TempDir(), "second")
	if err := os.Link(m.file(vid), second); err != nil || runtime.GOOS == "windows" {
		t.Skipf("this system does not tell how many names a file has: %v", err)
	}
	m.note(vid, markAt(2), false)
	if b, err := os.ReadFile(second); err != nil || !bytes.Equal(b[:slotSize], markAt(1).slot()) ||
		!bytes.Equal(b[slotSize:], make([]byte, slotSize)) {
		t.Errorf("the second name was written through: %x, %v", b, err)
	}
	if k, err := m.recall(vid); err != nil || k != markAt(2) {
		t.Errorf("%v, %v", k, err)
	}
}

// A vault that is thrown away is never synced, after a rewrite neither. What one process writes, the next reads.
func TestThrowawayVaultsAreNotSynced(t *testing.T) {
	v := newVictimIn(t, Options{})
	syncs := 0
	defer func() { syncNote = disk.SyncData }()
	syncNote = func(f *os.File) error { syncs++; return disk.SyncData(f) }
	v.opts.MemoryDir = t.TempDir()
	for range 2 { // the first time, it is a new file
		v.do(func(s *Session) { v.set(s, "a/K", "kept") })
	}
	if syncs == 0 {
		t.Fatal("nobody syncs the note, so this tests nothing")
	}
	syncs, v.opts.Throwaway = 0, true
	v.do(func(s *Session) {
		v.set(s, "a/K", "thrown away")
		if _, err := s.Rekey(); err != nil {
			t.Fatal(err)
		}
		v.set(s, "a/K", "thrown away, too")
		if !s.v.db.IsNeverSynced() {
			t.Error("its file is synced after a rewrite")
		}
	})
	if syncs > 0 {
		t.Errorf("its note is synced %d times", syncs)
	}
	v.opts.Throwaway = false
	v.do(func(s *Session) {
		if _, value, err := s.Get(v.p("a/K"), 0); err != nil || string(value) != "thrown away, too" {
			t.Errorf("%q, %v", value, err)
		}
		if s.v.back != nil || s.v.db.IsNeverSynced() {
			t.Errorf("%v, never synced: %v", s.v.back, s.v.db.IsNeverSynced())
		}
	})
}
