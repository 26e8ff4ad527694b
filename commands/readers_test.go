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

// The real programs read every value that env export writes for them, byte for byte. If a program
// is missing, its test is skipped. ASS_TEST_DOTENV is a list of node_modules folders with node's
// package. With -v, the tests print the table of docs/env.md.

// nastyValues returns n values: the known ones, and random ones.
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

// tried is the number of values that each reader gets.
const tried = 1000

// readBack writes n values into files of several variables, except for values that the format
// refuses. Then a program reads all files, and readBack compares.
func readBack(t *testing.T, program, format string, n int, names []string, read func(files []string) ([]values,
	error)) {
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
	for _, value := range nastyValues(n) {
		v := variable{name: names[len(list)], value: []byte(value)}
		_, err := writeEnv(format, []variable{v})
		if err == nil && program == "dash" && strings.Contains(strings.ReplaceAll(value, "\r\n", ""), "\r") {
			continue // it is written as $'\r', which dash does not know
		}
		if err != nil {
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
	t.Logf("| %s | `%s` | %d | %d | %d | (%d files read otherwise)", program, format, n, carried, refused, wrong)
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
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	const unset = "(unset)"
	const script = `for f in "$@"; do (set -a; . "$f"; for n in V0 _v1 V_2x V3 MIDDLE_4; do eval "printf '%s\\0' \"\${$n-(unset)}\""; done); done`
	for _, c := range []struct{ shell, format, locale string }{
		{"bash", "dotenv", "C.UTF-8"}, {"bash", "dotenv", "C"},
		{"bash", "bash", "C.UTF-8"}, {"bash", "bash", "C"}, {"bash", "shell", "C"},
		{"dash", "bash", "C"}, {"zsh", "bash", "C.UTF-8"}, {"ksh", "bash", "C.UTF-8"}, {"busybox", "bash", "C"},
	} {
		t.Run(c.shell+"/"+c.format+"/"+c.locale, func(t *testing.T) {
			args := []string{"-c", script, "sh"}
			if c.shell == "busybox" {
				args = append([]string{"sh"}, args...)
			}
			shell := find(t, c.shell)
			readBack(t, c.shell, c.format, tried, fiveNames, func(files []string) ([]values, error) {
				out, err := outputOf("", []string{"LC_ALL=" + c.locale}, shell, append(args, files...)...)
				parts := strings.Split(string(out), "\x00")
				var got []values
				for ; len(parts) > len(fiveNames); parts = parts[len(fiveNames):] {
					all := values{}
					for i, name := range fiveNames {
						if parts[i] != unset {
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

// No POSIX shell that reads a written file runs any part of a value.
func TestShellsRunNothing(t *testing.T) {
	dir := t.TempDir()
	for i, value := range []string{
		"\r'; touch owned; '", "'\r; touch owned\r'", `\'; touch owned; \'`, "$(touch owned)", "`touch owned`",
		"\r\n'; touch owned; '",
		"'$'\r; touch owned #", "x\ntouch owned", `'"; touch owned; "'`, "\\\r' ; touch owned ; '\\", "\r\\'; touch owned; '",
	} {
		for _, format := range []string{"bash", "dotenv"} {
			text, err := writeEnv(format, []variable{{name: "V", value: []byte(value)}})
			if err != nil {
				continue
			}
			file := filepath.Join(dir, fmt.Sprintf("%s%d.env", format, i))
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, shell := range [][]string{{"bash"}, {"dash"}, {"zsh"}, {"ksh"}, {"busybox", "sh"}, {"sh"}} {
				if _, err := exec.LookPath(shell[0]); err != nil {
					continue
				}
				cmd := exec.Command(shell[0], append(shell[1:], "-c", `set -a; . "$1"`, "sh", file)...)
				cmd.Dir = dir
				out, err := cmd.CombinedOutput()
				if _, there := os.Stat(filepath.Join(dir, "owned")); there == nil || err != nil || len(out) > 0 {
					t.Fatalf("%s runs a part of %q, or complains: %v, %s", shell[0], text, err, out)
				}
			}
		}
	}
}

// readAsJSON returns a reader that runs a script. The script prints a JSON list of objects.
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

// nodeFolders returns the node_modules folders with dotenv in them.
func nodeFolders(t *testing.T) []string {
	t.Helper()
	folders := filepath.SplitList(os.Getenv("ASS_TEST_DOTENV"))
	if len(folders) == 0 {
		t.Skip("ASS_TEST_DOTENV names no node_modules folder with dotenv in it (npm install dotenv)")
	}
	return folders
}

func nodeScript(modules, call string) string {
	return fmt.Sprintf(`const fs = require("fs"), d = require(%q); console.log(JSON.stringify(JSON.parse(fs.readFileSync(0)).map(f => %s)))`, filepath.Join(modules, "dotenv"), call)
}

func TestRealNodeDotenv(t *testing.T) {
	node := find(t, "node")
	for _, modules := range nodeFolders(t) {
		b, err := os.ReadFile(filepath.Join(modules, "dotenv/package.json"))
		var about struct{ Version string }
		if err == nil {
			err = json.Unmarshal(b, &about)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"dotenv", "node"} {
			for _, call := range []string{"d.parse(fs.readFileSync(f))", "d.parse(fs.readFileSync(f), {fast: true})",
				"d.config({path: f, processEnv: {}, quiet: true}).parsed"} {
				readBack(t, "node's dotenv "+about.Version+", "+call, format, tried, fiveNames, readAsJSON(node, nodeScript(modules,
					call)))
			}
		}
	}
}

const pythonScript = `import dotenv, json, sys; print(json.dumps([dotenv.dotenv_values(f) for f in json.load(sys.stdin)]))`

// pythonWithDotenv finds a Python that has python-dotenv, and the version of python-dotenv.
func pythonWithDotenv(t *testing.T) (python, version string) {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} { // Debian's python3-dotenv is for the latter
		if out, err := outputOf("", nil, python, "-c",
			"import dotenv.version; print(dotenv.version.__version__)"); err == nil {
			return python, strings.TrimSpace(string(out))
		}
	}
	t.Skip("no python3 here has python-dotenv (apt-get install python3-dotenv)")
	return "", ""
}

func TestRealPythonDotenv(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	python, version := pythonWithDotenv(t)
	for _, format := range []string{"dotenv", "python"} {
		readBack(t, "python-dotenv "+version, format, tried, fiveNames, readAsJSON(python, pythonScript, "X=expanded",
			"PYTHONUTF8=1"))
	}
}

// goReader builds the program in testdata/goreaders. It is a separate Go module, because it uses
// parsers of modules that this project does not depend on. goReader returns a function that reads
// files with one of these parsers.
func goReader(t *testing.T, parser string, env ...string) func([]string) ([]values, error) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "reader")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "testdata", "goreaders")
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Skipf("compose-go and godotenv cannot be built here: %v: %s", err, out)
	}
	return func(files []string) (got []values, err error) {
		names, _ := json.Marshal(files)
		out, err := outputOf(string(names), env, program, parser)
		var read []map[string][]byte
		if err == nil {
			err = json.Unmarshal(out, &read)
		}
		for _, file := range read {
			all := values{}
			for name, value := range file {
				all[name] = string(value)
			}
			got = append(got, all)
		}
		return got, err
	}
}

func TestRealCompose(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	read := goReader(t, "compose", "X=expanded")
	for _, format := range []string{"dotenv", "compose"} {
		readBack(t, "docker compose (compose-go 2.16.2)", format, tried, fiveNames, read)
	}
}

// For a file of each family of parsers, env import reads the same as the family's own parser.
func TestFamilies(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	fixtures, err := filepath.Glob("testdata/dotenv/*.env")
	if err != nil || len(fixtures) < 5 {
		t.Fatalf("%d fixtures, %v", len(fixtures), err)
	}
	for _, file := range fixtures {
		family := strings.TrimSuffix(filepath.Base(file), ".env")
		t.Run(family, func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			expected, err := os.ReadFile(strings.TrimSuffix(file, ".env") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			want := values{}
			if err := json.Unmarshal(expected, &want); err != nil {
				t.Fatal(err)
			}
			list, err := readFile(envFormats[0], string(b), true)
			got := values{}
			for _, v := range list {
				got[v.name] = string(v.value)
			}
			compareValues(t, "env import", got, want, err)
			whole, _ := filepath.Abs(file)
			real := familyReader(t, family)
			files, err := real([]string{whole})
			if err != nil || len(files) != 1 {
				t.Fatal(err)
			}
			compareValues(t, "its own parser", files[0], want, nil)
		})
	}
}

func compareValues(t *testing.T, who string, got, want values, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", who, err)
	}
	for name := range want {
		if value, ok := got[name]; !ok || value != want[name] {
			t.Errorf("%s reads %s as %q, want %q", who, name, value, want[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s reads a %s as well", who, name)
		}
	}
}

// familyReader returns the real parser of a family. If it is missing, the test is skipped.
func familyReader(t *testing.T, family string) func([]string) ([]values, error) {
	switch family {
	case "node":
		return readAsJSON(find(t, "node"), nodeScript(nodeFolders(t)[0], "d.parse(fs.readFileSync(f))"))
	case "python":
		python, _ := pythonWithDotenv(t)
		return readAsJSON(python, pythonScript)
	case "ruby":
		ruby := find(t, "ruby")
		if _, err := outputOf("", nil, ruby, "-rdotenv", "-e", "0"); err != nil {
			t.Skip("ruby has no dotenv here (apt-get install ruby-dotenv)")
		}
		return func(files []string) (got []values, err error) {
			names, _ := json.Marshal(files)
			out, err := outputOf(string(names), nil, ruby, "-rdotenv", "-rjson", "-e",
				"puts JSON.generate(JSON.parse(STDIN.read).map { |f| Dotenv::Parser.call(File.read(f)) })")
			if err == nil {
				err = json.Unmarshal(out, &got)
			}
			return got, err
		}
	}
	return goReader(t, family)
}

// The docker command reads the file itself and sends the variables to a daemon. The daemon here
// is this test.
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
	readBack(t, "docker", "docker", tried, names, func(files []string) ([]values, error) {
		for _, file := range files {
			cmd := exec.Command(docker, "create", "--env-file", file, "image")
			cmd.Env = append(os.Environ(), "DOCKER_HOST=tcp://"+strings.TrimPrefix(daemon.URL, "http://"),
				"DOCKER_CONFIG="+config, "DOCKER_CONTEXT=", "DOCKER_TLS_VERIFY=")
			if out, err := cmd.CombinedOutput(); err != nil {
				return nil, fmt.Errorf("%v: %s", err, out)
			}
		}
		return got, nil
	})
}

// systemd reads os-release with the parser of EnvironmentFile=. systemd-tmpfiles writes three of
// the fields of os-release into files, and needs no service manager for it.
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
	readBack(t, "systemd", "systemd", 150, []string{"ID", "VERSION_ID", "BUILD_ID"}, func(files []string) (got []values,
		err error) {
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(filepath.Join(root, "etc/os-release"), b, 0o600)
			}
			if err != nil {
				return nil, err
			}
			if out, err := exec.Command(tmpfiles, "--create", "--root="+root, rules).CombinedOutput(); err != nil &&
				len(got) == 0 {
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
				all[name] = strings.TrimPrefix(string(b), "v=")
			}
			got = append(got, all)
		}
		return got, nil
	})
}
