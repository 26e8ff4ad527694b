package asstest_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"ass/commands/asstest"
)

// A script of another project gets a vault with secrets in it. In a test, testscript
// makes the environment.
func ExampleSetup() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	env := &testscript.Env{WorkDir: dir}
	if err := asstest.Setup(env, map[string]string{"prod/API_KEY": "s3cret"}); err != nil {
		log.Fatal(err)
	}
	_, err = os.Stat(filepath.Join(env.Getenv("XDG_DATA_HOME"), "ass", "vault.db"))
	fmt.Println(err)
	// Output: <nil>
}

// TestSetupRefuses shows that a secret at no valid path stops the setup, with its name and
// without its value.
func TestSetupRefuses(t *testing.T) {
	env := &testscript.Env{WorkDir: t.TempDir()}
	err := asstest.Setup(env, map[string]string{"nowhere": "hunter2"})
	if want := `secret "nowhere": path: it has no namespace; a whole path is namespace/…/KEY`; err == nil ||
		err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}
