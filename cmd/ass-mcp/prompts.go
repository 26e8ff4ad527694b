package main

import (
	"context"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// prompts are the common errands, for people who start them from a menu of their client.
var prompts = []struct {
	name, description, text string
	args                    []*mcp.PromptArgument
}{
	{"use_secret", "Use a secret without seeing its value.", `Use the secret at {path} for this: {task}
First call explain with the path. If you may read it, give it to a program with run_command (secrets: a variable and this path), or fill it into a file with write_file ({{ ass://{path} }} in the template). If reading needs approval, call request_access with a reason that a human understands, tell them the command in the answer, and wait with get_approval_status. Do not print the value, and do not ask for it in this conversation.`,
		[]*mcp.PromptArgument{{Name: "path", Description: "whole path of the secret", Required: true},
			{Name: "task", Description: "what it is needed for", Required: true}}},
	{"rotate_secret", "Replace the value of a secret.", `Rotate the secret at {path}.
First say which service it is for, and how that service gets the next value: that must be possible without this conversation seeing it. Then call rotate_secret without a value, which stores a random one, and hand it to the service with run_command or write_file. Check that the service accepts it. If the service makes the value itself, have a program store it: pipe it into ass secrets rotate.`,
		[]*mcp.PromptArgument{{Name: "path", Description: "whole path of the secret", Required: true}}},
	{"ask_for_access", "Ask a human for a secret.", `I need the secret at {path} for this: {reason}
Call whoami to see whether your scopes cover the path. If they do not, say so: only the owner can widen them. If they do, call request_access with the path and this reason, tell the human the command that the answer has, and wait with get_approval_status.`,
		[]*mcp.PromptArgument{{Name: "path", Description: "whole path of the secret", Required: true},
			{Name: "reason", Description: "what it is needed for", Required: true}}},
}

func addPrompts(srv *mcp.Server) {
	for _, p := range prompts {
		srv.AddPrompt(&mcp.Prompt{Name: p.name, Description: p.description, Arguments: p.args},
			func(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
				return &mcp.GetPromptResult{Description: p.description, Messages: []*mcp.PromptMessage{{
					Role: "user", Content: &mcp.TextContent{Text: filled(p.text, req.Params.Arguments)},
				}}}, nil
			})
	}
}

// filled fills arguments into a text. It takes typed words as text, and fills nothing into them.
func filled(text string, args map[string]string) string {
	pairs := []string{"{{ ass://", "{{ ass://"} // stays as it is
	for name, value := range args {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
