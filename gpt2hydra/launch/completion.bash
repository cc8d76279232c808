# Completion of GPT-2 programs in bash:  eval "$(gpt2hydra completion bash)"
_gpt2hydra() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$' \t\n'
    local words=($line) word="${line##*[[:space:]]}"
    local program=("${words[0]}")
    if [[ "${words[0]##*/}" == python* ]]; then
        [[ " @SCRIPTS@ " == *" ${words[1]##*/} "* && -f "${words[1]}" && "$line" == *"${words[1]}"[[:space:]]* ]] || return 0
        program+=("${words[1]}")
    fi
    IFS=$'\n'
    COMPREPLY=($(COMP_LINE="$line" COMP_POINT=${#line} "${program[@]}" -sc query=bash 2>/dev/null))
    if [[ ${#COMPREPLY[@]} == 0 && "$word" == *=* ]]; then  # a value that is free text: a path, perhaps
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "${word#*=}"))
        [[ "$COMP_WORDBREAKS" == *=* ]] || COMPREPLY=("${COMPREPLY[@]/#/${word%%=*}=}")
    elif [[ "$word" == *=* && "$COMP_WORDBREAKS" == *=* ]]; then  # readline completes what is behind the equals sign
        COMPREPLY=("${COMPREPLY[@]#"${word%%=*}="}")
    fi
}
complete -o nospace -o default -F _gpt2hydra @COMMANDS@ python python3
