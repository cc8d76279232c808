# Completion of GPT-2 programs in fish:  gpt2hydra completion fish | source
function __gpt2hydra_program
    set -l words (commandline -opc)
    if string match -q 'python*' (basename $words[1])
        test (count $words) -ge 2; and test -f $words[2]; and contains (basename $words[2]) @SCRIPTS@; or return 1
        string join \n $words[1..2]
    else
        echo $words[1]
    end
end
function __gpt2hydra_complete
    set -l line (commandline -cp)
    set -l word (commandline -ct)
    set -l program (__gpt2hydra_program)
    set -l found (env COMP_LINE="$line" COMP_POINT=(string length -- "$line") $program -sc query=fish 2>/dev/null)
    if test (count $found) -eq 0; and string match -q '*=*' -- $word  # a value that is free text: a path, perhaps
        set -l key (string replace -r '=.*' '=' -- $word)
        for path in (__fish_complete_path (string replace -r '^[^=]*=' '' -- $word))
            echo $key$path
        end
    else if test (count $found) -gt 0
        string join -- \n $found
    end
end
for command in @COMMANDS@
    complete -c $command -f -a '(__gpt2hydra_complete)'
end
for command in python python3
    complete -c $command -n '__gpt2hydra_program >/dev/null' -f -a '(__gpt2hydra_complete)'
end
