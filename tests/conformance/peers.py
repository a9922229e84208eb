#!/usr/bin/env python3
"""Who else calls it so, and what they pick: one table of cells, each of which is a test.

    peers.py                    writes docs/same_name_different_picks.md
    peers.py --check            fails where that page is not what this table says
    peers.py --real LIBRARY     holds the cells of a library, installed beside poolwise, to the library itself

A cell restates in numpy what the library does (`theirs`) and says how that agrees with Poolwise's definition:

    same          the same values, within 1e-6, and the same picks
    same picks    the same picks, by other values
    same start    the first pick is the same, the others are drawn
    other picks   on the inputs here, another batch

bindings/python/tests/test_peers.py holds each cell to Poolwise, and the shim of poolwise.compat to `theirs`.
`real`, which needs the library, says the same; `run_peers.py` installs the libraries and runs it.
"""

import dataclasses
import json
import math
import pathlib
import sys
import types
import warnings
from collections.abc import Callable

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE / "reference")]

from golden import distributions, numbers, softmax, squared_distances
from committees import disagreement, kl
from scores import cosines, entropy, score

VERSIONS = {"scikit-activeml": "1.0.1", "modAL": "0.4.2.1", "small-text": "1.4.1", "Baal": "2.1.0", "bmdal": "3.0.2",
            "apricot": "0.6.1", "submodlib": "0.0.3"}

# ---- The inputs of all cells: 60 rows, of which the first five have labels

ROWS, LABELLED, BATCH = 60, np.arange(5), 8
PROBA, MEMBERS = distributions((ROWS, 5), 201), distributions((4, ROWS, 5), 202)
SOFT = softmax(numbers((4, ROWS, 5), 203, 2.0))  # of no 0
POINTS = np.abs(numbers((ROWS, 6), 204)) + 1 / 64
OPEN = np.arange(5, ROWS)
LOOSE = PROBA * np.linspace(0.5, 2, ROWS)[:, None]  # rows that are no distributions


@dataclasses.dataclass
class Cell:
    ours: str  # a strategy, for picks of Poolwise
    library: str
    call: str
    agreement: str
    reason: str
    theirs: Callable  # () -> values [rows], higher first; or picks, if `batch`
    inputs: dict = dataclasses.field(default_factory=dict)  # of poolwise.select
    batch: bool = False
    sign: float = 1  # of the library's values, where lower is first
    shim: Callable | None = None  # () -> what `real` gives, by poolwise.compat
    real: Callable | None = None  # () -> values in the library's own sense, or picks
    own: Callable | None = None  # () -> Poolwise's values, in double, for "same"; none for batches

    @property
    def name(self):
        return f"{self.ours} as {self.library}'s {self.call}"


CELLS = []


def add(*given, **more):
    CELLS.append(Cell(*given, **more))


class Says:
    """A fitted model of these rows, for libraries that ask one."""

    def __init__(self, proba, **more):
        self.proba, self.classes_ = proba, np.arange(np.shape(proba)[-1])
        vars(self).update(more)

    def predict_proba(self, X, **_):
        return self.proba


def compat(name):
    import importlib

    return importlib.import_module(f"poolwise.compat.{name}")


# ---- Scores of one model

for ours, method in (("least_confidence", "least_confident"), ("margin", "margin_sampling"), ("entropy", "entropy")):

    def real(method=method):
        from skactiveml.pool import uncertainty_scores

        return uncertainty_scores(PROBA.copy(), method=method)

    def shim(method=method):
        query = compat("skactiveml").UncertaintySampling(method)
        y = np.r_[np.zeros(5), np.full(ROWS - 5, np.nan)]
        return query.query(POINTS, y, Says(PROBA), fit_clf=False, batch_size=1, return_utilities=True)[1][0]

    add(ours, "scikit-activeml", f"UncertaintySampling(method={method!r})", "same", "Ties are drawn; here the lower row.",
        lambda ours=ours: score(ours, PROBA), {"outputs": PROBA, "kind": "probabilities"}, own=lambda ours=ours: score(ours, PROBA),
        real=real, shim=shim)


def modal(call, argument):
    def real():
        import importlib

        module = importlib.import_module("modAL.uncertainty" if "classifier" in call else "modAL.disagreement")
        return getattr(module, call)(argument(), POINTS)

    return dict(real=real, shim=lambda: getattr(compat("modal"), call)(argument(), POINTS))


class ModalCommittee(Says):
    def vote_proba(self, X):
        return np.moveaxis(self.proba, 0, 1)

    def vote(self, X):
        return self.proba.argmax(axis=2).T

    def predict_proba(self, X):
        return self.proba.mean(axis=0)

    def __len__(self):
        return len(self.proba)

    def __iter__(self):
        return iter(self.proba)


add("least_confidence", "modAL", "classifier_uncertainty", "same", "", lambda: score("least_confidence", PROBA),
    {"outputs": PROBA, "kind": "probabilities"}, own=lambda: score("least_confidence", PROBA), **modal("classifier_uncertainty", lambda: Says(PROBA)))
add("margin", "modAL", "classifier_margin", "same picks", "p1 - p2, lower first; here 1 - (p1 - p2). One class: 0.",
    lambda: 1 - score("margin", PROBA), {"outputs": PROBA, "kind": "probabilities"}, sign=-1, **modal("classifier_margin", lambda: Says(PROBA)))
add("entropy", "modAL", "classifier_entropy", "same", "Rows of another sum are renormalised in silence; here refused, and "
    "by the shim divided with a warning.", lambda: entropy(PROBA), {"outputs": PROBA, "kind": "probabilities"}, own=lambda: entropy(PROBA),
    **modal("classifier_entropy", lambda: Says(PROBA)))


def small_text(name, proba=lambda: PROBA):
    def scores(module):
        strategy = getattr(module, name)()
        strategy.query(Says(proba()), np.zeros((ROWS, 1)), OPEN, LABELLED, LABELLED, n=3)
        return strategy.scores_

    def real():
        import small_text.query_strategies

        return scores(small_text.query_strategies)

    return dict(real=real, shim=lambda: scores(compat("small_text")))


add("least_confidence", "small-text", "LeastConfidence", "same picks", "The largest p, lower first; the batch comes in any "
    "order.", lambda: PROBA.max(axis=1), {"outputs": PROBA, "kind": "probabilities"}, sign=-1, **small_text("LeastConfidence"))
add("margin", "small-text", "BreakingTies", "same picks", "p1 - p2, lower first; the batch comes in any order.",
    lambda: 1 - score("margin", PROBA), {"outputs": PROBA, "kind": "probabilities"}, sign=-1, **small_text("BreakingTies"))
add("entropy", "small-text", "PredictionEntropy", "same", "The batch comes in any order.", lambda: entropy(PROBA),
    {"outputs": PROBA, "kind": "probabilities"}, own=lambda: entropy(PROBA), **small_text("PredictionEntropy"))


def baal(name, argument):
    def real():
        import baal.active.heuristics as heuristics

        return getattr(heuristics, name)().compute_score(argument())

    return dict(real=real, shim=lambda: getattr(compat("baal"), name)().compute_score(argument()))


add("least_confidence", "Baal", "Certainty", "same picks", "The largest p, lower first; takes logits as they are, here "
    "their softmax.", lambda: PROBA.max(axis=1), {"outputs": PROBA, "kind": "probabilities"}, sign=-1, **baal("Certainty", lambda: PROBA))
add("margin", "Baal", "Margin", "same picks", "p1 - p2, lower first.", lambda: 1 - score("margin", PROBA), {"outputs": PROBA, "kind": "probabilities"},
    sign=-1, **baal("Margin", lambda: PROBA))
add("entropy", "Baal", "Entropy", "same", "", lambda: entropy(PROBA), {"outputs": PROBA, "kind": "probabilities"}, own=lambda: entropy(PROBA),
    **baal("Entropy", lambda: PROBA))


def softmaxed_where_one_row_is_none():
    mixed = PROBA.copy()
    mixed[7] = [3, 0, 0, 0, 1]
    return entropy(softmax(mixed))


add("entropy", "Baal", "Entropy of an array with one row of logits", "other picks", "Takes a softmax of the whole array if "
    "any value is outside 0 to 1 or any row does not sum to 1; here the row is refused, and the shim asks for kind=.",
    softmaxed_where_one_row_is_none, {"outputs": PROBA, "kind": "probabilities"})
add("least_confidence", "PyRelationAL", "least_confidence", "same picks", "Times C / (C - 1).",
    lambda: score("least_confidence", PROBA) * 5 / 4, {"outputs": PROBA, "kind": "probabilities"})
add("entropy", "PyRelationAL", "entropy", "same picks", "In bits, over log2 C; NaN where a p is 0.",
    lambda: entropy(SOFT[0]) / math.log(5), {"outputs": SOFT[0], "kind": "probabilities"})
add("margin", "PyRelationAL", "margin_confidence", "same", "", lambda: score("margin", PROBA), {"outputs": PROBA, "kind": "probabilities"},
    own=lambda: score("margin", PROBA))
add("margin", "ALiPy", "QueryInstanceUncertainty('margin')", "same picks", "p2 - p1.", lambda: score("margin", PROBA) - 1,
    {"outputs": PROBA, "kind": "probabilities"})
add("least_confidence", "ALaaS", "least_confidence", "same picks", "The largest p, lower first.", lambda: PROBA.max(axis=1),
    {"outputs": PROBA, "kind": "probabilities"}, sign=-1)
add("ratio", "ALaaS", "ratio_confidence", "same picks", "p1 / p2, lower first: infinite where p2 is 0, here 0.",
    lambda: 1 / score("ratio", SOFT[0]), {"outputs": SOFT[0], "kind": "probabilities"}, sign=-1)
add("entropy", "ALiPy", "QueryInstanceUncertainty('entropy')", "same picks", "ln(p + 1e-9), and 1e-6 in place of 0.",
    lambda: -(np.where(PROBA <= 0, 1e-6, PROBA) * np.log(np.where(PROBA <= 0, 1e-6, PROBA) + 1e-9)).sum(axis=1),
    {"outputs": PROBA, "kind": "probabilities"})

# ---- Committees

BAAL = np.moveaxis(MEMBERS, 0, -1)  # [rows, classes, iterations]
add("bald", "Baal", "BALD", "same", "", lambda: disagreement("bald", MEMBERS), {"committee": MEMBERS, "kind": "probabilities"},
    own=lambda: disagreement("bald", MEMBERS), **baal("BALD", lambda: BAAL))
add("variance", "Baal", "Variance", "same", "The mean over classes of the population's variance.",
    lambda: MEMBERS.var(axis=0).mean(axis=1), {"predictions": MEMBERS}, own=lambda: MEMBERS.var(axis=0).mean(axis=1),
    real=lambda: __import__("baal.active.heuristics", fromlist=["_"]).Variance().get_uncertainties(BAAL),
    shim=lambda: compat("baal").Variance().get_uncertainties(BAAL))


def small_text_bald():
    p = np.moveaxis(MEMBERS, 0, 1)
    return (-np.sum(p.mean(axis=1) * np.log2(p.mean(axis=1) + 1e-8), axis=1)
            + np.mean(np.sum(p * np.log2(p + 1e-8), axis=2), axis=1))


add("bald", "small-text", "BALD", "same picks", "In bits, with 1e-8 in the logarithms.", small_text_bald,
    {"committee": MEMBERS, "kind": "probabilities"},
    real=lambda: __import__("small_text.query_strategies.bayesian", fromlist=["_"])._bald(np.moveaxis(MEMBERS, 0, 1)))


def committee_shim(method):
    query = compat("skactiveml").QueryByCommittee(method)
    y = np.r_[np.zeros(5), np.full(ROWS - 5, np.nan)]
    members = [Says(p) for p in SOFT]
    return query.query(POINTS, y, members, fit_ensemble=False, batch_size=1, return_utilities=True)[1][0]


def skactiveml_committee(call):
    from skactiveml.pool import _query_by_committee as module

    votes = SOFT.argmax(axis=2).T
    return {"average_kl_divergence": lambda: module.average_kl_divergence(SOFT.copy()),
            "vote_entropy": lambda: module.vote_entropy(votes, np.arange(5)),
            "variation_ratios": lambda: module.variation_ratios(votes)}[call]()


for ours, method, call in (("bald", "KL_divergence", "average_kl_divergence"), ("vote_entropy",) * 3,
                           ("variation_ratio", "variation_ratios", "variation_ratios")):
    reason = "Clips p at 1e-7 and renormalises." if ours == "bald" else "Votes of what members predict."
    add(ours, "scikit-activeml", f"QueryByCommittee(method={method!r})", "same", reason,
        lambda ours=ours: disagreement(ours, SOFT), {"committee": SOFT, "kind": "probabilities"}, own=lambda ours=ours: disagreement(ours, SOFT),
        real=lambda call=call: skactiveml_committee(call), shim=lambda method=method: committee_shim(method))
for ours, call in (("vote_entropy", "vote_entropy"), ("consensus_entropy", "consensus_entropy"),
                   ("max_kl", "KL_max_disagreement")):
    add(ours, "modAL", call, "same", "", lambda ours=ours: disagreement(ours, SOFT), {"committee": SOFT, "kind": "probabilities"},
        own=lambda ours=ours: disagreement(ours, SOFT), **modal(call, lambda: ModalCommittee(SOFT)))
add("variation_ratio", "modAL", "uncertainty_sampling of a Committee", "other picks", "1 - the largest mean p, which is "
    "least confidence of the mean; here of votes.", lambda: 1 - SOFT.mean(axis=0).max(axis=1), {"committee": SOFT, "kind": "probabilities"},
    real=lambda: __import__("modAL.uncertainty", fromlist=["_"]).classifier_uncertainty(ModalCommittee(SOFT), POINTS))
add("vote_entropy", "Engelson & Dagan 1996", "vote entropy", "same picks", "Divided by ln min(E, C).",
    lambda: disagreement("vote_entropy", SOFT) / math.log(4), {"committee": SOFT, "kind": "probabilities"})
add("bald", "PyRelationAL", "bald", "same picks", "Over log2 C.", lambda: disagreement("bald", SOFT) / math.log(5),
    {"committee": SOFT, "kind": "probabilities"})
add("bald", "ALiPy", "QueryInstanceQBC('KL_divergence')", "same picks", "The sum over members, not their mean.",
    lambda: 4 * disagreement("bald", SOFT), {"committee": SOFT, "kind": "probabilities"})
add("mean_std", "PyRelationAL", "mean std", "same picks", "torch's unbiased deviation: members - 1 in the divisor.",
    lambda: SOFT.std(axis=0, ddof=1).mean(axis=1), {"committee": SOFT, "kind": "probabilities"})

# ---- Batches


def greedy(gain, batch=BATCH, allowed=OPEN):
    picks = []
    while len(picks) < batch:
        gains = np.asarray(gain(picks), float).copy()
        barred = np.setdiff1d(np.arange(ROWS), np.setdiff1d(allowed, picks))
        gains[barred] = -np.inf
        picks.append(int(np.argmax(gains)))
    return picks


def farthest(points, known=LABELLED, first=None, batch=BATCH):
    def gain(picks):
        if len(known) + len(picks) == 0:
            return np.arange(ROWS) == first
        return squared_distances(points, points[[*known, *picks]]).min(axis=1)

    return greedy(gain, batch, np.setdiff1d(np.arange(ROWS), known))


Y = np.r_[np.zeros(5), np.full(ROWS - 5, np.nan)]
EMBEDDED = {"embeddings": POINTS, "labelled": LABELLED}
add("kcenter", "scikit-activeml", "CoreSet", "same picks", "Values are distances, here their squares; ties are drawn.",
    lambda: farthest(POINTS), EMBEDDED, batch=True,
    real=lambda: __import__("skactiveml.pool", fromlist=["_"]).CoreSet(random_state=0).query(POINTS, Y, batch_size=BATCH),
    shim=lambda: compat("skactiveml").CoreSet().query(POINTS, Y, batch_size=BATCH))


def small_text_coreset(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strategy = module.GreedyCoreset(normalize=False)
    return strategy.query(None, np.zeros((ROWS, 1)), OPEN, LABELLED, None, n=BATCH,
                          embeddings=np.concatenate([POINTS[5:], POINTS[:5]]))


add("kcenter", "small-text", "GreedyCoreset(normalize=False)", "same picks", "By default rows are normalised, before 1.2 by "
    "arccos(cos) / pi: metric=\"cosine\" here.", lambda: farthest(POINTS), EMBEDDED, batch=True,
    real=lambda: small_text_coreset(__import__("small_text.query_strategies", fromlist=["_"])),
    shim=lambda: small_text_coreset(compat("small_text")))


def bmdal_real(method, **config):
    import torch
    from bmdal_reg.bmdal.algorithms import select_batch
    from bmdal_reg.bmdal.feature_data import TensorFeatureData

    np.Inf = np.inf  # bmdal 3.0.2 takes it from numpy 1
    pool = np.concatenate([POINTS[5:], POINTS[:0]])
    data = {key: TensorFeatureData(torch.from_numpy(part).double()) for key, part in (("pool", pool), ("train", POINTS[:5]))}
    rows, _ = select_batch(BATCH, [torch.nn.Linear(6, 1)], data, None, "linear", [], method, use_float64=True,
                           allow_float64=True, verbosity=0, **config)
    return rows.numpy() + 5


def bmdal_shim(method, **config):
    rows, _ = compat("bmdal").select_batch(BATCH, [], {"pool": POINTS[5:], "train": POINTS[:5]}, None, "linear", [], method, **config)
    return rows + 5


def largest_cluster():
    picks = []
    while len(picks) < BATCH:
        d2 = squared_distances(POINTS, POINTS[[*LABELLED, *picks]])
        near, away = d2.argmin(axis=1), d2.min(axis=1)
        sums = np.bincount(near[5:], away[5:], minlength=d2.shape[1])
        picks.append(int(np.argmax(np.where((near == np.argmax(sums)) & (np.arange(ROWS) >= 5), away, -1))))
    return picks


add("maxdist", "bmdal", "maxdist", "same picks", "Of the linear kernel; the shim refuses others.", lambda: farthest(POINTS),
    EMBEDDED, batch=True, real=lambda: bmdal_real("maxdist", sel_with_train=True),
    shim=lambda: bmdal_shim("maxdist"))
add("lcmd", "bmdal", "lcmd", "same picks", "Of the linear kernel; the shim refuses others.", largest_cluster, EMBEDDED, batch=True,
    real=lambda: bmdal_real("lcmd", sel_with_train=True), shim=lambda: bmdal_shim("lcmd"))


def linear_determinant(noise, known=LABELLED, batch=BATCH):
    K = POINTS @ POINTS.T + noise**2 * np.eye(ROWS)

    def gain(picks):
        given = [*known, *picks]
        return np.diag(K) - np.einsum("ij,ij->j", K[given], np.linalg.solve(K[np.ix_(given, given)], K[given])) if given else np.diag(K)

    return greedy(gain, batch)


def informed():
    from fisher import forward_backward

    told = np.einsum("if,ig->ifg", POINTS, POINTS)
    begin = 0.25 * np.eye(6) + told[LABELLED].sum(axis=0)
    return forward_backward(told, begin, told.mean(axis=0), BATCH, OPEN, 0)[0]


def herded():
    unit, place, picks = POINTS / np.sqrt((POINTS**2).sum(axis=1, keepdims=True)), np.zeros(6), []
    lengths, total = np.sqrt((POINTS[5:] ** 2).sum(axis=1)).sum(), POINTS[5:].sum(axis=0)
    while len(picks) < BATCH:
        along = unit @ (total - place)
        along[[*LABELLED, *picks]] = -np.inf
        picks.append(int(np.argmax(along)))
        off = lengths * unit[picks[-1]] - place
        place = place + (off @ (total - place)) / (off @ off) * off
    return picks


add("maxdet(noise=0.5)", "bmdal", "maxdet(maxdet_sigma=0.5)", "same picks", "Of the linear kernel; bmdal's noise is 0 by default, "
    "here 1.", lambda: linear_determinant(0.5), EMBEDDED, batch=True,
    real=lambda: bmdal_real("maxdet", sel_with_train=True, maxdet_sigma=0.5),
    shim=lambda: bmdal_shim("maxdet", sel_with_train=True, maxdet_sigma=0.5))
add("bait_regression(noise=0.5)", "bmdal", "bait(bait_sigma=0.5, overselection_factor=2)", "same picks", "Of the linear kernel, with "
    "training rows; bmdal's noise is 0 and its factor 1 by default, here 1 and 2.", informed, EMBEDDED, batch=True,
    real=lambda: bmdal_real("bait", sel_with_train=True, bait_sigma=0.5, overselection_factor=2.0),
    shim=lambda: bmdal_shim("bait", sel_with_train=True, bait_sigma=0.5, overselection_factor=2.0))
add("dpp", "bmdal", "maxdet", "other picks", "The kernel is linear, h . h: maxdet here. dpp's is RBF of the median distance.",
    lambda: linear_determinant(1, known=[], batch=5), EMBEDDED, batch=True)
add("frank_wolfe", "bmdal", "fw", "same picks", "Of the linear kernel, over the pool alone.", herded,
    {"embeddings": POINTS, "exclude": LABELLED}, batch=True, real=lambda: bmdal_real("fw"), shim=lambda: bmdal_shim("fw"))
add("kcenter", "submodlib", "DisparityMinFunction", "other picks", "Begins at row 0 where nothing is labelled; here at a "
    "drawn row.", lambda: farthest(POINTS, known=[], first=0), {"embeddings": POINTS}, batch=True)
add("kcenter", "google/active-learning", "kcenter_greedy", "same picks", "With no label the first row is drawn from numpy's "
    "global state, here by the seed.", lambda: farthest(POINTS), EMBEDDED, batch=True)
add("kcenter", "anomalib", "KCenterGreedy", "other picks", "Distances are of a sparse random projection, and the first pick "
    "is drawn by torch.", lambda: farthest(POINTS @ np.sign(numbers((6, 3), 207)), known=[], first=0), {"embeddings": POINTS},
    batch=True)


def joint_information():
    import itertools

    def information(rows):
        joint = 0.0
        for labels in itertools.product(range(5), repeat=len(rows)):
            each = np.prod([SOFT[:, r, y] for r, y in zip(rows, labels)], axis=0).mean()
            joint -= each * np.log(each)
        return joint - entropy(SOFT[:, rows]).sum(axis=1).mean()

    return greedy(lambda picks: [information([*picks, r]) if r not in picks else -1 for r in range(ROWS)], 3, np.arange(ROWS))


add("batchbald", "scikit-activeml", "batch_bald(n_MC_samples=1000)", "same picks", "While all joint labels are counted; more "
    "than n_MC_samples, by default the number of members, are drawn, here more than 1e6.", joint_information, {"committee": SOFT, "kind": "probabilities"}, batch=True,
    real=lambda: np.nanargmax(__import__("skactiveml.pool", fromlist=["_"]).batch_bald(SOFT.copy(), 3, 1000, 0), axis=1),
    shim=lambda: compat("skactiveml").BatchBALD().query(POINTS, np.full(ROWS, np.nan), [Says(p) for p in SOFT],
                                                        fit_ensemble=False, batch_size=3))


def first_gradient():
    a = PROBA - np.eye(5)[PROBA.argmax(axis=1)]
    g = np.einsum("ic,ih->ich", a, POINTS).reshape(ROWS, -1)
    return [int(np.argmax((g**2).sum(axis=1)))]


UNBIASED = {"outputs": PROBA, "kind": "probabilities", "embeddings": POINTS * 1024}  # so large that the 1 of the bias is nothing
add("badge", "scikit-activeml", "Badge", "same start", "The first is the largest gradient, the others are drawn by squared "
    "distance, from another stream. Gradients are (p - e) x h, here with a bias, (p - e) x [h; 1].", first_gradient,
    UNBIASED, batch=True)


def modal_density():
    d = np.sqrt(squared_distances(POINTS, POINTS))
    return (1 / (1 + d)).mean(axis=1) * score("margin", PROBA)


add("density(margin)", "modAL", "information_density", "other picks", "Similarity is 1 / (1 + distance), here the cosine; "
    "labelled rows count, here they do not.", modal_density, {"outputs": PROBA, "kind": "probabilities", **EMBEDDED},
    real=lambda: __import__("modAL.density", fromlist=["_"]).information_density(POINTS) * score("margin", PROBA))


def modal_ranked():
    def gain(picks):
        known = [*LABELLED, *picks]
        alpha = (ROWS - len(known)) / ROWS
        near = 1 / (1 + np.sqrt(squared_distances(POINTS, POINTS[known]).min(axis=1)))
        return alpha * (1 - near) + (1 - alpha) * score("least_confidence", PROBA)

    return greedy(gain)


def modal_ranked_real():
    from modAL.batch import ranked_batch

    learner = types.SimpleNamespace(on_transformed=False, X_training=POINTS[:5])
    uncertain = score("least_confidence", PROBA)[5:]
    return ranked_batch(learner, POINTS[5:], uncertain, BATCH, "euclidean", None)[0] + 5


add("ranked_batch(least_confidence)", "modAL", "uncertainty_batch_sampling", "other picks", "Similarity is 1 / (1 + "
    "distance), here the cosine of Cardoso et al. 2017.", modal_ranked, {"outputs": PROBA, "kind": "probabilities", **EMBEDDED}, batch=True,
    real=modal_ranked_real)


def facility(s):
    return greedy(lambda picks: np.maximum(0, s - (s[:, picks].max(axis=1, keepdims=True) if picks else 0)).sum(axis=0),
                  allowed=np.arange(ROWS))


def cut(s, weight, own=2):
    return greedy(lambda picks: weight * s.sum(axis=0) - own * s[picks].sum(axis=0) - np.diag(s), allowed=np.arange(ROWS))


APRICOT = squared_distances(POINTS, POINTS).max() - squared_distances(POINTS, POINTS)
COSINE = (cosines(POINTS, POINTS) + 0)


def apricot(name, **options):
    import apricot as library

    return getattr(library, name)(BATCH, optimizer="naive", **options).fit(POINTS).ranking


def submodlib(name, **options):
    import submodlib as library

    function = getattr(library, name)(n=ROWS, mode="dense", data=POINTS, metric="cosine", **options)
    return [row for row, _ in function.maximize(BATCH, show_progress=False)]


ALONE = {"embeddings": POINTS}
add("facility_location", "apricot", "FacilityLocationSelection", "other picks", "Similarity is max(d^2) - d^2 of the data at "
    "hand, of all pairs; here 1 / (1 + d^2 / h) of the nearest.", lambda: facility(APRICOT), ALONE, batch=True,
    real=lambda: apricot("FacilityLocationSelection"))
add("facility_location", "submodlib", "FacilityLocationFunction", "other picks", "Similarity is the cosine, of all pairs.",
    lambda: facility(COSINE), ALONE, batch=True, real=lambda: submodlib("FacilityLocationFunction"))
add("graph_cut(lambda=2.5)", "submodlib", "GraphCutFunction(lambdaVal=0.4)", "other picks", "Similarity is the cosine; "
    "lambdaVal is 1 / lambda.", lambda: cut(COSINE, 2.5), ALONE, batch=True,
    real=lambda: submodlib("GraphCutFunction", lambdaVal=0.4))
add("feature_coverage", "apricot", "FeatureBasedSelection", "same picks", "Of concave_func=\"sqrt\"; gains are the same, too.",
    lambda: greedy(lambda picks: np.sqrt(POINTS[picks].sum(axis=0) + POINTS).sum(axis=1), allowed=np.arange(ROWS)), ALONE,
    batch=True, real=lambda: apricot("FeatureBasedSelection"),
    shim=lambda: compat("apricot").FeatureBasedSelection(BATCH).fit(POINTS).ranking)
UNIT = POINTS / np.sqrt((POINTS**2).sum(axis=1, keepdims=True))


def herding():
    s = np.exp(-squared_distances(UNIT, UNIT) / 6)
    return greedy(lambda picks: np.maximum(0, s[:, 5:] - s[[*LABELLED, *picks]].max(axis=0)[5:]).sum(axis=1))


add(f"maxherding(bandwidth={6**0.5!r}, neighbours=59)", "scikit-activeml", "MaxHerding", "same picks", "Rows are normalised, and "
    "gamma is 1 / features; here the kernel is of the 32 nearest unless neighbours= says more.", herding,
    {"embeddings": UNIT, "labelled": LABELLED}, batch=True,
    real=lambda: __import__("skactiveml.pool", fromlist=["_"]).MaxHerding(random_state=0).query(POINTS, Y, batch_size=BATCH),
    shim=lambda: compat("skactiveml").MaxHerding(neighbours=59).query(POINTS, Y, batch_size=BATCH))


def contrastive():
    near = np.argsort(squared_distances(POINTS, POINTS[:5]), axis=1)[:, :3]
    values = np.mean([kl(SOFT[0][near[:, n]], SOFT[0]) for n in range(3)], axis=0)
    return [int(row) for row in np.argsort(-values, kind="stable") if row >= 5][:BATCH]


def contrastive_real():
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import ContrastiveAL

    class Given(SkactivemlClassifier):
        def fit(self, X, y, sample_weight=None):
            return self

        def predict_proba(self, X):
            return np.array([SOFT[0][int(np.argmin(squared_distances(x[None], POINTS)))] for x in X])

    query = ContrastiveAL(nearest_neighbors_dict={"n_neighbors": 3}, random_state=0)
    return query.query(POINTS, Y, Given(classes=np.arange(5)), fit_clf=False, batch_size=BATCH)


add("cal(neighbours=3)", "scikit-activeml", "ContrastiveAL", "same picks", "Clips p at 1e-7; five neighbours by default, here ten.",
    contrastive, {"outputs": np.log(SOFT[0]), "kind": "logits", **EMBEDDED}, batch=True, real=contrastive_real,
    shim=lambda: compat("skactiveml").ContrastiveAL({"n_neighbors": 3}).query(POINTS, Y, Says(SOFT[0]), fit_clf=False,
                                                                              batch_size=BATCH))


# ---- The page and the checks


def page():
    lines = ["# Same name, different picks", "",
             "Who else has a score or a strategy that Poolwise has, and whether their batch is Poolwise's. Each row is a test:",
             "what the library does, restated in numpy, is held to Poolwise in every run of the tests, and to the library",
             "itself, of the version named, by `make test-peers`; where none is named it is its formula alone.", "",
             "*Same*: the same values within 1e-6, and the same picks. *Same picks*: by other values. *Same start*: the first",
             "pick; the others are drawn. *Other picks*: another batch on the test's inputs.", "",
             "| Poolwise | library | its name | agreement | why | held to |", "|---|---|---|---|---|---|"]
    for cell in sorted(CELLS, key=lambda cell: (cell.ours, cell.library, cell.call)):
        held = f"{cell.library} {VERSIONS[cell.library]}" if cell.real else "its formula"
        lines.append(f"| `{cell.ours}` | {cell.library} | `{cell.call}` | {cell.agreement} | {cell.reason} | {held} |")
    return "\n".join(lines) + "\n\nThis page is written by `tests/conformance/peers.py`.\n"


def differs(cell, got, wanted):
    """Why what the library, or a shim, gives is not what the cell says; nothing where it is."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    if cell.batch:
        return "" if got.tolist() == wanted.tolist() else f"picks {got.tolist()}, not {wanted.tolist()}"
    rows = np.flatnonzero(~np.isnan(got))
    off = np.abs(got[rows] - wanted[rows])
    return "" if len(rows) and off.max() <= 1e-6 * (1 + np.abs(wanted).max()) else f"values differ by {off.max():.2g}"


def held_to(library):
    """Each cell of it: its name, and what is wrong for the restatement and for the shim, beside the library."""
    for cell in CELLS:
        if cell.library != library or cell.real is None:
            continue
        try:
            real = cell.real()
            wrong = differs(cell, real, cell.theirs())
            wrong = wrong or (cell.shim and differs(cell, cell.shim(), real)) or ""
        except Exception as problem:
            wrong = f"{type(problem).__name__}: {problem}"
        yield cell.name, wrong


if __name__ == "__main__":
    target = ROOT / "docs" / "same_name_different_picks.md"
    if "--real" in sys.argv:
        results = list(held_to(sys.argv[sys.argv.index("--real") + 1]))
        print(json.dumps(results))
        sys.exit(any(wrong for _, wrong in results))
    if "--check" in sys.argv:
        if not target.exists() or target.read_text() != page():
            sys.exit(f"peers.py: {target} is not what the table says; run tests/conformance/peers.py")
    else:
        target.write_text(page())
