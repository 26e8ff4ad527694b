package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"ass/e2e/world"
)

// workflow is what these tests look at in a file of .github/workflows.
type workflow struct {
	On          any
	Permissions map[string]string
	Jobs        map[string]struct {
		RunsOn      string `yaml:"runs-on"`
		Uses        string
		Timeout     int `yaml:"timeout-minutes"`
		Permissions map[string]string
		Container   struct{ Image string }
		Steps       []struct {
			Uses, Run string
			With      map[string]any
		}
	}
}

func workflows(t *testing.T) (parsed map[string]workflow, texts map[string]string) {
	t.Helper()
	files, err := filepath.Glob(fromRoot(".github/workflows/*"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	parsed, texts = map[string]workflow{}, map[string]string{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var w workflow
		if err := yaml.Unmarshal(b, &w); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		parsed[filepath.Base(file)], texts[filepath.Base(file)] = w, string(b)
	}
	return parsed, texts
}

// Nobody can change what a workflow runs but by a commit here: an action is named by its whole commit, with the version
// for people in a comment. A tag can be moved.
func TestActionsArePinned(t *testing.T) {
	parsed, texts := workflows(t)
	pinned := regexp.MustCompile(`^[\w-]+/[\w/-]+@[0-9a-f]{40}$`)
	for name, w := range parsed {
		var uses []string
		for _, job := range w.Jobs {
			if job.Uses != "" {
				uses = append(uses, job.Uses)
			}
			for _, step := range job.Steps {
				if step.Uses != "" {
					uses = append(uses, step.Uses)
				}
			}
		}
		for _, use := range uses {
			if path, here := strings.CutPrefix(use, "./"); here {
				if _, err := os.Stat(fromRoot(path)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			line := regexp.MustCompile(`uses: ` + regexp.QuoteMeta(use) + ` # v\d+\.\d+\.\d+\n`)
			if !pinned.MatchString(use) || !line.MatchString(texts[name]) {
				t.Errorf("%s uses %s, which is not pinned to a commit with its version in a comment", name, use)
			}
		}
		if n := strings.Count(texts[name], "uses: "); n != len(uses) || n == 0 {
			t.Errorf("%s has %d lines with uses, and %d were looked at", name, n, len(uses))
		}
	}
}

// A job may read the repository, and the one that publishes may write a release.
func TestWorkflowsMayDoLittle(t *testing.T) {
	parsed, _ := workflows(t)
	for name, w := range parsed {
		if len(w.Permissions) != 1 || w.Permissions["contents"] != "read" {
			t.Errorf("%s may do %v", name, w.Permissions)
		}
		for id, job := range w.Jobs {
			publishes := name == "release.yml" && id == "release"
			if may := job.Permissions; len(may) > 0 && !(publishes && len(may) == 1 && may["contents"] == "write") {
				t.Errorf("%s: job %s may do %v", name, id, may)
			}
			if job.Uses == "" && job.Timeout == 0 {
				t.Errorf("%s: job %s may run for ever", name, id)
			}
			for _, step := range job.Steps {
				if strings.Contains(step.Run, "${{") {
					t.Errorf("%s: job %s puts an expression into a shell: %s", name, id, step.Run)
				}
				if strings.HasPrefix(step.Uses, "actions/checkout@") && step.With["persist-credentials"] != false {
					t.Errorf("%s: job %s leaves the token in the clone", name, id)
				}
			}
		}
	}
}

// The commands of the workflows are there, and run with the Go of go.mod.
func TestWorkflowsRunWhatIsThere(t *testing.T) {
	parsed, _ := workflows(t)
	mod, err := os.ReadFile(fromRoot("go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	goVersion := string(regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)[1])
	path := regexp.MustCompile(`(?:^|[\s"'])(\.ci/[\w./-]+|CHANGELOG\.md)`)
	runs := map[string]int{}
	for name, w := range parsed {
		for id, job := range w.Jobs {
			if image := job.Container.Image; image != "" && !strings.HasPrefix(image, "golang:"+goVersion+"-") {
				t.Errorf("%s: job %s runs in %s, and go.mod needs Go %s", name, id, image, goVersion)
			}
			for _, step := range job.Steps {
				if version, given := step.With["go-version"]; given && version != goVersion {
					t.Errorf("%s: job %s has Go %v, and go.mod needs %s", name, id, version, goVersion)
				}
				for _, m := range path.FindAllStringSubmatch(step.Run, -1) {
					runs[m[1]]++
					if _, err := os.Stat(fromRoot(m[1])); err != nil {
						t.Errorf("%s: job %s: %v", name, id, err)
					}
				}
			}
		}
	}
	for file, least := range map[string]int{".ci/run": 2, ".ci/Dockerfile": 1, ".ci/release": 1, "CHANGELOG.md": 1} {
		if runs[file] < least {
			t.Errorf("the workflows run %s %d times", file, runs[file])
		}
	}
}

// The forms for issues are of the shape that GitHub reads, and each says that no secret belongs there.
func TestIssueForms(t *testing.T) {
	files, err := filepath.Glob(fromRoot(".github/ISSUE_TEMPLATE/*.yml"))
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Base(file) == "config.yml" {
			var config struct {
				Blank *bool `yaml:"blank_issues_enabled"`
			}
			if err := yaml.Unmarshal(b, &config); err != nil || config.Blank == nil || *config.Blank {
				t.Errorf("%s lets in issues without a form: %v", file, err)
			}
			continue
		}
		var form struct {
			Name, Description string
			Labels            []string
			Body              []struct {
				Type, ID   string
				Attributes struct {
					Label, Value, Description, Placeholder, Render string
					Options                                        []struct {
						Label    string
						Required bool
					}
				}
				Validations struct{ Required bool }
			}
		}
		decoder := yaml.NewDecoder(bytes.NewReader(b))
		decoder.KnownFields(true)
		if err := decoder.Decode(&form); err != nil || form.Name == "" || form.Description == "" || len(form.Labels) != 1 {
			t.Errorf("%s: %v: %+v", file, err, form)
		}
		ids := map[string]bool{"": true}
		confirmed := false
		for _, part := range form.Body {
			switch {
			case part.Type == "markdown" && part.Attributes.Value != "":
				continue
			case ids[part.ID] || part.Attributes.Label == "":
				t.Errorf("%s has a part with the id %q and the label %q", file, part.ID, part.Attributes.Label)
			case part.Type == "checkboxes":
				confirmed = len(part.Attributes.Options) == 1 && part.Attributes.Options[0].Required
			case part.Type != "textarea" && part.Type != "input":
				t.Errorf("%s has a part of type %q", file, part.Type)
			}
			ids[part.ID] = true
		}
		if !confirmed || !strings.Contains(string(b), "Never paste a secret") || !ids["version"] {
			t.Errorf("%s does not ask for ass version, or does not say that it must have no secret", file)
		}
	}
}

// The last step of a release takes its notes from the changelog, and fails if there are none.
func TestReleaseNotes(t *testing.T) {
	if program := world.Missing("bash", "awk"); program != "" {
		t.Skipf("there is no %s", program)
	}
	parsed, _ := workflows(t)
	steps := parsed["release.yml"].Jobs["release"].Steps
	script := steps[len(steps)-1].Run
	bin := t.TempDir()
	const gh = "#!/bin/sh\necho \"$@\"\n"
	if err := os.WriteFile(filepath.Join(bin, "gh"), []byte(gh), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ tag, says, notes string }{
		{"v0.6.0", "release create v0.6.0 --verify-tag --title ass 0.6.0 ", "**A person hears of requests.**"},
		{"v9.0.0-rc.1", " --prerelease ", "### Added"},
		{"v9.0.0", "CHANGELOG.md has no section for 9.0.0", ""},
		{"v0.6", "CHANGELOG.md has no section for 0.6", ""},
	} {
		temp := t.TempDir()
		cmd := exec.Command("bash", "-e", "-c", script)
		cmd.Dir = fromRoot(".")
		cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "GITHUB_REF_NAME="+c.tag,
			"RUNNER_TEMP="+temp)
		out, err := cmd.CombinedOutput()
		if !strings.Contains(string(out), c.says) || (err == nil) != (c.notes != "") {
			t.Errorf("%s: %v\n%s", c.tag, err, out)
		}
		notes, _ := os.ReadFile(filepath.Join(temp, "notes.md"))
		if !strings.Contains(string(notes), c.notes) || strings.Contains(string(notes), "\n## ") {
			t.Errorf("the notes of %s are:\n%s", c.tag, notes)
		}
	}
}
