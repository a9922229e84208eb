#!/usr/bin/env python3
"""The parts of a campaign that are yours: the data, the model, the people who label.

    model.py prepare FOLDER                     items.csv, holdout.csv and their features, from Fashion-MNIST
    model.py answer FOLDER BATCH.csv OUT.csv    what an annotator would say of the items of a batch
    model.py fit FOLDER LABELS.csv              fits a softmax regression; writes logits.npy and holdout_logits.npy
"""
import csv
import gzip
import pathlib
import sys

import numpy

DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")
NAMES = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"]
POOL, HOLDOUT, FEATURES = 6000, 2000, 40


def read(name, header):
    return numpy.frombuffer(gzip.open(DATA / name).read(), numpy.uint8, offset=header)


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def write(path, header, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def prepare(folder):
    images = read("train-images-idx3-ubyte.gz", 16).reshape(-1, 784)[: POOL + HOLDOUT].astype(numpy.float32) / 255
    labels = read("train-labels-idx1-ubyte.gz", 8)[: POOL + HOLDOUT]
    light = numpy.array(["dark", "middle", "bright"])[numpy.digitize(images.mean(1), [0.18, 0.36])]
    kind = numpy.where(numpy.arange(POOL + HOLDOUT) % 4 == 0, "scan", "photo")
    centred = images - images[:POOL].mean(0)
    _, directions = numpy.linalg.eigh(centred[:POOL].T @ centred[:POOL])
    features = (centred @ directions[:, ::-1][:, :FEATURES]).astype(numpy.float32)
    numpy.save(folder / "features.npy", features[:POOL])
    numpy.save(folder / "holdout_features.npy", features[POOL:])
    write(folder / "items.csv", ["id", "light", "kind"], [(f"img-{i:04}", light[i], kind[i]) for i in range(POOL)])
    write(folder / "truth.csv", ["id", "label"], [(f"img-{i:04}", NAMES[labels[i]]) for i in range(POOL)])
    write(folder / "holdout.csv", ["label", "light"], [(NAMES[labels[i]], light[i]) for i in range(POOL, POOL + HOLDOUT)])


def answer(folder, batch, out):
    truth = {row["id"]: row["label"] for row in table(folder / "truth.csv")}
    write(out, ["item", "label", "by", "seconds"],
          [(row["item"], truth[row["item"]], "ann", 6 if row["cost"] == "5" else 25) for row in table(batch)])


def fit(folder, labels):
    """Softmax regression by Newton's cheaper cousin: gradient steps with momentum on standardised features."""
    x, held = numpy.load(folder / "features.npy"), numpy.load(folder / "holdout_features.npy")
    scale = x.std(0)
    x, held = [numpy.hstack([part / scale, numpy.ones((len(part), 1))]).astype(numpy.float64) for part in (x, held)]
    row_of = {row["id"]: i for i, row in enumerate(table(folder / "items.csv"))}
    known = table(labels)
    rows = numpy.array([row_of[one["item"]] for one in known])
    y = numpy.eye(len(NAMES))[[NAMES.index(one["label"]) for one in known]]
    weights, step = numpy.zeros((x.shape[1], len(NAMES))), 0
    for _ in range(400):
        z = x[rows] @ weights
        p = numpy.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        step = 0.9 * step + x[rows].T @ (p - y) / len(rows) + 1e-3 * weights
        weights -= 0.1 * step
    numpy.save(folder / "logits.npy", (x @ weights).astype(numpy.float32))
    numpy.save(folder / "holdout_logits.npy", (held @ weights).astype(numpy.float32))


if __name__ == "__main__":
    verb, folder, *files = sys.argv[1:]
    {"prepare": prepare, "answer": answer, "fit": fit}[verb](pathlib.Path(folder), *files)
