"""Scores of one model's outputs, and what is made of a score."""

import numpy as np
from golden import FP32, distributions, numbers, one_by_one, ranked, softmax, squared_distances, uniforms, vectors
from golden import case


def entropy(p):
    return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)


def score(name, p):
    top = -np.sort(-p, axis=-1)
    second = top[..., 1] if p.shape[-1] > 1 else np.zeros(p.shape[:-1])
    return {"least_confidence": 1 - top[..., 0], "margin": 1 - (top[..., 0] - second),
            "ratio": second / top[..., 0], "entropy": entropy(p), "gini": 1 - (p**2).sum(axis=-1)}[name]


@vectors("least_confidence", "margin", "ratio", "entropy", "gini")
def outputs(name):
    logits, probs = numbers((12, 7), 1, 2.0), distributions((9, 4), 3)
    yield ranked("logits of 7 classes", name, score(name, softmax(logits)), logits=logits)
    yield ranked("probabilities, some of them 0", name, score(name, probs), probs=probs)
    twice = logits[[0, 3, 0, 5, 3, 7, 7, 0]]
    yield ranked("equal rows: the lower one first; rows 1 and 6 have labels", name, score(name, softmax(twice)),
                 logits=twice, labelled=[1, 6])


@vectors("energy")
def energy():
    logits = numbers((12, 7), 1, 2.0)
    yield ranked("logits of 7 classes", "energy", -np.log(np.exp(logits).sum(axis=1)), logits=logits)


@vectors("log_confidence")
def log_confidence():
    logits, probs = numbers((12, 7), 1, 2.0), distributions((9, 4), 3)
    yield ranked("logits of 7 classes", "log_confidence", -np.log(softmax(logits).max(axis=1)), logits=logits)
    yield ranked("probabilities, some of them 0", "log_confidence", -np.log(probs.max(axis=1)), probs=probs)


@vectors("egl")
def expected_gradient_length():
    logits, h = numbers((12, 5), 11, 1.5), numbers((12, 6), 12)
    p = softmax(logits)
    lengths = np.sqrt(((p[:, None, :] - np.eye(5)) ** 2).sum(axis=2))
    features = np.sqrt(1 + (h**2).sum(axis=1))  # with 1 appended, for the bias
    yield ranked("a linear last layer with a bias", "egl", (p * lengths).sum(axis=1) * features,
                 logits=logits, embeddings=h)
    yield ranked("the longest of all classes", "egl(max=1)", lengths.max(axis=1) * features, logits=logits, embeddings=h)


def cosines(a, b):
    unit = [x / np.sqrt((x**2).sum(axis=1, keepdims=True)) for x in (a, b)]
    return unit[0] @ unit[1].T


@vectors("density")
def information_density():
    logits, h = numbers((12, 4), 21, 2.0), np.abs(numbers((12, 5), 22)) + 1 / 64
    labelled = [2, 9]
    open_rows = [row for row in range(12) if row not in labelled]
    for beta in 1, 2:
        scores = score("margin", softmax(logits)) * cosines(h, h[open_rows]).mean(axis=1) ** beta
        yield ranked(f"margin times the mean cosine to unlabelled rows, itself too, to the power of {beta}",
                     f"density(margin, beta={beta})", scores, logits=logits, embeddings=h, labelled=labelled)


@vectors("similar")
def similarity_to_queries():
    h, queries, weights = numbers((12, 5), 31), numbers((3, 5), 32), np.array([1.0, 0.5, 2.0])
    weighted = cosines(h, queries) * weights
    given = dict(embeddings=h, queries=queries, query_weights=weights)
    yield ranked("the most similar of three queries, by weight", "similar", weighted.max(axis=1), **given)
    yield ranked("their weighted mean", "similar(mean=1)", weighted.sum(axis=1) / weights.sum(), **given)


@vectors("ranked_batch")
def ranked_batch():
    logits, h, labelled = numbers((14, 4), 41, 2.0), numbers((14, 5), 42), [0, 5, 6]
    uncertain = score("margin", softmax(logits))

    def gains(picks):
        known = labelled + picks
        share = (14 - len(known)) / 14
        return share * (1 - cosines(h, h[known]).max(axis=1)) + (1 - share) * uncertain

    open_rows = [row for row in range(14) if row not in labelled]
    picks, values = one_by_one(14, 6, gains, open_rows)
    yield case("margin, three labelled rows", "ranked_batch(margin)", picks, values,
               logits=logits, embeddings=h, labelled=labelled)


# ---- Draws: the values are a function of seed, round and row


@vectors("random")
def uniform():
    yield ranked("seed 3, round 2", "random", uniforms(15, 1, 3, 2), parameters={"seed": 3, "round": 2}, rows=15)


@vectors("power", "softmax", "softrank")
def drawn(name):
    logits = numbers((12, 4), 51, 2.0)
    plain = score("margin", softmax(logits))
    rank = np.empty(12)
    rank[np.argsort(-plain, kind="stable")] = np.arange(1, 13)
    for seed, beta in (5, 1), (2**40 + 1, 2):
        waits = -np.log(2.0**-54 + uniforms(12, {"power": 11, "softmax": 13, "softrank": 14}[name], seed, 4))
        keys = {"power": plain**beta / waits, "softmax": beta * plain - np.log(waits),
                "softrank": -beta * np.log(rank) - np.log(waits)}[name]
        yield ranked(f"margin, beta {beta}, seed {seed}, round 4", f"{name}(margin, beta={beta})", keys,
                     tolerance=2 * FP32, parameters={"seed": seed, "round": 4}, logits=logits)
