package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// options say what to release.
type options struct {
	root    string   // the repository
	version string   // with or without a v
	out     string   // the folder to make
	key     string   // for the signature; "" for none
	targets []target // what to build for
	env     []string // to build in; nil for that of this process
	log     io.Writer
}

// target is a system to build for.
type target struct{ os, arch string }

var allTargets = []target{{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"},
	{"windows", "amd64"}, {"windows", "arm64"}}

func parseTargets(list string) (targets []target, err error) {
	if list == "" {
		return allTargets, nil
	}
	for name := range strings.SplitSeq(list, ",") {
		goos, arch, _ := strings.Cut(name, "/")
		if t := (target{goos, arch}); slices.Contains(allTargets, t) {
			targets = append(targets, t)
		} else {
			return nil, fmt.Errorf("no such target: %q; there are %v", name, allTargets)
		}
	}
	return targets, nil
}

func (t target) String() string { return t.os + "/" + t.arch }

// exe is the name of a program's file.
func (t target) exe(program string) string {
	if t.os == "windows" {
		return program + ".exe"
	}
	return program
}

// programs are the programs of a release, and the folders of their packages.
var programs = []struct{ name, pkg string }{{"ass", "."}, {"ass-keyring", "./cmd/ass-keyring"},
	{"ass-mcp", "./cmd/ass-mcp"}, {"ass-ssh", "./cmd/ass-ssh"}}

// building is a release that is being made.
type building struct {
	options
	src    string // the clone
	work   string // for files that are not for anybody
	made   string // becomes out
	commit string
	time   time.Time         // of the commit; the time of every file
	bins   map[string]string // program/os/arch: the file
	docs   map[target][]file // the files beside the programs, sorted
	known  map[string]string // licences, by their modules
}

// file is a file of an archive.
type file struct {
	name    string // with slashes
	content []byte
	exec    bool
}

// versions have a form that Go, dpkg, rpm and apk can all put in order.
var versions = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(alpha|beta|rc)\.(0|[1-9]\d*))?$`)

// release makes a release, or nothing.
func release(o options) (err error) {
	b := &building{options: o, bins: map[string]string{}, docs: map[target][]file{},
		known: map[string]string{}}
	b.version = strings.TrimPrefix(o.version, "v")
	if !versions.MatchString(b.version) {
		return fmt.Errorf("%q is not a version such as 0.1.0 or 0.1.0-rc.1", o.version)
	}
	if err := replaceable(o.out); err != nil {
		return err
	}
	if b.work, err = os.MkdirTemp("", "release-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return err
	}
	if b.made, err = os.MkdirTemp(filepath.Dir(o.out), ".release-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.made)
	for _, step := range []func() error{b.clone, b.compile, b.document, b.archives, b.sbom, b.sums, b.sign} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := os.Chmod(b.made, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(o.out); err != nil {
		return err
	}
	if err := os.Rename(b.made, o.out); err != nil {
		return err
	}
	fmt.Fprintf(o.log, "ass %s, commit %.12s, is in %s\n", b.version, b.commit, o.out)
	return nil
}

const sumsFile = "SHA256SUMS"

// replaceable says no to a folder that has something else in it than a release.
func replaceable(dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(list) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, sumsFile)); err != nil {
		return fmt.Errorf("%s has files that are no release; name another folder: -out", dir)
	}
	return nil
}

// clone makes the clone to build from, whose only tag is the version's.
func (b *building) clone() error {
	dirty, err := output(b.root, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if dirty != "" {
		return fmt.Errorf("commit or undo these changes first: a release is a commit\n%s", dirty)
	}
	if b.commit, err = output(b.root, "git", "rev-parse", "HEAD"); err != nil {
		return err
	}
	tag := "v" + b.version
	if of, err := output(b.root, "git", "rev-parse", "--verify", "--quiet", "refs/tags/"+tag+"^{commit}"); err == nil &&
		of != b.commit {
		return fmt.Errorf("the tag %s is on commit %.12s, and %.12s is checked out", tag, of, b.commit)
	}
	b.src = filepath.Join(b.work, "src")
	if _, err := output("", "git", "clone", "--quiet", "--shared", "--no-tags", "--no-checkout", b.root,
		b.src); err != nil {
		return err
	}
	for _, args := range [][]string{{"-c", "core.autocrlf=false", "checkout", "--quiet", "--detach", b.commit},
		{"-c", "tag.gpgSign=false", "tag", "--no-sign", tag}} {
		if _, err := output(b.src, "git", args...); err != nil {
			return err
		}
	}
	seconds, err := output(b.src, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	if set := os.Getenv("SOURCE_DATE_EPOCH"); set != "" {
		seconds = set
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH is not a number of seconds")
	}
	b.time = time.Unix(unix, 0).UTC()
	return nil
}

// environ is the environment of the Go command for a target: without what changes programs.
func (b *building) environ(t target) []string {
	env := b.env
	if env == nil {
		env = os.Environ()
	}
	env = slices.DeleteFunc(slices.Clone(env), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return slices.Contains([]string{"GOEXPERIMENT", "GODEBUG", "GOFIPS140", "GOROOT_FINAL"}, name)
	})
	return append(env, "GOOS="+t.os, "GOARCH="+t.arch, "GOAMD64=v1", "GOARM64=v8.0", "CGO_ENABLED=0", "GOWORK=off",
		"GOFLAGS=-buildvcs=true")
}

// compile builds the programs, for this machine as well: that one prints its own manual.
func (b *building) compile() error {
	host := target{runtime.GOOS, runtime.GOARCH}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, t := range append(slices.Clone(b.targets), host) {
		for _, p := range programs {
			name := p.name + "/" + t.String()
			if b.bins[name] != "" || t == host && !slices.Contains(b.targets, t) && p.name != "ass" {
				continue
			}
			file := filepath.Join(b.work, "bin", t.os, t.arch, t.exe(p.name))
			b.bins[name] = file
			g.Go(func() error {
				// -s leaves out the symbols, and with them what -w would: a program with both has as many bytes.
				_, err := run(b.src, b.environ(t), "go", "build", "-trimpath", "-ldflags=-s", "-o", file, p.pkg)
				return err
			})
		}
	}
	return g.Wait()
}

// document makes the files that go with the programs.
func (b *building) document() error {
	ass := b.bins["ass/"+target{runtime.GOOS, runtime.GOARCH}.String()]
	home := filepath.Join(b.work, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	own := func(args ...string) ([]byte, error) {
		out, err := run(home, []string{"HOME=" + home, "USERPROFILE=" + home}, ass, args...)
		return []byte(out + "\n"), err
	}
	var list []file
	help, err := own("help", "--json")
	if err != nil {
		return err
	}
	pages, err := manPages(help, b.time)
	if err != nil {
		return err
	}
	for name, text := range pages {
		list = append(list, file{name: "man/man1/" + name, content: []byte(text)})
	}
	for shell, name := range map[string]string{"bash": "ass.bash", "zsh": "_ass", "fish": "ass.fish"} {
		script, err := own("completion", shell)
		if err != nil {
			return err
		}
		list = append(list, file{name: "completions/" + name, content: script})
	}
	docs, err := output(b.src, "git", "ls-files", "README.md", "CHANGELOG.md", "SECURITY.md", "LICENSE", "docs/*.md")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(docs) {
		content, err := os.ReadFile(filepath.Join(b.src, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		list = append(list, file{name: name, content: content})
	}
	for _, t := range b.targets {
		licences, err := b.licences(t)
		if err != nil {
			return err
		}
		b.docs[t] = append(slices.Clone(list), file{name: "LICENSES.txt", content: licences})
		slices.SortFunc(b.docs[t], func(x, y file) int { return strings.Compare(x.name, y.name) })
	}
	return nil
}

// create makes a file of the release.
func (b *building) create(name string, fill func(io.Writer) error) (err error) {
	f, err := os.OpenFile(filepath.Join(b.made, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := fill(f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// sums writes SHA256SUMS, as sha256sum -c reads it.
func (b *building) sums() error {
	list, err := os.ReadDir(b.made)
	if err != nil {
		return err
	}
	var text strings.Builder
	for _, f := range list {
		content, err := os.ReadFile(filepath.Join(b.made, f.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sha256.Sum256(content), f.Name())
	}
	return b.create(sumsFile, func(w io.Writer) error {
		_, err := io.WriteString(w, text.String())
		return err
	})
}

// sign signs SHA256SUMS, or says in a file that nobody did.
func (b *building) sign() error {
	if b.key == "" {
		const unsigned = "This release is not signed: SHA256SUMS shows that a download is whole, not who made it."
		fmt.Fprintln(b.log, unsigned, "Sign it with: -key FILE")
		return b.create("UNSIGNED", func(w io.Writer) error {
			_, err := fmt.Fprintln(w, unsigned)
			return err
		})
	}
	sums := filepath.Join(b.made, sumsFile)
	if _, err := output("", "ssh-keygen", "-Y", "sign", "-n", "file", "-f", b.key, sums); err != nil {
		return err
	}
	return os.Chmod(sums+".sig", 0o644)
}
