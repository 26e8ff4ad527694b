package commands

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ass/commands/internal/stores"
	"ass/tokens"
)

// writeCopy returns the text of a copy for another store.
func writeCopy(t testing.TB, format string, list []variable) (string, error) {
	t.Helper()
	f, err := exportFormatNamed(format)
	if err != nil {
		t.Fatal(err)
	}
	if f.manifest {
		ns, err := tokens.ParseNamespace("prod/app")
		if err != nil {
			t.Fatal(err)
		}
		f.join = secretManifest(ns)
	}
	return f.write(list)
}

// copyReaders read the copies back: a manifest as ass import does, tfvars as JSON, and what gh
// gets as a .env file. The real reader of gh is in TestRealGh.
var copyReaders = map[string]func(string) (values, error){
	"kubernetes": func(text string) (values, error) {
		f, _ := stores.Named("kubernetes")
		c, err := f.Read(stores.Source{Bytes: []byte(text)})
		if err != nil {
			return nil, err
		}
		got := values{}
		for _, i := range c.Items {
			if name := i.FullName(); strings.HasPrefix(name, "prod-app/") {
				got[strings.TrimPrefix(name, "prod-app/")] = string(i.Value)
			}
		}
		return got, nil
	},
	"tfvars": func(text string) (values, error) { return importEnv("json", text) },
	"gh":     func(text string) (values, error) { return importEnv("dotenv", text) },
}

func TestCopiesRoundTrip(t *testing.T) {
	for format, read := range copyReaders {
		carried := 0
		for _, value := range nastyValues(tried) {
			list := []variable{{name: "A", value: []byte("first")}, {name: "yes", value: []byte(value)}, {name: "Z", value: []byte("1234")}}
			text, err := writeCopy(t, format, list)
			if err != nil {
				if format == "kubernetes" {
					t.Errorf("%q: %v", value, err)
				}
				continue
			}
			carried++
			want := values{"A": "first", "yes": value, "Z": "1234"}
			if got, err := read(text); err != nil || !maps.Equal(got, want) {
				t.Errorf("%s: %q became %q, and then %q: %v", format, value, text, got, err)
			}
		}
		if carried < tried/2 {
			t.Errorf("%s carries %d of %d values", format, carried, tried)
		}
	}
}

func FuzzCopies(f *testing.F) {
	for _, s := range nasty {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		for format, read := range copyReaders {
			text, err := writeCopy(t, format, []variable{{name: "A", value: value}})
			if err != nil {
				continue
			}
			if got, err := read(text); err != nil || got["A"] != string(value) {
				t.Errorf("%s: %q became %q, and then %q: %v", format, value, text, got, err)
			}
		}
	})
}

// gh reads with godotenv.
func TestRealGh(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes more than half a second")
	}
	read := goReader(t, "godotenv")
	f, err := exportFormatNamed("gh")
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	var want []values
	dir := t.TempDir()
	refused := 0
	for i, value := range nastyValues(tried) {
		list := []variable{{name: "A_1", value: []byte("first")}, {name: "MIDDLE", value: []byte(value)}, {name: "_z", value: []byte("last one")}}
		text, err := f.write(list)
		if err != nil {
			refused++
			continue
		}
		file := filepath.Join(dir, strings.Repeat("x", i%7)+string(rune('a'+i%26))+plural(i, "file"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		files, want = append(files, file), append(want, values{"A_1": "first", "MIDDLE": value, "_z": "last one"})
	}
	got, err := read(files)
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		if !maps.Equal(got[i], want[i]) {
			b, _ := os.ReadFile(files[i])
			t.Errorf("it reads %q, not %q, in %q", got[i], want[i], b)
		}
	}
	t.Logf("| gh (godotenv 1.5.1) | `gh` | %d | %d | %d |", tried, len(files), refused)
}

func TestCopiesRefuse(t *testing.T) {
	for _, r := range []struct {
		format, name string
		value        []byte
		want         string
	}{
		{"gh", "A", []byte("a\r\nb"), "the format gh cannot carry the value of A: it has a carriage return"},
		{"gh", "A", []byte("it's \"$X\""), "gh has no escapes for its quotes and backslashes"},
		{"gh", "GITHUB_TOKEN", []byte("x"), "GitHub keeps names that begin with GITHUB_ for itself"},
		{"gh", "A", bytes.Repeat([]byte("x"), 48<<10+1), "it is larger than 48.0 KiB, the most that GitHub keeps"},
		{"gh", "A", []byte("a\x00"), "it has a zero byte"},
		{"tfvars", "A", []byte("\xff"), "it is not text (UTF-8)"},
		{"kubernetes", "A", bytes.Repeat([]byte("x"), 1<<20+1), "the values are larger than 1.0 MiB together, the most that the format kubernetes takes"},
	} {
		_, err := writeCopy(t, r.format, []variable{{name: r.name, value: r.value}})
		if err == nil || !strings.Contains(err.Error(), r.want) {
			t.Errorf("%s, %s: %v, want %q", r.format, r.name, err, r.want)
		}
	}
	for name, want := range map[string]bool{"a": true, "_a-b": true, "A1": true, "1a": false, "a.b": false, "": false, "-a": false} {
		if isTerraformName(name) != want {
			t.Errorf("%q is a name of terraform: %t", name, !want)
		}
	}
	for ns, want := range map[string]string{"prod/app": "prod-app", "Prod/My_App.v2": "prod-my-app.v2", "-": "secrets", "-a.-b-": "a.b", "a..b": "a.b",
		strings.Repeat("a/", 200) + "b": "", strings.Repeat("abcdefgh/", 14) + strings.Repeat("b", 127) + "/" + strings.Repeat("c", 127): ""} {
		parsed, err := tokens.ParseNamespace(ns)
		if err != nil {
			continue
		}
		got := objectName(parsed)
		if want != "" && got != want || len(got) > 253 || strings.Trim(got, "-.") != got {
			t.Errorf("%q becomes %q, want %q", ns, got, want)
		}
	}
}
