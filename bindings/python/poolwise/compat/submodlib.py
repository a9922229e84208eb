"""submodlib's functions (submodlib-py 0.0.3): FacilityLocationFunction, GraphCutFunction, LogDeterminantFunction and
DisparityMinFunction.

    picks = poolwise.compat.submodlib.FacilityLocationFunction(n=len(X), mode="dense", data=X).maximize(budget=10)

maximize gives (row, gain) pairs, as submodlib's. What differs:
- similarity of facility location and graph cut is 1 / (1 + d^2 / h) over each row's nearest (num_neighbors, 32 where it
  is None) by the angle ("cosine") or the distance ("euclidean"); submodlib's is the cosine itself, or 1 / (1 + d) or
  exp(-d), over all pairs. So gains differ, and picks may;
- lambdaVal of a graph cut is 1 / lambda, and at most 0.5, beyond which it is not monotone;
- LogDeterminant is over an RBF kernel of the median distance, and gains are those of the determinant, not of its log;
- DisparityMin is kcenter: the same picks after the first, which is drawn; submodlib begins at row 0. Gains are squared
  distances, infinite for the first;
- every optimizer gives greedy's picks, exactly; a kernel sijs, separate_rep, clustered mode and costs are refused.
"""

import numpy as np

from . import _common

__all__ = ["DisparityMinFunction", "FacilityLocationFunction", "GraphCutFunction", "LogDeterminantFunction"]


class _Function:
    def __init__(self, n, mode, data=None, metric="cosine", num_neighbors=None, sijs=None, separate_rep=None, **others):
        name = type(self).__name__
        if n <= 0:
            raise ValueError("ERROR: Number of elements in ground set must be positive")
        if mode not in ("dense", "sparse"):
            raise ValueError("ERROR: Incorrect mode. Must be one of 'dense' or 'sparse'")
        if sijs is not None or separate_rep or data is None:
            raise _common.InvalidValueError(f"{name}: similarities of your own and represented sets are not taken; pass "
                                            "data")
        if metric not in ("cosine", "euclidean"):
            raise _common.InvalidValueError(f"{name}: metric is {metric!r}; pass \"cosine\" or \"euclidean\"")
        if others := {key: value for key, value in others.items() if value is not None}:
            raise _common.ArgumentError(f"{name}: {', '.join(others)} is not taken; leave it out")
        self.n, self.mode, self.metric, self.num_neighbors, self.data = n, mode, metric, num_neighbors, _common.matrix(data)
        if len(self.data) != n:
            raise ValueError("ERROR: Inconsistentcy between n and no of examples in the given data matrix")

    def maximize(self, budget, optimizer="NaiveGreedy", stopIfZeroGain=False, stopIfNegativeGain=False, epsilon=0.1,
                 verbose=False, show_progress=True, costs=None, costSensitiveGreedy=False, random_state=0):
        """[(row, gain), ...]"""
        if costs is not None:
            raise _common.InvalidValueError(f"{type(self).__name__}: costs are not taken; pass cost and budget to "
                                            "poolwise.select")
        if budget >= self.n:
            raise ValueError("Budget must be less than effective ground set size")
        batch = _common.select(self._strategy(), budget, embeddings=self.data, metric=self.metric,
                               seed=_common.seed_of(random_state))
        return [(int(row), float(gain)) for row, gain in zip(batch.rows, batch.scores) if gain > 0 or not stopIfZeroGain]


class FacilityLocationFunction(_Function):
    """Poolwise's facility_location."""

    def _strategy(self):
        return f"facility_location(neighbours={self.num_neighbors or 32})"


class GraphCutFunction(_Function):
    """Poolwise's graph_cut, whose lambda is 1 / lambdaVal."""

    def __init__(self, n, mode, lambdaVal, **rest):
        super().__init__(n, mode, **rest)
        if not 0 < lambdaVal <= 0.5:
            raise _common.InvalidValueError(f"GraphCutFunction: lambdaVal is {lambdaVal}; pass more than 0 and at most 0.5, "
                                            "beyond which gains may be negative")
        self.lambdaVal = lambdaVal

    def _strategy(self):
        return f"graph_cut(lambda={1 / self.lambdaVal!r}, neighbours={self.num_neighbors or 32})"


class LogDeterminantFunction(_Function):
    """Poolwise's dpp; lambdaVal, which submodlib adds to the kernel's diagonal, changes nothing."""

    def __init__(self, n, mode, lambdaVal=0, **rest):
        super().__init__(n, mode, **rest)
        self.lambdaVal = lambdaVal

    def _strategy(self):
        return "dpp"


class DisparityMinFunction(_Function):
    """Poolwise's kcenter."""

    def _strategy(self):
        return "kcenter"
