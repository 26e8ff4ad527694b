package protocols

import (
	"net/url"
	"strings"
)

// Prompt is a question that ssh, ssh-add or git asks with its askpass program, if it is one that a secret answers.
type Prompt struct {
	File string // of a key whose passphrase is asked for; "" for another question

	User, Host string // of ssh, whose password is asked for

	Git      GitRequest // what git asks for; its Host is "" for another question
	Username bool       // git asks for the name of the user
}

// ParsePrompt reads a question. It reports false for each that it does not know whole: whether to trust a host key or
// to use a key, for the PIN of a device, for a new passphrase, and for a passphrase that was wrong, which ssh-add would
// ask for without end.
func ParsePrompt(text string) (p Prompt, ok bool) {
	text = strings.TrimSuffix(text, " ")
	text, ok = strings.CutSuffix(text, ":")
	if !ok || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Prompt{}, false
	}
	if file, ok := strings.CutPrefix(text, "Enter passphrase for "); ok {
		p.File, ok = keyFile(file)
		return p, ok
	}
	if verb, rest, ok := strings.Cut(text, " for '"); ok && (verb == "Username" || verb == "Password") {
		p.Username = verb == "Username"
		p.Git, ok = gitPrompt(rest)
		return p, ok
	}
	p.User, p.Host, ok = sshPrompt(text)
	return p, ok
}

// keyFile reads the name of a key file: key 'FILE' as ssh writes it, FILE as ssh-add does, "FILE" as ssh-keygen does.
func keyFile(text string) (string, bool) {
	const most = 100 // ssh cuts a name there, so the end of a longer one is unknown
	text = strings.TrimSuffix(text, " (will confirm each use)")
	quoted := text
	for _, form := range [][2]string{{"key '", "'"}, {`"`, `"`}} {
		if inner, ok := strings.CutPrefix(text, form[0]); ok {
			if quoted, ok = strings.CutSuffix(inner, form[1]); !ok || len(quoted) >= most && form[1] == "'" {
				return "", false
			}
			break
		}
	}
	for _, c := range []byte(fileBase(quoted)) {
		if !isPlain(c) && c != '_' { // such as PKCS#11, which asks for a PIN
			return "", false
		}
	}
	return quoted, strings.Trim(fileBase(quoted), ".") != "" && !strings.ContainsAny(quoted, "'\"()")
}

func fileBase(name string) string { return name[strings.LastIndexAny(name, `/\`)+1:] }

// sshPrompt reads USER@HOST's password, and (USER@HOST) Password, with which ssh begins what a server asks. The server
// chooses the words behind it, and a repository that somebody else wrote can choose the user: neither may look like
// another question.
func sshPrompt(text string) (user, host string, ok bool) {
	who, ok := strings.CutSuffix(text, "'s password")
	if !ok {
		if who, ok = strings.CutSuffix(text, ") Password"); !ok {
			return "", "", false
		}
		if who, ok = strings.CutPrefix(who, "("); !ok {
			return "", "", false
		}
	}
	user, host, ok = strings.Cut(who, "@")
	host = lower(host)
	for i := range len(user) {
		ok = ok && (isPlain(user[i]) || user[i] == '_')
	}
	for i := range len(host) {
		ok = ok && (isPlain(host[i]) || host[i] == '_' || host[i] == ':')
	}
	return user, host, ok && user != "" && host != ""
}

// gitPrompt reads the URL in a question of git, which ends with a quote.
func gitPrompt(text string) (q GitRequest, ok bool) {
	text, ok = strings.CutSuffix(text, "'")
	scheme, rest, found := strings.Cut(text, "://")
	authority, path, _ := strings.Cut(rest, "/")
	user, host, has := strings.Cut(authority, "@")
	if !has {
		user, host = "", authority
	}
	// A git that does not escape the user in its question would let a user with a slash pass for a host.
	if strings.Contains(path, "@") || strings.Contains(host, "@") {
		return GitRequest{}, false
	}
	user, err := url.PathUnescape(user)
	if !ok || !found || err != nil || !isLine(user) || has && user == "" {
		return GitRequest{}, false
	}
	q = GitRequest{Protocol: scheme, Host: host, Path: path, Username: user}
	_, err = q.Server()
	return q, err == nil
}

// SSHPlace returns the path at which the answer lies: NAMESPACE/FILE for the passphrase of a key, without its folder,
// or NAMESPACE/HOST/USER for a password; "" for a question of git, and if it is too long.
func (p Prompt) SSHPlace(namespace string) string {
	switch {
	case p.File != "":
		return namespace + "/" + fileBase(p.File)
	case p.Host != "":
		return join(namespace, p.Host, p.User)
	}
	return ""
}

// Fits reports whether a credential is for what a question of ssh is about: if it names a server, that must be the
// host, or the whole name of the key file.
func (p Prompt) Fits(c Credential) bool {
	return c.Server == "" || p.Host != "" && lower(strings.TrimPrefix(c.Server, "ssh://")) == p.Host ||
		p.File != "" && c.Server == p.File
}
