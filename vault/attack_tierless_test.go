package vault

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"

	"ass/audit"
	"ass/tokens"
	"ass/vault/internal/keys"
)

// insider acts with an agent's key, and commits without the program's checks.
func (v *victim) insider(k tokens.AgentKey, fn func(s *Session, t *tx) error) {
	v.t.Helper()
	opened, err := Open(v.path, v.opts)
	if err != nil {
		v.t.Fatal(err)
	}
	defer opened.Close()
	s, err := opened.Agent(k)
	if err == nil {
		err = s.commit(func(t *tx) error { return fn(s, t) })
	}
	if err != nil {
		v.t.Fatal(err)
	}
}

// keyOfNobody returns the key that a secret would have below a node key of all zeros.
// Everybody can compute it.
func keyOfNobody(p tokens.Path) keys.Key {
	var k keys.Key
	segments := strings.Split(p.String(), "/")
	for i, segment := range segments {
		kind := keys.KindNamespace
		if i == len(segments)-1 {
			kind = keys.KindSecret
		}
		k = keys.ChildKey(k, kind, segment)
	}
	return k
}

// If a record names no tier, there is no key for the secret. Nobody seals a value there,
// and a verification finds the record.
func TestASecretWithoutATier(t *testing.T) {
	for _, scope := range []string{"secrets:delete:a/*", "secrets:write:a/*"} {
		t.Run(scope, func(t *testing.T) {
			v := newVictim(t)
			scopes, err := tokens.ScopesOf([]string{scope})
			if err != nil {
				t.Fatal(err)
			}
			var k tokens.AgentKey
			v.do(func(s *Session) {
				if _, k, err = s.CreateAgent(AgentSpec{Name: "mallory", Scopes: scopes}); err != nil {
					t.Fatal(err)
				}
			})
			p := v.p("a/NEW")
			v.insider(k, func(s *Session, t *tx) error {
				head := map[string]any{"seq": t.seq(), "id": "x", "version": 1, "type": DefaultType, "created_at": t.now,
					"updated_at": t.now}
				event := audit.SecretCreated
				if strings.Contains(scope, "delete") {
					head["deleted_at"], event = t.now, audit.SecretDeleted
				} else if err := t.put(bucketVersions, versionKey(p, 1), true, map[string]any{"seq": t.seq(), "author": s.by.id,
					"created_at": t.now, "sealed": []byte("x")}); err != nil {
					return err
				}
				if err := t.put(bucketSecrets, secretBucketKey(p), true, head); err != nil {
					return err
				}
				return t.log(event, "secret", p.String(), map[string]any{"version": 1})
			})
			if found := v.problems(); !strings.Contains(found, "it has no tier") {
				t.Errorf("verified: %s", found)
			}
			ns, err := tokens.ParseNamespace("a")
			if err != nil {
				t.Fatal(err)
			}
			v.do(func(s *Session) {
				if _, err := s.Import(ns, []Item{{Key: "NEW", Value: []byte("password")}}, ImportOptions{}); err == nil {
					t.Error("a value was imported there")
				}
				if _, _, err := s.Set(p, []byte("password"), SetOptions{}); err == nil {
					t.Error("a value was set there")
				}
				if _, _, err := s.Get(p, 0); err == nil {
					t.Error("it was read")
				}
			})
		})
	}
}

// If a revoked agent has sealed a version under a key that everybody can compute, the
// rewrite drops the version.
func TestAVersionWithoutATier(t *testing.T) {
	v := newVictim(t)
	id, k := v.agent("mallory")
	p := v.p("a/AAA")
	v.insider(k, func(s *Session, t *tx) error {
		sealed, err := keys.Seal(keyOfNobody(p), t.Epoch.VersionContext(0, p, 1), []byte("x"))
		if err != nil {
			return err
		}
		head := secretBody{Seq: t.seq(), ID: "x", Version: 1, Tier: tokens.Standard, Type: DefaultType, CreatedAt: t.now,
			UpdatedAt: t.now}
		if err := t.put(bucketSecrets, secretBucketKey(p), true, head); err != nil {
			return err
		}
		if err := t.put(bucketVersions, versionKey(p, 1), true, map[string]any{"seq": t.seq(), "author": s.by.id,
			"created_at": t.now, "sealed": sealed}); err != nil {
			return err
		}
		return t.log(audit.SecretCreated, "secret", p.String(), map[string]any{"version": 1, "tier": "standard"})
	})
	v.revoke(id)
	v.do(func(s *Session) {
		if _, value, err := s.Get(p, 0); err == nil {
			t.Errorf("it is still there, and reads %q", value)
		}
		if _, value, err := s.Get(v.p("a/K"), 0); err != nil || string(value) != "three" {
			t.Errorf("another secret: %q, %v", value, err)
		}
	})
	var left bool
	v.edit(func(b func(string) *bbolt.Bucket) { left = b(bucketVersions).Get(versionKey(p, 1)) != nil })
	if left {
		t.Error("the owner has signed it")
	}
}

// A token's scopes are intersected with those of its issuer. An actor may therefore have no
// scopes, or more than anybody can be given at once. A verification that begins with such
// an actor finds the same as any other.
func TestActorsOfAnyNumberOfScopes(t *testing.T) {
	var many []string
	for i := range 22 {
		many = append(many, fmt.Sprintf("secrets:*:a/K%d", i))
	}
	scopes, err := tokens.ScopesOf(many)
	if err != nil {
		t.Fatal(err)
	}
	three, err := tokens.ScopesOf([]string{"secrets:read:a/*", "secrets:write:a/*", "secrets:delete:a/*"})
	if err != nil {
		t.Fatal(err)
	}
	v := newVictim(t)
	var k tokens.AgentKey
	v.do(func(s *Session) {
		if _, k, err = s.CreateAgent(AgentSpec{Name: "reader", Scopes: three}); err != nil {
			t.Fatal(err)
		}
	})
	opened, err := Open(v.path, v.opts)
	if err != nil {
		t.Fatal(err)
	}
	s, err := opened.Agent(k)
	if err == nil {
		_, err = s.IssueToken(TokenSpec{Scopes: scopes})
	}
	if err = errors.Join(err, opened.Close()); err != nil {
		t.Fatal(err)
	}
	for _, junk := range [][]string{{"secrets:read:zzz/*"}, {}, {"junk"}} {
		v.insider(k, func(s *Session, t *tx) error {
			return t.log(audit.TokenIssued, "token", uuid.NewString(),
				map[string]any{"public_key": base64.StdEncoding.EncodeToString(s.pub), "scopes": junk})
		})
	}
	for range 2 { // the second begins where the first ended
		if found := v.problems(); found != "" {
			t.Error(found)
		}
	}
	v.archive()
	for range 2 {
		if found := v.problems(); found != "" {
			t.Errorf("after a cut: %s", found)
		}
	}
	v.backUp()
}
