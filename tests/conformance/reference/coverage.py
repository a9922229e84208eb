"""Batches that cover, by clusters, by gradients, near labels, apart, and for rows beside the pool."""

import math

import numpy as np
from batches import graph, islands, others
from golden import bits, case, numbers, one_by_one, ranked, softmax, squared_distances, uniforms, vectors
from scores import score

ROWS = 14


def cosines(a, b):
    return a @ b.T / np.sqrt((a**2).sum(axis=1)[:, None] * (b**2).sum(axis=1)[None, :])


def margins(logits):
    return score("margin", softmax(logits))


def best_first(scores, labelled=()):
    return sorted(others(len(scores), labelled), key=lambda row: (-scores[row], row))


# ---- Rows beside the pool

POINTS, QUERIES, PRIVATE, LABELLED = numbers((ROWS, 3), 301), numbers((2, 3), 302), numbers((2, 3), 303), [5, 11]


@vectors("flqmi")
def flqmi():
    for eta in 1, 0.25:
        s = np.maximum(0, cosines(POINTS, QUERIES)) * [1, 2]

        def gains(picks):
            reached = s[picks].max(axis=0) if picks else np.zeros(2)
            return np.maximum(0, s - reached).sum(axis=1) + eta * s.max(axis=1)

        picks, values = one_by_one(ROWS, 5, gains)
        yield case(f"two queries, one of weight 2; eta {eta}", f"flqmi(eta={eta})", picks, values, embeddings=POINTS,
                   queries=QUERIES, query_weights=[1.0, 2.0])


@vectors("gcmi")
def gcmi():
    yield ranked("two queries", "gcmi", 2 * np.maximum(0, cosines(POINTS, QUERIES)).sum(axis=1), embeddings=POINTS,
                 queries=QUERIES)


@vectors("round_robin")
def round_robin():
    s = cosines(POINTS, QUERIES)
    picks, values = one_by_one(ROWS, 6, lambda picks: s[:, len(picks) % 2], others(ROWS, LABELLED))
    yield case("two queries take turns", "round_robin", picks, values, embeddings=POINTS, queries=QUERIES,
               labelled=LABELLED)


def half_of(h):
    return np.sort(squared_distances(h, h).max(axis=1))[len(h) // 2]


def bounded(to_queries, to_private):
    s, half = graph(POINTS), half_of(POINTS)
    upto = 1 / (1 + squared_distances(POINTS, QUERIES).min(axis=1) / half) if to_queries else 1.0
    out = 0.5 / (1 + squared_distances(POINTS, PRIVATE).min(axis=1) / half) if to_private else 0.0

    def worth(rows):
        return np.maximum(0, np.minimum(s[:, rows].max(axis=1), upto) - out).sum()

    def gains(picks):
        return [worth(LABELLED + picks + [row]) - worth(LABELLED + picks) for row in range(ROWS)]

    return one_by_one(ROWS, 3, gains, others(ROWS, LABELLED), tolerance=1e-6)


@vectors("flvmi")
def flvmi():
    picks, values = bounded(True, False)
    yield case("all pairs listed", "flvmi", picks, values, tolerance=1e-5, embeddings=POINTS, queries=QUERIES,
               labelled=LABELLED)


@vectors("flcg")
def flcg():
    picks, values = bounded(False, True)
    yield case("all pairs listed, nu 1/2", "flcg(nu=0.5)", picks, values, tolerance=1e-5, embeddings=POINTS,
               private=PRIVATE, labelled=LABELLED)


@vectors("flcmi")
def flcmi():
    picks, values = bounded(True, True)
    yield case("all pairs listed, nu 1/2", "flcmi(nu=0.5)", picks, values, tolerance=1e-5, embeddings=POINTS,
               queries=QUERIES, private=PRIVATE, labelled=LABELLED)


def left(kernel, given, share, noise):
    """What is left of the covariance of the first ROWS rows, `given` of the others known; noise^2 on the diagonal."""
    kernel = kernel + noise**2 * np.eye(len(kernel))
    own = kernel[:ROWS, :ROWS]
    if not given:
        return own
    return own - share**2 * kernel[:ROWS, given] @ np.linalg.solve(kernel[np.ix_(given, given)], kernel[given, :ROWS])


def variances(kernel, picks):
    if not picks:
        return np.diag(kernel).copy()
    return np.diag(kernel) - (kernel[picks] * np.linalg.solve(kernel[np.ix_(picks, picks)], kernel[picks])).sum(axis=0)


def log_determinants(name, first, second, **beside):
    def gains(picks):
        value = np.log(np.maximum(1e-12, variances(first, picks)))
        return value if second is None else value - np.log(np.maximum(1e-12, variances(second, picks)))

    picks, values = one_by_one(ROWS, 5, gains)
    return case("by directions", name, picks, values, tolerance=2e-5, embeddings=POINTS, **beside)


EVERYTHING = np.vstack([POINTS, QUERIES, PRIVATE])
DIRECTIONS = cosines(EVERYTHING, EVERYTHING)
OF_QUERIES, OF_PRIVATE = [ROWS, ROWS + 1], [ROWS + 2, ROWS + 3]


@vectors("logdetmi")
def logdetmi():
    yield log_determinants("logdetmi(eta=0.75, noise=0.5)", left(DIRECTIONS, [], 1, 0.5),
                           left(DIRECTIONS, OF_QUERIES, 0.75, 0.5), queries=QUERIES)


@vectors("logdetcg")
def logdetcg():
    yield log_determinants("logdetcg(nu=0.75, noise=0.5)", left(DIRECTIONS, OF_PRIVATE, 0.75, 0.5), None,
                           private=PRIVATE)


@vectors("logdetcmi")
def logdetcmi():
    yield log_determinants("logdetcmi(noise=0.5)", left(DIRECTIONS, OF_PRIVATE, 1, 0.5),
                           left(DIRECTIONS, OF_PRIVATE + OF_QUERIES, 1, 0.5), queries=QUERIES, private=PRIVATE)


@vectors("maxdet")
def maxdet():
    kernel = POINTS @ POINTS.T + 0.25 * np.eye(ROWS)
    picks, values = one_by_one(ROWS, 5, lambda picks: variances(kernel, LABELLED + picks), others(ROWS, LABELLED))
    yield case("two labelled rows, noise 1/2", "maxdet(noise=0.5)", picks, values, tolerance=2e-5, embeddings=POINTS,
               labelled=LABELLED)


# ---- Coverage


def covering(s, labelled, weights):
    def gains(picks):
        reached = s[:, labelled + picks].max(axis=1)
        return (weights[:, None] * np.maximum(0, s - reached[:, None])).sum(axis=0)

    return one_by_one(len(s), 5, gains, others(len(s), labelled))


@vectors("maxherding")
def maxherding():
    picks, values = covering(np.exp(-squared_distances(POINTS, POINTS) / 2.25), LABELLED, np.ones(ROWS))
    yield case("all pairs listed, bandwidth 1.5", "maxherding(bandwidth=1.5)", picks, values, tolerance=1e-5,
               embeddings=POINTS, labelled=LABELLED)
    picks, values = covering(np.exp(-squared_distances(POINTS, POINTS) / half_of(POINTS)), LABELLED, np.ones(ROWS))
    yield case("the bandwidth is the median distance to the farthest", "maxherding", picks, values, tolerance=1e-5,
               embeddings=POINTS, labelled=LABELLED)


@vectors("uherding")
def uherding():
    logits, d2 = numbers((ROWS, 4), 311, 2.0), squared_distances(POINTS, POINTS)
    picks, values = covering(np.exp(-d2 / d2[5, 11]), LABELLED, margins(logits))
    yield case("by margin; the bandwidth is the distance of the labelled rows", "uherding(margin)", picks, values,
               tolerance=1e-5, logits=logits, embeddings=POINTS, labelled=LABELLED)


@vectors("saturated_coverage")
def saturated_coverage():
    s = graph(POINTS)

    def worth(rows):
        return np.minimum(s[:, rows].sum(axis=1), 0.25 * s.sum(axis=1)).sum()

    picks, values = one_by_one(
        ROWS, 3, lambda picks: [worth(LABELLED + picks + [row]) - worth(LABELLED + picks) for row in range(ROWS)],
        others(ROWS, LABELLED), tolerance=1e-6)
    yield case("a share of 1/4", "saturated_coverage(share=0.25)", picks, values, tolerance=1e-5, embeddings=POINTS,
               labelled=LABELLED)


@vectors("feature_coverage")
def feature_coverage():
    h = np.maximum(0, POINTS)

    def gains(picks):
        sums = h[LABELLED + picks].sum(axis=0)
        return (np.sqrt(sums + h) - np.sqrt(sums)).sum(axis=1)

    picks, values = one_by_one(ROWS, 5, gains, others(ROWS, LABELLED))
    yield case("values below 0 count as 0", "feature_coverage", picks, values, embeddings=POINTS, labelled=LABELLED)


@vectors("graph_density")
def graph_density():
    w = np.exp(-squared_distances(POINTS, POINTS) / (2 * 1.5**2))
    np.fill_diagonal(w, 0)

    def gains(picks):
        density = w.sum(axis=1) / (ROWS - 1)
        for row in LABELLED + picks:
            density = density - density[row] * w[row]
        return density

    picks, values = one_by_one(ROWS, 5, gains, others(ROWS, LABELLED))
    yield case("all pairs listed", "graph_density(bandwidth=1.5, neighbours=13)", picks, values, tolerance=1e-5,
               embeddings=POINTS, labelled=LABELLED)


@vectors("maxdist")
def maxdist():
    d2 = squared_distances(POINTS, POINTS)
    longest = int(np.argmax((POINTS**2).sum(axis=1)))

    def gains(picks):
        return d2[:, picks].min(axis=1) if picks else [math.inf if row == longest else 0 for row in range(ROWS)]

    picks, values = one_by_one(ROWS, 6, gains)
    yield case("no labelled row", "maxdist", picks, values, embeddings=POINTS)


@vectors("robust_kcenter")
def robust_kcenter():
    d2, seed, picks, values = squared_distances(POINTS, POINTS), bits(4, 5, 1), [], []
    while len(picks) < 5:
        away = d2[:, LABELLED + picks].min(axis=1)
        far = [row for row in best_first(away, LABELLED) if row not in picks][:4]  # 2 * ceil(0.1 * 12)
        picks.append(far[int(uniforms(6, 25, seed)[len(picks)] * 4)])
        values.append(away[picks[-1]])
    yield case("of the four farthest, since two may be outliers", "robust_kcenter(outliers=0.1)", picks, values,
               parameters={"seed": 4, "round": 1}, embeddings=POINTS, labelled=LABELLED)


# ---- Gradients


@vectors("craig")
def craig():
    logits = numbers((ROWS, 3), 321)
    p = softmax(logits)
    a = p - np.eye(3)[p.argmax(axis=1)]
    s = graph(a)

    def gains(picks):
        reached = s[:, picks].max(axis=1) if picks else np.zeros(ROWS)
        return np.maximum(0, s - reached[:, None]).sum(axis=0)

    picks, values = one_by_one(ROWS, 4, gains)
    yield case("gradients at the outputs", "craig", picks, values, tolerance=2e-5, logits=logits)


def weights_at_least_0(gram, wanted):
    w = np.zeros(len(wanted))
    for _ in range(2000):
        for s in range(len(w)):
            w[s] = max(0, (wanted[s] - gram[s] @ w + gram[s, s] * w[s]) / gram[s, s])
    return w


@vectors("gradmatch")
def gradmatch():
    logits = numbers((ROWS, 3), 331)
    p = softmax(logits)
    a = p - np.eye(3)[p.argmax(axis=1)]
    g = np.einsum("ic,ih->ich", a, np.hstack([POINTS, np.ones((ROWS, 1))])).reshape(ROWS, -1)
    total = g[others(ROWS, LABELLED)].sum(axis=0)

    def gains(picks):
        rest = total
        if picks:
            chosen = g[picks]
            rest = total - weights_at_least_0(chosen @ chosen.T + 0.5 * np.eye(len(picks)), chosen @ total) @ chosen
        return g @ rest

    picks, values = one_by_one(ROWS, 4, gains, others(ROWS, LABELLED))
    yield case("lambda 1/2", "gradmatch(lambda=0.5)", picks, values, tolerance=2e-5, logits=logits, embeddings=POINTS,
               labelled=LABELLED)


@vectors("frank_wolfe")
def frank_wolfe():
    rows = others(ROWS, LABELLED)
    lengths = np.sqrt((POINTS**2).sum(axis=1))
    total, place, picks, values = POINTS[rows].sum(axis=0), np.zeros(3), [], []
    while len(picks) < 4:
        along = POINTS @ (total - place) / lengths
        row = max((row for row in rows if row not in picks), key=lambda row: along[row])
        picks.append(row)
        values.append(along[row])
        off = lengths[rows].sum() * POINTS[row] / lengths[row] - place
        place = place + off * (off @ (total - place)) / (off @ off)
    yield case("two labelled rows, which do not count", "frank_wolfe", picks, values, tolerance=2e-5,
               embeddings=POINTS, labelled=LABELLED)


# ---- Near labels


@vectors("seals")
def seals():
    rows, d2, place = others(ROWS, LABELLED), squared_distances(POINTS, POINTS), np.zeros(ROWS)
    for known in LABELLED:
        for at, row in enumerate(sorted(rows, key=lambda row: d2[known, row])[:3]):
            place[row] = max(place[row], 1 / (at + 1))
    picks = best_first(place, LABELLED)
    yield case("three neighbours of each of two labelled rows", "seals(neighbours=3)", picks, place[picks],
               embeddings=POINTS, labelled=LABELLED)


@vectors("cal")
def cal():
    known, p, d2 = [1, 5, 11], softmax(numbers((ROWS, 3), 341)), squared_distances(POINTS, POINTS)
    scores = np.zeros(ROWS)
    for row in range(ROWS):
        near = sorted(known, key=lambda other: d2[row, other])[:2]
        scores[row] = np.mean([(p[other] * np.log(p[other] / p[row])).sum() for other in near])
    picks = best_first(scores, known)
    yield case("two of three labelled rows", "cal(neighbours=2)", picks, scores[picks], tolerance=1e-5,
               logits=numbers((ROWS, 3), 341), embeddings=POINTS, labelled=known)


# ---- Clusters

SEED = 1  # by which k-means begins with a row of each cluster; of others it may end elsewhere


def nearest_to_means(h, of, turns, weights):
    picks, values = [], []
    for c in turns:
        rows = np.flatnonzero(of == c)
        d2 = ((h[rows] - np.average(h[rows], axis=0, weights=weights[rows])) ** 2).sum(axis=1)
        picks.append(rows[d2.argmin()])
        values.append(-d2.min())
    return picks, values


@vectors("kmeans")
def kmeans():
    h, of = islands([7, 5, 4, 6], 351)
    picks, values = nearest_to_means(h, of, [0, 3, 1, 2], np.ones(22))
    yield case("four clusters, the largest first", "kmeans", picks, values, tolerance=1e-4, parameters={"seed": SEED},
               embeddings=h)


@vectors("clue")
def clue():
    h, of = islands([7, 5, 4, 6], 351)
    logits = numbers((22, 3), 352)
    weights = margins(logits)
    turns = sorted(range(4), key=lambda c: -weights[of == c].sum())
    picks, values = nearest_to_means(h, of, turns, weights)
    yield case("four clusters by margin, the heaviest first", "clue(margin)", picks, values, tolerance=1e-4,
               parameters={"seed": SEED}, logits=logits, embeddings=h)


@vectors("incremental_kmeans")
def incremental_kmeans():
    h, of = islands([7, 5, 4, 6], 351)
    picks, values = nearest_to_means(h, of, [3, 1, 2], np.ones(22))
    yield case("four clusters, one about a labelled row", "incremental_kmeans", picks, values, tolerance=1e-4,
               embeddings=h, labelled=[1])


@vectors("cluster_margin")
def cluster_margin():
    h, of = islands([7, 5, 4], 361)
    logits = numbers((16, 3), 362)
    scores, seed = margins(logits), bits(3, 5, 0)
    kept = best_first(scores)[:8]
    drawn = {c: sorted((row for row in kept if of[row] == c), key=lambda row: bits(seed, 26, row)) for c in range(3)}
    lists = sorted((rows for rows in drawn.values() if rows), key=len)
    if len({len(rows) for rows in lists}) < len(lists):
        raise ValueError("clusters of one size; take other inputs")
    picks = [rows[turn] for turn in range(8) for rows in lists if turn < len(rows)][:4]
    yield case("the best eight rows of three clusters", "cluster_margin(margin, per_pick=2, distance=32)", picks,
               scores[picks], parameters={"seed": 3}, logits=logits, embeddings=h)


# ---- Rows apart, and draws


@vectors("apart")
def apart():
    logits, d = numbers((ROWS, 3), 371), np.sqrt(squared_distances(POINTS, POINTS))
    scores, near, picks, rest = margins(logits), list(LABELLED), [], []
    for row in best_first(scores, LABELLED):
        lies_apart = d[row, near].min() > 1.5
        (picks if lies_apart else rest).append(row)
        if lies_apart:
            near.append(row)
    picks += rest
    yield case("at 1.5, then the others", "apart(margin, distance=1.5)", picks, scores[picks], logits=logits,
               embeddings=POINTS, labelled=LABELLED)


@vectors("gist")
def gist():
    logits, d = numbers((ROWS, 3), 381), np.sqrt(squared_distances(POINTS, POINTS))
    scores = margins(logits)

    def spread(radius):
        picks = []
        for row in best_first(scores):
            if len(picks) < 4 and (not picks or d[row, picks].min() > radius):
                picks.append(row)
        least = min(d[a, b] for a in picks for b in picks if a != b) if len(picks) > 1 else 0
        return picks, scores[picks].sum() + 0.25 * least, least

    best, worth, least = spread(-1)
    while True:
        picks, now, least = spread(least * 1.05)
        if len(picks) < 4:
            break
        if now > worth:
            best, worth = picks, now
    yield case("lambda 1/4", "gist(margin, lambda=0.25)", best, scores[best], logits=logits, embeddings=POINTS)


@vectors("stratified")
def stratified():
    logits = numbers((ROWS, 3), 391)
    scores, drawn = margins(logits), uniforms(4, 24, bits(2, 5, 0))
    order, picks = best_first(scores), []
    for run in range(4):
        begin, end = run * ROWS // 4, (run + 1) * ROWS // 4
        picks.append(order[begin + int(drawn[run] * (end - begin))])
    yield case("one of each quarter", "stratified(margin)", picks, scores[picks], parameters={"seed": 2}, logits=logits)


@vectors("lightweight_coreset")
def lightweight_coreset():
    rows = others(ROWS, LABELLED)
    d2 = ((POINTS - POINTS[rows].mean(axis=0)) ** 2).sum(axis=1)
    weights = 0.5 / len(rows) + 0.5 * d2 / d2[rows].sum()
    scores = weights / -np.log(2.0**-54 + uniforms(ROWS, 23, 5, 2))
    picks = best_first(scores, LABELLED)[:6]
    yield case("drawn", "lightweight_coreset", picks, scores[picks], parameters={"seed": 5, "round": 2},
               embeddings=POINTS, labelled=LABELLED)
