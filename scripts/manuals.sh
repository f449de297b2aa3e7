#!/usr/bin/env bash
# Writes rondo's manual pages: manuals.sh RONDO DIR makes DIR/man1/rondo.1, rondo-COMMAND.1 and DIR/man5/rondo-config.5.
set -euo pipefail
rondo=$1
folder=$2
mkdir -p "$folder/man1" "$folder/man5"
"$rondo" --help-manual >"$folder/man1/rondo.1"
for command in $("$rondo" --help-words); do
  "$rondo" "$command" --help-manual >"$folder/man1/rondo-$command.1"
done
"$rondo" train --help-config=manual >"$folder/man5/rondo-config.5"
