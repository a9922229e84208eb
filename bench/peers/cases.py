"""The cases: data, who enters, and how a result is held to what it claims.

An entrant is a function of the data that returns the call to be timed; imports, views and compilation are its
preparation. C++, numpy, numba and FAISS entrants are what one would write by hand today.
"""

import ctypes
import dataclasses
import gzip
import pathlib
import typing

import numpy as np


@dataclasses.dataclass
class Entrant:
    name: str
    claims: str
    prepare: typing.Callable  # (data, threads) -> call
    environment: str = "by_hand"
    whole: bool = False       # climbs to the last rung, whatever the time limit


@dataclasses.dataclass
class Case:
    name: str
    rungs: list          # sizes in rows, ascending; every entrant climbs them while the time limit lets it
    make: typing.Callable  # (rows) -> data of the last rung; the others are its first rows
    first: typing.Callable  # (data, rows) -> data of a rung
    work: typing.Callable   # (data) -> bytes read at least ("read") or floating-point operations of plain greedy ("gemm")
    limit: str
    check: typing.Callable  # (data, result, claims): raises AssertionError
    entrants: list
    checked_rung: int = -1


BLOCK = 1 << 16  # values: what stays in the cache between the steps of a numpy idiom


def blocks(rows, cols):
    step = max(1, BLOCK // cols)
    return (slice(start, min(rows, start + step)) for start in range(0, rows, step))


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    e /= e.sum(axis=-1, keepdims=True)
    return e


def plain_entropy(p):
    return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1)


def one_thread(prepare):
    return lambda data, threads: prepare(data, 1)


def plain():
    """The loops of plain.cpp."""
    return ctypes.CDLL(pathlib.Path(__file__).resolve().parents[2] / "build" / "peers" / "libplain.so")


def address(array):
    return ctypes.c_void_p(array.ctypes.data)


def plain_rows(function, name, width=None):
    """A loop over `data[name]`, [..., rows, classes], that writes a float or `width` of them for each row."""
    def prepare(data, threads):
        x, loop = data[name], getattr(plain(), function)
        rows = x.shape[-2]

        def run():
            out = np.empty(rows if width is None else (rows, width), np.float32)
            loop(address(x), *map(ctypes.c_int64, x.shape), address(out), ctypes.c_int(threads))
            return out

        return run

    return prepare


def compiled(function):
    import numba

    return numba.njit(parallel=True, nogil=True)(function)


def use_threads(threads):
    import numba

    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))


# ---- scores of one model

def three_scores_check(data, scores, claims):
    some = np.linspace(0, len(data["logits"]) - 1, 997).astype(int)
    p = softmax(data["logits"][some].astype(np.float64))
    second, first = np.partition(p, -2, axis=1)[:, -2:].T
    true = {"entropy": plain_entropy(p), "margin": 1 - (first - second), "least confidence": 1 - first}
    for column, name in zip(np.reshape(scores, (len(data["logits"]), -1)).T, claims.split(", ")):
        np.testing.assert_allclose(column[some], true[name], atol=2e-5)


def poolwise_scores(data, threads):
    import poolwise

    return lambda: poolwise.score(data["logits"], ["entropy", "margin", "least_confidence"], threads=threads)


def numpy_entropy(data, threads):
    z = data["logits"]

    def run():
        out = np.empty(len(z), np.float32)
        for rows in blocks(*z.shape):
            e = np.exp(z[rows] - z[rows].max(axis=1, keepdims=True))
            p = e / e.sum(axis=1, keepdims=True)
            out[rows] = -(p * np.log(p)).sum(axis=1)
        return out

    return run


def scipy_entropy(data, threads):
    import scipy.special
    import scipy.stats

    return lambda: scipy.stats.entropy(scipy.special.softmax(data["logits"], axis=1), axis=1)


def numexpr_entropy(data, threads):
    import numexpr

    numexpr.set_num_threads(threads)

    def run():
        z = data["logits"]
        top = z.max(axis=1, keepdims=True)
        e = numexpr.evaluate("exp(z - top)")
        total = e.sum(axis=1)
        weighted = numexpr.evaluate("sum(e * (z - top), axis=1)")
        return numexpr.evaluate("log(total) - weighted / total")

    return run


def numba_scores(data, threads):
    import numba

    def scores(z, out):
        for i in numba.prange(z.shape[0]):
            first = np.float32(-np.inf)
            second = first
            for c in range(z.shape[1]):
                x = z[i, c]
                if x > first:
                    second, first = first, x
                elif x > second:
                    second = x
            total, weighted = np.float32(0), np.float32(0)
            for c in range(z.shape[1]):
                d = z[i, c] - first
                e = np.exp(d)
                total += e
                weighted += d * e
            out[i, 0] = np.log(total) - weighted / total
            out[i, 1] = 1 - (1 - np.exp(second - first)) / total
            out[i, 2] = 1 - 1 / total

    use_threads(threads)
    loop = compiled(scores)

    def run():
        out = np.empty((len(data["logits"]), 3), np.float32)
        loop(data["logits"], out)
        return out

    loop(data["logits"][:64], np.empty((64, 3), np.float32))
    return run


def skactiveml_entropy(data, threads):
    from skactiveml.pool import uncertainty_scores

    return lambda: uncertainty_scores(softmax(data["logits"]), method="entropy")


def modal_entropy(data, threads):
    from modAL.uncertainty import classifier_entropy

    class Model:  # modAL asks a fitted classifier
        def predict_proba(self, logits):
            return softmax(logits)

    return lambda: classifier_entropy(Model(), data["logits"])


def score_case(rows, cols, name):
    def make(n):
        random = np.random.default_rng(0)
        z = np.empty((n, cols), np.float32)
        for part in blocks(n, cols):
            random.standard_normal(out=z[part], dtype=np.float32)
            z[part] *= 3
        return {"logits": z}

    all_three, one = "entropy, margin, least confidence", "entropy"
    return Case(name, [rows // 4, rows], make, lambda data, n: {"logits": data["logits"][:n]},
                lambda data: data["logits"].nbytes, "read", three_scores_check, [
                    Entrant("Poolwise", all_three, poolwise_scores),
                    Entrant("Poolwise, one thread", all_three, one_thread(poolwise_scores)),
                    Entrant("C++ with OpenMP", all_three, plain_rows("plain_scores", "logits", 3)),
                    Entrant("C++, one thread", all_three, one_thread(plain_rows("plain_scores", "logits", 3))),
                    Entrant("numba by hand", all_three, numba_scores, "numba"),
                    Entrant("numpy in blocks", one, numpy_entropy),
                    Entrant("numexpr", one, numexpr_entropy),
                    Entrant("scipy", one, scipy_entropy),
                    Entrant("scikit-activeml", one, skactiveml_entropy, "scikit-activeml"),
                    Entrant("modAL", one, modal_entropy, "modal"),
                ])


# ---- scores of probabilities

def entropy_check(data, scores, claims):
    some = np.linspace(0, len(data["probs"]) - 1, 997).astype(int)
    np.testing.assert_allclose(scores[some], plain_entropy(data["probs"][some].astype(np.float64)), atol=2e-5)


def poolwise_entropy(data, threads):
    import poolwise

    return lambda: poolwise.score(data["probs"], "entropy", kind="probabilities", threads=threads)


def numpy_entropy_of_probabilities(data, threads):
    p = data["probs"]

    def run():
        out = np.empty(len(p), np.float32)
        for rows in blocks(*p.shape):
            out[rows] = -(p[rows] * np.log(p[rows])).sum(axis=1)
        return out

    return run


def scipy_entropy_of_probabilities(data, threads):
    import scipy.special

    return lambda: scipy.special.entr(data["probs"]).sum(axis=1)


def skactiveml_entropy_of_probabilities(data, threads):
    from skactiveml.pool import uncertainty_scores

    return lambda: uncertainty_scores(data["probs"], method="entropy")


def probabilities_case(rows, cols):
    def make(n):
        random = np.random.default_rng(4)
        p = np.empty((n, cols), np.float32)
        for part in blocks(n, cols):
            p[part] = softmax(2 * random.standard_normal(p[part].shape, dtype=np.float32))
        return {"probs": p}

    return Case(f"entropy of probabilities [{rows:,}, {cols}]", [rows // 4, rows], make,
                lambda data, n: {"probs": data["probs"][:n]}, lambda data: data["probs"].nbytes, "read", entropy_check, [
                    Entrant("Poolwise", "entropy", poolwise_entropy),
                    Entrant("Poolwise, one thread", "entropy", one_thread(poolwise_entropy)),
                    Entrant("C++ with OpenMP", "entropy", plain_rows("plain_entropy", "probs")),
                    Entrant("numpy in blocks", "entropy", numpy_entropy_of_probabilities),
                    Entrant("scipy entr", "entropy", scipy_entropy_of_probabilities),
                    Entrant("scikit-activeml", "entropy", skactiveml_entropy_of_probabilities, "scikit-activeml"),
                ])


# ---- a committee

def bald_check(data, scores, claims):
    some = np.linspace(0, data["probs"].shape[1] - 1, 499).astype(int)
    p = data["probs"][:, some].astype(np.float64)
    np.testing.assert_allclose(scores[some], plain_entropy(p.mean(axis=0)) - plain_entropy(p).mean(axis=0), atol=2e-5)


def poolwise_bald(data, threads):
    import poolwise

    return lambda: poolwise.committee(data["probs"], "bald", kind="probabilities", threads=threads)


def numpy_bald(data, threads):
    p = data["probs"]

    def run():
        out = np.empty(p.shape[1], np.float32)
        for rows in blocks(p.shape[1], p.shape[0] * p.shape[2]):
            block = p[:, rows]
            mean = block.mean(axis=0)
            out[rows] = (block * np.log(block)).sum(axis=2).mean(axis=0) - (mean * np.log(mean)).sum(axis=1)
        return out

    return run


def numba_bald(data, threads):
    import numba

    def scores(p, out):
        for i in numba.prange(p.shape[1]):
            expected, of_mean = np.float32(0), np.float32(0)
            for c in range(p.shape[2]):
                mean = np.float32(0)
                for e in range(p.shape[0]):
                    x = p[e, i, c]
                    mean += x
                    if x > 0:
                        expected += x * np.log(x)
                mean /= p.shape[0]
                if mean > 0:
                    of_mean += mean * np.log(mean)
            out[i] = expected / p.shape[0] - of_mean

    use_threads(threads)
    loop = compiled(scores)

    def run():
        out = np.empty(data["probs"].shape[1], np.float32)
        loop(data["probs"], out)
        return out

    loop(np.ascontiguousarray(data["probs"][:, :64]), np.empty(64, np.float32))
    return run


def skactiveml_kl(data, threads):
    from skactiveml.pool._query_by_committee import average_kl_divergence

    return lambda: average_kl_divergence(data["probs"])


def vote_entropy_check(data, scores, claims):
    some = np.linspace(0, data["probs"].shape[1] - 1, 499).astype(int)
    winners = data["probs"][:, some].argmax(axis=2)
    votes = (winners[:, :, None] == np.arange(data["probs"].shape[2])).mean(axis=0)
    np.testing.assert_allclose(scores[some], plain_entropy(votes), atol=2e-6)


def poolwise_vote_entropy(data, threads):
    import poolwise

    return lambda: poolwise.committee(data["probs"], "vote_entropy", kind="probabilities", threads=threads)


def numpy_vote_entropy(data, threads):
    p = data["probs"]

    def run():
        winners = p.argmax(axis=2)
        votes = np.stack([(winners == c).mean(axis=0) for c in range(p.shape[2])], axis=1)
        return plain_entropy(votes)

    return run


def skactiveml_vote_entropy(data, threads):
    from skactiveml.pool._query_by_committee import vote_entropy

    def run():
        winners = data["probs"].argmax(axis=2).T
        return vote_entropy(winners, np.arange(data["probs"].shape[2]))

    return run


def committee_case(name, check, entrants, members, rungs, cols, work=lambda data: data["probs"].nbytes,
                   limit="read", checked_rung=-1):
    def make(n):
        random = np.random.default_rng(1)
        p = np.empty((members, n, cols), np.float32)
        for member in p:
            for part in blocks(n, cols):
                member[part] = softmax(2 * random.standard_normal(member[part].shape, dtype=np.float32))
        return {"probs": p}

    return Case(f"{name}, probabilities [{members}, {rungs[-1]:,}, {cols}]", rungs, make,
                lambda data, n: {"probs": np.ascontiguousarray(data["probs"][:, :n])}, work, limit, check, entrants,
                checked_rung)


def committee_cases(members, rows, cols):
    return [committee_case("BALD", bald_check, [
                Entrant("Poolwise", "BALD", poolwise_bald),
                Entrant("Poolwise, one thread", "BALD", one_thread(poolwise_bald)),
                Entrant("C++ with OpenMP", "BALD", plain_rows("plain_bald", "probs")),
                Entrant("numba by hand", "BALD", numba_bald, "numba"),
                Entrant("numpy in blocks", "BALD", numpy_bald),
                Entrant("scikit-activeml", "KL to consensus = BALD", skactiveml_kl, "scikit-activeml"),
            ], members, [rows // 4, rows], cols),
            committee_case("vote entropy", vote_entropy_check, [
                Entrant("Poolwise", "vote entropy", poolwise_vote_entropy),
                Entrant("C++ with OpenMP", "vote entropy", plain_rows("plain_vote_entropy", "probs")),
                Entrant("numpy", "vote entropy", numpy_vote_entropy),
                Entrant("scikit-activeml", "vote entropy", skactiveml_vote_entropy, "scikit-activeml"),
            ], members, [rows // 4, rows], cols)]


# ---- top-k

def poolwise_top_k(k):
    def prepare(data, threads):
        import poolwise

        return lambda: poolwise.top_k(data["scores"], k, threads=threads)

    return prepare


def numpy_top_k(k):
    def prepare(data, threads):
        def run():
            rows = np.argpartition(data["scores"], len(data["scores"]) - k)[-k:]
            values = data["scores"][rows]
            order = np.lexsort((rows, -values))
            return rows[order], values[order]

        return run

    return prepare


def plain_top_k(k):
    def prepare(data, threads):
        x = data["scores"]

        def run():
            rows, values = np.empty(k, np.int64), np.empty(k, np.float32)
            plain().plain_top_k(address(x), ctypes.c_int64(len(x)), ctypes.c_int64(k), address(rows), address(values))
            return rows, values

        return run

    return prepare


def faiss_top_k(k):
    def prepare(data, threads):
        import faiss

        faiss.omp_set_num_threads(threads)

        def run():
            values, rows = faiss.kmax(data["scores"][None], k)
            return rows[0], values[0]

        return run

    return prepare


def top_k_case(rows, k):
    def check(data, result, claims):
        picked, values = result
        assert len(set(picked.tolist())) == k and (np.diff(values) <= 0).all()
        np.testing.assert_array_equal(values, data["scores"][picked])
        assert np.count_nonzero(data["scores"] > values[-1]) < k

    return Case(f"top {k:,} of {rows:,}", [rows // 4, rows],
                lambda n: {"scores": np.random.default_rng(2).random(n, np.float32)},
                lambda data, n: {"scores": data["scores"][:n]}, lambda data: data["scores"].nbytes, "read", check, [
                    Entrant("Poolwise", "k best, sorted", poolwise_top_k(k)),
                    Entrant("Poolwise, one thread", "k best, sorted", one_thread(poolwise_top_k(k))),
                    Entrant("C++ std::nth_element", "k best, sorted", plain_top_k(k)),
                    Entrant("numpy argpartition", "k best, sorted", numpy_top_k(k)),
                    Entrant("FAISS kmax", "k best, sorted", faiss_top_k(k), "faiss"),
                ])


# ---- k-center; row 0 is labelled, so that all start alike

def poolwise_centers(k):
    def prepare(data, threads):
        import poolwise

        return lambda: poolwise.kcenter(data["points"], k, labelled=[0], threads=threads)[0]

    return prepare


def numpy_centers(k):
    def prepare(data, threads):
        def run():
            x = data["points"]
            norms = np.einsum("ij,ij->i", x, x)
            nearest, picks, last = np.full(len(x), np.inf, np.float32), [], 0
            for _ in range(k):
                np.minimum(nearest, norms - 2 * (x @ x[last]) + norms[last], out=nearest)
                last = int(np.argmax(nearest))
                picks.append(last)
            return np.array(picks)

        return run

    return prepare


def plain_centers(k):
    def prepare(data, threads):
        x, farthest = data["points"], plain().plain_farthest
        farthest.restype = ctypes.c_int64

        def run():
            nearest, picks, last = np.full(len(x), np.inf, np.float32), [], 0
            for _ in range(k):
                last = farthest(address(x), *map(ctypes.c_int64, (*x.shape, last)), address(nearest),
                                ctypes.c_int(threads))
                picks.append(last)
            return np.array(picks)

        return run

    return prepare


def numba_centers(k):
    def prepare(data, threads):
        import numba

        @numba.njit(parallel=True, nogil=True, fastmath=True)
        def lower(x, last, nearest):
            for i in numba.prange(x.shape[0]):
                total = np.float32(0)
                for c in range(x.shape[1]):
                    total += (x[i, c] - x[last, c]) ** 2
                nearest[i] = min(nearest[i], total)

        use_threads(threads)

        def run(k=k):
            nearest, picks, last = np.full(len(data["points"]), np.inf, np.float32), [], 0
            for _ in range(k):
                lower(data["points"], last, nearest)
                last = int(np.argmax(nearest))
                picks.append(last)
            return np.array(picks)

        run(1)
        return run

    return prepare


def skactiveml_centers(k):
    def prepare(data, threads):
        from skactiveml.pool._core_set import k_greedy_center

        y = np.full(len(data["points"]), np.nan)
        y[0] = 0
        return lambda: k_greedy_center(data["points"], y, batch_size=k, random_state=0)[0]

    return prepare


def small_text_centers(k):
    def prepare(data, threads):
        from small_text.query_strategies.coresets import greedy_coreset

        # It takes places among the unlabelled rows for rows of x: right only where the two are the same.
        rows = np.arange(1, len(data["points"]))
        return lambda: rows[greedy_coreset(data["points"], rows, np.array([0]), k, distance_metric="euclidean")]

    return prepare


def farthest_first_check(data, picks, claims):
    x = data["points"].astype(np.float64)
    nearest = ((x - x[0]) ** 2).sum(axis=1)
    for row in picks:
        assert nearest[row] >= (1 - 1e-3) * nearest.max(), "a pick is not the farthest row"
        nearest = np.minimum(nearest, ((x - x[row]) ** 2).sum(axis=1))


def fashion_pixels(rows):
    with gzip.open("/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16)
    return {"points": pixels.reshape(-1, 784)[:rows].astype(np.float32) / 255}


def fashion_features(units):
    """What an untrained layer makes of the pixels: max(0, W x)."""
    def make(rows):
        weights = np.random.default_rng(7).standard_normal((784, units), dtype=np.float32)
        return {"points": np.maximum(fashion_pixels(rows)["points"] @ weights / 28, 0)}

    return make


def first_points(data, rows):
    return {"points": data["points"][:rows]}


def k_center_case(name, make, rungs, k, more=()):
    return Case(f"k-center, {name}, k = {k:,}", rungs, make, first_points,
                lambda data: 2.0 * data["points"].size * k, "gemm", farthest_first_check, [
                    Entrant("Poolwise", "farthest first", poolwise_centers(k)),
                    Entrant("numpy by hand (GEMV)", "farthest first", numpy_centers(k)),
                    Entrant("C++ with OpenMP (fused)", "farthest first", plain_centers(k)),
                    Entrant("numba by hand", "farthest first", numba_centers(k), "numba"),
                    Entrant("scikit-activeml", "farthest first", skactiveml_centers(k), "scikit-activeml"),
                    *more,
                ], checked_rung=0)


def k_center_cases(rungs, k):
    rows = f"{rungs[-1]:,}"
    return [k_center_case(f"Fashion-MNIST [{rows}, 784]", fashion_pixels, rungs, k,
                          [Entrant("small-text", "farthest first", small_text_centers(k), "small-text")]),
            k_center_case(f"an embedding of it [{rows}, 512]", fashion_features(512), rungs, k)]


# ---- DPP: the greedy MAP of exp(-d^2 / 2 s^2), s the median distance of 512 rows

def squared_distances(x, rows):
    """Of all rows of x to some of them."""
    norms = np.einsum("ij,ij->i", x, x)
    return np.maximum(norms[:, None] + norms[rows] - 2 * (x @ x[rows].T), 0)


def bandwidth(x):
    count = min(len(x), 512)
    sample = x[np.arange(count) * len(x) // count].astype(np.float64)
    d2 = squared_distances(sample, np.arange(count))[np.tril_indices(count, -1)]
    d2 = np.sort(d2[d2 > 0])
    return np.sqrt(d2[len(d2) // 2])


def poolwise_dpp(k):
    def prepare(data, threads):
        import poolwise

        return lambda: poolwise.select(strategy="dpp", batch=k, embeddings=data["points"], threads=threads).rows

    return prepare


def cholesky_dpp(k):
    """The incremental Cholesky factor of Chen et al., a column of the kernel at a time."""
    def prepare(data, threads):
        def run():
            x = data["points"]
            norms, scale = np.einsum("ij,ij->i", x, x), np.float32(-0.5 / bandwidth(x) ** 2)
            left, factor, picks = np.ones(len(x), np.float32), np.empty((k, len(x)), np.float32), []
            for step in range(k):
                last = int(np.argmax(left))
                picks.append(last)
                column = np.exp(scale * np.maximum(norms + norms[last] - 2 * (x @ x[last]), 0))
                column -= factor[:step, last] @ factor[:step]
                column /= np.sqrt(left[last])
                factor[step] = column
                left -= column * column
                left[picks] = -np.inf
            return np.array(picks)

        return run

    return prepare


def submodlib_dpp(k):
    def prepare(data, threads):
        from submodlib import LogDeterminantFunction

        def run():
            x = data["points"]
            kernel = np.exp(-0.5 / bandwidth(x) ** 2 * squared_distances(x, np.arange(len(x))))
            function = LogDeterminantFunction(n=len(x), mode="dense", lambdaVal=0, sijs=kernel)
            return [row for row, _ in function.maximize(budget=k, optimizer="LazyGreedy", show_progress=False,
                                                        stopIfNegativeGain=False)]

        return run

    return prepare


def map_check(data, picks, claims):
    """Every pick has, within rounding of fp32, the largest variance that the earlier ones leave."""
    x = data["points"].astype(np.float64)
    assert len(set(map(int, picks))) == len(picks)
    left, factor, scale = np.ones(len(x)), np.empty((len(picks), len(x))), -0.5 / bandwidth(data["points"]) ** 2
    for step, row in enumerate(picks):
        assert left[row] >= left.max() - 1e-4, "a pick is not the row of the largest variance"
        column = np.exp(scale * squared_distances(x, [row])[:, 0]) - factor[:step, row] @ factor[:step]
        factor[step] = column / np.sqrt(left[row])
        left -= factor[step] ** 2


def dpp_case(rungs, k):
    def work(data):
        rows, cols = data["points"].shape
        return 2.0 * rows * k * (cols + k / 2)

    return Case(f"DPP, an embedding of Fashion-MNIST [{rungs[-1]:,}, 512], k = {k:,}", rungs, fashion_features(512),
                first_points, work, "gemm", map_check, [
                    Entrant("Poolwise", "greedy MAP", poolwise_dpp(k)),
                    Entrant("numpy by hand (Cholesky)", "greedy MAP", cholesky_dpp(k)),
                    Entrant("submodlib, lazy", "greedy MAP", submodlib_dpp(k), "submodlib"),
                ], checked_rung=0)


# ---- BatchBALD with exact joints: every configuration of the labels of a batch

def poolwise_batchbald(k):
    def prepare(data, threads):
        import poolwise

        return lambda: poolwise.select(strategy="batchbald", batch=k, committee=data["probs"], kind="probabilities",
                                       threads=threads).rows

    return prepare


def joint_gains(p, joint, rows_at_once):
    """Of each row: what its label says about the member beside those of the picks, less what is the same for all.

    p [members, rows, classes]; joint [configurations, members]: probabilities of the picks' labels.
    """
    members, rows, classes = p.shape
    gains = np.empty(rows)
    for start in range(0, rows, rows_at_once):
        part = p[:, start:start + rows_at_once]
        mean = np.tensordot(joint, part, axes=1)
        mean /= members
        mean *= np.log(np.maximum(mean, np.finfo(np.float32).tiny))
        gains[start:start + rows_at_once] = -mean.sum(axis=(0, 2)) - plain_entropy(part).mean(axis=0)
    return gains


def with_label_of(joint, p, row):
    return (joint[:, None, :] * p[:, row].T[None]).reshape(-1, len(p))


def numpy_batchbald(k):
    def prepare(data, threads):
        p = data["probs"]

        def run():
            joint, picks = np.ones((1, len(p)), p.dtype), []
            for _ in range(k):
                gains = joint_gains(p, joint, max(1, (1 << 18) // (len(joint) * p.shape[2])))
                gains[picks] = -np.inf
                picks.append(int(np.argmax(gains)))
                joint = with_label_of(joint, p, picks[-1])
            return np.array(picks)

        return run

    return prepare


def skactiveml_batchbald(k):
    def prepare(data, threads):
        from skactiveml.pool._bald import batch_bald

        # As many samples as configurations: then it counts these. It clips the array that it is given.
        configurations = data["probs"].shape[2] ** k
        return lambda: np.nanargmax(batch_bald(data["probs"].copy(), k, n_MC_samples=configurations), axis=1)

    return prepare


def batchbald_check(data, picks, claims):
    """Every pick has, within rounding of fp32, the largest gain in float64."""
    p = data["probs"].astype(np.float64)
    p /= p.sum(axis=2, keepdims=True)
    assert len(set(map(int, picks))) == len(picks)
    joint = np.ones((1, len(p)))
    for step, row in enumerate(picks):
        gains = joint_gains(p, joint, max(1, (1 << 18) // (len(joint) * p.shape[2])))
        gains[picks[:step]] = -np.inf
        assert gains[row] >= gains.max() - 1e-4, "a pick is not the row of the largest gain"
        joint = with_label_of(joint, p, row)


def batchbald_case(rungs, members, classes, k):
    def work(data):
        members, rows, classes = data["probs"].shape
        return 2.0 * members * rows * sum(classes ** step for step in range(1, k + 1))

    return committee_case(f"BatchBALD, k = {k}", batchbald_check, [
                Entrant("Poolwise", "exact joints", poolwise_batchbald(k)),
                Entrant("numpy by hand", "exact joints", numpy_batchbald(k)),
                Entrant("scikit-activeml", "exact joints", skactiveml_batchbald(k), "scikit-activeml"),
            ], members, rungs, classes, work, "gemm", checked_rung=0)


# ---- BADGE

def gradient(data):
    p = softmax(data["logits"])
    p[np.arange(len(p)), data["logits"].argmax(axis=1)] -= 1
    return p


def poolwise_badge(k):
    def prepare(data, threads):
        import poolwise

        return lambda: poolwise.badge(data["logits"], data["features"], k, bias=False, threads=threads)[0]

    return prepare


def factored_badge(k):
    """The distances of the authors' factored code, with one draw by cumulative sum for their rv_discrete."""
    def prepare(data, threads):
        def run():
            random = np.random.default_rng(0)
            a, h = gradient(data), data["features"]
            a2, h2 = np.einsum("ij,ij->i", a, a), np.einsum("ij,ij->i", h, h)
            norms = a2 * h2
            last = int(np.argmax(norms))
            picks, nearest = [last], np.full(len(a), np.inf, np.float32)
            while len(picks) < k:
                distance = norms + norms[last] - 2 * (a @ a[last]) * (h @ h[last])
                np.minimum(nearest, np.maximum(distance, 0), out=nearest)
                nearest[picks] = 0
                steps = np.cumsum(nearest, dtype=np.float64)
                last = int(np.searchsorted(steps, random.random() * steps[-1], side="right"))
                picks.append(last)
            return np.array(picks)

        return run

    return prepare


def materialised_badge(k):
    def prepare(data, threads):
        from sklearn.cluster import kmeans_plusplus

        def run():
            a = gradient(data)
            g = (a[:, :, None] * data["features"][:, None, :]).reshape(len(a), -1)
            return kmeans_plusplus(g, k, random_state=0, n_local_trials=1)[1]

        return run

    return prepare


def seeding_check(data, picks, claims):
    """A k-means++ seeding: no row twice, and beyond what uniform picks leave by far."""
    assert len(set(map(int, picks))) == len(picks)
    a, h = gradient(data).astype(np.float64), data["features"].astype(np.float64)
    norms = (a * a).sum(axis=1) * (h * h).sum(axis=1)

    def left(rows):
        nearest = np.full(len(a), np.inf)
        for row in rows:
            nearest = np.minimum(nearest, norms + norms[row] - 2 * (a @ a[row]) * (h @ h[row]))
        return np.maximum(nearest, 0).sum()

    uniform = np.random.default_rng(5).choice(len(a), len(picks), replace=False)
    assert left(picks) < left(uniform), "the picks leave no less than uniform ones"


def badge_case(rungs, classes, features, k):
    def make(n):  # groups of very different sizes, which uniform picks miss and a seeding finds
        random = np.random.default_rng(3)
        group = np.minimum(random.geometric(0.02, n), 300)
        centers = random.standard_normal((301, features), dtype=np.float32)
        return {"logits": 2 * random.standard_normal((n, classes), dtype=np.float32),
                "features": centers[group] + np.float32(0.1) * random.standard_normal((n, features), dtype=np.float32)}

    return Case(f"BADGE, [{rungs[-1]:,}] x ({classes}, {features}), k = {k:,}", rungs, make,
                lambda data, n: {name: array[:n] for name, array in data.items()},
                lambda data: 2.0 * len(data["logits"]) * (classes + features) * k, "gemm", seeding_check, [
                    Entrant("Poolwise", "k-means++", poolwise_badge(k)),
                    Entrant("numpy, factored", "k-means++", factored_badge(k)),
                    Entrant("scikit-learn, materialised", "k-means++", materialised_badge(k), "scikit-learn"),
                ], checked_rung=0)


# ---- facility location

def poolwise_facility_location(k):
    def prepare(data, threads):
        import poolwise

        return lambda: poolwise.select(strategy="facility_location", batch=k, embeddings=data["points"],
                                       threads=threads).rows

    return prepare


def apricot_facility_location(k):
    def prepare(data, threads):
        from apricot import FacilityLocationSelection

        return lambda: FacilityLocationSelection(k, metric="euclidean", optimizer="lazy").fit(data["points"]).ranking

    return prepare


def submodlib_facility_location(k):
    def prepare(data, threads):
        from submodlib import FacilityLocationFunction

        def run():
            function = FacilityLocationFunction(n=len(data["points"]), mode="dense", data=data["points"],
                                                metric="euclidean")
            return [row for row, _ in function.maximize(budget=k, optimizer="LazyGreedy", show_progress=False)]

        return run

    return prepare


def coverage_check(data, picks, claims):
    """The picks lie nearer to the pool than as many uniform ones."""
    x = data["points"].astype(np.float64)
    assert len(set(map(int, picks))) == len(picks)

    def away(rows):
        nearest = np.full(len(x), np.inf)
        for row in rows:
            nearest = np.minimum(nearest, ((x - x[row]) ** 2).sum(axis=1))
        return np.sqrt(nearest).sum()

    uniform = [away(np.random.default_rng(seed).choice(len(x), len(picks), replace=False)) for seed in range(5)]
    assert away(picks) < min(uniform), "the picks cover no better than uniform ones"


def facility_location_case(rungs, features, k):
    def make(n):
        random = np.random.default_rng(6)
        centers = random.standard_normal((200, features), dtype=np.float32)
        return {"points": centers[random.integers(200, size=n)] +
                np.float32(0.3) * random.standard_normal((n, features), dtype=np.float32)}

    return Case(f"facility location [{rungs[-1]:,}, {features}], k = {k}", rungs, make,
                first_points, lambda data: 2.0 * len(data["points"]) ** 2 * features, "gemm", coverage_check, [
                    Entrant("Poolwise", "neighbour graph", poolwise_facility_location(k), whole=True),
                    Entrant("apricot, lazy", "all pairs", apricot_facility_location(k), "apricot"),
                    Entrant("submodlib, lazy", "all pairs", submodlib_facility_location(k), "submodlib"),
                ], checked_rung=0)


def all_cases(quick):
    if quick:
        return [score_case(400_000, 10, "logits [400,000, 10]"), score_case(40_000, 1000, "logits [40,000, 1000]"),
                probabilities_case(100_000, 100), *committee_cases(10, 100_000, 10),
                top_k_case(10_000_000, 1000), top_k_case(10_000_000, 100_000),
                *k_center_cases([1000, 4000], 100), badge_case([1250, 5000], 10, 512, 100), dpp_case([1000, 4000], 100),
                batchbald_case([100, 400], 10, 10, 4), facility_location_case([500, 2000], 64, 20)]
    return [score_case(4_000_000, 10, "logits [4,000,000, 10]"), score_case(400_000, 1000, "logits [400,000, 1000]"),
            probabilities_case(1_000_000, 100), *committee_cases(10, 1_000_000, 10),
            top_k_case(100_000_000, 1000), top_k_case(100_000_000, 100_000),
            *k_center_cases([3750, 15_000, 60_000], 1000), badge_case([3125, 12_500, 50_000], 10, 512, 1000),
            dpp_case([3750, 15_000, 60_000], 1000), batchbald_case([1000, 4000, 16_000, 100_000], 10, 10, 5),
            facility_location_case([1000, 4000, 16_000, 100_000], 64, 100)]


# What a user could reach for and does not find in the table, and why.
LEFT_OUT = {
    "Baal, bmdal-reg, DISTIL, DeepAL": "need torch, whose only wheels for x86-64 Linux on PyPI are 1.2 GB and ask for 2 GB of CUDA beside them",
    "dppy, pydpp": "draw from determinantal processes; neither finds the greedy MAP",
    "scikit-activeml's and small-text's BADGE": "ask for a classifier of their own (small-text: in torch)",
}
