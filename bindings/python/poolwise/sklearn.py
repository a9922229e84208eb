"""Active learning with scikit-learn's habits; needs scikit-learn.

    from poolwise.sklearn import ActiveLearner, PoolQuery

    learner = ActiveLearner(LogisticRegression(), PoolQuery("margin/10x/kcenter", 20, random_state=0), first="kcenter")
    learner.fit(X)                                  # the pool; some rows may have labels: fit(X, rows, labels)
    while len(learner.labelled_rows_) < 200:
        batch = learner.query()
        learner.teach(batch.rows, ask_people(batch.rows))
    learner.predict(X_new), learner.history_, learner.plot()
"""

import time

import numpy as np

try:
    from sklearn.base import BaseEstimator, clone, is_classifier
    from sklearn.utils.validation import check_is_fitted
except ImportError as missing:
    raise ImportError("poolwise.sklearn needs scikit-learn; pip install scikit-learn") from missing

from . import _asking
from ._errors import ArgumentError, InvalidValueError, ShapeError

__all__ = ["ActiveLearner", "PoolQuery"]


class PoolQuery(BaseEstimator):
    """What to ask of a pool, as an object of parameters.

    strategy      as poolwise.select takes it: "margin", "bald", "margin/10x/kcenter".
    batch         picks at most.
    metric        "euclidean" or "cosine".
    apart         no pick lies within this distance of another or of a labelled row; None for no such rule.
    on_nan        rows that cannot be judged: "refuse", or "skip" them.
    threads       0 for as many as OpenMP takes.
    random_state  an int: the same draws for the same round; a numpy Generator or RandomState: the next draw at each
                  query; None: other draws each time.
    """

    def __init__(self, strategy="margin", batch=1, *, metric="euclidean", apart=None, on_nan="refuse", threads=0,
                 random_state=None):
        self.strategy = strategy
        self.batch = batch
        self.metric = metric
        self.apart = apart
        self.on_nan = on_nan
        self.threads = threads
        self.random_state = random_state

    def needs(self):
        """What the strategy looks at: some of "outputs", "logits", "committee", "embeddings", "predictions"."""
        return _asking.needs(self.strategy)

    def query(self, *, round=0, **parts):
        """A Batch. parts: outputs and committee (probabilities, or logits with kind="logits"), embeddings,
        predictions, labelled, cost and the other keywords of poolwise.select."""
        return _asking.select(self.strategy, self.batch, seed=_asking.seed_of(self.random_state), round=round,
                              metric=self.metric, apart=self.apart, on_nan=self.on_nan, threads=self.threads, **parts)


class ActiveLearner(BaseEstimator):
    """An estimator, a pool, and the rows that have a label so far.

    estimator  anything with fit and predict_proba (or predict, for strategies of regressors); a list of them is a
               committee, and so are the members of an ensemble (RandomForestClassifier, BaggingClassifier). Cloned.
    strategy   a PoolQuery, or the words of one.
    embed      what makes embeddings: None for the pool itself, the name of a method of the fitted estimator
               ("transform"), or a function of (estimator, X).
    first      the strategy of queries before two classes are known, "random" or "kcenter"; None refuses them where
               the strategy needs a model.

    fit, teach and query keep: estimator_ (a list for a committee), classes_, labelled_rows_, labels_, and history_, a
    table: a dict of columns, an entry for each query, which pandas.DataFrame and polars.DataFrame take.
    """

    def __init__(self, estimator, strategy="margin", *, embed=None, first=None):
        self.estimator = estimator
        self.strategy = strategy
        self.embed = embed
        self.first = first

    def fit(self, X, rows=(), labels=()):
        """Begins anew with the pool X [rows, features], some rows of which may have labels already."""
        self.pool_ = X
        self.labelled_rows_, self.labels_ = np.empty(0, np.int64), np.empty(0, object)
        self.estimator_, self.classes_ = None, np.empty(0)
        columns = "round", "labelled", "strategy", "picks", "mean_score", "seconds", "score", "score_labelled"
        self.history_ = {name: [] for name in columns}
        return self.teach(rows, labels) if len(rows) else self

    def query(self, **parts):
        """A Batch of rows to label next. parts: cost, budget, group, quota, exclude, queries and the other keywords of
        poolwise.select that neither the pool nor the PoolQuery says."""
        check_is_fitted(self, "labelled_rows_")
        asked = self.strategy if isinstance(self.strategy, PoolQuery) else PoolQuery(self.strategy)
        started = time.perf_counter()
        if asked.needs() & {"outputs", "logits", "committee", "predictions"} and not self._has_model():
            if self.first is None:
                raise InvalidValueError(
                    f"query: {asked.strategy} needs a model that tells two classes apart, and labels are of "
                    f"{len(self.classes_)}; teach more, or pass first=\"random\" or first=\"kcenter\"")
            asked = clone(asked).set_params(strategy=self.first, random_state=asked.random_state)
        batch = asked.query(round=len(self.history_["round"]), labelled=self.labelled_rows_,
                            **self._parts(asked.needs()), **parts)
        finite = batch.scores[np.isfinite(batch.scores)]
        entry = (len(self.history_["round"]), len(self.labelled_rows_), batch.strategy, batch.rows.tolist(),
                 float(finite.mean()) if len(finite) else float("nan"), time.perf_counter() - started, float("nan"), 0)
        for column, value in zip(self.history_.values(), entry):
            column.append(value)
        return batch

    def teach(self, rows, labels):
        """Gives rows of the pool their labels and fits the estimator to all that have one."""
        check_is_fitted(self, "labelled_rows_")
        rows, labels = np.asarray(rows, dtype=np.int64).ravel(), np.asarray(labels)
        if len(labels) != len(rows):
            raise ShapeError(f"teach: there are {len(labels)} labels for {len(rows)} rows; pass one for each")
        size = _rows_in(self.pool_)
        outside = rows[(rows < 0) | (rows >= size)]
        if len(outside):
            raise InvalidValueError(f"teach: row {outside[0]} is not among the pool's {size}; pass rows of the pool")
        known, counts = np.unique(np.concatenate([self.labelled_rows_, rows]), return_counts=True)
        if (counts > 1).any():
            raise InvalidValueError(f"teach: row {known[counts > 1][0]} has a label already, or is given twice; "
                                    "teach each row once")
        old = self.labels_ if len(self.labels_) else labels[:0]
        self.labelled_rows_, self.labels_ = np.concatenate([self.labelled_rows_, rows]), np.concatenate([old, labels])
        self._refit()
        return self

    def evaluate(self, X, y):
        """The estimator's score on held-out rows; history_ and plot() have it beside the last query."""
        score = float(self._one().score(X, y))
        if self.history_["score"]:
            self.history_["score"][-1], self.history_["score_labelled"][-1] = score, len(self.labelled_rows_)
        return score

    def predict(self, X):
        return self._one().predict(X)

    def predict_proba(self, X):
        check_is_fitted(self, "labelled_rows_")
        if isinstance(self.estimator_, list):
            return self._committee(X).mean(axis=0)
        return self._one().predict_proba(X)

    def plot(self):
        """A Plotly figure of the scores that `evaluate` measured against labels, or of the batches' mean scores."""
        check_is_fitted(self, "labelled_rows_")
        try:
            import plotly.graph_objects as go
        except ImportError as missing:
            raise ImportError("plot: it needs Plotly; pip install plotly") from missing
        history = self.history_
        measured = not history["score"] or not np.isnan(history["score"]).all()
        x, y = ("score_labelled", "score") if measured else ("labelled", "mean_score")
        at = [place for place, value in enumerate(history[y]) if not np.isnan(value)]
        figure = go.Figure(go.Scatter(x=[history[x][i] for i in at], y=[history[y][i] for i in at],
                                      text=[history["strategy"][i] for i in at], mode="lines+markers"))
        return figure.update_layout(xaxis_title="labels", yaxis_title="score" if measured else "mean score of the batch")

    # ---- What a strategy looks at

    def _has_model(self):
        return self.estimator_ is not None and (len(self.classes_) != 1 or not self._classifies())

    def _classifies(self):
        first = self.estimator[0] if isinstance(self.estimator, (list, tuple)) else self.estimator
        return is_classifier(first) or hasattr(first, "predict_proba")

    def _refit(self):
        self.classes_ = np.unique(self.labels_) if self._classifies() else np.empty(0)
        if len(self.classes_) == 1:
            self.estimator_ = None  # most classifiers refuse a single class
            return
        some = isinstance(self.estimator, (list, tuple))
        X, y = _take(self.pool_, self.labelled_rows_), self.labels_
        fitted = [clone(member).fit(X, y) for member in (self.estimator if some else [self.estimator])]
        self.estimator_ = fitted if some else fitted[0]

    def _one(self):
        check_is_fitted(self, "labelled_rows_")
        if self.estimator_ is None:
            raise InvalidValueError("ActiveLearner: there is no model yet; teach labels of two classes first")
        if isinstance(self.estimator_, list):
            raise ArgumentError("ActiveLearner: a list of estimators has no predict and no score; ask predict_proba, "
                                "or make a VotingClassifier of them")
        return self.estimator_

    def _parts(self, needed):
        parts = {}
        if needed & {"outputs", "logits"}:
            parts["outputs"] = _float32(self.predict_proba(self.pool_))
        if "committee" in needed:
            parts["committee"] = self._committee(self.pool_)
        if "predictions" in needed:
            members = [_float32(member.predict(_columns(self.pool_, of))) for member, of in self._members()]
            parts["predictions"] = np.stack([m.reshape(len(m), -1) for m in members])
        if "embeddings" in needed:
            parts["embeddings"] = self._embeddings()
        return parts or {"rows": _rows_in(self.pool_)}

    def _members(self):
        """Fitted members, each with the columns that it looks at, or None for all."""
        if isinstance(self.estimator_, list):
            return [(member, None) for member in self.estimator_]
        members = getattr(self.estimator_, "estimators_", None)
        if members is None or np.ndim(members) != 1:
            raise ArgumentError(f"query: {type(self.estimator_).__name__} is no committee; pass a list of estimators, "
                                "or an ensemble with estimators_")
        return list(zip(members, getattr(self.estimator_, "estimators_features_", [None] * len(members))))

    def _committee(self, X):
        """[members, rows, classes], the classes in the order of classes_ for every member."""
        counted = not isinstance(self.estimator_, list)  # an ensemble numbers the classes for its members
        members = self._members()
        proba = np.zeros((len(members), _rows_in(X), len(self.classes_)), np.float32)
        for at, (member, columns) in enumerate(members):
            classes = np.asarray(member.classes_)
            places = classes.astype(np.int64) if counted else np.searchsorted(self.classes_, classes)
            proba[at][:, places] = member.predict_proba(_columns(X, columns))
        return proba

    def _embeddings(self):
        if self.embed is None:
            return _float32(self.pool_)
        if callable(self.embed):
            return _float32(self.embed(self.estimator_, self.pool_))
        return _float32(getattr(self._one(), self.embed)(self.pool_))


def _rows_in(X):
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _take(X, rows):
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    return X[rows] if hasattr(X, "shape") else np.asarray(X)[rows]


def _columns(X, columns):
    if columns is None:
        return X.to_numpy() if hasattr(X, "iloc") else X
    return X.to_numpy()[:, columns] if hasattr(X, "iloc") else X[:, columns]


def _float32(values):
    if hasattr(values, "toarray"):
        raise ArgumentError("query: embeddings are a sparse matrix; pass embed=, a function that makes a dense one")
    return np.ascontiguousarray(values, dtype=np.float32)
