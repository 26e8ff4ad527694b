package protocols

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestDocker(t *testing.T) {
	for asked, want := range map[string]string{
		"https://index.docker.io/v1/": "d/index.docker.io", "index.docker.io": "d/index.docker.io", "ghcr.io\n": "d/ghcr.io",
		"https://index.docker.io/v1/access-token": "d/index.docker.io/v1/access-token",
		"localhost:5000":            "d/localhost_3a5000",
		"http://localhost:5000/v2/": "d/localhost_3a5000", "http://h": "d/h_3a80", "//h": "d/h", "quay.io/ns": "d/quay.io/ns",
		"https://h/v1/v2": "d/h/v1/v2",
	} {
		s, echo, err := ParseDockerServer([]byte(asked))
		if got := DockerPlace("d", s); err != nil || got != want || echo != strings.TrimSpace(asked) {
			t.Errorf("%q is %q, %q, %v", asked, got, echo, err)
		}
	}
	for asked, want := range map[string]error{"": ErrDockerNoServer, " \n": ErrDockerNoServer, "u@h": errServer,
		"ftp://h": errServer,
		"a b":     errServer} {
		if _, _, err := ParseDockerServer([]byte(asked)); err != want {
			t.Errorf("%q: %v", asked, err)
		}
	}
	s, cred, err := ParseDockerStore([]byte(`{"ServerURL":"https://h/v1/","Username":"u","Secret":"hunter2"}`))
	if err != nil || s.Host != "h" || cred != (Credential{Server: "https://h/v1/", Username: "u", Password: "hunter2"}) {
		t.Error(s, cred, err)
	}
	for text, want := range map[string]error{`{"Username":"u","Secret":"s"}`: ErrDockerNoServer,
		`{"ServerURL":"h","Secret":"s"}`: ErrDockerNoUser, `{"ServerURL":"u@h","Username":"u","Secret":"s"}`: errServer} {
		if _, _, err := ParseDockerStore([]byte(text)); err != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"", "hunter2", `["hunter2"]`,
		"{\"ServerURL\":\"h\",\"Username\":\"u\",\"Secret\":\"hunter2\xff\"}"} {
		if _, _, err := ParseDockerStore([]byte(text)); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
	b, err := DockerAnswer("https://h/v1/", Credential{Password: "a<&>\n"}, "u")
	if want := `{"ServerURL":"https://h/v1/","Username":"u","Secret":"a<&>\n"}` + "\n"; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	if _, err := DockerAnswer("h", Credential{Password: "p"}, ""); err != ErrDockerNoUser {
		t.Error(err)
	}
	for _, c := range []struct{ path, server, want string }{
		{"d/ghcr.io", "", "https://ghcr.io"}, {"d/localhost_3a5000", "", "https://localhost:5000"}, {"d/h", "https://h/v1/",
			"https://h/v1/"},
		{"d/h", "https://i", ""}, {"d/h/x", "h", ""}, {"d/H", "", ""}, {"d/a_41", "", ""}, {"e/h", "", ""}, {"d/h_3a443", "",
			""},
		{"d/h/a_2fb", "", ""},
	} {
		if got := DockerURL("d", c.path, Credential{Server: c.server}); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	asked, _, _ := ParseDockerServer([]byte("https://h/v1/"))
	for server, want := range map[string]bool{"": true, "h": true, "https://h/v2": true, "https://h/v1/x": false,
		"http://h": false, "i": false,
		"@": false} {
		if got := (Credential{Server: server}).FitsDocker(asked); got != want {
			t.Errorf("%q: %v", server, got)
		}
	}
}

// What is stored is found again by the name under which it was stored, and is listed under it.
func FuzzDocker(f *testing.F) {
	f.Add([]byte(`{"ServerURL":"https://h/v1/","Username":"u","Secret":"s"}`))
	f.Add([]byte(`{"ServerURL":"localhost:5000","Username":"u"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, cred, err := ParseDockerStore(b)
		if err != nil {
			return
		}
		place := DockerPlace("d", s)
		again, _, err := ParseDockerServer([]byte(cred.Server))
		if err != nil || !cred.FitsDocker(again) || DockerPlace("d", again) != place {
			t.Fatalf("%q is stored for %+v, and found for %+v, %v", cred.Server, s, again, err)
		}
		if place != "" && DockerURL("d", place, cred) != cred.Server {
			t.Fatalf("%q at %s is not listed", cred.Server, place)
		}
	})
}

func TestAWS(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for value, want := range map[string]string{
		`{"Version":1,"AccessKeyId":"a","SecretAccessKey":"s"}`: `{"Version":1,"AccessKeyId":"a","SecretAccessKey":"s"}`,
		`{"AWS_ACCESS_KEY_ID":"a","AWS_SECRET_ACCESS_KEY":"s/+=","AWS_SESSION_TOKEN":"t","AWS_CREDENTIAL_EXPIRATION":"2030-01-01T01:00:01+01:00"}`: `{"Version":1,"AccessKeyId":"a","SecretAccessKey":"s/+=","SessionToken":"t","Expiration":"2030-01-01T00:00:01Z"}`,
	} {
		c, err := ParseAWS([]byte(value))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Answer(now); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: %s, %v", value, got, err)
		}
	}
	for _, value := range []string{"hunter2", `["hunter2"]`, "{\"AccessKeyId\":\"\xff\"}"} {
		if c, err := ParseAWS([]byte(value)); err == nil || c != (AWSCredential{}) {
			t.Errorf("%s is %+v", value, c)
		}
	}
	for _, value := range []string{"hunter2", `{"AccessKeyId":["hunter2"]}`, `{"AccessKeyId":"hunter2"}`,
		`{"SecretAccessKey":"hunter2"}`, "\xff",
		`{"AccessKeyId":"a","SecretAccessKey":"s","Expiration":"hunter2"}`,
		`{"AccessKeyId":"a","SecretAccessKey":"s","Expiration":"2030-01-01T00:00:00Z"}`} {
		c, err := ParseAWS([]byte(value))
		if err == nil {
			_, err = c.Answer(now)
		}
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", value, err)
		}
	}
	c, err := NewAWS(map[string][]byte{"AWS_ACCESS_KEY_ID": []byte("a\n"), "AWS_SECRET_ACCESS_KEY": []byte("s")})
	if err != nil || c != (AWSCredential{AccessKeyID: "a", SecretAccessKey: "s"}) {
		t.Error(c, err)
	}
	if _, err := NewAWS(map[string][]byte{"AWS_SESSION_TOKEN": []byte("hunter2\nx")}); err == nil ||
		err.Error() != "AWS_SESSION_TOKEN: "+errLines.Error() {
		t.Error(err)
	}
}

func FuzzAWS(f *testing.F) {
	f.Add([]byte(`{"AccessKeyId":"a","SecretAccessKey":"s","Expiration":"2030-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		c, err := ParseAWS(value)
		if err != nil {
			return
		}
		b, err := c.Answer(time.Time{})
		if err != nil {
			return
		}
		again, err := ParseAWS(b)
		if err != nil || again.AccessKeyID != c.AccessKeyID || again.SecretAccessKey != c.SecretAccessKey {
			t.Fatalf("%q: %q, %v", value, b, err)
		}
	})
}

const testPEM = "-----BEGIN X-----\naHVudGVyMg==\n-----END X-----\n"

func TestKube(t *testing.T) {
	for info, want := range map[string]string{
		"": "client.authentication.k8s.io/v1",
		`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{"interactive":false}}`: "client.authentication.k8s.io/v1",
		`{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","spec":{"cluster":{}}}`:   "client.authentication.k8s.io/v1beta1",
		`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1alpha1"}`:                        "",
		`{"kind":"Pod","apiVersion":"client.authentication.k8s.io/v1"}`:                                         "",
		`{"kind":"ExecCredential","apiVersion":"v1"}`:                                                           "", `x`: "",
		`[]`: "",
	} {
		if got, err := ExecVersion(info); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", info, got, err)
		}
	}
	s, err := NewExecStatus([]byte("t\n"), []byte(testPEM), []byte(testPEM))
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Answer("V")
	const p = `"-----BEGIN X-----\naHVudGVyMg==\n-----END X-----\n"`
	if want := `{"apiVersion":"V","kind":"ExecCredential","status":{"token":"t","clientCertificateData":` + p +
		`,"clientKeyData":` + p +
		"}}\n"; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
	if s, err := NewExecStatus([]byte("t"), nil, nil); err != nil || s != (ExecStatus{Token: "t"}) {
		t.Error(s, err)
	}
	for _, v := range [][3][]byte{{[]byte("a\nhunter2")}, {[]byte("")}, {nil, []byte("hunter2"), []byte(testPEM)}, {nil,
		[]byte(testPEM), []byte("hunter2")}} {
		if _, err := NewExecStatus(v[0], v[1], v[2]); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", v, err)
		}
	}
}

func FuzzKube(f *testing.F) {
	f.Add(`{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1"}`, []byte(testPEM))
	f.Fuzz(func(t *testing.T, info string, value []byte) {
		version, err := ExecVersion(info)
		if err != nil {
			return
		}
		s, err := NewExecStatus(nil, value, value)
		if err != nil {
			return
		}
		b, err := s.Answer(version)
		var back struct{ Status ExecStatus }
		if err != nil || json.Unmarshal(b, &back) != nil || back.Status != s {
			t.Fatalf("%q: %q, %v", value, b, err)
		}
	})
}

func TestPrompt(t *testing.T) {
	for text, want := range map[string]string{
		"Enter passphrase for key '/home/u/.ssh/id_ed25519': ":            "s/id_ed25519",
		"Enter passphrase for /home/u/.ssh/id_rsa: ":                      "s/id_rsa",
		"Enter passphrase for id_rsa (will confirm each use): ":           "s/id_rsa",
		`Enter passphrase for "/home/u/work key/deploy": `:                "s/deploy",
		`Enter passphrase for key 'C:\Users\u\.ssh\id_x': `:               "s/id_x",
		"u@Host.example's password: ":                                     "s/host.example/u",
		"(deploy_bot@h) Password: ":                                       "s/h/deploy_bot",
		"u@2001:db8::1's password: ":                                      "s/2001_3adb8_3a_3a1/u",
		"Enter passphrase for key '/" + strings.Repeat("x", 96) + "/k': ": "s/k",
		"Enter passphrase for key '/" + strings.Repeat("x", 97) + "/k': ": "", // ssh may have cut it
		"Enter passphrase for /" + strings.Repeat("x", 99) + "/k: ":       "s/k",
		"Username for 'https://github.com': ":                             "git g/github.com",
		"Password for 'https://u%40v@h:8443': ":                           "git g/h_3a8443/u_40v g/h_3a8443",
		"Password for 'http://u@localhost:3000/o/r.git': ":                "git g/localhost_3a3000/o/r g/localhost_3a3000/u g/localhost_3a3000",
	} {
		p, ok := ParsePrompt(text)
		got := p.SSHPlace("s")
		if p.Git.Host != "" {
			got = "git " + strings.Join(p.Git.Places("g"), " ")
		}
		if got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
	if p, _ := ParsePrompt("Username for 'https://h': "); !p.Username {
		t.Error("a question for the user is taken for one for the password")
	}
	for _, text := range []string{
		"", "Password: ", "Enter passphrase: ", "Enter passphrase for : ", "Enter passphrase for key '': ",
		"Enter passphrase for key '/home/u/'",
		"Bad passphrase, try again for /home/u/.ssh/id_rsa: ", "Enter new passphrase (empty for no passphrase): ",
		`Enter passphrase for "x" (empty for no passphrase): `, "Enter old passphrase: ", "Enter passphrase for PKCS#11: ",
		"Enter PIN for ED25519-SK key /home/u/.ssh/id_ed25519_sk: ", "Enter PIN for 'token': ",
		"Allow use of key id_rsa?\nKey fingerprint x.",
		"The authenticity of host 'h (::1)' can't be established.\nAre you sure you want to continue connecting (yes/no/[fingerprint])? ",
		"Please type 'yes', 'no' or the fingerprint: ", "Confirm user presence for key ED25519-SK x", "u@h's old password: ",
		"Enter u@h's new password: ",
		"Enter passphrase for key '/x' and more: ", "Enter passphrase for key '/x': x",
		// from somebody hostile: the words behind (USER@HOST), and the user in the URL of a submodule, are theirs
		"(u@evil) Enter passphrase for key '/home/u/.ssh/id_rsa': ", "(u@evil) root@good's password: ",
		"(u@evil) (u@good) Password: ",
		"root@good's password: x@evil's password: ", "(u@good) Password: x@evil's password: ", "u@good@evil's password: ",
		"u's password: ", "@h's password: ",
		"u@'s password: ", "u h@h's password: ", "(u@evil) Password: (u@good) Password: ", "u@h\n's password: ",
		"Password for 'https://good@evil@h': ", "Password for 'https://h' for 'https://good': ", "Password for 'ssh://h': ",
		"Password for 'https://@h': ", "Password for 'https://good/@evil': ", "Password for 'https://good/a@evil/x': ",
		"Password for 'https://good/@evil:8443': ", "Username for 'https://good/@evil': ",
		"Password for 'https://u%0a@h': ", "Token for 'https://h': ", "Password for 'https://h\": ",
		"u@h's password", "Enter passphrase for key '/k'", "Enter passphrase for key '/a\x1bb/k': ",
		"Enter passphrase for key '/a\x7f/k': ",
		"(u@h: ", "(u@h) Password", "u@h) Password: ", "u@h: ", "Password for 'h': ", "Password for 'https://h: ",
		"Password for 'https://%zz@h': ",
	} {
		if p, ok := ParsePrompt(text); ok {
			t.Errorf("%q is answered: %+v", text, p)
		}
	}
	key, _ := ParsePrompt("Enter passphrase for key '/a/k': ")
	host, _ := ParsePrompt("u@h's password: ")
	for server, want := range map[string][2]bool{"": {true, true}, "/a/k": {true, false}, "/b/k": {false, false},
		"h": {false, true}, "ssh://H": {false, true}, "i": {false, false}} {
		c := Credential{Server: server}
		if key.Fits(c) != want[0] || host.Fits(c) != want[1] {
			t.Errorf("%q fits %v, %v", server, key.Fits(c), host.Fits(c))
		}
	}
}

// A question that is answered is about one thing.
func FuzzPrompt(f *testing.F) {
	for _, s := range []string{"Enter passphrase for key '/a/k': ", "u@h's password: ", "(u@h) Password: ",
		"Password for 'https://u@h': "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := ParsePrompt(text)
		if !ok {
			return
		}
		n := 0
		for _, has := range []bool{p.File != "", p.Host != "", p.Git.Host != ""} {
			if has {
				n++
			}
		}
		if n != 1 || strings.Count(text, "passphrase for ") > 1 && p.File == "" || strings.Count(text, "@") > 1 &&
			p.File == "" && p.Git.Path == "" {
			t.Fatalf("%q: %+v", text, p)
		}
	})
}
