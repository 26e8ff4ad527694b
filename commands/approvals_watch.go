package commands

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"ass/vault"
)

type approvalsWatch struct {
	Notify bool   `help:"Show each request as a notification of the desktop: agent, path and id, never the reason."`
	Exec   string `help:"Start this program, without a shell, for each request, which it gets as JSON on its stdin." placeholder:"PROGRAM"`
}

func (approvalsWatch) Help() string {
	return `Prints the requests that wait, and then each new one, once. Ctrl-C ends it with 0. The
programs that it starts run one after another; if one fails, a note says so, and the
watch goes on. To decide: ass approvals

It tells of reads of canaries in the same way: the newest one of each canary, and then each
new one. The JSON is then {"canary": …}.`
}

// news is what a watch tells of: a request, or a read of a canary.
type news struct {
	request vault.Request
	canary  *canaryNews // nil for a request
}

// what names it in a note.
func (n news) what() string {
	if n.canary != nil {
		return "the read of " + n.canary.Path
	}
	return "request " + n.request.ID
}

// json is what programs get.
func (n news) json() any {
	if n.canary != nil {
		return canaryResult{*n.canary}
	}
	return requestJSONOf(n.request)
}

func (c approvalsWatch) Run(a *app) error {
	var after []*follower
	if c.Exec != "" {
		program, err := a.findProgram(c.Exec)
		if err != nil {
			return err
		}
		after = append(after, newFollower(c.Exec, func(ctx context.Context, q news) error {
			return a.handTo(ctx, program, q)
		}))
	}
	if c.Notify {
		n, err := a.findNotifier()
		if err != nil {
			return err
		}
		after = append(after, newFollower(n.args[0], func(ctx context.Context, q news) error {
			return a.notify(ctx, n, q)
		}))
	}
	return a.watch(after)
}

// watch looks for new requests until Ctrl-C.
func (a *app) watch(after []*follower) error {
	if _, isFile := a.out.errw.(*os.File); !isFile {
		a.out.errw = &lockedWriter{w: a.out.errw} // programs write to it, too
	}
	stop, notes := make(chan os.Signal, 1), make(chan string, 16)
	if a.ownsProcess() {
		signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
		defer signal.Stop(stop)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, f := range after {
		running.Go(func() { f.run(ctx, notes) })
	}
	defer func() {
		cancel()
		running.Wait()
	}()
	seen, began, heard := map[string]bool{}, false, uint64(0)
	for {
		var fresh []news
		requests, err := a.unseen(seen)
		for _, q := range requests {
			fresh = append(fresh, news{request: q})
		}
		if err == nil {
			var reads []canaryNews
			var newest uint64
			if reads, newest, err = a.unheard(heard, !began); err == nil {
				heard = newest
			}
			for _, r := range reads {
				fresh = append(fresh, news{canary: &r})
			}
		}
		if began && (errors.Is(err, vault.ErrBusy) || errors.Is(err, os.ErrNotExist)) {
			err = nil // another process has the vault, or is about to replace it
		}
		if err != nil {
			return err
		}
		if !began {
			began = true
			a.closePassphrases()
		}
		for _, q := range fresh {
			if err := a.tell(q); err != nil {
				return err
			}
			for _, f := range after {
				f.take(q, notes)
			}
		}
		for next := time.After(pollEvery); next != nil; {
			select {
			case <-stop:
				return nil
			case text := <-notes:
				a.out.note("%s", text)
			case <-next:
				next = nil
			}
		}
	}
}

// unseen returns the requests that wait and are not in seen, and adds them. It opens what is in the vault only if an id is
// new.
func (a *app) unseen(seen map[string]bool) (fresh []vault.Request, err error) {
	var ids []string
	err = a.look(func(v *vault.Vault, s *vault.Session) (err error) {
		if s != nil {
			return errorf(vault.ErrDenied, "only the owner can watch what agents ask for").
				hint("run it with the owner's key")
		}
		ids, err = v.PendingIDs()
		return err
	})
	a.waits = 0 // they are told here
	if err != nil {
		return nil, err
	}
	isNew := false
	for _, id := range ids {
		isNew = isNew || !seen[id]
	}
	if !isNew {
		return nil, nil
	}
	err = a.withSession(access{readOnly: true, owner: "watch what agents ask for"}, func(s *vault.Session) error {
		list, err := pendingOf(s, "")
		if err != nil {
			return err
		}
		for _, q := range list {
			if !seen[q.ID] {
				fresh = append(fresh, q)
			}
		}
		if hidden := s.Unlisted(); hidden != nil {
			a.out.warnOf(hidden)
		}
		return nil
	})
	a.waits = 0
	if err != nil {
		return nil, err
	}
	clear(seen) // of those that wait no more
	for _, id := range ids {
		seen[id] = true
	}
	for _, q := range fresh {
		seen[q.ID] = true
	}
	return fresh, nil
}

// tell prints a request, or a read of a canary.
func (a *app) tell(n news) error {
	q := n.request
	switch c := n.canary; {
	case a.JSON:
		return errors.Join(a.out.json(n.json()), a.out.err)
	case c != nil:
		a.out.line("%s  %s  %s  %s  %s", a.clock(c.at), c.who(), c.Event, c.Path, a.out.colour(red, canaryMark))
		if a.out.tty {
			a.out.line("  what to do: ass leaks of %s", c.Path)
		}
		return a.out.err
	}
	about := []any{a.clock(q.CreatedAt), orElse(q.Name, q.Agent), wants(q), q.Path, q.Tier.String()}
	switch {
	case a.out.tty:
		a.out.line("%s  %s  %s  %s  %s", about...)
		if q.Reason != "" {
			a.out.line("  %s:", agentsWords)
		}
		for _, line := range quoteLines(q.Reason, columns(a.out.w)-len(quoteMark)-1) {
			a.out.line("%s%s", quoteMark, line)
		}
		a.out.line("  to decide: ass approvals approve %s", q.ID)
	case q.Reason == "":
		a.out.line("%s  %s  %s  %s  %s  %s", append(about, q.ID)...)
	default:
		a.out.line("%s  %s  %s  %s  %s  %s  %s: %s", append(about, q.ID, agentsWords, q.Reason)...)
	}
	if q.Doubt != nil {
		a.out.warn("request %s cannot be approved: %v", q.ID, q.Doubt)
	}
	return a.out.err
}

// follower starts a program for one piece of news after another, while the watch goes on.
type follower struct {
	name  string
	queue chan news
	start func(context.Context, news) error
}

// mostQueued is how much can wait for a program.
const mostQueued = 1000

func newFollower(name string, start func(context.Context, news) error) *follower {
	return &follower{name: name, queue: make(chan news, mostQueued), start: start}
}

// take hands news over, unless too much waits already.
func (f *follower) take(q news, notes chan<- string) {
	select {
	case f.queue <- q:
	default:
		tellOn(notes, f.name+" is still busy, so it does not hear of "+q.what())
	}
}

func (f *follower) run(ctx context.Context, notes chan<- string) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-f.queue:
			if err := f.start(ctx, q); err != nil && ctx.Err() == nil {
				tellOn(notes, f.name+" failed for "+q.what()+": "+err.Error())
			}
		}
	}
}

// tellOn hands a note over. If nobody takes it, it is lost: a note must not stop the watch.
func tellOn(notes chan<- string, text string) {
	select {
	case notes <- text:
	default:
	}
}

// lockedWriter lets several goroutines write to one writer.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
