package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// The tests release the work tree, committed or not, once for all of them.

const testVersion = "0.1.0-rc.1"

var made struct {
	sync.Once
	dir, public string // the release, and the key that it is signed with
	err         error
}

func TestMain(m *testing.M) {
	os.Unsetenv("SOURCE_DATE_EPOCH")
	var err error
	if made.dir, err = os.MkdirTemp("", "released-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(made.dir)
	os.Exit(code)
}

// released returns the folder of a signed release for all targets.
func released(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("there is no ssh-keygen here")
	}
	made.Do(func() {
		key := filepath.Join(made.dir, "key")
		if _, made.err = output("", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key); made.err != nil {
			return
		}
		made.public = key + ".pub"
		root := filepath.Join(made.dir, "repository")
		if made.err = commitTree(root); made.err == nil {
			made.err = release(options{root: root, version: "v" + testVersion, out: filepath.Join(made.dir, "dist"), key: key,
				targets: allTargets, log: io.Discard})
		}
	})
	if made.err != nil {
		t.Fatal(made.err)
	}
	return filepath.Join(made.dir, "dist")
}

// commitTree makes a repository of the files of this one. Its commit is always the same one for the same files.
func commitTree(root string) error {
	list, err := output("../..", "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join("../..", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed, and not committed yet
		}
		if err != nil {
			return err
		}
		file := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, content, 0o644)); err != nil {
			return err
		}
	}
	env := append(os.Environ(), "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z",
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	for _, args := range [][]string{{"init", "--quiet"}, {"add", "--all", "--force"},
		{"-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "all"}} {
		if _, err := run(root, env, "git", args...); err != nil {
			return err
		}
	}
	return nil
}

const committed = 1767323045 // the date of commitTree, in seconds

// entry is a file of an archive, as it was read.
type entry struct {
	file
	header *tar.Header // nil in a zip
}

// readTar reads a tar.gz, or several that stand one behind the other, as in an apk.
func readTar(t *testing.T, content []byte) (list []entry) {
	t.Helper()
	r := bytes.NewReader(content)
	for r.Len() > 0 {
		gz, err := gzip.NewReader(r)
		if err != nil {
			t.Fatal(err)
		}
		gz.Multistream(false)
		part, err := io.ReadAll(gz)
		if err != nil {
			t.Fatal(err)
		}
		for from := tar.NewReader(bytes.NewReader(part)); ; {
			h, err := from.Next()
			if err != nil {
				break // the first parts of an apk have no end
			}
			b, err := io.ReadAll(from)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, entry{file{h.Name, b, h.Mode&0o111 != 0}, h})
		}
	}
	return list
}

func readZip(t *testing.T, content []byte) (list []entry) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		from, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(from)
		if err != nil {
			t.Fatal(err)
		}
		if f.Modified.Unix() != committed {
			t.Errorf("%s is of %v", f.Name, f.Modified)
		}
		list = append(list, entry{file{f.Name, b, f.Mode()&0o111 != 0}, nil})
	}
	return list
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// archive reads the archive for a target, without the name of its folder.
func archiveOf(t *testing.T, dir string, on target) (list []entry) {
	t.Helper()
	folder := "ass_" + testVersion + "_" + on.os + "_" + on.arch
	if on.os == "windows" {
		list = readZip(t, read(t, filepath.Join(dir, folder+".zip")))
	} else {
		list = readTar(t, read(t, filepath.Join(dir, folder+".tar.gz")))
	}
	for i := range list {
		name, within := strings.CutPrefix(list[i].name, folder+"/")
		if !within {
			t.Errorf("%s is not in the folder %s", list[i].name, folder)
		}
		list[i].name = name
	}
	return list
}

func find(list []entry, name string) *entry {
	if i := slices.IndexFunc(list, func(e entry) bool { return e.name == name }); i >= 0 {
		return &list[i]
	}
	return nil
}

// Each archive has the programs for its system, static and with their version, and what belongs to them. Nothing in it
// tells of the machine that made it.
func TestArchives(t *testing.T) {
	t.Parallel()
	if folders, err := filepath.Glob("../../cmd/*"); err != nil || len(folders) != len(programs)-1 {
		t.Errorf("these programs are not all there are: %v, %v", programs, folders)
	}
	dir := released(t)
	out, err := output("", "go", "env", "GOMODCACHE", "GOCACHE", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	places := append(strings.Fields(out), filepath.Join(os.TempDir(), "release"))
	for _, on := range allTargets {
		list := archiveOf(t, dir, on)
		for _, name := range []string{"README.md", "CHANGELOG.md", "LICENSE", "LICENSES.txt", "docs/commands.md",
			"completions/ass.bash", "completions/_ass", "completions/ass.fish", "man/man1/ass.1", "man/man1/ass-secrets-get.1"} {
			if e := find(list, name); e == nil || len(e.content) == 0 || e.exec {
				t.Errorf("%s: %s is not there, is empty, or can be executed", on, name)
			}
		}
		for _, p := range programs {
			e := find(list, on.exe(p.name))
			if e == nil || !e.exec {
				t.Errorf("%s: there is no program %s", on, p.name)
				continue
			}
			if arch := machine(t, e.content); arch != on {
				t.Errorf("%s: %s is for %s", on, p.name, arch)
			}
			for _, place := range places {
				if bytes.Contains(e.content, []byte(place)) {
					t.Errorf("%s: %s has a path of the machine that built it: %s", on, p.name, place)
				}
			}
			info, err := buildinfo.Read(bytes.NewReader(e.content))
			if err != nil || info.Main.Version != "v"+testVersion {
				t.Errorf("%s: %s says that it is %q, %v", on, p.name, info.Main.Version, err)
			}
		}
		if !slices.IsSortedFunc(list[len(programs):], func(a, b entry) int { return strings.Compare(a.name, b.name) }) {
			t.Errorf("%s: the files are not sorted", on)
		}
		for _, e := range list {
			if h := e.header; h != nil && (h.ModTime.Unix() != committed || h.Uid != 0 || h.Gid != 0 || h.Uname != "" ||
				h.Gname != "" || h.Mode != e.mode()) {
				t.Errorf("%s: %s is %+v", on, e.name, h)
			}
		}
		if on.os != "windows" {
			head := read(t, filepath.Join(dir, "ass_"+testVersion+"_"+on.os+"_"+on.arch+".tar.gz"))[:10]
			if head[3] != 0 || binary.LittleEndian.Uint32(head[4:]) != 0 {
				t.Errorf("%s: the header of gzip has a name or a time: %x", on, head)
			}
		}
	}
}

// machine returns the system that a program is for. It fails if the program needs libraries on linux.
func machine(t *testing.T, content []byte) target {
	t.Helper()
	r := bytes.NewReader(content)
	if f, err := elf.NewFile(r); err == nil {
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
				t.Error("a program needs libraries")
			}
		}
		return target{"linux", map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[f.Machine]}
	}
	if f, err := macho.NewFile(r); err == nil {
		return target{"darwin", map[macho.Cpu]string{macho.CpuAmd64: "amd64", macho.CpuArm64: "arm64"}[f.Cpu]}
	}
	f, err := pe.NewFile(r)
	if err != nil {
		t.Fatal(err)
	}
	return target{"windows", map[uint16]string{pe.IMAGE_FILE_MACHINE_AMD64: "amd64",
		pe.IMAGE_FILE_MACHINE_ARM64: "arm64"}[f.Machine]}
}

// The same commit gives the same bytes in another folder, with an empty cache of Go. Nobody signs this one, and it
// says so.
func TestReproducible(t *testing.T) {
	t.Parallel()
	dir := released(t)
	root := filepath.Join(t.TempDir(), "another folder", "repository")
	if err := commitTree(root); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "GOCACHE="+filepath.Join(t.TempDir(), "cache"),
		"GOFLAGS=-buildvcs=false -tags=netgo", "GOAMD64=v2") // which may change nothing
	var said strings.Builder
	out := filepath.Join(t.TempDir(), "new", "dist")
	if err := release(options{root: root, version: testVersion, out: out, targets: []target{{"linux", "amd64"}},
		env: env, log: &said}); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	for _, f := range list {
		if strings.Contains(f.Name(), "64") && f.Name() != sumsFile {
			same++
			if !bytes.Equal(read(t, filepath.Join(out, f.Name())), read(t, filepath.Join(dir, f.Name()))) {
				t.Errorf("%s has other bytes than the first time", f.Name())
			}
		}
	}
	if same != 4 {
		t.Errorf("%d files were compared: %v", same, list)
	}
	if _, err := os.Stat(filepath.Join(out, "UNSIGNED")); err != nil || !strings.Contains(said.String(), "not signed") {
		t.Errorf("nothing says that the release is unsigned: %v, %s", err, &said)
	}
	if _, err := os.Stat(filepath.Join(out, sumsFile+".sig")); err == nil {
		t.Error("an unsigned release has a signature")
	}
}

// The commands of CONTRIBUTING.md and the README verify a release, and find that one byte of it was changed.
func TestSignature(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(released(t))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "allowed_signers"), append([]byte("ass "), read(t, made.public)...),
		0o600); err != nil {
		t.Fatal(err)
	}
	readme := string(read(t, "../../README.md"))
	for _, line := range []string{"ssh-keygen -Y verify -f allowed_signers -I ass -n file -s SHA256SUMS.sig < SHA256SUMS",
		"sha256sum -c --ignore-missing SHA256SUMS"} {
		if !strings.Contains(readme, line+"\n") {
			t.Errorf("the README does not say: %s", line)
		}
		verify := func() error { _, err := run(dir, nil, "sh", "-c", line); return err }
		if err := verify(); err != nil {
			t.Error(err)
		}
		file := sumsFile
		if strings.Contains(line, "sha256sum") {
			file = "ass_" + testVersion + "_linux_arm64.tar.gz"
		}
		path := filepath.Join(dir, file)
		whole := read(t, path)
		changed := bytes.Clone(whole)
		changed[len(changed)/2] ^= 1
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		if verify() == nil {
			t.Errorf("%s finds nothing in a changed %s", line, file)
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "UNSIGNED")); err == nil {
		t.Error("a signed release says that it is unsigned")
	}
	sums := string(read(t, filepath.Join(dir, sumsFile)))
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		name := f.Name()
		if name != "allowed_signers" && !strings.HasPrefix(name, sumsFile) && !strings.Contains(sums, "  "+name+"\n") {
			t.Errorf("%s does not have %s", sumsFile, name)
		}
	}
}

// The SBOM names the modules that are in each program, and no others.
func TestSBOM(t *testing.T) {
	t.Parallel()
	dir := released(t)
	var bom cdx.BOM
	content := read(t, filepath.Join(dir, "ass_"+testVersion+".cdx.json"))
	if err := cdx.NewBOMDecoder(bytes.NewReader(content), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	has := map[string][]string{}
	for _, d := range *bom.Dependencies {
		has[d.Ref] = *d.Dependencies
	}
	refs := map[string]bool{}
	for _, c := range *bom.Components {
		refs[c.BOMRef] = true
	}
	for _, p := range programs {
		want := map[string]bool{}
		for _, on := range allTargets {
			info, err := buildinfo.Read(bytes.NewReader(find(archiveOf(t, dir, on), on.exe(p.name)).content))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range info.Deps {
				want["pkg:golang/"+m.Path+"@"+m.Version] = true
			}
			want["pkg:golang/std@"+strings.TrimPrefix(info.GoVersion, "go")] = true
		}
		if len(want) < 3 || len(has[p.name]) != len(want) {
			t.Errorf("%s: %d modules, want %d", p.name, len(has[p.name]), len(want))
		}
		for _, ref := range has[p.name] {
			if !want[ref] || !refs[ref] {
				t.Errorf("%s: %s is not in the program, or is no component", p.name, ref)
			}
		}
	}
	if slices.Contains(has["ass"], "pkg:golang/github.com/modelcontextprotocol/go-sdk@v1.8.0") {
		t.Error("ass has the SDK of ass-mcp")
	}
}

// installedFiles is what every package puts where, with the folder of zsh's completions.
func installedFiles(t *testing.T, dir string, arch, zsh string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, e := range archiveOf(t, dir, target{"linux", arch}) {
		place := "/usr/share/doc/ass/" + e.name
		switch {
		case e.exec:
			place = "/usr/bin/" + e.name
		case strings.HasPrefix(e.name, "man/"):
			place = "/usr/share/" + e.name + ".gz"
		case e.name == "completions/ass.bash":
			place = "/usr/share/bash-completion/completions/ass"
		case e.name == "completions/_ass":
			place = zsh + "/_ass"
		case e.name == "completions/ass.fish":
			place = "/usr/share/fish/vendor_completions.d/ass.fish"
		case e.name == "LICENSE":
			place = "/usr/share/doc/ass/copyright"
		}
		files[place] = e.content
	}
	return files
}

// sameFiles compares what a package puts below a folder.
func sameFiles(t *testing.T, root string, want map[string][]byte) {
	t.Helper()
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(root, name))
		if strings.HasSuffix(name, ".gz") && err == nil {
			gz, err := gzip.NewReader(bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			if got, err = io.ReadAll(gz); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s is not that of the archive: %v", name, err)
		}
	}
}

func sameNames(t *testing.T, of string, got []string, want map[string][]byte) {
	t.Helper()
	for _, name := range got {
		if want[name] == nil {
			t.Errorf("%s has %s, which is not in the archive", of, name)
		}
	}
	for name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s does not have %s", of, name)
		}
	}
}

// A Debian package can be installed, does what it says, and goes without a trace. It goes into a folder of its own,
// which dpkg takes for the whole system.
func TestDeb(t *testing.T) {
	t.Parallel()
	dir := released(t)
	if _, err := exec.LookPath("dpkg"); err != nil {
		t.Skip("there is no dpkg here")
	}
	if os.Getuid() != 0 {
		t.Skip("root alone can install packages")
	}
	arch, err := output("", "dpkg", "--print-architecture")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, name := range []string{"info", "updates", "triggers"} {
		if err := os.MkdirAll(filepath.Join(root, "var/lib/dpkg", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"status", "available"} {
		if err := os.WriteFile(filepath.Join(root, "var/lib/dpkg", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	version := strings.Replace(testVersion, "-", "~", 1)
	pkg := filepath.Join(dir, "ass_"+version+"_"+arch+".deb")
	if _, err := output("", "dpkg", "--root="+root, "--log="+os.DevNull, "-i", pkg); err != nil {
		t.Fatal(err)
	}
	want := installedFiles(t, dir, arch, "/usr/share/zsh/vendor-completions")
	sameFiles(t, root, want)
	out, err := output("", filepath.Join(root, "usr/bin/ass"), "version")
	if err != nil || !strings.HasPrefix(out, "ass v"+testVersion+"\n") {
		t.Errorf("ass version says %s, %v", out, err)
	}
	list, err := output("", "dpkg", "--root="+root, "-L", "ass")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name := range strings.FieldsSeq(list) {
		if info, err := os.Stat(filepath.Join(root, name)); err == nil && !info.IsDir() {
			names = append(names, name)
		}
	}
	sameNames(t, "the package", names, want)
	if _, err := output("", "dpkg", "--root="+root, "--log="+os.DevNull, "-P", "ass"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "usr")); err == nil {
		t.Error("files are left after the package was removed")
	}
}

// An RPM has the same files, and unpacks.
func TestRPM(t *testing.T) {
	t.Parallel()
	dir := released(t)
	for _, name := range []string{"rpm", "rpm2cpio", "cpio"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("there is no %s here", name)
		}
	}
	for on, arch := range map[string]string{"amd64": "x86_64", "arm64": "aarch64"} {
		pkg := filepath.Join(dir, "ass-"+strings.Replace(testVersion, "-", "~", 1)+"-1."+arch+".rpm")
		want := installedFiles(t, dir, on, "/usr/share/zsh/site-functions")
		list, err := output("", "rpm", "-qpl", pkg)
		if err != nil {
			t.Fatal(err)
		}
		sameNames(t, arch, strings.Fields(list), want)
		if out, err := output("", "rpm", "-K", "--nosignature", pkg); err != nil {
			t.Errorf("%v %s", err, out)
		}
		root := t.TempDir()
		if _, err := output(root, "sh", "-c", `rpm2cpio "$0" | cpio -id --quiet`, pkg); err != nil {
			t.Fatal(err)
		}
		sameFiles(t, root, want)
	}
}

// A package of Alpine has the same files.
func TestAPK(t *testing.T) {
	t.Parallel()
	dir := released(t)
	for on, arch := range map[string]string{"amd64": "x86_64", "arm64": "aarch64"} {
		pkg := filepath.Join(dir, "ass_"+strings.Replace(testVersion, "-rc.", "_rc", 1)+"_"+arch+".apk")
		want := installedFiles(t, dir, on, "/usr/share/zsh/site-functions")
		var names []string
		for _, e := range readTar(t, read(t, pkg)) {
			if e.name == ".PKGINFO" && !strings.Contains(string(e.content), "\npkgver = 0.1.0_rc1\n") {
				t.Errorf("%s: apk cannot put this version in order: %s", arch, e.content)
			}
			if e.header.Typeflag == tar.TypeReg && !strings.HasPrefix(e.name, ".") {
				names = append(names, "/"+e.name)
			}
		}
		sameNames(t, arch, names, want)
	}
}

// Somebody without Go, in an empty HOME, has a first secret by the lines of the README, in less than a minute.
func TestNewcomer(t *testing.T) {
	t.Parallel()
	dir := released(t)
	block := regexp.MustCompile("(?s)```sh\n(tar .*?)```").FindSubmatch(read(t, "../../README.md"))
	if block == nil {
		t.Fatal("the README does not say how to begin with an archive")
	}
	home, bin := t.TempDir(), t.TempDir()
	for _, name := range []string{"tar", "gzip"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("there is no %s here", name)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	arch, err := output("", "go", "env", "GOARCH")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.NewReplacer("VERSION", testVersion, "linux_amd64", "linux_"+arch).Replace(string(block[1]))
	name := "ass_" + testVersion + "_linux_" + arch + ".tar.gz"
	if err := os.WriteFile(filepath.Join(home, name), read(t, filepath.Join(dir, name)), 0o600); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	out, err := run(home, []string{"HOME=" + home, "PATH=" + bin}, "/bin/sh", "-ec", lines)
	if err != nil || !strings.HasSuffix(out, "\nmy first secret") {
		t.Errorf("%s\n%v\n%s", lines, err, out)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	for _, place := range places[:3] {
		if _, err := os.Stat(filepath.Join(home, strings.TrimPrefix(place[0], "~/"))); err != nil {
			t.Errorf("ass(1) names a file that is not there: %v", err)
		}
	}
}

// A commit that cannot be a release is refused, and nothing is left behind.
func TestRefused(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "repository")
	if err := commitTree(root); err != nil {
		t.Fatal(err)
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := run(root, append(os.Environ(), "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b", "GIT_AUTHOR_NAME=a",
		"GIT_AUTHOR_EMAIL=a@b"), "sh", "-c", "git tag v1.0.0 && git commit --quiet --allow-empty -m next"); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "dist")
	refused := func(o options, says string) {
		t.Helper()
		o.root, o.log, o.targets = root, io.Discard, allTargets
		if err := release(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", o, err, says)
		}
		if list, _ := os.ReadDir(filepath.Dir(o.out)); len(list) > 1 {
			t.Errorf("files are left: %v", list)
		}
	}
	for _, version := range []string{"", "1", "1.2", "01.2.3", "1.2.3+meta", "1.2.3;", "latest", "../1.2.3",
		"1.2.3-nightly", "1.2.3-rc1"} {
		refused(options{version: version, out: out}, "is not a version")
	}
	refused(options{version: "1.0.0", out: out}, "the tag v1.0.0 is on commit")
	if err := release(options{root: root, version: "1.0.1", out: full, log: io.Discard}); err == nil ||
		!strings.Contains(err.Error(), "no release") {
		t.Errorf("a folder with other files: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "new.go"), []byte("package main\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(options{version: "1.0.1", out: out}, "new.go")
	for _, list := range []string{"linux", "plan9/amd64", "linux/amd64,"} {
		if _, err := parseTargets(list); err == nil {
			t.Errorf("there is a target %q", list)
		}
	}
}
