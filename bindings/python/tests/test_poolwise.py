"""The module against numpy in float64, and what it refuses."""

import array
import ast
import copy
import ctypes
import inspect
import multiprocessing
import pathlib
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
import warnings

import ml_dtypes
import numpy as np
import pytest

import poolwise

RNG = np.random.default_rng(7)
LOGITS = (3 * RNG.standard_normal((257, 10))).astype(np.float32)
# Small whole numbers: every squared distance is exact in fp32, so a reference needs no summation tree.
POINTS = RNG.integers(-8, 9, (300, 5)).astype(np.float32)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def entropy(p):
    return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)


def scores_by_definition(logits):
    p = softmax(logits.astype(np.float64))
    second, first = np.sort(p, axis=1)[:, -2:].T
    return {
        "entropy": entropy(p),
        "margin": 1 - (first - second),
        "least_confidence": 1 - first,
        "ratio": second / first,
        "energy": -np.log(np.exp(logits.astype(np.float64)).sum(axis=1)),
    }


@pytest.mark.parametrize("name", ["entropy", "margin", "least_confidence", "ratio", "energy"])
def test_score_is_its_definition(name):
    scores = poolwise.score(LOGITS, name)
    assert scores.dtype == np.float32 and scores.shape == (257,)
    np.testing.assert_allclose(scores, scores_by_definition(LOGITS)[name], atol=1e-5)


def test_several_scores_come_in_the_order_asked_for():
    names = ["margin", "entropy", "least_confidence"]
    scores = poolwise.score(LOGITS, names)
    assert scores.shape == (257, 3)
    for column, name in zip(scores.T, names):
        np.testing.assert_array_equal(column, poolwise.score(LOGITS, name))


def test_score_of_probabilities():
    p = softmax(LOGITS)
    np.testing.assert_allclose(poolwise.score(p, "entropy", kind="probabilities"), entropy(p.astype(np.float64)), atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_sixteen_bits_are_read_as_what_they_are(dtype):
    narrow = LOGITS.astype(dtype)
    np.testing.assert_array_equal(poolwise.score(narrow, "entropy"), poolwise.score(narrow.astype(np.float32), "entropy"))


@pytest.mark.parametrize("bits", [np.uint16, "V2"])
def test_sixteen_bits_are_bfloat16_where_that_is_said(bits):
    votes = np.array([[9, 0, 0], [3, 3, 3], [8, 1, 0]], bits if bits == np.uint16 else np.uint16).view(bits)
    with pytest.raises(poolwise.ArrayError, match=r"\.view\(ml_dtypes.bfloat16\)"):
        poolwise.score(votes, "entropy")
    narrow = LOGITS.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(poolwise.score(narrow.view(bits).view(ml_dtypes.bfloat16), "margin"), poolwise.score(narrow, "margin"))


class ByDlpack:
    """An array that says where it lies by DLPack alone, as those of torch do."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **keywords):
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


class DlTensor(ctypes.Structure):
    """DLManagedTensor, without its deleter's work."""

    _fields_ = [("data", ctypes.c_void_p), ("device", ctypes.c_int32 * 2), ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8),
                ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64), ("context", ctypes.c_void_p),
                ("deleter", ctypes.c_void_p)]


class Tensor:
    """An array of numpy as one of torch of this type, `code` and `device` by DLPack's numbers."""

    def __init__(self, array, code, device=1, dtype="torch.bfloat16"):
        self.array, self.dtype, self.device = array, dtype, (device, 0)
        sizes = ctypes.c_int64 * array.ndim
        self.tensor = DlTensor(array.ctypes.data, self.device, array.ndim, code, 8 * array.itemsize, 1, sizes(*array.shape),
                               sizes(*(stride // array.itemsize for stride in array.strides)))

    def __dlpack__(self, **_):
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return new(ctypes.addressof(self.tensor), b"dltensor", None)

    def __dlpack_device__(self):
        return self.device


def test_tensors_are_what_dlpack_says_of_them():
    narrow = LOGITS.astype(ml_dtypes.bfloat16)
    wide = np.zeros((257, 13), np.uint16)
    wide[:, 1:11] = narrow.view(np.uint16)
    for bits in (narrow.view(np.uint16), wide[:, 1:11], np.asfortranarray(narrow.view(np.uint16))):
        tensor = Tensor(bits, code=4)
        np.testing.assert_array_equal(poolwise.score(tensor, "margin", copy=True), poolwise.score(narrow, "margin"))
        np.testing.assert_array_equal(poolwise.kcenter(tensor, 9, copy=True)[0], poolwise.kcenter(narrow, 9, copy=True)[0])
    for refused, says in ((Tensor(wide, 1, dtype="torch.uint16"), "an array of torch.uint16"), (Tensor(wide, 4, device=2), "on a device")):
        with pytest.raises(poolwise.ArrayError, match=says):
            poolwise.score(refused, "margin")


UNALIGNED = np.frombuffer(bytearray(4 * 2570 + 1), np.uint8)[1:].view(np.float32).reshape(257, 10)
UNALIGNED[:] = LOGITS


IN_PLACE = [
    np.ma.masked_array(LOGITS), ByDlpack(LOGITS), memoryview(LOGITS), LOGITS.view(np.recarray),
    np.rec.fromarrays([LOGITS, LOGITS.astype("f2")], dtype=[("half", "f2", 10), ("whole", "f4", 10)][::-1])["whole"],
]
CONVERTED = [
    LOGITS.astype(np.float64), np.asfortranarray(LOGITS), LOGITS.astype(">f4"), UNALIGNED, np.repeat(LOGITS, 2, axis=1)[:, ::2],
    LOGITS[::-1].copy()[::-1], LOGITS.tolist(), ByDlpack(np.asfortranarray(LOGITS)), LOGITS.astype(np.longdouble),
]


@pytest.mark.parametrize("same", IN_PLACE + CONVERTED, ids=lambda x: f"{type(x).__name__}-{getattr(x, 'dtype', '')}")
def test_other_types_and_layouts_are_converted_where_a_copy_may_be_made(same):
    np.testing.assert_array_equal(poolwise.score(same, "margin", copy=True), poolwise.score(LOGITS, "margin"))
    if any(same is one for one in IN_PLACE):
        np.testing.assert_array_equal(poolwise.score(same, "margin"), poolwise.score(LOGITS, "margin"))
    else:
        with pytest.raises(poolwise.ArrayError, match=r"^score: outputs .*; pass .*copy=True"):
            poolwise.score(same, "margin")
    ask = {"strategy": "badge", "batch": 9, "copy": True}
    np.testing.assert_array_equal(poolwise.select(**ask, outputs=same, embeddings=same).rows,
                                  poolwise.select(**ask, outputs=LOGITS, embeddings=LOGITS).rows)
    np.testing.assert_array_equal(poolwise.committee([same, same] if isinstance(same, list) else np.stack([LOGITS] * 2), "mean_std", copy=True), 0)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_features_of_sixteen_bits_are_widened(dtype):
    narrow = POINTS.astype(dtype)
    np.testing.assert_array_equal(poolwise.kcenter(narrow, 9, copy=True)[0], poolwise.kcenter(POINTS, 9)[0])
    np.testing.assert_array_equal(poolwise.kcenter(np.asfortranarray(narrow), 9, weights=narrow[:, 0] ** 2, copy=True)[0],
                                  poolwise.kcenter(POINTS, 9, weights=POINTS[:, 0] ** 2)[0])
    scores = np.arange(9).astype(dtype)
    assert poolwise.top_k(scores[::2], 2, copy=True)[0].tolist() == [4, 3]


def test_copies_count_as_memory():
    ask = {"strategy": "margin", "batch": 9}
    plain = poolwise.plan(**ask, outputs=LOGITS).bytes
    enough = plain - (64 << 20)  # of which the process takes so much
    poolwise.select(**ask, outputs=LOGITS, memory=enough)
    for copied in (LOGITS.astype(np.float64), np.asfortranarray(LOGITS), LOGITS.tolist()):
        assert poolwise.plan(**ask, outputs=copied, copy=True).bytes >= plain + LOGITS.nbytes
        with pytest.raises(poolwise.InvalidValueError, match="memory allows"):
            poolwise.select(**ask, outputs=copied, copy=True, memory=enough)


def test_what_is_beyond_fp32_is_an_infinity_and_refused_without_a_warning():
    far = LOGITS.astype(np.float64)
    far[4, 4] = 1e300
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(poolwise.score(far, "entropy", copy=True)[4])


def test_buffers_without_strides_are_looked_at():
    scores = (ctypes.c_float * 4)(1, 4, 3, 2)
    assert poolwise.top_k(scores, 2)[0].tolist() == [1, 2]
    rows = ((ctypes.c_float * 10) * 257)(*map(tuple, LOGITS.tolist()))
    out = (ctypes.c_float * 257)()
    assert poolwise.score(rows, "entropy", out=out) is out
    np.testing.assert_array_equal(np.array(out), poolwise.score(LOGITS, "entropy"))
    chosen = poolwise.select(strategy="margin/50/kcenter", batch=3, outputs=rows, embeddings=rows, labelled=(ctypes.c_int * 2)(3, 5))
    assert chosen.rows.tolist() == poolwise.select(strategy="margin/50/kcenter", batch=3, outputs=LOGITS, embeddings=LOGITS, labelled=[3, 5]).rows.tolist()
    assert poolwise.top_k(array.array("f", [1, 3, 2]), 1)[0].tolist() == [1]
    with pytest.raises(poolwise.ArrayError, match="int32"):
        poolwise.top_k((ctypes.c_int * 4)(), 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_strided_rows_and_read_only_arrays_are_used_in_place(dtype):
    wide = np.zeros((514, 13), dtype)
    wide[::2, 2:12] = LOGITS.astype(dtype)
    view = wide[::2, 2:12]
    view.flags.writeable = False
    np.testing.assert_array_equal(poolwise.score(view, "entropy"), poolwise.score(LOGITS.astype(dtype), "entropy"))


def test_out_is_written_in_place():
    kept = np.full((257, 4), 7, np.float32)
    out = kept[:, :2]
    returned = poolwise.score(LOGITS, ["entropy", "margin"], out=out)
    assert returned is out
    np.testing.assert_array_equal(out, poolwise.score(LOGITS, ["entropy", "margin"]))
    assert (kept[:, 2:] == 7).all()
    poolwise.score(LOGITS, "ratio", out=kept[:, 2])
    np.testing.assert_array_equal(kept[:, 2], poolwise.score(LOGITS, "ratio"))
    assert (kept[:, 3] == 7).all()


def test_out_lies_apart_from_what_is_scored():
    x = np.zeros((5000, 10), np.float32)
    for out in (x.reshape(-1)[-5000:], x[:, 3], x.reshape(-1)[::10][:5000]):
        with pytest.raises(poolwise.ArrayError, match="out lies in what is scored"):
            poolwise.score(x, "entropy", out=out)
    poolwise.score(x[:, :9], "entropy", out=x[:, 9])
    np.testing.assert_allclose(x[:, 9], np.log(9), rtol=1e-6)


def test_empty_and_single_row_pools():
    assert poolwise.score(np.zeros((0, 3), np.float32), "entropy").shape == (0,)
    one = np.zeros((1, 4), np.float32)
    np.testing.assert_allclose(poolwise.score(one, "entropy"), np.log(4), rtol=1e-6)
    np.testing.assert_allclose(poolwise.score(np.zeros((8, 4), np.float32)[::-8], "entropy"), np.log(4), rtol=1e-6)


def test_a_row_without_a_distribution_scores_nan_and_is_refused():
    logits = LOGITS.copy()
    logits[[5, 9], 2] = np.nan
    scores = poolwise.score(logits, "entropy")
    assert list(np.flatnonzero(np.isnan(scores))) == [5, 9]
    with pytest.raises(poolwise.InvalidValueError, match=r"row 5\b"):
        poolwise.top_k(scores, 3)
    with pytest.raises(poolwise.InvalidValueError, match=r"row 5\b.*2 of 257"):
        poolwise.select(strategy="entropy", batch=3, outputs=logits)
    kept = poolwise.select(strategy="entropy", batch=3, outputs=logits, on_nan="skip")
    assert (len(kept), kept.skipped_rows, kept.first_skipped) == (3, 2, 5)


def test_committee_is_its_definition():
    x = (2 * RNG.standard_normal((5, 120, 6))).astype(np.float32)
    p = softmax(x.astype(np.float64))
    mean = p.mean(axis=0)
    votes = np.stack([(p.argmax(axis=2) == c).mean(axis=0) for c in range(6)], axis=1)
    expected = {
        "bald": entropy(mean) - entropy(p).mean(axis=0),
        "consensus_entropy": entropy(mean),
        "vote_entropy": entropy(votes),
        "variation_ratio": 1 - votes.max(axis=1),
        "max_kl": (p * np.log(p / mean)).sum(axis=2).max(axis=0),
        "mean_std": p.std(axis=0).mean(axis=1),
    }
    scores = poolwise.committee(x, list(expected))
    for column, (name, values) in zip(scores.T, expected.items()):
        np.testing.assert_allclose(column, values, atol=1e-5, err_msg=name)
    np.testing.assert_array_equal(poolwise.committee(x.astype(np.float16), "bald", kind="logits"),
                                  poolwise.committee(x.astype(np.float16).astype(np.float32), "bald"))


@pytest.mark.parametrize("k", [0, 1, 17, 5000])
def test_top_k_breaks_ties_to_the_lower_row(k):
    scores = RNG.integers(0, 20, 3000).astype(np.float32)
    rows, values = poolwise.top_k(scores, k)
    assert rows.dtype == np.int64
    np.testing.assert_array_equal(rows, np.lexsort((np.arange(3000), -scores))[:k])
    np.testing.assert_array_equal(values, scores[rows])


def greedy_k_center(points, k, labelled=(), weights=None, exclude=()):
    weights = np.ones(len(points)) if weights is None else weights
    distance = np.full(len(points), np.inf)
    for row in labelled:
        distance = np.minimum(distance, ((points - points[row]) ** 2).sum(axis=1))
    free = np.ones(len(points), bool)
    free[[*labelled, *exclude]] = False
    picks, gains = [], []
    for _ in range(k):
        gain = np.where(weights > 0, weights * np.where(weights > 0, distance, 0), 0)
        row = int(np.argmax(np.where(free, gain, -1)))
        picks.append(row)
        gains.append(gain[row])
        free[row] = False
        distance = np.minimum(distance, ((points - points[row]) ** 2).sum(axis=1))
    return picks, gains


@pytest.mark.parametrize("arguments", [
    {},
    {"labelled": [4, 250, 17]},
    {"labelled": np.array([8], np.uint8), "exclude": range(100, 200)},
    {"weights": (np.arange(300) % 4).astype(np.float32), "labelled": [0]},
])
def test_k_center_is_plain_greedy(arguments):
    rows, gains = poolwise.kcenter(POINTS, 40, **arguments)
    expected_rows, expected_gains = greedy_k_center(POINTS.astype(np.float64), 40, **arguments)
    np.testing.assert_array_equal(rows, expected_rows)
    np.testing.assert_array_equal(gains, expected_gains)


def test_k_center_stops_when_the_rows_run_out():
    rows, _ = poolwise.kcenter(POINTS[:6], 10, exclude=[2])
    assert sorted(rows) == [0, 1, 3, 4, 5]


@pytest.mark.parametrize("bias", [True, False])
def test_badge_draws_with_the_distances_of_the_gradients(bias):
    features = RNG.standard_normal((257, 12)).astype(np.float32)
    p = softmax(LOGITS.astype(np.float64))
    a = p - np.eye(10)[p.argmax(axis=1)]
    h = np.concatenate([features, np.ones((257, 1))], axis=1) if bias else features
    g = (a[:, :, None] * h[:, None, :]).reshape(257, -1)
    rows, distances = poolwise.badge(LOGITS, features, 20, seed=3, bias=bias)
    assert rows[0] == np.argmax((g**2).sum(axis=1)) and len(set(rows)) == 20
    np.testing.assert_allclose(distances[0], (g[rows[0]] ** 2).sum(), rtol=1e-4)
    for i in range(1, 20):
        nearest = ((g[rows[:i]] - g[rows[i]]) ** 2).sum(axis=1).min()
        np.testing.assert_allclose(distances[i], nearest, rtol=1e-3)


def test_badge_depends_on_the_seed_alone():
    features = RNG.standard_normal((257, 12)).astype(np.float32)
    first, _ = poolwise.badge(LOGITS, features, 20, seed=1, threads=1)
    for threads in (2, 3):
        np.testing.assert_array_equal(poolwise.badge(LOGITS, features, 20, seed=1, threads=threads)[0], first)
    assert list(poolwise.badge(LOGITS, features, 20, seed=2)[0]) != list(first)
    assert not set(poolwise.badge(LOGITS, features, 100, exclude=first)[0]) & set(first)


def test_select_is_score_and_top_k():
    labelled, excluded = [3, 5, 7], np.array([11, 200], np.int32)
    chosen = poolwise.select(strategy="margin", batch=12, outputs=LOGITS, labelled=labelled, exclude=excluded)
    margin = poolwise.score(LOGITS, "margin")
    order = [r for r in np.lexsort((np.arange(257), -margin)) if r not in {3, 5, 7, 11, 200}]
    np.testing.assert_array_equal(chosen.rows, order[:12])
    np.testing.assert_array_equal(chosen.scores, margin[chosen.rows])
    assert len(chosen) == len(chosen.reasons) == 12 and all(chosen.reasons)
    assert chosen.rank_seconds >= 0 and "12" in repr(chosen)


def test_a_batch_is_a_sequence_of_picks():
    ids = [f"item {row}" for row in range(257)]
    chosen = poolwise.select(strategy="facility_location", batch=7, embeddings=LOGITS, ids=ids, cost=range(257), on_nan="skip")
    for i, pick in enumerate(chosen):
        assert (pick.row, pick.id, pick.cost) == (chosen.rows[i], chosen.ids[i], chosen.costs[i])
        assert pick.score == chosen.scores[i] and pick.reason == chosen.reasons[i]
        assert pick.id in repr(pick) and str(pick.row) in repr(pick)
    assert [pick.row for pick in chosen[2:4]] == list(chosen.rows[2:4]) and chosen[-1].row == chosen[np.int8(6)].row == chosen.rows[6]
    assert len(list(chosen)) == len(chosen) == 7 and str(chosen.rows[0]) in repr(chosen)
    for none in (7, -8, 2**70):
        with pytest.raises(IndexError):
            chosen[none]
    with pytest.raises(TypeError):
        chosen["row"]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, *(lambda x, p=p: pickle.loads(pickle.dumps(x, p)) for p in (2, 5))])
def test_results_are_pickled_and_copied(again):
    ask = {"strategy": "facility_location", "batch": 7, "embeddings": LOGITS, "neighbours": "ivf"}
    chosen = poolwise.select(**ask)
    for kept, first in ((again(chosen), chosen), (again(chosen[3]), chosen[3]), (again(chosen.neighbours), chosen.neighbours)):
        fields = [name for name in dir(first) if not name.startswith("_") and not callable(getattr(first, name))]
        assert len(fields) > 3 and repr(kept) == repr(first)
        for name in fields:
            assert repr(getattr(kept, name)) == repr(getattr(first, name)), name
    plan = poolwise.plan(**ask)
    assert again(plan).bytes == plan.bytes and [step.name for step in again(plan).steps] == [step.name for step in plan.steps]
    for other in ((), (1, 2), None):
        with pytest.raises(TypeError):
            poolwise.Batch.__new__(poolwise.Batch).__setstate__(other)


def test_probabilities_are_no_logits():
    p = softmax(LOGITS)
    members = [p, softmax(LOGITS[::-1])]
    for call, remedy in ((lambda: poolwise.select(strategy="margin", batch=3, outputs=p), "kind="),
                         (lambda: poolwise.plan(strategy="margin", batch=3, outputs=p.astype(np.float16)), "kind="),
                         (lambda: poolwise.select(strategy="bald", batch=3, committee=members), "kind="),
                         (lambda: poolwise.select(strategy="bald", batch=3, committee=np.stack(members)), "kind="),
                         (lambda: poolwise.score(p.astype(np.float64), "entropy", copy=True), 'kind="probabilities"'),
                         (lambda: poolwise.score(np.where(np.arange(257)[:, None] == 0, np.float32(np.nan), p), "entropy"), "kind="),
                         (lambda: poolwise.committee(np.stack(members), "bald"), 'kind="probabilities"'),
                         (lambda: poolwise.badge(p, p, 3), 'kind="probabilities"')):
        with pytest.raises(poolwise.InvalidValueError, match=rf"holds probabilities.*\({remedy}"):
            call()
    by_logits = poolwise.select(strategy="margin", batch=9, outputs=LOGITS)
    assert list(poolwise.select(strategy="margin", batch=9, outputs=p, kind="probabilities").rows) == list(by_logits.rows)
    assert list(poolwise.select(strategy="margin", batch=9, outputs=p - 1).scores) != list(by_logits.scores)
    poolwise.select(strategy="bald", batch=3, committee=members, kind="probabilities")
    poolwise.select(strategy="bald", batch=3, committee=[p, LOGITS])
    p[200] *= 2
    poolwise.score(p, "entropy")


def test_a_pool_may_be_rows_alone():
    assert poolwise.select(strategy="random", batch=5, rows=1000).rows.max() < 1000
    ids = ["a", "b", 3]
    assert poolwise.select(strategy="random", batch=1, ids=ids, labelled=["b"], exclude={"a"}).ids == ["3"]
    with pytest.raises(poolwise.InvalidValueError, match="pass .* or rows"):
        poolwise.select(strategy="random", batch=5)
    with pytest.raises(poolwise.ShapeError, match="257"):
        poolwise.select(strategy="margin", batch=5, rows=1000, outputs=LOGITS)
    with pytest.raises(poolwise.ShapeError, match="ids have 3 rows"):
        poolwise.select(strategy="margin", batch=5, outputs=LOGITS, ids=ids)


def test_integers_come_in_many_kinds():
    ask = {"strategy": "margin", "batch": 5, "outputs": LOGITS}
    rows = poolwise.select(**ask, labelled=[1, 2, 9]).rows.tolist()
    for same in ({9, 1, 2}, {1: 0, 2: 0, 9: 0}.keys(), frozenset([1, 2, 9]), (1, 2, 9), np.array([9, 0, 2, 0, 1, 0], ">i2")[::2],
                 memoryview(np.array([1, 2, 9])), ByDlpack(np.array([1, 2, 9])), np.ma.masked_array([1, 2, 9]), array.array("Q", [1, 2, 9])):
        assert poolwise.select(**ask, labelled=same).rows.tolist() == rows


def test_integers_are_copied_before_they_are_checked():
    ask = {"strategy": "margin", "batch": 9, "outputs": LOGITS}
    whole = np.zeros(257, np.int64)
    for more in ({"cost": whole}, {"labelled": np.arange(100)}, {"exclude": np.arange(100)}, {"group": whole, "quota": [257]}):
        added = 8 * sum(len(values) for values in more.values())
        assert poolwise.plan(**ask, **more).bytes >= poolwise.plan(**ask).bytes + added
    program = """if True:
        import numpy as np, poolwise, threading, time
        n = 100_000
        p = np.random.default_rng(0).random((n, 2)).astype("f4")
        group, labelled, done = np.zeros(n, np.int64), np.arange(n // 2), False
        def change():
            while not done:
                group[:] = 10**9
                labelled[:] = 10**13
                group[:] = 0
                labelled[:] = np.arange(n // 2)
        thread = threading.Thread(target=change)
        thread.start()
        end = time.monotonic() + 1
        while time.monotonic() < end:
            for more in ({"group": group, "quota": [n]}, {"labelled": labelled}):
                try:
                    poolwise.select(strategy="margin", batch=n // 4, outputs=p, **more)
                except poolwise.Error:
                    pass
        done = True
    """
    subprocess.run([sys.executable, "-c", program], check=True)


def test_select_keeps_and_diversifies():
    points = RNG.standard_normal((257, 4)).astype(np.float32)
    chosen = poolwise.select(strategy="entropy/50/kcenter", batch=8, outputs=LOGITS, embeddings=points)
    best, _ = poolwise.top_k(poolwise.score(LOGITS, "entropy"), 50)
    assert set(chosen.rows) <= set(best)


def test_select_by_a_committee():
    x = RNG.standard_normal((3, 90, 4)).astype(np.float32)
    chosen = poolwise.select(strategy="bald", batch=5, committee=x)
    np.testing.assert_array_equal(chosen.rows, poolwise.top_k(poolwise.committee(x, "bald"), 5)[0])


def test_select_keeps_to_budget_and_quota():
    cost = RNG.integers(1, 10, 257)
    chosen = poolwise.select(strategy="entropy", outputs=LOGITS, cost=cost, budget=40)
    assert chosen.cost == chosen.costs.sum() == cost[chosen.rows].sum() <= 40
    hours = RNG.integers(1, 6, 257)
    chosen = poolwise.select(strategy="entropy", outputs=LOGITS, cost=cost, budget=40, also_cost={"hours": hours, "days": cost},
                             also_budget={"hours": 11})
    assert chosen.cost <= 40 and hours[chosen.rows].sum() <= 11 and chosen.also_cost == ["hours", "days"]
    assert [pick.also_cost for pick in chosen] == [[hours[row], cost[row]] for row in chosen.rows]
    with pytest.raises(poolwise.InvalidValueError, match='also_budget has one of "days", of which there is not one cost of rows'):
        poolwise.select(strategy="entropy", outputs=LOGITS, cost=cost, also_budget={"days": 3})
    group = np.arange(257) % 3
    chosen = poolwise.select(strategy="entropy", batch=20, outputs=LOGITS, group=group, quota=[4, 0, 2])
    assert np.bincount(group[chosen.rows], minlength=3).tolist() == [4, 0, 2]
    for more in ({}, {"quota": [20, 5, 20]}, {"cost": cost, "budget": 90}):
        chosen = poolwise.select(strategy="entropy", batch=20, outputs=LOGITS, group=group, floor=[0, 5, 9], **more)
        count = np.bincount(group[chosen.rows], minlength=3)
        assert count[1] >= 5 and count[2] >= 9 and not chosen.remarks
        assert count[1] == 5 or "quota" not in more
    with pytest.raises(poolwise.BudgetError, match=r"floor of group 0 and group 1 \(22 picks together\) and batch \(20\) contradict"):
        poolwise.select(strategy="entropy", batch=20, outputs=LOGITS, group=group, floor=[11, 11, 0])
    with pytest.raises(poolwise.BudgetError):
        poolwise.select(strategy="entropy", outputs=LOGITS, cost=cost + 100, budget=40)


def test_select_leaves_out_near_duplicates():
    embeddings = np.repeat(np.arange(20, dtype=np.float32), 3)[:, None]
    scores = np.random.default_rng(5).normal(size=(60, 4)).astype(np.float32)
    for strategy in ("margin", "kcenter", "badge"):
        ask = {"strategy": strategy, "batch": 60, "outputs": scores, "embeddings": embeddings}
        assert len(poolwise.select(**ask)) == 60
        assert sorted(embeddings[poolwise.select(**ask, apart=0).rows, 0]) == list(range(20))
        labelled = poolwise.select(**ask | {"batch": 58}, apart=0, labelled=[0, 59])
        assert sorted(embeddings[labelled.rows, 0]) == list(range(1, 19))
        assert len(poolwise.select(**ask, apart=1.5)) <= 10


def test_select_says_how_neighbours_were_found():
    ask = {"strategy": "facility_location", "batch": 9, "embeddings": RNG.standard_normal((700, 8)).astype(np.float32)}
    exact = poolwise.select(**ask)
    assert (exact.neighbours.method, exact.neighbours.recall, exact.neighbours.sampled) == ("exact", 1.0, 0)
    for method in ("ivf", "hnsw"):
        near = poolwise.select(**ask, neighbours=method)
        assert near.neighbours.method == method and 0.95 < near.neighbours.recall <= 1
        assert near.neighbours.sampled == 512
        assert poolwise.select(**ask, neighbours=method, threads=2).rows.tolist() == near.rows.tolist()
    assert poolwise.plan(**ask, neighbours="hnsw").bytes > 0
    assert poolwise.select(strategy="entropy", batch=3, outputs=LOGITS).neighbours is None
    with pytest.raises(poolwise.InvalidValueError, match="neighbours by \"lsh\" are unknown"):
        poolwise.select(**ask, neighbours="lsh")


def test_seed_and_round_decide_random_choices():
    def picks(**extra):
        return poolwise.select(strategy="random", batch=10, outputs=LOGITS, **extra).rows.tolist()

    assert picks(seed=1) == picks(seed=1, threads=2)
    assert len({tuple(picks(seed=s, round=r)) for s in (1, 2) for r in (0, 1)}) == 4


def test_plan_says_what_select_takes():
    points = RNG.standard_normal((257, 4)).astype(np.float32)
    what = poolwise.plan(strategy="entropy/50/kcenter", batch=8, outputs=LOGITS, embeddings=points)
    assert what.input_bytes == LOGITS.nbytes + points.nbytes
    assert what.bytes > 0 and what.sweeps > 0 and what.seconds >= 0
    assert what.steps and all(step.name and step.bytes >= 0 for step in what.steps)


def test_select_reaches_every_strategy_there_is():
    points = RNG.standard_normal((257, 4)).astype(np.float32)
    members = RNG.standard_normal((3, 257, 10)).astype(np.float32)
    everything = {"outputs": LOGITS, "committee": members, "embeddings": points, "labelled": [3, 5],
                  "predictions": members[:, :, :1].copy(), "queries": points[:4], "private": points[4:6], "query_weights": np.ones(4, np.float32),
                  "labels": np.arange(257) % 3, "targets": members[:, :6].copy(), "cost_matrix": (1 - np.eye(10)).astype(np.float32),
                  "label_outputs": LOGITS, "label_sets": np.eye(10, dtype=np.float32)[np.arange(257) % 10]}
    for entry in poolwise.strategies():
        chosen = poolwise.select(strategy=entry.example, batch=9, **everything)
        assert len(set(chosen.rows)) == 9 and not {3, 5} & set(chosen.rows), entry.name
        if entry.kind == "diversity":
            assert f'"{entry.name}"' in poolwise.select.__doc__


def test_members_may_lie_apart_and_rows_have_ids():
    members = RNG.standard_normal((3, 257, 10)).astype(np.float32)
    ids = [f"item {row}" for row in range(257)]
    whole = poolwise.select(strategy="bald", batch=9, committee=members)
    apart = poolwise.select(strategy="bald", batch=9, committee=list(members), ids=ids)
    assert list(apart.rows) == list(whole.rows) and list(apart.scores) == list(whole.scores)
    assert apart.ids == [ids[row] for row in whole.rows] and whole.ids == [str(row) for row in whole.rows]
    with pytest.raises(poolwise.ShapeError, match="member 1"):
        poolwise.select(strategy="bald", batch=9, committee=[members[0], members[1, :9]])


def test_plan_takes_what_select_takes(tmp_path):
    arguments = [list(inspect.signature(call).parameters) for call in (poolwise.select, poolwise.plan)]
    assert arguments[0] == arguments[1] and {"checkpoint", "memory"} < set(arguments[0])
    state = tmp_path / "state"
    poolwise.plan(strategy="margin", batch=9, outputs=LOGITS, checkpoint=state, memory=1 << 30)
    assert not state.exists()


def test_memory_is_a_ceiling():
    ask = {"strategy": "margin", "batch": 9, "outputs": LOGITS}
    for call in (poolwise.select, poolwise.plan):
        with pytest.raises(poolwise.InvalidValueError, match=rf"^{call.__name__}: needs [\d.]+ \w+ .* memory allows 1000 B;"):
            call(**ask, memory=1000)
    needed = poolwise.plan(**ask).bytes
    assert list(poolwise.select(**ask, memory=needed).rows) == list(poolwise.select(**ask).rows)


def with_signal(work, seconds, handler=signal.default_int_handler):
    """Calls `work`; after so many seconds of processor time comes a signal, by default as if it were Ctrl-C's."""
    before = signal.signal(signal.SIGPROF, handler)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def timed(work):
    """What it returns, and the processor time: the machine may be busy."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def ends_by_ctrl_c(work, seconds):
    """Interrupted after a quarter of the time that it takes, `work` is over before most of it has passed."""
    def until_interrupted():
        with pytest.raises(KeyboardInterrupt):
            with_signal(work, seconds / 4)

    return timed(until_interrupted)[1] < 0.9 * seconds


def long_selection(strategy):
    """What `select` takes a second for at least, and how long."""
    ask = {"strategy": strategy, "embeddings": RNG.standard_normal((20_000, 64)).astype(np.float32),
           "outputs": RNG.standard_normal((20_000, 10)).astype(np.float32), "threads": 1}
    picks = 500
    while True:
        chosen, seconds = timed(lambda: poolwise.select(**ask, batch=picks))
        if seconds > 1 or picks == 16_000:
            return ask | {"batch": picks}, chosen, seconds
        picks *= 2


@pytest.mark.parametrize("strategy", ["kcenter", "badge"])
def test_ctrl_c_ends_a_long_selection_that_goes_on_from_its_checkpoint(strategy, tmp_path):
    ask, chosen, seconds = long_selection(strategy)
    state = tmp_path / "state"
    assert ends_by_ctrl_c(lambda: poolwise.select(**ask, checkpoint=state), seconds)
    assert state.exists()
    with pytest.raises(poolwise.InvalidValueError, match="another selection"):
        poolwise.select(**ask | {"batch": 5}, checkpoint=state)
    resumed = poolwise.select(**ask, checkpoint=str(state))
    np.testing.assert_array_equal(resumed.rows, chosen.rows)
    np.testing.assert_array_equal(resumed.scores, chosen.scores)
    assert not state.exists()


def test_ctrl_c_ends_kcenter_and_badge():
    ask, _, _ = long_selection("kcenter")
    for call in (lambda: poolwise.kcenter(ask["embeddings"], ask["batch"], threads=1),
                 lambda: poolwise.badge(ask["outputs"], ask["embeddings"], ask["batch"], threads=1)):
        assert ends_by_ctrl_c(call, timed(call)[1])


@pytest.mark.parametrize("shape, ask", [
    ((16_000, 64), {"strategy": "typiclust"}), ((16_000, 64), {"strategy": "facility_location"}),
    ((2500, 512), {"strategy": "facility_location", "neighbours": "hnsw"}),
    ((5000, 64), {"strategy": "facility_location", "neighbours": "ivf"})],
    ids=lambda x: "-".join(x.values()) if isinstance(x, dict) else "")
def test_ctrl_c_ends_lists_of_neighbours(shape, ask):
    points = RNG.standard_normal(shape).astype(np.float32)
    work = lambda: poolwise.select(**ask, batch=500, embeddings=points, threads=1)
    assert ends_by_ctrl_c(work, timed(work)[1])


def test_a_handler_that_returns_ends_nothing():
    ask, chosen, seconds = long_selection("kcenter")
    start, seen = time.process_time(), []
    again = with_signal(lambda: poolwise.select(**ask), seconds / 4, lambda *_: seen.append(time.process_time() - start))
    assert len(seen) == 1 and seen[0] < 0.9 * seconds  # while the call ran, not after it
    np.testing.assert_array_equal(again.rows, chosen.rows)


def in_a_fork(work):
    """What `work` returns in a process that was forked from this one; it is ended where it hangs."""
    forked = multiprocessing.get_context("fork")
    answers = forked.Queue()
    process = forked.Process(target=lambda: answers.put(work()))
    process.start()
    try:
        return answers.get(timeout=30)
    finally:
        process.kill()
        process.join()


@pytest.mark.filterwarnings("ignore:.*fork")
def test_a_forked_worker_answers():
    points = RNG.standard_normal((900, 16)).astype(np.float32)
    for ask in ({"strategy": "kcenter"}, {"strategy": "facility_location"}, {"strategy": "typiclust", "neighbours": "hnsw"},
                {"strategy": "facility_location", "neighbours": "ivf"}):
        work = lambda: poolwise.select(**ask, batch=9, embeddings=points, threads=2).rows.tolist()
        assert work() == in_a_fork(work) == in_a_fork(lambda: in_a_fork(work))

    def in_a_thread():
        rows = []
        thread = threading.Thread(target=lambda: rows.extend(work()))
        thread.start()
        thread.join()
        return rows

    assert in_a_fork(in_a_thread) == work()


def test_the_interpreter_ends_while_daemon_threads_compute():
    program = """if True:
        import numpy as np, poolwise, threading, time
        points = np.random.default_rng(0).random((1000, 16), np.float32)
        def compute():
            while True:
                poolwise.select(strategy="kcenter", batch=20, embeddings=points, threads=1)
        for _ in range(3):
            threading.Thread(target=compute, daemon=True).start()
        time.sleep(0.05)
    """
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_strategies_are_listed():
    listed = poolwise.strategies()
    assert {"entropy", "bald", "kcenter", "badge"} <= {entry.name for entry in listed}
    assert {entry.kind for entry in listed} == {"acquisition", "disagreement", "diversity"}
    assert all(entry.formula and entry.needs and entry.source for entry in listed)


def test_threads_change_nothing():
    for threads in (1, 2, 5):
        np.testing.assert_array_equal(poolwise.score(LOGITS, "entropy", threads=threads), poolwise.score(LOGITS, "entropy"))
        np.testing.assert_array_equal(poolwise.kcenter(POINTS, 9, threads=threads)[0], poolwise.kcenter(POINTS, 9)[0])


@pytest.mark.parametrize("call, problem, says", [
    (lambda: poolwise.select(strategy="entropy", batch=3, outputs=LOGITS, labeled=[1]), poolwise.ArgumentError, "^select: labeled is no argument; pass labelled$"),
    (lambda: poolwise.plan(strategy="entropy", batch=3, zzz=LOGITS), poolwise.ArgumentError, "zzz is no argument; pass some of strategy, pool, batch, outputs, kind"),
    (lambda: poolwise.select("entropy", None, 3), poolwise.ArgumentError, "select: too many positional arguments"),
    (lambda: poolwise.select(batch=3), poolwise.ArgumentError, "missing a required argument: 'strategy'"),
    (lambda: poolwise.score(LOGITS), poolwise.ArgumentError, "'acquisition'"),
    (lambda: poolwise.score(None, "entropy"), poolwise.ArgumentError, "outputs is None"),
    (lambda: poolwise.select(strategy="entropy", batch=3, outputs=LOGITS, seed=None), poolwise.ArgumentError, "^select: seed is None; leave it out"),
    (lambda: poolwise.select(strategy="entropy", batch=3.5, outputs=LOGITS), poolwise.ArgumentError, "batch is 3.5; pass a whole number"),
    (lambda: poolwise.select(strategy="kcenter", batch=3, embeddings=POINTS, apart="1"), poolwise.ArgumentError, "apart is '1'; pass a number"),
    (lambda: poolwise.select(strategy=7, batch=3, outputs=LOGITS), poolwise.ArgumentError, "strategy is 7; pass a string"),
    (lambda: poolwise.select(strategy="\ud800", batch=3, outputs=LOGITS), poolwise.InvalidValueError, "UTF-8"),
    (lambda: poolwise.select(strategy="margin", batch=3, outputs=LOGITS, checkpoint=7), poolwise.ArgumentError, "checkpoint is 7"),
    (lambda: poolwise.select(strategy="margin", batch=3, outputs=LOGITS, ids="abc"), poolwise.ArgumentError, "ids is 'abc'; pass a list of strings"),
    (lambda: poolwise.select(strategy="margin", batch=3, outputs=LOGITS, ids=[None] * 257), poolwise.ArgumentError, r"ids\[0\] is None"),
    (lambda: poolwise.select(strategy="margin", batch=3, outputs=LOGITS, labelled=["a"]), poolwise.ArrayError, "labelled holds .*; pass integers"),
    (lambda: poolwise.select(strategy="margin", batch=3, outputs=LOGITS, ids=range(257), labelled=["a"]), poolwise.InvalidValueError, "no row has the id 'a'"),
    (lambda: poolwise.select(strategy="margin", batch=3, outputs=np.ma.masked_less(LOGITS, 0)), poolwise.ArrayError, r'masked.*\.filled\(numpy.nan\) with on_nan="skip"'),
    (lambda: poolwise.kcenter(POINTS, 3, labelled=np.ma.masked_array([1, 2], [0, 1])), poolwise.ArrayError, r"labelled has masked.*\.compressed"),
    (lambda: poolwise.score([[1.0, 2.0], [3.0]], "entropy"), poolwise.ArrayError, "outputs is of type list and no array: .*inhomogeneous"),
    (lambda: poolwise.score(np.array(7.0), "entropy"), poolwise.ShapeError, "0 dimensions"),
    (lambda: poolwise.top_k(np.zeros(9, np.float32), 10**5000), poolwise.InvalidValueError, "k is a number of many digits; pass a whole number from 0"),
    (lambda: poolwise.badge(LOGITS, POINTS[:257], 3, bias="yes"), poolwise.ArgumentError, "bias is 'yes'; pass True or False"),
    (lambda: poolwise.score(LOGITS.astype(np.int32), "entropy"), poolwise.ArrayError, "outputs is an array of int32; pass an array of float32"),
    (lambda: poolwise.score(LOGITS[0], "entropy"), poolwise.ShapeError, r"1 dimensions; pass \[rows, classes\]"),
    (lambda: poolwise.score(np.zeros((3, 0), np.float32), "entropy"), poolwise.ShapeError, "score"),
    (lambda: poolwise.score(LOGITS, "entropi"), poolwise.InvalidValueError, "entropy"),
    (lambda: poolwise.score(LOGITS, "bald"), poolwise.InvalidValueError, "least_confidence, margin"),
    (lambda: poolwise.score(LOGITS, "margin/10/kcenter"), poolwise.InvalidValueError, "least_confidence, margin"),
    (lambda: poolwise.score(LOGITS, "entropy", kind="logit"), poolwise.InvalidValueError, '"logits" or "probabilities"'),
    (lambda: poolwise.score(softmax(LOGITS), "energy", kind="probabilities"), poolwise.InvalidValueError, "energy"),
    (lambda: poolwise.score(LOGITS, "entropy", threads=-1), poolwise.InvalidValueError, "threads is -1; pass a whole number from 0 to 4096"),
    (lambda: poolwise.badge(LOGITS, POINTS[:257], 3, seed=-1), poolwise.InvalidValueError, "badge: seed is -1; pass a whole number from 0 to 18446744073709551615"),
    (lambda: poolwise.top_k(np.zeros(9, np.float32), 2**70), poolwise.InvalidValueError, "top_k: k is 1180591620717411303424"),
    (lambda: poolwise.select(strategy="random", batch=3, outputs=LOGITS, seed=-1), poolwise.InvalidValueError, "select: seed is -1; pass a whole number from 0 to"),
    (lambda: poolwise.plan(strategy="random", batch=3, outputs=LOGITS, seed=2**64), poolwise.InvalidValueError, "plan: seed is 18446744073709551616"),
    (lambda: poolwise.select(strategy="random", batch=3, outputs=LOGITS, round=2**32), poolwise.InvalidValueError, "round is 4294967296"),
    (lambda: poolwise.select(strategy="margin", batch=-1, outputs=LOGITS), poolwise.InvalidValueError, "batch is -1"),
    (lambda: poolwise.select(strategy="margin", outputs=LOGITS, cost=[1] * 257, budget=-1), poolwise.InvalidValueError, "budget is -1"),
    (lambda: poolwise.select(strategy="margin", batch=3, outputs=LOGITS, memory=-1), poolwise.InvalidValueError, "memory is -1"),
    (lambda: poolwise.select(strategy="kcenter", batch=3, embeddings=POINTS, apart=float("nan")), poolwise.InvalidValueError, "select: rows are to be apart by more than nan"),
    (lambda: poolwise.select(strategy="margin", batch=3, outputs=LOGITS, apart=1.0), poolwise.InvalidValueError, r"\(embeddings\)"),
    (lambda: poolwise.select(strategy="margin", batch=3, embeddings=POINTS), poolwise.InvalidValueError, r"give them \(outputs\)"),
    (lambda: poolwise.plan(strategy="bald", batch=3, outputs=LOGITS), poolwise.InvalidValueError, r"^plan: .*\(committee\)"),
    (lambda: poolwise.select(strategy="kcenter", batch=3, embeddings=POINTS * np.nan), poolwise.InvalidValueError, r'\(on_nan="skip"\)'),
    (lambda: poolwise.select(strategy="kcenter", batch=3, embeddings=np.where(np.arange(300)[:, None] == 7, np.float32(np.nan), POINTS), labelled=[7], on_nan="skip"), poolwise.InvalidValueError, r"\(exclude\)"),
    (lambda: poolwise.score(LOGITS, "entropy", out=np.empty(256, np.float32)), poolwise.ShapeError, r"pass \[257\]"),
    (lambda: poolwise.score(LOGITS, ["entropy"], out=np.empty(257, np.float32)), poolwise.ShapeError, r"pass \[257, 1\]"),
    (lambda: poolwise.score(LOGITS, "entropy", out=np.empty(257)), poolwise.ArrayError, "writable float32"),
    (lambda: poolwise.score(LOGITS, ["entropy", "margin"], out=np.empty((2, 257), np.float32).T), poolwise.ArrayError, "beside each other"),
    (lambda: poolwise.score(LOGITS, "entropy", out=np.broadcast_to(np.float32(0), 257)), poolwise.ArrayError, "writable"),
    (lambda: poolwise.committee(LOGITS, "bald"), poolwise.ShapeError, r"\[members, rows, classes\]"),
    (lambda: poolwise.committee(np.zeros((2, 9, 4), np.float32), "entropy"), poolwise.InvalidValueError, "bald, "),
    (lambda: poolwise.top_k(LOGITS, 3), poolwise.ShapeError, "2 dimensions"),
    (lambda: poolwise.top_k(np.zeros(9, np.float32), -1), poolwise.InvalidValueError, "k"),
    (lambda: poolwise.kcenter(POINTS, 3, labelled=[300]), poolwise.InvalidValueError, "row 300"),
    (lambda: poolwise.kcenter(POINTS, 3, exclude=[-1]), poolwise.InvalidValueError, "row -1"),
    (lambda: poolwise.kcenter(POINTS, 3, labelled=[1.5]), poolwise.ArrayError, "integers"),
    (lambda: poolwise.kcenter(POINTS, 3, exclude=np.zeros(300, bool)), poolwise.ArrayError, "flatnonzero"),
    (lambda: poolwise.kcenter(POINTS, 3, exclude=[[1]]), poolwise.ShapeError, "2 dimensions"),
    (lambda: poolwise.kcenter(POINTS, 3, exclude=np.array([2**63], np.uint64)), poolwise.InvalidValueError, "2\\^63"),
    (lambda: poolwise.kcenter(POINTS, 3, weights=np.ones(299, np.float32)), poolwise.ShapeError, "299"),
    (lambda: poolwise.kcenter(POINTS * np.nan, 3), poolwise.InvalidValueError, "row 0"),
    (lambda: poolwise.kcenter(POINTS, -3), poolwise.InvalidValueError, "-3"),
    (lambda: poolwise.badge(LOGITS, POINTS, 3), poolwise.ShapeError, "300"),
    (lambda: poolwise.badge(LOGITS, POINTS[:257], 3, first="last"), poolwise.InvalidValueError, '"largest_norm" or "random"'),
    (lambda: poolwise.select(strategy="entropy", batch=3), poolwise.Error, "."),
    (lambda: poolwise.select(strategy="entropy", outputs=LOGITS), poolwise.InvalidValueError, "batch nor budget"),
    (lambda: poolwise.select(strategy="entropy", outputs=LOGITS, budget=3), poolwise.InvalidValueError, "cost"),
    (lambda: poolwise.select(strategy="entropy", batch=3, outputs=LOGITS, group=[0] * 257), poolwise.InvalidValueError, "quota"),
    (lambda: poolwise.select(strategy="entropy", batch=3, outputs=LOGITS, on_nan="keep"), poolwise.InvalidValueError, '"skip"'),
    (lambda: poolwise.select(strategy="kcenter", batch=3, outputs=LOGITS), poolwise.InvalidValueError, "embeddings"),
    (lambda: poolwise.select(strategy="badge", batch=3, outputs=LOGITS, embeddings=POINTS), poolwise.ShapeError, "300"),
    (lambda: poolwise.select(strategy="entropy", batch=3, outputs=LOGITS, labelled=[257]), poolwise.InvalidValueError, "257"),
])
def test_wrong_arguments_are_refused_by_name(call, problem, says):
    with pytest.raises(poolwise.Error, match=says) as caught:
        call()
    assert isinstance(caught.value, problem)
    assert "\n" not in str(caught.value) and "--" not in str(caught.value)


class Awkward:
    """What looks like an array and is none."""

    dtype = "\ud800"
    __dlpack__ = property(lambda self: 1 / 0)


class Dlpack:
    def __dlpack__(self, **_):
        raise RuntimeError("Can't export tensors that require gradient\nuse detach")

    def __dlpack_device__(self):
        return (1, 0)


AWKWARD = [
    None, 7, -1, 2**70, 10**5000, 1.5, float("nan"), True, "", "entropy", "\ud800", b"ab", [], [[1], [1, 2]], [None], {}, {1, 2}, {"a"}, {1, "a"},
    object(), int, Awkward(), Dlpack(), range(3), iter([1]), np.float32(1), np.array(1.0), np.zeros(0, np.float32), np.zeros((0, 0), np.float32),
    np.zeros((257, 0), np.float32), np.zeros((2, 257, 0)), np.array([object()] * 257), np.array(["a"] * 257), np.zeros(257, "M8[s]"), np.zeros((257, 10), complex),
    np.zeros((257, 10), bool), np.zeros((257, 10), np.uint16), np.zeros((257, 10), [("a", "f4"), ("b", "i1")]), np.zeros((1,) * 40, np.float32), LOGITS[::-1, ::-1],
    np.broadcast_to(np.float32(0), (257, 10)), memoryview(b"abcd"), memoryview(LOGITS)[::2], (ctypes.c_float * 257)(), ((ctypes.c_double * 10) * 257)(),
    (ctypes.c_longlong * 257)(), (ctypes.c_void_p * 3)(), ctypes.c_float(1), np.ma.masked_less(LOGITS, 0), np.ma.masked, bytearray(257 * 40),
]


@pytest.mark.parametrize("call, arguments", [
    (poolwise.score, {"outputs": LOGITS, "acquisition": "entropy"}), (poolwise.committee, {"outputs": LOGITS[None], "disagreement": "bald"}),
    (poolwise.top_k, {"scores": LOGITS[:, 0].copy(), "k": 3}), (poolwise.kcenter, {"points": LOGITS, "k": 3}),
    (poolwise.badge, {"outputs": LOGITS, "features": LOGITS, "k": 3}),
    (poolwise.select, {"strategy": "margin/10/kcenter", "batch": 3, "outputs": LOGITS, "embeddings": LOGITS}),
    (poolwise.plan, {"strategy": "random", "batch": 3, "rows": 257}), (poolwise.nearest, {"points": LOGITS, "references": LOGITS[:7]}),
    (poolwise.knn_graph, {"points": LOGITS, "k": 3}), (poolwise.dpp, {"points": LOGITS, "k": 3}),
    (poolwise.facility_location, {"points": LOGITS, "k": 3, "neighbours": 5})], ids=lambda x: getattr(x, "__name__", ""))
def test_awkward_arguments_are_taken_or_refused_in_one_line(call, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # for words that are taken for files
    for name in inspect.signature(call).parameters:
        for awkward in AWKWARD:
            if name == "progress" and awkward is int:
                continue  # what is called raises what it likes
            try:
                call(**arguments | {name: awkward})
            except poolwise.Error as refusal:
                assert re.fullmatch(".+", str(refusal)) and len(str(refusal)) < 500, (name, str(refusal))


def test_errors_are_what_python_calls_them():
    assert issubclass(poolwise.InvalidValueError, ValueError) and issubclass(poolwise.ShapeError, ValueError)
    assert issubclass(poolwise.ArrayError, TypeError) and issubclass(poolwise.NoCudaError, RuntimeError)
    assert issubclass(poolwise.DeviceMemoryError, MemoryError)
    with pytest.raises(poolwise.Error) as caught:
        poolwise.top_k(np.zeros(3, np.float32), -1)
    again = pickle.loads(pickle.dumps(caught.value))  # as it crosses a process pool
    assert type(again) is type(caught.value) and str(again) == str(caught.value)


def longest_pause_beside(work):
    """How long another thread of Python stood still while `work` ran, and how long that took."""
    done, longest = threading.Event(), [0.0]

    def tick():
        last = time.perf_counter()
        while not done.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            longest[0] = max(longest[0], now - last)
            last = now

    ticking = threading.Thread(target=tick)
    ticking.start()
    start = time.perf_counter()
    work()
    seconds = time.perf_counter() - start
    done.set()
    ticking.join()
    return longest[0], seconds


def test_the_gil_is_released():
    points = RNG.standard_normal((20_000, 32)).astype(np.float32)
    k = 200
    while True:
        pause, seconds = longest_pause_beside(lambda: poolwise.kcenter(points, k, threads=1))
        if seconds > 0.3 or k >= len(points):
            break
        k *= 4
    assert pause < seconds / 2


def test_nothing_is_copied():
    """Scoring 192 MiB into a place that is there, and walking over it, raises the peak by far less than that."""
    program = """if True:
        import resource, numpy, poolwise
        def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wide = numpy.ones((3 << 20, 16), numpy.float32)
        labelled = numpy.arange(10)
        out = numpy.empty(len(wide), numpy.float32)
        out[:] = 0
        before = peak()
        poolwise.score(wide, "entropy", out=out)
        poolwise.score(wide[:, 2:12], "entropy", out=out)
        poolwise.committee(wide.reshape(2, -1, 16), "bald", out=out[:len(wide) // 2])
        poolwise.top_k(wide.reshape(-1), 3)
        print(peak() - before)
    """
    grown = int(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)
    assert grown < 64 << 10


def test_the_package_says_what_it_has():
    folder = pathlib.Path(poolwise.__file__).parent
    stub = ast.parse((folder / "_core.pyi").read_text())
    named = {node.name for node in stub.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    calls = {name for name in poolwise.__all__ if not name.endswith("Error") and name != "__version__"}
    assert calls | {"Ranks", "select_shard"} == named and (folder / "py.typed").exists()  # those two are for poolwise.distributed
    for name in poolwise.__all__:
        assert name == "__version__" or getattr(poolwise, name).__doc__, name
    tree = (pathlib.Path(__file__).parents[3] / "CMakeLists.txt").read_text()
    assert poolwise.__version__ == re.search(r"project\(poolwise VERSION ([\d.]+)", tree)[1]


def test_the_example_of_the_package_runs():
    example = re.search(r"\n\n((?:    .*\n|\n)+)", poolwise.__doc__)[1]
    known = {"logits": LOGITS, "embeddings": RNG.standard_normal((257, 4)).astype(np.float32)}
    exec("if True:\n" + example, known)
    assert len(known["chosen"]) == 100 and len(known["rows"]) == 100


def test_a_committee_with_its_axes_swapped_is_refused_or_doubted():
    p = np.random.default_rng(0).dirichlet(np.ones(4), (30, 7)).astype("f4")  # [rows, members, classes]
    baal = np.ascontiguousarray(p.transpose(0, 2, 1))
    with pytest.raises(poolwise.InvalidValueError, match="sum to 1 over the second axis"):
        poolwise.committee(baal, "bald", kind="probabilities")
    with pytest.warns(UserWarning, match="30 members of 7 rows"):
        poolwise.committee(p, "bald", kind="probabilities")


def test_a_committee_alone_speaks_by_the_mean_of_its_probabilities():
    z = np.random.default_rng(0).normal(size=(3, 200, 4)).astype("f4")
    p = np.exp(z.astype("f8"))
    p = (p / p.sum(-1, keepdims=True)).mean(0).astype("f4")
    got = poolwise.select(strategy="margin", batch=20, committee=list(z))
    assert got.rows.tolist() == poolwise.select(strategy="margin", batch=20, outputs=p, kind="probabilities").rows.tolist()
    with pytest.raises(poolwise.InvalidValueError, match="energy"):
        poolwise.select(strategy="energy", batch=20, committee=z)


def test_only_candidates_are_picked():
    z = np.random.default_rng(0).normal(size=(50, 4)).astype("f4")
    names = [f"item{i}" for i in range(50)]
    by_row = poolwise.select(strategy="margin", batch=5, outputs=z, candidates=[7, 3, 40], exclude=[3, 9])
    by_id = poolwise.select(strategy="margin", batch=5, outputs=z, ids=names, candidates=["item7", "item3", "item40"], exclude=["item3"])
    assert sorted(by_row.rows.tolist()) == sorted(by_id.rows.tolist()) == [7, 40]
    with pytest.raises(poolwise.InvalidValueError, match="candidates: row 50 is not in the pool"):
        poolwise.select(strategy="margin", batch=5, outputs=z, candidates=[50])


def test_where_no_more_threads_are_to_be_had_there_are_fewer():
    program = """
import os, resource, numpy, poolwise
z = numpy.random.default_rng(0).normal(size=(5000, 4)).astype("f4")
if os.getuid() == 0:
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
print(poolwise.score(z, "entropy", threads=16).sum())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("names", [np.array(["cat", "dog", "owl"]), np.array([-1, 7, 3])])
def test_groups_have_quotas_by_name(names):
    z = np.random.default_rng(0).normal(size=(60, 4)).astype("f4")
    group = names[np.arange(60) % 3]
    quota = {names[0].item(): 2, names[1].item(): 1, "*": 3}
    by_name = poolwise.select(strategy="margin", batch=6, outputs=z, group=group, quota=quota)
    by_number = poolwise.select(strategy="margin", batch=6, outputs=z, group=np.arange(60) % 3, quota=[2, 1, 3])
    assert by_name.rows.tolist() == by_number.rows.tolist()
    assert poolwise.plan(strategy="margin", batch=6, outputs=z, group=list(group), quota=quota).bytes > 0
    del quota["*"]
    with pytest.raises(poolwise.InvalidValueError, match="row 2 is in group (owl|3), which has no quota"):
        poolwise.select(strategy="margin", batch=6, outputs=z, group=group, quota=quota)
