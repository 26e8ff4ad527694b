package redact

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Secret is a value that the output may contain.
type Secret struct {
	Key   string // the last part of its path: the mark names it, and the rules look at it
	Value []byte
}

// Rules are the keys about which the caller decides.
type Rules struct {
	Mask   []string // always masked
	NoMask []string // never masked
}

const (
	// anywhere is the length in bytes from which a text is masked wherever it stands.
	anywhere = 8
	// shortest is the length in bytes of the shortest text that is masked unasked. One that
	// is shorter than anywhere is masked where it is no part of a longer word.
	shortest = 4
)

// Words are the words by which the rules go, for the docs.
type Words struct {
	Never   string // values that are never masked, but for keys with a word of Always
	Nothing string // values that stand for none, and are never masked
	Config  string // last words of keys whose values are settings
	Always  string // words of keys whose values are always masked
}

// TheWords returns the words by which the rules go.
func TheWords() Words {
	return Words{Never: neverWords, Nothing: nothingWords, Config: configWords, Always: alwaysWords}
}

const (
	nothingWords = "null nil none undefined"

	neverWords = "true false yes no on off enabled disabled enable disable default auto unset " +
		"localhost localhost.localdomain " + // with the loopback addresses, which isLoopback knows
		"production prod staging stage development develop devel testing test local preview sandbox " +
		"trace debug info notice warn warning error critical fatal alert emergency panic silent verbose " +
		"utf8 utf-8 ascii stdout stderr"

	configWords = "NAME DRIVER CONNECTION STORE CHANNEL STACK MAILER CLIENT REGION LOCALE DISK HOST PORT URL URI ENV LEVEL " +
		"FROM_ADDRESS HOSTNAME DOMAIN ORIGIN ENDPOINT BASE ENVIRONMENT STAGE MODE TYPE KIND FORMAT ENCODING CHARSET " +
		"COLLATION TIMEZONE TZ LANG LANGUAGE SCHEME PROTOCOL DATABASE DB SCHEMA USER USERNAME BUCKET ZONE QUEUE TOPIC " +
		"PREFIX DIR FOLDER PATH VERSION LIFETIME TIMEOUT TTL DEBUG ENABLED SIZE LIMIT"

	otherWords = "BYPASS COMPASS ENCOMPASS OVERPASS TRESPASS MONKEY TURKEY DONKEY HOCKEY JOCKEY" // that end in one of these

	alwaysWords = "PASSWORD SECRET TOKEN KEY PASS PIN CREDENTIAL PASSPHRASE PASSWD PASSCODE"
)

// isMasked reports whether a value is one to search for, by the rules for its key and for
// what it looks like.
func isMasked(s Secret) bool {
	value := strings.TrimSpace(string(s.Value))
	lower := strings.ToLower(value)
	key := keyWords(s.Key)
	switch {
	case slices.Contains(strings.Fields(nothingWords), lower):
		return false
	case slices.ContainsFunc(key, alwaysWord):
		return true
	case isCommon(value, lower):
		return false
	}
	return !(endsInConfigWord(key) && isSetting(value))
}

// keyWords splits a key into its words, in upper case: db-host, dbHost and DB_HOST are DB
// and HOST.
func keyWords(key string) []string {
	key = camelCase().ReplaceAllString(key, "${1}_${2}")
	return strings.FieldsFunc(strings.ToUpper(key), func(r rune) bool { return r == '_' || r == '-' || r == '.' })
}

var camelCase = pattern(`([a-z0-9])([A-Z])`)

// alwaysWord reports whether the value behind a key with this word is masked, whatever it
// is. The long words count inside of others too, as in CREDENTIALS. KEY and PASS count at
// the end of one, as in APIKEY and PGPASS, but not in KEYBOARD; PIN stands alone, not in
// SHIPPING.
func alwaysWord(word string) bool {
	for _, always := range strings.Fields(alwaysWords) {
		switch {
		case word == always, word == always+"S",
			len(always) > len("PASS") && strings.Contains(word, always),
			always != "PIN" && strings.HasSuffix(word, always) && !slices.Contains(strings.Fields(otherWords), word):
			return true
		}
	}
	return false
}

func endsInConfigWord(key []string) bool {
	for _, word := range strings.Fields(configWords) {
		parts := strings.Split(word, "_")
		if len(key) >= len(parts) && slices.Equal(key[len(key)-len(parts):], parts) {
			return true
		}
	}
	return false
}

// isCommon reports whether a value stands in any output by chance.
func isCommon(value, lower string) bool {
	if slices.Contains(strings.Fields(neverWords), lower) || isLoopback(lower) {
		return true
	}
	n, err := strconv.ParseUint(value, 10, 16) // 0 to 65535
	return err == nil && strconv.FormatUint(n, 10) == value
}

// isLoopback reports whether a value is an address of this machine, with or without a port,
// or a URL that says no more than that.
func isLoopback(value string) bool {
	if u, err := url.Parse(value); err == nil && u.Host != "" {
		if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return false
		}
		value = u.Host
	}
	if port, err := netip.ParseAddrPort(value); err == nil {
		return port.Addr().IsLoopback() || port.Addr().IsUnspecified()
	}
	host, port, found := strings.Cut(value, ":")
	if found && host == "localhost" {
		_, err := strconv.ParseUint(port, 10, 16)
		return err == nil
	}
	addr, err := netip.ParseAddr(strings.Trim(value, "[]"))
	return host == value && host == "localhost" || err == nil && (addr.IsLoopback() || addr.IsUnspecified())
}

var (
	oneWord = pattern(`^[\p{L}\p{N}_.,/~+-]*$`) // a word, several with commas, or the path of a file
	aHost   = pattern(`^(?i:[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-zA-Z][a-zA-Z0-9-]*(:[0-9]{1,5})?$`)
	anEmail = pattern(`^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$`)
	// longRun is a run of letters and digits; with both of them, it looks like a key.
	longRun = pattern(`[A-Za-z0-9]{16,}`)
)

// isSetting reports whether a value looks like a setting: a word, a path, a host, an e-mail
// address, or a URL in which there is no password and nothing that looks like a key.
func isSetting(value string) bool {
	if aHost().MatchString(value) && strings.Contains(value, ".") || anEmail().MatchString(value) {
		return true
	}
	if _, err := netip.ParseAddr(strings.Trim(value, "[]")); err == nil {
		return true
	}
	if _, err := netip.ParseAddrPort(value); err == nil {
		return true
	}
	u, err := url.Parse(value)
	if err == nil && u.Scheme != "" && u.Host != "" {
		return u.User == nil && !looksLikeKey(u.Path) && !looksLikeKey(u.Fragment) && u.RawQuery == ""
	}
	return (oneWord().MatchString(value) || aHost().MatchString(value)) && !looksLikeKey(value)
}

// looksLikeKey reports whether a text has a long run of letters and digits in it, as keys
// and the addresses of webhooks have.
func looksLikeKey(text string) bool {
	for _, run := range longRun().FindAllString(text, -1) {
		if strings.ContainsAny(run, "0123456789") && strings.IndexFunc(run, func(r rune) bool { return r >= 'A' }) >= 0 {
			return true
		}
	}
	return false
}

// passwords returns the passwords in the URLs that a value contains, as they stand there
// and decoded.
func passwords(value string) (list []string) {
	for rest := value; ; {
		_, behind, found := strings.Cut(rest, "://")
		if !found {
			return list
		}
		rest = behind
		authority := behind
		if end := strings.IndexAny(authority, "/?# \t\r\n\"'<>"); end >= 0 {
			authority = authority[:end]
		}
		at := strings.LastIndexByte(authority, '@')
		if at < 0 {
			continue
		}
		if _, password, found := strings.Cut(authority[:at], ":"); found && password != "" {
			list = append(list, password)
			if decoded, err := url.PathUnescape(password); err == nil && decoded != password {
				list = append(list, decoded)
			}
		}
	}
}

// lines returns the lines of a value that has several, without the blanks around them, and
// without the first and last lines of PEM.
func lines(value string) (list []string) {
	if !strings.ContainsAny(strings.TrimRight(value, "\r\n"), "\r\n") {
		return nil
	}
	for line := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimSpace(line)
		if len(line) >= anywhere && !strings.HasPrefix(line, "-----BEGIN") && !strings.HasPrefix(line, "-----END") {
			list = append(list, line)
		}
	}
	return list
}

// pattern compiles a regular expression at its first use.
func pattern(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
