"""What `plan` promises of memory, beside what `select` then has resident, on files written just before.

    build/venv/bin/python bench/engine/memory_promises.py build/release/poolwise [FOLDER]

Prints a line for each of 40 queries and ends with 1 if one took more than it was promised. FOLDER, which is to have 2 GB
free, is best on a disk: pages of a file in memory are not given back.
"""

import itertools
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile

MEBIBYTE = 1 << 20
ROWS = 1_000_000


def write_inputs(folder):
    import numpy as np

    random = np.random.default_rng(0)
    save = lambda name, values: np.save(folder / name, values)
    save("e.npy", random.standard_normal((ROWS, 64), dtype="f4"))
    save("half.npy", random.standard_normal((ROWS, 32), dtype="f4").astype("f2"))
    save("l.npy", random.standard_normal((ROWS, 16), dtype="f4"))
    save("c.npy", random.standard_normal((5, ROWS // 4, 16), dtype="f4"))
    save("wide.npy", random.standard_normal((1000, 152_000), dtype="f4"))
    save("labelled.npy", np.arange(0, ROWS, 10_000))
    save("cost.npy", random.integers(1, 9, ROWS))
    save("nan.npy", np.where(np.arange(64) + np.arange(ROWS)[:, None] == 5, np.nan, np.load(folder / "e.npy")))
    (folder / "ids.csv").write_text("id\n" + "".join(f"an-item-of-the-pool-{i:012}\n" for i in range(ROWS)))


def queries():
    """Names of inputs without their endings, strategies, ceilings and more."""
    embeddings, logits = "--embeddings e.npy", "--logits l.npy"
    for memory, threads, labelled in itertools.product((80, 120, 240), (1, 8), ("", " --labelled labelled.npy")):
        yield f"{embeddings}{labelled} --strategy kcenter --batch 200 --memory {memory}MiB --threads {threads}"
    for strategy, memory in itertools.product(("margin", "margin/10x/kcenter", "badge", "energy/100x/dpp"), (100, 200)):
        yield f"{embeddings} {logits} --strategy {strategy} --batch 100 --memory {memory}MiB"
    for threads in (2, 64):
        yield f"--logits wide.npy --strategy entropy --batch 50 --memory 100MiB --threads {threads}"
        yield f"{embeddings} --strategy random/20x/facility_location --batch 100 --memory 240MiB --threads {threads}"
        yield f"--committee c.npy --strategy bald --batch 100 --memory 100MiB --threads {threads}"
        yield f"--committee c.npy --strategy bald/20x/batchbald --batch 5 --memory 100MiB --threads {threads}"
    yield f"{logits} --strategy margin --batch 200000 --memory 240MiB --json"
    yield f"{logits} --strategy margin --batch 200000 --memory 240MiB"
    yield f"{logits} --strategy margin --batch 50000 --ids ids.csv --memory 240MiB --json"
    yield f"{logits} --strategy margin --batch 1000 --cost cost.npy --budget 5000 --memory 160MiB"
    yield f"{logits} {embeddings} --strategy margin/1%/typiclust --batch 100 --memory 160MiB"
    yield f"{logits} {embeddings} --strategy margin/1%/probcover --batch 100 --memory 700MiB"
    yield "--embeddings half.npy --strategy kcenter --batch 100 --memory 200MiB"
    yield f"{embeddings} --metric cosine --strategy kcenter --batch 100 --memory 400MiB"
    yield f"{embeddings} {logits} --strategy margin --apart 0.5 --batch 100 --memory 160MiB"
    yield f"--embeddings nan.npy --on-nan skip --strategy kcenter --batch 100 --memory 400MiB"
    yield f"{embeddings} --strategy kcenter --batch 2000"
    yield f"{embeddings} {logits} --strategy badge --batch 1000"


def resident(words, folder):
    """The exit code and peak resident bytes of a command, mapped files included."""
    process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * 1024


def main(command, folder):
    command = str(pathlib.Path(command).resolve())
    # A process counts as its own what the one had that started it: this one stays small.
    writer = multiprocessing.get_context("spawn").Process(target=write_inputs, args=(folder,))
    writer.start()
    writer.join()
    above = 0
    print(f"{'promised':>9} {'resident':>9}  query")
    for query in queries():
        words = query.split()
        planned = subprocess.run([command, "plan", *words, *([] if "--json" in words else ["--json"])], cwd=folder,
                                 capture_output=True, text=True)
        if planned.returncode != 0:
            sys.exit(f"plan {query}: {planned.stderr}")
        plan = json.loads(planned.stdout)
        code, bytes_resident = resident([command, "select", *words], folder)
        if (code == 0) != plan["fits"]:
            sys.exit(f"select {query} ended with {code}, and plan says fits: {plan['fits']}")
        above += plan["fits"] and bytes_resident > plan["peak_bytes"]
        mark = "" if not plan["fits"] else "  ABOVE" if bytes_resident > plan["peak_bytes"] else ""
        taken = f"{bytes_resident / MEBIBYTE:9.1f}" if plan["fits"] else "  refused"
        print(f"{plan['peak_bytes'] / MEBIBYTE:9.1f} {taken}  {query}{mark}", flush=True)
    sys.exit(1 if above else 0)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    if len(sys.argv) == 3:
        main(sys.argv[1], pathlib.Path(sys.argv[2]))
    with tempfile.TemporaryDirectory() as made:
        main(sys.argv[1], pathlib.Path(made))
