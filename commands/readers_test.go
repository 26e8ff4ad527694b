package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The real programs read what was written for them, byte for byte. Each test is
// skipped where its program is missing; node's package is looked for in
// ASS_TEST_DOTENV, a node_modules folder.

// nastyValues are the known ones and as many random ones as make n.
func nastyValues(n int) []string {
	pieces := append([]string{"a", "B7", "key", " ", "  ", "\n", "\\", "\\\\", "'", `"`, "$", "#", "\t", "ü"}, nasty...)
	r := rand.New(rand.NewPCG(1, 2))
	list := append([]string(nil), nasty...)
	for len(list) < n {
		var b strings.Builder
		for range 1 + r.IntN(10) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		list = append(list, b.String())
	}
	return list
}

// readBack writes n values into files of several variables, lets a program read
// all of them, and compares.
func readBack(t *testing.T, program, format string, n int, names []string, read func(files []string) ([]values, error)) {
	t.Helper()
	dir := t.TempDir()
	var files []string
	var want []values
	var list []variable
	carried, refused := 0, 0
	flush := func() {
		text, err := writeEnv(format, list)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, fmt.Sprintf("%d.env", len(files)))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all := values{}
		for _, v := range list {
			all[v.name] = string(v.value)
		}
		files, want, list = append(files, file), append(want, all), nil
	}
	all := nastyValues(4 * n)
	for i := 0; carried < n && i < len(all); i++ {
		v := variable{name: names[len(list)], value: []byte(all[i])}
		if _, err := writeEnv(format, []variable{v}); err != nil {
			refused++
			continue
		}
		carried++
		if list = append(list, v); len(list) == len(names) {
			flush()
		}
	}
	if len(list) > 0 {
		flush()
	}
	got, err := read(files)
	if err != nil || len(got) != len(files) {
		t.Fatalf("%s: %v; it read %d of %d files", program, err, len(got), len(files))
	}
	wrong := 0
	for i := range files {
		if maps.Equal(got[i], want[i]) {
			continue
		}
		if wrong++; wrong <= 10 {
			text, _ := os.ReadFile(files[i])
			for name := range want[i] {
				if got[i][name] != want[i][name] {
					t.Errorf("%s reads %s as %q, not %q, in\n%s", program, name, got[i][name], want[i][name], text)
				}
			}
		}
	}
	t.Logf("%s, format %s: %d values in %d files, %d refused, %d files read otherwise", program, format, carried, len(files), refused, wrong)
}

func find(t *testing.T, program string) string {
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("there is no %s here", program)
	}
	return path
}

// outputOf runs a program and returns its stdout.
func outputOf(stdin string, env []string, program string, args ...string) ([]byte, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil && stderr.Len() > 0 {
		err = fmt.Errorf("it says %q", stderr.String())
	}
	return out, err
}

var fiveNames = []string{"V0", "_v1", "V_2x", "V3", "MIDDLE_4"}

func TestRealShells(t *testing.T) {
	const script = `for f in "$@"; do (set -a; . "$f"; for n in V0 _v1 V_2x V3 MIDDLE_4; do eval "printf '%s\\0' \"\${$n-}\""; done); done`
	for _, c := range []struct{ shell, format, locale string }{
		{"bash", "dotenv", "C.UTF-8"}, {"bash", "dotenv", "C"},
		{"bash", "shell", "C.UTF-8"}, {"bash", "shell", "C"},
		{"dash", "shell", "C"}, {"zsh", "shell", "C.UTF-8"}, {"ksh", "shell", "C.UTF-8"}, {"busybox", "shell", "C"},
	} {
		t.Run(c.shell+"/"+c.format+"/"+c.locale, func(t *testing.T) {
			args := []string{"-c", script, "sh"}
			if c.shell == "busybox" {
				args = append([]string{"sh"}, args...)
			}
			shell := find(t, c.shell)
			readBack(t, c.shell, c.format, 1000, fiveNames, func(files []string) ([]values, error) {
				out, err := outputOf("", []string{"LC_ALL=" + c.locale}, shell, append(args, files...)...)
				parts := strings.Split(string(out), "\x00")
				var got []values
				for ; len(parts) > len(fiveNames); parts = parts[len(fiveNames):] {
					all := values{}
					for i, name := range fiveNames {
						if parts[i] != "" {
							all[name] = parts[i]
						}
					}
					got = append(got, all)
				}
				return got, err
			})
		})
	}
}

// readAsJSON reads what a script prints: a JSON list of objects.
func readAsJSON(program, script string, env ...string) func([]string) ([]values, error) {
	return func(files []string) (got []values, err error) {
		flag := "-c"
		if strings.HasSuffix(program, "node") {
			flag = "-e"
		}
		names, _ := json.Marshal(files)
		out, err := outputOf(string(names), env, program, flag, script)
		if err == nil {
			err = json.Unmarshal(out, &got)
		}
		return got, err
	}
}

func TestRealNodeDotenv(t *testing.T) {
	node := find(t, "node")
	modules := os.Getenv("ASS_TEST_DOTENV")
	if modules == "" {
		t.Skip("ASS_TEST_DOTENV names no node_modules folder with dotenv in it (npm install dotenv)")
	}
	version, err := outputOf("", nil, node, "-p", fmt.Sprintf("require(%q).version", filepath.Join(modules, "dotenv/package.json")))
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range []string{"d.parse(fs.readFileSync(f))", "d.parse(fs.readFileSync(f), {fast: true})", "d.config({path: f, processEnv: {}, quiet: true}).parsed"} {
		readBack(t, "node's dotenv "+strings.TrimSpace(string(version))+", "+call, "dotenv", 1000, fiveNames, readAsJSON(node,
			fmt.Sprintf(`const fs = require("fs"), d = require(%q); console.log(JSON.stringify(JSON.parse(fs.readFileSync(0)).map(f => %s)))`, filepath.Join(modules, "dotenv"), call)))
	}
}

func TestRealPythonDotenv(t *testing.T) {
	python := find(t, "python3")
	version, err := outputOf("", nil, python, "-c", "import dotenv.version; print(dotenv.version.__version__)")
	if err != nil {
		t.Skip("python3 has no python-dotenv here")
	}
	readBack(t, "python-dotenv "+strings.TrimSpace(string(version)), "dotenv", 1000, fiveNames, readAsJSON(python,
		`import dotenv, json, sys; print(json.dumps([dotenv.dotenv_values(f) for f in json.load(sys.stdin)]))`, "X=expanded", "PYTHONUTF8=1"))
}

// The docker command reads the file itself, and hands the variables to a daemon:
// here, to this test.
func TestRealDocker(t *testing.T) {
	docker := find(t, "docker")
	var got []values
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/containers/create") {
			w.Header().Set("Api-Version", "1.45")
			return
		}
		var container struct{ Env []string }
		b, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(b, &container)
		}
		if err != nil {
			t.Error(err)
		}
		all := values{}
		for _, pair := range container.Env {
			name, value, _ := strings.Cut(pair, "=")
			all[name] = value
		}
		got = append(got, all)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"Id":"0123456789ab","Warnings":[]}`)
	}))
	defer daemon.Close()
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("V%d", i))
	}
	config := t.TempDir()
	readBack(t, "docker", "docker", 1000, names, func(files []string) ([]values, error) {
		for _, file := range files {
			cmd := exec.Command(docker, "create", "--env-file", file, "image")
			cmd.Env = append(os.Environ(), "DOCKER_HOST=tcp://"+strings.TrimPrefix(daemon.URL, "http://"), "DOCKER_CONFIG="+config, "DOCKER_CONTEXT=", "DOCKER_TLS_VERIFY=")
			if out, err := cmd.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("%v: %s", err, out)
			}
		}
		return got, nil
	})
}

// systemd reads os-release with the parser of EnvironmentFile=, and
// systemd-tmpfiles writes three of its fields into files without a service manager.
func TestRealSystemd(t *testing.T) {
	tmpfiles := find(t, "systemd-tmpfiles")
	root := t.TempDir()
	rules := filepath.Join(root, "rules.conf")
	fields := map[string]string{"ID": "o", "VERSION_ID": "w", "BUILD_ID": "B"}
	text := ""
	for name, specifier := range fields {
		text += fmt.Sprintf("f+ /%s - - - - v=%%%s\n", name, specifier)
	}
	if err := os.WriteFile(rules, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o700); err != nil {
		t.Fatal(err)
	}
	readBack(t, "systemd", "systemd", 150, []string{"ID", "VERSION_ID", "BUILD_ID"}, func(files []string) (got []values, err error) {
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(filepath.Join(root, "etc/os-release"), b, 0o600)
			}
			if err != nil {
				return nil, err
			}
			if out, err := exec.Command(tmpfiles, "--create", "--root="+root, rules).CombinedOutput(); err != nil && len(got) == 0 {
				t.Skipf("systemd-tmpfiles does not run here: %v: %s", err, out)
			} else if err != nil {
				return nil, fmt.Errorf("%v: %s", err, out)
			}
			all := values{}
			for name := range fields {
				b, err := os.ReadFile(filepath.Join(root, name))
				if err != nil {
					return nil, err
				}
				if value := strings.TrimPrefix(string(b), "v="); value != "" {
					all[name] = value
				}
			}
			got = append(got, all)
		}
		return got, nil
	})
}
