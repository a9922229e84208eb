"""Scores of rows that have any number of labels, each with a probability of its own."""

import numpy as np
from golden import numbers, ranked, vectors

LOGITS = numbers((12, 5), 701, 2.0)
PROBS = np.floor(np.random.default_rng(702).random((9, 4)) * 257) / 256
LABELLED = [1, 4, 10]
SETS = np.random.default_rng(703).integers(0, 2, (12, 5)).astype(float)


def of_labels(name, p):
    miss = np.minimum(p, 1 - p)
    q = np.stack([miss, 1 - miss])
    entropy = -(q * np.log(np.where(q > 0, q, 1))).sum(axis=0)
    if name == "binmin":
        return 1 - np.abs(2 * p - 1).min(axis=1)
    values = entropy if name.startswith("binary_entropy") else miss
    return values.mean(axis=1) if name.endswith("mean") else values.max(axis=1) if name.endswith("max") else values.sum(axis=1)


@vectors("binary_entropy", "binary_entropy_mean", "binary_entropy_max", "binary_confidence", "binary_confidence_mean",
         "binary_confidence_max", "binmin")
def independent(name):
    yield ranked("logits of 5 labels", name, of_labels(name, 1 / (1 + np.exp(-LOGITS))), label_logits=LOGITS)
    yield ranked("probabilities, some of them 0 or 1", name, of_labels(name, PROBS), label_probs=PROBS)


@vectors("lci")
def cardinality():
    scores = np.abs((LOGITS > 0).sum(axis=1) - SETS[LABELLED].sum(axis=1).mean())
    yield ranked("three labelled rows", "lci", scores, label_logits=LOGITS, label_sets=SETS,
                 labelled=LABELLED)


def entropy_of(counts):
    shares = np.array([count for count in counts if count > 0], dtype=float)
    shares /= shares.sum()
    return -(shares * np.log(shares)).sum()


def unlike(a, b):
    table = [((a == i) & (b == j)).sum() for i in (0, 1) for j in (0, 1)]
    if table[0] + table[3] == 0:
        return 1.0
    joint = entropy_of(table)
    return 0.0 if joint < 1e-12 else (2 * joint - entropy_of(np.bincount(a, minlength=2)) - entropy_of(np.bincount(b, minlength=2))) / joint


@vectors("cvirs")
def inconsistency():
    given, labels = (LOGITS > 0).astype(int), LOGITS.shape[1]
    open_rows = [row for row in range(12) if row not in LABELLED]
    scores = np.zeros(12)
    for row in range(12):
        distance = np.mean([unlike(given[row], SETS[known].astype(int)) for known in LABELLED])
        sure = [[(abs(LOGITS[other, c]), other) for other in open_rows] for c in range(labels)]
        votes = sum(each > (abs(LOGITS[row, c]), row) for c in range(labels) for each in sure[c]) if row in open_rows else 0
        scores[row] = votes / (labels * (len(open_rows) - 1)) * distance
    yield ranked("three labelled rows", "cvirs", scores, label_logits=LOGITS,
                 label_sets=SETS, labelled=LABELLED)
