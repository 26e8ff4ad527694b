package stores

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"ass/tokens"
)

// Whatever a source is, a reader ends with items or with an error, and not with a panic. The names
// of items are all different, and become valid paths or an error.
func fuzzFormat(f *testing.F, name string, seeds ...string) {
	format, _ := Named(name)
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		s := Source{Bytes: source, Run: func([]byte, ...string) ([]byte, error) { return source, nil }}
		if format.Folder {
			dir := newStore(t, map[string]string{"a/b.gpg": "", "c.gpg": ""})
			root, err := os.OpenRoot(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			s.Root = root
		}
		judge(t, format, s)
	})
}

func judge(t *testing.T, format Format, s Source) {
	t.Helper()
	c, err := format.Read(s)
	if err != nil {
		if len(err.Error()) > 1000 || !utf8.ValidString(err.Error()) {
			t.Errorf("the error is %q", err)
		}
		return
	}
	seen := map[string]bool{}
	for _, i := range c.Items {
		if key := keyOf(i.Name); seen[key] {
			t.Errorf("%q is there twice", i.Name)
		} else {
			seen[key] = true
		}
	}
	n := len(c.Items)
	ns, err := tokens.ParseNamespace("ns")
	if err != nil {
		t.Fatal(err)
	}
	paths, err := Places(c, ns, nil)
	if err == nil && len(paths) != n {
		t.Errorf("%d items have %d paths", n, len(paths))
	}
	for _, p := range paths {
		if again, err := tokens.ParsePath(p.String()); err != nil || again != p || !ns.Contains(p) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func FuzzPass(f *testing.F) {
	fuzzFormat(f, "pass", "hunter2\nuser: bob\notpauth://x\n", "-----BEGIN X\n", "{\n\"a\": 1\n}", "\xff\x00")
}

func FuzzGopass(f *testing.F) {
	fuzzFormat(f, "gopass", "p\nuser: x\n---\na: {b: c}\n", "GOPASS-SECRET-1.0\nPassword: p\n\nbody\n",
		"\ncontent-disposition: attachment\ncontent-transfer-encoding: Base64\n\nAAE=\n")
}

func FuzzSops(f *testing.F) {
	fuzzFormat(f, "sops", "a: b\nsops: {}\n", "A=b\nsops_version=1\n", `{"data":"x","sops":{}}`, "a: 1\n---\nb: [1, {c: !!binary AAE=}]\n", "[s]\na=b\n[sops]\n")
}

func FuzzBitwarden(f *testing.F) {
	fuzzFormat(f, "bitwarden", `{"encrypted":false,"folders":[{"id":"f","name":"A/B"}],"items":[{"folderId":"f","type":1,"name":"x","fields":[{"name":"a","value":"b","type":1}],`+
		`"login":{"username":"u","password":"p","totp":null,"uris":[{"uri":"u"}]}},{"type":3,"card":{"number":"1"}}]}`)
}

func FuzzOnePassword(f *testing.F) {
	fuzzFormat(f, "1password", "Title,Url,Username,Password,OTPAuth,Favorite,Archived,Tags,Notes\nA,u,n,\"p\",o,false,false,t;u,\"a\nb\"\n",
		`{"title":"A","vault":{"name":"v"},"category":"LOGIN","fields":[{"id":"password","purpose":"PASSWORD","label":"l","value":"v"}],"urls":[{"href":"u"}]}`)
}

func FuzzKeePass(f *testing.F) {
	fuzzFormat(f, "keepass", keePassStart+`<Group><Name>g</Name><Entry><Tags>a</Tags><String><Key>Password</Key><Value>p</Value></String><History><Entry/></History></Entry></Group></Group></Root></KeePassFile>`,
		"Group,Title,Username,Password\nR/G,t,u,p\n", "Account,Password\nA,p\n")
}

func FuzzFlatJSON(f *testing.F) {
	fuzzFormat(f, "flat-json", `{"A":"b","c":{"d":[1,true,null]}}`, `[{"key":"A","value":"b"}]`, `{"ARN":"a","Name":"n/m","SecretString":"{\"a\":\"b\"}"}`,
		`{"name":"projects/1/secrets/K/versions/1","payload":{"data":"YQ"}}`, `{"request_id":"r","data":{"data":{"A":"b"},"metadata":{}}}`, `{"A":{"computed":"x"}}`)
}

func FuzzKubernetes(f *testing.F) {
	fuzzFormat(f, "kubernetes", "kind: Secret\nmetadata: {name: n, labels: {a: b}}\ndata: {A: YQ==}\nstringData:\n  B: |\n    x\n---\nkind: List\nitems: []\n",
		`{"kind":"List","items":[{"kind":"Secret","metadata":{"name":"n"},"data":{"A":"YQ=="}}]}`, "a: &b [1]\nc: *b\n")
}

func FuzzAss(f *testing.F) {
	fuzzFormat(f, "ass", `{"A":"x"}{"namespace":"p","items":[{"key":"A","path":"p/A","secret_type":"custom","access_tier":"standard"}]}`,
		`{"path":"a/b","value":"eA==","encoding":"base64","version":1}`)
}

// A rule, whatever it is, gives valid paths.
func FuzzRule(f *testing.F) {
	f.Add("a/*=b/*", "a/x y")
	f.Add("*=", "x")
	f.Fuzz(func(t *testing.T, rule, name string) {
		r, err := ParseRule(rule)
		if err != nil {
			return
		}
		c := &Content{}
		c.add(Item{Name: strings.Split(name, "/")})
		ns, _ := tokens.ParseNamespace("ns")
		paths, err := Places(c, ns, []*Rule{r})
		for _, p := range paths {
			if _, perr := tokens.ParsePath(p.String()); perr != nil || err != nil || !ns.Contains(p) {
				t.Errorf("%q: %v %v", p, perr, err)
			}
		}
	})
}
