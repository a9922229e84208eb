#!/bin/sh
# gpusim.sh GPUSIM_NAME=VALUE... PROGRAM ARGUMENT...: runs PROGRAM under $POOLWISE_GPUSIM, the simulator's gpusim-run.
# 77, by which CTest reports the test as not run, where there is none.
set -eu
[ -n "${POOLWISE_GPUSIM:-}" ] || { echo "not run: POOLWISE_GPUSIM does not name gpusim-run"; exit 77; }
while case $1 in GPUSIM_*=*) true ;; *) false ;; esac; do
  export "$1"
  shift
done
exec "$POOLWISE_GPUSIM" "$@"
