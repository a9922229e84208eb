"""`poolwise score`, process start to written file, beside the numpy idiom on the same file.

    build/venv/bin/python bench/engine/score_vs_numpy.py build/release/poolwise

Entropy of logits [4e6, 10] and [4e5, 1000], fp32. The idiom (softmax, log, sum) runs in blocks of rows that
fit the cache, each in a process of its own that imports numpy, maps the file and saves the scores, so that both
sides pay for their start. The runs alternate; the best of five counts. Peak memory is what is resident at
most, less the mapped input.
"""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np

IDIOM = """
import sys
import numpy as np
logits = np.load(sys.argv[1], mmap_mode="r")
scores = np.empty(len(logits), np.float32)
block = max(1, 65536 // logits.shape[1])
for start in range(0, len(logits), block):
    z = logits[start:start + block]
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    scores[start:start + block] = -(p * np.log(p)).sum(axis=1)
np.save(sys.argv[2], scores)
"""


def timed(command):
    start = time.perf_counter()
    child = subprocess.Popen(command)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status != 0:
        sys.exit(f"{command[0]} failed")
    return seconds, usage.ru_maxrss * 1024


def compare(command, folder, rows, classes):
    logits, ours, theirs = (os.path.join(folder, name) for name in ("logits.npy", "ours.npy", "theirs.npy"))
    random = np.random.default_rng(0)
    with open(logits, "wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (rows, classes)})
        for start in range(0, rows, 100_000):
            file.write(3 * random.standard_normal((min(100_000, rows - start), classes), dtype=np.float32))
    score = [command, "score", "--logits", logits, "--acquisition", "entropy", "--out", ours]
    idiom = [sys.executable, "-c", IDIOM, logits, theirs]
    runs = [(timed(score), timed(idiom)) for _ in range(5)]
    seconds, peak = min(run[0] for run in runs)
    numpy_seconds, _ = min(run[1] for run in runs)
    np.testing.assert_allclose(np.load(ours), np.load(theirs), atol=2e-5)
    print(f"[{rows}, {classes}]  poolwise {1e3 * seconds:7.1f} ms  {rows / seconds / 1e6:7.1f} M rows/s  "
          f"{(peak - os.path.getsize(logits)) / 2**20:5.1f} MiB   numpy {1e3 * numpy_seconds:7.1f} ms   "
          f"ratio {numpy_seconds / seconds:.1f}")


def main():
    command = sys.argv[1] if len(sys.argv) > 1 else "build/release/poolwise"
    with tempfile.TemporaryDirectory() as folder:
        compare(command, folder, 4_000_000, 10)
        compare(command, folder, 400_000, 1000)


if __name__ == "__main__":
    main()
