"""The module against numpy in float64, and what it refuses."""

import ast
import pathlib
import pickle
import re
import signal
import subprocess
import sys
import threading
import time

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


def test_uint16_is_the_bits_of_bfloat16():
    narrow = LOGITS.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(poolwise.score(narrow.view(np.uint16), "margin"), poolwise.score(narrow, "margin"))


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
    group = np.arange(257) % 3
    chosen = poolwise.select(strategy="entropy", batch=20, outputs=LOGITS, group=group, quota=[4, 0, 2])
    assert np.bincount(group[chosen.rows], minlength=3).tolist() == [4, 0, 2]
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
                  "predictions": members[:, :, :1].copy(), "queries": points[:4], "query_weights": np.ones(4, np.float32)}
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
    arguments = [re.findall(r"(\w+): ", call.__nb_signature__[0][0]) for call in (poolwise.select, poolwise.plan)]
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


def test_a_handler_that_returns_ends_nothing():
    ask, chosen, seconds = long_selection("kcenter")
    start, seen = time.process_time(), []
    again = with_signal(lambda: poolwise.select(**ask), seconds / 4, lambda *_: seen.append(time.process_time() - start))
    assert len(seen) == 1 and seen[0] < 0.9 * seconds  # while the call ran, not after it
    np.testing.assert_array_equal(again.rows, chosen.rows)


def test_strategies_are_listed():
    listed = poolwise.strategies()
    assert {"entropy", "bald", "kcenter", "badge"} <= {entry.name for entry in listed}
    assert {entry.kind for entry in listed} == {"acquisition", "disagreement", "diversity"}
    assert all(entry.formula and entry.needs and entry.source for entry in listed)


def test_threads_change_nothing():
    for threads in (1, 2, 5):
        np.testing.assert_array_equal(poolwise.score(LOGITS, "entropy", threads=threads), poolwise.score(LOGITS, "entropy"))
        np.testing.assert_array_equal(poolwise.kcenter(POINTS, 9, threads=threads)[0], poolwise.kcenter(POINTS, 9)[0])


UNALIGNED = np.frombuffer(bytearray(4 * 30 + 1), np.uint8)[1:].view(np.float32).reshape(10, 3)


@pytest.mark.parametrize("call, problem, says", [
    (lambda: poolwise.score(LOGITS.astype(np.float64), "entropy"), poolwise.ArrayError, r"score: outputs .*astype\(numpy.float32\)"),
    (lambda: poolwise.score(LOGITS.astype(np.int32), "entropy"), poolwise.ArrayError, "float32, float16 nor bfloat16"),
    (lambda: poolwise.score([[1.0, 2.0]], "entropy"), poolwise.ArrayError, r"outputs is a list.*numpy.asarray"),
    (lambda: poolwise.score(LOGITS.T, "entropy"), poolwise.ArrayError, "numpy.ascontiguousarray"),
    (lambda: poolwise.score(LOGITS[:, ::2], "entropy"), poolwise.ArrayError, "numpy.ascontiguousarray"),
    (lambda: poolwise.score(LOGITS[::-1], "entropy"), poolwise.ArrayError, "numpy.ascontiguousarray"),
    (lambda: poolwise.score(np.broadcast_to(LOGITS[0], (9, 10)), "entropy"), poolwise.ArrayError, "numpy.ascontiguousarray"),
    (lambda: poolwise.score(LOGITS.astype(">f4"), "entropy"), poolwise.ArrayError, "native"),
    (lambda: poolwise.score(UNALIGNED, "entropy"), poolwise.ArrayError, "aligned"),
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
    (lambda: poolwise.committee(np.zeros((2, 9, 4), np.float32)[:, ::2], "bald"), poolwise.ArrayError, "dense"),
    (lambda: poolwise.committee(np.zeros((2, 9, 4), np.float32), "entropy"), poolwise.InvalidValueError, "bald, "),
    (lambda: poolwise.top_k(LOGITS[:, 0], 3), poolwise.ArrayError, "gaps"),
    (lambda: poolwise.top_k(np.zeros(9), 3), poolwise.ArrayError, "float32"),
    (lambda: poolwise.top_k(LOGITS, 3), poolwise.ShapeError, "2 dimensions"),
    (lambda: poolwise.top_k(np.zeros(9, np.float32), -1), poolwise.InvalidValueError, "k"),
    (lambda: poolwise.kcenter(POINTS.astype(np.float16), 3), poolwise.ArrayError, "points is not float32"),
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


def test_errors_are_what_python_calls_them():
    assert issubclass(poolwise.InvalidValueError, ValueError) and issubclass(poolwise.ShapeError, ValueError)
    assert issubclass(poolwise.ArrayError, TypeError) and issubclass(poolwise.NoCudaError, RuntimeError)
    assert issubclass(poolwise.DeviceMemoryError, MemoryError)
    with pytest.raises(poolwise.Error) as caught:
        poolwise.top_k(np.zeros(3, np.float32), -1)
    copy = pickle.loads(pickle.dumps(caught.value))  # as it crosses a process pool
    assert type(copy) is type(caught.value) and str(copy) == str(caught.value)


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
    assert calls == named and (folder / "py.typed").exists()
    for name in poolwise.__all__:
        assert name == "__version__" or getattr(poolwise, name).__doc__, name
    tree = (pathlib.Path(__file__).parents[3] / "CMakeLists.txt").read_text()
    assert poolwise.__version__ == re.search(r"project\(poolwise VERSION ([\d.]+)", tree)[1]


def test_the_example_of_the_package_runs():
    example = re.search(r"\n\n((?:    .*\n|\n)+)", poolwise.__doc__)[1]
    known = {"logits": LOGITS, "embeddings": RNG.standard_normal((257, 4)).astype(np.float32)}
    exec("if True:\n" + example, known)
    assert len(known["chosen"]) == 100 and len(known["rows"]) == 100
