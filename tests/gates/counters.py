"""Holds what the simulator counts of every kernel to a table of limits.

    counters.py --limits limits.toml COMMAND...

COMMAND runs a program under the simulator. Of each kernel it launches, the bytes that loads and stores ask for must
fill the sectors that they move.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

from limits import NOT_RUN, Table, not_run, short_name


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--limits", required=True)
    parse.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parse.parse_args()
    table = Table(arguments.limits)
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.jsonl")
        ran = subprocess.run(arguments.command, env=os.environ | {"GPUSIM_REPORT": report}).returncode
        if ran == NOT_RUN or (ran == 0 and not os.path.exists(report)):
            not_run("counters come from the simulator alone")
        if ran != 0:
            return ran
        with open(report) as file:
            kernels = [json.loads(line) for line in file]

    for kernel in kernels:
        name = short_name(kernel["kernel"])
        limits = table.limits_of(name)
        if limits is None:
            continue
        for kind in "load", "store":
            sectors, requests = kernel[f"{kind}_sectors"], kernel[f"{kind}_requests"]
            if requests == 0:
                continue
            ideal = max(1, kernel[f"{kind}_bytes"] / requests / 32)
            print(f"{name}  {kind}: {requests} requests, {sectors / requests:.4g} sectors each, {ideal:.4g} would do")
            table.at_most(name, f"sectors moved by a {kind} for each that would do", sectors / requests / ideal,
                          limits[f"{kind}_sectors"])
        table.at_most(name, "waves in shared memory for an ideal one", kernel["shared_waves_per_ideal"],
                      limits["shared_waves"])
        table.at_most(name, "threads a block (the table counts occupancy with fewer)", kernel["max_threads"],
                      limits["threads"])
        table.at_most(name, "bytes of dynamic shared memory (the table counts occupancy with fewer)",
                      kernel["dynamic_shared"], limits["dynamic_shared"])
    return table.verdict(len(kernels))


if __name__ == "__main__":
    sys.exit(main())
