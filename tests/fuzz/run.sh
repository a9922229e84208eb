#!/usr/bin/env bash
# Runs the fuzzers of a build one after the other, FUZZ_SECONDS together, and says how many inputs each has tried.
#   tests/fuzz/run.sh BUILD [NAME...]
# BUILD/found/NAME holds the inputs that grew out of the corpus, BUILD/found/NAME.* those that broke something.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "$1" && pwd)
shift
[ $# -gt 0 ] || set -- $(cd "$here/corpus" && echo *)
seconds=$((${FUZZ_SECONDS:-3600} / $#))
if [ $seconds -eq 0 ]; then seconds=1; fi

mkdir -p "$build/found"
status=0
for name in "$@"; do
  mkdir -p "$build/found/$name"
  log=$build/found/$name.log
  if OMP_NUM_THREADS=1 "$build/fuzz_$name" -max_total_time=$seconds -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -verbosity=1 -artifact_prefix="$build/found/$name." \
    "$build/found/$name" "$here/corpus/$name" >"$log" 2>&1; then
    said="no finding"
  else
    status=1
    said="see $log"
  fi
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  printf '%-12s %12s runs  %4d s  %s\n' "$name" "${runs:-?}" "$seconds" "$said"
done
exit $status
