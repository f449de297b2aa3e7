# Completes rondo's commands, options, keys and groups in bash; the program itself says which there are.
_rondo() {
  # Bash breaks words at "=": put the one under the cursor together again.
  local before=${COMP_LINE:0:COMP_POINT} word words at
  word=${before##*[[:space:]]}
  COMPREPLY=()
  if [[ ${COMP_WORDS[1]} == "$word" || -z ${COMP_WORDS[1]} ]]; then
    words=$(rondo --help-words 2>/dev/null)
  else
    words=$(rondo "${COMP_WORDS[1]}" --help-words 2>/dev/null)
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  if ((${#COMPREPLY[@]} == 0)); then
    compopt -o default
  elif [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
    compopt -o nospace
  fi
  # What bash replaces begins after the last "=".
  if [[ $word == *=* && $COMP_WORDBREAKS == *=* ]]; then
    for at in "${!COMPREPLY[@]}"; do COMPREPLY[at]=${COMPREPLY[at]#"${word%=*}="}; done
  fi
}
complete -F _rondo rondo
