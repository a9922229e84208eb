"""What a label would change: of a linear model, of regressors, of what a committee says of other rows."""

import math

import numpy as np
from batches import others
from golden import bits, case, numbers, one_by_one, ranked, round_seed, softmax, squared_distances, vectors
from scores import entropy

ROWS, LABELLED = 15, [1, 6, 11]
H, PREDICTIONS = numbers((ROWS, 4), 601), numbers((4, ROWS, 1), 602)
LABELS = numbers(ROWS, 503)
OPEN = others(ROWS, LABELLED)
DESIGN = np.hstack([H, np.ones((ROWS, 1))])  # with a bias


def covariances(penalty=1.0):
    """k(x, u) = h_x' (penalty I + sum of labelled h h')^-1 h_u."""
    known = DESIGN[LABELLED]
    return DESIGN @ np.linalg.inv(penalty * np.eye(5) + known.T @ known) @ DESIGN.T


@vectors("epig")
def predictive_information():
    logits, targets = numbers((4, 12, 3), 521, 2.5), numbers((4, 5, 3), 512, 2.5)
    p, q = softmax(logits), softmax(targets)
    scores = []
    for row in range(12):
        gain = 0.0
        for target in range(5):
            joint = (p[:, row, :, None] * q[:, target, None, :]).mean(axis=0)
            apart = p[:, row].mean(axis=0)[:, None] * q[:, target].mean(axis=0)[None, :]
            gain += (joint * np.log(joint / apart)).sum() / 5
        scores.append(gain)
    yield ranked("4 members, 5 targets", "epig", scores, tolerance=5e-6, committee=logits, targets=targets)


@vectors("evr")
def expected_variance_reduction():
    k = covariances()
    yield ranked("three labelled rows, penalty 1", "evr(lambda=1)", (k[:, OPEN] ** 2).mean(axis=1) / (1 + np.diag(k)),
                 tolerance=1e-5, embeddings=H, labelled=LABELLED)


@vectors("kl_divergence_maximisation")
def divergence():
    k = covariances()
    share = k[:, OPEN] ** 2 / ((1 + np.diag(k))[:, None] * (1 + np.diag(k)[OPEN])[None, :])
    yield ranked("three labelled rows, penalty 1", "kl_divergence_maximisation(lambda=1)", (-np.log(1 - share) / 2).mean(axis=1),
                 tolerance=1e-5, embeddings=H, labelled=LABELLED)


@vectors("eer")
def expected_error_reduction():
    classes, k = np.array([0.0, 2.0, 1.0]), covariances()
    labels = np.zeros(ROWS)
    labels[LABELLED] = classes
    known = DESIGN[LABELLED]
    wanted = np.eye(3)[classes.astype(int)] - 1 / 3
    outputs = DESIGN @ np.linalg.inv(np.eye(5) + known.T @ known) @ known.T @ wanted + 1 / 3

    def loss(f, log):
        q = np.maximum(0, f)
        q = q / q.sum(axis=-1, keepdims=True)
        return entropy(q) if log else 1 - q.max(axis=-1)

    for log in 0, 1:
        scores = []
        for row in range(ROWS):
            chance = np.maximum(0, outputs[row]) / np.maximum(0, outputs[row]).sum()
            later = sum(chance[y] * loss(outputs[OPEN] + (k[row, OPEN] / (1 + k[row, row]))[:, None] * (np.eye(3)[y] - outputs[row]), log)
                        for y in range(3))
            scores.append((loss(outputs[OPEN], log) - later).mean())
        yield ranked(f"three labelled rows of three classes, penalty 1, {'entropy' if log else '1 - the largest p'}",
                     f"eer(lambda=1, log={log})", scores, tolerance=3e-6, embeddings=H, labels=labels, labelled=LABELLED)


@vectors("gsx", "gsy", "igs")
def greedy_sampling(name):
    d, mean = np.sqrt(squared_distances(H, H)), PREDICTIONS[:, :, 0].mean(axis=0)

    def gains(picks):
        known = LABELLED + picks
        y = np.r_[LABELS[LABELLED], mean[picks]]
        off = np.abs(mean[:, None] - y[None, :])
        return {"gsx": d[:, known], "gsy": off, "igs": d[:, known] * off}[name].min(axis=1)

    picks, values = one_by_one(ROWS, 5, gains, OPEN)
    parts = {} if name == "gsx" else {"predictions": PREDICTIONS, "labels": LABELS}
    yield case("three labelled rows", name, picks, values, tolerance=1e-5, embeddings=H, labelled=LABELLED, **parts)


@vectors("expected_improvement")
def expected_improvement():
    f = PREDICTIONS[:, :, 0]
    mean, deviation, best = f.mean(axis=0), f.std(axis=0), LABELS[LABELLED].max()
    z = (mean - best) / deviation
    below = np.array([0.5 * math.erfc(-one / math.sqrt(2)) for one in z])
    scores = deviation * (np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) + z * below)
    yield ranked("three labelled rows", "expected_improvement", scores, tolerance=5e-6, predictions=PREDICTIONS, labels=LABELS,
                 labelled=LABELLED)


@vectors("emcm")
def expected_model_change():
    f = PREDICTIONS[:, :, 0]
    yield ranked("4 regressors", "emcm", np.abs(f - f.mean(axis=0)).mean(axis=0) * np.sqrt((DESIGN**2).sum(axis=1)),
                 predictions=PREDICTIONS, embeddings=H)


@vectors("thompson")
def thompson():
    seed, picks, values = round_seed(8, 1), [], []
    while len(picks) < 6:
        member = PREDICTIONS[bits(seed, 16, len(picks)) % 4, :, 0].copy()
        member[picks] = -math.inf
        picks.append(int(np.argmax(member)))
        values.append(member[picks[-1]])
    yield case("a member drawn for each pick, seed 8, round 1", "thompson", picks, values, parameters={"seed": 8, "round": 1},
               predictions=PREDICTIONS)


@vectors("expected_cost", "cost_margin")
def costs(name):
    logits, matrix = numbers((12, 3), 531, 2.0), np.array([[0.0, 1.0, 4.0], [2.0, 0.0, 1.0], [0.5, 3.0, 0.0]])
    sums = np.sort(softmax(logits) @ matrix, axis=1)
    yield ranked("mistakes that cost 0.5 to 4", name, sums[:, 0] if name == "expected_cost" else 4 - (sums[:, 1] - sums[:, 0]),
                 logits=logits, cost_matrix=matrix)
