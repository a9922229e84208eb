"""apricot's selections (apricot-select 0.6): FacilityLocationSelection and GraphCutSelection.

    chosen = poolwise.compat.apricot.FacilityLocationSelection(100, n_neighbors=32).fit_transform(X)

What differs:
- similarity is 1 / (1 + d^2 / h) over each row's nearest (n_neighbors, 32 where it is None), a function of two rows
  and h; apricot's is max(d^2) - d^2 of the data at hand, over all pairs. So gains differ, and picks may;
- alpha of a graph cut may not be below 2, under which it is not monotone; apricot's default of 1 is refused, pass
  alpha=2.5; apricot counts the pairs of picks once, here twice, as in Iyer & Bilmes 2013;
- every optimizer gives greedy's picks, exactly; X may be negative; ties go to the lower row;
- metric "euclidean" and "cosine"; partial_fit, reservoirs, sample_cost and precomputed similarities are refused.
"""

import numpy as np

from . import _common

__all__ = ["FacilityLocationSelection", "GraphCutSelection"]


class _Selection:
    def __init__(self, n_samples, metric="euclidean", initial_subset=None, optimizer="lazy", optimizer_kwds=None,
                 n_neighbors=None, n_jobs=1, random_state=None, verbose=False):
        if n_samples <= 0:
            raise ValueError("n_samples must be a positive value.")
        if metric not in ("euclidean", "cosine"):
            raise _common.InvalidValueError(f"{type(self).__name__}: metric is {metric!r}; pass \"euclidean\" or \"cosine\"")
        self.n_samples, self.metric, self.initial_subset, self.optimizer = n_samples, metric, initial_subset, optimizer
        self.optimizer_kwds, self.n_neighbors, self.n_jobs = optimizer_kwds, n_neighbors, n_jobs
        self.random_state, self.verbose = random_state, verbose

    def fit(self, X, y=None, sample_weight=None, sample_cost=None):
        """ranking and gains, in the order of the picks."""
        if sample_cost is not None:
            raise _common.InvalidValueError(f"{type(self).__name__}: sample_cost is not taken; pass cost and budget to "
                                            "poolwise.select")
        rows = _common.matrix(X)
        if self.n_samples > len(rows):
            raise ValueError("Cannot select more examples than the number in the data set.")
        given = self.initial_subset
        if given is not None and np.asarray(given).dtype == bool:
            given = np.flatnonzero(given)
        batch = _common.select(self._strategy(), self.n_samples, embeddings=rows, labelled=given, metric=self.metric,
                               threads=max(0, self.n_jobs))
        self.ranking, self.gains = batch.rows, batch.scores
        return self

    def transform(self, X, y=None, sample_weight=None):
        parts = [np.asarray(part)[self.ranking] for part in (X, y, sample_weight) if part is not None]
        return parts[0] if len(parts) == 1 else tuple(parts)

    def fit_transform(self, X, y=None, sample_weight=None, sample_cost=None):
        return self.fit(X, y, sample_weight, sample_cost).transform(X, y, sample_weight)


class FacilityLocationSelection(_Selection):
    """Poolwise's facility_location."""

    def _strategy(self):
        return f"facility_location(neighbours={self.n_neighbors or 32})"


class GraphCutSelection(_Selection):
    """Poolwise's graph_cut; alpha is its lambda."""

    def __init__(self, n_samples=10, metric="euclidean", alpha=1, initial_subset=None, optimizer="naive",
                 optimizer_kwds=None, n_neighbors=None, n_jobs=1, random_state=None, verbose=False):
        super().__init__(n_samples, metric, initial_subset, optimizer, optimizer_kwds, n_neighbors, n_jobs, random_state,
                         verbose)
        if alpha < 2:
            raise _common.InvalidValueError(f"GraphCutSelection: alpha is {alpha}; pass 2 or more, under which gains may be "
                                            "negative")
        self.alpha = alpha

    def _strategy(self):
        return f"graph_cut(lambda={self.alpha}, neighbours={self.n_neighbors or 32})"
