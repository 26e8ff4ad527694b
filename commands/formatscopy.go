package commands

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ass/commands/internal/process"
	"ass/tokens"
	"ass/vault/disk"
)

// The formats of env export that make a copy for another store. Such a copy is out of
// reach: nobody logs who reads it there, and no revocation takes it back.

var copyFormats = []envFormat{
	{name: "kubernetes", takes: isName, line: secretMember, zeros: true, notText: true, most: 1 << 20, manifest: true,
		back: "ass import kubernetes FILE",
		warn: "the manifest has the values in clear, as base64", then: "apply it, remove it, and commit it nowhere"},
	{name: "tfvars", takes: isTerraformName, line: jsonMember, join: jsonObject, back: "ass env import --format json FILE",
		warn: "the file has the values in clear, and terraform keeps them in its state, in clear too",
		then: "name it NAME.auto.tfvars.json, and commit it nowhere"},
	{name: "dir", takes: isName, line: func(variable) (string, error) { return "", nil }, zeros: true, notText: true,
		folder: true,
		warn:   "the files have the values in clear", then: "remove the folder when nothing reads it any more"},
	{name: "gh", takes: isVariable, line: ghLine, back: "ass env import FILE",
		warn: "these lines have the values in clear", then: "pipe them into: gh secret set -f -"},
}

// exportFormatNames are the names for --format of env export.
func exportFormatNames() []string {
	names := formatNames()
	for _, f := range copyFormats {
		names = append(names, f.name)
	}
	return names
}

// exportFormatNamed finds a format of env export.
func exportFormatNamed(name string) (envFormat, error) {
	for _, f := range copyFormats {
		if f.name == name {
			return f, nil
		}
	}
	f, err := formatNamed(name)
	if err != nil {
		err = usagef("--format must be one of %s", strings.Join(exportFormatNames(), ", "))
	}
	return f, err
}

// notRead is the error of an import of a format that only env export knows, nil for others.
func notRead(name string) error {
	at := slices.IndexFunc(copyFormats, func(f envFormat) bool { return f.name == name })
	switch {
	case at < 0:
		return nil
	case copyFormats[at].back == "":
		return usagef("env import reads no %s", name)
	}
	return usagef("env import has no format %s", name).hint("read it with: %s", copyFormats[at].back)
}

// secretMember is one member of the data of a Secret. All is in quotes: a key or base64 without them can be
// a number or a boolean in YAML.
func secretMember(v variable) (string, error) {
	name, err := jsonString(v.name)
	return "  " + name + ": \"" + base64.StdEncoding.EncodeToString(v.value) + `"`, err
}

// secretManifest returns what joins members to a Secret, named after a namespace.
func secretManifest(ns tokens.Namespace) func([]string) string {
	return func(members []string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata:\n  name: \"" + objectName(ns) + "\"\ntype: Opaque\ndata:\n" +
			strings.Join(append(members, ""), "\n")
	}
}

// objectName makes a name of an object of a namespace (RFC 1123): small letters, digits, "-" and ".", at most 253 of
// them, with a letter or digit at both ends of each part.
func objectName(ns tokens.Namespace) string {
	const longest = 253
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.':
			return r
		}
		return '-'
	}, ns.String())
	var parts []string
	for part := range strings.SplitSeq(name[:min(len(name), longest)], ".") {
		if part = strings.Trim(part, "-"); part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return "secrets"
	}
	return strings.Join(parts, ".")
}

// isTerraformName reports whether s can be the name of a variable of terraform.
func isTerraformName(s string) bool {
	return s != "" && nameLength(s) == len(s) && !strings.Contains(s, ".")
}

// ghLine writes what gh secret set --env-file reads, with godotenv 1.5.1. That knows no escape of a quote, fills
// in $NAME without single quotes, and takes quotes off both ends of a value, however many there are.
func ghLine(v variable) (string, error) {
	const most = 48 << 10
	s := string(v.value)
	switch {
	case strings.HasPrefix(strings.ToUpper(v.name), "GITHUB_"):
		return "", errors.New("GitHub keeps names that begin with GITHUB_ for itself")
	case len(s) > most:
		return "", fmt.Errorf("it is larger than %s, the most that GitHub keeps", size(most))
	case strings.Contains(s, "\r"): // which env import does not take in a line, and gh changes in front of a line feed
		return "", errCR
	case plainValue(v.value):
		return v.name + "=" + s, nil
	case !strings.Contains(s, "'") && !strings.HasSuffix(s, `\`):
		return v.name + "='" + s + "'", nil
	case !strings.ContainsAny(s, "\"\\$"):
		return v.name + `="` + s + `"`, nil
	case !strings.ContainsAny(s, "$#\n") && !strings.ContainsAny(s[:1], "\"'`") && strings.TrimSpace(s) == s:
		return v.name + "=" + s, nil
	}
	return "", errors.New("gh has no escapes for its quotes and backslashes")
}

// mayMakeFolder refuses a folder that is there and not empty, or that others could change.
func (a *app) mayMakeFolder(path string) error {
	if a.confined {
		if err := a.isNotOurs(path); err != nil {
			return err
		}
	}
	whole, err := a.abs(path)
	if err != nil {
		return err
	}
	if above, err := os.Stat(filepath.Dir(whole)); err == nil {
		by := disk.AccessTo(filepath.Dir(whole), above)
		if by.Mode.Perm()&0o022 != 0 && by.Mode&fs.ModeSticky == 0 {
			return usagef("others can replace folders in %s, so nothing is written there", filepath.Dir(whole))
		}
	}
	info, err := os.Lstat(whole)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return usagef("%s is a symbolic link, which ass does not follow here", path)
	case !info.IsDir():
		return usagef("%s is no folder", path)
	case disk.AccessTo(whole, info).Stranger:
		return usagef("%s belongs to another user", path)
	}
	list, err := os.ReadDir(whole)
	if err == nil && len(list) > 0 {
		err = usagef("%s is not empty", path).hint("name a folder that is, or that is not there yet")
	}
	return err
}

// writeFolder writes a file for each variable into a folder, all or none.
func (a *app) writeFolder(path string, list []variable) error {
	whole, err := a.abs(path)
	if err != nil {
		return err
	}
	files := make([]process.File, len(list))
	for i, v := range list {
		files[i] = process.File{Name: v.name, Content: v.value}
	}
	return withRoom(process.WriteFolder(a.unfinished(), whole, files))
}
