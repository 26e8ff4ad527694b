package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ass/e2e/world"
)

// The programs that ass helper answers are asked to ask it. Where one is missing, its test is skipped.

// asking is a home with a vault, an agent in a profile of its own, and links to ass on PATH.
type asking struct {
	*testing.T
	home string
	env  []string
}

func newAsking(t *testing.T, program, agent, scopes string) *asking {
	t.Helper()
	if name := world.Missing(program); name != "" {
		t.Skipf("there is no %s here", name)
	}
	a := &asking{T: t, home: t.TempDir()}
	links := filepath.Join(a.home, "bin")
	if err := os.Mkdir(links, 0o755); err != nil {
		t.Fatal(err)
	}
	a.env = append(withHome(a.home), "PATH="+links+string(filepath.ListSeparator)+os.Getenv("PATH"),
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=", "SSH_AUTH_SOCK=", "DISPLAY=:0", "KUBECONFIG=",
		"AWS_PROFILE=",
		"AWS_EC2_METADATA_DISABLED=true")
	a.ass("secrets", "set", "other/KEY", "hunter2-other")
	a.ass("agents", "create", "--name", agent, "--scopes", scopes, "--write-key", filepath.Join(a.home, "key"))
	a.ass("login", "--profile", agent, "--key-file", filepath.Join(a.home, "key"))
	return a
}

func (a *asking) ass(args ...string) string {
	a.Helper()
	out, err := assIn(a.home, args...)
	if err != nil {
		a.Fatalf("ass %q: %v\n%s", args, err, out)
	}
	return string(out)
}

func (a *asking) write(name, content string) string {
	a.Helper()
	path := filepath.Join(a.home, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		a.Fatal(err)
	}
	return path
}

// run runs a program, and returns what it prints and whether it ends with exit code 0.
func (a *asking) run(stdin string, args ...string) (stdout, stderr string, ok bool) {
	a.Helper()
	ctx, cancel := context.WithTimeout(a.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdin = a.env, a.home, strings.NewReader(stdin)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if ctx.Err() != nil {
		a.Fatalf("%q does not end: %s", args, errs.String())
	}
	return out.String(), errs.String(), err == nil
}

// gives runs a program that must succeed, and print a text.
func (a *asking) gives(stdin, want string, args ...string) {
	a.Helper()
	if out, errs, ok := a.run(stdin, args...); !ok || !strings.Contains(out, want) {
		a.Errorf("%q of %q: %q\n%s", args, stdin, out, errs)
	}
}

// refuses runs a program that must fail without any value in what it prints.
func (a *asking) refuses(stdin, why string, args ...string) {
	a.Helper()
	if out, errs, ok := a.run(stdin, args...); ok || strings.Contains(out+errs, marker) || !strings.Contains(errs+out,
		why) {
		a.Errorf("%q of %q: %v, %q\n%s", args, stdin, ok, out, errs)
	}
}

func TestRealGitCredential(t *testing.T) {
	a := newAsking(t, "git", "git", "secrets:*:git/*")
	a.ass("secrets", "set", "git/github.com", `{"username":"alice","password":"hunter2-gh"}`)
	a.ass("secrets", "set", "git/sens.example", `{"username":"u","password":"hunter2-s"}`, "--tier", "sensitive")
	a.ass("helper", "git", "--install", filepath.Join(a.home, "bin"))
	const asked, saved = "protocol=https\nhost=github.com\n\n",
		"protocol=https\nhost=new.example\nusername=u\npassword=hunter2-new\n\n"
	for _, helper := range []string{"!ass helper git", "ass"} {
		a.gives("", "", "git", "config", "--global", "credential.helper", helper)
		a.gives(asked, "username=alice\npassword=hunter2-gh\n", "git", "credential", "fill")
		a.gives("url=https://github.com/o/r.git\n\n", "password=hunter2-gh\n", "git", "credential", "fill")
		a.refuses("protocol=https\nhost=github.com\nusername=bob\n\n", "terminal prompts disabled", "git", "credential",
			"fill")
		a.refuses("protocol=https\nhost=evil.example\n\n", "terminal prompts disabled", "git", "credential", "fill")
		a.refuses("protocol=http\nhost=github.com\n\n", "terminal prompts disabled", "git", "credential", "fill")
		a.refuses("protocol=https\nhost=sens.example\n\n", "ass approvals approve ", "git", "credential", "fill")
		a.refuses("protocol=https\nhost=sens.example\n\n", "told us to quit", "git", "credential", "fill")
		a.gives(saved, "", "git", "credential", "approve")
		if list := a.ass("secrets", "list", "git"); strings.Contains(list, "new.example") {
			t.Errorf("a helper that reads has stored: %s", list)
		}
	}
	a.gives("", "", "git", "config", "--global", "credential.helper", "ass --write")
	a.gives(saved, "", "git", "credential", "approve")
	a.gives("protocol=https\nhost=new.example\n\n", "username=u\npassword=hunter2-new\n", "git", "credential", "fill")
	a.gives(strings.ReplaceAll(saved, "-new", "-wrong"), "", "git", "credential", "reject")
	a.gives("protocol=https\nhost=new.example\n\n", "password=hunter2-new\n", "git", "credential", "fill")
	a.gives(saved, "", "git", "credential", "reject")
	a.refuses("protocol=https\nhost=new.example\n\n", "terminal prompts disabled", "git", "credential", "fill")

	a.gives("", "", "git", "config", "--global", "--unset-all", "credential.helper")
	a.gives("", "", "git", "config", "--global", "credential.https://github.com.helper",
		"!ass helper git --secret git/github.com --host github.com")
	a.gives(asked, "password=hunter2-gh\n", "git", "credential", "fill")

	a.gives("", "", "git", "config", "--global", "--unset-all", "credential.https://github.com.helper")
	a.ass("helper", "ssh-askpass", "--install", filepath.Join(a.home, "bin"))
	a.env = append(a.env, "GIT_ASKPASS=ass-askpass")
	a.gives(asked, "username=alice\npassword=hunter2-gh\n", "git", "credential", "fill")
	a.refuses("protocol=https\nhost=evil.example\n\n", "no secret at git/evil.example", "git", "credential", "fill")
}

// A server that git talks to gets the credential of that server alone: not that of another one to which it sends git,
// or whose name is in its URL.
func TestRealGitHostileServer(t *testing.T) {
	a := newAsking(t, "git", "git", "secrets:read:git/*")
	var mu sync.Mutex
	got := map[string][]string{} // the Authorization of each server
	serve := func(name string, then http.HandlerFunc) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			got[name] = append(got[name], r.Header.Get("Authorization"))
			mu.Unlock()
			if then != nil {
				then(w, r)
				return
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}))
		t.Cleanup(s.Close)
		return s
	}
	sent := func(name string) []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(got[name])
	}
	good, evil := serve("good", nil), serve("evil", nil)
	bounce := serve("bounce", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, evil.URL+r.URL.RequestURI(), http.StatusFound)
	})
	host := strings.TrimPrefix(good.URL, "http://")
	a.ass("secrets", "set", "git/"+strings.ReplaceAll(host, ":", "_3a"), `{"username":"u","password":"hunter2-good"}`)
	a.gives("", "", "git", "config", "--global", "credential.helper", "!ass helper git --http")
	a.run("", "git", "ls-remote", good.URL+"/r")
	if list := sent("good"); len(list) == 0 || !strings.HasPrefix(list[len(list)-1], "Basic ") {
		t.Fatalf("the server got %q: the test asks for nothing", list)
	}
	for _, url := range []string{evil.URL + "/r", bounce.URL + "/r", strings.Replace(evil.URL, "://", "://"+host+"@", 1) +
		"/r",
		evil.URL + "/" + host, strings.Replace(evil.URL, "://", "://"+strings.ReplaceAll(host, ":", "%3a")+"%2f@", 1) +
			"/r"} {
		a.refuses("", "", "git", "ls-remote", url)
	}
	if len(sent("evil")) == 0 {
		t.Error("the hostile server was not asked")
	}
	for _, name := range []string{"evil", "bounce"} {
		for _, header := range sent(name) {
			encoded, _ := strings.CutPrefix(header, "Basic ")
			if b, err := base64.StdEncoding.DecodeString(encoded); err != nil || strings.Contains(string(b), marker) {
				t.Errorf("%s got %q", name, header)
			}
		}
	}
}

func TestRealDockerCredential(t *testing.T) {
	a := newAsking(t, "docker", "docker", "secrets:*:docker/*")
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "me" || pass != "hunter2-docker" {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer registry.Close()
	host := strings.TrimPrefix(registry.URL, "http://")
	a.env = append(a.env, "DOCKER_CONFIG="+filepath.Join(a.home, ".docker"), "DOCKER_HOST=unix://"+filepath.Join(a.home,
		"none"))
	a.ass("helper", "docker", "--install", filepath.Join(a.home, "bin"))
	a.ass("helper", "docker", "--write", "--install", filepath.Join(a.home, "bin"))
	login := []string{"docker", "login", "--username", "me", "--password-stdin", host}

	a.write(".docker/config.json", `{"credsStore":"ass"}`)
	a.refuses("hunter2-docker", "stores and erases nothing", login...)
	a.write(".docker/config.json", `{"credsStore":"ass-write"}`)
	if out, errs, ok := a.run("hunter2-docker", login...); !ok && !strings.Contains(out+errs, "ass:") {
		t.Skipf("there is no docker here that logs in without a daemon: %s", errs)
	} else if !ok {
		t.Fatalf("%s%s", out, errs)
	}
	place := "docker/" + strings.ReplaceAll(host, ":", "_3a")
	if got, want := a.ass("secrets", "get", place),
		fmt.Sprintf(`{"server":%q,"username":"me","password":"hunter2-docker"}`, host); got != want {
		t.Errorf("docker has stored %s, want %s", got, want)
	}
	a.write(".docker/config.json", fmt.Sprintf(`{"credHelpers":{%q:"ass"}}`, host))
	if out, errs, _ := a.run("", "docker", "login", host); !strings.Contains(out+errs, "Username: me") {
		t.Errorf("docker does not find what it has stored: %s%s", out, errs)
	}
	a.write(".docker/config.json", `{"credsStore":"ass-write"}`)
	a.gives("", "Removing", "docker", "logout", host)
	if list := a.ass("secrets", "list", "docker"); strings.Contains(list, place) {
		t.Errorf("docker logout has erased nothing: %s", list)
	}
}

func TestRealAWS(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	a := newAsking(t, "aws", "aws", "secrets:read:prod/*")
	for key, value := range map[string]string{"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hunter2/+=",
		"AWS_SESSION_TOKEN": "hunter2-t"} {
		a.ass("secrets", "set", "prod/aws/"+key, value)
	}
	a.ass("secrets", "set", "prod/json",
		`{"AccessKeyId":"AKIAJSON","SecretAccessKey":"hunter2-json","Expiration":"2100-01-01T00:00:00Z"}`)
	a.ass("secrets", "set", "prod/sens", `{"AccessKeyId":"AKIASENS","SecretAccessKey":"hunter2-s"}`, "--tier", "sensitive")
	a.env = append(a.env, "AWS_CONFIG_FILE="+a.write("aws.config", `[profile work]
credential_process = ass helper aws prod/aws
[profile json]
credential_process = ass helper aws --secret prod/json
[profile sens]
credential_process = ass helper aws --secret prod/sens
`), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(a.home, "none"))
	headers := make(chan http.Header, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers <- r.Header
		w.Header().Set("Content-Type", "text/xml")
		fmt.Fprint(w,
			`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>`+
				`<Arn>arn:aws:iam::1:user/u</Arn><UserId>u</UserId><Account>1</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
	}))
	defer server.Close()
	for profile, want := range map[string][2]string{"work": {"AKIAEXAMPLE", "hunter2-t"}, "json": {"AKIAJSON", ""},
		"sens": {}} {
		command := []string{"aws", "sts", "get-caller-identity", "--profile", profile, "--region", "us-east-1",
			"--endpoint-url", server.URL}
		if profile == "sens" {
			a.refuses("", "ass approvals approve ", command...)
			continue
		}
		a.gives("", "arn:aws:iam::1:user/u", command...)
		got := <-headers
		if !strings.Contains(got.Get("Authorization"), "Credential="+want[0]+"/") ||
			got.Get("X-Amz-Security-Token") != want[1] {
			t.Errorf("%s signs with %q", profile, got)
		}
	}
}

// newCertificate makes a client certificate and its key, as PEM.
func newCertificate(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotAfter:    time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b}))
}

func TestRealKubectl(t *testing.T) {
	a := newAsking(t, "kubectl", "kube", "secrets:read:kube/*")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		by := r.Header.Get("Authorization")
		for _, c := range r.TLS.PeerCertificates {
			by += " by " + c.Subject.CommonName
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"asked": by})
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	certificate, key := newCertificate(t, "worker")
	a.ass("secrets", "set", "kube/TOKEN", "hunter2-kube")
	for name, value := range map[string]string{"CERT": certificate, "KEY": key} {
		a.ass("secrets", "set", "kube/"+name, "--file", a.write("pem", value))
	}
	a.ass("secrets", "set", "kube/SENS", "hunter2-s", "--tier", "sensitive")
	if err := os.Remove(filepath.Join(a.home, "pem")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ version, args, want string }{
		{"v1", "kube/TOKEN", "Bearer hunter2-kube"}, {"v1beta1", "kube/TOKEN", "Bearer hunter2-kube"},
		{"v1", "--client-certificate, kube/CERT, --client-key, kube/KEY", " by worker"},
		{"v1", "kube/TOKEN, --client-certificate=kube/CERT, --client-key=kube/KEY", "Bearer hunter2-kube by worker"},
		{"v1", "kube/SENS", ""},
	} {
		config := a.write("kubeconfig", fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: me}}]
clusters: [{name: k, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users:
- name: me
  user:
    exec:
      apiVersion: client.authentication.k8s.io/%s
      command: ass
      args: [helper, kube, %s]
      interactiveMode: Never
`, server.URL, c.version, c.args))
		get := []string{"kubectl", "--kubeconfig", config, "get", "--raw", "/api"}
		if c.want == "" {
			a.refuses("", "ass approvals approve ", get...)
			continue
		}
		want, err := json.Marshal(map[string]string{"asked": c.want})
		if err != nil {
			t.Fatal(err)
		}
		a.gives("", string(want), get...)
	}
}

func TestRealSSHAdd(t *testing.T) {
	a := newAsking(t, "ssh-add", "ssh", "secrets:read:ssh/*")
	if name := world.Missing("ssh-agent", "ssh-keygen"); name != "" {
		t.Skipf("there is no %s here", name)
	}
	sockets, err := os.MkdirTemp("", "ass") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(sockets)
	socket := filepath.Join(sockets, "agent")
	agent := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = agent.Process.Kill(); _ = agent.Wait() }()
	for range 100 {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	a.ass("secrets", "set", "ssh/id_ed25519", "hunter2-passphrase")
	a.ass("secrets", "set", "ssh/wrong", "hunter2-not-it")
	a.ass("secrets", "set", "ssh/sens", "hunter2-passphrase", "--tier", "sensitive")
	a.ass("helper", "ssh-askpass", "--install", filepath.Join(a.home, "bin"))
	a.env = append(a.env, "SSH_AUTH_SOCK="+socket, "SSH_ASKPASS="+filepath.Join(a.home, "bin", "ass-askpass"),
		"SSH_ASKPASS_REQUIRE=force")
	for _, name := range []string{"id_ed25519", "wrong", "sens", "none"} {
		a.gives("", "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "hunter2-passphrase", "-C", name, "-f",
			filepath.Join(a.home, name))
	}
	a.gives("", "", "ssh-add", filepath.Join(a.home, "id_ed25519"))
	a.gives("", "id_ed25519", "ssh-add", "-l")
	a.refuses("", "is for a person", "ssh-add", filepath.Join(a.home, "wrong")) // and does not ask without end
	a.refuses("", "ass approvals approve ", "ssh-add", filepath.Join(a.home, "sens"))
	a.refuses("", "no secret at ssh/none", "ssh-add", filepath.Join(a.home, "none"))
	a.gives("", "", "ssh-add", "-D")
	a.gives("", "", "ssh-add", "-c", filepath.Join(a.home, "id_ed25519")) // its use is to be confirmed, by a person
	a.refuses("", "", "ssh-keygen", "-Y", "sign", "-n", "x", "-f", filepath.Join(a.home, "id_ed25519.pub"), a.write("text",
		"x"))
}
