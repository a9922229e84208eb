"""What `plan` says against what `select` takes, for every strategy at two sizes.

    build/venv/bin/python bench/engine/plan_against_run.py build/release/poolwise [STRATEGY...]

Both count time of the processor, on one thread, which others on the machine move least: a library that is preloaded
gives them that clock. Prints a line for each strategy and size, the interval that `plan` gives, and ends with 1 where a
run of more than .02 s lies beyond half or twice what was said.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

CLOCK = """#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t which, struct timespec* now) {
  return syscall(SYS_clock_gettime, which == CLOCK_MONOTONIC ? CLOCK_PROCESS_CPUTIME_ID : which, now);
}
"""

SIZES = ((5_000, 50), (40_000, 200))  # rows, picks
FEATURES, CLASSES, MEMBERS = 64, 10, 4


def write(folder, rows):
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((50, FEATURES)) * 2

    def normals(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    arrays = {
        "embeddings": (centres[rng.integers(0, 50, rows)] + normals(rows, FEATURES)).astype(np.float32),
        "logits": 2 * normals(rows, CLASSES),
        "committee": 2 * normals(MEMBERS, rows, CLASSES),
        "targets": 2 * normals(MEMBERS, 100, CLASSES),
        "predictions": normals(MEMBERS, rows, 1),
        "queries": normals(20, FEATURES),
        "private": normals(20, FEATURES),
        "labelled": np.arange(0, rows, rows // 100),
        "labels": rng.integers(0, CLASSES, rows).astype(np.float32),
        "cost-matrix": (1 - np.eye(CLASSES)).astype(np.float32),
    }
    options = []
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
        options += [f"--{name}", str(folder / f"{name}.npy")]
    return options


def main(command, wanted):
    listed = subprocess.run([command, "strategies", "--markdown"], capture_output=True, text=True, check=True).stdout
    names = wanted or [line.split("`")[1] for line in listed.splitlines() if line.startswith("| `")]
    print(f"{'strategy':28} {'rows':>6} {'plan, s':>9} {'between':>9} {'and':>9} {'run, s':>9} {'ratio':>6}")
    far, within, counted = 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        (folder / "clock.c").write_text(CLOCK)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "clock.so", folder / "clock.c"], check=True)
        environment = {**os.environ, "LD_PRELOAD": str(folder / "clock.so"), "OMP_NUM_THREADS": "1"}

        def said(verb, query):
            done = subprocess.run([command, verb, *query, "--json"], env=environment, capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(done.stderr.strip())
            return json.loads(done.stdout)

        for rows, picks in SIZES:
            options = write(folder, rows)
            for name in names:
                query = [*options, "--strategy", name, "--batch", str(picks)]
                try:
                    plan, run = said("plan", query), said("select", query)
                except RuntimeError as refusal:
                    print(f"{name:28} {rows:6} {refusal}", flush=True)
                    continue
                took = max(1e-6, run["rank_seconds"] + run["diversify_seconds"])
                ratio = plan["seconds"] / took
                short = max(took, plan["seconds"]) < 0.02
                apart = not short and not 0.5 <= ratio <= 2
                far += apart
                counted += not short
                within += not short and plan["least_seconds"] <= took <= plan["most_seconds"]
                numbers = f"{plan['seconds']:9.4f} {plan['least_seconds']:9.4f} {plan['most_seconds']:9.4f} {took:9.4f}"
                print(f"{name:28} {rows:6} {numbers} {ratio:6.2f}{'  apart' if apart else ''}", flush=True)
    print(f"{counted} of more than .02 s: {far} beyond a factor of 2, {within} within the interval")
    return 1 if far else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
