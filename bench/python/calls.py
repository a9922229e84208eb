"""What a call from Python takes above the same call of the library, by the C interface: on a small array, and on a large one.

    PYTHONPATH=build/release/python build/venv/bin/python bench/python/calls.py build/release/libpoolwise.so
"""

import ctypes
import sys
import time

import numpy as np

import poolwise


def seconds(call, least=0.2, times=7):
    """Of the fastest of some runs, each of which takes at least so long."""
    count = 1
    while True:
        begin = time.perf_counter()
        for _ in range(count):
            call()
        if time.perf_counter() - begin > least / 10:
            break
        count *= 2
    best = np.inf
    for _ in range(times):
        begin = time.perf_counter()
        for _ in range(count):
            call()
        best = min(best, (time.perf_counter() - begin) / count)
    return best


def by_c(library, scores, k):
    c = ctypes.CDLL(library)
    rows, best, taken = np.empty(k, np.int64), np.empty(k, np.float32), ctypes.c_int64()
    arguments = (ctypes.c_void_p(scores.ctypes.data), ctypes.c_int64(len(scores)), ctypes.c_int64(k), ctypes.c_void_p(rows.ctypes.data),
                 ctypes.c_void_p(best.ctypes.data), ctypes.byref(taken))
    assert c.poolwise_top_k(*arguments) == 0
    return lambda: c.poolwise_top_k(*arguments)


def main():
    library = sys.argv[1] if len(sys.argv) > 1 else None
    small, large = np.random.default_rng(0).standard_normal((10, 10)).astype(np.float32), np.random.default_rng(0).standard_normal((4_000_000, 10)).astype(np.float32)
    out = np.empty(10, np.float32)
    for name, call in (("score [10, 10]", lambda: poolwise.score(small, "entropy", threads=1)),
                       ("score [10, 10], out", lambda: poolwise.score(small, "entropy", out=out, threads=1)),
                       ("kcenter [10, 10], 3", lambda: poolwise.kcenter(small, 3, threads=1)),
                       ("top_k [100], 10", lambda: poolwise.top_k(small.reshape(-1), 10, threads=1)),
                       ("select [10, 10], 3", lambda: poolwise.select("entropy", batch=3, outputs=small, threads=1))):
        print(f"{name:24}{1e6 * seconds(call):8.2f} us")
    if library is None:
        return
    for name, scores, k in (("top_k [100], 10", small.reshape(-1), 10), ("top_k [40,000,000], 1000", large.reshape(-1), 1000)):
        there, here = seconds(by_c(library, scores, k)), seconds(lambda: poolwise.top_k(scores, k))
        print(f"{name:24}{1e6 * here:12.2f} us, {1e6 * there:12.2f} us by C: {1e6 * (here - there):8.2f} us more, ratio {here / there:.3f}")


main()
