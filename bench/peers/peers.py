#!/usr/bin/env python3
"""Poolwise beside what a user would pick instead, on the same data, in one run.

    make peers                                         or: PYTHONPATH=build/release/python python bench/peers/peers.py
    ... peers.py [--quick] [--only WORD] [--limit SECONDS] [--threads N] [--out FOLDER]

Makes its environment (build/peers-venv, from requirements.txt beside this) and runs in it. One process holds the data;
every entrant runs in a fork of it, so that its memory is its own and it can be stopped. An entrant climbs from
small pools to the whole one for as long as the next step is expected to end within the time limit; the table says
how far it came, and gives Poolwise's time for the same rows. Results are held to what they claim. Writes peers.txt,
peers.json and peers.png.
"""

import argparse
import json
import math
import multiprocessing
import os
import pathlib
import platform
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TREE = HERE.parents[1]
VENV = TREE / "build" / "peers-venv"


def environment():
    """Makes the environment if the requirements changed, and goes on inside it."""
    wanted = (HERE / "requirements.txt").read_text()
    done = VENV / "requirements.txt"
    if not done.exists() or done.read_text() != wanted:
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        pip = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        needed, peers = wanted.split("# peers\n")
        needed = [line for line in needed.split("\n") if line and not line.startswith("#")]
        subprocess.run([*pip, *needed], check=True)
        # One at a time: a peer that cannot be installed stops no other. Its cases say that it is not there.
        for peer in peers.split():
            if subprocess.run([*pip, *needed, peer]).returncode:
                print(f"peers: {peer} cannot be installed", file=sys.stderr)
        done.write_text(wanted)
    os.execv(VENV / "bin" / "python", [str(VENV / "bin" / "python"), *sys.argv])


if __name__ == "__main__" and pathlib.Path(sys.prefix) != VENV:
    environment()

import cases as contest
import numpy as np


def resident(field):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split(field + ":")[1].split()[0]) * 1024


def timed(call, seconds_left):
    """The best of up to five runs, its result, and the memory that the first took beyond what was there."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    before = resident("VmRSS")
    best, spent, result, grown = math.inf, 0.0, None, 0
    for run in range(5):
        start = time.perf_counter()
        result = call()
        took = time.perf_counter() - start
        if run == 0:
            grown = resident("VmHWM") - before
        best, spent = min(best, took), spent + took
        if spent > min(2.0, seconds_left):
            break
    return best, result, max(0, grown)


def climb(pipe, case, entrant, data, limit, threads):
    """Runs in a fork: one message for each rung, and why it ended."""
    try:
        steps = []
        for i, rows in enumerate(case.rungs):
            if steps:
                growth = max(1.0, exponent(steps) or 1.0)
                expected = steps[-1][1] * (rows / steps[-1][0]) ** growth
                if expected > limit:
                    pipe.send(("stopped", f"{rows:,} rows would take about {expected:.0f} s"))
                    return
            part = case.first(data, rows)
            seconds, result, grown = timed(entrant.prepare(part, threads), limit)
            checked = i == (case.checked_rung % len(case.rungs))
            if checked:
                case.check(part, result, entrant.claims)
            steps.append((rows, seconds))
            pipe.send(("rung", {"rows": rows, "seconds": seconds, "memory": grown, "checked": checked,
                                "work": case.work(part)}))
        pipe.send(("done", ""))
    except ImportError as problem:
        pipe.send(("failed", f"not there: {problem}".split("\n")[0]))
    except AssertionError as problem:
        lines = [line for line in str(problem).split("\n") if line.strip()]
        pipe.send(("failed", "DEFECT, not what it claims: " + " ".join(lines[:3])[:160]))
    except Exception as problem:  # a peer may fail in any way; the table says how
        pipe.send(("failed", f"{type(problem).__name__}: {problem}".split("\n")[0][:160]))


def exponent(steps):
    """Of the growth of time with rows, between the last two steps."""
    if len(steps) < 2:
        return None
    (n, t), (m, u) = steps[-2:]
    return math.log(u / t) / math.log(m / n)


def enter(case, entrant, data, limit, threads):
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    child = fork.Process(target=climb, args=(theirs, case, entrant, data, limit, threads))
    child.start()
    theirs.close()
    rungs, how, deadline = [], ("failed", "ended without a word"), time.monotonic() + 3 * limit
    try:
        while ours.poll(max(0.0, deadline - time.monotonic())):
            kind, what = ours.recv()
            if kind == "rung":
                rungs.append(what)
            else:
                how = (kind, what)
                break
        else:
            how = ("stopped", f"{3 * limit:.0f} s had passed")
    except EOFError:
        pass
    if how[0] in ("stopped", "failed"):
        child.kill()
    child.join()
    return {"case": case.name, "entrant": entrant.name, "claims": entrant.claims, "rungs": rungs, "ended": how[0],
            "why": how[1], "exponent": exponent([(r["rows"], r["seconds"]) for r in rungs])}


def machine_limits(pipe, threads):
    """Bytes a second read from memory, and operations a second of an fp32 GEMM: the best of several."""
    import numba

    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))

    @numba.njit(parallel=True, fastmath=True)
    def total(x):
        sums = np.zeros(64, np.float32)
        step = len(x) // 64
        for part in numba.prange(64):
            s = np.float32(0)
            for i in range(part * step, (part + 1) * step):
                s += x[i]
            sums[part] = s
        return sums.sum()

    def best(call):
        call()
        times = []
        for _ in range(7):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return min(times)

    x, a = np.ones(1 << 28, np.float32), np.ones((3072, 3072), np.float32)
    pipe.send({"read": x.nbytes / best(lambda: total(x)), "gemm": 2 * 3072.0**3 / best(lambda: a @ a)})


def measured_limits(threads):
    fork = multiprocessing.get_context("fork")
    ours, theirs = fork.Pipe(duplex=False)
    child = fork.Process(target=machine_limits, args=(theirs, threads))
    child.start()
    limits = ours.recv()
    child.join()
    return limits


def duration(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"


def table(runs, limits):
    lines = []
    for name in dict.fromkeys(run["case"] for run in runs):
        entries = [run for run in runs if run["case"] == name]
        ours = {rung["rows"]: rung["seconds"] for rung in entries[0]["rungs"]}
        kind = entries[0]["limit"]
        lines += ["", name, f"  {'':27} {'rows':>12} {'time':>10} {'M rows/s':>9} {'of ' + kind:>8} {'memory':>10} "
                            f"{'growth':>7} {'Poolwise':>10} {'ratio':>7}  claims"]
        for run in entries:
            if run["rungs"]:
                last = run["rungs"][-1]
                same = ours.get(last["rows"])
                share = last["work"] / last["seconds"] / limits[kind]
                growth = "" if run["exponent"] is None else f"{run['exponent']:.2f}"
                beside = f"{duration(same):>10} {last['seconds'] / same:7.1f}" if same else " " * 18
                lines.append(f"  {run['entrant']:27} {last['rows']:12,} {duration(last['seconds']):>10} "
                             f"{last['rows'] / last['seconds'] / 1e6:9.3f} {100 * share:7.1f}% "
                             f"{last['memory'] / 2**20:6.0f} MiB {growth:>7} {beside}  {run['claims']}")
            if run["ended"] != "done":
                lines.append(f"  {run['entrant']:27} {run['ended']}: {run['why']}")
    return lines


def draw(runs, file):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(run["case"] for run in runs))
    figure, axes = pyplot.subplots(len(names), 1, figsize=(8, 1.6 * len(names)), layout="constrained", squeeze=False)
    for axis, name in zip(axes[:, 0], names):
        entries = [run for run in runs if run["case"] == name and run["rungs"]][::-1]
        for run in entries:
            last = run["rungs"][-1]
            axis.barh(run["entrant"], last["rows"] / last["seconds"],
                      color="#c33" if run["entrant"].startswith("Poolwise") else "#9ab")
        axis.set_xscale("log")
        axis.set_title(name, fontsize=9, loc="left")
        axis.tick_params(labelsize=7)
    axes[-1, 0].set_xlabel("rows a second", fontsize=8)
    figure.savefig(file, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows: an example of the table")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--limit", type=float, help="seconds for one run of one entrant (default 30; quick: 6)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=pathlib.Path, default=TREE / "bench" / "results")
    options = parser.parse_args()
    limit = options.limit or (6 if options.quick else 30)

    try:
        limits = measured_limits(options.threads)
        runs = []
        for case in contest.all_cases(options.quick):
            if options.only not in case.name:
                continue
            data = case.make(case.rungs[-1])
            for entrant in case.entrants:
                run = enter(case, entrant, data, limit, options.threads)
                runs.append(run | {"limit": case.limit})
                print(f"{case.name}: {entrant.name}: {run['ended']} {run['why']}", file=sys.stderr)
    except KeyboardInterrupt:
        sys.exit(130)

    head = [f"bench/peers/peers.py{' --quick' if options.quick else ''}, {options.threads} threads, "
            f"limit {limit:.0f} s a run, {platform.platform()}",
            f"The machine reads {limits['read'] / 1e9:.1f} GB/s and multiplies matrices at {limits['gemm'] / 1e9:.0f} "
            "GFLOP/s (fp32): \"of read\" and \"of gemm\" are shares of these, for k-center and BADGE by the",
            "operations of plain greedy. \"growth\" is the exponent of the time in rows; \"Poolwise\" its time for as many "
            "rows; \"ratio\" the entrant's time over that."]
    if options.quick:
        head.append("An example of the format, on busy cores and small pools: no figure here is a measurement.")
    left = ["", "Left out:"] + [f"  {name}: {why}" for name, why in contest.LEFT_OUT.items()]
    text = "\n".join([*head, *table(runs, limits), *left]) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "peers.txt").write_text(text)
    record = {"schema": "poolwise.peers/1", "quick": options.quick, "threads": options.threads, "limits": limits,
              "runs": runs, "left_out": contest.LEFT_OUT}
    (options.out / "peers.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(runs, options.out / "peers.png")
    print(text)


if __name__ == "__main__":
    main()
