package vault

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/cloudflare/circl/sign/ed25519"

	"ass/tokens"
	"ass/vault/internal/keys"
)

// secretMemory returns the memory of all keys that can be reached from a value: fields of the
// type key, Ed25519 private keys, and the file keys of a keyring. It also finds keys in fields
// that are added later.
func secretMemory(v reflect.Value, seen map[unsafe.Pointer]bool) (found [][]byte) {
	in := func(v reflect.Value) { found = append(found, secretMemory(v, seen)...) }
	switch v.Type() {
	case reflect.TypeFor[keys.Key]():
		return [][]byte{unsafe.Slice((*byte)(v.Addr().UnsafePointer()), v.Len())}
	case reflect.TypeFor[ed25519.PrivateKey]():
		return [][]byte{unsafe.Slice((*byte)(v.UnsafePointer()), v.Len())}
	case reflect.TypeFor[map[keys.Version][]byte]():
		for at := v.MapRange(); at.Next(); {
			found = append(found, unsafe.Slice((*byte)(at.Value().UnsafePointer()), at.Value().Len()))
		}
		return found
	case reflect.TypeFor[*Vault]():
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !seen[v.UnsafePointer()] {
			seen[v.UnsafePointer()] = true
			in(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			in(v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			in(v.Index(i))
		}
	}
	return found
}

// Closing a vault wipes the memory of all keys that its sessions held.
func TestCloseWipesKeys(t *testing.T) {
	c := newCompany(t)
	c.honest("writer", func(s *Session) { c.put(s, "prod/app/deep/W", 0) }) // sealed above what the token reads
	c.honest("reader", func(s *Session) {
		got, err := s.IssueToken(TokenSpec{Scopes: c.scopes("secrets:read:prod/app/deep/W")})
		if err != nil {
			t.Fatal(err)
		}
		c.text["token with a file key"] = got.Text
	})
	for name, want := range map[string]int{
		"owner":                 8, // root, epoch secret, MAC key, three tiers, the signing key in two places
		"reader":                6, // MAC key, a node, its secret, its seal key, the signing key in two places
		"reader's token":        6,
		"token with a file key": 7,
	} {
		t.Run(name, func(t *testing.T) {
			v, err := Open(c.path, c.opts)
			if err != nil {
				t.Fatal(err)
			}
			var s *Session
			switch {
			case name == "owner":
				s, err = v.Owner(c.owner)
			case c.text[name] != "":
				s, err = v.Token(c.text[name])
			default:
				s, err = v.Agent(tokens.AgentKey{Secret: c.secret[name], Vault: [4]byte(c.vid[:4])})
			}
			if err != nil {
				t.Fatal(err)
			}
			if name == "token with a file key" && len(s.ring.Files) == 0 {
				t.Error("it has no file key, so this shows less than it says")
			}
			memory := secretMemory(reflect.ValueOf(s), map[unsafe.Pointer]bool{})
			full := 0
			for _, b := range memory {
				if !bytes.Equal(b, make([]byte, len(b))) {
					full++
				}
			}
			if full < want {
				t.Errorf("%d keys were found before, and there are at least %d", full, want)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
			for i, b := range memory {
				if !bytes.Equal(b, make([]byte, len(b))) {
					t.Errorf("key %d of %d is still there", i, len(memory))
				}
			}
		})
	}
}

// The keys in a decoded grant are wiped, but not its file keys, which the keyring shares.
func TestGrantIsWiped(t *testing.T) {
	full := func() []byte { return bytes.Repeat([]byte{1}, 32) }
	g := grant{MK: full(), JWTKey: full(), Nodes: []grantNode{{Key: full()}, {Key: full()}},
		Files: []grantFile{{FileKey: full()}}}
	g.wipe()
	for i, b := range [][]byte{g.MK, g.JWTKey, g.Nodes[0].Key, g.Nodes[1].Key} {
		if !bytes.Equal(b, make([]byte, 32)) {
			t.Errorf("key %d of the grant is still there", i)
		}
	}
	if !bytes.Equal(g.Files[0].FileKey, full()) {
		t.Error("the file key is gone")
	}
}

// A rewrite puts other keys in the place of those that a session had, and wipes these.
func TestARewriteWipesTheKeysBefore(t *testing.T) {
	wiped := func(t *testing.T, what string, memory [][]byte) {
		t.Helper()
		for i, b := range memory {
			if !bytes.Equal(b, make([]byte, len(b))) {
				t.Errorf("%s: key %d of %d is still there", what, i, len(memory))
			}
		}
	}
	c := newCompany(t)
	c.do(func(s *Session) {
		ring := secretMemory(reflect.ValueOf(&s.ring), map[unsafe.Pointer]bool{})
		if _, err := s.Rekey(); err != nil {
			t.Fatal(err)
		}
		wiped(t, "the keyring", ring)
		root := secretMemory(reflect.ValueOf(s.root), map[unsafe.Pointer]bool{})
		next, err := NewIdentity()
		if err == nil {
			_, _, err = s.RekeyOwner(NewOwnership(next), filepath.Join(t.TempDir(), "log.jsonl"))
		}
		if err != nil {
			t.Fatal(err)
		}
		wiped(t, "the root", root)
		if own := s.inOrder(); own.secret != (keys.Key{}) {
			t.Error("the session of a worker has the secret of the epoch, which nothing wipes there")
		}
	})
}

// What a function opens, it wipes or hands on. No test can see such memory once the function has
// returned, so this one reads the code.
func TestWhatIsOpenedIsWiped(t *testing.T) {
	opens := []string{"keys.Open(", "keys.OpenAs(", "keys.FileKey(", "own.openVersion(", "json.Marshal(g)"}
	exempt := map[string]string{
		"readHead plain":     "it opens the end of the log, which the transaction holds",
		"findEnd plain":      "it opens the end of the log, which the transaction holds",
		"recall plain":       "it opens the end of the log, which the verification holds",
		"filesBelow fileKey": "it hands the file keys on in a grant",
		"rewrite next":       "the session takes the keys over",
		"findEpoch w.s":      "Salvage wipes the session",
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		text := func(n any) string {
			var b strings.Builder
			if err := printer.Fprint(&b, set, n); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			body := text(fn.Body)
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				as, ok := n.(*ast.AssignStmt)
				if !ok || len(as.Rhs) != 1 {
					return true
				}
				to, from := text(as.Lhs[0]), text(as.Rhs[0])
				var want []string
				if strings.HasPrefix(from, "keys.OpenWrap(") {
					want = []string{"defer " + to[:strings.Index(to+",", ",")] + ".Wipe()", to + ".Wipe()"}
				}
				for _, call := range opens {
					if strings.HasPrefix(from, call) {
						want = []string{"clear(" + to + ")"}
					}
				}
				switch {
				case strings.HasPrefix(from, "v.granteeSession("):
					want = []string{"defer " + text(as.Lhs[1]) + ".wipe()"}
				case from == "w.findKeys(o)":
					want = []string{"defer w.s.wipe()"}
				case strings.Contains(from, ".ownerSession("):
					want = []string{"defer " + to + ".wipe()", "append(v.sessions, " + to + ")"}
				}
				if want == nil {
					return true
				}
				seen++
				for _, w := range want {
					if strings.Contains(body, w) {
						return true
					}
				}
				if exempt[fn.Name.Name+" "+to] == "" {
					t.Errorf("%s: %s does not say %s", name, fn.Name.Name, strings.Join(want, " or "))
				}
				return true
			})
		}
	}
	if seen < 15 {
		t.Errorf("it saw only %d places", seen)
	}
}
