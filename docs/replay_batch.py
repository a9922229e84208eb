#!/usr/bin/env python3
"""Makes the batch of a round again from an export and the model's outputs, without a line of Poolwise.

    replay_batch.py events.jsonl ROUND                    the export that `poolwise campaign export DIR events` writes
    replay_batch.py events.jsonl ROUND --head 1200:9f3c...

It checks the export's hashes as verify_ledger.py does; that the outputs (.npy, float32) and the file of items are those
that the ledger has digests of; scores every row that was left in double precision; and takes the best within the
round's quotas and floors. Strategies: margin, entropy, least_confidence. Of a round in which a budget decided it
checks that no limit is broken. `poolwise campaign replay` makes any round again.

Exit code 0: the batch is the same; 1: a sentence says what differs; 2: the command line is wrong.
"""
import argparse
import array
import ast
import csv
import hashlib
import json
import math
import sys
import tomllib

from verify_ledger import Broken, check_events, head_text, parse_head, require

FP32 = 4e-6  # two scores this near may change places where they are computed in float32


def softmax(row):
    most = max(row)
    exps = [math.exp(x - most) for x in row]
    total = sum(exps)
    return [x / total for x in exps]


def margin(p):
    first, second = sorted(p, reverse=True)[:2]
    return 1 - (first - second)


SCORES = {
    "margin": margin,
    "entropy": lambda p: -sum(x * math.log(x) for x in p if x > 0),
    "least_confidence": lambda p: 1 - max(p),
}


def read_npy(part):
    """Rows of float32, whose bytes have the digest that the ledger has."""
    with open(part["file"], "rb") as file:
        require(file.read(6) == b"\x93NUMPY", f"{part['file']} is no .npy file; only those are read here")
        size = 2 if file.read(2)[0] == 1 else 4
        header = ast.literal_eval(file.read(int.from_bytes(file.read(size), "little")).decode("latin-1"))
        data = file.read()
    require(header["descr"] == "<f4" and not header["fortran_order"], f"{part['file']} is no float32 in C order")
    require(hashlib.sha256(data).hexdigest() == part["sha256"], f"{part['file']} is not the file of then")
    values, cols = array.array("f", data), header["shape"][1]
    return [values[i : i + cols] for i in range(0, len(values), cols)]


def read_items(pool, settings):
    """The names of the rows and the number of each row's slice, the slices of campaign.toml first."""
    if "items" not in pool:
        return [str(row) for row in range(pool["rows"])], [0] * pool["rows"]
    file = pool["items"]["file"]
    with open(file, "rb") as data:
        require(hashlib.sha256(data.read()).hexdigest() == pool["items"]["sha256"], f"{file} is not the file of then")
    with open(file, newline="", encoding="utf-8") as text:
        table = [json.loads(line) for line in text] if file.endswith("l") else list(csv.DictReader(text))
    columns = settings.get("items", {})
    numbers = {name: k for k, name in enumerate(sorted(settings.get("slices", {})))}
    slices = [numbers.setdefault(str(row[columns["slice"]]), len(numbers)) if "slice" in columns else 0 for row in table]
    return [str(row[columns.get("id", "id")]) for row in table], slices


class Log:
    """All that an export says up to a round, and the decisions of the round."""

    def __init__(self, file, number):
        self.round, self.picks, self.gone, self.pools, self.models, self.settings = None, [], set(), {}, {}, ""
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                kind, body = event["kind"], event["body"]
                if kind == "decision" and body["round"] == number:
                    self.picks.append(body)
                elif self.round is None:
                    self.add(kind, body, number)
        require(self.round is not None, f"the export has no round {number}")

    def add(self, kind, body, number):
        if kind == "round" and body["round"] == number:
            self.round = body
        elif kind in ("campaign", "settings"):
            self.settings = body["settings"]
        elif kind == "pool":
            self.pools[body["version"]] = body
        elif kind == "model":
            self.models[body["model"]] = body
        elif kind in ("decision", "label"):
            self.gone.add(body["item"])
        elif kind == "excluded":
            self.gone.update(body["items"])


def best(order, group, spec):
    """The first of `order` that quotas and what the floors still ask for allow."""
    quota, owed, left, taken = spec.get("quota"), list(spec.get("floor", [])), spec["batch"], []
    counts = {}
    for row in order:
        g = group[row]
        if left == 0 or (quota and counts.get(g, 0) >= quota[g]):
            continue
        if owed and owed[g] == 0 and sum(owed) >= left:
            continue
        if owed and owed[g] > 0:
            owed[g] -= 1
        counts[g] = counts.get(g, 0) + 1
        left -= 1
        taken.append(row)
    return taken


def check(options):
    print(head_text(check_events(options.events, [options.head] if options.head else [], {})))
    log = Log(options.events, options.round)
    spec, pool = log.round["spec"], log.pools[log.round["pool"]]
    require(spec["strategy"] in SCORES, f"this round is of {spec['strategy']}; here only {', '.join(SCORES)} are made again")
    require("apart" not in spec, "this round keeps its picks apart, which is not done here")
    outputs = [part for part in log.models[log.round["model"]]["parts"] if part["part"] in ("logits", "probs")]
    require(len(outputs) == 1, "the model has no outputs")
    rows, (names, group) = read_npy(outputs[0]), read_items(pool, tomllib.loads(log.settings))
    drawn = {pick["row"] for pick in log.picks if pick["arm"] == "audit"}
    for pick in log.picks:
        require(names[pick["row"]] == pick["item"], f"row {pick['row']} is {names[pick['row']]}, not {pick['item']}")
        require(pick["item"] not in log.gone, f"{pick['item']} was taken before")
    chosen = [pick for pick in log.picks if pick["arm"] != "audit"]
    score = SCORES[spec["strategy"]]
    scores = {}
    for row, values in enumerate(rows):
        if names[row] not in log.gone and row not in drawn and all(map(math.isfinite, values)):
            scores[row] = score(softmax(values) if outputs[0]["part"] == "logits" else values)
    for pick in chosen:
        require(abs(scores[pick["row"]] - pick["score"]) <= FP32, f"the score of {pick['item']} is {scores[pick['row']]:.9g}")
    wanted = best(sorted(scores, key=lambda row: (-scores[row], row)), group, spec)
    cost = sum(pick["cost"] for pick in chosen)
    require(cost <= spec.get("budget", cost), f"the picks cost {cost}, and {spec.get('budget')} was left")
    seconds = sum(pick.get("seconds", 0) for pick in chosen)
    require(seconds <= spec.get("budgets", {}).get("seconds", seconds), f"the picks take {seconds} seconds")
    got, made = {pick["row"] for pick in chosen}, set(wanted)
    # Rows that change places because float32 sees them alike are the same.
    other = sorted(scores[row] for row in got ^ made)
    if other and len(got) == len(made) and other[-1] - other[0] <= FP32:
        made = got
    if got != made and ("budget" in spec or "budgets" in spec):
        return f"round {options.round}: a budget decided; the {len(got)} picks are within every limit"
    alone = sorted(got ^ made)
    require(not alone, f"{', '.join(names[row] for row in alone[:3])}: in one batch alone")
    return f"round {options.round} is the same again: {len(got)} picks, and {len(drawn)} drawn at random"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events")
    parser.add_argument("round", type=int)
    parser.add_argument("--head", type=parse_head, help="SIZE:HEX")
    options = parser.parse_args()
    try:
        print(check(options))
    except (Broken, OSError, ValueError, KeyError) as problem:
        print(f"replay_batch: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
