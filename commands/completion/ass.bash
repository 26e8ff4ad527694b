# bash completion for ass. Answers are read line by line and never expanded.
_ass() {
	local words=("${COMP_WORDS[@]:1:COMP_CWORD}")
	COMPREPLY=()
	local line
	while IFS= read -r line; do
		COMPREPLY+=("$line")
	done < <(ass __complete "${words[@]}" 2>/dev/null)
	if [[ ${#COMPREPLY[@]} -eq 0 ]]; then
		compopt -o default
	fi
}
complete -F _ass ass
