#!/usr/bin/env bash
# Builds the documentation site into build/docs/site.
#   cmake/docs.sh COMMAND MODULES        the built command, and the folder that the package `poolwise` lies in
set -euo pipefail
command=$(realpath "$1") modules=$(realpath "$2")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
requirements=cmake/requirements-docs.txt
if ! cmp --silent $requirements build/docs/venv/requirements.txt; then
  python=/usr/bin/python3
  [ -x $python ] || python=python3
  $python -m venv --clear build/docs/venv
  build/docs/venv/bin/pip install --quiet --disable-pip-version-check --requirement $requirements
  cp $requirements build/docs/venv/requirements.txt
fi
export NO_MKDOCS_2_WARNING=1  # on the end of mkdocs-material in 2027
exec build/docs/venv/bin/python docs/site/build.py build/docs "$command" "$modules"
