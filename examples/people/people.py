#!/usr/bin/env python3
"""Does it pay to ask the right annotator? Five of them, two careless and one a language model, label the pictures of
examples/campaign: by `campaign route` and `aggregate`, against three answers an item in turn and the majority's label.

    people.py POOLWISE [SEEDS]        some 20 s a seed; prints the accuracy at equal money, paired by seed, and its p

Both arms pick by margin and spend the same each round. The routed one first pays for a calibration: all five answer the
same gold items, whose labels are known.
"""
import itertools
import json
import math
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "campaign"))
import costs
import model

# name: kind, price, how often right, and what it calls the classes that it confuses
PEOPLE = {
    "ann": ("person", 12, 0.97, {}),
    "bea": ("person", 6, 0.92, {"Shirt": "T-shirt"}),
    "cle": ("person", 5, 0.55, {}),
    "dan": ("person", 5, 0.45, {"Coat": "Pullover", "Dress": "Shirt"}),
    "llm": ("model", 1, 0.85, {"Shirt": "Pullover", "Sneaker": "Boot"}),
}
SETTINGS = """
[campaign]
labels = {labels}
[query]
strategy = "margin"
batch = {batch}
seed = {seed}
audit = 0
{annotators}
"""
MONEY, ROUND, GOLD = 9000, 900, 15


def said(draw, name, truth):
    _, _, skill, confused = PEOPLE[name]
    if truth in confused and draw.random() < 0.5:
        return confused[truth]
    return truth if draw.random() < skill else draw.choice(model.NAMES)


class Campaign:
    def __init__(self, poolwise, data, folder, seed, batch):
        self.poolwise, self.data, self.folder, self.draw = poolwise, data, folder, random.Random(seed)
        self.truth = {row["id"]: row["label"] for row in model.table(data / "truth.csv")}
        people = "\n".join(f'[annotators.{name}]\nkind = "{kind}"\nprice = {price}\naccuracy = 0.7'
                           + ('\nroles = ["annotator", "senior"]' if name == "ann" else "")
                           for name, (kind, price, _, _) in PEOPLE.items())
        settings = data / "settings.toml"
        settings.write_text(SETTINGS.format(labels=json.dumps(model.NAMES), batch=batch, seed=seed, annotators=people))
        self("init", folder, "--settings", settings)
        self("pool", "add", folder, "--items", data / "items.csv", "--embeddings", data / "features.npy")
        self.spent, self.points, self.query = 0, [], ["--strategy", "random", "--batch", 60]

    def __call__(self, *arguments):
        done = subprocess.run([self.poolwise, "campaign", *map(str, arguments), "--json"], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    def ask(self, pairs):
        """Records what each annotator says of each item; returns what it costs."""
        rows = [(item, said(self.draw, name, self.truth[item]), name) for item, name in pairs]
        model.write(self.data / "answers.csv", ["item", "label", "by"], rows)
        self("ingest", self.folder, "--labels", self.data / "answers.csv", "--source", "shop", "--as", "answers")
        cost = sum(PEOPLE[name][1] for _, name in pairs)
        self.spent += cost
        return cost

    def next_batch(self, round_number):
        self("query", self.folder, *self.query)
        self.query = ["--logits", self.data / "logits.npy"]
        return [row["item"] for row in model.table(self.folder / "rounds" / f"{round_number:04}" / "batch.csv")]

    def learn(self, method):
        self("aggregate", self.folder, "--method", method, "--sure", 0)
        subprocess.run([self.poolwise, "campaign", "export", self.folder, "labels", "--out", self.data / "labels.csv"], check=True)
        model.fit(self.data, self.data / "labels.csv")
        measured = self("evaluate", self.folder, "--logits", self.data / "holdout_logits.npy", "--holdout", self.data / "holdout.csv")
        self.points.append((self.spent, measured["accuracy"]["value"]))
        rows = model.table(self.data / "labels.csv")
        return sum(row["label"] == self.truth[row["item"]] for row in rows) / len(rows), len(rows)


def routed(poolwise, data, folder, seed):
    campaign = Campaign(poolwise, data, folder, seed, 120)
    gold = random.Random(seed).sample(sorted(campaign.truth), GOLD)
    model.write(data / "gold.csv", ["item", "label"], [(item, campaign.truth[item]) for item in gold])
    campaign("ingest", folder, "--labels", data / "gold.csv", "--source", "manager", "--as", "gold")
    campaign.ask([(item, name) for item in gold for name in PEOPLE])
    for round_number in itertools.count(1):
        campaign.next_batch(round_number)
        left = ROUND
        while left > 0:
            answers = campaign("route", folder, "--money", left, "--sure", 0.9, "--most", 3)["answers"]
            if not answers:
                break
            left -= campaign.ask([(one["item"], one["annotator"]) for one in answers])
        quality = campaign.learn("dawid_skene")
        if campaign.spent >= MONEY:
            return campaign.points, quality


def in_turn(poolwise, data, folder, seed):
    campaign, turn = Campaign(poolwise, data, folder, seed, 60), itertools.cycle(PEOPLE)
    for round_number in itertools.count(1):
        left, pairs = ROUND, []
        for item in campaign.next_batch(round_number):
            names = [next(turn) for _ in range(3)]
            cost = sum(PEOPLE[name][1] for name in names)
            if cost <= left:
                left -= cost
                pairs += [(item, name) for name in names]
        campaign.ask(pairs)
        quality = campaign.learn("majority")
        if campaign.spent >= MONEY:
            return campaign.points, quality


def main(poolwise, seeds=5):
    gains = []
    with tempfile.TemporaryDirectory() as place:
        data = pathlib.Path(place)
        model.prepare(data)
        for seed in range(int(seeds)):
            found = {}
            for arm in (routed, in_turn):
                points, (right, labels) = arm(poolwise, data, data / f"{arm.__name__}-{seed}", seed)
                found[arm] = costs.accuracy_at(MONEY, points)
                print(f"seed {seed}, {arm.__name__}: accuracy {found[arm]:.4f}; {labels} labels, {100 * right:.1f} % of them right", flush=True)
            gains.append(found[routed] - found[in_turn])
    t = statistics.mean(gains) / (statistics.stdev(gains) / math.sqrt(len(gains)))
    print(f"at {MONEY} cents: {statistics.mean(gains):+.4f}, paired over {len(gains)} seeds, t = {t:.1f}, "
          f"p = {costs.students_p(t, len(gains) - 1):.5f}")
    return 0 if statistics.mean(gains) > 0 else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
