// Goreaders reads .env files with the parsers of docker compose and of godotenv, for
// tests that compare. It gets the name of a parser as its argument and the names of the
// files as a JSON list on stdin, and prints a JSON list of what is in each; values are in
// base64, as they need not be text.
package main

import (
	"encoding/json"
	"io"
	"log"
	"os"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/joho/godotenv"
)

func main() {
	parse := map[string]func(io.Reader) (map[string]string, error){
		"compose":  func(r io.Reader) (map[string]string, error) { return dotenv.ParseWithLookup(r, os.LookupEnv) },
		"godotenv": godotenv.Parse,
	}[os.Args[1]]
	var files []string
	if err := json.NewDecoder(os.Stdin).Decode(&files); err != nil {
		log.Fatal(err)
	}
	var read []map[string][]byte
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			log.Fatal(err)
		}
		all, err := parse(f)
		if err != nil {
			log.Fatalf("%s: %v", file, err)
		}
		_ = f.Close()
		values := map[string][]byte{}
		for name, value := range all {
			values[name] = []byte(value)
		}
		read = append(read, values)
	}
	if err := json.NewEncoder(os.Stdout).Encode(read); err != nil {
		log.Fatal(err)
	}
}
