"""small-text's query strategies (small-text 1.4.1): small_text.query_strategies.

    strategy = poolwise.compat.small_text.BreakingTies()
    strategy.query(clf, dataset, indices_unlabeled, indices_labeled, y, n=10)

What differs:
- ties go to the lower index and indices come best first, small-text's argpartition leaves both open; a query for all
  that is left is ranked, too;
- rows that do not sum to 1 are divided by their sums with a warning; small-text's entropy does so in silence, its
  margin and confidence not at all;
- BALD is in nats and without the 1e-8 in its logarithms; small-text's is in bits;
- GreedyCoreset begins, with nothing labelled, at a row drawn by `random_state`, small-text fails there; distances of
  normalised rows give the same picks by "cosine" and "euclidean", of others "cosine" normalises; no query returns an
  index twice;
- RandomSampling draws by `random_state`, small-text from numpy's global state.
"""

import warnings

import numpy as np

from . import _common

try:
    from small_text.query_strategies.exceptions import EmptyPoolException, PoolExhaustedException
except ImportError:

    class EmptyPoolException(ValueError):
        """There is no unlabelled index."""

    class PoolExhaustedException(ValueError):
        """There are fewer unlabelled indices than asked for."""


__all__ = ["BALD", "BreakingTies", "EmptyPoolException", "GreedyCoreset", "LeastConfidence", "PoolExhaustedException",
           "PredictionEntropy", "RandomSampling", "greedy_coreset"]


class _Strategy:
    def __init__(self, random_state=None):
        self.random_state = random_state

    def __str__(self):
        return type(self).__name__ + "()"

    @staticmethod
    def _open(indices, n):
        if len(indices) == 0:
            raise EmptyPoolException("No unlabeled indices available. Cannot query an empty pool.")
        if n > len(indices):
            raise PoolExhaustedException(f"Pool exhausted: {len(indices)} available / {n} requested")
        return np.asarray(indices, dtype=np.int64)


class RandomSampling(_Strategy):
    """Poolwise's random."""

    def query(self, clf, _dataset, indices_unlabeled, indices_labeled, y, n=10):
        rows = self._open(indices_unlabeled, n)
        return rows[_common.select("random", n, rows=len(rows), seed=_common.seed_of(self.random_state)).rows]


class _ByScore(_Strategy):
    """Of each subclass: what Poolwise calls it, and small-text's value of that score, kept in scores_."""

    lower_is_better = True
    scores_ = None

    def query(self, clf, dataset, indices_unlabeled, indices_labeled, y, n=10):
        rows = np.sort(self._open(indices_unlabeled, n))
        scores = self.score(clf, dataset, indices_unlabeled, indices_labeled, y)
        return rows[_common.best(-scores[rows], n)]

    def score(self, clf, dataset, indices_unlabeled, indices_labeled, y):
        """Lower is better, as small-text has it; scores_ are in its own sense."""
        proba = _common.distributions(clf.predict_proba(dataset), type(self).__name__)
        self.scores_ = self._value(_common.score(proba, self._acquisition))
        return self.scores_ if self.lower_is_better else -self.scores_


class BreakingTies(_ByScore):
    """Poolwise's margin; scores_ are p1 - p2."""

    _acquisition, _value = "margin", staticmethod(lambda score: 1 - score)


class LeastConfidence(_ByScore):
    """Poolwise's least_confidence; scores_ are the largest p."""

    _acquisition, _value = "least_confidence", staticmethod(lambda score: 1 - score)


class PredictionEntropy(_ByScore):
    """Poolwise's entropy."""

    _acquisition, _value, lower_is_better = "entropy", staticmethod(lambda score: score), False


class BALD(_Strategy):
    """Poolwise's bald over `dropout_samples` predictions."""

    def __init__(self, dropout_samples=10):
        super().__init__()
        self.dropout_samples = dropout_samples

    def __str__(self):
        return f"BALD(dropout_samples={self.dropout_samples})"

    def query(self, clf, dataset, indices_unlabeled, indices_labeled, y, n=10):
        rows = np.sort(self._open(indices_unlabeled, n))
        proba = np.asarray(clf.predict_proba(dataset, dropout_sampling=self.dropout_samples))  # [rows, samples, classes]
        members = np.ascontiguousarray(np.moveaxis(proba, 1, 0)[:, rows])
        return rows[_common.best(_common.disagreement(_common.distributions(members, "BALD"), "bald"), n)]


def greedy_coreset(x, indices_unlabeled, indices_labeled, n, distance_metric="cosine", batch_size=100, normalized=False,
                   random_state=None):
    """Places in indices_unlabeled, by Poolwise's kcenter; batch_size changes nothing."""
    _check_metric(distance_metric)
    if n > len(x):
        raise ValueError(f"n (n={n}) is greater the number of available samples (num_samples={len(x)})")
    unlabelled, labelled = np.asarray(indices_unlabeled, dtype=np.int64), np.asarray(indices_labeled, dtype=np.int64)
    rows = _common.matrix(x)[np.concatenate([unlabelled, labelled])]
    return _common.select("kcenter", n, embeddings=rows, labelled=len(unlabelled) + np.arange(len(labelled)),
                          metric="euclidean" if distance_metric == "euclidean" or normalized else "cosine",
                          seed=_common.seed_of(random_state)).rows


def _check_metric(distance_metric):
    if distance_metric not in ("cosine", "euclidean"):
        raise ValueError(f"Invalid distance metric: {distance_metric}. Possible values: ['cosine', 'euclidean']")


class GreedyCoreset(_Strategy):
    """Poolwise's kcenter over what clf.embed, or `embeddings`, says."""

    def __init__(self, distance_metric="euclidean", normalize=True, batch_size=100, random_state=None):
        super().__init__(random_state)
        _check_metric(distance_metric)
        if distance_metric != "cosine":
            warnings.warn('Default distance metric has changed from "cosine" to "euclidean" in v1.2.0. This warning will '
                          "disappear in v2.0.0.", stacklevel=2)
        self.distance_metric, self.normalize, self.batch_size = distance_metric, normalize, batch_size

    def query(self, clf, dataset, indices_unlabeled, indices_labeled, y, n=10, pbar="tqdm", embeddings=None,
              embed_kwargs=None):
        rows = self._open(indices_unlabeled, n)
        subset = np.concatenate([rows, np.asarray(indices_labeled, dtype=np.int64)])
        if embeddings is None:
            embeddings = clf.embed(dataset[subset], pbar=pbar, **(embed_kwargs or {}))
        places = np.arange(len(subset))
        picks = self.sample(clf, None, places[:len(rows)], places[len(rows):], y, n, embeddings)
        return subset[picks]

    def sample(self, clf, dataset, indices_unlabeled, indices_labeled, y, n, embeddings, embeddings_proba=None):
        metric = "cosine" if self.normalize else self.distance_metric
        return greedy_coreset(embeddings, indices_unlabeled, indices_labeled, n, metric, self.batch_size,
                              random_state=self.random_state)

    def __str__(self):
        return (f"GreedyCoreset(distance_metric={self.distance_metric}, normalize={self.normalize}, "
                f"batch_size={self.batch_size})")
