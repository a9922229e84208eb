"""Whether the demo and the published experiments give the same bits on every machine: each instruction set of this
one is forced in turn, with 1 and 2 threads and with every BLAS that is installed.

    build/venv/bin/python tests/cli/same_everywhere.py poolwise libpoolwise_cpu_target.so [DEMO_SEEDS [ROUNDS [EXPERIMENT]]]

Prints a digest of all results of each run, times left out; ends with 1 unless they are all the same.
"""

import hashlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

TIMES = ("environment", "seconds", "seconds_per_round", "rank_seconds", "diversify_seconds")
LIBRARIES = pathlib.Path("/usr/lib/x86_64-linux-gnu")


def targets():
    flags = set(pathlib.Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split())
    has = {"avx512_vnni": "avx512_vnni", "avx512": "avx512f", "avx2": "avx2", "sse4": "sse4_1"}
    return [name for name, flag in has.items() if flag in flags] + ["scalar"]


def blas_builds():
    """Environments that load one each, and two kernels of OpenBLAS."""
    yield "default", {}
    for folder in ("openblas-openmp", "openblas-pthread", "lapack"):
        if (LIBRARIES / folder / "liblapack.so.3").exists():
            paths = [str(LIBRARIES / folder), str(LIBRARIES / "blas")]
            yield folder, {"LD_LIBRARY_PATH": ":".join(paths)}
    yield "OpenBLAS for Nehalem", {"OPENBLAS_CORETYPE": "Nehalem"}


def settled(value):
    """Without what times are measured."""
    if isinstance(value, dict):
        return {key: settled(one) for key, one in value.items() if key not in TIMES}
    return [settled(one) for one in value] if isinstance(value, list) else value


def digest(command, arguments, environment):
    with tempfile.TemporaryDirectory() as out:
        run = subprocess.run([*command, *arguments, "--json", "--out", out], env=environment, capture_output=True,
                             text=True)
    if run.returncode != 0:
        sys.exit(f"{' '.join(arguments)} ended with {run.returncode}: {run.stderr}")
    text = json.dumps(settled(json.loads(run.stdout)), sort_keys=True).replace(out, "OUT")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def main(command, shim, seeds="5", rounds="20", experiment="all"):
    runs = {"demo": ["demo", "--seeds", seeds, "--rounds", rounds], "reproduce": ["reproduce", experiment, "--quick"]}
    every = list(itertools.product(targets(), ("1", "2"), [("default", {})]))
    every += [(targets()[0], "2", blas) for blas in blas_builds()]
    seen = {name: set() for name in runs}
    for target, threads, (blas, more) in every:
        environment = {**os.environ, **more, "LD_PRELOAD": shim, "CPU_TARGET": target, "OMP_NUM_THREADS": threads}
        line = f"{target:12} {threads} threads  BLAS: {blas:20}"
        for name, arguments in runs.items():
            begin = time.monotonic()
            found = digest([command], arguments, environment)
            seen[name].add(found)
            line += f"  {name} {found} ({time.monotonic() - begin:.0f} s)"
        print(line, flush=True)
    sys.exit(0 if all(len(found) == 1 for found in seen.values()) else 1)


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
