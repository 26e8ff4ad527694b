package vaulttest

import (
	"testing"
	"time"

	"ass/tokens"
	"ass/vault"
)

// Actor opens the vault with one credential, calls fn and closes the vault. The
// owner's Actor is [Vault.Do].
type Actor func(fn func(*vault.Session) error) error

// Agent returns an Actor that acts with an agent's key.
func (v *Vault) Agent(k tokens.AgentKey) Actor {
	return func(fn func(*vault.Session) error) error {
		return v.open(func(opened *vault.Vault) (*vault.Session, error) { return opened.Agent(k) }, fn)
	}
}

// Token returns an Actor that acts with a token, given as text.
func (v *Vault) Token(text string) Actor {
	return func(fn func(*vault.Session) error) error {
		return v.open(func(opened *vault.Vault) (*vault.Session, error) { return opened.Token(text) }, fn)
	}
}

func (v *Vault) open(as func(*vault.Vault) (*vault.Session, error), fn func(*vault.Session) error) error {
	opened, err := vault.Open(v.Path, v.Opts)
	if err != nil {
		return err
	}
	defer opened.Close()
	s, err := as(opened)
	if err != nil {
		return err
	}
	return fn(s)
}

// NewAgent registers an agent. If that fails, the test fails.
func (v *Vault) NewAgent(t testing.TB, name string, scopes ...string) (vault.Agent, Actor) {
	t.Helper()
	var (
		made vault.Agent
		k    tokens.AgentKey
	)
	v.Must(t, func(s *vault.Session) (err error) {
		made, k, err = s.CreateAgent(vault.AgentSpec{Name: name, Scopes: Scopes(t, scopes...)})
		return err
	})
	return made, v.Agent(k)
}

// NewToken issues a token as issuer. If that fails, the test fails.
func (v *Vault) NewToken(t testing.TB, issuer Actor, spec vault.TokenSpec) (vault.Issued, Actor) {
	t.Helper()
	var made vault.Issued
	err := issuer(func(s *vault.Session) (err error) {
		made, err = s.IssueToken(spec)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return made, v.Token(made.Text)
}

// Get reads a value. It returns any error.
func (a Actor) Get(t testing.TB, path string) (value string, err error) {
	t.Helper()
	err = a(func(s *vault.Session) error {
		_, b, err := s.Get(Path(t, path), 0)
		value = string(b)
		return err
	})
	return value, err
}

// Set stores a value. It returns any error.
func (a Actor) Set(t testing.TB, path, value string, o vault.SetOptions) error {
	t.Helper()
	return a(func(s *vault.Session) error {
		_, _, err := s.Set(Path(t, path), []byte(value), o)
		return err
	})
}

// Delete hides a secret. It returns any error.
func (a Actor) Delete(t testing.TB, path string) error {
	t.Helper()
	return a(func(s *vault.Session) error {
		_, _, err := s.Delete(Path(t, path))
		return err
	})
}

// Scopes parses scopes that have to be valid.
func Scopes(t testing.TB, texts ...string) tokens.Scopes {
	t.Helper()
	if len(texts) == 0 {
		return nil
	}
	scopes, err := tokens.ScopesOf(texts)
	if err != nil {
		t.Fatal(err)
	}
	return scopes
}

// Namespace parses a namespace that has to be valid.
func Namespace(t testing.TB, s string) tokens.Namespace {
	t.Helper()
	ns, err := tokens.ParseNamespace(s)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// Clock is a clock that stands still until a test sets it.
type Clock struct{ time.Time }

// UseClock gives the vault a clock that the test sets.
func (v *Vault) UseClock() *Clock {
	c := &Clock{time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)}
	v.Opts.Now = func() time.Time { return c.Time }
	return c
}

// Pass moves the clock forward, or back if d is negative.
func (c *Clock) Pass(d time.Duration) { c.Time = c.Add(d) }
