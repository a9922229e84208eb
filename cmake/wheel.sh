#!/usr/bin/env bash
# Builds the wheel of the Python package, with the libraries that it needs inside, into build/wheel.
#   cmake/wheel.sh [NAME=VALUE ...]        CMake's definitions: POOLWISE_CUDA=ON
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
most_bytes=$((12 * 1000 * 1000))
wheel=$PWD/build/wheel requirements=$PWD/cmake/requirements-wheel.txt

if ! cmp --silent "$requirements" "$wheel/venv/requirements.txt"; then
  python=/usr/bin/python3
  [ -x $python ] || python=python3
  $python -m venv --clear "$wheel/venv"
  "$wheel/venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
  cp "$requirements" "$wheel/venv/requirements.txt"
fi
export PATH=$wheel/venv/bin:$PATH

definitions=(POOLWISE_CUDA=OFF POOLWISE_WERROR=ON CMAKE_BUILD_TYPE=Release "$@")
# The tree lies beside build/release, and the compiler goes by the same name: so ccache knows what was compiled there.
export CXX=${CXX:-/usr/bin/c++}
rm -rf "$wheel/linked" "$wheel"/*.whl
pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$wheel/linked" \
  --config-settings=build-dir="$PWD/build/wheel_tree" --config-settings=install.strip=true \
  "${definitions[@]/#/--config-settings=cmake.define.}" ./bindings/python
# CUDA's runtime is NVIDIA's to hand out: its wheels lie beside ours.
auditwheel repair --strip --zip-level 9 --exclude 'libcudart.so.*' --wheel-dir "$wheel" "$wheel"/linked/*.whl 2>"$wheel/auditwheel.log" ||
  { cat "$wheel/auditwheel.log" >&2 && exit 1; }

file=$(echo "$wheel"/*.whl)
bytes=$(stat --format=%s "$file")
echo "wheel: ${file#"$PWD"/}, $(awk "BEGIN { printf \"%.1f MB\", $bytes / 1e6 }")"
if [[ "${definitions[*]}" != *POOLWISE_CUDA=ON* && $bytes -gt $most_bytes ]]; then
  echo "wheel: more than $((most_bytes / 1000000)) MB" >&2
  exit 1
fi
