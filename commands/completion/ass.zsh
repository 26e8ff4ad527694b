#compdef ass
# zsh completion for ass. Answers are handed on as they are and never expanded.
_ass() {
	local -a lines names about open
	local line name
	lines=("${(@f)$(ass __suggest "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null </dev/null)}")
	lines=("${(@)lines:#}")
	if [[ "$lines[1]" = ":files" ]]; then
		compset -P '--*='
		_files
		return
	fi
	if (( ${#lines} > 1000 )); then # the descriptions would take seconds
		compadd -- "${(@)lines%%$'\t'*}"
		return
	fi
	for line in "${(@)lines}"; do
		name="${line%%$'\t'*}"
		line="${name//:/\\:}:${${line#$name}#$'\t'}"
		if [[ "$name" = *[:=/] ]]; then
			open+=("$line")
		else
			names+=("$line")
		fi
	done
	_describe -t values value names -- open -S ''
}
if [[ "$funcstack[1]" = "_ass" ]]; then
	_ass "$@"
else
	compdef _ass ass
fi
