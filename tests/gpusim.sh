#!/bin/sh
# gpusim.sh GPUSIM_NAME=VALUE... PROGRAM ARGUMENT...: runs PROGRAM, whose tests need a GPU: under $POOLWISE_GPUSIM, the
# simulator's gpusim-run, where that is named; else on this machine's own GPU. 77, by which CTest reports the test as not
# run, where there is neither. Settings of the simulator ask for the simulator.
set -eu
settings=
while case $1 in GPUSIM_*=*) true ;; *) false ;; esac; do
  export "$1"
  settings=1
  shift
done
if [ -n "${POOLWISE_GPUSIM:-}" ]; then exec "$POOLWISE_GPUSIM" "$@"; fi
case " $* " in *" --gtest_list_tests "*) exec "$@" ;; esac
if [ -z "$settings" ] && nvidia-smi --list-gpus >/dev/null 2>&1; then exec "$@"; fi
echo "not run: POOLWISE_GPUSIM does not name gpusim-run${settings:+ }, and there is no GPU"
exit 77
