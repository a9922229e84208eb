#!/usr/bin/env python3
"""Poolwise beside what a user would pick instead, on the same data, in one run.

    make peers                                         or: PYTHONPATH=build/release/python python bench/peers/peers.py
    ... peers.py [--quick] [--only WORD] [--limit SECONDS] [--threads N] [--out FOLDER]

Every peer is pinned in an environment of its own (environments/NAME.txt beside this becomes build/peers/NAME). Every
entrant runs in a process of its own, so that its memory is its own and it can be stopped, of three quarters of the
machine's memory at most; all read the same arrays.
An entrant climbs from small pools to the whole one for as long as the next step is expected to end within the time
limit; the table says how far it came, and gives Poolwise's time for the same rows. Results are held to what they
claim. Writes peers.txt, peers.json and peers.png.
"""

import argparse
import ctypes
import json
import math
import os
import pathlib
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOM = HERE.parents[1] / "build" / "peers"
RUNNER = "by_hand"  # the environment that this runs in
PLAIN = ROOM / "libplain.so"


def python_of(environment):
    return ROOM / environment / "bin" / "python"


def make_environment(name):
    """Why there is none, or nothing."""
    wanted = HERE / "environments" / f"{name}.txt"
    done = ROOM / name / "requirements.txt"
    if done.exists() and done.read_text() == wanted.read_text():
        return ""
    subprocess.run([sys.executable, "-m", "venv", "--clear", ROOM / name], check=True)
    install = [python_of(name), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted]
    try:
        pip = subprocess.run(install, capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired:
        return "pip had not installed it after 15 minutes"
    if pip.returncode:
        complaint = [line for line in pip.stderr.split("\n") if "error" in line.lower()] or ["pip failed"]
        return complaint[-1].strip()[:160]
    done.write_text(wanted.read_text())
    return ""


if __name__ == "__main__" and pathlib.Path(sys.prefix).parent != ROOM:
    problem = make_environment(RUNNER)
    if problem:
        sys.exit(f"peers: {problem}")
    os.execv(python_of(RUNNER), [str(python_of(RUNNER)), *sys.argv])

import cases as contest
import numpy as np


def compile_plain():
    """The C++ loops beside which Poolwise is measured, for this machine."""
    source = HERE / "plain.cpp"
    if PLAIN.exists() and PLAIN.stat().st_mtime > source.stat().st_mtime:
        return
    subprocess.run(["c++", "-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC", "-std=c++17",
                    source, "-o", PLAIN], check=True)


def resident(field):
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split(field + ":")[1].split()[0]) * 1024


def timed(call, limit):
    """The best of up to twenty runs, the last result, and the memory that the first took beyond what was there."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak from here on
    before = resident("VmRSS")
    best, spent, result, grown = math.inf, 0.0, None, 0
    for run in range(20):
        start = time.perf_counter()
        result = call()
        took = time.perf_counter() - start
        if run == 0:
            grown = resident("VmHWM") - before
        best, spent = min(best, took), spent + took
        if spent > min(1.5, limit):
            break
    return best, result, max(0, grown)


def climb(case, entrant, data, limit, threads, say):
    """Says one thing for each rung, and why it ended."""
    try:
        steps = []
        for i, rows in enumerate(case.rungs):
            if steps:
                growth = max(1.0, exponent(steps) or 1.0)
                expected = steps[-1][1] * (rows / steps[-1][0]) ** growth
                if expected > limit and not entrant.whole:
                    return say("stopped", f"{rows:,} rows would take about {expected:.0f} s")
            part = case.first(data, rows)
            seconds, result, grown = timed(entrant.prepare(part, threads), limit)
            checked = i == (case.checked_rung % len(case.rungs))
            if checked:
                case.check(part, result, entrant.claims)
            steps.append((rows, seconds))
            say("rung", {"rows": rows, "seconds": seconds, "memory": grown, "checked": checked, "work": case.work(part)})
        say("done", "")
    except AssertionError as problem:
        lines = [line for line in str(problem).split("\n") if line.strip()]
        say("failed", "DEFECT, not what it claims: " + " ".join(lines[:3])[:160])
    except Exception as problem:  # a peer may fail in any way; the table says how
        say("failed", f"{type(problem).__name__}: {problem}".split("\n")[0][:160])


def enter_alone(what):
    """In a process of an entrant's own: one line of JSON for each thing said."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints is not for us
    most = 3 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    resource.setrlimit(resource.RLIMIT_AS, (most, most))  # who asks for more fails, and nobody beside it
    case = next(c for c in contest.all_cases(what["quick"]) if c.name == what["case"])
    entrant = next(e for e in case.entrants if e.name == what["entrant"])
    data = {file.stem: np.load(file) for file in sorted(pathlib.Path(what["folder"]).glob("*.npy"))}

    def say(kind, about):
        print(json.dumps([kind, about]), file=out, flush=True)

    climb(case, entrant, data, what["limit"], what["threads"], say)


def exponent(steps):
    """Of the growth of time with rows, between the last two steps."""
    if len(steps) < 2:
        return None
    (n, t), (m, u) = steps[-2:]
    return math.log(u / t) / math.log(m / n)


def enter(case, entrant, folder, options):
    rungs, how = [], ("failed", make_environment(entrant.environment))
    if not how[1]:
        how = ("failed", "ended without a word")
        what = {"case": case.name, "entrant": entrant.name, "folder": str(folder), "limit": options.limit,
                "threads": options.threads, "quick": options.quick}
        child = subprocess.Popen([python_of(entrant.environment), __file__, "--enter", json.dumps(what)],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        # An import and a compilation are not timed.
        patience = 2 * options.limit + (120 if entrant.whole else 30)
        alarm = threading.Timer(patience, child.kill)
        alarm.start()
        for line in child.stdout:
            kind, about = json.loads(line)
            if kind == "rung":
                rungs.append(about)
            else:
                how = (kind, about)
        if child.wait() < 0:
            how = ("stopped", "killed" if alarm.is_alive() else f"{patience:.0f} s had passed")
        alarm.cancel()
    return {"case": case.name, "entrant": entrant.name, "claims": entrant.claims, "rungs": rungs, "ended": how[0],
            "why": how[1], "exponent": exponent([(r["rows"], r["seconds"]) for r in rungs])}


def machine_limits(threads):
    """Bytes a second read from memory, and operations a second of an fp32 GEMM: the best of several."""
    plain = ctypes.CDLL(PLAIN)
    x, a = np.ones(1 << 27, np.uint64), np.ones((2048, 2048), np.float32)

    def best(call):
        call()
        times = []
        for _ in range(7):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return min(times)

    read = best(lambda: plain.plain_read(ctypes.c_void_p(x.ctypes.data), ctypes.c_int64(x.size), threads))
    return {"read": x.nbytes / read, "gemm": 2 * 2048.0**3 / best(lambda: a @ a)}


def duration(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"


def table(runs):
    lines = []
    for name in dict.fromkeys(run["case"] for run in runs):
        entries = [run for run in runs if run["case"] == name]
        ours = {rung["rows"]: rung["seconds"] for rung in entries[0]["rungs"]}
        kind, most = entries[0]["limit"], entries[0]["limits"]
        lines += ["", f"{name}; the machine: {most['read'] / 1e9:.1f} GB/s, {most['gemm'] / 1e9:.0f} GFLOP/s", f"  {'':27} {'rows':>12} {'time':>10} {'M rows/s':>9} {'of ' + kind:>8} {'memory':>10} "
                            f"{'growth':>7} {'Poolwise':>10} {'ratio':>7}  claims"]
        for run in entries:
            if run["rungs"]:
                last = run["rungs"][-1]
                same = ours.get(last["rows"])
                share = last["work"] / last["seconds"] / most[kind]
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
    parser.add_argument("--limit", type=float, help="seconds for one run of one entrant (default 12; quick: 6)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=pathlib.Path, default=HERE.parent / "results")
    parser.add_argument("--enter", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.limit = options.limit or (6 if options.quick else 12)
    if options.enter:
        return enter_alone(options.enter)

    compile_plain()
    runs, begun = [], time.monotonic()
    try:
        for case in contest.all_cases(options.quick):
            if options.only not in case.name:
                continue
            with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
                for name, array in case.make(case.rungs[-1]).items():
                    np.save(pathlib.Path(folder) / name, array)
                limits = machine_limits(options.threads)
                for entrant in case.entrants:
                    run = enter(case, entrant, folder, options)
                    runs.append(run | {"limit": case.limit, "limits": limits})
                    print(f"{case.name}: {entrant.name}: {run['ended']} {run['why']}", file=sys.stderr)
    except KeyboardInterrupt:
        sys.exit(130)

    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    head = [f"bench/peers/peers.py{' --quick' if options.quick else ''}, {options.threads} threads of {cpu}, "
            f"{platform.platform()}; {time.monotonic() - begun:.0f} s in all, at most {options.limit:.0f} s a run",
            '"of read" and "of gemm" are shares of what the machine reads or multiplies (fp32), measured with each '
            "case, for k-center, BADGE, DPP and BatchBALD by the operations",
            'of plain greedy, for facility location by those of all pairs. "growth" is the exponent of the time in rows; "Poolwise" its time for as many rows; "ratio" '
            "the entrant's time over that."]
    if options.quick:
        head.append("An example of the format, on busy cores and small pools: no figure here is a measurement.")
    left = ["", "Left out:"] + [f"  {name}: {why}" for name, why in contest.LEFT_OUT.items()]
    text = "\n".join([*head, *table(runs), *left]) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "peers.txt").write_text(text)
    record = {"schema": "poolwise.peers/2", "quick": options.quick, "threads": options.threads, "cpu": cpu,
              "runs": runs, "left_out": contest.LEFT_OUT}
    (options.out / "peers.json").write_text(json.dumps(record, indent=1) + "\n")
    draw(runs, options.out / "peers.png")
    print(text)


if __name__ == "__main__":
    main()
