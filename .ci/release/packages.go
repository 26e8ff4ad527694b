package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/apk"
	_ "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// packagers are the forms of packages, and where zsh looks for completions on the systems that use them.
var packagers = []struct{ name, zsh string }{
	{"deb", "/usr/share/zsh/vendor-completions"},
	{"rpm", "/usr/share/zsh/site-functions"},
	{"apk", "/usr/share/zsh/site-functions"},
}

// pack makes a package for a linux target.
func (b *building) pack(t target, form, zsh string) error {
	contents, err := b.installed(t, zsh)
	if err != nil {
		return err
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "ass", Arch: t.arch, Platform: "linux", Version: b.version, Section: "utils", Priority: "optional",
		Maintainer:  "The ass authors",
		Description: "Offline Agent Secret Store\nEncrypted secrets in one file, scoped keys for agents, and an audit log.",
		License:     "MIT", MTime: b.time,
		Overridables: nfpm.Overridables{Contents: contents,
			RPM: nfpm.RPM{BuildHost: "localhost", Summary: "Offline Agent Secret Store"}},
	})
	if form == "apk" {
		info.Prerelease = strings.ReplaceAll(info.Prerelease, ".", "") // rc1: apk takes a dot for a mistake
	}
	if err := nfpm.PrepareForPackager(info, form); err != nil {
		return err
	}
	packager, err := nfpm.Get(form)
	if err != nil {
		return err
	}
	return b.create(packager.ConventionalFileName(info), func(w io.Writer) error { return packager.Package(info, w) })
}

// installed lists the files of a package, by where they come to lie.
func (b *building) installed(t target, zsh string) (list files.Contents, err error) {
	dir, err := os.MkdirTemp(b.work, "package-")
	if err != nil {
		return nil, err
	}
	add := func(source, destination string, mode os.FileMode) {
		list = append(list, &files.Content{Source: source, Destination: destination,
			FileInfo: &files.ContentFileInfo{Mode: mode, MTime: b.time, Owner: "root", Group: "root"}})
	}
	for _, p := range programs {
		add(b.bins[p.name+"/"+t.String()], "/usr/bin/"+p.name, 0o755)
	}
	for i, f := range b.docs[t] {
		content, place := f.content, "/usr/share/doc/ass/"+f.name
		switch page, isPage := strings.CutPrefix(f.name, "man/"); {
		case isPage:
			place = "/usr/share/man/" + page + ".gz"
			if content, err = gzipped(content); err != nil {
				return nil, err
			}
		case f.name == "completions/ass.bash":
			place = "/usr/share/bash-completion/completions/ass"
		case f.name == "completions/_ass":
			place = zsh + "/_ass"
		case f.name == "completions/ass.fish":
			place = "/usr/share/fish/vendor_completions.d/ass.fish"
		case f.name == "LICENSE":
			place = "/usr/share/doc/ass/copyright"
		}
		source := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(source, content, 0o644); err != nil {
			return nil, err
		}
		add(source, place, 0o644)
	}
	return list, nil
}

func gzipped(content []byte) ([]byte, error) {
	var b bytes.Buffer
	gz, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := gz.Write(content); err != nil {
		return nil, err
	}
	if err := gz.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
