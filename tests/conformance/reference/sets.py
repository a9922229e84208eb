"""Batches that are greedy for a function of sets: coverage, determinants, what queries and private rows say."""

import itertools
import math

import numpy as np
from batches import graph, others
from golden import case, numbers, one_by_one, softmax, squared_distances, vectors
from scores import cosines, score

ROWS = 16
H, QUERIES, PRIVATE = numbers((ROWS, 4), 301), numbers((3, 4), 302), numbers((2, 4), 303)
WEIGHTS = np.array([1.0, 0.5, 2.0])
LOGITS = numbers((ROWS, 3), 304, 2.0)
LABELLED = [3, 9]


def greedy(title, strategy, gains, labelled=(), batch=6, tolerance=2e-5, **inputs):
    picks, values = one_by_one(ROWS, batch, gains, others(ROWS, labelled), tolerance)
    held = {"labelled": list(labelled)} if len(labelled) else {}
    return case(title, strategy, picks, values, tolerance=tolerance, **inputs, **held)


def of_set(f):
    """The gains of adding each row to the picks."""
    return lambda picks: [f([*picks, row]) - f(picks) if row not in picks else 0 for row in range(ROWS)]


def likeness():
    return np.maximum(0, cosines(H, QUERIES)) * WEIGHTS


@vectors("flqmi")
def facility_location_mutual_information():
    s = likeness()
    for eta in 1, 0.25:

        def f(a):
            return (s[a].max(axis=0).sum() + eta * s[a].max(axis=1).sum()) if a else 0

        yield greedy(f"three queries by weight, eta {eta}", f"flqmi(eta={eta})", of_set(f), embeddings=H, queries=QUERIES,
                     query_weights=WEIGHTS)


@vectors("gcmi")
def graph_cut_mutual_information():
    from golden import ranked

    yield ranked("three queries by weight", "gcmi", 2 * likeness().sum(axis=1), embeddings=H, queries=QUERIES,
                 query_weights=WEIGHTS)


def scale_of(points, neighbours=32):
    """The upper median over rows of the squared distance to the farthest listed neighbour."""
    d2 = np.sort(squared_distances(points, points), axis=1)
    return np.sort(d2[:, min(neighbours, len(points) - 1)])[len(points) // 2]


@vectors("flvmi", "flcg", "flcmi")
def conditional_coverage(name):
    s, h = graph(H), scale_of(H)
    to_queries = (1 / (1 + squared_distances(H, QUERIES) / h)).max(axis=1)
    to_private = (1 / (1 + squared_distances(H, PRIVATE) / h)).max(axis=1)
    eta, nu = 0.9, 0.8
    upto = np.minimum(1, eta * to_queries) if name != "flcg" else np.ones(ROWS)
    beyond = np.minimum(1, nu * to_private) if name != "flvmi" else np.zeros(ROWS)

    def f(a):
        return np.maximum(0, np.minimum(s[:, LABELLED + a].max(axis=1), upto) - beyond).sum()

    given = {"flvmi": f"flvmi(eta={eta})", "flcg": f"flcg(nu={nu})", "flcmi": f"flcmi(eta={eta}, nu={nu})"}[name]
    parts = {"queries": QUERIES} if name != "flcg" else {}
    parts |= {"private": PRIVATE} if name != "flvmi" else {}
    yield greedy("two labelled rows", given, of_set(f), LABELLED, batch=5, embeddings=H, **parts)


@vectors("saturated_coverage")
def saturated_coverage():
    s = graph(H)
    for share in 0.1, 0.3:

        def f(a):
            return np.minimum(s[:, LABELLED + a].sum(axis=1), share * s.sum(axis=1)).sum()

        batch = 1 if share == 0.1 else 3
        yield greedy(f"two labelled rows, up to {share} of all likeness", f"saturated_coverage(share={share})", of_set(f),
                     LABELLED, batch, embeddings=H)


@vectors("maxherding", "uherding")
def herding(name):
    d2 = squared_distances(H, H)
    weights = np.ones(ROWS) if name == "maxherding" else score("margin", softmax(LOGITS))
    standard = scale_of(H) if name == "maxherding" else d2[3, 9]
    parts = {"logits": LOGITS} if name == "uherding" else {}
    inner = "margin, " if name == "uherding" else ""
    for title, strategy, scale in (("bandwidth 1.5", f"{name}({inner}bandwidth=1.5)", 2.25),
                                   ("its own bandwidth", name if name == "maxherding" else "uherding(margin)", standard)):
        s = np.exp(-d2 / scale)

        def f(a, s=s):
            return (weights * s[:, LABELLED + a].max(axis=1)).sum()

        yield greedy(f"two labelled rows, {title}", strategy, of_set(f), LABELLED, 5, embeddings=H, **parts)


@vectors("graph_density")
def graph_density():
    d2 = squared_distances(H, H)
    for title, strategy, spread, each in (("bandwidth 1.3, all rows are neighbours", "graph_density(bandwidth=1.3, neighbours=15)",
                                           2 * 1.3**2, 15), ("its own bandwidth, 6 neighbours", "graph_density(neighbours=6)",
                                                             scale_of(H, 6), 6)):
        listed = np.zeros((ROWS, ROWS), bool)
        for row in range(ROWS):
            listed[row, np.argsort(d2[row], kind="stable")[1:each + 1]] = True
        edges = (listed | listed.T) & ~np.eye(ROWS, dtype=bool)
        w = np.where(edges, np.exp(-d2 / spread), 0)

        def densities(picks, w=w, edges=edges):
            density = w.sum(axis=1) / edges.sum(axis=1)
            gone = []
            for row in LABELLED + picks:
                less = density[row] * w[row]
                less[gone] = 0
                density = density - less
                gone.append(row)
            return density

        yield greedy(f"two labelled rows, {title}", strategy, densities, LABELLED, 5, embeddings=H)


@vectors("feature_coverage")
def feature_coverage():
    yield greedy("two labelled rows", "feature_coverage",
                 of_set(lambda a: np.sqrt(np.maximum(0, H[LABELLED + a]).sum(axis=0)).sum()), LABELLED, embeddings=H)


# ---- Determinants: the variance that the others leave


def left(kernel, picks, given, share=1):
    """Of each row, the variance that `given` explain to a share of share^2, and then the picks in whole."""
    if given:
        told = kernel[:, given] @ np.linalg.solve(kernel[np.ix_(given, given)], kernel[given])
        kernel = kernel - share**2 * told
    if not picks:
        return np.diag(kernel).copy()
    return np.diag(kernel) - np.einsum("ij,ij->j", kernel[picks], np.linalg.solve(kernel[np.ix_(picks, picks)], kernel[picks]))


@vectors("maxdet")
def maxdet():
    for noise in 1, 0.5:
        kernel = H @ H.T + noise**2 * np.eye(ROWS)
        yield greedy(f"two labelled rows, noise {noise}", f"maxdet(noise={noise})",
                     lambda picks: left(kernel, LABELLED + picks, []), LABELLED, embeddings=H)


@vectors("logdetmi", "logdetcg", "logdetcmi")
def determinants_given(name):
    noise = 0.3
    everything = np.concatenate([H, QUERIES, PRIVATE])
    kernel = cosines(everything, everything) + noise**2 * np.eye(len(everything))
    queries, private = list(range(ROWS, ROWS + 3)), list(range(ROWS + 3, ROWS + 5))

    def logarithm(picks, given, share=1):
        return np.log(np.maximum(1e-9, left(kernel, picks, given, share)[:ROWS]))

    gains, strategy, parts = {
        "logdetmi": (lambda a: logarithm(a, []) - logarithm(a, queries, 0.9), f"logdetmi(eta=0.9, noise={noise})",
                     {"queries": QUERIES}),
        "logdetcg": (lambda a: logarithm(a, private, 0.8), f"logdetcg(nu=0.8, noise={noise})", {"private": PRIVATE}),
        "logdetcmi": (lambda a: logarithm(a, private) - logarithm(a, private + queries), f"logdetcmi(noise={noise})",
                      {"queries": QUERIES, "private": PRIVATE})}[name]
    yield greedy("directions, noise 0.3", strategy, gains, batch=5, embeddings=H, **parts)


# ---- Gradients and sums


def gradients(logits):
    p = softmax(logits)
    return p - np.eye(p.shape[1])[p.argmax(axis=1)]


@vectors("craig")
def craig():
    s = graph(gradients(LOGITS))
    yield greedy("logits of 3 classes", "craig", of_set(lambda a: s[:, a].max(axis=1).sum() if a else 0), batch=4, logits=LOGITS)


def weights_of(g, target, penalty):
    """The best w >= 0: of all supports, the one whose solution is not negative and pays least."""
    best, cost = np.zeros(len(g)), (target**2).sum()
    for size in range(1, len(g) + 1):
        for support in map(list, itertools.combinations(range(len(g)), size)):
            w = np.linalg.solve(g[support] @ g[support].T + penalty * np.eye(size), g[support] @ target)
            now = ((w @ g[support] - target) ** 2).sum() + penalty * (w**2).sum()
            if (w >= 0).all() and now < cost:
                best, cost = np.zeros(len(g)), now
                best[support] = w
    return best


@vectors("gradmatch")
def gradmatch():
    g = np.einsum("ic,ih->ich", gradients(LOGITS), np.hstack([H, np.ones((ROWS, 1))])).reshape(ROWS, -1)
    target = g.sum(axis=0)

    def along(picks):
        return g @ (target - weights_of(g[picks], target, 0.5) @ g[picks]) if picks else g @ target

    yield greedy("with a bias, lambda 0.5", "gradmatch", along, batch=5, logits=LOGITS, embeddings=H)


@vectors("frank_wolfe")
def frank_wolfe():
    lengths = np.sqrt((H**2).sum(axis=1))
    unit, total = H / lengths[:, None], H.sum(axis=0)

    def along(picks):
        place = np.zeros(4)
        for row in picks:
            way, off = total - place, lengths.sum() * unit[row] - place
            place = place + (off @ way) / (off @ off) * off
        return unit @ (total - place)

    yield greedy("no labelled row", "frank_wolfe", along, embeddings=H)


# ---- In turn, near labels, apart


@vectors("round_robin")
def round_robin():
    like, weighted = cosines(H, QUERIES), np.array([1.0, 0.0, 2.0])  # the second has no turn
    turns = [0, 2]
    yield greedy("two of three queries have a weight", "round_robin", lambda picks: like[:, turns[len(picks) % 2]],
                 batch=8, embeddings=H, queries=QUERIES, query_weights=weighted)


@vectors("seals")
def seals():
    d2, allowed = squared_distances(H, H), others(ROWS, LABELLED)
    place = np.zeros(ROWS)
    for row in LABELLED:
        for at, near in enumerate(sorted(allowed, key=lambda other: d2[row, other])[:4]):
            place[near] = max(place[near], 1 / (at + 1))
    yield greedy("4 neighbours of two labelled rows", "seals(neighbours=4)", lambda _: place, LABELLED, batch=14, embeddings=H)


@vectors("cal")
def contrastive():
    p, d2, known = softmax(LOGITS), squared_distances(H, H), [3, 9, 12]
    values = [np.mean([(p[near] * np.log(p[near] / p[row])).sum() for near in sorted(known, key=lambda k: d2[row, k])[:2]])
              for row in range(ROWS)]
    yield greedy("2 neighbours of three labelled rows", "cal(neighbours=2)", lambda _: values, known, batch=13, embeddings=H,
                 logits=LOGITS)


@vectors("maxdist")
def maxdist():
    first = int(np.argmax((H**2).sum(axis=1)))
    yield greedy("no labelled row: first the longest", "maxdist", lambda picks: squared_distances(H, H[picks]).min(axis=1) if picks
                 else [math.inf if row == first else 0 for row in range(ROWS)], embeddings=H)
    yield greedy("two labelled rows", "maxdist", lambda picks: squared_distances(H, H[LABELLED + picks]).min(axis=1), LABELLED,
                 embeddings=H)


def spread(values, near, radius, batch):
    """The best rows that lie farther than radius from each other and from `near`."""
    picks = []
    for row in np.argsort(-values, kind="stable"):
        around = [other for other in [*near, *picks]]
        far = all(math.dist(H[row], H[other]) > radius for other in around)
        if len(picks) < batch and row not in near and far:
            picks.append(int(row))
    return picks


@vectors("apart")
def apart():
    values = score("margin", softmax(LOGITS))
    first = spread(values, LABELLED, 2.0, ROWS)
    rest = [int(row) for row in np.argsort(-values, kind="stable") if row not in first + LABELLED]
    picks = (first + rest)[:12]
    yield case("two labelled rows, distance 2; then the others", "apart(margin, distance=2)", picks, values[picks],
               logits=LOGITS, embeddings=H, labelled=LABELLED)


@vectors("gist")
def gist():
    values, weight = score("margin", softmax(LOGITS)), 0.5

    def least(picks):
        return min([math.dist(H[a], H[b]) for a, b in itertools.combinations(picks, 2)]
                   + [math.dist(H[a], H[b]) for a in picks for b in LABELLED])

    now = best = spread(values, LABELLED, -1, 4)
    radius = 0.0
    while len(now) == 4:
        if values[now].sum() + weight * least(now) > values[best].sum() + weight * least(best):
            best = now
        radius = max(radius, least(now)) * 1.05
        now = spread(values, LABELLED, radius, 4)
    yield case("two labelled rows, lambda 0.5", "gist(margin, lambda=0.5)", best, values[best], logits=LOGITS, embeddings=H,
               labelled=LABELLED)
