package commands

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ass/audit"
	"ass/tokens"
	"ass/vault"
)

// hostileText tries to leave a text, an attribute and an element, and to look like something else.
const hostileText = `"'><script>alert(1)</script><img src=x onerror=alert(1)>&lt;` + "\u202e\x1b[2J\n{}"

var pageTime = time.Date(2026, 11, 27, 10, 30, 0, 0, time.UTC)

// largeDashboard is the page of a vault with many secrets, and with so many agents, requests and log entries, whose
// texts are text, repeated to the longest that each can be.
func largeDashboard(t *testing.T, secrets, others int, text string) *dashboard {
	long := strings.Repeat(text, 500/len(text))
	d := &dashboard{nonce: "abc", now: pageTime, path: "~/vault.db", tiers: map[tokens.Tier]int{}, total: 10 * others,
		verified: "every record and the log hold", warnings: []string{text}, names: logPrinter{known: map[string]vault.Actor{}}}
	segment := strings.Repeat("a", 50)
	for i := range secrets {
		path := parsedPath(t, fmt.Sprintf("team%02d/%s%d/%s/KEY%06d", i%50, segment, i%3, segment, i))
		d.secrets = append(d.secrets, vault.Secret{Path: path, Version: 1, Type: "custom", Tier: tokens.Tier(1 + i%3),
			CreatedAt: pageTime, UpdatedAt: pageTime.Add(time.Duration(i) * time.Second)})
	}
	slices.SortFunc(d.secrets, func(a, b vault.Secret) int { return a.Path.Compare(b.Path) })
	var paths []string
	for _, x := range d.secrets {
		paths = append(paths, x.Path.String())
	}
	start := time.Now()
	d.matrix = newMatrix(d.secrets, paths)
	for i := range others {
		id := fmt.Sprintf("agt_%08x", i)
		g := vault.Agent{ID: id, Name: text, Description: long}
		for n := range tokens.MaxScopes {
			scopes, err := tokens.ParseScopes(fmt.Sprintf("secrets:*:team%02d/%s%d/*", n, segment, i%3))
			if err != nil {
				t.Fatal(err)
			}
			g.Scopes = append(g.Scopes, scopes...)
		}
		d.agents, d.active = append(d.agents, g), d.active+1
		d.reach = append(d.reach, reachOf(g, paths))
		d.names.known[id] = vault.Actor{ID: id, Name: text}
		d.requests = append(d.requests, vault.Request{ID: id, Requester: id, Agent: id, Name: text, Action: vault.RequestRead,
			Reason: long, Path: parsedPath(t, "team/KEY"), CreatedAt: pageTime, ExpiresAt: pageTime.Add(time.Hour),
			Doubt: errors.New(text)})
		d.tokens = append(d.tokens, vault.TokenInfo{IssuerName: text,
			Claims: tokens.Claims{ID: id, Scopes: g.Scopes, Expires: pageTime.Add(time.Hour)}})
		d.problems = append(d.problems, text)
		for range 10 {
			d.log = append(d.log, vault.Entry{Event: audit.Event{Type: text, ActorID: id, ResourceID: long, CreatedAt: pageTime}})
			d.reads.events = append(d.reads.events, readEvent{pageTime.AddDate(0, 0, -i%40), id, 1 + i, i%7 == 0})
		}
	}
	d.reads.paint(d.now, d.names.known)
	t.Logf("the counts took %v", time.Since(start))
	return d
}

func parsedPath(t *testing.T, text string) tokens.Path {
	t.Helper()
	p, err := tokens.ParsePath(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The page of a large vault stays under 2 MB, says what it leaves out, and names the commands that show it.
func TestDashboardOfALargeVault(t *testing.T) {
	for name, text := range map[string]string{"plain": "some text", "hostile": hostileText} {
		t.Run(name, func(t *testing.T) {
			d := largeDashboard(t, 20_000, 1000, text)
			d.rest, d.reads.cut, d.with = "Not everything was checked:", true, " --profile work"
			start := time.Now()
			page := string(d.render())
			t.Logf("%d bytes, rendered in %v", len(page), time.Since(start))
			if len(page) > dashboardBytes {
				t.Errorf("the page has %d bytes", len(page))
			}
			for _, want := range []string{
				`of 20,000 secrets: those that changed last. The others: .*<code>ass --profile work secrets list &#39;\*&#39;</code>`,
				`of 10,000 entries\. The others: .*<code>ass --profile work audit --limit 0</code>`,
				`of 1,000 active agents\. Any of them: .*<code>ass --profile work explain --agent NAME</code>`,
				`of 1,000 agents\. All of them: .*<code>ass --profile work agents list</code>`,
				`of 1,000\. All of them: .*<code>ass --profile work tokens list</code>`,
				`of 1,000, agents in turn</small>`,
				`All of them: .*<code>ass --profile work approvals list --limit 0</code>`,
				`more problems\. All of them: .*<code>ass --profile work audit verify</code>`,
				`that read most; [0-9]+ more are left out, with [0-9,]+ reads and [0-9,]+ refusals\.`,
				`The 24 namespaces with the most secrets; 26 more namespaces are left out\.`,
				`the newest 200,000 of 10,000 log entries`,
				`of [0-9,]+ secrets\. All of them: .*<code>ass --profile work explain --agent agt_00000000</code>`,
				`Not everything was checked: .*<code>ass --profile work audit verify</code>`,
			} {
				if !regexp.MustCompile(want).MatchString(page) {
					t.Errorf("the page does not say: %s", want)
				}
			}
		})
	}
}

// A vault of the usual size is shown whole: the page says of nothing that it is left out.
func TestDashboardOfASmallVault(t *testing.T) {
	d := largeDashboard(t, 60, 20, "some text")
	d.total = len(d.log)
	d.matrix.columns, d.matrix.others = d.matrix.columns[:8], 0
	page := string(d.render())
	if strings.Contains(page, `class="left"`) {
		t.Error("the page says that it leaves something out")
	}
	if n := strings.Count(page, "<article"); n != 20 {
		t.Errorf("the page has %d of 20 requests", n)
	}
}

// No text gets out of its place: the page has only elements and attributes that this program writes, none of which
// runs or loads anything.
func TestDashboardEscapes(t *testing.T) {
	page := largeDashboard(t, 50, 10, hostileText).render()
	script := regexp.MustCompile(`(?s)<(script|style) nonce="abc">.*?</(script|style)>`)
	if n := len(script.FindAll(page, -1)); n != 2 {
		t.Fatalf("the page has %d scripts and styles", n)
	}
	if bytes.ContainsFunc(bytes.ReplaceAll(page, []byte("\n"), nil), isUnseenOnAPage) {
		t.Error("the page has characters that nobody sees")
	}
	r := xml.NewDecoder(bytes.NewReader(script.ReplaceAll(page, nil)))
	r.Strict, r.AutoClose, r.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	elements := strings.Fields("html head meta title body header main nav footer section h1 h2 h3 p a b i q ul li dl dt dd div span " +
		"small code time table thead tbody tr th td input button article figure figcaption blockquote details summary svg desc g path " +
		"wbr br")
	attributes := strings.Fields("lang charset name content http-equiv id class href title aria-label aria-labelledby role tabindex scope " +
		"type placeholder hidden data-filter datetime viewBox preserveAspectRatio d")
	seen := 0
	for {
		tok, err := r.Token()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		e, is := tok.(xml.StartElement)
		if !is {
			continue
		}
		if seen++; !slices.Contains(elements, e.Name.Local) {
			t.Errorf("the page has an element %s", e.Name.Local)
		}
		for _, a := range e.Attr {
			if !slices.Contains(attributes, a.Name.Local) || a.Name.Local == "href" && !strings.HasPrefix(a.Value, "#") {
				t.Errorf("the page has an attribute %s=%q", a.Name.Local, a.Value)
			}
		}
	}
	if seen < 1000 {
		t.Errorf("only %d elements were read", seen)
	}
}

func isUnseenOnAPage(r rune) bool { return r != '\t' && isUnseen(r) }

// Every text has a place where escaping it is enough, and no text becomes markup by a conversion.
func TestDashboardPlaces(t *testing.T) {
	files, err := filepath.Glob("dashboard*.go")
	if err != nil {
		t.Fatal(err)
	}
	places := 0
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, is := n.(*ast.CallExpr)
			if !is || strings.HasSuffix(name, "_test.go") {
				return true
			}
			if x, is := call.Fun.(*ast.Ident); is && x.Name == "fixedHTML" {
				t.Errorf("%s converts something to markup", name)
			}
			if x, is := call.Fun.(*ast.SelectorExpr); is && x.Sel.Name == "put" {
				m := constant(t, call.Args[0])
				inTag, quotes := false, 0
				for i, c := range m {
					switch {
					case c == '<' && quotes%2 == 0:
						inTag = true
					case c == '>' && quotes%2 == 0:
						inTag, quotes = false, 0
					case c == '"' && inTag:
						quotes++
					case strings.HasPrefix(m[i:], "{}"):
						if places++; inTag && quotes%2 == 0 {
							t.Errorf("%s: a text stands in a tag, outside of quotes: %s", name, m)
						}
					}
				}
				if inTag {
					t.Errorf("%s: a tag is not closed: %s", name, m)
				}
			}
			return true
		})
	}
	if places < 50 {
		t.Errorf("only %d places were found", places)
	}
}

func constant(t *testing.T, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		return text
	case *ast.BinaryExpr:
		return constant(t, e.X) + constant(t, e.Y)
	}
	t.Errorf("markup is no constant: %T", e)
	return ""
}

// Numbers have commas, times a zone, and long paths places to break.
func TestDashboardTexts(t *testing.T) {
	p := &webPage{}
	for _, n := range []int{0, 7, 999, 1000, 20000, 1234567} {
		p.put(`{};`, n)
	}
	p.put(`{};{};{};{};`, count(1, "read"), count(0, "read"), count(1000, "read"), tokens.Critical)
	p.time(pageTime.In(time.FixedZone("elsewhere", 3600)))
	p.path("a/b/C")
	want := `0;7;999;1,000;20,000;1,234,567;1 read;0 reads;1,000 reads;critical;` +
		`<time datetime="2026-11-27T10:30:00Z">2026-11-27 10:30 UTC</time>a/<wbr>b/<wbr>C`
	if got := p.b.String(); got != want {
		t.Errorf("%s", got)
	}
	for _, texts := range [][]any{{}, {"a", "b"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d texts for one place", len(texts))
				}
			}()
			p.put(`{}`, texts...)
		}()
	}
}

// What the matrix counts is what each agent may do with each secret.
func TestMatrixCounts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	name := func(words ...string) string { return words[random.IntN(len(words))] }
	for range 300 {
		var secrets []vault.Secret
		var paths []string
		there := map[string]bool{}
		for range 1 + random.IntN(60) {
			path := name("a", "a-b", "a0", "b")
			for range random.IntN(3) {
				path += "/" + name("a", "b", "c-")
			}
			there[path+"/"+name("K", "L", "M")] = true
		}
		for path := range there {
			paths = append(paths, path)
		}
		slices.Sort(paths)
		for _, path := range paths {
			secrets = append(secrets, vault.Secret{Path: parsedPath(t, path), Tier: tokens.Tier(1 + random.IntN(3))})
		}
		g := vault.Agent{ID: "agt_1"}
		for range 1 + random.IntN(5) {
			pattern := name("*", "a/*", "a-b/*", "a/b/*", "a/b/a/*", "b/*", paths[random.IntN(len(paths))], "b/none/K")
			scopes, err := tokens.ParseScopes("secrets:" + name("read", "write", "delete", "*") + ":" + pattern)
			if err != nil {
				t.Fatal(err)
			}
			g.Scopes = append(g.Scopes, scopes...)
		}
		r, m, n := reachOf(g, paths), newMatrix(secrets, paths), 0
		for _, c := range m.columns {
			var want [len(shownActions)]share
			for i, secret := range secrets {
				if !slices.ContainsFunc([]tokens.Tier{1, 2, 3}, func(tier tokens.Tier) bool { return slices.Contains(c.at[tier], i) }) {
					continue
				}
				if ns := secret.Path.Namespace().String(); ns != c.name && !(c.below && strings.HasPrefix(ns, c.name+"/")) {
					t.Errorf("%s counts in the column of %s", secret.Path, c.name)
				}
				n++
				can := g.Access(secret)
				for j, right := range []vault.Right{can.Read, can.Write, can.Delete} {
					if right != vault.NoRight {
						want[j].n++
					}
					if right == vault.OnRequest {
						want[j].asks++
					}
				}
			}
			for j, action := range shownActions {
				if got := c.share(r.of[j], action); got != want[j] {
					t.Fatalf("%v on %s with %v: %+v, and not %+v", action, c.name, g.Scopes, got, want[j])
				}
			}
		}
		now := pageTime
		g.RevokedAt = &now
		if gone := reachOf(g, paths); gone.n > 0 || len(gone.all) > 0 {
			t.Fatalf("a revoked agent reaches %+v", gone)
		}
		g.RevokedAt = nil
		reached := 0
		for _, secret := range secrets {
			if can := g.Access(secret); can.Read != vault.NoRight || can.Write != vault.NoRight || can.Delete != vault.NoRight {
				reached++
			}
		}
		if n != len(secrets) || r.n != reached {
			t.Fatalf("%d of %d secrets have a column; %d are reached, and not %d, with %v", n, len(secrets), r.n, reached, g.Scopes)
		}
	}
}

// Namespaces share a column, by how they begin, if there are too many for one each. Those with the most secrets have
// one.
func TestMatrixColumns(t *testing.T) {
	for _, x := range []struct {
		teams, services, columns, others int
		first, last                      string
	}{
		{3, 8, 24, 0, "team00/service0", "team02/service7"}, {3, 9, 3, 0, "team00", "team02"},
		{24, 2, 24, 0, "team00", "team23"}, {30, 1, 24, 6, "team06", "team29"},
	} {
		var secrets []vault.Secret
		var paths []string
		for team := range x.teams {
			for service := range x.services {
				for key := range 1 + min(team/6, 1) { // the later teams have more
					p := parsedPath(t, fmt.Sprintf("team%02d/service%d/KEY%d", team, service, key))
					secrets, paths = append(secrets, vault.Secret{Path: p, Tier: tokens.Standard}), append(paths, p.String())
				}
			}
		}
		m := newMatrix(secrets, paths)
		if n := len(m.columns); n != x.columns || m.others != x.others || m.columns[0].name != x.first || m.columns[n-1].name != x.last {
			t.Errorf("%+v: %d columns from %s to %s, and %d left out", x, n, m.columns[0].name, m.columns[n-1].name, m.others)
		}
		if m.columns[0].below != !strings.Contains(x.first, "/") {
			t.Errorf("%+v: whether there is more below: %v", x, m.columns[0].below)
		}
		if !slices.IsSortedFunc(m.columns, func(a, b nsColumn) int { return strings.Compare(a.name, b.name) }) {
			t.Errorf("%+v: the columns are not in order", x)
		}
	}
}

// The picture counts by day, or by hour if the first read was lately; what tokens read counts for their agent.
func TestReadsPicture(t *testing.T) {
	known := map[string]vault.Actor{"tok": {ID: "tok", Issuer: "agt_1"}}
	r := readsPicture{events: []readEvent{
		{pageTime.Add(time.Hour), "agt_1", 2, false}, {pageTime, "tok", 3, false}, {pageTime, "agt_1", 1, true},
		{pageTime.AddDate(0, 0, -16), "agt_2", 1, false}, {pageTime.AddDate(0, 0, -400), "agt_2", 5, false},
	}}
	r.paint(pageTime, known)
	if got := fmt.Sprint(r.step, r.n, r.from, len(r.rows)); got != "24h0m0s 28 2026-10-31 00:00:00 +0000 UTC 2" {
		t.Errorf("columns: %s", got)
	}
	if x := r.rows[0]; x.id != "agt_1" || x.reads != 5 || x.noes != 1 || x.read[27] != 5 || x.refused[27] != 1 {
		t.Errorf("%+v", x)
	}
	if x := r.rows[1]; x.id != "agt_2" || x.reads != 1 || x.read[11] != 1 {
		t.Errorf("%+v", x)
	}
	r.events = r.events[:4]
	if r.paint(pageTime, known); r.n != 17 || !r.from.Equal(time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("with a first read 16 days ago: %d columns from %v", r.n, r.from)
	}
	r.events = r.events[:3]
	if r.paint(pageTime, known); r.step != time.Hour || r.n != 24 || r.rows[0].read[23] != 5 {
		t.Errorf("%v, %d, %+v", r.step, r.n, r.rows[0])
	}
}

// The picture is of the newest entries alone: of reads of one secret and of several, and of reads that were refused.
func TestReadsOfTheLog(t *testing.T) {
	id, err := vault.NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	file, now := filepath.Join(t.TempDir(), "vault.db"), pageTime
	o := vault.Options{Now: func() time.Time { return now }, Throwaway: true}
	if _, err := vault.Create(file, id, o); err != nil {
		t.Fatal(err)
	}
	v, err := vault.Open(file, o)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	s, err := v.Owner(id)
	if err != nil {
		t.Fatal(err)
	}
	ns := parsedPath(t, "prod/A").Namespace()
	items := []vault.Item{{Key: "A", Value: []byte("a")}, {Key: "B", Value: []byte("b")}}
	if _, err := s.Import(ns, items, vault.ImportOptions{}); err != nil {
		t.Fatal(err)
	}
	scopes, err := tokens.ParseScopes("secrets:read:prod/A")
	if err != nil {
		t.Fatal(err)
	}
	g, k, err := s.CreateAgent(vault.AgentSpec{Name: "worker", Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	agent, err := v.Agent(k)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := agent.Get(parsedPath(t, "prod/A"), 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := agent.Get(parsedPath(t, "prod/B"), 0); !errors.Is(err, vault.ErrDenied) {
		t.Fatal(err)
	}
	now = now.Add(time.Minute)
	if _, err := s.GetAll(ns); err != nil {
		t.Fatal(err)
	}
	all := []readEvent{{now, audit.Owner, 2, false}, {pageTime, g.ID, 1, true}, {pageTime, g.ID, 1, false}}
	for most, want := range map[int][]readEvent{100: all, 6: all, 2: all[:2], 1: all[:1]} {
		r, err := readsOf(v, most)
		if err != nil || !slices.EqualFunc(r.events, want, func(a, b readEvent) bool {
			return a.at.Equal(b.at) && a.who == b.who && a.n == b.n && a.refused == b.refused
		}) || r.cut != (most < 6) {
			t.Errorf("of %d entries: %+v, %v", most, r, err)
		}
	}
}
