package leaks

import (
	"os"
	"path/filepath"
)

// agentProgram is where a program writes down what an agent read, wrote and ran, as its own documentation or its users
// say in 2026. Names are relative to a base. Where a program is configured to write elsewhere, name that folder to the
// scan.
type agentProgram struct {
	name  string
	files []from
}

// base is where names begin.
type base int

const (
	home    base = iota
	data         // $XDG_DATA_HOME, ~/.local/share
	config       // $XDG_CONFIG_HOME, ~/.config
	state        // $XDG_STATE_HOME, ~/.local/state
	cache        // $XDG_CACHE_HOME, ~/.cache
	editors      // the folder User of each editor that is a VS Code
	here         // the working folder
)

// from is what begins at a base. A variable, if it is set, stands for the first part of the names.
type from struct {
	base     base
	variable string
	names    []string
}

func agentPrograms() []agentProgram {
	at := func(base base, names ...string) []from { return []from{{base, "", names}} }
	return []agentProgram{
		{"Claude Code", []from{{home, "CLAUDE_CONFIG_DIR", []string{".claude"}}, {home, "", []string{".claude.json", ".claude.json.backup"}}}},
		{"Codex", []from{{home, "CODEX_HOME", []string{".codex"}}}},
		{"Gemini CLI", at(home, ".gemini")},
		{"GitHub Copilot CLI", at(home, ".copilot")},
		{"Cursor", at(home, ".cursor/projects", ".cursor/chats", ".cursor/prompt_history.json")},
		{"Aider", append(at(home, ".aider.chat.history.md", ".aider.input.history", ".aider.llm.history"),
			at(here, ".aider.chat.history.md", ".aider.input.history", ".aider.llm.history")...)},
		{"Continue", at(home, ".continue/sessions", ".continue/logs", ".continue/dev_data")},
		{"opencode", append(at(data, "opencode"), at(state, "opencode")...)},
		{"Crush", append(at(data, "crush"), at(here, ".crush")...)},
		{"goose", append(at(data, "goose"), append(at(state, "goose"), at(config, "goose")...)...)},
		{"Amp", append(at(data, "amp"), at(cache, "amp")...)},
		{"Qwen Code", at(home, ".qwen")},
		{"Amazon Q", append(at(home, ".aws/amazonq"), at(data, "amazon-q")...)},
		{"Windsurf", at(home, ".codeium/windsurf")},
		{"Zed", append(at(data, "zed/threads", "zed/conversations"), at(config, "zed/conversations")...)},
		{"Cline", at(editors, "globalStorage/saoudrizwan.claude-dev")},
		{"Roo Code", at(editors, "globalStorage/rooveterinaryinc.roo-cline", "globalStorage/zoocodeorganization.zoo-code")},
		{"Kilo Code", at(editors, "globalStorage/kilocode.kilo-code")},
		{"VS Code chat", at(editors, "globalStorage/emptyWindowChatSessions", "globalStorage/state.vscdb", "workspaceStorage")},
		{"shell", []from{{home, "HISTFILE", []string{".bash_history", ".zsh_history", ".zhistory", ".sh_history", ".local/share/fish/fish_history"}},
			{data, "", []string{"powershell/PSReadLine"}}}}, // agents run commands there, too
	}
}

// Agents returns where agent programs leave transcripts, of what is there, and the names of these programs.
func Agents(getenv func(string) string, homeDir, workingDir string) (roots []Root, programs []string) {
	of := func(variable, usual string) []string {
		if dir := getenv(variable); filepath.IsAbs(dir) {
			return []string{dir}
		}
		if homeDir == "" {
			return nil
		}
		return []string{filepath.Join(homeDir, filepath.FromSlash(usual))}
	}
	bases := map[base][]string{
		home: of("", ""), data: of("XDG_DATA_HOME", ".local/share"), config: of("XDG_CONFIG_HOME", ".config"),
		state: of("XDG_STATE_HOME", ".local/state"), cache: of("XDG_CACHE_HOME", ".cache"), here: {workingDir},
	}
	for _, dir := range append(of("XDG_CONFIG_HOME", ".config"), append(of("APPDATA", "Library/Application Support"),
		of("", ".vscode-server/data")...)...) {
		for _, editor := range []string{"Code", "Code - Insiders", "VSCodium", "Cursor", "Windsurf", ""} {
			bases[editors] = append(bases[editors], filepath.Join(dir, editor, "User"))
		}
	}
	if dir := getenv("APPDATA"); filepath.IsAbs(dir) { // on Windows
		bases[data] = append(bases[data], dir, getenv("LOCALAPPDATA"), filepath.Join(dir, "Microsoft", "Windows"))
		bases[config] = append(bases[config], dir)
	}
	seen := map[string]bool{}
	for _, p := range agentPrograms() {
		there := false
		add := func(path string) {
			info, err := os.Stat(path) // HISTFILE may be /dev/null
			if err == nil && (info.IsDir() || info.Mode().IsRegular()) && filepath.IsAbs(path) && !seen[path] {
				seen[path], there = true, true
				roots = append(roots, Root{path, path})
			}
		}
		for _, f := range p.files {
			if dir := getenv(f.variable); f.variable != "" && filepath.IsAbs(dir) {
				add(filepath.Clean(dir))
			}
			for _, dir := range bases[f.base] {
				for _, name := range f.names {
					add(filepath.Join(dir, filepath.FromSlash(name)))
				}
			}
		}
		if there {
			programs = append(programs, p.name)
		}
	}
	return roots, programs
}
