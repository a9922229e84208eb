"""Batches by the embeddings."""

import math

import numpy as np
from golden import bits, case, numbers, one_by_one, softmax, squared_distances, uniforms, vectors
from scores import score


def others(rows, labelled):
    return [row for row in range(rows) if row not in labelled]


def farthest(points, labelled, first, weights=1.0):
    def gains(picks):
        if not labelled and not picks:
            return [math.inf if row == first else 0 for row in range(len(points))]
        return weights * squared_distances(points, points[labelled + picks]).min(axis=1)

    return one_by_one(len(points), 6, gains, others(len(points), labelled))


@vectors("kcenter")
def kcenter():
    h = numbers((15, 4), 101)
    picks, values = farthest(h, [3, 8], None)
    yield case("two labelled rows; values are squared distances", "kcenter", picks, values,
               embeddings=h, labelled=[3, 8])
    first = int(np.argmax(uniforms(15, 12, bits(6, 5, 2))))
    picks, values = farthest(h, [], first)
    yield case("no labelled row: the first is drawn", "kcenter", picks, values, parameters={"seed": 6, "round": 2},
               embeddings=h)
    unit = h / np.sqrt((h**2).sum(axis=1, keepdims=True))
    picks, values = farthest(unit, [3, 8], None)
    yield case("by the cosine", "kcenter", picks, values, parameters={"metric": "cosine"}, embeddings=h,
               labelled=[3, 8])


@vectors("weighted_kcenter")
def weighted_kcenter():
    h, logits = numbers((15, 4), 111), numbers((15, 5), 112, 2.0)
    picks, values = farthest(h, [3, 8], None, score("margin", softmax(logits)))
    yield case("squared distances times margin", "margin/15/weighted_kcenter", picks, values,
               embeddings=h, logits=logits, labelled=[3, 8])


@vectors("lcmd")
def lcmd():
    h = numbers((16, 4), 121)

    def pick(labelled, batch):
        picks, values = [], []
        while len(picks) < batch:
            left = [row for row in others(16, labelled) if row not in picks]
            if not labelled and not picks:
                picks.append(int(np.argmax((h**2).sum(axis=1))))
                values.append(math.inf)
                continue
            d2 = squared_distances(h, h[labelled + picks])
            near, away = d2.argmin(axis=1), d2.min(axis=1)
            sums = [sum(away[row] for row in left if near[row] == c) for c in range(d2.shape[1])]
            row = max((row for row in left if near[row] == int(np.argmax(sums))), key=lambda row: away[row])
            picks.append(row)
            values.append(away[row])
        return picks, values

    picks, values = pick([2, 7], 6)
    yield case("two labelled rows", "lcmd", picks, values, embeddings=h, labelled=[2, 7])
    picks, values = pick([], 6)
    yield case("no labelled row: first the largest norm", "lcmd", picks, values, embeddings=h)


@vectors("badge")
def badge():
    # Copies of the largest gradient, one near it and one far away: the squared distances leave the
    # draws no choice, but for one in a thousand.
    h, order = np.zeros((7, 4)), [2, 5, 3]
    h[:, 0], h[3, 1], h[5] = 64, 1, [1, 2, 0, 0]
    logits = np.tile([0.5, 2.0, -0.5], (7, 1))
    h[2, 0] += 1 / 64
    q = softmax(logits) - np.eye(3)[[1] * 7]
    g = np.einsum("ic,ih->ich", q, np.hstack([h, np.ones((7, 1))])).reshape(7, -1)
    values = [(g[order[0]] ** 2).sum()]
    values += [squared_distances(g[[row]], g[order[:at]]).min() for at, row in enumerate(order[1:], 1)]
    yield case("the largest gradient, a far one, and one near the first", "badge", order, values, tolerance=1e-3, parameters={"seed": 1}, logits=logits, embeddings=h)


def variance_left(kernel, picks):
    if not picks:
        return np.diag(kernel).copy()
    inside = np.linalg.solve(kernel[np.ix_(picks, picks)], kernel[picks])
    return np.diag(kernel) - (kernel[picks] * inside).sum(axis=0)


@vectors("dpp")
def dpp():
    h, logits = numbers((14, 3), 131), numbers((14, 4), 132, 2.0)
    d2 = squared_distances(h, h)
    apart = np.sort(d2[np.triu_indices(14, 1)])
    for title, s2, strategy in (("bandwidth 2", 4.0, "dpp(bandwidth=2)"),
                                ("the bandwidth is the upper median distance", apart[len(apart) // 2], "dpp")):
        quality = score("margin", softmax(logits))
        kernel = quality[:, None] * np.exp(-d2 / (2 * s2)) * quality[None, :]
        picks, values = one_by_one(14, 5, lambda picks: variance_left(kernel, picks))
        yield case(f"quality by margin; {title}", f"margin/14/{strategy}", picks, values, tolerance=2e-5,
                   logits=logits, embeddings=h)


def graph(h, neighbours=32):
    """1 / (1 + d2 / h), h the upper median over rows of the squared distance to the farthest listed one."""
    rows, d2 = len(h), squared_distances(h, h)
    listed = np.zeros((rows, rows), bool)
    far = []
    for row in range(rows):
        near = sorted((other for other in range(rows) if other != row), key=lambda other: (d2[row, other], other))
        near = near[:neighbours]
        listed[row, near] = True
        far.append(d2[row, near[-1]])
    s = np.where(listed | listed.T, 1 / (1 + d2 / np.sort(far)[rows // 2]), 0)
    np.fill_diagonal(s, 1)
    return s


@vectors("facility_location")
def facility_location():
    h, labelled = numbers((14, 3), 141), [5, 11]
    for each in 32, 4:
        s = graph(h, each)

        def gains(picks):
            reached = s[:, labelled + picks].max(axis=1)
            return np.maximum(0, s - reached[:, None]).sum(axis=0)

        picks, values = one_by_one(14, 5, gains, others(14, labelled))
        yield case(f"two labelled rows, {each} neighbours", f"facility_location(neighbours={each})", picks, values,
                   tolerance=1e-5, embeddings=h, labelled=labelled)


@vectors("graph_cut")
def graph_cut():
    h, labelled, s = numbers((14, 3), 151), [5, 11], graph(numbers((14, 3), 151))
    for weight in 2.5, 4:

        def gains(picks):
            return weight * s.sum(axis=0) - np.diag(s) - 2 * s[labelled + picks].sum(axis=0)

        picks, values = one_by_one(14, 5, gains, others(14, labelled))
        yield case(f"two labelled rows, lambda {weight}", f"graph_cut(lambda={weight})", picks, values,
                   tolerance=1e-5, embeddings=h, labelled=labelled)


def islands(sizes, seed):
    """Clusters far apart, of so many rows each, so that every k-means finds them; and which row is of which."""
    of = np.repeat(np.arange(len(sizes)), sizes)
    center = np.eye(len(sizes)) * 64
    return center[of] + np.abs(numbers((len(of), len(sizes)), seed)), of


@vectors("typiclust")
def typiclust():
    h, of = islands([7, 5, 4, 6], 161)
    labelled = [1]  # of the largest: its turn comes last
    d = np.sqrt(squared_distances(h, h))
    for neighbours in 20, 3:
        typicality = 1 / np.sort(d, axis=1)[:, 1:neighbours + 1].mean(axis=1)
        turns = [3, 1, 2]  # without a label, the largest first
        picks = [max(np.flatnonzero(of == c), key=lambda row: typicality[row]) for c in turns]
        yield case(f"four clusters, one of them labelled; {neighbours} neighbours",
                   f"typiclust(neighbours={neighbours})", picks, typicality[picks], tolerance=1e-5, embeddings=h,
                   labelled=labelled)


@vectors("probcover")
def probcover():
    h, of = islands([7, 5, 4], 171)
    labelled, d2 = [2], squared_distances(h, h)
    to_others = np.array([d2[row, of != of[row]].min() for row in range(16)])
    for purity in 0.95, 0.4:
        # The largest radius at which so many balls are pure is just below the distance at which one more is not.
        within = d2 < np.sort(to_others)[math.floor(16 * (1 - purity) + 1e-9)]

        def gains(picks):
            covered = within[labelled + picks].any(axis=0)
            return (within & ~covered).sum(axis=1)

        picks, values = one_by_one(16, 2, gains, others(16, labelled))
        yield case(f"three clusters, one of them labelled; purity {purity}", f"probcover(purity={purity})", picks,
                   values, embeddings=h, labelled=labelled)
