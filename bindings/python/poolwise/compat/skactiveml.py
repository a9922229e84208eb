"""scikit-activeml's query strategies (scikit-activeml 1.0.1): skactiveml.pool.

    query = poolwise.compat.skactiveml.UncertaintySampling(method="margin_sampling")
    rows, utilities = query.query(X, y, clf, batch_size=10, return_utilities=True)

X are also the embeddings; rows without a label are those where y is `missing_label`. What differs:
- ties go to the lower row, scikit-activeml draws among them; random_state decides only what is drawn on purpose;
- a batch of BADGE, CoreSet, ProbCover, TypiClust or BatchBALD is made in one call, and utilities are those of the
  picks: NaN for all other rows;
- utilities of CoreSet are squared distances, scikit-activeml's are distances; with no labelled row its first pick is
  drawn among all rows, as here;
- TypiClust has the paper's neighbours among all rows and its 500 clusters at most; scikit-activeml looks for them
  inside the cluster; `k` is handed on;
- unlabelled rows that are no candidates are not there; scikit-activeml's TypiClust and ProbCover see them;
- BatchBALD draws joint labels where there are more than 1e6, scikit-activeml where there are more than members;
- ProbCover finds its radius exactly, scikit-activeml on a grid of `deltas`, which is refused;
- QueryByCommittee("KL_divergence") is BALD, which it equals, without the clipping at 1e-7; votes are those of the
  largest probability;
- cost_matrix, utility_weight, method="expected_average_precision" and metrics other than "euclidean" and "cosine" are
  refused.
"""

import copy

import numpy as np

from . import _common

__all__ = ["Badge", "BatchBALD", "CoreSet", "GreedyBALD", "ProbCover", "QueryByCommittee", "RandomSampling", "TypiClust",
           "UncertaintySampling"]


def _has_label(y, missing_label):
    y = np.asarray(y)
    if missing_label is None:
        return np.array([label is not None for label in y.ravel()], bool)
    if isinstance(missing_label, float) and np.isnan(missing_label):
        return np.array([label == label for label in y.ravel()], bool)
    return np.asarray(y != missing_label)


def _fitted(estimator, X, y, labelled, fit, sample_weight):
    if not fit:
        return estimator
    estimator = copy.deepcopy(estimator)
    rows = slice(None) if hasattr(estimator, "missing_label") else labelled  # others know nothing of missing labels
    weight = {} if sample_weight is None else {"sample_weight": np.asarray(sample_weight)[rows]}
    return estimator.fit(np.asarray(X)[rows], np.asarray(y)[rows], **weight)


class _Query:
    """get_params and set_params, and the candidates and utilities of scikit-activeml. Each subclass says _pick."""

    def __init__(self, missing_label=np.nan, random_state=None, **own):
        self.missing_label, self.random_state = missing_label, random_state
        vars(self).update(own)

    def get_params(self, deep=True):
        return dict(vars(self))

    def set_params(self, **parameters):
        for name, value in parameters.items():
            if name not in vars(self):
                raise ValueError(f"Invalid parameter {name!r} for {type(self).__name__}; it has {', '.join(vars(self))}")
            setattr(self, name, value)
        return self

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def _run(self, X, y, candidates, batch_size, return_utilities, pick):
        """pick(rows [n, features], labelled, allowed, k) gives a Batch over these rows."""
        X = _common.matrix(X)
        has = _has_label(y, self.missing_label)
        if len(has) != len(X):
            raise _common.InvalidValueError(f"{type(self).__name__}: X has {len(X)} rows and y {len(has)}; pass one label, "
                                            "or missing_label, for each")
        k = _common.number_of(type(self).__name__, "batch_size", batch_size)
        apart = candidates is not None and np.ndim(candidates) >= 2
        if apart:  # rows of their own, before those of X
            X, has = np.concatenate([_common.matrix(candidates), X]), np.concatenate([np.zeros(len(candidates), bool), has])
            allowed, places = np.arange(len(candidates)), len(candidates)
        else:
            allowed = np.flatnonzero(~has) if candidates is None else np.asarray(candidates, dtype=np.int64)
            places = len(X)
        if len(allowed) == 0:
            raise _common.InvalidValueError(f"{type(self).__name__}: every row has a label; pass candidates")
        has[allowed] = False
        batch = pick(X, np.flatnonzero(has), allowed, min(k, len(allowed)))
        if not return_utilities:
            return batch.rows
        utilities = np.full((len(batch), places), np.nan)
        for at, (row, score) in enumerate(zip(batch.rows, batch.scores)):
            utilities[at, row] = score
        everyone = getattr(batch, "everyone", None)
        if everyone is not None:
            for at in range(len(batch)):
                utilities[at, allowed] = everyone[allowed]
                utilities[at, batch.rows[:at]] = np.nan
        return batch.rows, utilities

    def _batch(self, strategy, labelled, allowed, k, **parts):
        barred = {} if "rows" in parts else {"labelled": labelled}
        return _common.select(strategy, k, candidates=allowed, seed=_common.seed_of(self.random_state), **barred, **parts)


class _Ranked:
    """A batch by a score that every row has."""

    def __init__(self, scores, allowed, k):
        self.everyone = np.asarray(scores)
        ordered = np.sort(allowed)
        self.rows = ordered[_common.best(self.everyone[ordered], k)]
        self.scores = self.everyone[self.rows]

    def __len__(self):
        return len(self.rows)


class RandomSampling(_Query):
    """Poolwise's random."""

    def query(self, X, y, candidates=None, batch_size=1, return_utilities=False):
        return self._run(X, y, candidates, batch_size, return_utilities, lambda rows, labelled, allowed, k: self._batch(
            "random", labelled, allowed, k, rows=len(rows)))


class UncertaintySampling(_Query):
    """Poolwise's least_confidence, margin and entropy."""

    _METHODS = {"least_confident": "least_confidence", "margin_sampling": "margin", "entropy": "entropy"}

    def __init__(self, method="least_confident", cost_matrix=None, missing_label=np.nan, random_state=None):
        super().__init__(missing_label, random_state, method=method, cost_matrix=cost_matrix)

    def query(self, X, y, clf, fit_clf=True, sample_weight=None, utility_weight=None, candidates=None, batch_size=1,
              return_utilities=False):
        if self.method not in self._METHODS:
            raise _common.InvalidValueError(f"UncertaintySampling: method is {self.method!r}; pass one of "
                                            + ", ".join(map(repr, self._METHODS)))
        if self.cost_matrix is not None or utility_weight is not None:
            raise _common.InvalidValueError("UncertaintySampling: cost_matrix and utility_weight are not taken; leave them "
                                            "out, or weight by poolwise.select(\"density(margin)\")")

        def pick(rows, labelled, allowed, k):
            fitted = _fitted(clf, X, y, _has_label(y, self.missing_label), fit_clf, sample_weight)
            proba = _common.distributions(fitted.predict_proba(rows), "UncertaintySampling")
            return _Ranked(_common.score(proba, self._METHODS[self.method]), allowed, k)

        return self._run(X, y, candidates, batch_size, return_utilities, pick)


class _OfCommittee(_Query):
    def _members(self, ensemble, X, y, rows, fit, sample_weight):
        """[members, rows, classes]"""
        has = _has_label(y, self.missing_label)
        if isinstance(ensemble, (list, tuple)):
            members = [_fitted(member, X, y, has, fit, sample_weight) for member in ensemble]
        else:
            members = getattr(_fitted(ensemble, X, y, has, fit, sample_weight), "estimators_", None)
            if members is None:
                raise _common.ArgumentError(f"{type(self).__name__}: {type(ensemble).__name__} is no ensemble; pass a list "
                                            "of classifiers, or one with estimators_")
        classes = np.unique(np.concatenate([np.asarray(member.classes_) for member in members]))
        proba = np.zeros((len(members), len(rows), len(classes)), np.float32)
        for at, member in enumerate(members):
            proba[at][:, np.searchsorted(classes, member.classes_)] = member.predict_proba(rows)
        return proba


class QueryByCommittee(_OfCommittee):
    """Poolwise's bald, vote_entropy and variation_ratio."""

    _METHODS = {"KL_divergence": "bald", "vote_entropy": "vote_entropy", "variation_ratios": "variation_ratio"}

    def __init__(self, method="KL_divergence", eps=1e-7, sample_predictions_method_name=None, sample_predictions_dict=None,
                 missing_label=np.nan, random_state=None):
        super().__init__(missing_label, random_state, method=method, eps=eps,
                         sample_predictions_method_name=sample_predictions_method_name,
                         sample_predictions_dict=sample_predictions_dict)

    def query(self, X, y, ensemble, fit_ensemble=True, sample_weight=None, candidates=None, batch_size=1,
              return_utilities=False):
        if self.method not in self._METHODS:
            raise _common.InvalidValueError(f"QueryByCommittee: method is {self.method!r}; pass one of "
                                            + ", ".join(map(repr, self._METHODS)))

        def pick(rows, labelled, allowed, k):
            members = self._members(ensemble, X, y, rows, fit_ensemble, sample_weight)
            return _Ranked(_common.disagreement(members, self._METHODS[self.method]), allowed, k)

        return self._run(X, y, candidates, batch_size, return_utilities, pick)


class GreedyBALD(QueryByCommittee):
    """Poolwise's bald."""

    def __init__(self, n_MC_samples=None, eps=1e-7, sample_predictions_method_name=None, sample_predictions_dict=None,
                 missing_label=np.nan, random_state=None):
        super().__init__("KL_divergence", eps, sample_predictions_method_name, sample_predictions_dict, missing_label,
                         random_state)
        self.n_MC_samples = n_MC_samples


class BatchBALD(_OfCommittee):
    """Poolwise's batchbald; n_MC_samples joint labels are drawn where there are more than 1e6."""

    def __init__(self, n_MC_samples=None, eps=1e-7, sample_predictions_method_name=None, sample_predictions_dict=None,
                 missing_label=np.nan, random_state=None):
        super().__init__(missing_label, random_state, n_MC_samples=n_MC_samples, eps=eps,
                         sample_predictions_method_name=sample_predictions_method_name,
                         sample_predictions_dict=sample_predictions_dict)

    def query(self, X, y, ensemble, fit_ensemble=True, sample_weight=None, candidates=None, batch_size=1,
              return_utilities=False):
        strategy = "batchbald" if self.n_MC_samples is None else f"batchbald(samples={self.n_MC_samples})"
        return self._run(X, y, candidates, batch_size, return_utilities, lambda rows, labelled, allowed, k: self._batch(
            strategy, labelled, allowed, k,
            committee=self._members(ensemble, X, y, rows, fit_ensemble, sample_weight)))


class CoreSet(_Query):
    """Poolwise's kcenter."""

    def __init__(self, metric="euclidean", metric_dict=None, missing_label=np.nan, random_state=None):
        super().__init__(missing_label, random_state, metric=metric, metric_dict=metric_dict)

    def query(self, X, y, candidates=None, batch_size=1, return_utilities=False):
        if self.metric not in ("euclidean", "cosine") or self.metric_dict:
            raise _common.InvalidValueError(f"CoreSet: metric is {self.metric!r}; pass \"euclidean\" or \"cosine\", and no "
                                            "metric_dict")
        return self._run(X, y, candidates, batch_size, return_utilities, lambda rows, labelled, allowed, k: self._batch(
            "kcenter", labelled, allowed, k, embeddings=rows, metric=self.metric))


class Badge(_Query):
    """Poolwise's badge."""

    def __init__(self, clf_embedding_flag_name=None, missing_label=np.nan, random_state=None):
        super().__init__(missing_label, random_state, clf_embedding_flag_name=clf_embedding_flag_name)

    def query(self, X, y, clf, fit_clf=True, sample_weight=None, candidates=None, batch_size=1, return_utilities=False):
        def pick(rows, labelled, allowed, k):
            fitted = _fitted(clf, X, y, _has_label(y, self.missing_label), fit_clf, sample_weight)
            features = rows
            if self.clf_embedding_flag_name is None:
                proba = fitted.predict_proba(rows)
            else:
                proba, features = fitted.predict_proba(rows, **{self.clf_embedding_flag_name: True})
            return self._batch("badge", labelled, allowed, k, outputs=_common.distributions(proba, "Badge"),
                               embeddings=_common.matrix(features))

        return self._run(X, y, candidates, batch_size, return_utilities, pick)


class TypiClust(_Query):
    """Poolwise's typiclust."""

    def __init__(self, missing_label=np.nan, random_state=None, k=5):
        super().__init__(missing_label, random_state, k=k)

    def query(self, X, y, candidates=None, batch_size=1, return_utilities=False):
        return self._run(X, y, candidates, batch_size, return_utilities, lambda rows, labelled, allowed, k: self._batch(
            f"typiclust(neighbours={self.k})", labelled, allowed, k, embeddings=rows))


class ProbCover(_Query):
    """Poolwise's probcover; n_classes clusters stand for classes."""

    def __init__(self, n_classes=None, deltas=None, alpha=0.95, missing_label=np.nan, random_state=None):
        super().__init__(missing_label, random_state, n_classes=n_classes, deltas=deltas, alpha=alpha)

    def query(self, X, y, candidates=None, batch_size=1, return_utilities=False, update=False):
        if self.deltas is not None:
            raise _common.InvalidValueError("ProbCover: deltas is given; leave it out, the radius is found exactly")
        strategy = f"probcover(purity={self.alpha}" + (f", clusters={self.n_classes})" if self.n_classes else ")")
        return self._run(X, y, candidates, batch_size, return_utilities, lambda rows, labelled, allowed, k: self._batch(
            strategy, labelled, allowed, k, embeddings=rows))
