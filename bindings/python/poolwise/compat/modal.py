"""modAL's query functions (modAL 0.4.2): modAL.uncertainty, modAL.disagreement, modAL.batch.

    learner = ActiveLearner(estimator, query_strategy=poolwise.compat.modal.margin_sampling)

What differs:
- ties go to the lower row, modAL's argpartition leaves them open; picks come best first, modAL's in any order;
  random_tie_break draws from `random_state`, which None draws afresh, not from numpy's global state;
- rows that do not sum to 1 are divided by their sums with a warning: modAL's entropies do so in silence, its margin
  and uncertainty not at all;
- uncertainty_batch_sampling compares rows by the cosine (Cardoso et al. 2017), modAL by 1 / (1 + distance); alpha
  counts labelled and unlabelled rows as modAL does; the first of a cold start has the highest mean cosine;
- the margin of a classifier of one class is 1, since its second p is 0; modAL's is 0.
"""

import numpy as np

from . import _common

__all__ = ["KL_max_disagreement", "classifier_entropy", "classifier_margin", "classifier_uncertainty",
           "consensus_entropy", "consensus_entropy_sampling", "entropy_sampling", "margin_sampling",
           "max_disagreement_sampling", "max_std_sampling", "uncertainty_batch_sampling", "uncertainty_sampling",
           "vote_entropy", "vote_entropy_sampling"]


def _rows(X):
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _fitted(of, X, call, keywords, unfitted):
    """What `call` of the classifier says, or `unfitted` for all rows of one that was not fitted."""
    try:
        return getattr(of, call)(X, **keywords), None
    except Exception as refusal:
        if type(refusal).__name__ != "NotFittedError":
            raise
        return None, np.full(_rows(X), unfitted, np.float32)


def _measure(name, acquisition, unfitted, of_score=lambda score: score):
    def measure(classifier, X, **predict_proba_kwargs):
        proba, none = _fitted(classifier, X, "predict_proba", predict_proba_kwargs, unfitted)
        return none if proba is None else of_score(_common.score(_common.distributions(proba, name), acquisition))

    measure.__name__ = measure.__qualname__ = name
    measure.__doc__ = f"Of every row, as modAL's {name}; Poolwise's {acquisition}."
    return measure


def _sampling(name, measure, sign=1):
    def sampling(classifier, X, n_instances=1, random_tie_break=False, *, random_state=None, **measure_kwargs):
        values = np.asarray(measure(classifier, X, **measure_kwargs), dtype=np.float32)
        n = _common.number_of(name, "n_instances", n_instances)
        assert n <= len(values), "n_instances must be less or equal than the size of utility"
        order = np.arange(len(values))
        if random_tie_break:
            order = np.random.default_rng(_common.seed_of(random_state)).permutation(len(values))
        picks = order[_common.best(sign * values[order], n)]
        return picks, values[picks]

    sampling.__name__ = sampling.__qualname__ = name
    sampling.__doc__ = f"(rows, values) of the n_instances best rows by {measure.__name__}, best first."
    return sampling


classifier_uncertainty = _measure("classifier_uncertainty", "least_confidence", 1)
classifier_margin = _measure("classifier_margin", "margin", 0, lambda score: 1 - score)
classifier_entropy = _measure("classifier_entropy", "entropy", 0)


def _members(committee, X, call, keywords):
    """[members, rows, classes], the classes in the order of the committee's."""
    votes, none = _fitted(committee, X, "vote_proba", keywords, 0)
    return none if votes is None else _common.distributions(np.moveaxis(np.asarray(votes), 1, 0), call)


def _disagreement(name, which):
    def measure(committee, X, **predict_proba_kwargs):
        members = _members(committee, X, name, predict_proba_kwargs)
        return members if members.ndim == 1 else _common.disagreement(np.ascontiguousarray(members), which)

    measure.__name__ = measure.__qualname__ = name
    measure.__doc__ = f"Of every row, as modAL's {name}; Poolwise's {which}."
    return measure


def vote_entropy(committee, X, **predict_proba_kwargs):
    """Of every row, as modAL's vote_entropy: of what each member predicts."""
    votes, none = _fitted(committee, X, "vote", predict_proba_kwargs, 0)
    if votes is None:
        return none
    certain = (np.asarray(votes).T[:, :, None] == np.asarray(committee.classes_)).astype(np.float32)
    return _common.disagreement(certain, "vote_entropy")


consensus_entropy = _disagreement("consensus_entropy", "consensus_entropy")
KL_max_disagreement = _disagreement("KL_max_disagreement", "max_kl")


def _deviation(regressor, X, **predict_kwargs):
    """The standard deviation of the members' predictions, as the regressor says."""
    return np.asarray(regressor.predict(X, return_std=True, **predict_kwargs)[1]).reshape(_rows(X))


uncertainty_sampling = _sampling("uncertainty_sampling", classifier_uncertainty)
margin_sampling = _sampling("margin_sampling", classifier_margin, -1)
entropy_sampling = _sampling("entropy_sampling", classifier_entropy)
vote_entropy_sampling = _sampling("vote_entropy_sampling", vote_entropy)
consensus_entropy_sampling = _sampling("consensus_entropy_sampling", consensus_entropy)
max_disagreement_sampling = _sampling("max_disagreement_sampling", KL_max_disagreement)
max_std_sampling = _sampling("max_std_sampling", _deviation)


def uncertainty_batch_sampling(classifier, X, n_instances=20, metric="cosine", n_jobs=None, **uncertainty_measure_kwargs):
    """(rows, uncertainties) of a ranked batch: uncertain rows unlike what is labelled or picked, ranked_batch."""
    if metric != "cosine":
        raise _common.InvalidValueError(f"uncertainty_batch_sampling: metric is {metric!r}; pass \"cosine\", by which "
                                        "Poolwise compares rows")
    known = getattr(classifier, "X_training", None)
    pool = _common.matrix(X)
    labelled = pool[:0] if known is None else _common.matrix(known)
    uncertain = np.asarray(classifier_uncertainty(classifier, X, **uncertainty_measure_kwargs), dtype=np.float32)
    # The mean of one prediction is that prediction, so that the score is what the classifier said.
    scores = np.concatenate([np.zeros(len(labelled), np.float32), uncertain])
    picks = _common.select("ranked_batch(ucb(beta=0))", min(n_instances, len(pool)), predictions=scores[None, :, None],
                           embeddings=np.concatenate([labelled, pool]), labelled=np.arange(len(labelled)), threads=n_jobs or 0)
    rows = picks.rows - len(labelled)
    return rows, uncertain[rows]
