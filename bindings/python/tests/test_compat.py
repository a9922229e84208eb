"""The shims of poolwise.compat: the peers' calls and arguments, and each difference that a shim states. What they
score and pick beside the peers is in test_peers.py."""

import types
import warnings

import numpy as np
import pytest

import poolwise
from poolwise.compat import anomalib, apricot, baal, bmdal, modal, skactiveml, small_text, submodlib

rng = np.random.default_rng(0)
PROBA = rng.dirichlet(np.ones(4), 30).astype(np.float32)
COMMITTEE = rng.dirichlet(np.ones(4), (3, 30)).astype(np.float32)
X = rng.normal(size=(30, 5)).astype(np.float32)
Y = np.r_[np.zeros(4), np.full(26, np.nan)]


class Model:
    """Fits nothing, and says what it was given."""

    def __init__(self, proba=PROBA, **more):
        self.proba, self.classes_ = proba, np.arange(proba.shape[-1])
        vars(self).update(more)

    def fit(self, X, y, **_):
        self.taught = len(y)
        return self

    def predict_proba(self, X, **_):
        return self.proba[: len(X)]


def picked(strategy, batch, **parts):
    return poolwise.select(strategy, batch=batch, copy=True, **parts).rows.tolist()


def test_the_packages_name_is_not_the_peers():
    assert skactiveml.__name__ == "poolwise.compat.skactiveml" and not hasattr(skactiveml, "pool")


def test_nothing_of_a_peer_is_needed():
    import subprocess
    import sys

    names = "skactiveml, modal, small_text, baal, bmdal, apricot, submodlib, anomalib"
    program = f"import sys; from poolwise.compat import {names}; print([m for m in ('sklearn', 'torch', 'scipy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


# ---- scikit-activeml


def test_skactiveml_candidates_and_utilities():
    query = skactiveml.UncertaintySampling("margin_sampling")
    rows, utilities = query.query(X, Y, Model(), fit_clf=False, batch_size=3, return_utilities=True)
    assert rows.tolist() == picked("margin", 3, outputs=PROBA, kind="probabilities", labelled=[0, 1, 2, 3])
    assert utilities.shape == (3, 30) and np.isnan(utilities[:, :4]).all()
    assert [int(np.nanargmax(u)) for u in utilities] == rows.tolist()
    some = query.query(X, Y, Model(), fit_clf=False, candidates=[7, 9, 20], batch_size=5)
    assert sorted(some) == [7, 9, 20]
    own, shape = skactiveml.CoreSet(random_state=0).query(X, Y, candidates=X[10:16], batch_size=2, return_utilities=True)
    assert own.tolist() == picked("kcenter", 2, embeddings=np.r_[X[10:16], X], labelled=range(6, 10), candidates=range(6))
    assert shape.shape == (2, 6)


def test_skactiveml_parameters_labels_and_fits():
    query = skactiveml.QueryByCommittee("vote_entropy", missing_label=None, random_state=3)
    assert type(query)(**query.get_params()).get_params() == query.get_params()
    query.set_params(method="KL_divergence")
    with pytest.raises(ValueError, match="no_such"):
        query.set_params(no_such=1)
    assert "method='KL_divergence'" in repr(query)
    labels = np.array([0, 1] + [None] * 28, object)
    rows = query.query(X, labels, [Model(p) for p in COMMITTEE], batch_size=4)
    assert rows.tolist() == picked("bald", 4, committee=COMMITTEE, kind="probabilities", labelled=[0, 1])
    assert query.query(X, labels, Model(estimators_=[Model(p) for p in COMMITTEE]), batch_size=4).tolist() == rows.tolist()
    seen = []
    skactiveml.UncertaintySampling(missing_label=None).query(X, labels, types.SimpleNamespace(
        fit=lambda X, y: seen.append(len(y)) or Model()))
    assert seen == [2]  # a classifier that knows no missing labels is shown none


@pytest.mark.parametrize("query, strategy, parts", [
    (skactiveml.CoreSet(metric="cosine"), "kcenter", {"embeddings": X, "metric": "cosine"}),
    (skactiveml.TypiClust(k=3, random_state=1), "typiclust(neighbours=3)", {"embeddings": X, "seed": 1}),
    (skactiveml.ProbCover(n_classes=4, alpha=0.5, random_state=1), "probcover(purity=0.5, clusters=4)", {"embeddings": X, "seed": 1}),
    (skactiveml.MaxHerding(metric_dict={"gamma": 0.25}, normalize_samples=False), "maxherding(bandwidth=2)", {"embeddings": X}),
    (skactiveml.ContrastiveAL({"n_neighbors": 2}), "cal(neighbours=2)", {"embeddings": X, "outputs": PROBA, "kind": "probabilities"}),
    (skactiveml.Badge(random_state=1), "badge", {"embeddings": X, "outputs": PROBA, "kind": "probabilities", "seed": 1}),
    (skactiveml.GreedyBALD(), "bald", {"committee": COMMITTEE, "kind": "probabilities"}),
    (skactiveml.BatchBALD(n_MC_samples=50), "batchbald(samples=50)", {"committee": COMMITTEE, "kind": "probabilities"}),
])
def test_skactiveml_strategies(query, strategy, parts):
    model = [Model()] if "outputs" in parts else [[Model(p) for p in COMMITTEE]] if "committee" in parts else []
    rows, utilities = query.query(X, Y, *model, batch_size=4, return_utilities=True)
    assert rows.tolist() == picked(strategy, 4, labelled=[0, 1, 2, 3], **parts)
    for row, of_pick in zip(rows, utilities):  # NaN but for the picks, or all of them for a score
        assert not np.isnan(of_pick[row])


def test_skactiveml_refuses_what_it_does_not_do():
    for query, arguments, said in [
        (skactiveml.UncertaintySampling("expected_average_precision"), (Model(),), "least_confident"),
        (skactiveml.UncertaintySampling(cost_matrix=np.eye(4)), (Model(),), "cost_matrix"),
        (skactiveml.QueryByCommittee("other"), ([Model()],), "KL_divergence"),
        (skactiveml.QueryByCommittee(), (Model(),), "is no ensemble"),
        (skactiveml.ProbCover(deltas=[1]), (), "deltas"),
        (skactiveml.CoreSet(metric="manhattan"), (), "manhattan"),
        (skactiveml.MaxHerding(metric="linear"), (), "linear"),
        (skactiveml.ContrastiveAL({"radius": 1}), (Model(),), "radius"),
    ]:
        with pytest.raises(poolwise.Error, match=said):
            query.query(X, Y, *arguments)
    with pytest.raises(ValueError, match="every row has a label"):
        skactiveml.RandomSampling().query(X, np.zeros(30))
    with pytest.raises(TypeError, match="batch_size"):
        skactiveml.RandomSampling().query(X, Y, batch_size=1.5)
    assert skactiveml.RandomSampling(random_state=4).query(X, Y, batch_size=26).tolist() != list(range(4, 30))


# ---- modAL


def test_modal_samplings_give_rows_and_values():
    rows, values = modal.margin_sampling(Model(), X, n_instances=3)
    top = np.sort(PROBA, axis=1)
    assert rows.tolist() == picked("margin", 3, outputs=PROBA, kind="probabilities") and np.allclose(values, (top[:, -1] - top[:, -2])[rows])
    assert (np.diff(values) >= 0).all()  # best first
    for sampling, strategy in (modal.uncertainty_sampling, "least_confidence"), (modal.entropy_sampling, "entropy"):
        assert sampling(Model(), X, 4)[0].tolist() == picked(strategy, 4, outputs=PROBA, kind="probabilities")
    committee = Model(COMMITTEE, vote_proba=lambda X: np.moveaxis(COMMITTEE, 0, 1), vote=lambda X: COMMITTEE.argmax(2).T)
    for sampling, strategy in ((modal.consensus_entropy_sampling, "consensus_entropy"), (modal.max_disagreement_sampling, "max_kl"),
                               (modal.vote_entropy_sampling, "vote_entropy")):
        assert sampling(committee, X, 5)[0].tolist() == picked(strategy, 5, committee=COMMITTEE, kind="probabilities")
    std = np.arange(30) % 7
    assert modal.max_std_sampling(types.SimpleNamespace(predict=lambda X, return_std: (X, std)), X, 3)[0].tolist() == [6, 13, 20]


def test_modal_ties_and_unfitted():
    same = Model(np.full((30, 4), 0.25, np.float32))
    assert modal.entropy_sampling(same, X, 3)[0].tolist() == [0, 1, 2]
    drawn = modal.entropy_sampling(same, X, 3, True, random_state=1)[0].tolist()
    assert drawn == modal.entropy_sampling(same, X, 3, True, random_state=1)[0].tolist() != [0, 1, 2]

    class NotFittedError(ValueError):
        pass

    def refuse(X):
        raise NotFittedError

    unfitted = types.SimpleNamespace(predict_proba=refuse)
    assert modal.classifier_uncertainty(unfitted, X).tolist() == [1] * 30
    assert modal.classifier_margin(unfitted, X).tolist() == [0] * 30
    with pytest.raises(AssertionError):
        modal.entropy_sampling(same, X, 31)
    assert modal.classifier_margin(Model(np.ones((30, 1), np.float32)), X).tolist() == [1] * 30  # modAL: 0


def test_modal_ranked_batches_are_by_the_cosine():
    learner = Model(PROBA, X_training=X[:4])
    rows, values = modal.uncertainty_batch_sampling(learner, X[4:], n_instances=5)
    proba = np.r_[np.tile([1, 0, 0, 0], (4, 1)), PROBA[:26]].astype(np.float32)
    assert (rows + 4).tolist() == picked("ranked_batch(least_confidence)", 5, outputs=proba, kind="probabilities", embeddings=X, labelled=range(4))
    assert np.allclose(values, 1 - PROBA[rows].max(axis=1))
    with pytest.raises(poolwise.Error, match="cosine"):
        modal.uncertainty_batch_sampling(learner, X, metric="euclidean")


@pytest.mark.parametrize("ask", [lambda p: modal.classifier_entropy(Model(p), X),
                                 lambda p: small_text.PredictionEntropy().score(Model(p), X, range(30), [], [])])
def test_other_sums_are_divided_and_said(ask):
    with pytest.warns(UserWarning, match="10 rows do not sum to 1"):
        got = ask(PROBA * np.where(np.arange(30) < 10, 3, 1).astype(np.float32)[:, None])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.allclose(got, ask(PROBA), atol=1e-6)


# ---- small-text


def test_small_text_queries():
    unlabelled, labelled = np.array([20, 5, 9, 14, 2]), np.array([0, 1])
    rows = small_text.BreakingTies().query(Model(), X, unlabelled, labelled, [], n=2)
    assert rows.tolist() == picked("margin", 2, outputs=PROBA, kind="probabilities", candidates=unlabelled)
    everything = small_text.LeastConfidence().query(Model(), X, unlabelled, labelled, [], n=5)
    assert everything.tolist() == picked("least_confidence", 5, outputs=PROBA, kind="probabilities", candidates=unlabelled)  # ranked, too
    sampled = types.SimpleNamespace(predict_proba=lambda X, dropout_sampling: np.moveaxis(COMMITTEE, 0, 1))
    rows = small_text.BALD(3).query(sampled, X, unlabelled, labelled, [], n=2)
    assert rows.tolist() == picked("bald", 2, committee=COMMITTEE, kind="probabilities", candidates=unlabelled)
    drawn = small_text.RandomSampling(random_state=2).query(None, X, unlabelled, labelled, [], n=3)
    assert len(set(drawn) & set(unlabelled)) == 3
    assert str(small_text.BALD(3)) == "BALD(dropout_samples=3)" and str(small_text.BreakingTies()) == "BreakingTies()"
    with pytest.raises(small_text.PoolExhaustedException):
        small_text.BreakingTies().query(Model(), X, unlabelled, labelled, [], n=6)
    with pytest.raises(small_text.EmptyPoolException):
        small_text.RandomSampling().query(None, X, [], labelled, [], n=1)


def test_small_text_coresets():
    places, labelled = np.arange(4, 30), np.arange(4)
    whole = np.r_[X[4:], X[:4]]
    with pytest.warns(UserWarning, match="Default distance metric"):
        by_default = small_text.GreedyCoreset()
    rows = by_default.query(None, X, places, labelled, [], n=5, embeddings=whole)
    assert rows.tolist() == picked("kcenter", 5, embeddings=X, labelled=labelled, metric="cosine")
    clf = types.SimpleNamespace(embed=lambda x, pbar: x)
    assert by_default.query(clf, X, places, labelled, [], n=5).tolist() == rows.tolist()
    assert small_text.greedy_coreset(whole, np.arange(26), np.arange(26, 30), 5, "euclidean").tolist() == [
        row - 4 for row in picked("kcenter", 5, embeddings=X, labelled=labelled)]
    assert len(small_text.greedy_coreset(X, np.arange(30), [], 3, random_state=0)) == 3  # small-text fails
    assert len(set(small_text.greedy_coreset(X, np.arange(10), np.arange(10, 30), 30).tolist())) == 10  # none twice
    with pytest.raises(ValueError, match="Invalid distance metric"):
        small_text.GreedyCoreset("manhattan")


# ---- Baal


BAAL = np.moveaxis(COMMITTEE, 0, -1)


def test_baal_ranks():
    for heuristic, strategy in ((baal.BALD(), "bald"), (baal.Entropy(), "consensus_entropy")):
        ranks, scores = heuristic.get_ranks(BAAL)
        assert ranks.tolist() == picked(strategy, 30, committee=COMMITTEE, kind="probabilities") == heuristic(BAAL).tolist()
        assert np.allclose(heuristic.get_ranks(part for part in (BAAL[:10], BAAL[10:]))[1], scores)
    assert baal.Margin().get_ranks(PROBA)[0].tolist() == picked("margin", 30, outputs=PROBA, kind="probabilities")
    assert baal.Certainty()(PROBA).tolist() == picked("least_confidence", 30, outputs=PROBA, kind="probabilities")
    assert baal.BatchBALD(3)(BAAL)[:3].tolist() == picked("batchbald", 3, committee=COMMITTEE, kind="probabilities")
    assert baal.Random(seed=1)(BAAL).tolist() == baal.Random(seed=1)(BAAL).tolist() != baal.Random(seed=2)(BAAL).tolist()


def test_baal_places_are_reduced():
    pixels = np.moveaxis(rng.dirichlet(np.ones(3), (6, 2, 2, 4)), -1, 1)  # [rows, classes, h, w, iterations]
    plain = baal.BALD().compute_score(pixels)
    assert plain.shape == (6, 2, 2)
    alone = baal.BALD().compute_score(pixels[:, :, 1, 0])
    assert np.allclose(plain[:, 1, 0], alone, atol=1e-7)
    assert np.allclose(baal.BALD(reduction="max").get_uncertainties(pixels), plain.max(axis=(1, 2)))
    assert np.allclose(baal.BALD(reduction=lambda s: s[:, 0, 0]).get_uncertainties(pixels), plain[:, 0, 0])
    assert baal.Entropy().compute_score(pixels).shape == (6, 2, 2) and baal.Variance().compute_score(pixels).shape == (6, 3, 2, 2)
    with pytest.raises(ValueError, match="more than 1 dimension"):
        baal.BALD().get_ranks(pixels)


def test_baal_says_what_predictions_hold():
    logits = rng.normal(size=(20, 4, 3)).astype(np.float32)
    assert np.allclose(baal.BALD().compute_score(logits), baal.BALD(kind="logits").compute_score(logits))
    mixed = np.concatenate([BAAL[:5], logits[:5]])
    with pytest.warns(UserWarning, match="some rows are probabilities"):
        baal.BALD().compute_score(mixed)
    with pytest.raises(poolwise.Error, match="power"):
        baal.BALD(shuffle_prop=0.1)
    with pytest.raises(poolwise.Error, match="reduction"):
        baal.BALD(reduction="median")
    broken = PROBA.copy()
    broken[3, 1] = np.nan
    with pytest.raises(ValueError, match="row 3"):  # Baal: 10000
        baal.Entropy(kind="probabilities").get_ranks(broken)
    with pytest.raises(ValueError):
        baal.BALD().get_ranks(part for part in [])


# ---- bmdal, apricot, submodlib, anomalib


def test_bmdal_batches():
    data = {"train": X[:4], "pool": types.SimpleNamespace(get_tensor=lambda: X[4:])}
    for method, strategy in ("lcmd", "lcmd"), ("maxdist", "maxdist"):
        rows, results = bmdal.select_batch(5, [], data, None, "linear", [], method)
        assert (rows + 4).tolist() == picked(strategy, 5, embeddings=X, labelled=range(4)) and "kernel_time" in results
    alone, _ = bmdal.select_batch(5, [], data, None, "linear", [], "maxdet")  # without training rows, as bmdal's default
    assert alone.tolist() == picked("maxdet", 5, embeddings=X[4:])
    noisy, _ = bmdal.select_batch(5, [], data, None, "linear", [], "maxdet", maxdet_sigma=0.1, sel_with_train=True)
    assert (noisy + 4).tolist() == picked("maxdet(noise=0.1)", 5, embeddings=X, labelled=range(4))
    assert bmdal.select_batch(5, [], data, None, "linear", [], "fw")[0].tolist() == picked("frank_wolfe", 5, embeddings=X[4:])
    assert bmdal.select_batch(5, [], data, None, "linear", [], "lcmd", sel_with_train=False)[0].tolist() == picked("lcmd", 5, embeddings=X[4:])
    assert len(bmdal.select_batch(5, [], data, None, "linear", [], "random", random_state=1)[0]) == 5
    for kernel, transforms, method in ("grad", [], "lcmd"), ("linear", [("train", [0.1])], "lcmd"), ("linear", [], "kmeanspp"):
        with pytest.raises(poolwise.Error, match="pass"):
            bmdal.select_batch(5, [], data, None, kernel, transforms, method)


def test_apricot_selections():
    chosen = apricot.FacilityLocationSelection(4, n_neighbors=6).fit(X)
    assert chosen.ranking.tolist() == picked("facility_location(neighbours=6)", 4, embeddings=X)
    assert (np.diff(chosen.gains) <= 0).all() and np.array_equal(chosen.transform(X), X[chosen.ranking])
    both = apricot.GraphCutSelection(4, alpha=3, initial_subset=[2, 8]).fit_transform(X, np.arange(30))
    assert both[1].tolist() == picked("graph_cut(lambda=3)", 4, embeddings=X, labelled=[2, 8])
    mask = np.isin(np.arange(30), [2, 8])
    assert apricot.FacilityLocationSelection(3, initial_subset=mask).fit(X).ranking.tolist() == picked("facility_location", 3, embeddings=X, labelled=[2, 8])
    features = apricot.FeatureBasedSelection(4).fit(abs(X))
    assert features.ranking.tolist() == picked("feature_coverage", 4, embeddings=abs(X))
    for wrong, said in [(lambda: apricot.FacilityLocationSelection(0), "positive"),
                        (lambda: apricot.FeatureBasedSelection(3, "log"), "concave_func"), (lambda: apricot.GraphCutSelection(4), "alpha is 1"),
                        (lambda: apricot.FacilityLocationSelection(31).fit(X), "more examples"),
                        (lambda: apricot.FacilityLocationSelection(3, metric="corr"), "corr"),
                        (lambda: apricot.FacilityLocationSelection(3).fit(X, sample_cost=np.ones(30)), "sample_cost")]:
        with pytest.raises(ValueError, match=said):
            wrong()


def test_submodlib_functions():
    def rows(function, budget=4, **options):
        return [row for row, _ in function.maximize(budget, **options)]

    assert rows(submodlib.FacilityLocationFunction(30, "dense", data=X)) == picked("facility_location", 4, embeddings=X, metric="cosine")
    cut = submodlib.GraphCutFunction(30, "sparse", 0.25, data=X, metric="euclidean", num_neighbors=7)
    assert rows(cut) == picked("graph_cut(lambda=4, neighbours=7)", 4, embeddings=X)
    assert rows(submodlib.LogDeterminantFunction(30, "dense", 1, data=X)) == picked("dpp", 4, embeddings=X, metric="cosine")
    apart = submodlib.DisparityMinFunction(n=30, mode="dense", data=X, metric="euclidean")
    assert rows(apart, random_state=5) == picked("kcenter", 4, embeddings=X, seed=5)
    copies = submodlib.FacilityLocationFunction(30, "dense", data=np.repeat(X[:3], 10, axis=0), metric="euclidean")
    assert len(copies.maximize(9, stopIfZeroGain=True)) == 3 and len(copies.maximize(9)) == 9
    for wrong, said in [(lambda: submodlib.GraphCutFunction(30, "dense", 1, data=X), "lambdaVal is 1"),
                        (lambda: submodlib.FacilityLocationFunction(30, "dense", sijs=X), "similarities"),
                        (lambda: submodlib.FacilityLocationFunction(29, "dense", data=X), "Inconsistent"),
                        (lambda: submodlib.FacilityLocationFunction(0, "dense", data=X), "positive"),
                        (lambda: submodlib.FacilityLocationFunction(30, "clustered", data=X), "mode"),
                        (lambda: apart.maximize(30), "less than"), (lambda: apart.maximize(2, costs=[1] * 30), "costs")]:
        with pytest.raises(ValueError, match=said):
            wrong()


def test_anomalib_coresets():
    sampler = anomalib.KCenterGreedy(X, 0.2, random_state=3)
    assert sampler.select_coreset_idxs() == picked("kcenter", 6, embeddings=X, seed=3)
    assert np.array_equal(sampler.sample_coreset(), X[sampler.select_coreset_idxs()])
    maps = X.reshape(30, 5, 1, 1)
    assert anomalib.KCenterGreedy(maps, 0.2, random_state=3).sample_coreset().shape == (6, 5, 1, 1)
    with pytest.raises(ValueError, match="coreset_size"):
        anomalib.KCenterGreedy(X, 0.01)
