"""What calls take, where it lies, what they keep, and what drawn arguments come to."""

import ctypes
import gc
import inspect
import mmap
import multiprocessing
import os
import pickle
import re
import struct
import sys
import threading
import time

import numpy as np
import pytest
from arrow_c import Table

import poolwise

RNG = np.random.default_rng(5)
LOGITS = RNG.standard_normal((120, 6)).astype(np.float32)
POINTS = RNG.integers(-9, 9, (120, 7)).astype(np.float32)
LARGE = os.environ.get("TEST_LARGE") is not None


# ---- References, in double


def squared(x, y):
    return ((x[:, None].astype(np.float64) - y[None].astype(np.float64)) ** 2).sum(axis=2)


def test_nearest_is_its_definition():
    which, d2 = poolwise.nearest(POINTS, POINTS[::3].copy())
    all_d2 = squared(POINTS, POINTS[::3])
    np.testing.assert_array_equal(which, all_d2.argmin(axis=1))  # the first of the least
    np.testing.assert_array_equal(d2, all_d2.min(axis=1))
    assert which.dtype == np.int64 and d2.dtype == np.float32


def test_knn_graph_is_its_definition():
    neighbours, d2, report = poolwise.knn_graph(POINTS, 5)
    all_d2 = squared(POINTS, POINTS)
    np.fill_diagonal(all_d2, np.inf)
    np.testing.assert_array_equal(neighbours, np.argsort(all_d2, axis=1, kind="stable")[:, :5])
    np.testing.assert_array_equal(d2, np.sort(all_d2, axis=1)[:, :5])
    assert report.method == "exact" and report.recall == 1
    for method in ("ivf", "hnsw"):
        some = poolwise.knn_graph(RNG.standard_normal((2000, 8)).astype(np.float32), 4, method=method)
        assert some[0].shape == (2000, 4) and some[2].method == method and .9 < some[2].recall <= 1


def test_dpp_is_greedy_determinants():
    rows, gains = poolwise.dpp(POINTS, 8, bandwidth=9, exclude=[3])
    kernel = np.exp(-squared(POINTS, POINTS) / (2 * 81))
    picks, det = [], 1.0
    for row, gain in zip(rows, gains):
        def grown(one):
            return np.linalg.det(kernel[np.ix_(picks + [one], picks + [one])]) / det
        best = max((one for one in range(120) if one not in picks and one != 3), key=lambda one: (grown(one), -one))
        assert grown(row) == pytest.approx(grown(best), rel=1e-5) == pytest.approx(gain, rel=1e-4)
        det *= grown(row)
        picks.append(int(row))
    linear = poolwise.dpp(POINTS, 3, similarity="linear", quality=np.ones(120, np.float32))
    assert linear[0][0] == (POINTS.astype(np.float64) ** 2).sum(axis=1).argmax()


def test_facility_location_is_greedy_likeness():
    all_d2 = squared(POINTS, POINTS)
    others = all_d2 + np.diag(np.full(120, np.inf))
    lists = np.argsort(others, axis=1, kind="stable")[:, :6]
    half = np.median(np.take_along_axis(others, lists[:, -1:], axis=1))
    like = np.zeros((120, 120))
    for row in range(120):
        like[row, lists[row]] = 1 / (1 + all_d2[row, lists[row]] / half)
    like = np.maximum(like, like.T) + np.eye(120)
    rows, gains = poolwise.facility_location(POINTS, 9, neighbours=6, labelled=[5], exclude=[8])
    covered = like[5].copy()
    for row, gain in zip(rows, gains):
        worth = np.maximum(like - covered, 0).sum(axis=1)
        worth[[5, 8]] = -1
        assert worth[row] == pytest.approx(worth.max(), rel=1e-5) == pytest.approx(gain, rel=1e-5)
        covered = np.maximum(covered, like[row])


# ---- Where arrays lie


class Interface:
    """An array that says where it lies by __array_interface__ alone."""

    def __init__(self, array):
        self.kept, self.__array_interface__ = array, array.__array_interface__


def test_arrays_come_by_many_ways(tmp_path):
    np.save(tmp_path / "x.npy", LOGITS)
    np.savez(tmp_path / "x.npz", a=LOGITS)
    head = (b'{"t":{"dtype":"F32","shape":[120,6],"data_offsets":[0,%d]}}' % LOGITS.nbytes).ljust(64)
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + LOGITS.tobytes())
    want = poolwise.score(LOGITS, "margin")
    for given in (np.load(tmp_path / "x.npy", mmap_mode="r"), tmp_path / "x.npy", str(tmp_path / "x.npz") + ":a", str(tmp_path / "x.safetensors"),
                  Interface(LOGITS), memoryview(LOGITS), Table({"x": LOGITS})):
        np.testing.assert_array_equal(poolwise.score(given, "margin"), want)
    chosen = poolwise.select("margin/5x/kcenter", batch=4, outputs=tmp_path / "x.npy", embeddings=str(tmp_path / "x.npy"))
    assert chosen.rows.tolist() == poolwise.select("margin/5x/kcenter", batch=4, outputs=LOGITS, embeddings=LOGITS).rows.tolist()


def test_a_buffer_in_use_is_not_freed(tmp_path):
    """While a call reads a buffer, what has it may not move it."""
    block = bytearray(8 << 20)
    rows = memoryview(block).cast("f", (1 << 17, 16))
    seen = []

    def resize():
        time.sleep(.005)
        try:
            block.extend(b"1")
        except BufferError:
            seen.append(True)
    del rows
    view = memoryview(block).cast("B").cast("f", (1 << 17, 16))
    thread = threading.Thread(target=resize)
    thread.start()
    poolwise.kcenter(view, 40, threads=1)
    thread.join()
    assert seen == [True]
    with open(tmp_path / "x", "wb") as file:
        file.write(bytes(4096))
    with open(tmp_path / "x", "rb") as file:
        closed = mmap.mmap(file.fileno(), 4096, access=mmap.ACCESS_READ)
    closed.close()
    with pytest.raises(poolwise.ArrayError):
        poolwise.top_k(closed, 3)


class Device:
    """A tensor on a GPU, by DLPack or by CUDA's interface."""

    dtype = "float32"

    def __init__(self, by):
        if by == "cuda":
            self.__cuda_array_interface__ = {"shape": (9, 3), "typestr": "<f4", "data": (4096, False), "version": 3}


@pytest.mark.parametrize("call, error, says", [
    (lambda: poolwise.score(Device("cuda"), "margin"), poolwise.ArrayError, r"outputs lies on a device.*\.cpu\(\)"),
    (lambda: poolwise.select("margin", batch=3, outputs=LOGITS[:, 0]), poolwise.ShapeError, r"1 dimensions; pass \[rows, classes\]"),
    (lambda: poolwise.select("margin", batch=3, outputs=LOGITS.astype(np.float64)), poolwise.ArrayError, r"holds float64; pass .astype\(numpy.float32\) of it, or copy=True"),
    (lambda: poolwise.kcenter(POINTS.astype(np.float16), 3), poolwise.ArrayError, r"holds float16, and float32 .*copy=True"),
    (lambda: poolwise.score(LOGITS.T, "margin"), poolwise.ArrayError, r"beside each other.*numpy.ascontiguousarray.*copy=True"),
    (lambda: poolwise.score(LOGITS.tolist(), "margin"), poolwise.ArrayError, "is of type list, whose numbers lie in no array"),
    (lambda: poolwise.score(LOGITS, "margin", out=np.frombuffer(bytes(480), np.float32)), poolwise.ArrayError, "out is .*; pass a writable float32"),
    (lambda: poolwise.select("margin", batch=3, outputs=np.where(LOGITS > 2, np.nan, LOGITS).astype("f4")), poolwise.InvalidValueError, "NaN|nan"),
    (lambda: poolwise.select("margin", batch=3, outputs=np.zeros((0, 3), np.float32)), poolwise.InvalidValueError, "empty|no row"),
    (lambda: poolwise.select("margin", batch=2**70, outputs=LOGITS), poolwise.InvalidValueError, "batch is 1180591620717411303424; pass a whole number"),
    (lambda: poolwise.select("margn", batch=3, outputs=LOGITS), poolwise.InvalidValueError, "margn"),
    (lambda: poolwise.score("nowhere.npy", "margin"), poolwise.InvalidValueError, "nowhere.npy"),
    (lambda: poolwise.knn_graph(POINTS, 120), poolwise.InvalidValueError, "k is 120; pass a whole number from 1 to 119"),
    (lambda: poolwise.dpp(POINTS, 3, similarity="cosine"), poolwise.InvalidValueError, '"rbf" or "linear"'),
    (lambda: poolwise.dpp(POINTS, 3, bandwidth=-1), poolwise.InvalidValueError, "bandwidth"),
    (lambda: poolwise.nearest(POINTS, POINTS[:, :3].copy()), poolwise.ShapeError, "3"),
    (lambda: poolwise.facility_location(POINTS, 3, labelled=[120]), poolwise.InvalidValueError, "labelled names row 120"),
    (lambda: poolwise.select("margin", n_instances=3, outputs=LOGITS), poolwise.ArgumentError, "n_instances is no argument; pass batch"),
    (lambda: poolwise.select("margin", batch_size=3, outputs=LOGITS), poolwise.ArgumentError, "batch_size is no argument; pass batch"),
    (lambda: poolwise.select("margin", k=3, outputs=LOGITS), poolwise.ArgumentError, "k is no argument; pass batch"),
    (lambda: poolwise.select("kcenter", batch=3, X=POINTS), poolwise.ArgumentError, "X is no argument; pass embeddings"),
    (lambda: poolwise.select("margin", batch=3, probs=LOGITS), poolwise.ArgumentError, 'probs is no argument; pass outputs, and kind="probabilities"'),
    (lambda: poolwise.kcenter(X=POINTS, k=3), poolwise.ArgumentError, "X is no argument; pass points"),
    (lambda: poolwise.kcenter(POINTS, n_instances=3), poolwise.ArgumentError, "n_instances is no argument; pass k"),
    (lambda: poolwise.select("margin", batch=3, outputs=LOGITS, progress=3), poolwise.ArgumentError, "progress is 3; pass True, or a function"),
    (lambda: poolwise.select("margin", LOGITS, batch=3), poolwise.ArgumentError, "pool is .*; pass a poolwise.Pool"),
])
def test_what_is_refused(call, error, says):
    with pytest.raises(error, match=says) as refusal:
        call()
    assert "\n" not in str(refusal.value)
    assert isinstance(refusal.value, (ValueError, TypeError, MemoryError))


PEAK = """if True:
    import sys, numpy, poolwise
    from arrow_c import Column, Table
    size = int(sys.argv[1])
    def peak():
        return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) << 10
    def grown(work):
        open("/proc/self/clear_refs", "w").write("5")  # the peak is what there is now
        before = peak()
        work()
        return peak() - before
    rows = size // 64
    x = numpy.zeros((rows, 16), numpy.float32)
    x[:, 0] = numpy.arange(rows) % 1000
    x[:, 1] = 3
    narrow = x[: rows // 2].view(numpy.float16)
    table = Table({"x": Column(x)}, [rows // 3])
    pool = poolwise.Pool(table, outputs="x", embeddings="x")
    poolwise.score(x[:9], "margin")
    a_row = rows * 4
    for name, work, allowed in (
            ("score", lambda: poolwise.score(x, "margin"), a_row),
            ("score of fp16", lambda: poolwise.score(narrow, "margin"), a_row),
            ("committee", lambda: poolwise.committee(x.reshape(2, -1, 16), "bald"), a_row),
            ("top_k", lambda: poolwise.top_k(x.reshape(-1), 3), 0),
            ("kcenter", lambda: poolwise.kcenter(x, 3), 4 * a_row),
            ("nearest", lambda: poolwise.nearest(x, x[:3]), 3 * a_row),
            ("Pool", lambda: poolwise.Pool(table, outputs="x", embeddings="x"), 0),
            ("select of a Pool", lambda: poolwise.select("margin", pool, batch=9), 2 * a_row),
            ("select", lambda: poolwise.select("margin/9x/kcenter", batch=9, outputs=x, embeddings=x), 2 * a_row)):
        more = grown(work)
        print(name, more, "allowed", allowed + (16 << 20), "of", x.nbytes)
        assert more < allowed + (16 << 20), name
"""


def test_no_call_copies_its_input(tmp_path):
    """The peak of the resident size grows by what the call gives and keeps for each row, never by what it reads."""
    import subprocess
    size = 2 << 30 if LARGE else 128 << 20
    done = subprocess.run([sys.executable, "-c", PEAK, str(size)], capture_output=True, text=True, cwd=os.path.dirname(__file__))
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- Progress, threads, processes


def test_progress_is_told(capsys):
    told = []
    points = RNG.standard_normal((20_000, 16)).astype(np.float32)
    chosen = poolwise.select("kcenter", batch=300, embeddings=points, progress=lambda done, most: told.append((done, most)))
    assert told == sorted(told) and told[-1] == (300, 300) and len(chosen) == 300
    assert poolwise.select("kcenter", batch=300, embeddings=points, progress=True).rows.tolist() == chosen.rows.tolist()
    gc.collect()
    assert "300" in capsys.readouterr().err

    def stop(done, most):
        raise KeyError("enough")
    with pytest.raises(KeyError, match="enough"):
        poolwise.select("kcenter", batch=300, embeddings=points, progress=stop)


def test_eight_threads_call_at_once():
    want = poolwise.select("margin/5x/badge", batch=9, outputs=LOGITS, embeddings=POINTS).rows.tolist()
    pool = poolwise.Pool(Table({"x": LOGITS, "e": POINTS}), outputs="x", embeddings="e")
    wrong = []

    def work():
        for _ in range(20):
            got = (poolwise.select("margin/5x/badge", pool, batch=9).rows.tolist(), poolwise.score(LOGITS, "margin").tolist(),
                   poolwise.knn_graph(POINTS, 3)[0].tolist())
            if got[0] != want or got[1:] != (margin, lists):
                wrong.append(got)
    margin, lists = poolwise.score(LOGITS, "margin").tolist(), poolwise.knn_graph(POINTS, 3)[0].tolist()
    threads = [threading.Thread(target=work) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not wrong


def picks_of(seed):
    return poolwise.select("random", batch=5, rows=50, seed=seed)


def test_spawned_workers_answer_by_batches():
    with multiprocessing.get_context("spawn").Pool(2) as workers:
        for seed, chosen in enumerate(workers.map(picks_of, range(3))):
            assert chosen.rows.tolist() == picks_of(seed).rows.tolist() and chosen.why(0) == picks_of(seed).why(0)


# ---- What calls keep


def test_calls_keep_nothing():
    """Neither those that answer nor those that refuse: no reference, no object that the collector sees."""
    wide = LOGITS.astype(np.float64)
    table = Table({"x": LOGITS, "e": POINTS})
    given = [LOGITS, POINTS, wide, table]

    def all_of_them():
        poolwise.score(LOGITS, ["margin", "entropy"])
        poolwise.score(wide, "margin", copy=True)
        chosen = poolwise.select("margin/5x/kcenter", batch=5, outputs=LOGITS, embeddings=POINTS, ids=range(120), progress=lambda *_: None)
        pickle.loads(pickle.dumps(chosen)).why(1)
        poolwise.Pool(chosen, ids="id")
        poolwise.select("kcenter", poolwise.Pool(table, outputs="x", embeddings="e"), batch=3)
        poolwise.nearest(POINTS, POINTS), poolwise.knn_graph(POINTS, 2), poolwise.dpp(POINTS, 2), poolwise.facility_location(POINTS, 2)
        for refused in (lambda: poolwise.score(wide, "margin"), lambda: poolwise.score(LOGITS, "x"), lambda: poolwise.Pool(table, outputs="y"),
                        lambda: poolwise.select("margin", batch=3, outputs=LOGITS, labelled=[900]), lambda: poolwise.Pool(chosen, cost="id")):
            with pytest.raises(poolwise.Error):
                refused()

    def counts():
        gc.collect()
        return [sys.getrefcount(one) for one in given[:3]], len(gc.get_objects())
    for _ in range(3):
        all_of_them()
    refs, objects = counts()
    for _ in range(20):
        all_of_them()
    again, more = counts()
    # The table of ctypes keeps what it hands out, so that its memory stays: a few hundred objects a time.
    assert again == refs
    assert table.alive == 0
    del objects, more


# ---- Drawn arguments


def drawn_array(random):
    rows, cols = int(random.integers(0, 40)), int(random.integers(0, 9))
    shape = [(rows, cols), (rows, cols), (rows, cols), (rows,), (2, rows, cols), ()][random.integers(6)]
    x = (random.standard_normal(shape) * random.choice([1, 1e-3, 1e30])).astype("f8")
    if x.size and random.random() < .2:
        x.flat[random.integers(x.size)] = random.choice([np.nan, np.inf, -np.inf, -0.0])
    with np.errstate(over="ignore"):
        x = x.astype(random.choice(["f4", "f4", "f4", "f4", "f2", "f8", ">f4", "i4", "u1", "c8"]))
    how = random.integers(8)
    if how == 0 and x.ndim >= 2:
        return np.asfortranarray(x)
    if how == 1 and x.ndim and len(x):
        return x[::-1]
    if how == 2 and x.ndim:
        x.flags.writeable = False
    if how == 3 and x.ndim == 2 and cols:
        return Table({"x": np.ascontiguousarray(x)}) if x.dtype.name in ("float32", "float16", "float64", "int32", "uint8") and rows else x
    if how == 4:
        return x.tolist()
    if how == 5 and x.ndim == 2:
        return np.broadcast_to(x[:1], x.shape)
    return x


WORDS = ["margin", "entropy", "kcenter", "badge", "margin/3x/kcenter", "bald", "random", "dpp", "facility_location", "typiclust", "", "/", "logits",
         "probabilities", "skip", "refuse", "auto", "exact", "ivf", "cpu", "cosine", "é", "a" * 999, "\ud800", "margin/0x/kcenter", "power(margin, beta=2)"]


def drawn_value(random):
    return [lambda: int(random.integers(-3, 50)), lambda: int(random.integers(0, 9)), lambda: 2**int(random.integers(60, 80)), lambda: float(random.normal()), lambda: None,
            lambda: str(random.choice(WORDS)), lambda: drawn_array(random), lambda: drawn_array(random), lambda: bool(random.integers(2)),
            lambda: random.integers(-1, 40, int(random.integers(0, 40))), lambda: [], lambda: {}, lambda: {"*": 3}, lambda: object(), lambda: b"x",
            lambda: [drawn_array(random), drawn_array(random)], lambda: float("nan"), lambda: {3, 4}, lambda: np.arange(30), lambda: iter([1])][random.integers(20)]()


USUAL = {"strategy": lambda r: str(r.choice(WORDS[:10])), "acquisition": lambda r: "margin", "disagreement": lambda r: "bald", "batch": lambda r: int(r.integers(0, 9)),
         "k": lambda r: int(r.integers(0, 9)), "rows": lambda r: None, "pool": lambda r: None, "memory": lambda r: None, "device": lambda r: "cpu", "checkpoint": lambda r: None,
         "out": lambda r: None, "progress": lambda r: None}
FITTING = ("outputs", "embeddings", "points", "features", "references", "scores", "committee")


def drawn_arguments(call, random):
    rows, given = int(random.integers(1, 30)), {}
    for name, parameter in inspect.signature(call).parameters.items():
        needed = parameter.default is inspect.Parameter.empty
        if name in ("checkpoint", "out", "device", "progress"):  # files of others, places, machines, functions
            continue
        fits = random.random() < .85
        if name in FITTING and (needed or random.random() < .6) and fits:
            shape = {"scores": (rows,), "committee": (2, rows, 4)}.get(name, (rows, 4))
            given[name] = random.standard_normal(shape).astype("f4")
        elif needed or random.random() < .12:
            given[name] = USUAL[name](random) if name in USUAL and fits else drawn_value(random)
    if "strategy" in given and given.get("batch") is None:
        given["batch"] = 3
    if isinstance(given.get("threads"), int):
        given["threads"] %= 9  # thousands of them are slow, and asked for elsewhere
    return given


def fuzzed(seed, seconds=None, count=None):
    """Calls of every public function on drawn arguments: how many, how many that answered. Only documented errors may come."""
    calls = [getattr(poolwise, name) for name in ("select", "plan", "score", "committee", "top_k", "nearest", "knn_graph", "kcenter", "badge", "dpp", "facility_location")]
    end, number, answered = None if seconds is None else time.monotonic() + seconds, 0, 0
    while number < count if end is None else time.monotonic() < end:
        random = np.random.default_rng([seed, number])
        call = calls[number % len(calls)]
        if call is poolwise.plan and number % 5:
            call = poolwise.select
        given = drawn_arguments(call, random)
        number += 1
        try:
            with np.errstate(all="ignore"):
                result = call(**given)
            repr(result)
            answered += 1
        except poolwise.Error as refusal:
            assert re.fullmatch(".+", str(refusal)), (call.__name__, seed, number - 1, str(refusal))
        except BaseException as problem:
            raise AssertionError(f"{call.__name__}, seed {seed}, number {number - 1}: {problem!r}") from problem
    return number, answered


@pytest.mark.filterwarnings("ignore")
def test_drawn_arguments_are_answered_or_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seed = int(os.environ.get("TEST_SEED", time.time_ns() % 10**9 if LARGE else 1))
    number, answered = fuzzed(seed, float(os.environ.get("TEST_SECONDS", 600))) if LARGE else fuzzed(seed, count=1500)
    print(f"seed {seed}: {number} calls, of which {answered} answered")
    assert answered > number // 10
