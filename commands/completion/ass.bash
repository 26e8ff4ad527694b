# bash completion for ass. Answers are read line by line and never expanded.
_ass() {
	# bash splits words at = and :, and ass wants them whole.
	local words=() rest=$COMP_LINE word next line i
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		next=${rest#"${rest%%[![:space:]]*}"}
		if ((i > 1)) && [[ $rest == "$next" && $next == "$word"* && -n $next ]]; then
			words[${#words[@]} - 1]+=$word
		else
			words+=("$word")
		fi
		rest=${next#"$word"}
	done
	local current=${words[${#words[@]} - 1]} part=${COMP_WORDS[COMP_CWORD]}
	case $part in
	= | :) part= ;;
	esac
	COMPREPLY=()
	while IFS= read -r line; do
		if [[ $line == :files ]]; then
			compopt -o default
		else
			line=${line%%$'\t'*}
			COMPREPLY+=("${line#"${current%"$part"}"}")
			case $line in
			*[:=/]) compopt -o nospace ;;
			esac
		fi
	done < <(ass __suggest "${words[@]:1}" 2>/dev/null </dev/null)
}
complete -F _ass ass
