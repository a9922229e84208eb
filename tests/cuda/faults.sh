#!/bin/sh
# faults.sh GPUSIM_NAME=VALUE... PROGRAM TEST: runs the test SimulatedFaults.TEST under the simulator, with call 1, 2, ...
# of each kind that the runtime knows failing, until the failing call lies past the test's. 77 without the simulator.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
settings=
while case $1 in GPUSIM_*=*) true ;; *) false ;; esac; do
  settings="$settings $1"
  shift
done
program=$1 test=$2 total=0
for call in alloc memcpy memset launch cudaStreamCreateWithFlags cudaEventCreateWithFlags cudaEventRecord \
  cudaStreamWaitEvent cudaStreamSynchronize cudaEventSynchronize cudaSetDevice cudaDeviceGetDefaultMemPool \
  cudaMemPoolSetAttribute cudaMemGetInfo cudaPointerGetAttributes cublas; do
  refused=0 n=0
  while n=$((n + 1)); do
    status=0
    # shellcheck disable=SC2086 # the settings are words
    said=$("$here/../gpusim.sh" $settings GPUSIM_LEAK=1 GPUSIM_FAIL=$call:$n \
      "$program" --gtest_filter="SimulatedFaults.$test" 2>&1) || status=$?
    [ $status != 77 ] || exit 77
    outcome=${said##*outcome: }
    outcome=${outcome%%[!a-z]*}
    case $call,$outcome,$refused in
      # A test's own preparation comes first and has a second chance; after it, none of these may fail in silence.
      alloc,unharmed,[1-9]* | memcpy,unharmed,[1-9]* | memset,unharmed,[1-9]* | launch,unharmed,[1-9]*)
        case $said in *GPUSIM_FAIL:*) status="$status: call $n was refused, and the test went on" ;; esac ;;
    esac
    if [ "$status" != 0 ]; then
      printf '%s\n%s\n' "$said" "$test with $call:$n failing: exit status $status"
      exit 1
    fi
    case $said in *GPUSIM_FAIL:*) ;; *) break ;; esac
    [ "$outcome" != past ] || break
    [ "$outcome" != refused ] || refused=$((refused + 1))
  done
  total=$((total + refused))
done
echo "$test: $total failing calls, each refused with a typed error"
[ $total -gt 0 ]
