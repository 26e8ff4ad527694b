package vault_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"ass/tokens"
	"ass/vault"
)

// A vault is a file, and its owner is whoever holds the identity.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "vault.db")

	owner, err := vault.NewIdentity()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := vault.Create(path, owner, vault.Options{}); err != nil {
		log.Fatal(err)
	}
	v, err := vault.Open(path, vault.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	s, err := v.Owner(owner)
	if err != nil {
		log.Fatal(err)
	}

	key, err := tokens.ParsePath("production/stripe/STRIPE_KEY")
	if err != nil {
		log.Fatal(err)
	}
	if _, _, err := s.Set(key, []byte("sk_example"), vault.SetOptions{}); err != nil {
		log.Fatal(err)
	}
	secret, value, err := s.Get(key, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s v%d is %s\n", secret.Path, secret.Version, value)
	// Output:
	// production/stripe/STRIPE_KEY v1 is sk_example
}

// An agent opens what its scopes cover, because its key opens nothing else.
func ExampleVault_Agent() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "vault.db")
	owner, err := vault.NewIdentity()
	if err != nil {
		log.Fatal(err)
	}
	if _, err := vault.Create(path, owner, vault.Options{}); err != nil {
		log.Fatal(err)
	}
	v, err := vault.Open(path, vault.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()
	s, err := v.Owner(owner)
	if err != nil {
		log.Fatal(err)
	}
	parse := func(text string) tokens.Path {
		p, err := tokens.ParsePath(text)
		if err != nil {
			log.Fatal(err)
		}
		return p
	}
	for _, name := range []string{"production/stripe/KEY", "production/aws/KEY"} {
		if _, _, err := s.Set(parse(name), []byte("value of "+name), vault.SetOptions{}); err != nil {
			log.Fatal(err)
		}
	}
	scopes, err := tokens.ParseScopes("secrets:read:production/stripe/*")
	if err != nil {
		log.Fatal(err)
	}
	_, agentKey, err := s.CreateAgent(vault.AgentSpec{Name: "worker", Scopes: scopes})
	if err != nil {
		log.Fatal(err)
	}

	worker, err := v.Agent(agentKey)
	if err != nil {
		log.Fatal(err)
	}
	_, value, err := worker.Get(parse("production/stripe/KEY"), 0)
	fmt.Printf("%s, %v\n", value, err)
	_, _, err = worker.Get(parse("production/aws/KEY"), 0)
	fmt.Println(errors.Is(err, vault.ErrDenied))
	// Output:
	// value of production/stripe/KEY, <nil>
	// true
}
