#!/usr/bin/env python3
"""Does it pay to look at prices? Margin within a budget of money a round, against as much money spent without a look.

    costs.py POOLWISE [SEEDS]        some 8 s a seed; prints the accuracy at equal money, paired by seed, and its p

Both are campaigns of this folder's pictures, on the same first batch. One may spend 500 cents a round on up to 200 items;
the other takes 57 items a round by margin alone, at 8.75 cents on average, until as much money is spent.
"""
import itertools
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

import model

SETTINGS = """
[campaign]
labels = {labels}
[items]
type = "kind"
[price.type]
photo = 5
scan = 20
[query]
strategy = "margin"
batch = {batch}
seed = {seed}
audit = 0
{limits}
"""
MONEY, ROUND = 4500, 500


def accuracy_at(money, points):
    """Between rounds the curve is taken to be straight."""
    before = max((p for p in points if p[0] <= money), default=points[0])
    after = min((p for p in points if p[0] >= money), default=points[-1])
    if after[0] == before[0]:
        return before[1]
    return before[1] + (after[1] - before[1]) * (money - before[0]) / (after[0] - before[0])


def run(poolwise, data, folder, seed, batch, limits):
    def campaign(*arguments):
        done = subprocess.run([poolwise, "campaign", *map(str, arguments), "--json"], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    settings = data / "settings.toml"
    settings.write_text(SETTINGS.format(labels=json.dumps(model.NAMES), batch=batch, seed=seed, limits=limits))
    campaign("init", folder, "--settings", settings)
    campaign("pool", "add", folder, "--items", data / "items.csv", "--embeddings", data / "features.npy")
    points, query = [], ["--strategy", "random", "--batch", 60]
    for round_number in itertools.count(1):
        if points and points[-1][0] >= MONEY:
            return points
        campaign("query", folder, *query)
        model.answer(data, folder / "rounds" / f"{round_number:04}" / "batch.csv", data / "answers.csv")
        campaign("ingest", folder, "--labels", data / "answers.csv", "--source", "shop")
        subprocess.run([poolwise, "campaign", "export", folder, "labels", "--out", data / "labels.csv"], check=True)
        model.fit(data, data / "labels.csv")
        measured = campaign("evaluate", folder, "--logits", data / "holdout_logits.npy", "--holdout", data / "holdout.csv")
        points.append((campaign("status", folder)["cost"], measured["accuracy"]["value"]))
        query = ["--logits", data / "logits.npy"]


def students_p(t, degrees, steps=100_000):
    """Two-sided. With t = sqrt(degrees) tan a the angle a has the density cos(a)^(degrees - 1), up to a factor."""
    density = [math.cos(math.pi / 2 * (k + 0.5) / steps) ** (degrees - 1) for k in range(steps)]
    return sum(density[round(steps * 2 / math.pi * math.atan(abs(t) / degrees**0.5)) :]) / sum(density)


def main(poolwise, seeds=5):
    aware, blind = [], []
    with tempfile.TemporaryDirectory() as place:
        data = pathlib.Path(place)
        model.prepare(data)
        for seed in range(int(seeds)):
            points = run(poolwise, data, data / f"aware-{seed}", seed, 200, f"[round]\nmoney = {ROUND}")
            aware.append(accuracy_at(MONEY, points))
            points = run(poolwise, data, data / f"blind-{seed}", seed, 57, "")
            blind.append(accuracy_at(MONEY, points))
            print(f"seed {seed}: with a look at prices {aware[-1]:.4f}, without {blind[-1]:.4f}", flush=True)
    gains = [a - b for a, b in zip(aware, blind)]
    t = statistics.mean(gains) / (statistics.stdev(gains) / len(gains) ** 0.5)
    # The exact test of the signs: how many of all ways to swap the pairs give a mean as large.
    swapped = [abs(sum(g * s for g, s in zip(gains, signs))) for signs in itertools.product((1, -1), repeat=len(gains))]
    p = sum(one >= abs(sum(gains)) - 1e-12 for one in swapped) / len(swapped)
    print(f"at {MONEY} cents: {statistics.mean(gains):+.4f}, paired over {len(gains)} seeds, t = {t:.1f}, "
          f"p = {students_p(t, len(gains) - 1):.4f} by Student's t, {p:.4f} by the signs (at least {2 / len(swapped):.4f})")


if __name__ == "__main__":
    main(*sys.argv[1:])
