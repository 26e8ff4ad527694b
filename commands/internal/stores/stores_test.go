package stores

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ass/tokens"
)

// show is what a source gives: a line for each item, and one for each thing that is not taken.
func show(c *Content, err error) string {
	if err != nil {
		return "error: " + errorText(err)
	}
	var b strings.Builder
	for _, i := range c.Items {
		fmt.Fprintf(&b, "%s = %q", strings.Join(i.Name, " / "), i.Value)
		if i.Type != "" {
			fmt.Fprintf(&b, " %s", i.Type)
		}
		if i.Tier != 0 {
			fmt.Fprintf(&b, " %s", i.Tier)
		}
		if i.Description != "" {
			fmt.Fprintf(&b, " (%s)", i.Description)
		}
		if len(i.Tags) > 0 {
			fmt.Fprintf(&b, " %v", i.Tags)
		}
		if !i.Expires.IsZero() {
			fmt.Fprintf(&b, " until %s", i.Expires.Format(time.RFC3339))
		}
		b.WriteByte('\n')
	}
	for _, l := range c.Left {
		fmt.Fprintf(&b, "not %s: %s\n", l.Name, l.Reason)
	}
	for _, n := range c.Notes {
		fmt.Fprintf(&b, "note: %s\n", strings.TrimSuffix(n.Text+"; "+n.Hint, "; "))
	}
	return b.String()
}

// errorText is an error with its way out.
func errorText(err error) string {
	if e, ok := err.(*Error); ok && e.Hint != "" {
		return e.Error() + "; " + e.Hint
	}
	return err.Error()
}

// check compares what a source gives with lines. An error must be all of want.
func check(t *testing.T, name, source string, got string, want ...string) {
	t.Helper()
	if text := strings.TrimSuffix(got, "\n"); text != strings.Join(want, "\n") {
		t.Errorf("%s: %s\ngot:\n%s\nwant:\n%s", name, source, text, strings.Join(want, "\n"))
	}
}

// reads is a source and what it gives.
type reads struct {
	source string
	want   []string
}

func checkAll(t *testing.T, format string, list []reads) {
	t.Helper()
	f, ok := Named(format)
	if !ok {
		t.Fatalf("there is no format %s", format)
	}
	for _, r := range list {
		c, err := f.Read(Source{Bytes: []byte(r.source)})
		check(t, format, r.source, show(c, err), r.want...)
	}
}

func TestBitwarden(t *testing.T) {
	const login = `"type":1,"login":{"username":"u","password":"hunter2","totp":"otpauth://t","uris":[{"uri":"https://a"},{"uri":"https://b"}]}`
	checkAll(t, "bitwarden", []reads{
		{`{"encrypted":false,"folders":[{"id":"f","name":"Work/Servers"}],"items":[{"folderId":"f","name":"A",` + login + `}]}`, []string{
			`Work / Servers / A = "hunter2"`, `Work / Servers / A / username = "u"`, `Work / Servers / A / totp = "otpauth://t"`,
			`Work / Servers / A / url = "https://a"`, `Work / Servers / A / url (2) = "https://b"`}},
		{`{"collections":[{"id":"c","name":"Team"}],"items":[{"collectionIds":["c","d"],"name":"A","type":1,"login":{"password":"x"}}]}`,
			[]string{`Team / A = "x"`, `not Team/A: its place in 1 other collection`}},
		{`{"items":[{"name":"G","type":1,"login":{"password":"1"}},{"name":"G","type":1,"login":{"password":"2","username":"u"}}]}`,
			[]string{`G = "1"`, `G (2) = "2"`, `G (2) / username = "u"`}},
		{`{"items":[{"name":"N","type":2,"notes":"a\nb","fields":[{"name":"x","value":"1","type":0},{"name":"h","value":"2","type":1},` +
			`{"name":"b","value":"true","type":2},{"name":"l","type":3}]}]}`,
			[]string{`N = "a\nb"`, `N / x = "1"`, `N / h = "2"`, `N / b = "true"`, `not N: its field "l", which is a link to another field`}},
		{`{"items":[{"name":"C","type":3,"notes":"n","card":{"number":"4","code":"1","brand":null}}]}`,
			[]string{`C / number = "4"`, `C / code = "1"`, `C / notes = "n"`}},
		{`{"items":[{"name":"I","type":4,"identity":{"ssn":"1"}},{"name":"S","type":5,"sshKey":{"privateKey":"k","publicKey":"p"}}]}`,
			[]string{`I / ssn = "1"`, `S = "k" ssh_key`, `S / publicKey = "p" ssh_key`}},
		{`{"items":[{"name":"P","type":1,"login":{"password":"x","fido2Credentials":[{}]},"passwordHistory":[{},{}],"attachments":[{}]},` +
			`{"name":"D","deletedDate":"2020-01-01","type":1},{"name":"T","type":9},{"name":"E","type":1,"login":{}}]}`, []string{
			`P = "x"`, `not P: 1 passkey, which only Bitwarden can use`, `not P: 2 earlier passwords`, `not P: 1 attachment`,
			`not D: it is in the trash`, `not T: it has the type "9", which is not known`, `not E: it is empty`}},
		{`{"items":[{"type":2,"notes":"x"},{"type":2,"name":"","notes":"y","fields":[{"name":"","value":"z","type":0}]},{"name":"unnamed","type":2}]}`,
			[]string{`unnamed = "x"`, `unnamed (2) = "y"`, `unnamed (2) / unnamed = "z"`, `not unnamed (3): it is empty`}},
		{`{"encrypted":true,"items":[]}`, []string{`error: it is an encrypted export, which only Bitwarden opens; export again as .json, not as .json (Encrypted)`}},
		{`{"encrypted":true,"passwordProtected":true,"data":"x"}`, []string{`error: it is an encrypted export, which only Bitwarden opens; export again as .json, not as .json (Encrypted)`}},
		{"folder,favorite,type,name\n", []string{`error: it is no JSON export; export again as .json`}},
		{`{"a":"b"}`, []string{`error: it is no Bitwarden export: it has no items`}},
		{"{\n\"items\":{}}", []string{`error: line 2: "items" is not a list`}},
		{`{"items":[{"name":"A","type":2,"notes":"x"},7]}`, []string{`error: item 2: it is not an object`}},
	})
}

func TestOnePassword(t *testing.T) {
	const csvNote = `not : what 1Password does not write into a CSV file: items that are no logins or passwords, fields that you made, ` +
		`attachments; op item get --format json has them`
	checkAll(t, "1password", []reads{
		{"Title,Url,Username,Password,OTPAuth,Favorite,Archived,Tags,Notes\nA,https://a,u,\"p,\"\"1\",otpauth://x,false,false,work;me,\"n\n2\"\n" +
			"B,,,,,false,true,,\n", []string{`A = "p,\"1" map[me: work:]`, `A / username = "u" map[me: work:]`, `A / totp = "otpauth://x" map[me: work:]`,
			`A / url = "https://a" map[me: work:]`, `A / notes = "n\n2" map[me: work:]`, `not B: it is archived`, csvNote}},
		{"\xef\xbb\xbftitle,password,PIN\nA,p,9\n", []string{`A = "p"`, `A / pin = "9"`, csvNote}},
		{"PK\x03\x04", []string{`error: it is a .1pux export, which is not read; export again as CSV, or pipe: op item list --format json | op item get - --format json`}},
		{"a,b\n1,2\n", []string{`error: line 1: it is no CSV export of 1Password: it names no columns Title and Password`}},
		{"title,password\nA,p\nB\n", []string{`error: line 3: it has more or fewer fields than the first line has names`}},
		{"title,password\nA,\"hunter2\n", []string{`error: line 2: a quote is not closed, or stands inside of a field without quotes`}},
		{"", []string{`error: it is empty`}},
		{`{"title":"A","vault":{"name":"Private"},"category":"LOGIN","tags":["t"],"urls":[{"href":"https://a"}],"fields":[
			{"id":"username","type":"STRING","purpose":"USERNAME","label":"username","value":"u"},
			{"id":"password","type":"CONCEALED","purpose":"PASSWORD","label":"password","value":"hunter2"},
			{"id":"notesPlain","type":"STRING","purpose":"NOTES","label":"notesPlain","value":"n"},
			{"id":"x","type":"OTP","label":"one-time password","value":"otpauth://x","totp":"123456"},
			{"id":"y","section":{"label":"More"},"type":"CONCEALED","label":"pin","value":"1"},{"id":"z","type":"REFERENCE","label":"r","value":"id"}],
			"files":[{"name":"f"}]}`, []string{`Private / A / username = "u" map[t:]`, `Private / A = "hunter2" map[t:]`,
			`Private / A / notes = "n" map[t:]`, `Private / A / one-time password = "otpauth://x" map[t:]`, `Private / A / More pin = "1" map[t:]`,
			`Private / A / url = "https://a" map[t:]`, `not Private/A: its field "r", which is a link to another item`, `not Private/A: 1 attachment`}},
		{`{"title":"K","category":"API_CREDENTIAL","fields":[{"id":"credential","label":"credential","value":"k"}]} ` +
			`{"title":"S","category":"SSH_KEY","fields":[{"id":"private_key","type":"SSHKEY","label":"private key","value":"s"}]}` +
			`[{"title":"N","category":"SECURE_NOTE","fields":[{"id":"notesPlain","label":"notesPlain","value":"n"}]}]`,
			[]string{`K = "k" api_key`, `S = "s" ssh_key`, `N = "n"`}},
		{`[{"title":"A","category":"LOGIN"}]`, []string{`error: item 1 ("A"): it has no fields, as in op item list; pipe that into: op item get - --format json`}},
		{`{"a":1}`, []string{`error: item 1: it is no item of op item get: it has no title`}},
	})
}

const keePassStart = `<?xml version="1.0"?><KeePassFile><Meta><RecycleBinEnabled>True</RecycleBinEnabled><RecycleBinUUID>bin</RecycleBinUUID></Meta>` +
	`<Root><Group><UUID>r</UUID><Name>Root</Name>`

func TestKeePass(t *testing.T) {
	const csvNote = `not : what KeePass does not write into a CSV file: fields that you made, attachments, tags; an XML export has the fields and the tags`
	field := func(k, v string) string { return "<String><Key>" + k + "</Key><Value>" + v + "</Value></String>" }
	checkAll(t, "keepass", []reads{
		{keePassStart + `<Group><UUID>g</UUID><Name>Bank</Name><Notes>n</Notes><Entry><OverrideURL>o</OverrideURL><Tags>a;b</Tags><Times><Expires>True</Expires><ExpiryTime>2030-01-02T00:00:00Z</ExpiryTime></Times>` +
			field("Notes", "n") + field("Password", "&lt;p&gt;&#65;") + field("Title", "Online") + field("UserName", "u") + field("URL", "") +
			field("otp", "otpauth://x") + `<Binary><Key>f.txt</Key><Value Ref="0"/></Binary><History><Entry/><Entry/></History></Entry></Group></Group></Root></KeePassFile>`,
			[]string{`Bank / Online = "<p>A" map[a: b:] until 2030-01-02T00:00:00Z`, `Bank / Online / username = "u" map[a: b:] until 2030-01-02T00:00:00Z`,
				`Bank / Online / notes = "n" map[a: b:] until 2030-01-02T00:00:00Z`, `Bank / Online / otp = "otpauth://x" map[a: b:] until 2030-01-02T00:00:00Z`,
				`Bank / Online / override-url = "o" map[a: b:] until 2030-01-02T00:00:00Z`, `not Bank: the notes of the group`,
				`not Bank/Online: its attachment "f.txt"`, `not Bank/Online: 2 earlier versions of it`}},
		{keePassStart + `<Group><UUID>bin</UUID><Name>Recycle Bin</Name><Entry>` + field("Title", "Old") + field("Password", "x") +
			`</Entry></Group><Entry>` + field("Title", "R") + field("Password", "{REF:P@I:1}") + `</Entry></Group></Root></KeePassFile>`,
			[]string{`R = "{REF:P@I:1}"`, `not Recycle Bin/Old: it is in the recycle bin`, `note: R refers to another entry ({REF:…}), which is stored as it stands`}},
		{keePassStart + `<Entry>` + field("Title", "A") + `<String><Key>Password</Key><Value Protected="True">b64</Value></String></Entry></Group></Root></KeePassFile>`,
			[]string{`error: line 1: the value of "Password" is encrypted; export it again, in clear`}},
		{keePassStart + `<Entry>` + field("Title", "A") + field("X", "1") + field("X", "2") + `</Entry></Group></Root></KeePassFile>`,
			[]string{`error: line 1: the field "X" is there twice`}},
		{"<a>\n<b></a>", []string{`error: line 2: it is not XML from here on`}},
		{`<a/>`, []string{`error: it is no XML export of KeePass: it has no <KeePassFile> with a <Root> and a <Group>`}},
		{`<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;">]><a>&c;</a>`, []string{`error: line 1: it has a document type (<!…>), which is not read`}},
		{`<a>&c;</a>`, []string{`error: line 1: it is not XML from here on`}},
		{strings.Repeat("<a>", 100), []string{`error: line 1: it is nested more than 64 deep`}},
		{"\"Group\",\"Title\",\"Username\",\"Password\",\"URL\",\"Notes\",\"TOTP\",\"Icon\",\"Last Modified\",\"Created\"\n" +
			"Passwords/Bank,Online,u,p,https://a,,otpauth://x,0,t,t\nPasswords/Recycle Bin,Old,u,p,,,,0,t,t\nPasswords,Top,,p,,,,0,t,t\n",
			[]string{`Bank / Online = "p"`, `Bank / Online / username = "u"`, `Bank / Online / totp = "otpauth://x"`, `Bank / Online / url = "https://a"`,
				`Top = "p"`, `not Recycle Bin/Old: it is in the recycle bin`, csvNote}},
		{"Account,Login Name,Password,Web Site,Comments\nA,u,p,https://a,c\n",
			[]string{`A = "p"`, `A / username = "u"`, `A / url = "https://a"`, `A / notes = "c"`, csvNote}},
		{"\x03\xd9\xa2\x9a", []string{`error: it is a KeePass database, which is encrypted; export it with: keepassxc-cli export -f xml FILE`}},
		{"a,b\n", []string{`error: line 1: it is no CSV export of KeePass: it names no columns Title (or Account) and Password`}},
	})
	// as KeePassXC writes times: base64 of the seconds since the year 1
	if got := keePassTime("SFib4g4AAAA="); got.Year() != 2026 {
		t.Errorf("the year is %d", got.Year())
	}
	for _, bad := range []string{"", "x", "AAAA", "/////////38="} {
		if got := keePassTime(bad); !got.IsZero() {
			t.Errorf("%q is %s", bad, got)
		}
	}
}

func TestFlatJSON(t *testing.T) {
	checkAll(t, "flat-json", []reads{
		{`{"A":"hunter2","B":1.50,"C":true,"D":null,"E":""}`,
			[]string{`A = "hunter2"`, `B = "1.50"`, `C = "true"`, `E = ""`, `not D: it is null`}},
		{`{"a":{"b":["x",{"c":"y"}]},"e":{}}`, []string{`a / b / 0 = "x"`, `a / b / 1 / c = "y"`, `not e: it is empty`}},
		{`{"A":{"computed":"x","note":"why"},"B":{"computed":null,"note":""}}`,
			[]string{`A = "x" (why)`, `not B: its value is restricted, so doppler does not give it`}},
		{`[{"key":"A","value":"x","comment":"c","tags":[{"slug":"t"}],"secretPath":"/db/"},{"secretKey":"B","secretValue":"y"},{"key":"N","value":null}]`,
			[]string{`db / A = "x" (c) map[t:]`, `B = "y"`, `not N: its value is null`}},
		{`[{"name":"A"}]`, []string{`error: item 1: it has no key or no value, as in what infisical export --format=json gives`}},
		{`{"ARN":"arn","Name":"prod/db","SecretString":"{\"user\":\"u\",\"port\":5432}"}`, []string{`prod / db / user = "u"`, `prod / db / port = "5432"`}},
		{`{"ARN":"arn","Name":"/k","SecretString":"plain {"}{"ARN":"arn","Name":"b","SecretBinary":"AAE="}`, []string{`k = "plain {"`, `b = "\x00\x01"`}},
		{`{"SecretValues":[{"ARN":"a","Name":"x","SecretString":"1"}],"Errors":[]}`, []string{`x = "1"`}},
		{`{"Parameters":[{"Name":"/a/b","Type":"SecureString","Value":"v"}]}`, []string{`a / b = "v"`}},
		{`{"Parameters":[{"Name":"/a/b","Type":"SecureString","Value":"AQICAHxx"}]}`, []string{`error: line 1: "/a/b" is still encrypted; get it with: --with-decryption`}},
		{`{"name":"projects/1/secrets/KEY/versions/2","payload":{"data":"_-8","dataCrc32c":"1"}}`, []string{`KEY = "\xff\xef"`}},
		{`{"name":"x","payload":{"data":"YQ=="}}`, []string{`error: line 1: its name is not projects/…/secrets/NAME/versions/N`}},
		{`{"request_id":"r","data":{"data":{"A":"x"},"metadata":{"version":1}},"warnings":null}`, []string{`A = "x"`}},
		{`{"request_id":"r","data":{"A":"x","metadata":"y"}}`, []string{`A = "x"`, `metadata = "y"`}},
		{`{"request_id":"r","data":{"data":null,"metadata":{"destroyed":true}}}`, []string{`error: line 1: it is a version that was deleted`}},
		{`{"data":"an ordinary name","payload":"too"}`, []string{`data = "an ordinary name"`, `payload = "too"`}},
		{`"x"`, []string{`error: line 1: it is not an object, such as {"NAME":"value"}`}},
		{"{\"A\":\"1\",\n\"A\":\"hunter2\"}", []string{`error: line 2: "A" is there twice`}},
		{`{"A":"\ud800hunter2"}`, []string{`error: line 1: a text has half of a character (a \u escape of a pair)`}},
		{"{\"A\":\n\"hunter2", []string{`error: line 2: it is not JSON from here on`}},
		{"{\"A\":\n\"\xff\"}", []string{`error: line 2: it is not text (UTF-8)`}},
		{"\xff\xfe{\x00", []string{`error: it is UTF-16; convert it to UTF-8 first`}},
		{strings.Repeat("[", 100), []string{`error: line 1: it is nested more than 64 deep`}},
		{"", []string{`error: it is empty`}},
		{`{"a\u0000b":"x\u0000y"}`, []string{"a\x00b = \"x\\x00y\""}},
	})
}

func TestKubernetes(t *testing.T) {
	checkAll(t, "kubernetes", []reads{
		{"apiVersion: v1\ndata:\n  A: aHVudGVyMg==\n  B: eA==\nkind: Secret\nmetadata:\n  creationTimestamp: null\n  name: db\nstringData:\n  B: over\n  C: |\n    1\n    2\n",
			[]string{`db / A = "hunter2"`, `db / B = "over"`, `db / C = "1\n2\n"`}},
		{`{"kind":"List","items":[{"kind":"Secret","metadata":{"name":"a","namespace":"x","labels":{"l":"1"},"annotations":{"n":"v"}},"data":{"K":"eA=="}},` +
			`{"kind":"Secret","metadata":{"name":"a","namespace":"y"},"data":{"K":"eQ=="}},{"kind":"ConfigMap","metadata":{"name":"c"}}]}`,
			[]string{`x / a / K = "x" map[l:1]`, `y / a / K = "y"`, `not c: it is a ConfigMap, and not a Secret`, `not x/a: 1 annotation`}},
		{"kind: Secret\nmetadata: {name: t}\ntype: kubernetes.io/tls\ndata: {tls.crt: eA==, tls.key: eQ==}\n---\nkind: Secret\nmetadata: {name: e}\n",
			[]string{`t / tls.crt = "x" certificate`, `t / tls.key = "y" certificate`, `not e: it is empty`}},
		{"kind: Secret\nmetadata: {name: t}\ndata:\n  A: hunter2!\n", []string{`error: line 4: the value of "A" is not base64; plain text belongs into stringData`}},
		{"kind: Secret\nmetadata: {name: t}\nstringData:\n  A: 1234\n", []string{`error: line 4: the value of "A" is not a text; put quotes around it`}},
		{"kind: Secret\nmetadata: {name: t}\nstringData: {A: x, A: y}\n", []string{`error: line 3: "A" is there twice`}},
		{"kind: Secret\nmetadata: {name: t}\ndata: x\n", []string{`error: line 3: the data of the Secret "t" is not an object`}},
		{"kind: Secret\n", []string{`error: line 1: the Secret has no metadata.name`}},
		{"a: b\n", []string{`error: line 1: it is not a manifest: it has no kind`}},
		{"a: [b\n", []string{`error: line 1: it is not YAML`}},
		{"a: &x [1]\nb: [*x,*x]\n", []string{`error: line 2: it has an alias (*name), which is not read`}},
		{"a: hunter2: b\n", []string{`error: line 1: it is not YAML`}},
		{strings.Repeat("[", 100) + strings.Repeat("]", 100), []string{`error: line 1: it is nested more than 64 deep`}},
		{"- " + strings.Repeat("- ", 100) + "a", []string{`error: line 1: it is nested more than 64 deep`}},
		{"# nothing\n", []string{`error: it is empty`}},
	})
}

func TestAss(t *testing.T) {
	const listed = `{"namespace":"prod","items":[{"namespace":"prod/db","key":"A","path":"prod/db/A","secret_type":"db_credential","access_tier":"sensitive"},` +
		`{"namespace":"prod","key":"B","path":"prod/B","secret_type":"custom","access_tier":"standard"}]}`
	checkAll(t, "ass", []reads{
		{`{"A":"x"}` + listed, []string{`prod / db / A = "x" db_credential sensitive`,
			`not prod/B: the export does not have it; hand it over with --allow '*', or pipe: ass secrets get PATH --json`}},
		{listed + `{"A":"x","B":"y"}`, []string{`prod / db / A = "x" db_credential sensitive`, `prod / B = "y" custom standard`}},
		{listed + `{"A":"x","B":"y","C":"z"}`, []string{`error: line 1: "C" is in the export, but not in the list; make both of one namespace, the export without --prefix`}},
		{listed, []string{`error: line 1: the list has no export before or behind it; put it beside: ass env export NAMESPACE --format json --allow '*'`}},
		{`{"A":"x"}`, []string{`A = "x"`, `note: without secrets list --json, the secrets keep their keys alone: no namespaces, types and tiers`}},
		{`{"path":"a/b/C","value":"x","version":1,"secret_type":"api_key","access_tier":"critical"}{"path":"a/D","value":"AAE=","encoding":"base64","version":2}`,
			[]string{`a / b / C = "x" api_key critical`, `a / D = "\x00\x01"`}},
		{`{"A":"x"}{"namespace":"p","items":[{"key":"A","path":"p/A"},{"key":"A","path":"p/q/A"}]}`,
			[]string{`error: line 1: several secrets of the list have the key "A"; export their namespaces one by one`}},
		{`{"A":"x"}{"namespace":"p","items":[{"key":"A","path":"p/A"}]}{"A":"y"}{"namespace":"q","items":[{"key":"A","path":"q/A"}]}`,
			[]string{`p / A = "x"`, `q / A = "y"`}},
		{`{"path":"a/b","value":"x","version":1,"access_tier":"top"}`, []string{`error: line 1: its tier "top" is not one`}},
		{`{"path":"b","value":"x","version":1}`, []string{`error: line 1: its path is not a whole one`}},
		{`{"path":"x","value":"y","version":"z"}{"namespace":"n","items":[{"key":"path","path":"n/path"},{"key":"value","path":"n/value"},{"key":"version","path":"n/version"}]}`,
			[]string{`n / path = "x"`, `n / value = "y"`, `n / version = "z"`}},
		{`7`, []string{`error: line 1: it is neither an export nor a list`}},
	})
}

// fakeGPG opens what seal made.
func fakeGPG(input []byte, args ...string) ([]byte, error) {
	plain, ok := bytes.CutPrefix(input, []byte("sealed:"))
	if !ok || strings.Join(args, " ") != "--batch --quiet --decrypt" {
		return nil, fmt.Errorf("gpg cannot decrypt it")
	}
	return plain, nil
}

// newStore makes a folder with these entries.
func newStore(t testing.TB, entries map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range entries {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("sealed:"+content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func readFolder(t testing.TB, format, dir string) (*Content, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	f, _ := Named(format)
	return f.Read(Source{Root: root, Run: fakeGPG})
}

func TestPass(t *testing.T) {
	for _, r := range []struct {
		format, content string
		want            []string
	}{
		{"pass", "hunter2", []string{`a / b = "hunter2"`}},
		{"pass", "hunter2\n", []string{`a / b = "hunter2"`}},
		{"pass", " hunter2 \r\nuser: bob\r\n", []string{`a / b = " hunter2 "`, `a / b / user = "bob"`}},
		{"pass", "p\nURL: https://x:1/\nhttps://foo:8/x\nfree text\n\nlast\notpauth://totp/x?secret=A\nurl:nospace\nempty:\n",
			[]string{`a / b = "p"`, `a / b / URL = "https://x:1/"`, `a / b / otp = "otpauth://totp/x?secret=A"`,
				`a / b / notes = "https://foo:8/x\nfree text\n\nlast\nurl:nospace\nempty:"`}},
		{"pass", "p\npin:  47 11 \n", []string{`a / b = "p"`, `a / b / pin = "47 11 "`}},
		{"pass", "p\nuser: 1\nuser: 2\n", []string{`a / b = "p"`, `a / b / user = "1"`, `a / b / user (2) = "2"`}},
		{"pass", "otpauth://totp/x\n", []string{`a / b / otp = "otpauth://totp/x"`}},
		{"pass", "-----BEGIN OPENSSH PRIVATE KEY-----\nx: y\n-----END\n", []string{`a / b = "-----BEGIN OPENSSH PRIVATE KEY-----\nx: y\n-----END\n" ssh_key`}},
		{"pass", "-----BEGIN CERTIFICATE-----\nx\n", []string{`a / b = "-----BEGIN CERTIFICATE-----\nx\n" certificate`}},
		{"pass", "{\n  \"a\": \"b\"\n}\n", []string{`a / b = "{\n  \"a\": \"b\"\n}\n"`}},
		{"pass", "\xff\x00\nuser: x\n", []string{`a / b = "\xff\x00\nuser: x\n"`}},
		{"pass", "\nuser: bob\n", []string{`a / b / user = "bob"`}},
		{"pass", "\n", []string{`not a/b: it is empty`}},
		{"pass", "p\n---\nuser: x\n", []string{`a / b = "p"`, `a / b / user = "x"`, `a / b / notes = "---"`}},
		{"gopass", "p\nuser: x\n---\ndb:\n  port: 5432\nlist: [1]\nnone: null\n", []string{`a / b = "p"`, `a / b / user = "x"`, `a / b / db / port = "5432"`,
			`a / b / list / 0 = "1"`, `not a/b/none: it is null`}},
		{"gopass", "p\n---\n{ no yaml\n", []string{`a / b = "p"`, `a / b / notes = "{ no yaml\n"`}},
		{"gopass", "GOPASS-SECRET-1.0\nPassword: p\nUser: u\n\nbody\n", []string{`a / b = "p"`, `a / b / User = "u"`, `a / b / notes = "body"`}},
		{"gopass", "\ncontent-disposition: attachment; filename=\"f\"\ncontent-transfer-encoding: Base64\n\nAAE=\n", []string{`a / b = "\x00\x01"`}},
	} {
		c, err := readFolder(t, r.format, newStore(t, map[string]string{"a/b.gpg": r.content}))
		check(t, r.format, r.content, show(c, err), r.want...)
	}
}

func TestStoreFolder(t *testing.T) {
	dir := newStore(t, map[string]string{"z.gpg": "1", "a/b/c.gpg": "2", "a.gpg": "3", ".git/x.gpg": "no", "README.md": "x", "old.age": "x", ".hidden/h.gpg": "4"})
	outside := filepath.Join(newStore(t, map[string]string{"secret.gpg": "outside"}), "secret.gpg")
	for name, to := range map[string]string{"out.gpg": outside, "in.gpg": "z.gpg", "up.gpg": "a/../../x.gpg", "loop": ".", "folder.gpg": "a"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Skip("no symbolic links here")
		}
	}
	c, err := readFolder(t, "pass", dir)
	check(t, "pass", "a folder", show(c, err), `.hidden / h = "4"`, `a / b / c = "2"`, `a = "3"`, `in = "1"`, `z = "1"`,
		`not README.md: it is no entry (NAME.gpg)`, `not folder.gpg: it is a symbolic link to something that is no file`,
		`not loop: it is no entry (NAME.gpg)`, `not old: it is encrypted with age, which is not read`,
		`not out.gpg: it is a symbolic link that leads out of the store, or nowhere`, `not up.gpg: it is a symbolic link that leads out of the store, or nowhere`)
	c, err = readFolder(t, "pass", t.TempDir())
	check(t, "pass", "nothing", show(c, err), `error: it has no entries (files NAME.gpg)`)
	c, err = readFolder(t, "gopass", newStore(t, map[string]string{"a.age": "x"}))
	check(t, "gopass", "age", show(c, err), `error: its entries are encrypted with age, which is not read; convert the store to gpg first: gopass convert --crypto gpgcli`)
	bad := newStore(t, map[string]string{"a.gpg": "1"})
	if err := os.WriteFile(filepath.Join(bad, "b.gpg"), []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err = readFolder(t, "pass", bad)
	check(t, "pass", "a file that gpg does not open", show(c, err), `error: "b": gpg cannot decrypt it`)
	if err := os.WriteFile(filepath.Join(bad, "b.gpg"), make([]byte, maxSealed+1), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err = readFolder(t, "pass", bad)
	check(t, "pass", "a large file", show(c, err), `error: "b.gpg": it is larger than 4 MiB`)
	deep := newStore(t, map[string]string{strings.Repeat("d/", 70) + "x.gpg": "1"})
	if c, err = readFolder(t, "pass", deep); err == nil || !strings.Contains(err.Error(), "more than 64 folders deep") {
		t.Error(show(c, err))
	}
}

func TestSops(t *testing.T) {
	for _, r := range []struct {
		name, source, args, out string
		want                    []string
	}{
		{"x.yaml", "a: ENC[]\nsops: {}\n", "yaml yaml", "db:\n  p: hunter2\n  n: 1.10\n---\nsecond: x\nb: !!binary AAE=\n",
			[]string{`db / p = "hunter2"`, `db / n = "1.10"`, `second = "x"`, `b = "\x00\x01"`}},
		{"x.env", "A=ENC[]\nsops_version=3\n", "dotenv json", `{"A":"\"x\"","B":"y"}`, []string{`A = "\"x\""`, `B = "y"`,
			`note: to sops, the quotes around these values are a part of them, so they are stored: A; to read the file as a .env file: sops -d FILE | ass env import -`}},
		{"x.ini", "[s]\na=ENC[]\n[sops]\n", "ini json", `{"s":{"a":"x"}}`, []string{`s / a = "x"`}},
		{"x.json", `{"data":"ENC[]","sops":{}}`, "json json", `{"data":"x"}`, []string{`data = "x"`}},
		{"key.pem.enc", `{"data":"ENC[]","sops":{}}`, "binary binary", "\xff\x00", []string{`key = "\xff\x00"`}},
		{"", `{"data":"ENC[]","sops":{}}`, "binary binary", "x", []string{`data = "x"`}},
		{"x.yaml", "a: ENC[]\nsops: {}\n", "yaml yaml", "a: [", []string{`error: decrypted, line 1: it is not YAML`}},
		{"x", " \n", "", "", []string{`error: it is empty`}},
		{"x.yaml", "a: b\n", "fails", "", []string{`error: sops cannot decrypt it`}},
	} {
		f, _ := Named("sops")
		c, err := f.Read(Source{Bytes: []byte(r.source), Name: r.name, Run: func(input []byte, args ...string) ([]byte, error) {
			if r.args == "fails" {
				return nil, fmt.Errorf("sops cannot decrypt it")
			}
			if in, out, _ := strings.Cut(r.args, " "); string(input) != r.source || !strings.Contains(strings.Join(args, " "),
				"--input-type "+in+" --output-type "+out) {
				t.Errorf("%s: sops is called with %q", r.name, args)
			}
			return []byte(r.out), nil
		}})
		check(t, "sops", r.source, show(c, err), r.want...)
	}
}

// No message has a value in it, whatever is wrong with a source.
func TestErrorsHaveNoValues(t *testing.T) {
	const value = "hunter2"
	sources := []string{
		`{"items":[{"name":"a","type":1,"login":{"password":"hunter2"}},{"name":"a","type":1,"login":"hunter2` + "\x01" + `"}]}`,
		`{"kind":"Secret","metadata":{"name":"x"},"data":{"a":"hunter2!"}}`, "kind: Secret\nmetadata: {name: x}\ndata:\n a: 'hunter2\n",
		"kind: Secret\nmetadata: {name: x}\nstringData:\n a: *hunter2\n", "a: hunter2: b: c\n\t- x", "title,password\nx,hunter2\"\n", "title,password\nx,\"hunter2\n",
		keePassStart + `<Entry><String><Key>Password</Key><Value>hunter2</Value></Strin></Entry>`, keePassStart + `<Entry>hunter2&hunter2;`,
		`{"ARN":"a","Name":"n","SecretBinary":"hunter2!"}`, `{"A":hunter2}`, `["hunter2"]`, `"hunter2"`, `hunter2`, "\xffhunter2",
		`{"A":"hunter2"}{"namespace":"p","items":[{"key":"B","path":"p/B"}]}`, `{"path":"a/b","value":"hunter2!","encoding":"base64","version":1}`,
	}
	for _, f := range Formats {
		if f.Folder {
			continue
		}
		for _, s := range sources {
			c, err := f.Read(Source{Bytes: []byte(s), Run: func([]byte, ...string) ([]byte, error) { return []byte("a: [hunter2"), nil }})
			if err != nil && strings.Contains(err.Error(), value) {
				t.Errorf("%s: %s: %v", f.Name, s, err)
			}
			if c != nil && (strings.Contains(fmt.Sprint(c.Left), value) || strings.Contains(fmt.Sprint(c.Notes), value)) {
				t.Errorf("%s: %s: %v %v", f.Name, s, c.Left, c.Notes)
			}
		}
	}
}

func TestPlaces(t *testing.T) {
	place1 := func(name string) string {
		p, err := place(namespace(t, "ns"), strings.Split(name, "|"))
		if err != nil {
			return "error: " + err.Error()
		}
		return p.String()
	}
	for name, want := range map[string]string{
		"a|b": "ns/a/b", "My Bank (joint)|user name": "ns/My-Bank-joint/user-name", "café|Straße": "ns/cafe/Strasse", "e\u0301": "ns/e",
		"密|x": "ns/u5bc6/x", "a/b": "ns/a-b", "-x-": "ns/-x-", "a -- b": "ns/a---b", "..": "ns/u002eu002e", ".": "ns/u002e", "": "ns/unnamed",
		"***": "ns/u002au002au002a", "\x1b[31mred": "ns/31mred", "a\x00b": "ns/a-b", "\xff": "ns/ufffd", " x ": "ns/x", "Google (2)": "ns/Google-2",
		"a|..|..|b": "ns/a/u002eu002e/u002eu002e/b", "\u202ea": "ns/a",
		strings.Repeat("x", 129):               "error: path: segment 2 has 129 bytes; at most 128 are allowed",
		strings.Repeat("a|", 15) + "b":         "error: path: it has 17 segments; at most 16 are allowed",
		strings.Repeat("xxxxxxxxx|", 55) + "b": "error: path: it has 554 bytes; at most 512 are allowed",
	} {
		if got := place1(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

func namespace(t testing.TB, s string) (ns tokens.Namespace) {
	t.Helper()
	if s == "" {
		return ns
	}
	ns, err := tokens.ParseNamespace(s)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

func TestRules(t *testing.T) {
	for rule, want := range map[string]string{
		"": "a rule is FROM=TO, or FROM= to leave something out", "a": "a rule is FROM=TO, or FROM= to leave something out",
		"=a": "a rule is FROM=TO, or FROM= to leave something out", "a*b*=c": "a rule has at most one * on each side",
		"a*=b*c*": "a rule has at most one * on each side", "a=b*": `the * of "b*" stands for nothing, because "a" has none`,
		"a=b c": `"b c" is no path below the namespace`, "a=/b": `"/b" is no path below the namespace`, "a=../b": `"../b" is no path below the namespace`,
		"a=b/": `"b/" is no path below the namespace`, "a=b": "", "a=": "", "a=b=c": "", "*=x/*": "", "a*=b": "", "a/*/z=*": "",
	} {
		_, err := ParseRule(rule)
		if got := fmt.Sprint(err); err != nil && got != want || err == nil && want != "" {
			t.Errorf("%q: %v, want %q", rule, err, want)
		}
	}
	names := []string{"web|Bank|user", "web|Bank", "web|My Shop", "x=y", "other"}
	for _, r := range []struct {
		rules, ns string
		want      []string
	}{
		{"", "ns", []string{"ns/web/Bank/user", "ns/web/Bank", "ns/web/My-Shop", "ns/x-y", "ns/other"}},
		{"web/*=sites/*", "ns", []string{"ns/sites/Bank/user", "ns/sites/Bank", "ns/sites/My-Shop", "ns/x-y", "ns/other"}},
		{"web/Bank=BANK;web/*=", "ns", []string{"ns/BANK", "ns/x-y", "ns/other", "out web/Bank/user", "out web/My Shop"}},
		{"*/user=*/login;x=y=XY", "ns", []string{"ns/web/Bank/login", "ns/web/Bank", "ns/web/My-Shop", "ns/XY", "ns/other"}},
		{"web*=all*;x=y=a/b;other=a/c", "", []string{"all/Bank/user", "all/Bank", "all/My-Shop", "a/b", "a/c"}},
		{"web/Bank=other", "ns", []string{`error: "web/Bank" (item 2) and "other" (item 5) would both be ns/other; give one of them another path with: --map 'other=OTHER'`}},
		{"web/*=;web/Bank=x", "ns", []string{`error: --map "web/Bank=x": every such name has an earlier rule; put it before that rule`}},
		{"nothing=a", "ns", []string{`error: --map "nothing=a": nothing has such a name`}},
		{"web/*=same", "ns", []string{`error: "web/Bank/user" (item 1) and "web/Bank" (item 2) would both be ns/same, "web/Bank/user" (item 1) and "web/My Shop" (item 3) ` +
			`would both be ns/same; give one of them another path with: --map 'web/Bank=OTHER'`}},
		{"", "", []string{`error: "x=y" (item 4): path: it has no namespace; a whole path is namespace/…/KEY; name the namespace with --namespace NS`}},
	} {
		c := &Content{}
		for i, name := range names {
			c.add(Item{Name: strings.Split(name, "|"), At: ordinal("item", i)})
		}
		var rules []*Rule
		for text := range strings.SplitSeq(r.rules, ";") {
			if text != "" {
				rule, err := ParseRule(text)
				if err != nil {
					t.Fatal(err)
				}
				rules = append(rules, rule)
			}
		}
		paths, err := Places(c, namespace(t, r.ns), rules)
		var got []string
		for _, p := range paths {
			got = append(got, p.String())
		}
		for _, l := range c.Left {
			got = append(got, "out "+l.Name)
		}
		if err != nil {
			got = []string{"error: " + errorText(err)}
		} else if len(c.Items) != len(paths) {
			t.Errorf("%s: %d items and %d paths", r.rules, len(c.Items), len(paths))
		}
		check(t, "rules", r.rules, strings.Join(got, "\n"), r.want...)
	}
}

// A source of many equal names takes no longer than one of different ones.
func TestManyEqualNames(t *testing.T) {
	c := &Content{}
	for range 50_000 {
		c.entry("x", "same").main("v", "")
	}
	seen := map[string]bool{}
	for _, i := range c.Items {
		seen[i.FullName()] = true
	}
	if len(seen) != 50_000 {
		t.Errorf("%d names", len(seen))
	}
}
