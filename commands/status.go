package commands

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ass/vault"
	"ass/vault/disk"
)

type statusCmd struct {
	Check bool `help:"Look at all secrets and at the whole log for reads of canaries; exit code 9 if there is one."`
}

func (statusCmd) Help() string {
	return `Shows where the vault is and every place that was looked in, whether it opens with
the stored credential, and what should be mended. Asks for nothing, and logs nothing.
Exit code 3 without a vault or a credential, 8 for a damaged one.

If this machine knows of canaries, status tells who read one (see ass secrets set
--canary). With --check, it finds those that other machines made, too, and asks for the
owner's passphrase if there is one.`
}

func (c statusCmd) Run(a *app) error {
	h, err := a.find()
	if err != nil {
		return err
	}
	st := status{app: a, setup: h, check: c.Check}
	if c.Check {
		if err := st.mayCheck(); err != nil {
			return err
		}
	}
	err = st.inspect()
	if err != nil {
		st.problem = err.Error()
	}
	if a.JSON {
		if perr := st.printJSON(); perr != nil {
			return perr
		}
	} else {
		st.print()
	}
	if err == nil && c.Check {
		err = st.found()
	}
	return err
}

// status is what `ass status` finds out.
type status struct {
	*app
	setup
	info     vault.Info
	ended    []string // ids of tokens
	waiting  int      // requests, if the credential is the owner's
	due      int      // secrets that have expired or should be rotated, if the credential is the owner's
	check    bool     // look for reads of canaries everywhere, and fail if there are any
	canaries canaryState
	opens    string   // whether the credential opens it, in words
	problem  string   // why the vault is not operational
	faults   []string // of a vault that works all the same
	warnings []string // those, and what makes it less safe
}

func (st *status) inspect() error {
	if !st.at.exists() {
		return st.ready(st.setup)
	}
	o := st.options()
	o.ReadOnly = true
	v, err := vault.Open(st.at.path, o)
	if err != nil {
		return err
	}
	if st.info, err = v.Info(); err == nil {
		st.ended, err = v.EndedTokens()
	}
	if err == nil && st.cred.kind == ownerCredential {
		if st.waiting, err = v.Waiting(); err == nil {
			st.due, err = v.CountDue(st.now())
		}
		st.countWaiting(st.cred.kind, v)
	}
	if e := st.info.Newest; e != nil && vault.IsAhead(e.CreatedAt, st.now()) {
		st.faults = append(st.faults, fmt.Sprintf("the newest log entry, %d, is dated %s, ahead of this machine's clock: a "+
			"clock was wrong or is, or somebody with a key wrote that; ass audit verify names all such dates", e.Seq,
			stamp(e.CreatedAt)))
	}
	if st.cred.kind != ownerCredential {
		st.info.Newest = nil // it may concern something that this credential does not cover
	}
	if err == nil {
		err = st.tryCredential(v)
	}
	st.warn(v)
	return errors.Join(err, v.Close())
}

func (st *status) tryCredential(v *vault.Vault) error {
	switch {
	case st.cred.kind == "":
		st.opens = "no credential"
		return st.ready(st.setup)
	case asks(st.cred.text) && !st.check:
		st.opens = "not tried: the owner key " + st.lockedBy(st.cred.text)
		st.canaries.locked = v.KnowsCanaries()
		return nil
	}
	key, err := st.readKey(st.cred)
	if err == nil {
		err = st.cred.named(key.usable(v))
	}
	if st.opens = "yes"; err != nil {
		st.opens = "no"
		return err
	}
	if st.cred.kind == ownerCredential && (st.check || v.KnowsCanaries()) {
		err = st.canaries.find(key, v, st.check)
	}
	return err
}

func (st *status) warn(v *vault.Vault) {
	if err := v.MemoryError(); err != nil {
		st.faults = append(st.faults, err.Error()+", so an older copy of the vault would go unnoticed: ass audit --limit 1 "+
			"shows the newest entry")
	}
	if back := v.Rollback(); back != nil {
		st.faults = append(st.faults, rollbackWithWayOut(back))
	}
	if names := v.OtherNames(); names != nil {
		st.faults = append(st.faults, withWayOut(names))
	} else if mounted, _ := disk.IsMounted(st.at.path); mounted {
		st.faults = append(st.faults, withWayOut(&disk.MountedError{Path: st.at.path}))
	}
	switch n, last, file, err := v.UnloggedBefore(); {
	case err != nil:
		st.faults = append(st.faults, "this machine's note of reads without a log entry cannot be read: "+err.Error())
	case n > 0:
		st.faults = append(st.faults, pluralOf(n, "value was", "values were")+" read without a log entry on this machine, "+
			"the last at "+stamp(last)+": see "+st.tilde(file))
	}
	st.warnings = slices.Concat(st.exposed(st.at), st.faults, st.ownerWarnings())
}

// ownerWarnings returns warnings about how the owner key is kept.
func (st *status) ownerWarnings() (warnings []string) {
	p := st.cfg.Profiles[st.Profile]
	if p == nil || p.Credential != ownerCredential {
		return nil
	}
	if isWay(p.Key) && st.isBare(p.Key) {
		warnings = append(warnings, st.opensWith(p.Key)+" opens the vault without a passphrase: every program that runs as you can act as "+
			"the owner")
	}
	if !asks(p.Key) {
		warnings = append(warnings, "the owner key has no passphrase: every program that runs as you can act as the owner; "+
			"set one with: ass passphrase")
	}
	if !p.Kept {
		warnings = append(warnings, "nobody confirmed that the owner key is kept elsewhere; without it, the vault is lost: "+
			"see it with: ass login")
	}
	return warnings
}

// state is one of the words of the hosted CLI.
func (st *status) state() string {
	switch {
	case st.problem != "":
		return "down"
	case len(st.faults) > 0:
		return "degraded"
	}
	return "ok"
}

func (st *status) print() {
	o := st.out
	mark := ""
	if o.tty {
		mark = "● "
	}
	o.line("API")
	health := cell{mark + "Operational", green}
	if st.problem != "" {
		health = cell{mark + "Unavailable: " + st.problem, red}
	}
	o.table([][]cell{{{"url", dim}, {fileURL(st.at.path), ""}}, {{"status", dim}, health}, {{"version", dim},
		{version(), ""}}})
	o.line("\nAUTH")
	rows := [][]cell{{{"logged in", dim}, {yesNo(st.cred.kind != ""), ""}}}
	if st.cred.kind != "" {
		if u := st.unlocked(st.setup); u != st.cred {
			rows = append(rows, []cell{{"unlocked", dim}, {"yes; end it with: ass lock", ""}})
		}
		rows = append(rows, []cell{{"credential", dim}, {orElse(st.opensWith(st.cred.text), kindName(st.cred.kind)) + " (" + st.cred.from + ")", ""}},
			[]cell{{"opens it", dim}, {st.opens, ""}})
	}
	o.table(rows)
	o.line("\nVAULT")
	rows = [][]cell{{{"path", dim}, {st.at.path, ""}}}
	for _, l := range st.at.looked {
		rows = append(rows, []cell{{"looked in", dim}, {l.where + ": " + orElse(l.says, "nothing"), ""}})
	}
	if i := st.info; i.ID != "" {
		rows = append(rows,
			[]cell{{"id", dim}, {i.ID, ""}},
			[]cell{{"format", dim}, {i.Format, ""}},
			[]cell{{"size", dim}, {size(i.Bytes), ""}},
			[]cell{{"secrets", dim}, {plural(i.Secrets, "secret") + ", " + plural(i.Deleted, "deleted one"), ""}},
			[]cell{{"agents", dim}, {plural(i.Agents, "agent"), ""}},
			[]cell{{"audit log", dim}, {pluralOf(int(i.Entries), "entry", "entries"), ""}},
		)
		if st.cred.kind == ownerCredential {
			waiting := cell{"no request waits", ""}
			if st.waiting > 0 {
				waiting = cell{pluralOf(st.waiting, "request waits", "requests wait") + " for you: ass approvals", yellow}
			}
			rows = append(rows, []cell{{"approvals", dim}, waiting})
			if st.due > 0 {
				rows = append(rows, []cell{{"due", dim}, {pluralOf(st.due, "secret has expired or should be rotated",
					"secrets have expired or should be rotated") + ": ass secrets due", yellow}})
			}
		}
		rows = append(rows, st.canaries.rows(st.app)...)
		if n := len(st.ended); n > 0 && st.cred.kind == ownerCredential {
			rows = append(rows, []cell{{"ended tokens", dim}, {fmt.Sprintf("%d; whoever kept the keys of one can still "+
				"read what is written, until: ass vault rekey", n), ""}})
		}
		if e := i.Newest; e != nil {
			rows = append(rows, []cell{{"newest entry", dim}, {e.Type + " " + e.About() + ", " + st.when(e.CreatedAt), ""}})
		}
	}
	o.table(rows)
	if len(st.warnings) > 0 {
		o.line("\nWARNINGS")
		for _, w := range st.warnings {
			lines := []string{clean(mark + w)}
			if o.tty {
				lines = wrap(clean(w), mark, columns(o.w))
			}
			o.write(o.colour(yellow, strings.Join(lines, "\n")) + "\n")
		}
	}
}

func (st *status) printJSON() error {
	v := statusJSON{Path: st.at.path, LookedIn: []lookedJSON{}, EndedTokens: list(st.ended), Opens: st.opens,
		Warnings: list(st.warnings)}
	for _, l := range st.at.looked {
		v.LookedIn = append(v.LookedIn, lookedJSON{Place: l.where, Says: nullable(l.says)})
	}
	if i := st.info; i.ID != "" {
		v.ID, v.Format, v.SizeBytes = i.ID, i.Format, &i.Bytes
		v.SecretCount, v.DeletedCount, v.AgentCount, v.AuditEntries = &i.Secrets, &i.Deleted, &i.Agents, &i.Entries
		if i.Newest != nil {
			newest := eventOf(*i.Newest)
			v.NewestEntry = &newest
		}
		if st.cred.kind == ownerCredential {
			v.PendingCount, v.DueCount = &st.waiting, &st.due
			v.CanaryCount, v.CanariesRead = st.canaries.count, st.canaries.read
		}
	}
	return st.out.json(statusResult{
		API: apiJSON{URL: fileURL(st.at.path), Status: st.state(), Version: version(), Error: nullable(st.problem)},
		Auth: authJSON{
			LoggedIn: st.cred.kind != "", Plan: "offline", Credential: nullable(st.cred.kind),
			Unlocked: st.unlocked(st.setup) != st.cred, CredentialSource: nullable(st.cred.from),
		},
		Vault: v,
	})
}

// nullable returns nil, which is null in JSON, for "".
func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
