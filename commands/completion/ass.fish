# fish completion for ass. Answers are handed on as they are and never expanded.
function __ass_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines (ass __suggest $words[2..-1] "$current" 2>/dev/null </dev/null)
    if test "$lines" = :files
        __fish_complete_path "$current"
    else
        printf '%s\n' $lines
    end
end
complete -c ass -f -a '(__ass_complete)'
