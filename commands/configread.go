package commands

import "strings"

// A get uses encoding/json for nothing else than this file, and its first use in a process
// takes a twentieth of a get. So the file is read here if it is as save writes it, and by
// encoding/json if a person has changed its form.

// readPlain reads a file of stored credentials into c. It reports false if the file is not
// as save writes it; c is then of no use.
func (c *config) readPlain(text string) bool {
	p := plainJSON{text}
	return p.object(func(name string) bool {
		switch name {
		case "version":
			c.Version = 1
			return p.cut("1")
		case "in_use":
			var ok bool
			c.InUse, ok = p.text()
			return ok
		case "profiles":
			return p.object(func(name string) bool {
				c.Profiles[name] = &profile{}
				return p.profile(c.Profiles[name])
			})
		}
		return false
	}) && strings.TrimLeft(p.rest, " \n") == ""
}

// plainJSON is JSON that is still to be read.
type plainJSON struct{ rest string }

func (p *plainJSON) profile(to *profile) bool {
	return p.object(func(name string) (ok bool) {
		switch name {
		case "credential":
			to.Credential, ok = p.text()
		case "key":
			to.Key, ok = p.text()
		case "next_key":
			to.NextKey, ok = p.text()
		case "kept":
			to.Kept, ok = true, p.cut("true")
		case "vault":
			to.Vault, ok = p.text()
		case "next_vault":
			to.NextVault, ok = p.text()
		case "api_url":
			to.APIURL, ok = p.text()
		case "keyring":
			to.Keyring, ok = p.text()
		}
		return ok
	})
}

// object reads an object, and calls field at the value of each of its fields.
func (p *plainJSON) object(field func(name string) bool) bool {
	if !p.cut("{") {
		return false
	}
	for first := true; !p.cut("}"); first = false {
		if !first && !p.cut(",") {
			return false
		}
		name, ok := p.text()
		if !ok || !p.cut(":") || !field(name) {
			return false
		}
	}
	return true
}

// text reads a string without escapes.
func (p *plainJSON) text() (string, bool) {
	if !p.cut(`"`) {
		return "", false
	}
	text, rest, ok := strings.Cut(p.rest, `"`)
	p.rest = rest
	return text, ok && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '\\' })
}

func (p *plainJSON) cut(prefix string) (ok bool) {
	p.rest, ok = strings.CutPrefix(strings.TrimLeft(p.rest, " \n"), prefix)
	return ok
}
