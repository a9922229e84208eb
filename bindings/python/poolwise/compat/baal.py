"""Baal's heuristics (Baal 2.1): baal.active.heuristics, for predictions [rows, classes, ..., iterations].

    ranks, scores = poolwise.compat.baal.BALD().get_ranks(predictions)

What differs:
- `kind` says what predictions hold; Baal takes a softmax of the whole array if any value lies outside 0 to 1 or any
  row does not sum to 1, so that its scores depend on what is in the same array. "auto" asks it of the array as Baal
  does, and warns where only some rows are probabilities;
- Certainty reads probabilities, Baal's takes what it is given;
- ties go to the lower row, Baal's argsort leaves them open; NaN is refused, Baal makes it 10000 or 0;
- Random is seeded per object, BatchBALD counts joint labels and draws `num_draw` of them only beyond 1e6, never
  stops early, and its scores are the gains of the picks, 0 elsewhere;
- shuffle_prop is refused, as Baal deprecates it: poolwise.select("power(bald)") draws by score.
"""

import warnings

import numpy as np

from . import _common

__all__ = ["BALD", "BatchBALD", "Certainty", "Entropy", "Margin", "Random", "Variance"]

_REDUCTIONS = {"max": np.max, "min": np.min, "mean": np.mean, "sum": np.sum}


def _are_probabilities(x):
    sound = (x >= 0).all(axis=1) & (x <= 1).all(axis=1) & np.isclose(x.sum(axis=1), 1)
    if sound.any() and not sound.all():
        warnings.warn("baal: some rows are probabilities and some are not; all are taken for logits. Pass kind=\"logits\" "
                      "or kind=\"probabilities\"", stacklevel=4)
    return bool(sound.all())


class _Heuristic:
    reversed = True

    def __init__(self, shuffle_prop=None, reduction="none", kind="auto"):
        if shuffle_prop not in (None, "DEPRECATED", 0, 0.0):
            raise _common.InvalidValueError(f"{type(self).__name__}: shuffle_prop is {shuffle_prop}; leave it out, and draw "
                                            "by poolwise.select(\"power(bald)\") instead")
        if not (callable(reduction) or reduction == "none" or reduction in _REDUCTIONS):
            raise _common.InvalidValueError(f"{type(self).__name__}: reduction is {reduction!r}; pass \"none\", "
                                            "\"max\", \"min\", \"mean\", \"sum\" or a function")
        self.reduction, self.kind = reduction, kind

    def compute_score(self, predictions, target_predictions=None):
        """Of every row, and of every place of [rows, classes, ...] where there are places."""
        x = predictions[0] if isinstance(predictions, (list, tuple)) and len(predictions) == 1 else predictions
        x = np.asarray(x.numpy() if hasattr(x, "numpy") else x, dtype=np.float32)
        kind = self.kind
        if kind == "auto":
            kind = "probabilities" if _are_probabilities(x) else "logits"
        if self.one_pass and x.ndim >= 3:
            x, kind = (x if kind == "probabilities" else _softmax(x)).mean(axis=-1), "probabilities"
        last = np.moveaxis(x, 1, -1)  # [rows, ..., iterations, classes] or [rows, classes]
        places = last.shape[:1] if self.one_pass and x.ndim == 2 else last.shape[:-1] if self.one_pass else last.shape[:-2]
        return self._scores(np.ascontiguousarray(last), kind).reshape(places)

    def get_uncertainties(self, predictions, target_predictions=None):
        scores = self.compute_score(predictions, target_predictions)
        if callable(self.reduction):
            return self.reduction(scores)
        return scores if self.reduction == "none" else _REDUCTIONS[self.reduction](scores, axis=tuple(range(1, scores.ndim)))

    def get_uncertainties_generator(self, predictions, target_predictions=None):
        parts = [self.get_uncertainties(part, target_predictions) for part in predictions]
        if not parts:
            raise ValueError("No prediction! Cannot order the values!")
        return np.concatenate(parts)

    def reorder_indices(self, scores):
        scores = np.concatenate(scores) if isinstance(scores, (list, tuple)) else np.asarray(scores)
        if scores.ndim > 1:
            raise ValueError(f"Can't order sequence with more than 1 dimension.Currently {scores.ndim} dimensions."
                             f"Is the heuristic reduction method set: {self.reduction}")
        return _common.best(scores if self.reversed else -scores, len(scores))

    def get_ranks(self, predictions, target_predictions=None):
        whole = hasattr(predictions, "__len__") or hasattr(predictions, "shape")
        read = self.get_uncertainties if whole else self.get_uncertainties_generator
        scores = read(predictions, target_predictions)
        return self.reorder_indices(scores), scores

    def __call__(self, predictions, target_predictions=None):
        return self.get_ranks(predictions, target_predictions)[0]


def _softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class _Committee(_Heuristic):
    one_pass = False

    def _scores(self, x, kind):
        if x.ndim < 3:
            raise _common.InvalidValueError(f"{type(self).__name__}: predictions have {x.ndim} axes; pass [rows, classes, "
                                            "..., iterations]")
        members = np.ascontiguousarray(np.moveaxis(x.reshape(-1, *x.shape[-2:]), 1, 0))
        return _common.disagreement(members, "bald", kind)


class BALD(_Committee):
    """Poolwise's bald."""


class BatchBALD(_Committee):
    """Poolwise's batchbald."""

    def __init__(self, num_samples, num_draw=500, shuffle_prop=None, reduction="none", kind="auto"):
        super().__init__(shuffle_prop, reduction, kind)
        self.num_samples, self.num_draw = num_samples, num_draw

    def _scores(self, x, kind):
        members = np.ascontiguousarray(np.moveaxis(x.reshape(-1, *x.shape[-2:]), 1, 0))
        batch = _common.select(f"batchbald(samples={self.num_draw})", self.num_samples, committee=members, kind=kind)
        scores = np.zeros(members.shape[1], np.float32)
        scores[batch.rows] = batch.scores
        return scores


class _Single(_Heuristic):
    one_pass = True
    value = staticmethod(lambda score: score)

    def _scores(self, x, kind):
        return self.value(_common.score(x.reshape(-1, x.shape[-1]), self._acquisition, kind))


class Entropy(_Single):
    """Poolwise's entropy."""

    _acquisition = "entropy"


class Margin(_Single):
    """Poolwise's margin; scores are p1 - p2, lower first."""

    _acquisition, reversed, value = "margin", False, staticmethod(lambda score: 1 - score)


class Certainty(_Single):
    """Poolwise's least_confidence; scores are the largest p, lower first."""

    _acquisition, reversed, value = "least_confidence", False, staticmethod(lambda score: 1 - score)


class Variance(_Heuristic):
    """Poolwise's variance: the mean over classes of the population's variance over iterations."""

    one_pass = False

    def __init__(self, shuffle_prop=None, reduction="mean"):
        super().__init__(shuffle_prop, reduction)

    def compute_score(self, predictions, target_predictions=None):
        x = np.asarray(predictions.numpy() if hasattr(predictions, "numpy") else predictions, dtype=np.float32)
        members = np.ascontiguousarray(np.moveaxis(x.reshape(-1, x.shape[-1]), 1, 0)[:, :, None])
        batch = _common.select("variance", members.shape[1], predictions=members)
        scores = np.empty(members.shape[1], np.float32)
        scores[batch.rows] = batch.scores
        return scores.reshape(x.shape[:-1])


class Random(_Heuristic):
    """Poolwise's random; another draw at each call."""

    def __init__(self, shuffle_prop=None, reduction="none", seed=None):
        super().__init__(shuffle_prop, reduction)
        self.rng = np.random.default_rng(seed)

    def compute_score(self, predictions, target_predictions=None):
        batch = _common.select("random", len(predictions), rows=len(predictions), seed=_common.seed_of(self.rng))
        scores = np.empty(len(predictions), np.float32)
        scores[batch.rows] = batch.scores
        return scores
