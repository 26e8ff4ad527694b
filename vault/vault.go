package vault

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/audit"
	"ass/vault/disk"
	"ass/vault/internal/bolt"
	"ass/vault/internal/fault"
	"ass/vault/internal/keys"
)

// Options say how to open a vault. The zero Options are usable.
type Options struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time

	// LockTimeout is how long to wait for other processes. 0 means
	// [DefaultLockTimeout]; less than 0 means not to wait.
	LockTimeout time.Duration

	// Command tells waiting processes who holds the vault, for example
	// "ass secrets set". It is written to a file beside the vault, so it must
	// not contain secret values.
	Command string

	// ReadOnly opens the vault for inspection. Values cannot be read, because
	// each read writes a log entry.
	ReadOnly bool

	// Unlogged lets the owner read values without a log entry, from a backup, or from a
	// vault that cannot be written. Then nothing is written to the vault's file, and a note
	// of each read goes into MemoryDir.
	Unlogged bool

	// MemoryDir is the folder where this machine remembers the newest log
	// entry that it saw in each vault. "" means that it remembers nothing.
	MemoryDir string

	// Unfinished is where this process notes the temporary files that it makes beside
	// backups and archives, so that a later one can remove them; see [disk.Register.Sweep].
	// The zero Register notes nothing.
	Unfinished disk.Register

	// Throwaway is for a vault that a test throws away. Nothing that is written to it is synced to the disk, so a power
	// cut can destroy all of it. What a process writes, the next one reads all the same.
	Throwaway bool

	// IDs, if set, makes the ids of secrets, agents, tokens, requests and log entries, so that a test gets the same ones
	// each time. Keys never come from it. No two of its results may be the same; the version and the variant of a UUID
	// are set in them. It must be safe for concurrent use.
	IDs func() [16]byte

	// Reason is stored with each request that the session makes.
	Reason string

	// NoRequests is for whoever acts for the owner and has to ask nobody: an act that needs approval makes no request,
	// and ends with an [AboveError].
	NoRequests bool

	// Addresses, if set, returns the addresses of this machine. Tokens with
	// an IP allowlist need it.
	Addresses func() []netip.Addr

	// Waiting, if set, is called once when the wait for the lock gets long,
	// with a text that says who holds the lock, or "" if unknown.
	Waiting func(holder string)

	// Progress, if set, is called now and then during long work, such as a
	// rewrite or a verification of the log.
	Progress func(done, total int)

	oldFormat int // see format
}

// format returns the format of new epochs. Tests make vaults of an older one.
func (o Options) format() int { return cmp.Or(o.oldFormat, newestFormat) }

// DefaultLockTimeout is how long to wait for the vault's lock.
const DefaultLockTimeout = disk.DefaultLockTimeout

func (o Options) lock() disk.LockOptions {
	return disk.LockOptions{Timeout: o.LockTimeout, Command: o.Command, Now: o.Now, Waiting: o.Waiting}
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = DefaultLockTimeout
	}
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	return o
}

// Vault is an open, locked vault file. It has no keys itself: each [Session] holds its own.
type Vault struct {
	path   string
	opts   Options
	lock   *disk.Lock
	db     *bolt.DB
	vid    keys.VaultID
	format int      // of the file
	marks  []string // of the file; see knownFeatures
	seen   mark     // the newest entry that this machine remembers
	unread error    // why it does not remember, though it has a note
	noted  unsynced // what it remembers since then
	back   *Rollback

	reserveUsed bool // see ReserveUsed
	unlogged    int  // values read without a log entry

	sessions []*Session // Close wipes their keys
}

// Create makes a new vault at path, owned by owner, and returns the vault's id. It
// also makes the folder, with mode 0700. If something is at
// path already, it returns [ErrExists]. After any other error there may be a vault:
// check that before you throw the owner's key away.
func Create(path string, owner *Identity, o Options) (id string, err error) {
	return CreateFor(path, NewOwnership(owner), o)
}

// CreateFor is [Create] for an owner key that is sealed to further recipients from the start.
func CreateFor(path string, own *Ownership, o Options) (id string, err error) {
	if err := own.check(); err != nil {
		return "", err
	}
	o = o.withDefaults()
	if err := disk.MakeFolder(filepath.Dir(path)); err != nil {
		return "", err
	}
	lock, err := disk.LockBeside(path, false, o.lock())
	if err != nil {
		return "", err
	}
	defer lock.Release()
	if _, err := os.Lstat(path); err == nil {
		return "", fault.New(ErrExists, "a vault already exists at %s", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}

	root, secret := own.root, keys.Random()
	v := &Vault{path: path, opts: o, vid: root.Vault}
	s := v.ownerSession(own.ID, root, 1, secret, o.format())
	defer s.wipe()
	_, err = prepareFile(path, s, func(w *builder) error {
		w.t.head.log.Key = root.AuditKey(1, 1)
		if err := w.putOwner(own.ID, root); err != nil {
			return err
		}
		if err := w.putWays(s, own.Ways); err != nil {
			return err
		}
		return s.beginEpoch(w, audit.VaultCreated, nil)
	})
	if err != nil {
		return "", err
	}
	published, err := disk.Publish(path+newSuffix, path)
	if published {
		v.keepReserve()
	}
	return v.ID(), err
}

// hasWrap reports whether the root is sealed under the owner's identity text, too. In format 1, it was
// bound to it.
func (v *Vault) hasWrap() bool { return v.format >= keys.Format2 }

// putOwner writes the id of the vault and its root, with what only the owner can make of it: the
// wrap or, in format 1, the bind.
func (w *builder) putOwner(owner *Identity, root *keys.Root) error {
	sealed, err := keys.SealFor(owner, root.Key[:])
	if err != nil {
		return err
	}
	values := map[string][]byte{metaFormat: []byte(formatName(w.t.Format)), metaVault: root.Vault[:], metaRoot: sealed}
	if w.t.Format >= keys.Format2 {
		if values[owner.WrapName(root.Vault)], err = root.Wrap(owner); err != nil {
			return err
		}
	} else {
		bind := root.Bind(owner)
		values[metaBind] = bind[:]
	}
	for name, value := range values {
		if err := w.t.putMeta(name, value); err != nil {
			return err
		}
	}
	return nil
}

// keepOwner writes the root of a vault that is rewritten. It seals the root anew, because the old seals may not hold:
// every command opens only one of them. In format 1, it copies the only one, and the bind.
func (w *builder) keepOwner(old *tx, next *Session) error {
	if w.t.Format < keys.Format2 && old.Vault == next.root.Vault {
		return w.copyMeta(old, metaFormat, metaVault, metaRoot, metaBind)
	}
	return w.putOwner(next.owner, next.root)
}

// Open locks the vault at path and opens its file. If it returns an error, the
// file is unchanged. Errors: [ErrNoVault], [ErrBusy], [ErrFormat], [ErrDamaged].
func Open(path string, o Options) (*Vault, error) {
	v, err := open(path, o)
	if o.Unlogged && disk.IsReadOnly(err) && disk.IsBeyondUs(path) {
		o.ReadOnly = true
		return open(path, o)
	}
	return v, err
}

func open(path string, o Options) (*Vault, error) {
	o = o.withDefaults()
	if err := checkFile(path); err != nil {
		return nil, err
	}
	// If a rewrite was killed, the next process removes the file that it left
	// behind. That needs the exclusive lock.
	_, err := os.Lstat(path + newSuffix)
	leftover := err == nil
	lock, err := disk.LockBeside(path, o.ReadOnly && !leftover, o.lock())
	if leftover && o.ReadOnly && disk.IsReadOnly(err) {
		leftover = false // harmless; the next process that can write here removes it
		lock, err = disk.LockBeside(path, true, o.lock())
	}
	if err != nil {
		return nil, err
	}
	v := &Vault{path: path, opts: o, lock: lock}
	if leftover || !o.ReadOnly { // check again: the last holder of the lock may have died
		if err := os.Remove(path + newSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) && !o.ReadOnly {
			return nil, errors.Join(err, v.Close())
		}
	}
	if err := v.open(); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	if n, err := v.db.Names(); err == nil && n > 1 && !o.ReadOnly {
		_ = dropLeftovers(path) // what stays is told by those who mind
	}
	return v, nil
}

// checkFile rejects what cannot be a vault, before bbolt sees it.
func checkFile(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(ErrNoVault, "no vault at %s", path)
	case err != nil:
		return err
	case info.IsDir():
		return fault.New(ErrNoVault, "no vault at %s: it is a folder", path)
	case info.Mode()&fs.ModeSymlink != 0:
		return fault.New(ErrNoVault, "no vault at %s: it is a symbolic link", path).
			Hint("name the file itself")
	case !info.Mode().IsRegular():
		return fault.New(ErrNoVault, "no vault at %s: it is not a regular file", path)
	case info.Size() == 0:
		return fault.Unusable(path, "it is empty")
	case info.Size() < 2*bolt.PageSize:
		return fault.Unusable(path, "it is too small for a vault")
	}
	return nil
}

func (v *Vault) open() error {
	db, err := bolt.Open(v.path, v.opts.ReadOnly)
	if err != nil {
		return err
	}
	if v.opts.Throwaway {
		db.NeverSync()
	}
	v.db = db
	got, err := v.meta(metaFormat)
	if err != nil {
		return err
	}
	if v.format, err = parseFormat(v.path, string(got)); err != nil {
		return err
	}
	marks, err := v.meta(metaFeatures)
	if err == nil {
		v.marks, err = parseFeatures(v.path, marks, v.format)
	}
	if err != nil {
		return err
	}
	vid, err := v.meta(metaVault)
	if err != nil {
		return err
	}
	if len(vid) != len(v.vid) {
		return fault.Damaged(v.path, "its id is missing")
	}
	v.vid = keys.VaultID(vid)
	return v.compareMemory()
}

// parseFormat returns the format that a text names. It returns [ErrFormat] for one that this program does not know.
func parseFormat(path, text string) (int, error) {
	for f := keys.Format1; f <= newestFormat; f++ {
		if text == formatName(f) {
			return f, nil
		}
	}
	if number, named := strings.CutPrefix(text, formatPrefix); named {
		return 0, fault.New(ErrFormat, "%s has vault format %q, and this program knows no format above %d: update ass", path,
			number, newestFormat)
	}
	return 0, fault.Unusable(path, "it is a database, but not a vault")
}

// isLater reports whether a text names a format that a later program may have. Another text may be damage.
func isLater(text string) bool {
	number, named := strings.CutPrefix(text, formatPrefix)
	n, err := strconv.Atoi(number)
	return named && err == nil && n > newestFormat
}

func (v *Vault) meta(name string) ([]byte, error) { return v.db.Get(bucketMeta, []byte(name)) }

// compareMemory checks that the log still has the newest entry that this machine saw. If
// not, it sets v.back.
func (v *Vault) compareMemory() error {
	seen, unread := v.opts.memory().recall(v.vid)
	v.seen, v.unread = seen, unread
	last, then, err := v.lastEntry(seen.Seq)
	if err != nil {
		return err
	}
	if seen.Seq > 0 && seen.Seq <= last.Seq && then.Seq == 0 { // is it in an archive?
		value, err := v.db.Get(bucketAudit, checkpointKey)
		if err != nil {
			return err
		}
		if c, err := parseCheckpoint(v.vid, value); err == nil && seen.Seq <= c.Cut && seen.format <= v.format {
			return nil
		}
	}
	if seen.Seq > last.Seq || seen.Seq > 0 && then.MAC != seen.MAC {
		v.back = &Rollback{Seen: seen.Seq, Have: last.Seq, Forked: seen.Seq <= last.Seq}
	}
	if seen.format > v.format { // an older format is an older copy, whatever its log says
		v.back = &Rollback{Seen: seen.Seq, Have: last.Seq, Format: seen.format}
	}
	return nil
}

// remember stores the newest log entry. The entry comes from a head that opened,
// never from unauthenticated bytes. remember never goes back: if the file is an old
// copy, the machine keeps the newer entry.
func (v *Vault) remember(k mark) {
	if v.back == nil && k.Seq > v.seen.Seq {
		_ = v.noted.sync()
		v.noted = v.opts.memory().write(v.vid, k, v.seen == mark{})
		v.seen = k
	}
}

// Rollback returns how the log falls short of, or differs from, what this machine has
// seen; nil if it does not.
func (v *Vault) Rollback() *Rollback { return v.back }

// MemoryError returns why this machine's note of the newest log entry could not be read, so
// that an old copy of the vault would go unnoticed; nil if it could, or if there is none. The
// next act that is logged writes a new note.
func (v *Vault) MemoryError() error { return v.unread }

// ID returns the vault's id in hex. It is public.
func (v *Vault) ID() string { return hex.EncodeToString(v.vid[:]) }

// VaultID returns the id of the vault in hex. It is public.
func (s *Session) VaultID() string { return s.v.ID() }

// Close closes the file and releases the lock. It ends all sessions and wipes their keys.
func (v *Vault) Close() error {
	for _, s := range v.sessions {
		s.wipe()
	}
	v.sessions = nil
	err := v.db.Close()
	v.lock.Release()
	_ = v.noted.sync() // others have the vault meanwhile; if it fails, the machine remembers less
	v.noted = unsynced{}
	return err
}

// Session is a vault opened with a credential. It can derive the keys that the
// credential gives, and no others.
type Session struct {
	v       *Vault
	by      actor
	epoch   keys.Epoch
	ring    keys.Ring         // what it can open
	pub     ed25519.PublicKey // of the owner
	grantee *grantee          // nil in the owner's sessions
	secret  keys.Key          // of the epoch; only in the owner's sessions
	root    *keys.Root        // only in the owner's sessions
	batches *batches          // which signatures were checked
	owner   *Identity         // only in the owner's sessions
	marks   []string          // of the vault; see knownFeatures; only in the owner's sessions
	way     []byte            // the age file that has the owner key, if it comes from one
}

// isOwner reports whether this is a session of the owner's key. A token that the owner
// issued is a grantee.
func (s *Session) isOwner() bool { return s.root != nil }

// inOrder returns a copy of the session for one goroutine that visits many secrets in
// the order of their paths; see the keyring's method.
func (s *Session) inOrder() *Session {
	own := *s
	own.secret = keys.Key{} // nothing would wipe it in a copy
	own.ring = own.ring.InOrder()
	return &own
}

// Owner opens the vault with the owner's identity. If the identity does not open the
// vault, it returns [ErrWrongKey]. If somebody else made the vault for this identity,
// it returns [ErrWrongKey] or [ErrDamaged].
func (v *Vault) Owner(id *Identity) (*Session, error) {
	open := v.openWrap
	if !v.hasWrap() {
		open = v.openBound
	}
	root, err := open(id)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(v.vid[:], root.Vault[:]) {
		return nil, fault.Damaged(v.path, "its id does not match its owner")
	}
	wrapped, err := v.meta(metaEpoch)
	if err != nil {
		return nil, err
	}
	if len(wrapped) < 4 {
		return nil, fault.Damaged("meta/epoch", "it is missing")
	}
	n := binary.BigEndian.Uint32(wrapped)
	k, ctx := root.EpochWrap(n, v.format)
	secret, err := keys.Open(k, ctx, wrapped[4:])
	if err != nil || len(secret) != len(keys.Key{}) {
		return nil, fault.Damaged("meta/epoch", "it does not decrypt: it was modified, or belongs to another epoch")
	}
	s := v.ownerSession(id, root, n, keys.Key(secret), v.format)
	clear(secret)
	v.sessions = append(v.sessions, s)
	return s, nil
}

// openWrap opens the root with the key that only the owner has. The age file of the root is for those
// whose identity has no such key, and [Session.Verify] compares both.
func (v *Vault) openWrap(id *Identity) (*keys.Root, error) {
	name := id.WrapName(v.vid)
	sealed, err := v.meta(name)
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		return nil, v.wrongKey()
	}
	k, err := keys.OpenWrap(id, v.vid, sealed)
	defer k.Wipe()
	if err != nil {
		return nil, fault.Damaged(v.path, "meta/%s does not decrypt: it, or the id of the vault, was modified", name)
	}
	return keys.NewRoot(k), nil
}

// openBound opens the root of a vault of format 1. Anybody can seal a root of their own to the owner's public
// recipient, so it must be bound to the owner, too.
func (v *Vault) openBound(id *Identity) (*keys.Root, error) {
	sealed, err := v.meta(metaRoot)
	if err != nil {
		return nil, err
	}
	plain, err := keys.OpenAs(id, sealed)
	if err != nil || len(plain) != len(keys.Key{}) {
		return nil, v.wrongKey()
	}
	root := keys.NewRoot(keys.Key(plain))
	clear(plain)
	bound, err := v.meta(metaBind)
	if err != nil {
		return nil, err
	}
	if want := root.Bind(id); !hmac.Equal(bound, want[:]) {
		return nil, fault.Damaged(v.path, "somebody who does not have this owner key made the vault for it; do not use it")
	}
	return root, nil
}

func (v *Vault) wrongKey() error {
	return fault.New(ErrWrongKey, "this owner key does not open the vault at %s: the vault has another owner, or its id "+
		"or its root was modified", v.path)
}

func (v *Vault) ownerSession(owner *Identity, root *keys.Root, n uint32, secret keys.Key, format int) *Session {
	return &Session{
		v:       v,
		by:      actor{id: audit.Owner, kind: audit.Human, sign: root.Sign},
		epoch:   keys.NewEpoch(root.Vault, n, keys.MACKey(secret), format),
		ring:    keys.OwnerRing(secret),
		pub:     root.Pub,
		secret:  secret,
		root:    root,
		batches: newBatches(root.Sign),
		owner:   owner,
		marks:   v.marks,
	}
}

// logPlace returns where an entry belongs, if it is one of epoch n.
func (s *Session) logPlace(e audit.Entry, n uint32) audit.Place {
	at := audit.Place{Vault: s.epoch.Vault, Epoch: n, Format: e.Format}
	if s.isOwner() && e.Format >= keys.Format2 {
		k := [32]byte(s.root.OwnerEntryMAC(n))
		at.OwnerMAC = &k
	}
	return at
}

// newHasher returns a hasher for the epoch of the session.
func (s *Session) newHasher() *hasher {
	if !s.isOwner() || s.epoch.Format < keys.Format2 {
		return newHasher(s.epoch, nil, s.batches)
	}
	owner := s.root.OwnerMAC(s.epoch)
	return newHasher(s.epoch, &owner, s.batches)
}

// beginEpoch writes the start of an epoch: its sealed secret, its published
// recipients, and the log entry that begins it.
func (s *Session) beginEpoch(w *builder, event string, metadata map[string]any) error {
	k, ctx := s.root.EpochWrap(s.epoch.N, s.epoch.Format)
	sealed, err := keys.Seal(k, ctx, s.secret[:])
	if err != nil {
		return err
	}
	if err := w.t.putMeta(metaEpoch, append(binary.BigEndian.AppendUint32(nil, s.epoch.N), sealed...)); err != nil {
		return err
	}
	for _, root := range s.ring.Nodes {
		if err := w.t.publish(root); err != nil {
			return err
		}
	}
	note := map[string]any{}
	if s.epoch.Format >= keys.Format2 {
		note["format"], note["epoch_id"] = s.epoch.Format, hex.EncodeToString(s.epoch.ID[:])
		if err := w.t.putFeatures(s.marks); err != nil {
			return err
		}
		if len(s.marks) > 0 {
			note["features"] = s.marks
		}
	} else {
		note["sums"] = true // from here on, entries have the sums of the versions that they tell of
	}
	maps.Copy(note, metadata)
	if _, err := w.t.signDrafts(nil); err != nil {
		return err
	}
	w.t.fresh = false
	return w.t.logEvent(audit.Event{Type: event, ResourceType: "vault", ResourceID: hex.EncodeToString(s.epoch.Vault[:]),
		Metadata: note, Epoch: s.epoch.N})
}
