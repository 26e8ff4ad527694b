// Release builds what people install: programs, archives and packages for every system, with manual pages, completions,
// licences, a list of their parts (SBOM), checksums and a signature.
//
//	go -C .ci/release run . -version 0.1.0 -key ~/.ssh/release
//
// It builds the commit that is checked out, from a clone of it that has the tag v0.1.0. So Go stamps the version and
// the commit into the programs, as it does for go install at that tag, and leaves out changes that are in no commit.
// The same commit, version and Go give the same bytes, whatever the folder, the machine and the hour.
//
// It is a module of its own, so that ass needs none of what makes packages.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	o := options{log: os.Stderr}
	flag.StringVar(&o.version, "version", "", "version to release, such as 0.1.0 or 0.1.0-rc.1")
	flag.StringVar(&o.out, "out", "dist",
		"folder to make; a relative one is in the repository. A release in it is replaced")
	flag.StringVar(&o.key, "key", os.Getenv("ASS_RELEASE_KEY"),
		"file with the SSH key to sign with, or with its public half if an agent has it ($ASS_RELEASE_KEY)")
	only := flag.String("target", "", "systems to build for, such as linux/amd64,darwin/arm64; all if omitted")
	flag.Parse()
	if err := func() (err error) {
		if flag.NArg() > 0 || o.version == "" {
			flag.Usage()
			return fmt.Errorf("name the version: -version 0.1.0")
		}
		if o.targets, err = parseTargets(*only); err != nil {
			return err
		}
		if o.root, err = output("", "git", "rev-parse", "--show-toplevel"); err != nil {
			return err
		}
		if !filepath.IsAbs(o.out) {
			o.out = filepath.Join(o.root, o.out)
		}
		return release(o)
	}(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// output runs a program in a folder, and returns what it prints, without the newline at its end. The error has what it
// says about what went wrong.
func output(dir, name string, args ...string) (string, error) { return run(dir, nil, name, args...) }

// run is output, with an environment; nil for that of this process.
func run(dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var said strings.Builder
	cmd.Dir, cmd.Env, cmd.Stderr = dir, env, &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
