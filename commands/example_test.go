package commands_test

import (
	"bytes"
	"fmt"
	"log"
	"os"

	"ass/commands"
)

// The whole program runs in this process, with streams and a clock of its own.
func ExampleProgram() {
	home, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(home)
	for _, name := range []string{"XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"} {
		defer os.Setenv(name, os.Getenv(name))
		os.Setenv(name, home)
	}
	var out, notes bytes.Buffer
	ass := commands.Program{Stdout: &out, Stderr: &notes}
	ass.Run([]string{"secrets", "set", "demo/KEY", "an example"}) // makes the vault, too
	exit := ass.Run([]string{"secrets", "get", "demo/KEY"})
	fmt.Print(exit, "\n", out.String())
	// Output:
	// 0
	// Secret stored at demo/KEY
	// an example
}
