#!/usr/bin/env bash
# A wheel as those have it who install it: in a new environment, with numpy alone, no compiler and no sources on the path.
# Five lines give a batch of Fashion-MNIST; what was measured is written to tested.txt beside the wheel.
#   tests/wheel/run.sh FILE.whl [PYTHON]
set -euo pipefail
wheel=$(realpath "$1") python=$(command -v "${2:-/usr/bin/python3}")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

mkdir "$folder/bin" "$folder/work"
for tool in bash env cat; do ln -s "$(command -v $tool)" "$folder/bin/$tool"; done
"$python" -m venv "$folder/venv"
cd "$folder/work"
export PATH=$folder/venv/bin:$folder/bin
for compiler in cc c++ gcc g++ clang cmake ninja; do
  if command -v $compiler >&2; then echo "test-wheel: $compiler is on the path" >&2 && exit 1; fi
done

started=${EPOCHREALTIME/./}
pip install --quiet --disable-pip-version-check --only-binary :all: "$wheel"
python "$here/five_lines.py"
seconds=$(((${EPOCHREALTIME/./} - started) / 100000))
{
  echo "wheel $(basename "$wheel"), $(python -c 'import os, sys; print(f"{os.path.getsize(sys.argv[1]) / 1e6:.1f} MB")' "$wheel")"
  echo "needs $(pip list --disable-pip-version-check --format freeze --exclude pip --exclude setuptools | tr '\n' ' ')"
  echo "from pip install to a batch of Fashion-MNIST: $((seconds / 10)).$((seconds % 10)) s"
  python "$here/import_time.py"
  poolwise --version
  # The command is the package's own, and finds its data.
  poolwise reproduce lu2023-sonar --seeds 0 --quick >/dev/null && echo "the command repeats a published run"
} | tee "$(dirname "$wheel")/tested.txt"
[ $seconds -lt 600 ]
