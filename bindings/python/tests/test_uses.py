"""Well-formed uses drawn from a grammar: strategy, limits, files. The command and the module pick the same rows, or
say the same sentence; an independent loop in double picks the same rows."""

import json
import math
import os
import struct
import subprocess

import numpy as np
import pytest

import poolwise

COMMAND = os.environ.get("TEST_COMMAND")
USES = 200


# ---- The reference: slow, in double, from the formulas


def scores_of(name, logits):
    z = logits.astype(np.float64)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    top = np.sort(p, axis=1)[:, ::-1]
    return {
        "entropy": lambda: -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1),
        "margin": lambda: 1 - (top[:, 0] - top[:, 1]),
        "least_confidence": lambda: 1 - top[:, 0],
        "energy": lambda: -(z.max(axis=1) + np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1))),
    }[name]()


class Reference:
    def __init__(self, use):
        self.use = use
        self.quota = None if use["quota"] is None else list(use["quota"])
        self.picks = []

    def free(self, row):
        use = self.use
        return row not in use["labelled"] and row not in use["exclude"] and row not in self.picks

    def allowed(self, row):
        use = self.use
        if not self.free(row) or (self.quota is not None and self.quota[use["group"][row]] == 0):
            return False
        if use["apart"] is None:
            return True
        near = list(use["labelled"]) + self.picks
        return all(self.distance(row, other) > use["apart"] ** 2 for other in near)

    def distance(self, a, b):
        x = self.use["embeddings"].astype(np.float64)
        return float(((x[a] - x[b]) ** 2).sum())

    def take(self, row):
        self.picks.append(row)
        if self.quota is not None:
            self.quota[self.use["group"][row]] -= 1

    def in_order(self, rows, scores, most):
        for row in sorted(rows, key=lambda row: (-scores[row], row)):
            if len(self.picks) < most and self.allowed(row):
                self.take(row)

    def farthest_first(self, rows, most):
        while len(self.picks) < most:
            near = list(self.use["labelled"]) + self.picks
            left = [row for row in rows if self.allowed(row)]
            if not left:
                return
            self.take(min(left, key=lambda row: (-min(self.distance(row, other) for other in near), row)))

    def batch(self):
        use = self.use
        first, *then = use["strategy"].split("/")
        while len(self.picks) < use["batch"]:
            had = len(self.picks)
            rows = [row for row in range(use["rows"]) if self.free(row)]
            most = had + min(use["batch"] - had, len(rows))
            if first == "kcenter":
                self.farthest_first(rows, most)
            elif not then:
                self.in_order(rows, scores_of(first, use["logits"]), most)
            else:
                kept = most - had
                if then[0].endswith("x"):
                    kept *= int(then[0][:-1])
                else:
                    kept = math.ceil(int(then[0][:-1]) / 100 * len(rows))
                kept = min(max(kept, most - had), len(rows))
                scores = scores_of(first, use["logits"])
                able = [row for row in rows if self.quota is None or self.quota[use["group"][row]] > 0]
                self.farthest_first(sorted(able, key=lambda row: (-scores[row], row))[:kept], most)
            if len(self.picks) == had or not then:
                break
        return self.picks


# ---- A use, drawn


def drawn(random):
    rows = int(random.integers(12, 60))
    classes, features = int(random.integers(2, 6)), int(random.integers(1, 5))
    order = random.permutation(rows)
    known, barred = int(random.integers(1, 6)), int(random.integers(0, 5))
    use = {
        "rows": rows,
        "strategy": str(random.choice(["entropy", "margin", "least_confidence", "energy", "kcenter", "random",
                                       "margin/3x/kcenter", "entropy/40%/kcenter", "random/2x/kcenter"])),
        "logits": random.normal(size=(rows, classes)).astype(random.choice(["f4", "f2"])),
        "embeddings": random.normal(size=(rows, features)).astype("f4"),
        "batch": int(random.integers(1, rows // 2)) if random.random() < .8 else rows + 3,
        "labelled": order[:known].tolist(),
        # A row may have a label and be excluded, too.
        "exclude": order[known - 1:known - 1 + barred].tolist(),
        "quota": None, "group": None, "apart": None, "cost": None, "budget": None,
        "ids": [f"item {i}" for i in range(rows)] if random.random() < .3 else None,
        "seed": int(random.integers(0, 9)),
        "file": str(random.choice(["npy", "npz", "safetensors", "fortran", "big", "gz"])),
    }
    if random.random() < .4:
        groups = int(random.integers(1, 4))
        use["group"] = random.integers(0, groups, rows).tolist()
        use["quota"] = random.integers(0, 6, groups).tolist()
    if random.random() < .3:
        use["apart"] = float(np.float32(random.choice([0, .3, 1])))
    if random.random() < .4:
        use["cost"] = random.integers(0, 9, rows).tolist()
        if random.random() < .8:
            use["budget"] = int(random.choice([2, 20, 10_000]))
    return use


def saved(use, folder):
    """The options of the command, whose files are in the folder."""
    def save(name, array):
        np.save(folder / name, array)
        return str(folder / name)

    logits, kind = use["logits"], use["file"]
    if kind == "npz":
        np.savez(folder / "l.npz", other=np.zeros(3), logits=logits)
        path = f"{folder}/l.npz:logits"
    elif kind == "safetensors":
        header = json.dumps({"logits": {"dtype": "F32" if logits.itemsize == 4 else "F16", "shape": logits.shape,
                                        "data_offsets": [0, logits.nbytes]}}).encode()
        (folder / "l.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + logits.tobytes())
        path = f"{folder}/l.safetensors"
    elif kind == "gz":
        import gzip
        path = save("l.npy", logits) + ".gz"
        with gzip.open(path, "wb") as file:
            file.write((folder / "l.npy").read_bytes())
    else:
        path = save("l.npy", {"fortran": np.asfortranarray, "big": lambda x: x.astype(x.dtype.newbyteorder(">")),
                              "npy": np.asarray}[kind](logits))
    options = ["--strategy", use["strategy"], "--batch", str(use["batch"]), "--seed", str(use["seed"]), "--json",
               "--logits", path, "--embeddings", save("x.npy", use["embeddings"]),
               "--labelled", save("labelled.npy", np.array(use["labelled"]))]
    if use["exclude"]:
        options += ["--exclude", save("exclude.npy", np.array(use["exclude"], "i4"))]
    if use["quota"] is not None:
        (folder / "q.csv").write_text("group,quota\n" + "".join(f"{g},{q}\n" for g, q in enumerate(use["quota"])))
        options += ["--group", save("g.npy", np.array(use["group"], "u1")), "--quota", str(folder / "q.csv")]
    if use["apart"] is not None:
        options += ["--apart", repr(use["apart"])]
    if use["cost"] is not None:
        options += ["--cost", save("c.npy", np.array(use["cost"], "i2"))]
    if use["budget"] is not None:
        options += ["--budget", str(use["budget"])]
    if use["ids"] is not None:
        (folder / "ids.csv").write_text("id\n" + "\n".join(use["ids"]) + "\n")
        options += ["--ids", str(folder / "ids.csv")]
    return options


def asked(use):
    return {"outputs": use["logits"]} | {
        name: use[name] for name in ("strategy", "batch", "seed", "embeddings", "labelled", "exclude", "group",
                                     "quota", "apart", "cost", "budget", "ids") if use[name] is not None}


@pytest.mark.skipif(COMMAND is None, reason="TEST_COMMAND names no command")
def test_uses_drawn_from_a_grammar(tmp_path):
    random = np.random.default_rng(1)
    refused = compared = 0
    for number in range(USES):
        use = drawn(random)
        told = subprocess.run([COMMAND, "select", *saved(use, tmp_path)], capture_output=True, text=True)
        case = f"use {number}: {use['strategy']}, batch {use['batch']}, quota {use['quota']}, apart {use['apart']}, " \
               f"budget {use['budget']}"
        try:
            batch = poolwise.select(**asked(use))
        except poolwise.BudgetError as refusal:
            assert told.returncode == 3, case
            assert told.stderr.replace("--", "") == f"poolwise: {refusal}\n", case
            refused += 1
            continue
        assert told.returncode == 0, case + told.stderr
        picks = json.loads(told.stdout)
        assert [p["row"] for p in picks["picks"]] == batch.rows.tolist(), case
        assert [p["id"] for p in picks["picks"]] == batch.ids, case
        assert np.array_equal(np.array([float(p["score"]) for p in picks["picks"]], "f4"), batch.scores), case
        assert picks["remarks"] == [r.replace("budget", "--budget").replace("quota", "--quota").replace("apart", "--apart")
                                    for r in batch.remarks], case
        if use["budget"] is not None:
            assert batch.cost <= use["budget"], case
        if use["strategy"].startswith("random"):
            continue
        reference = Reference(use).batch()
        if use["budget"] is None or sum(use["cost"][row] for row in reference) <= use["budget"]:
            if use["budget"] is not None and "kcenter" in use["strategy"]:
                continue  # the better of two batches, where the budget could have bound
            assert batch.rows.tolist() == reference, case
            compared += 1
    assert refused >= 3 and compared >= 100, (refused, compared)
