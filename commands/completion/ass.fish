# fish completion for ass. Answers are handed on as they are and never expanded.
function __ass_complete
    set -l words (commandline -opc) (commandline -ct)
    ass __complete $words[2..-1] 2>/dev/null
end
complete -c ass -a '(__ass_complete)'
