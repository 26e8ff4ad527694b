package commands

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

// Canaries, and who read them. Only the owner's key tells which secrets are canaries.

// canaryMark stands beside what is about a canary.
const canaryMark = "canary"

// knownCanaries says, for the paths that were looked up, whether they are those of canaries.
type knownCanaries map[string]bool

// lookUp looks up the secrets that entries say were read, or asked for. It tells nothing without an owner's key that
// opens without asking, and nothing if the vault is damaged: the log is shown all the same.
func (k knownCanaries) lookUp(a *app, h setup, v *vault.Vault, entries []vault.Entry) {
	if h.cred.kind != ownerCredential || asks(h.cred.text) {
		return
	}
	var unknown []tokens.Path
	for _, e := range entries {
		for _, item := range vault.Reading(e.Event) {
			if _, known := k[item.Path]; known {
				continue
			}
			k[item.Path] = false
			if p, err := tokens.ParsePath(item.Path); err == nil {
				unknown = append(unknown, p)
			}
		}
	}
	if len(unknown) == 0 {
		return
	}
	key, err := a.readKey(h.cred)
	if err != nil {
		return
	}
	s, err := key.open(v)
	if err != nil {
		return
	}
	found, _ := s.CanariesAmong(unknown)
	for _, p := range found {
		k[p.String()] = true
	}
}

// has reports whether an event tells of a reading of a canary.
func (k knownCanaries) has(e audit.Event) bool {
	if len(k) == 0 {
		return false
	}
	for _, item := range vault.Reading(e) {
		if k[item.Path] {
			return true
		}
	}
	return false
}

// canaryJSON is a canary that was read.
type canaryJSON struct {
	Path    string           `json:"path"`
	Version uint64           `json:"version"`
	Count   int              `json:"read_count"` // since it got its value; refused reads and requests count
	Reads   []canaryReadJSON `json:"reads"`      // the newest ones, the newest first
}

type canaryReadJSON struct {
	Seq       uint64 `json:"seq"`
	Event     string `json:"event_type"`
	ActorID   string `json:"actor_id"`
	ActorName string `json:"actor_name,omitempty"`
	CreatedAt string `json:"created_at"`
	at        time.Time
}

// canaryState is what ass status finds out about canaries.
type canaryState struct {
	locked bool // there are some, but the owner's key has a passphrase
	count  *int // nil if nobody has looked
	read   []canaryJSON
}

// find looks for canaries and their reads.
func (c *canaryState) find(key openKey, v *vault.Vault, everything bool) error {
	s, err := key.open(v)
	if err != nil {
		return err
	}
	list, err := s.Canaries(everything)
	if err != nil {
		return err
	}
	n := len(list)
	c.count = &n
	list = slices.DeleteFunc(list, func(x vault.Canary) bool { return x.Count == 0 })
	c.read, err = canariesJSON(v, list)
	return err
}

// rows are the rows of the table of ass status.
func (c *canaryState) rows(a *app) (rows [][]cell) {
	label := cell{"canaries", dim}
	switch {
	case c.locked:
		return [][]cell{{label, {"not looked at, as the owner key has a passphrase: ass status --check", ""}}}
	case c.count == nil || *c.count == 0:
		return nil
	case len(c.read) == 0:
		return [][]cell{{label, {pluralOf(*c.count, "secret, which", "secrets, which") + " nobody has read", ""}}}
	}
	for _, x := range c.read {
		newest := x.Reads[0]
		text := fmt.Sprintf("%s: %s, the last by %s at %s", x.Path, plural(x.Count, "read"),
			orElse(newest.ActorName, newest.ActorID), a.clock(newest.at))
		rows = append(rows, []cell{label, {text, red}})
		label.text = ""
	}
	return append(rows, []cell{label, {"what to do: ass leaks of " + c.read[0].Path, red}})
}

// mayCheck asks for the owner's key before anything is open.
func (st *status) mayCheck() error {
	if st.cred.kind != ownerCredential {
		return errorf(vault.ErrDenied, "only the owner can look for reads of canaries").hint("run it with the owner's key")
	}
	_, err := st.readKey(st.cred)
	return err
}

// found is the error of a check that found reads.
func (st *status) found() error {
	read := st.canaries.read
	if len(read) == 0 {
		return nil
	}
	paths := make([]string, len(read))
	for i, c := range read {
		paths[i] = c.Path
	}
	return errorf(errFound, "%s: %s", pluralOf(len(read), "canary was read", "canaries were read"), strings.Join(paths, ", ")).
		hint("who did it, and what to do: ass leaks of %s", read[0].Path)
}

// canariesJSON returns canaries with the names of who read them.
func canariesJSON(v *vault.Vault, list []vault.Canary) ([]canaryJSON, error) {
	var ids []string
	for _, c := range list {
		for _, r := range c.Reads {
			ids = append(ids, r.Actor)
		}
	}
	if len(ids) == 0 {
		return []canaryJSON{}, nil
	}
	who, err := v.Actors(ids...)
	if err != nil {
		return nil, err
	}
	shown := make([]canaryJSON, len(list))
	for i, c := range list {
		shown[i] = canaryJSON{Path: c.Path.String(), Version: c.Version, Count: c.Count, Reads: []canaryReadJSON{}}
		for _, r := range c.Reads {
			shown[i].Reads = append(shown[i].Reads, canaryReadJSON{Seq: r.Seq, Event: r.Event, ActorID: r.Actor,
				ActorName: who[r.Actor].Name, CreatedAt: stamp(r.At), at: r.At})
		}
	}
	return shown, nil
}

// canaryNews is a read of a canary, told to whoever watches.
type canaryNews struct {
	Path    string `json:"path"`
	Version uint64 `json:"version"`
	canaryReadJSON
}

// unheard returns the reads of canaries behind a log entry, the oldest first, and the number of the newest entry. At
// first, it looks at everything, and returns the newest read of each canary.
func (a *app) unheard(after uint64, first bool) (news []canaryNews, newest uint64, err error) {
	err = a.look(func(v *vault.Vault, _ *vault.Session) error {
		r, err := v.Receipt()
		newest = r.Seq
		return err
	})
	if err != nil || newest == after && !first {
		return nil, newest, err
	}
	err = a.withSession(access{readOnly: true, owner: "watch who reads canaries"}, func(s *vault.Session) error {
		list, err := s.Canaries(first)
		if err != nil {
			return err
		}
		read, err := canariesJSON(s.Vault(), list)
		if err != nil {
			return err
		}
		for _, c := range read {
			for i, r := range c.Reads {
				if first && i == 0 || !first && r.Seq > after {
					news = append(news, canaryNews{c.Path, c.Version, r})
				}
				newest = max(newest, r.Seq)
			}
		}
		sortList(news, func(a, b canaryNews) int { return cmp.Compare(a.Seq, b.Seq) })
		return nil
	})
	return news, newest, err
}

func (n canaryNews) who() string { return orElse(n.ActorName, n.ActorID) }
