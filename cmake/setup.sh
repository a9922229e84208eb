#!/usr/bin/env bash
# What a build needs and this machine lacks: Debian packages, and a Python environment in build/venv.
#   cmake/setup.sh [sanitizers] [aarch64] [tidy]        beyond what every build needs: for `make asan` and `make tsan`,
#                                            `make test-aarch64`, `make tidy` and `make format`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Of the builds of OpenBLAS the one on OpenMP: another starts threads of its own with the process, and for their first
# milliseconds these spin on the cores that our threads compute on.
packages=(g++ cmake ninja-build ccache python3 python3-venv python3-dev libfaiss-dev libhwy-dev libopenblas-openmp-dev
  libeigen3-dev liblbfgs-dev libsvm-dev libboost-dev zlib1g-dev libsqlite3-dev libsqlitecpp-dev libssl-dev libcli11-dev
  nlohmann-json3-dev libtomlplusplus-dev libcpp-httplib-dev libsodium-dev libopenmpi-dev openmpi-bin libgtest-dev
  libbenchmark-dev dataset-fashion-mnist)
for group in "$@"; do
  case $group in
    sanitizers) packages+=(clang-14 libomp-14-dev libclang-rt-14-dev llvm-14) ;;
    aarch64) packages+=(g++-aarch64-linux-gnu qemu-user-static debootstrap) ;;
    tidy) packages+=(clang-14 libomp-14-dev clang-tidy-14 clang-format-14) ;;
    *) echo "setup: unknown group $group; pass sanitizers, aarch64 or tidy" >&2 && exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "setup: this is no Debian or Ubuntu; taking for granted what these Debian packages hold: ${packages[*]}"
  missing=()
else
  installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${packages[@]}" 2>/dev/null |
    sed -n 's/^installed //p' || true)
  mapfile -t missing < <(printf '%s\n' "${packages[@]}" | grep --fixed-strings --line-regexp --invert-match "$installed")
fi

if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ]; then
    printf 'setup: these packages are missing; install them and run this again:\n  sudo apt-get install %s\n' \
      "${missing[*]}" >&2
    exit 1
  fi
  echo "setup: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o Acquire::Retries=3 update
  apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install --yes --no-install-recommends "${missing[@]}" >/dev/null
fi

# Debian's own interpreter, for which python3-venv was installed, ahead of another one on the path.
requirements=(cmake/requirements.txt)
if command -v nvcc "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" >/dev/null; then requirements+=(cmake/requirements-cuda.txt); fi
if ! cat "${requirements[@]}" | cmp --silent - build/venv/requirements.txt; then
  echo "setup: installing $(grep --no-filename --invert-match '^#' "${requirements[@]}" | paste --serial --delimiters=' ') into build/venv"
  python=/usr/bin/python3
  [ -x $python ] || python=python3
  $python -m venv --clear build/venv
  build/venv/bin/pip install --quiet --disable-pip-version-check "${requirements[@]/#/--requirement=}"
  cat "${requirements[@]}" >build/venv/requirements.txt
fi
