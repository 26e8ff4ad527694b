package commands

import (
	"bytes"
	_ "embed"
	"html/template"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"ass/audit"
	"ass/commands/internal/process"
	"ass/tokens"
	"ass/vault"
)

type openCmd struct {
	NoBrowser bool `help:"Write the page and print its path without opening it."`
}

func (openCmd) Help() string {
	return `Writes one page, for your eyes alone, into the runtime folder: the vault's health, what
secrets there are (never a value), agents and what each can open, live tokens,
requests that wait, and the audit log. The page loads nothing and sends nothing. It
shows the vault as it was then; run it again for another.`
}

//go:embed dashboard.html
var dashboardHTML string

// dashboard is the template of the page. Texts that others wrote go through clean, as
// on a terminal.
func dashboard() *template.Template {
	return template.Must(template.New("dashboard").Funcs(template.FuncMap{"clean": clean}).Parse(dashboardHTML))
}

// How many log entries, and how many requests, the page has.
const (
	logShown      = 500
	requestsShown = 200
)

// dashboardData is all that the page shows.
type dashboardData struct {
	Nonce    string // for its one script and its one style
	Made     string
	Version  string
	Path     string
	Info     vault.Info
	Size     string
	Problems []string
	Warnings []string
	Secrets  []vault.Secret
	Tiers    map[string]int
	Agents   []dashboardAgent
	Active   int
	Tokens   []vault.TokenInfo
	Requests []vault.Request
	Waiting  int // all pending requests, including those not shown
	Log      []dashboardEntry
	Total    int
	now      time.Time
}

type dashboardAgent struct {
	vault.Agent
	Reach []vault.Reach
}

type dashboardEntry struct {
	vault.Entry
	Resource string
	Denied   bool
}

// Stamp formats a time.
func (dashboardData) Stamp(t time.Time) string { return stamp(t) }

// Ago formats the age of t when the page was made.
func (d dashboardData) Ago(t time.Time) string { return ago(d.now.Sub(t)) }

// Left formats the time from the making of the page to t, when something expires.
func (d dashboardData) Left(t time.Time) string { return until(t.Sub(d.now)) }

// Count formats a number with its noun: "1 secret", "2 secrets".
func (dashboardData) Count(n int, noun string) string { return plural(n, noun) }

func (c openCmd) Run(a *app) error {
	dir, err := a.runtimeFolder()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "dashboard-"+fileSafe(a.Profile)+".html")
	h, err := a.find()
	if err != nil {
		return err
	}
	if err := privateFolder(dir); err != nil {
		return err
	}
	var page []byte
	err = a.withSession(access{readOnly: true, owner: "see all of the vault", progress: "verifying"},
		func(s *vault.Session) error {
			d, err := a.collect(s, h)
			if err != nil {
				return err
			}
			page, err = d.render()
			return err
		})
	if err != nil {
		return err
	}
	if err := a.writePrivate(path, page); err != nil {
		return err
	}
	a.changed("the page is at %s", a.tilde(path))
	url := fileURL(path)
	if a.JSON {
		if err := a.out.json(openResult{Path: path, URL: url}); err != nil {
			return err
		}
	}
	if c.NoBrowser {
		if !a.JSON {
			a.out.line("%s", path)
		}
		return nil
	}
	if !a.JSON {
		a.out.line("Opening %s ...", url)
	}
	a.closePassphrases()
	if err := a.openBrowser(url); err != nil {
		a.out.note("no browser could be started; open the page yourself: %s", path)
	}
	return nil
}

// collect gathers everything that the page shows, while the vault is open once.
func (a *app) collect(s *vault.Session, h setup) (d dashboardData, err error) {
	d = dashboardData{Version: version(), Path: a.tilde(h.at.path), now: a.now(), Made: stamp(a.now()),
		Tiers: map[string]int{}}
	nonce, err := vault.Generate(24, "alnum")
	if err != nil {
		return d, err
	}
	d.Nonce = string(nonce)
	if d.Info, err = s.Info(); err != nil {
		return d, err
	}
	d.Size = size(d.Info.Bytes)
	report, err := s.Reverify()
	if err != nil {
		return d, err
	}
	d.Problems = report.Problems
	st := status{app: a, setup: h}
	d.Warnings = append(a.exposed(h.at), st.ownerWarnings()...)
	if d.Secrets, err = s.List(tokens.Namespace{}, false); err != nil {
		return d, err
	}
	for _, secret := range d.Secrets {
		d.Tiers[secret.Tier.String()]++
	}
	agents, err := s.Agents()
	if err != nil {
		return d, err
	}
	for _, g := range agents {
		x, err := s.ExplainAgent(g.ID)
		if err != nil {
			return d, err
		}
		if g.RevokedAt == nil {
			d.Active++
		}
		d.Agents = append(d.Agents, dashboardAgent{g, x.Reach})
	}
	list, err := s.Tokens()
	if err != nil {
		return d, err
	}
	for _, t := range list {
		if t.State == vault.TokenActive {
			d.Tokens = append(d.Tokens, t)
		}
	}
	requests, err := s.Requests()
	if err != nil {
		return d, err
	}
	for _, q := range requests {
		if q.Status == vault.Pending {
			d.Requests = append(d.Requests, q)
		}
	}
	d.Waiting = len(d.Requests)
	d.Requests = roundRobin(d.Requests, requestsShown)
	if d.Total, err = s.CountLog(nil); err != nil {
		return d, err
	}
	entries, err := s.Log(logShown, nil)
	for _, e := range entries {
		d.Log = append(d.Log, dashboardEntry{e, resource(e.Event), isDenied(e.Event)})
	}
	return d, err
}

func (d dashboardData) render() ([]byte, error) {
	var b bytes.Buffer
	err := dashboard().Execute(&b, d)
	return b.Bytes(), err
}

// openBrowser asks the desktop to show a page. It does not wait for the browser.
func (w *world) openBrowser(url string) error {
	program := map[string][]string{
		"darwin":  {"open", url},
		"windows": {"rundll32", "url.dll,FileProtocolHandler", url},
	}[runtime.GOOS]
	if program == nil {
		program = []string{"xdg-open", url}
	}
	found, err := w.lookPath(program[0])
	if err != nil {
		return err
	}
	cmd := exec.Command(found, program[1:]...)
	cmd.Env, cmd.Dir = w.env, w.dir
	return process.Start(cmd)
}

func isDenied(e audit.Event) bool { return strings.HasSuffix(e.Type, audit.Denied) }
