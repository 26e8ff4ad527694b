package stores

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each reader says where a source is not of its form, whatever part of it that is.
func TestMalformed(t *testing.T) {
	checkAll(t, "bitwarden", []reads{
		{`{"items":[],"folders":7}`, []string{`error: line 1: "folders" is not a list`}},
		{`{"items":[],"collections":7}`, []string{`error: line 1: "collections" is not a list`}},
		{`{"items":[{"type":1,"login":{"uris":7}}]}`, []string{`error: line 1: "uris" is not a list`}},
		{`{"items":[{"type":2,"fields":7}]}`, []string{`error: line 1: "fields" is not a list`}},
		{`{"items":[`, []string{`error: line 1: it is not JSON from here on`}},
		{`{"items":[]} 1`, []string{`error: line 1: there is text after the object`}},
		{"\xef\xbb\xbf \n{\"items\":[{\"type\":2,\"name\":\"a\",\"notes\":\"x\",\"attachments\":[],\"collectionIds\":[\"c\"]}]}", []string{`a = "x"`}},
		{`{"items":[{"name":"S","type":5,"sshKey":{"keyFingerprint":"f"}}]}`, []string{`S / keyFingerprint = "f" ssh_key`}},
	})
	checkAll(t, "1password", []reads{
		{`[`, []string{`error: line 1: it is not JSON from here on`}},
		{`{"title":"A","tags":7,"fields":[]}`, []string{`error: line 1: "tags" is not a list`}},
		{`{"title":"A","fields":7}`, []string{`error: line 1: "fields" is not a list`}},
		{`{"title":"A","fields":[],"urls":7}`, []string{`error: line 1: "urls" is not a list`}},
		{`{"title":"A","fields":[{"id":"f","type":"FILE","label":"scan"},{"id":"o","label":"obj","value":{"a":1}},{"id":"n","label":"nil","value":null}]}`,
			[]string{`not A: its file "scan"`, `not A: its field "obj", which is no text`}},
		{`{"title":"D","category":"DOCUMENT","files":[{},{}]}`, []string{`not D: 2 attachments`}},
		{`{"title":"E","category":"LOGIN","fields":[]}`, []string{`not E: it is empty`}},
		{`{"title":"L","category":"LOGIN","fields":[{"id":"password","label":"old","value":"x"},{"id":"notesPlain","label":"n","value":"y"},{"id":"credential","label":"c","value":"z"}]}`,
			[]string{`L / old = "x"`, `L / notes = "y"`, `L / c = "z"`}},
		{`{"title":"W","category":"SERVER","fields":[{"id":"password","label":"p","value":"x"},{"type":"SSHKEY","id":"k","label":"k","value":"y"}]}`,
			[]string{`W = "x"`, `W / k = "y"`}},
		{"title,password\n,\n", []string{`not unnamed: it is empty`, `not : what 1Password does not write into a CSV file: items that are no logins or passwords, fields that you made, attachments; op item get --format json has them`}},
	})
	const csvNote = `not : what KeePass does not write into a CSV file: fields that you made, attachments, tags; an XML export has the fields and the tags`
	checkAll(t, "keepass", []reads{
		{"title,a\n", []string{`error: line 1: it is no CSV export of KeePass: it names no columns Title (or Account) and Password`}},
		{"title,password\n\"", []string{`error: line 2: a quote is not closed, or stands inside of a field without quotes`}},
		{"title,password,PIN\nA,,7\nB,,\n", []string{`A / pin = "7"`, `not B: it is empty`, csvNote}},
		{"<a>\xff</a>", []string{`error: line 1: it is not text (UTF-8)`}},
		{"<a></a><b></b>", []string{`error: line 1: it is not XML from here on`}},
		{"<Other><Root><Group></Group></Root></Other>", []string{`error: it is no XML export of KeePass: it has no <KeePassFile> with a <Root> and a <Group>`}},
		{keePassStart + `<Entry><Other><Key>a</Key><Value>x</Value></Other><String><Key>b</Key></String><History></History>` +
			`<String><Key>c</Key><Value ProtectInMemory="true" Protected="False">y</Value></String></Entry><Entry></Entry></Group></Root></KeePassFile>`,
			[]string{`unnamed / c = "y"`, `not unnamed (2): it is empty`}},
		{keePassStart + strings.Repeat("<Group>", 80), []string{`error: line 1: it is nested more than 64 deep`}},
	})
	checkAll(t, "flat-json", []reads{
		{`{"ARN":"a","SecretString":"x"}`, []string{`error: line 1: it has no Name`}},
		{`{"ARN":"a","Name":"n","SecretBinary":"!"}`, []string{`error: line 1: SecretBinary is not base64`}},
		{`{"ARN":"a","Name":"n"}`, []string{`ARN = "a"`, `Name = "n"`}},
		{`{"SecretString":"x"}`, []string{`SecretString = "x"`}},
		{`{"ARN":"a","Name":"n","SecretString":"{}"}{"ARN":"a","Name":"m","SecretString":"{not json"}`, []string{`n = "{}"`, `m = "{not json"`}},
		{`{"SecretValues":[{"ARN":"a","SecretString":"x"}]}`, []string{`error: line 1: it has no Name`}},
		{`{"Parameters":[{"Name":"n"}]}`, []string{`error: line 1: it has no Name or no Value`}},
		{`{"Parameters":[{"Name":"/","Value":"v"}]}`, []string{`error: line 1: it has no Name or no Value`}},
		{`{"Parameters":[{"Name":"n","Value":[]}]}`, []string{`error: line 1: it has no Name or no Value`}},
		{`{"name":"x"}`, []string{`name = "x"`}},
		{`{"payload":{"data":"x"}}`, []string{`payload / data = "x"`}},
		{`{"name":"projects/1/secrets/K","payload":{"data":"YQ"}}`, []string{`K = "a"`}},
		{`{"name":"projects/1/secrets/K/versions/1","payload":{"data":"!"}}`, []string{`error: line 1: its payload is not base64`}},
		{`{"request_id":"r","data":7}`, []string{`error: line 1: its data is not an object`}},
		{`{"request_id":"r","data":{"data":{"A":"x"},"metadata":{"destroyed":true}}}`, []string{`error: line 1: it is a version that was deleted`}},
		{`[{"key":"A","value":[]}]`, []string{`error: item 1: its value is not a text`}},
		{`[{"key":"A"}]`, []string{`error: item 1: it has no key or no value, as in what infisical export --format=json gives`}},
		{`[{"value":"A"}]`, []string{`error: item 1: it has no key or no value, as in what infisical export --format=json gives`}},
		{`{}`, []string{``}},
	})
	checkAll(t, "kubernetes", []reads{
		{"[]", []string{`error: it has no manifest (an object with a kind)`}},
		{`[{"kind":"Secret","metadata":{"name":"a","namespace":"n"},"data":{"K":null,"L":"eA=="}}]`, []string{`a / K = ""`, `a / L = "x"`}},
		{`[[]]`, []string{`error: line 1: it is not a manifest: it has no kind`}},
		{`[{"kind":"List","items":[{"kind":"List","items":[]}]}]`, []string{`not line 1: it is a List, and not a Secret`}},
		{`{"kind":"List","items":7}`, []string{`error: line 1: "items" is not a list`}},
		{`{"kind":"List","items":[7]}`, []string{`error: line 1: it is not a manifest: it has no kind`}},
		{`{"kind":"Secret","metadata":{"name":"a","annotations":{}},"data":{"K":"eA=="}}{"kind":"Secret","metadata":{"name":"b","namespace":"n"},"data":{"K":"eA=="}}`,
			[]string{`a / K = "x"`, `n / b / K = "x"`}},
	})
	checkAll(t, "ass", []reads{
		{`{`, []string{`error: line 1: it is not JSON from here on`}},
		{`{"namespace":"x"}`, []string{`namespace = "x"`, `note: without secrets list --json, the secrets keep their keys alone: no namespaces, types and tiers`}},
		{`{"A":"x"}{"B":7}`, []string{`error: line 1: the value of "B" is not a text`}},
		{`{"B":7}{"A":"x"}`, []string{`error: line 1: the value of "B" is not a text`}},
		{`{"A":7}{"namespace":"p","items":[{"key":"A","path":"p/A"}]}`, []string{`error: line 1: the value of "A" is not a text`}},
		{`{"A":"x"}{"namespace":"p","items":[{"key":"A","path":"A"}]}`, []string{`error: line 1: its path is not a whole one`}},
		{`{"path":"a/b","value":"!","encoding":"base64","version":1}`, []string{`error: line 1: its value is not base64`}},
	})
}

func TestMalformedSops(t *testing.T) {
	f, _ := Named("sops")
	for _, r := range []struct{ name, source, out, want string }{
		{"x.enc", `{"a":1,"sops":{}}`, `{"a":"x"}`, `a = "x"`},
		{"x.enc", `{"data":"x","other":1,"sops":{}}`, `{"data":"x"}`, `data = "x"`},
		{".hidden", `{"data":"x","sops":{}}`, `x`, `data = "x"`},
		{"x", `{`, ``, `error: line 1: it is not JSON from here on`},
		{"x", "sops_version=1\n", `{"A":"\"","B":"'x'","C":"\"x'","D":"x","E":""}`, "A = \"\\\"\"\nB = \"'x'\"\nC = \"\\\"x'\"\nD = \"x\"\nE = \"\"\n" +
			"note: to sops, the quotes around these values are a part of them, so they are stored: B; to read the file as a .env file: sops -d FILE | ass env import -"},
		{"x", "sops_version=1\n", `[`, `error: decrypted, line 1: it is not JSON from here on`},
	} {
		c, err := f.Read(Source{Bytes: []byte(r.source), Name: r.name, Run: func([]byte, ...string) ([]byte, error) { return []byte(r.out), nil }})
		check(t, "sops", r.source, show(c, err), r.want)
	}
	for _, source := range []string{`{"data":"x","sops":{}}`, `{"a":"x","sops":{}}`, "sops_version=1\n", "a: b\n"} {
		_, err := f.Read(Source{Bytes: []byte(source), Run: func([]byte, ...string) ([]byte, error) { return nil, fmt.Errorf("it cannot") }})
		if err == nil || err.Error() != "it cannot" {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestMalformedEntries(t *testing.T) {
	for _, r := range []struct {
		format, content string
		want            []string
	}{
		{"pass", "a\x00b\nuser: x\n", []string{`a / b = "a\x00b\nuser: x\n"`}},
		{"pass", "\x00\nuser: x\n", []string{`a / b = "\x00\nuser: x\n"`}},
		{"gopass", "GOPASS-SECRET-1.0\r\nno header\nPassword: p\n", []string{`a / b = "p"`, `a / b / notes = "no header"`}},
		{"gopass", "pass word\ncontent-transfer-encoding: base64\n\nAAE=\n", []string{`a / b = "pass word"`, `a / b / content-transfer-encoding = "base64"`, `a / b / notes = "AAE="`}},
		{"gopass", "\ncontent-transfer-encoding: base64\nmore: x\n\nAAE\n=\n", []string{`a / b = "\x00\x01"`}},
		{"gopass", "\ncontent-transfer-encoding: base64\n\n!\n", []string{`a / b / content-transfer-encoding = "base64"`, `a / b / notes = "!"`}},
		{"gopass", "p\na: 1\nb: 2\nc: 3\nd: 4\ncontent-transfer-encoding: base64\nAAE=\n", []string{`a / b = "p"`, `a / b / a = "1"`, `a / b / b = "2"`, `a / b / c = "3"`,
			`a / b / d = "4"`, `a / b / content-transfer-encoding = "base64"`, `a / b / notes = "AAE="`}},
		{"gopass", "content-transfer-encoding: base64", []string{`not a/b: it is empty`}},
	} {
		c, err := readFolder(t, r.format, newStore(t, map[string]string{"a/b.gpg": r.content}))
		check(t, r.format, r.content, show(c, err), r.want...)
	}
	dir := newStore(t, map[string]string{"a.gpg": "1"})
	if err := os.Mkdir(filepath.Join(dir, "locked"), 0); err == nil && os.Getuid() != 0 {
		if _, err := readFolder(t, "pass", dir); err == nil {
			t.Error("a folder that cannot be read is left out")
		}
	}
	bad := newStore(t, map[string]string{"a.gpg": "1"})
	if err := os.WriteFile(filepath.Join(bad, "b.gpg"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("b.gpg", filepath.Join(bad, "a1.gpg")); err == nil {
		c, err := readFolder(t, "pass", bad)
		check(t, "pass", "a link to what gpg does not open", show(c, err), `error: "a1": gpg cannot decrypt it`)
	}
}

// Where a source is too much, it is refused at the limit.
func TestLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	if maxNodes != 1_000_000 {
		t.Errorf("a source may have %d values", maxNodes)
	}
	defer func(n int) { maxNodes = n }(maxNodes)
	maxNodes = 200_000 // of which there are more than of rows and items, and which take a fifth of the time
	for _, r := range []struct{ format, source, want string }{
		{"flat-json", "[" + strings.Repeat("1,", maxNodes-2) + "1]", `error: item 1: it has no key or no value, as in what infisical export --format=json gives`},
		{"flat-json", "[" + strings.Repeat("1,", maxNodes-1) + "1]", `error: line 1: it has more than 200000 values`},
		{"keepass", "<a>" + strings.Repeat("<b></b>", maxNodes-1) + "</a>", `error: it is no XML export of KeePass: it has no <KeePassFile> with a <Root> and a <Group>`},
		{"keepass", "<a>" + strings.Repeat("<b></b>", maxNodes) + "</a>", `error: line 1: it has more than 200000 elements`},
		{"kubernetes", strings.Repeat("- a\n", maxNodes), `error: line 199999: it has more than 200000 values`},
		{"kubernetes", strings.Repeat("#", maxYAML) + "\n", `error: it is larger than 4 MiB, the most that is read of YAML`},
		{"1password", "title,password\n" + strings.Repeat("a,b\n", MaxItems+1), `error: line 100002: it has more than 100000 rows`},
		{"flat-json", `{"a":[` + strings.Repeat("1,", MaxItems) + "1]}", `error: it has more than 100000 values, the most that one import takes`},
	} {
		f, _ := Named(r.format)
		c, err := f.Read(Source{Bytes: []byte(r.source)})
		if got := strings.TrimSuffix(show(c, err), "\n"); got != r.want {
			t.Errorf("%s: %.200s, want %s", r.format, got, r.want)
		}
	}
}

func TestClean(t *testing.T) {
	for part, want := range map[string]string{
		"azAZ09._-": "azAZ09._-", "a密b": "au5bc6b", "x½": "xu00bd", "a\x7fb": "a-b", "e\u0301a": "ea", "a\u0301\u0301": "a", "Ærø": "AEro", "\xffa": "ufffda",
		"a/b": "a-b", "- a": "-a", "z": "z", "ľ": "u013e", "a  !": "a",
	} {
		if got := clean(part); got != want {
			t.Errorf("%q becomes %q, want %q", part, got, want)
		}
	}
	r, err := ParseRule("a*b=x*")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"ab": "x", "a1b": "x1", "a": "-", "aXc": "-", "bab": "-"} {
		to, ok := r.match(name)
		if !ok {
			to = "-"
		}
		if to != want {
			t.Errorf("%q becomes %q, want %q", name, to, want)
		}
	}
	c := &Content{}
	for _, name := range []string{"a!", "a?", "a.", "a#", "a%", "a&"} {
		c.add(Item{Name: []string{name}})
	}
	_, err = Places(c, namespace(t, "n"), nil)
	check(t, "clashes", "many", "error: "+errorText(err), `error: "a!" and "a?" would both be n/a, "a!" and "a#" would both be n/a, "a!" and "a%" would both be n/a, and 1 more; `+
		`give one of them another path with: --map 'a?=OTHER'`)
}

// An empty source is an error in every format, and so is one of blanks.
func TestNothing(t *testing.T) {
	for _, f := range Formats {
		for _, source := range []string{"", " ", "\n\n", "\xef\xbb\xbf", "\x00"} {
			if f.Folder {
				continue
			}
			c, err := f.Read(Source{Bytes: []byte(source), Run: func([]byte, ...string) ([]byte, error) { return nil, nil }})
			if err == nil && len(c.Items) > 0 {
				t.Errorf("%s: %q gives %s", f.Name, source, show(c, nil))
			}
		}
	}
	// what stands in a text of JSON has the line of the text
	c, err := readFlat(Source{Bytes: []byte("\n\n" + `{"ARN":"a","Name":"n","SecretString":"{\n\n\n\"a\":{\"b\":[1]},\"c\":2}"}`)})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range c.Items {
		if i.At != "line 3" {
			t.Errorf("%s is at %s", i.FullName(), i.At)
		}
	}
}
