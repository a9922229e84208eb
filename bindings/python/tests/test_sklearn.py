"""poolwise.sklearn keeps what scikit-learn promises of its estimators, and asks Poolwise what the parts say."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

import poolwise
from poolwise.sklearn import ActiveLearner, PoolQuery


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.array(["ham", "spam", "veal"])[rng.integers(3, size=120)]
    X = rng.normal(size=(120, 4)) + 2 * (y[:, None] == np.array(["ham", "spam", "veal", "tofu"]))
    return X, y


def started(data, estimator, strategy, rows=range(12), **options):
    X, y = data
    rows = np.array(rows)
    return ActiveLearner(estimator, strategy, **options).fit(X, rows, y[rows])


# ---- Parameters, as check_estimator asks of them


@pytest.mark.parametrize("made", [PoolQuery("bald", 7, metric="cosine", random_state=3),
                                  ActiveLearner(KNeighborsClassifier(3), PoolQuery("margin", 2), first="random")])
def test_parameters_go_in_and_out_as_they_are(made):
    parameters = made.get_params(deep=False)
    again = type(made)(**parameters)
    assert all(again.get_params(deep=False)[name] is value for name, value in parameters.items())
    assert all(getattr(made, name) is value for name, value in parameters.items())
    copy = clone(made)
    assert copy is not made and repr(copy) == repr(made) and repr(pickle.loads(pickle.dumps(made))) == repr(made)
    with pytest.raises(ValueError, match="no_such"):
        made.set_params(no_such=1)
    assert type(made)(**{**parameters}).set_params(**parameters).get_params(deep=False) == parameters


def test_nested_parameters_are_reached():
    learner = ActiveLearner(KNeighborsClassifier(3), PoolQuery("margin", 2))
    learner.set_params(estimator__n_neighbors=5, strategy__batch=9)
    assert (learner.estimator.n_neighbors, learner.strategy.batch) == (5, 9)


def test_what_is_made_is_not_judged_before_it_is_used():
    wrong = PoolQuery("no such strategy", -1)
    with pytest.raises(ValueError):
        wrong.query(rows=3)


def test_the_parts_of_a_learner_are_not_changed(data):
    estimator, query = KNeighborsClassifier(3), PoolQuery("margin", 4, random_state=0)
    learner = started(data, estimator, query)
    learner.query()
    assert not hasattr(estimator, "classes_") and vars(query) == vars(PoolQuery("margin", 4, random_state=0))
    before = data[0].copy()
    assert np.array_equal(before, learner.pool_)


def test_nothing_is_asked_of_a_learner_that_was_not_begun(data):
    learner = ActiveLearner(KNeighborsClassifier())
    for call in learner.query, learner.plot, lambda: learner.teach([0], ["ham"]), lambda: learner.predict(data[0]):
        with pytest.raises(NotFittedError):
            call()
    learner = started(data, KNeighborsClassifier(3), PoolQuery("margin", 4))
    assert pickle.loads(pickle.dumps(learner)).query().rows.tolist() == learner.query().rows.tolist()


# ---- Draws


def test_random_state_is_a_number_a_generator_or_none():
    def draw(state, round_=0, times=1):
        query = PoolQuery("random", 8, random_state=state)
        return [query.query(rows=1000, round=round_).rows.tolist() for _ in range(times)]

    assert draw(5) == draw(5) != draw(6) and draw(5, 1) != draw(5)
    assert draw(np.random.default_rng(1), times=2) == draw(np.random.default_rng(1), times=2)
    for generator in np.random.default_rng(1), np.random.RandomState(1), None:
        first, second = draw(generator, times=2)
        assert first != second
    assert draw(5) == [poolwise.select(strategy="random", batch=8, rows=1000, seed=5).rows.tolist()]
    with pytest.raises(TypeError):
        draw("five")


# ---- Queries


def test_a_query_is_that_of_poolwise(data):
    learner = started(data, LogisticRegression(), PoolQuery("margin/10x/kcenter", 5, random_state=2))
    proba = learner.estimator_.predict_proba(data[0]).astype(np.float32)
    wanted = poolwise.select(strategy="margin/10x/kcenter", batch=5, probs=proba, labelled=np.arange(12),
                             embeddings=data[0].astype(np.float32), seed=2)
    assert learner.query().rows.tolist() == wanted.rows.tolist()


def test_a_query_takes_what_poolwise_takes(data):
    batch = started(data, LogisticRegression(), PoolQuery("entropy", 5)).query(cost=np.full(120, 3), budget=10, exclude=[40])
    assert (len(batch), batch.cost) == (3, 9) and 40 not in batch.rows


def test_embeddings_are_the_pool_or_what_is_said(data):
    def pick(embed):
        return started(data, LogisticRegression(), PoolQuery("kcenter", 5), embed=embed).query().rows.tolist()

    assert pick(None) == pick(lambda estimator, X: X) != pick("decision_function")
    assert pick("decision_function") == pick(lambda estimator, X: estimator.decision_function(X))


def members_of(learner, X):
    e = learner.estimator_
    if isinstance(e, list):
        return [m.predict_proba(X) for m in e]
    return [m.predict_proba(X[:, f]) for m, f in zip(e.estimators_, getattr(e, "estimators_features_", [slice(None)] * 9))]


@pytest.mark.parametrize("estimator", [
    [LogisticRegression(C=c) for c in (0.01, 1, 100)], RandomForestClassifier(5, random_state=0),
    BaggingClassifier(LogisticRegression(), n_estimators=4, max_features=2, random_state=0)])
def test_a_committee_is_a_list_or_an_ensemble(data, estimator):
    learner = started(data, estimator, PoolQuery("bald", 6), rows=range(40))
    committee = np.stack(members_of(learner, data[0])).astype(np.float32)
    wanted = poolwise.select(strategy="bald", batch=6, committee_probs=committee, labelled=np.arange(40))
    assert learner.query().rows.tolist() == wanted.rows.tolist()
    assert np.allclose(learner.predict_proba(data[0]), learner.predict_proba(data[0][::-1])[::-1])


def test_a_member_that_never_saw_a_class_gives_it_nothing(data):
    class Blind(KNeighborsClassifier):  # to the first class of those taught
        def fit(self, X, y):
            return super().fit(X[y != "ham"], y[y != "ham"])

    learner = started(data, [KNeighborsClassifier(3), Blind(3)], "vote_entropy")
    seen, blind = learner._committee(data[0])
    assert learner.classes_.tolist() == ["ham", "spam", "veal"] and (blind[:, 0] == 0).all() and seen[:, 0].any()
    assert np.allclose(blind.sum(axis=1), 1)


def test_regressors_are_a_committee_of_predictions(data):
    X, y = data[0], data[0].sum(axis=1)
    learner = ActiveLearner(RandomForestRegressor(5, random_state=0), "variance").fit(X, range(20), y[:20])
    predictions = np.stack([m.predict(X) for m in learner.estimator_.estimators_]).astype(np.float32)
    wanted = poolwise.select(strategy="variance", batch=1, predictions=predictions[:, :, None], labelled=np.arange(20))
    assert learner.query().rows.tolist() == wanted.rows.tolist()


def test_frames_and_whole_numbers_as_labels(data):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(data[0], columns=list("abcd"))
    learner = ActiveLearner(LogisticRegression(), PoolQuery("entropy/50%/kcenter", 3)).fit(X, [1, 2, 3], [7, 9, 7])
    assert len(learner.query()) == 3 and learner.classes_.tolist() == [7, 9]
    assert len(pandas.DataFrame(learner.history_)) == 1


# ---- The course of learning


def test_a_course_from_no_label_to_a_table(data):
    X, y = data
    learner = ActiveLearner(LogisticRegression(), PoolQuery("margin", 10, random_state=0), first="kcenter").fit(X)
    for _ in range(4):
        batch = learner.query()
        assert not set(batch.rows.tolist()) & set(learner.labelled_rows_.tolist())
        learner.teach(batch.rows, y[batch.rows])
        learner.evaluate(X, y)
    history = learner.history_
    assert history["labelled"] == [0, 10, 20, 30] and history["score_labelled"] == [10, 20, 30, 40]
    assert history["strategy"] == ["kcenter", "margin", "margin", "margin"]
    assert {len(column) for column in history.values()} == {4} and learner.labels_.tolist() == y[learner.labelled_rows_].tolist()
    assert history["score"][-1] > 0.7 and list(learner.plot().data[0].y) == history["score"]
    assert learner.fit(X).history_["round"] == []  # begins anew


def test_what_is_wrong_is_said(data):
    learner = started(data, LogisticRegression(), "margin")
    for call, said in [
        (lambda: learner.teach([3], ["ham"]), "row 3 has a label already"),
        (lambda: learner.teach([50, 50], ["ham", "ham"]), "row 50 .*given twice"),
        (lambda: learner.teach([120], ["ham"]), "row 120 is not among the pool's 120"),
        (lambda: learner.teach([50, 51], ["ham"]), "1 labels for 2 rows"),
        (lambda: started(data, KNeighborsClassifier(), "bald").query(), "KNeighborsClassifier is no committee"),
        (lambda: started(data, [KNeighborsClassifier(3)], "bald").predict(data[0]), "has no predict"),
        (lambda: ActiveLearner(LogisticRegression(), "margin").fit(data[0]).query(), "tells two classes apart"),
        (lambda: ActiveLearner(LogisticRegression(), "margin").fit(data[0], [0], ["ham"]).query(), "labels are of 1"),
    ]:
        with pytest.raises(poolwise.Error, match=said):
            call()
    assert len(learner.labelled_rows_) == 12


def test_a_sparse_pool_is_scored_and_not_embedded(data):
    from scipy.sparse import csr_array

    X = csr_array(data[0])
    learner = ActiveLearner(LogisticRegression(), "margin").fit(X, range(12), data[1][:12])
    assert len(learner.query()) == 1
    with pytest.raises(poolwise.Error, match="embed="):
        learner.set_params(strategy="kcenter").query()
