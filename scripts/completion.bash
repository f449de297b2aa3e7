# Completes rondo's commands, options, keys and groups in bash; the program itself says which there are.
_rondo() {
  local word=${COMP_WORDS[COMP_CWORD]} words
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
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
}
complete -F _rondo rondo
