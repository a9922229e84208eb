"""What the shims share."""

import warnings

import numpy as np

from .. import _core
from .._asking import disagreement, score, seed_of, select
from .._calls import explained
from .._errors import ArgumentError, InvalidValueError

__all__ = ["ArgumentError", "InvalidValueError", "best", "disagreement", "distributions", "matrix", "number_of", "score",
           "seed_of", "select"]

_top_k = explained(_core.top_k)


def distributions(proba, call):
    """float32 rows that sum to 1. Others are divided by their sums, and a warning says so: peers do it in silence,
    or score what is no distribution."""
    proba = np.asarray(proba, dtype=np.float32)
    sums = np.abs(proba).sum(axis=-1, keepdims=True)
    away = np.abs(sums - 1) > 0.05
    if away.any() and np.isfinite(sums).all() and (sums > 0).all():
        warnings.warn(f"{call}: {int(away.sum())} rows do not sum to 1 and are divided by their sums; pass probabilities",
                      stacklevel=3)
        proba = proba / sums
    return proba


def best(scores, k):
    """The k rows of the highest scores, ties to the lower row."""
    rows, _ = _top_k(np.ascontiguousarray(scores, dtype=np.float32), min(k, len(scores)))
    return rows


def matrix(values):
    """float32 [rows, features] of an array, a tensor of any library on the CPU, or a sparse matrix."""
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    if hasattr(values, "toarray"):
        values = values.toarray()
    values = np.ascontiguousarray(values, dtype=np.float32)
    return values.reshape(len(values), -1)


def number_of(call, name, value, least=1):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ArgumentError(f"{call}: {name} is {value!r}; pass a whole number")
    if value < least:
        raise InvalidValueError(f"{call}: {name} is {value}; pass {least} or more")
    return int(value)
