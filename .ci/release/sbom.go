package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// modules returns the modules that a program is built from, by their paths, as it says itself. The standard library is
// one, at the version of Go.
func (b *building) modules(program string, targets ...target) (map[string]debug.Module, error) {
	found := map[string]debug.Module{}
	for _, t := range targets {
		info, err := buildinfo.ReadFile(b.bins[program+"/"+t.String()])
		if err != nil {
			return nil, err
		}
		if want := "v" + b.version; info.Main.Version != want {
			return nil, fmt.Errorf("go stamped %s as %q, and not as %s", program, info.Main.Version, want)
		}
		for _, m := range info.Deps {
			if m.Replace != nil {
				return nil, fmt.Errorf("go.mod replaces %s", m.Path)
			}
			found[m.Path] = *m
		}
		found["std"] = debug.Module{Path: "std", Version: strings.TrimPrefix(info.GoVersion, "go")}
	}
	return found, nil
}

// sbom writes a list of the parts of the programs: an SBOM of CycloneDX, read out of the programs themselves.
func (b *building) sbom() error {
	name := "ass_" + b.version + ".cdx.json"
	licence := cdx.Licenses{{License: &cdx.License{ID: "MIT"}}}
	bom := cdx.NewBOM()
	bom.SerialNumber = "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceURL, []byte(b.commit+" "+b.version)).String()
	bom.Metadata = &cdx.Metadata{Timestamp: b.time.Format(time.RFC3339), Component: &cdx.Component{
		BOMRef: "release", Type: cdx.ComponentTypeApplication, Name: "ass", Version: b.version, Licenses: &licence,
		Properties: &[]cdx.Property{{Name: "commit", Value: b.commit}}}}
	all, parts := map[string]debug.Module{}, []string{}
	var components []cdx.Component
	var dependencies []cdx.Dependency
	for _, p := range programs {
		mods, err := b.modules(p.name, b.targets...)
		if err != nil {
			return err
		}
		var refs []string
		for _, path := range slices.Sorted(maps.Keys(mods)) {
			all[path] = mods[path]
			refs = append(refs, purl(mods[path]))
		}
		components = append(components, cdx.Component{BOMRef: p.name, Type: cdx.ComponentTypeApplication, Name: p.name,
			Version: b.version, Licenses: &licence})
		dependencies = append(dependencies, cdx.Dependency{Ref: p.name, Dependencies: &refs})
		parts = append(parts, p.name)
	}
	dependencies = append(dependencies, cdx.Dependency{Ref: "release", Dependencies: &parts})
	for _, path := range slices.Sorted(maps.Keys(all)) {
		m := all[path]
		c := cdx.Component{BOMRef: purl(m), Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version,
			PackageURL: purl(m)}
		if m.Sum != "" {
			c.Properties = &[]cdx.Property{{Name: "go.sum", Value: m.Sum}}
		}
		components = append(components, c)
	}
	bom.Components, bom.Dependencies = &components, &dependencies
	return b.create(name, func(w io.Writer) error {
		return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cdx.SpecVersion1_6)
	})
}

func purl(m debug.Module) string { return "pkg:golang/" + m.Path + "@" + m.Version }

// licences returns the licences of everything that is in the programs for a target: they want to go with it.
func (b *building) licences(t target) ([]byte, error) {
	all := map[string]debug.Module{}
	for _, p := range programs {
		mods, err := b.modules(p.name, t)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, mods)
	}
	var text strings.Builder
	text.WriteString("The programs contain parts of these modules.\n")
	for _, path := range slices.Sorted(maps.Keys(all)) {
		of, err := b.licence(all[path])
		if err != nil {
			return nil, err
		}
		text.WriteString(of)
	}
	return []byte(text.String()), nil
}

// licence returns the licences of a module.
func (b *building) licence(m debug.Module) (string, error) {
	title := m.Path + " " + m.Version
	if m.Path == "std" {
		title = "the standard library of Go " + m.Version
	}
	if text := b.known[title]; text != "" {
		return text, nil
	}
	dir, err := b.moduleDir(m)
	if err != nil {
		return "", err
	}
	found, err := licenceFiles(dir)
	if err != nil {
		return "", fmt.Errorf("%s: %w", title, err)
	}
	var text strings.Builder
	for _, name := range found {
		content, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&text, "\n%s\n%s: %s\n\n%s\n", strings.Repeat("=", 80), title, filepath.Base(name),
			strings.TrimSpace(strings.ReplaceAll(string(content), "\r\n", "\n")))
	}
	b.known[title] = text.String()
	return text.String(), nil
}

// moduleDir returns the folder of a module: in the cache of Go, or where Go itself is.
func (b *building) moduleDir(m debug.Module) (string, error) {
	if m.Path == "std" {
		return output(b.src, "go", "env", "GOROOT")
	}
	out, err := output(b.src, "go", "mod", "download", "-json", m.Path+"@"+m.Version)
	if err != nil {
		return "", err
	}
	var at struct{ Dir string }
	err = json.Unmarshal([]byte(out), &at)
	return at.Dir, err
}

// licenceFiles lists the files of a folder that are licences.
func licenceFiles(dir string) (found []string, err error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range list {
		name, _, _ := strings.Cut(strings.ToUpper(f.Name()), ".")
		if !f.IsDir() && slices.Contains([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"}, name) {
			found = append(found, filepath.Join(dir, f.Name()))
		}
	}
	if len(found) == 0 {
		return nil, errors.New("it has no licence")
	}
	return found, nil
}
