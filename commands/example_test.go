package commands_test

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"strings"

	"ass/commands"
)

// The whole program runs in this process, with streams, a clock, an environment and a working folder of its own.
func ExampleProgram() {
	home, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(home)
	var out, notes bytes.Buffer
	ass := commands.Program{Stdout: &out, Stderr: &notes, Stdin: strings.NewReader(""), Dir: home,
		Env: []string{"HOME=" + home, "LOCALAPPDATA=" + home}} // of Unix, and of Windows
	ass.Run([]string{"secrets", "set", "demo/KEY", "an example"}) // makes the vault, too
	exit := ass.Run([]string{"secrets", "get", "demo/KEY"})
	fmt.Print(exit, "\n", out.String())
	// Output:
	// 0
	// Secret stored at demo/KEY
	// an example
}
