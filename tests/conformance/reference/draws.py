"""Batches by clusters that every k-means finds, and batches that are drawn."""

import math

import numpy as np
from batches import islands, others
from golden import bits, case, numbers, one_by_one, ranked, round_seed, softmax, squared_distances, uniforms, vectors
from scores import score


@vectors("kmeans", "incremental_kmeans", "clue")
def centroids(name):
    h, of = islands([7, 5, 4, 6], 401)
    logits = numbers((22, 3), 402, 2.0)
    weights = score("entropy", softmax(logits)) if name == "clue" else np.ones(22)
    labelled = [1] if name == "incremental_kmeans" else []
    found = []
    for island in range(1 if labelled else 0, 4):  # the labelled row's has a centre that stays
        rows = np.flatnonzero(of == island)
        mean = (weights[rows, None] * h[rows]).sum(axis=0) / weights[rows].sum()
        d2 = squared_distances(h[rows], mean[None, :])[:, 0]
        found.append((weights[rows].sum(), int(rows[np.argmin(d2)]), -d2.min()))
    found.sort(key=lambda one: -one[0])  # the heaviest first
    parts = {"logits": logits} if name == "clue" else {}
    parts |= {"labelled": labelled} if labelled else {}
    yield case("four clusters far apart", "clue(entropy)" if name == "clue" else name, [row for _, row, _ in found],
               [value for _, _, value in found], tolerance=2e-5, parameters={"seed": SEEDS[name]}, embeddings=h, **parts)


SEEDS = {"kmeans": 0, "incremental_kmeans": 0, "clue": 0}  # by which k-means begins with a row of each cluster


@vectors("cluster_margin")
def cluster_margin():
    h, of = islands([7, 5, 4], 411)
    logits = numbers((16, 3), 412, 2.0)
    values = score("margin", softmax(logits))
    best = np.argsort(-values, kind="stable")[:10]  # 2 a pick
    seed = round_seed(4, 1)
    turns = sorted((sorted((int(row) for row in best if of[row] == c), key=lambda row: bits(seed, 26, row)) for c in range(3)), key=len)
    if len({len(turn) for turn in turns}) < 3:
        raise ValueError("cluster_margin: clusters of one size have no order of their own; take other inputs")
    picks = [turn[at] for at in range(10) for turn in turns if at < len(turn)][:5]
    yield case("three clusters of the ten best rows, the smallest first; seed 4, round 1",
               "cluster_margin(margin, per_pick=2, distance=40)", picks, values[picks], parameters={"seed": 4, "round": 1},
               logits=logits, embeddings=h)


@vectors("robust_kcenter")
def robust_kcenter():
    h, labelled = numbers((15, 4), 421), [3]
    seed, count = round_seed(7, 2), 2 * math.ceil(0.1 * 14)
    picks, values = [], []
    while len(picks) < 5:
        away = squared_distances(h, h[labelled + picks]).min(axis=1)
        far = sorted(others(15, labelled + picks), key=lambda row: -away[row])
        row = far[int((bits(seed, 25, len(picks)) >> 11) * 2.0**-53 * count)]
        picks.append(row)
        values.append(away[row])
    yield case("one labelled row; drawn of the four farthest, seed 7, round 2", "robust_kcenter(outliers=0.1)", picks, values,
               parameters={"seed": 7, "round": 2}, embeddings=h, labelled=labelled)


@vectors("lightweight_coreset")
def lightweight_coreset():
    h = numbers((15, 4), 431)
    d2 = ((h - h.mean(axis=0)) ** 2).sum(axis=1)
    waits = -np.log(2.0**-54 + uniforms(15, 23, 9, 3))
    yield ranked("seed 9, round 3", "lightweight_coreset", (0.5 / 15 + 0.5 * d2 / d2.sum()) / waits,
                 parameters={"seed": 9, "round": 3}, embeddings=h)


@vectors("stratified")
def stratified():
    values, seed = score("margin", softmax(numbers((17, 3), 442, 2.0))), round_seed(11, 1)
    order, picks = np.argsort(-values, kind="stable"), []
    for run in range(5):
        begin, end = run * 17 // 5, (run + 1) * 17 // 5
        picks.append(int(order[begin + int((bits(seed, 24, run) >> 11) * 2.0**-53 * (end - begin))]))
    yield case("one of each fifth of the rows by margin, seed 11, round 1", "stratified(margin)", picks, values[picks],
               parameters={"seed": 11, "round": 1}, logits=numbers((17, 3), 442, 2.0))
