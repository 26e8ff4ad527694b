//go:build race

package vault_test

import "ass/vault"

const underRace = true

func init() { vault.UnderRace = true }
