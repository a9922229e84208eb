"""Scores of a committee, of classifiers and of regressors, and batches by them."""

import itertools

import numpy as np
from golden import FP32, case, distributions, numbers, one_by_one, ranked, softmax, vectors
from scores import entropy


def kl(p, q):
    return (p * np.log(np.where(p > 0, p, 1) / np.where(p > 0, q, 1))).sum(axis=-1)


def disagreement(name, p):
    members, _, classes = p.shape
    mean = p.mean(axis=0)
    votes = (p.argmax(axis=2)[:, :, None] == np.arange(classes)).mean(axis=0)
    return {"bald": entropy(mean) - entropy(p).mean(axis=0), "consensus_entropy": entropy(mean),
            "vote_entropy": entropy(votes), "variation_ratio": 1 - votes.max(axis=1),
            "max_kl": kl(p, mean[None]).max(axis=0), "mean_std": p.std(axis=0).mean(axis=1)}[name]


@vectors("bald", "consensus_entropy", "vote_entropy", "variation_ratio", "max_kl", "mean_std")
def committees(name):
    logits, probs = numbers((5, 12, 4), 61, 2.0), distributions((3, 9, 3), 62)
    yield ranked("logits of 5 members, 4 classes", name, disagreement(name, softmax(logits)), committee=logits)
    yield ranked("probabilities of 3 members", name, disagreement(name, probs), committee_probs=probs)
    yield ranked("one member", name, disagreement(name, softmax(logits[:1, :6])), committee=logits[:1, :6])


@vectors("variance")
def predictive_variance():
    predictions = numbers((6, 11, 2), 71)
    yield ranked("6 regressors of 2 outputs, by the population's variance", "variance",
                 predictions.var(axis=0).mean(axis=1), predictions=predictions)


@vectors("ucb")
def upper_confidence_bound():
    predictions = numbers((6, 11, 2), 72)
    for beta in 1, 3:
        yield ranked(f"6 regressors of 2 outputs, beta {beta}", f"ucb(beta={beta})",
                     (predictions.mean(axis=0) + beta * predictions.std(axis=0)).mean(axis=1), predictions=predictions)


@vectors("batchbald")
def batchbald():
    logits = numbers((4, 10, 3), 81, 2.0)
    p = softmax(logits)

    def gains(picks):
        gain = np.empty(10)
        for row in range(10):
            joint = 0.0
            for labels in itertools.product(range(3), repeat=len(picks) + 1):
                each = np.prod([p[:, r, y] for r, y in zip(picks + [row], labels)], axis=0)
                joint -= each.mean() * np.log(each.mean())
            gain[row] = joint - entropy(p[:, picks + [row]]).sum(axis=1).mean()
        before = entropy_of(picks)
        return gain - before

    def entropy_of(picks):
        if not picks:
            return 0.0
        joint = 0.0
        for labels in itertools.product(range(3), repeat=len(picks)):
            each = np.prod([p[:, r, y] for r, y in zip(picks, labels)], axis=0)
            joint -= each.mean() * np.log(each.mean())
        return joint - entropy(p[:, picks]).sum(axis=1).mean()

    picks, values = one_by_one(10, 4, gains)
    yield case("4 members, every joint label counted", "batchbald", picks, values, tolerance=FP32, committee=logits)
