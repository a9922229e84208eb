"""Strategies that learn from the labelled rows: by counts near a row, by a head that tells them from others, by gradients."""

import itertools
import math

import numpy as np
from golden import bits, case, distributions, numbers, one_by_one, ranked, round_seed, softmax, squared_distances, vectors
from scores import entropy

ROWS, LABELLED = 16, [1, 4, 6, 11, 14]
H, LOGITS = numbers((ROWS, 3), 901), numbers((ROWS, 3), 902, 1.5)
OPEN = [row for row in range(ROWS) if row not in LABELLED]
CLASSES = [0, 2, 1, 0, 2]
LABELS = np.zeros(ROWS)
LABELS[LABELLED] = CLASSES
TWO = np.where(LABELS > 0, 1.0, 0.0)


def mean_squared_distance(rows):
    d2 = squared_distances(rows, rows)
    return d2.mean()  # of a row and itself, too: 2 |x - mean|^2


def counts(labels, classes, bandwidth):
    squared = bandwidth**2 if bandwidth else mean_squared_distance(H[OPEN])
    kernel = np.exp(-squared_distances(H, H[LABELLED]) / (2 * squared))
    return np.stack([kernel[:, labels[LABELLED] == c].sum(axis=1) for c in range(classes)], axis=1)


# ---- Labels near a row


def beta(a):
    return math.exp(sum(math.lgamma(one) for one in a) - math.lgamma(sum(a)))


@vectors("mc_pal")
def probabilistic():
    for bandwidth, most, prior in ((0, 1, 1.0), (0.8, 2, 0.01), (1.5, 3, 0.5)):
        scores = []
        for k in counts(LABELS, 3, bandwidth):
            a, gains = k + prior, []

            def error(labels):  # expected, of the class that leads after them
                leads = np.argmax(k + labels)
                after = a + labels
                return 1 - after[leads] / after.sum()

            for m in range(1, most + 1):
                later = 0.0
                for labels in itertools.product(range(m + 1), repeat=3):
                    if sum(labels) == m:
                        ways = math.factorial(m) / math.prod(math.factorial(one) for one in labels)
                        later += ways * beta(a + labels) / beta(a) * error(np.array(labels))
                gains.append((error(np.zeros(3)) - later) / m)
            scores.append(max(gains))
        yield ranked(f"five labels of three classes, bandwidth {bandwidth}, up to {most} labels",
                     f"mc_pal(bandwidth={bandwidth}, labels={most}, prior={prior})", scores, tolerance=2e-6, embeddings=H,
                     labels=LABELS, labelled=LABELLED)


@vectors("epistemic")
def epistemic():
    q = np.linspace(0, 1, 1_000_001)[1:-1]

    def both(with_, against):
        peak = with_ / (with_ + against)
        likelihood = np.exp(with_ * (np.log(q) - np.log(peak)) + against * (np.log1p(-q) - np.log1p(-peak)))
        return min(np.minimum(likelihood, sign * (2 * q - 1)).max() for sign in (1, -1))

    for classes, labels, bandwidth in ((2, TWO, 0), (2, TWO, 0.7), (3, LABELS, 0)):
        scores = [max(both(one, k.sum() - one) for one in k) for k in counts(labels, classes, bandwidth)]
        yield ranked(f"five labels of {classes} classes, bandwidth {bandwidth}", f"epistemic(bandwidth={bandwidth})", scores,
                     tolerance=4e-6, embeddings=H, labels=labels, labelled=LABELLED)


@vectors("quire")
def quire():
    """As published: of all open rows' labels the real numbers by which the sum is least, and the worse of two labels."""
    for title, labels, penalty, bandwidth in (("two classes", TWO, 1, 0), ("three classes", LABELS, 0.1, 1.2)):
        squared = bandwidth**2 if bandwidth else mean_squared_distance(H[OPEN])
        kernel = np.exp(-squared_distances(H, H) / (2 * squared))
        inverse = np.linalg.inv(kernel + penalty * np.eye(ROWS))
        scores = np.zeros(ROWS)
        for row in OPEN:
            others, known, worst = [u for u in OPEN if u != row], [*LABELLED, row], -np.inf
            for c in sorted(set(labels[LABELLED])):
                for own in 1, -1:
                    y = np.array([1.0 if labels[l] == c else -1.0 for l in LABELLED] + [own])
                    across = inverse[np.ix_(others, known)] @ y
                    worst = max(worst, y @ inverse[np.ix_(known, known)] @ y -
                                across @ np.linalg.solve(inverse[np.ix_(others, others)], across))
            scores[row] = -worst
        # A labelled row's score is that of another row with its features.
        for row in LABELLED:
            near = kernel[row, LABELLED]
            cover = np.linalg.inv(kernel[np.ix_(LABELLED, LABELLED)] + penalty * np.eye(len(LABELLED)))
            worst = -np.inf
            for c in sorted(set(labels[LABELLED])):
                y = np.where(labels[LABELLED] == c, 1.0, -1.0)
                worst = max(worst, y @ cover @ y + (1 + abs(near @ cover @ y)) ** 2 / (1 + penalty - near @ cover @ near))
            scores[row] = -worst
        yield ranked(title, f"quire(lambda={penalty}, bandwidth={bandwidth})", scores, embeddings=H, labels=labels, labelled=LABELLED)


# ---- A head that tells labelled from unlabelled rows


def head(kinds, weights, penalty):
    """Weights of a logistic regression of 1 (unlabelled) against 0, by Newton's method, far beyond convergence."""
    x, w = np.hstack([H, np.ones((ROWS, 1))]), np.zeros(4)
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ w))
        slope = x.T @ (weights * (p - kinds)) + penalty * w
        w = w - np.linalg.solve((x.T * (weights * p * (1 - p))) @ x + penalty * np.eye(4), slope)
    return x @ w


@vectors("discriminative")
def discriminative():
    for penalty, parts, batch in ((1, 10, 5), (0.1, 2, 5)):
        each = -(-batch // parts)

        def gains(picks):
            kinds = np.ones(ROWS)
            kinds[LABELLED + picks[: len(picks) // each * each]] = 0
            return 1 / (1 + np.exp(-head(kinds, np.ones(ROWS), penalty)))

        picks, values = one_by_one(ROWS, batch, gains, OPEN)
        yield case(f"five labelled rows, {parts} parts", f"discriminative(lambda={penalty}, parts={parts})", picks, values,
                   embeddings=H, labelled=LABELLED)


@vectors("aada")
def weighted_by_domain():
    kinds = np.ones(ROWS)
    kinds[LABELLED] = 0
    weights = np.where(kinds == 1, ROWS / 2 / len(OPEN), ROWS / 2 / len(LABELLED))
    for penalty in 1, 0.05:
        scores = np.exp(head(kinds, weights, penalty)) * entropy(softmax(LOGITS))
        yield ranked(f"entropy, penalty {penalty}", f"aada(entropy, lambda={penalty})", scores, tolerance=1e-5, embeddings=H,
                     logits=LOGITS, labelled=LABELLED)


# ---- Gradients


@vectors("glister")
def glister():
    x = np.hstack([H, np.ones((ROWS, 1))])
    step, p = 0.5, softmax(LOGITS)
    a = p - np.eye(3)[p.argmax(axis=1)]

    def gains(picks):
        z = LOGITS[LABELLED] - step * sum(((x[LABELLED] @ x[s])[:, None] * a[s][None, :] for s in picks), np.zeros((5, 3)))
        slope = np.einsum("lc,lf->cf", softmax(z) - np.eye(3)[CLASSES], x[LABELLED]) / 5
        return step * np.einsum("cf,ic,if->i", slope, a, x)

    picks, values = one_by_one(ROWS, 6, gains, OPEN)
    yield case("five labels, steps of 0.5", "glister(step=0.5)", picks, values, embeddings=H, logits=LOGITS, labels=LABELS,
               labelled=LABELLED)


# ---- Outputs alone


@vectors("falcun")
def falcun():
    p = distributions((ROWS, 4), 911)
    top = np.sort(p, axis=1)
    unsure = 1 - (top[:, -1] - top[:, -2])
    for gamma, seed in ((10, 3), (1, 4)):
        away, picks, values = unsure.copy(), [], []
        for n in range(6):
            relevance = unsure + away
            rows = [row for row in OPEN if row not in picks]
            upto = np.cumsum([(relevance[row] / relevance[rows].max()) ** gamma for row in rows])
            place = (bits(round_seed(seed), 61, n) >> 11) * 2.0**-53 * upto[-1]
            row = rows[int(np.searchsorted(upto, place, side="right"))]
            picks.append(row)
            values.append(relevance[row])
            away = np.minimum(away, np.abs(p - p[row]).sum(axis=1))
            least, most = away[OPEN].min(), away[OPEN].max()
            away = (away - least) / (most - least)
        yield case(f"gamma {gamma}, seed {seed}", f"falcun(gamma={gamma})", picks, values, parameters={"seed": seed}, probs=p,
                   labelled=LABELLED)


@vectors("galaxy")
def galaxy():
    p, seed = distributions((ROWS, 3), 921), 1
    said = p.argmax(axis=1)
    label = {row: int(LABELS[row]) for row in LABELLED}
    picks, values = [], []
    for n in range(4):
        c = bits(round_seed(seed), 62, n) % 3
        order = sorted([*OPEN, *LABELLED], key=lambda row: (-(p[row, c] - p[row].max() + 1e-8 * p[row].max()), row in LABELLED, row))
        known = [at for at, row in enumerate(order) if row in label]
        ways = [(b - a, a, b) for a, b in zip(known, known[1:])
                if b - a > 1 and (label[order[a]] == c) != (label[order[b]] == c)]
        if not ways:
            raise ValueError("no way is left; take fewer picks")
        _, a, b = min(ways)
        row = order[(a + b) // 2]
        picks.append(row)
        values.append(float(c))
        label[row] = int(said[row])
    yield case("three classes, five labels", "galaxy", picks, values, parameters={"seed": seed}, probs=p, labels=LABELS,
               labelled=LABELLED)


@vectors("uniqueness")
def uniqueness():
    d = np.sqrt(squared_distances(H, H))
    near = np.sort(d, axis=1)[:, 1:4]
    yield ranked("16 rows", "uniqueness", near @ [0.6, 0.3, 0.1], embeddings=H)
    near = np.sort(d[np.ix_(OPEN, OPEN)], axis=1)[:, 1:4] @ [0.6, 0.3, 0.1]
    picks, values = one_by_one(len(OPEN), 5, lambda _: near)
    yield case("among the rows that may be picked", "uniqueness", np.array(OPEN)[picks], values, embeddings=H, labelled=LABELLED)


# ---- A classifier whose features are lost


@vectors("dropquery")
def dropquery():
    """Of one pick: the centre is the mean of the rows whose answer changes most of the time."""
    x, wanted = np.hstack([H, np.ones((ROWS, 1))]), np.eye(3)[CLASSES] - 1 / 3
    known = x[LABELLED]
    weights = np.linalg.solve(np.eye(4) + known.T @ known, known.T @ wanted)
    for rate, draws, seed in ((0.75, 3, 5), (0.5, 5, 6)):
        changed = np.zeros(ROWS)
        for row in OPEN:
            for draw in range(draws):
                kept = [(bits(round_seed(seed), 64, row, draw * 3 + f) >> 11) * 2.0**-53 >= rate for f in range(3)]
                changed[row] += (np.r_[H[row] * kept, 1] @ weights).argmax() != (x[row] @ weights).argmax()
        rows = [row for row in OPEN if changed[row] > draws / 2]
        away = ((H[rows] - H[rows].mean(axis=0)) ** 2).sum(axis=1)
        yield case(f"{len(rows)} rows of {draws} draws, a pick", f"dropquery(rate={rate}, draws={draws})",
                   [rows[int(away.argmin())]], [-away.min()], parameters={"seed": seed}, embeddings=H, labels=LABELS,
                   labelled=LABELLED)
