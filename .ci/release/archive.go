package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"io"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// archives makes an archive for each target, and packages for linux.
func (b *building) archives() error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, t := range b.targets {
		g.Go(func() error { return b.archive(t) })
		for _, p := range packagers {
			if t.os == "linux" {
				g.Go(func() error { return b.pack(t, p.name, p.zsh) })
			}
		}
	}
	return g.Wait()
}

// archive makes the archive for a target. Everything in it is in one folder, of its name.
func (b *building) archive(t target) error {
	var list []file
	for _, p := range programs {
		content, err := os.ReadFile(b.bins[p.name+"/"+t.String()])
		if err != nil {
			return err
		}
		list = append(list, file{t.exe(p.name), content, true})
	}
	list = append(list, b.docs[t]...)
	folder := "ass_" + b.version + "_" + t.os + "_" + t.arch
	name, write := folder+".tar.gz", b.tarGz
	if t.os == "windows" {
		name, write = folder+".zip", b.zip
	}
	return b.create(name, func(w io.Writer) error { return write(w, folder, list) })
}

// mode is that of a file in an archive.
func (f file) mode() int64 {
	if f.exec {
		return 0o755
	}
	return 0o644
}

// tarGz writes an archive whose bytes depend on its files alone: each file belongs to nobody in particular, and has the
// time of the commit, and the header of gzip has neither a name nor a time.
func (b *building) tarGz(w io.Writer, folder string, list []file) error {
	gz := gzip.NewWriter(w) // the best level takes three times as long, for three bytes of a thousand
	to := tar.NewWriter(gz)
	for _, f := range list {
		if err := to.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: folder + "/" + f.name, Mode: f.mode(),
			Size: int64(len(f.content)), ModTime: b.time, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		if _, err := to.Write(f.content); err != nil {
			return err
		}
	}
	if err := to.Close(); err != nil {
		return err
	}
	return gz.Close()
}

// zip is tarGz for Windows.
func (b *building) zip(w io.Writer, folder string, list []file) error {
	to := zip.NewWriter(w)
	for _, f := range list {
		h := &zip.FileHeader{Name: folder + "/" + f.name, Method: zip.Deflate, Modified: b.time}
		h.SetMode(os.FileMode(f.mode()))
		part, err := to.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := part.Write(f.content); err != nil {
			return err
		}
	}
	return to.Close()
}
