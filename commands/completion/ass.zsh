#compdef ass
# zsh completion for ass. Answers are handed on as they are and never expanded.
_ass() {
	local -a answers
	answers=("${(@f)$(ass __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
	answers=("${(@)answers:#}")
	if (( ${#answers} )); then
		compadd -- "${(@)answers}"
	else
		_files
	fi
}
if [[ "$funcstack[1]" = "_ass" ]]; then
	_ass "$@"
else
	compdef _ass ass
fi
