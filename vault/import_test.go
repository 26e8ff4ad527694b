package vault_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ass/tokens"
	"ass/vault"
	"ass/vault/vaulttest"
)

// An import into the root takes whole paths, of any namespaces. Each item can have its own tier and type, which count
// before those of the options.
func TestImportOfWholePaths(t *testing.T) {
	v := vaulttest.New(t)
	v.Set(t, "a/KEPT", "old", vault.SetOptions{Type: "api_key", Tier: tokens.Sensitive})
	items := []vault.Item{
		{Key: "a/b/NEW", Value: []byte("1"), Tier: tokens.Critical, Type: "db_credential"},
		{Key: "a/KEPT", Value: []byte("2")},
		{Key: "c/RAISED", Value: []byte("3"), Tier: tokens.Sensitive},
		{Key: "c/d/PLAIN", Value: []byte("4")},
	}
	err := v.Do(func(s *vault.Session) error {
		done, err := s.Import(tokens.Namespace{}, items, vault.ImportOptions{Type: "certificate"})
		for i, d := range done {
			want := []vault.Secret{
				{Version: 1, Tier: tokens.Critical, Type: "db_credential"}, {Version: 2, Tier: tokens.Sensitive, Type: "certificate"},
				{Version: 1, Tier: tokens.Sensitive, Type: "certificate"}, {Version: 1, Tier: tokens.Standard, Type: "certificate"},
			}[i]
			if d.Path.String() != items[i].Key || d.Version != want.Version || d.Tier != want.Tier || d.Type != want.Type {
				t.Errorf("%s became %+v", items[i].Key, d.Secret)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := v.Verify(); len(r.Problems) > 0 {
		t.Error(r.Problems)
	}
	for _, key := range []string{"ALONE", "", "a/../b", "a//b"} {
		if _, err := vault.CheckImport(tokens.Namespace{}, []vault.Item{{Key: key}}, vault.ImportOptions{}); err == nil {
			t.Errorf("%q is a path", key)
		}
	}
	if _, err := vault.CheckImport(tokens.Namespace{}, []vault.Item{{Key: "a/b", Type: "no type"}}, vault.ImportOptions{}); err == nil {
		t.Error("a type of an item is not checked")
	}
}

// A log entry of format 1 tells of one namespace, so an agent cannot import whole paths there.
func TestImportOfWholePathsInFormat1(t *testing.T) {
	raw, err := os.ReadFile("testdata/golden/format1-agents.db")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "vault.db")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := tokens.ParseAgentKey(goldenAgent)
	if err != nil {
		t.Fatal(err)
	}
	v := vaulttest.Vault{Path: path}
	items := []vault.Item{{Key: "production/WRITTEN", Value: []byte("x")}}
	err = v.Agent(k)(func(s *vault.Session) error {
		_, err := s.Import(tokens.Namespace{}, items, vault.ImportOptions{})
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "format 1") {
		t.Error(err)
	}
}
