// Ass-mcp is a Model Context Protocol server over stdio, for an AI agent that uses the vault of
// ass. `ass mcp` starts it. It is a program of its own because the SDK would make every command
// of ass slower.
//
// It runs on an agent key or a token, never on the owner's key. Each call of a tool is a run of
// ass in this process, with the same checks, errors and log entries, so the server holds neither
// the vault nor a key between calls.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"ass/commands"
)

// options say what the server may do for the model.
type options = commands.MCPAllowed

func main() {
	// run_command starts this program again as ass, in a process group of its own.
	if strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == "ass" {
		commands.Program{Confined: true, Errors: errorPipe()}.Main()
	}
	var o options
	kong.Parse(&o, kong.Name("ass-mcp"), kong.Description("A Model Context Protocol server for the vault of ass, over "+
		"stdio."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends this program at once
	if err := serve(ctx, o, &mcp.StdioTransport{}); err != nil {
		fmt.Fprintln(os.Stderr, "ass-mcp:", err)
		os.Exit(1)
	}
}

// serve serves one client until it goes away.
func serve(ctx context.Context, o options, t mcp.Transport) error {
	s, err := newServer(ctx, o, os.Environ(), "")
	if err != nil {
		return err
	}
	if err := s.program(nil, nil, nil).CheckCredential(); err != nil {
		return err
	}
	err = s.mcp().Run(ctx, t)
	if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) { // the client has gone, or a signal has come
		return nil
	}
	return err
}
