# Completion of GPT-2 programs in zsh:  eval "$(gpt2hydra completion zsh)", after compinit
_gpt2hydra() {
    local line="$LBUFFER" word="${LBUFFER##*[[:space:]]}" each
    local -a program found open closed
    program=("$words[1]")
    if [[ "${words[1]:t}" == python* ]]; then
        if [[ " @SCRIPTS@ " != *" ${words[2]:t} "* || ! -f "$words[2]" || $CURRENT -le 2 ]]; then
            autoload -Uz _python && _python "$@"
            return
        fi
        program+=("$words[2]")
    fi
    found=("${(@f)$(COMP_LINE="$line" COMP_POINT=${#line} "${program[@]}" -sc query=zsh 2>/dev/null)}")
    for each in $found; do
        if [[ "$each" == *[.=] ]]; then open+=("$each"); else closed+=("$each"); fi
    done
    if (( ${#open} + ${#closed} == 0 )) && [[ "$word" == *=* ]]; then  # a value that is free text: a path, perhaps
        compset -P 1 '*='
        _files
        return
    fi
    compadd -Q -S '' -a open
    compadd -Q -a closed
}
compdef _gpt2hydra @COMMANDS@ python python3
