#!/usr/bin/env bash
# Runs the README's command-line example in a folder of its own, with the built command and Python on the path.
#   run.sh README.md COMMAND PYTHON
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin"
ln -s "$2" "$folder/bin/poolwise"
printf '#!/bin/sh\nexec "%s" "$@"\n' "$3" >"$folder/bin/python3"
chmod +x "$folder/bin/python3"
"$3" "$(dirname "$0")/block.py" "$1" sh >"$folder/example.sh"
cd "$folder"
PATH=$folder/bin:$PATH bash -euo pipefail example.sh
[ "$(head -n 1 picks.csv)" = rank,row,id,score,cost,reason,margin ]
[ "$(wc -l <picks.csv)" = 101 ]
