"""What references of tests/conformance/reference are made of: cases, inputs that JSON holds exactly, and picks that
rounding cannot change. Everything is double precision, and nothing here reads or calls Poolwise."""

import math

import numpy as np

SCHEMA = "poolwise.conformance/1"
FP32 = 4e-6  # of 1 + |value|: what a few fp32 operations may lose

registry = {}


def vectors(*names):
    """Registers a generator of cases under the name of a strategy; under several it is called with each."""

    def register(cases):
        for name in names:
            if name in registry:
                raise ValueError(f"{name} has its cases already; add to those")
            registry[name] = lambda: list(cases(name) if len(names) > 1 else cases())
        return cases

    return register


def numbers(shape, seed, scale=1.0):
    """Normal values in steps of 1/64: short in JSON, and exact in fp32."""
    return np.round(np.random.default_rng(seed).normal(scale=scale, size=shape) * 64) / 64


def distributions(shape, seed):
    """Rows of probabilities in steps of 1/256."""
    parts = np.random.default_rng(seed).dirichlet(np.ones(shape[-1]), size=shape[:-1])
    whole = np.floor(parts * 256)
    whole[..., 0] += 256 - whole.sum(axis=-1)
    return whole / 256


def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def squared_distances(a, b):
    return ((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2)


def first_of(values, tolerance):
    """The row of the largest value, the lowest of equal ones. Refuses rows that only rounding tells apart."""
    row = int(np.argmax(values))
    best = values[row]
    near = (values < best) & (values > best - 10 * tolerance * (1 + abs(best))) if math.isfinite(best) else False
    if np.any(near):
        raise ValueError(f"row {row} leads by rounding alone; take other inputs")
    return row


def one_by_one(rows, batch, gains, allowed=None, tolerance=FP32):
    """Picks and values of a loop that takes the best row again and again; `gains(picks)` are of all rows."""
    picks, values = [], []
    while len(picks) < batch:
        gain = np.asarray(gains(picks), dtype=np.float64).copy()
        open_rows = np.ones(rows, bool) if allowed is None else np.isin(np.arange(rows), allowed)
        open_rows[picks] = False
        gain[~open_rows] = -math.inf
        picks.append(first_of(gain, tolerance))
        values.append(float(gain[picks[-1]]))
    return picks, values


def case(title, strategy, picks, values, tolerance=FP32, scores=None, parameters=None, **inputs):
    """inputs: arrays and lists by the keywords of Poolwise; parameters: seed, round, metric. `values` belong to the
    picks, `scores` to all rows."""
    inputs = {name: np.asarray(value) for name, value in inputs.items()}
    for name, value in inputs.items():
        if value.dtype.kind == "f" and not np.array_equal(value, value.astype(np.float32)):
            raise ValueError(f"{title}: {name} is not exact in fp32")
    made = {"case": title, "strategy": strategy, "batch": len(picks), "parameters": parameters or {},
            "tolerance": tolerance, "inputs": {name: value.tolist() for name, value in inputs.items()},
            "picks": [int(row) for row in picks], "values": [plain(value) for value in values]}
    if scores is not None:
        made["scores"] = [plain(value) for value in scores]
    return made


def ranked(title, strategy, scores, tolerance=FP32, **rest):
    """A case of a strategy that is a score: all rows that may be picked, best first."""
    left = np.asarray(scores, dtype=np.float64).copy()
    barred = [*np.atleast_1d(rest.get("labelled", [])).astype(int), *np.atleast_1d(rest.get("exclude", [])).astype(int)]
    allowed = [row for row in range(len(left)) if row not in barred]
    picks, values = one_by_one(len(left), len(allowed), lambda _: left, allowed, tolerance)
    return case(title, strategy, picks, values, tolerance, scores=scores, **rest)


def plain(value):
    return float(value) if math.isfinite(value) else "inf" if value > 0 else "-inf"


# ---- Philox4x32-10 (Salmon et al., SC 2011), by which draws are a function of seed, purpose, row and round


def philox(counter, key):
    mask = 0xFFFFFFFF
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & mask, (a >> 32) ^ c[3] ^ k[1], a & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return c


def bits(seed, purpose, place, round_=0):
    """64 of them; `bits(seed, 5, round)` seeds those draws that take no round."""
    words = philox((place, 0, purpose, round_), (seed & 0xFFFFFFFF, seed >> 32))
    return words[1] << 32 | words[0]


def uniforms(rows, purpose, seed, round_=0):
    """One for each row, in [0, 1), in steps of 2^-53."""
    return np.array([(bits(seed, purpose, row, round_) >> 11) * 2.0**-53 for row in range(rows)])
