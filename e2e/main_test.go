// Package e2e tests the whole program: its processes, its terminal, full disks, kills, what
// the docs say, and how the packages may import each other. The stories of the commands
// are in testdata/script.
package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"ass/commands"
	"ass/e2e/limits"
	"ass/e2e/world"
	"ass/vault/device/devicetest"
)

func TestMain(m *testing.M) {
	limits.Set()
	if err := os.Setenv("GORACE", world.RaceOptions); err != nil {
		panic(err)
	}
	work, _ := strconv.Atoi(os.Getenv(workFactor))
	if work == 0 {
		work = 12 // a test that sets a passphrase need not wait for it
	}
	ass := commands.Program{WorkFactor: work}.Main
	testscript.Main(m, map[string]func(){"ass": ass, "ass-askpass": ass, // links to ass
		"docker-credential-ass": ass, "docker-credential-ass-write": ass, "git-credential-ass": ass,
		devicetest.Program: devicetest.Main, "age-keygen": ageKeygen})
}

// ageKeygen does what age-keygen -o FILE does, for the docs.
func ageKeygen() {
	id, err := age.GenerateX25519Identity()
	if err == nil {
		fmt.Fprintf(os.Stderr, "Public key: %s\n", id.Recipient())
		err = os.WriteFile(os.Args[2], fmt.Appendf(nil, "# public key: %s\n%s\n", id.Recipient(), id), 0o600)
	}
	if err != nil {
		panic(err)
	}
}

// workFactor is the variable with scrypt's work factor for the passphrases that a test sets.
const workFactor = "ASS_TEST_WORK_FACTOR"

const (
	marker    = world.Marker
	underRace = world.UnderRace
)

func withHome(home string) []string { return world.Env(home) }

func assIn(home string, args ...string) ([]byte, error) { return world.Run(home, args...) }

func checkVaults(dir string) []string { return world.CheckVaults(dir) }

// fromRoot returns the path of a file of the project.
func fromRoot(name string) string { return filepath.Join("..", filepath.FromSlash(name)) }
