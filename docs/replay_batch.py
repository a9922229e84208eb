#!/usr/bin/env python3
"""Makes the batch of a round again from an export and the model's outputs, without a line of Poolwise.

    replay_batch.py events.jsonl ROUND                    the export that `poolwise campaign export DIR events` writes
    replay_batch.py events.jsonl ROUND --head 1200:9f3c...

It checks the export's hashes as verify_ledger.py does; that the arrays (.npy, float32) and the file of items are those
that the ledger has digests of; scores every row that was left in double precision; and takes the best within the
round's quotas and floors. Strategies: margin, entropy, least_confidence, any number of them in stages
(margin/10x/entropy), and kcenter alone or as the last stage: each pick must be as far from what was taken before as any
row that the limits allowed. Where a budget decided between scores no limit may be broken, and it prints what share of the
best batch within the budget the picks are certain to have, by a bound of its own (Lagrange's), which must bear out
what was recorded. `poolwise campaign replay` makes any round again.

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


def amounts(tariff, table, columns):
    """What each row costs, or takes; None where nothing says it."""
    if "each" in tariff:
        return [tariff["each"]] * len(table)
    if "column" in tariff:
        return [int(row[tariff["column"]]) for row in table]
    if "type" in tariff:
        types = [str(row[columns["type"]]) for row in table]
        return [tariff["type"][one] if one in tariff["type"] else tariff["type"]["*"] for one in types]
    return None


def read_items(pool, settings):
    """The names of the rows, the number of each row's slice, the slices of campaign.toml first, and its cost and time."""
    tariffs = settings.get("price", {}), settings.get("seconds", {})
    if "items" not in pool:
        rows = range(pool["rows"])
        return [str(row) for row in rows], [0 for row in rows], [amounts(one, rows, {}) for one in tariffs]
    file = pool["items"]["file"]
    with open(file, "rb") as data:
        require(hashlib.sha256(data.read()).hexdigest() == pool["items"]["sha256"], f"{file} is not the file of then")
    with open(file, newline="", encoding="utf-8") as text:
        table = [json.loads(line) for line in text] if file.endswith("l") else list(csv.DictReader(text))
    columns = settings.get("items", {})
    numbers = {name: k for k, name in enumerate(sorted(settings.get("slices", {})))}
    slices = [numbers.setdefault(str(row[columns["slice"]]), len(numbers)) if "slice" in columns else 0 for row in table]
    names = [str(row[columns.get("id", "id")]) for row in table]
    return names, slices, [amounts(one, table, columns) for one in tariffs]


class Log:
    """All that an export says up to a round, and the decisions of the round."""

    def __init__(self, file, number):
        self.round, self.picks, self.pools, self.models, self.settings = None, [], {}, {}, ""
        self.gone, self.known = set(), set()  # what may not be picked, and of that what was picked or labelled
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
            self.known.add(body["item"])
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


def affordable(costs, budget, group, quota, rows):
    """How many of the rows the budget buys at most: the cheapest of each slice first."""
    counts, bought = {}, 0
    for row in sorted(rows, key=lambda row: costs[row]):
        if quota and counts.get(group[row], 0) >= quota[group[row]]:
            continue
        budget -= costs[row]
        if budget < 0:
            break
        counts[group[row]] = counts.get(group[row], 0) + 1
        bought += 1
    return bought


def most_worth(scores, costs, budget, group, spec):
    """At least the highest total score that the budget buys: of every price of money, the least of what one would have
    who may buy and sell at it."""

    def at(price):
        worth = {row: score - price * costs[row] for row, score in scores.items()}
        order = sorted((row for row in worth if worth[row] > 0), key=lambda row: -worth[row])
        return price * budget + sum(worth[row] for row in best(order, group, {**spec, "floor": []}))

    low, high = 0, max(scores.values()) / max(1, min(costs[row] for row in scores))
    for _ in range(60):  # it is convex
        third = (high - low) / 3
        if at(low + third) <= at(high - third):
            high -= third
        else:
            low += third
    return min(at(0), at(low), at(high))


def kept(scores, rule, picks):
    """The rows that a stage keeps surely, and those that it may."""
    number = int(rule.rstrip("x%"))
    wanted = number * picks if rule[-1] == "x" else math.ceil(number / 100 * len(scores)) if rule[-1] == "%" else number
    wanted = max(min(wanted, len(scores)), min(picks, len(scores)))
    order = sorted(scores, key=lambda row: (-scores[row], row))
    last = scores[order[wanted - 1]] if wanted else math.inf
    # In float32 rows this near may have changed places.
    return [row for row in scores if scores[row] > last + FP32 or wanted == len(scores)], [
        row for row in scores if scores[row] >= last - FP32
    ]


def distance(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b))


def check_farthest(picks, sure, may, taken, features, allowed):
    """Each pick is as far from `taken` and those before it as any row of `sure` that is `allowed` then."""
    near = {row: min((distance(features[row], features[one]) for one in taken), default=math.inf) for row in may}
    for k, pick in enumerate(picks):
        row, before = pick["row"], picks[:k]
        require(row in near, f"{pick['item']} was not kept by the stages before")
        if pick["score"] is not None:
            slack = 1e-5 * near[row]
            require(abs(near[row] - pick["score"]) <= slack, f"{pick['item']} is {near[row]:.9g} away, not {pick['score']:.9g}")
            if "for its cost" not in pick["reason"]:
                gone = {one["row"] for one in before}
                farther = [r for r in sure if r not in gone and near[r] > near[row] + slack and allowed(r, before)]
                require(not farther, f"row {farther[:1]} is farther than {pick['item']}")
        for one in near:
            near[one] = min(near[one], distance(features[one], features[row]))


def check(options):
    print(head_text(check_events(options.events, [options.head] if options.head else [], {})))
    log = Log(options.events, options.round)
    spec, pool = log.round["spec"], log.pools[log.round["pool"]]
    stages = spec["strategy"].split("/")
    words, rules = stages[0::2], stages[1::2]
    spreads = words[-1] == "kcenter"
    known = all(word in SCORES for word in words[: len(words) - spreads])
    require(known, f"this round is of {spec['strategy']}; here stages of {', '.join(SCORES)}, and kcenter last, are made again")
    require("apart" not in spec and "metric" not in spec, "this round keeps its picks apart, or compares directions")
    require("arms" not in log.round, "strategies shared this round, which is not done here")
    parts = [part for part in log.models.get(log.round.get("model"), {"parts": []})["parts"]]
    outputs = [part for part in parts if part["part"] in ("logits", "probs")]
    places = [part for part in pool["parts"] if part["part"] == "embeddings"] if spreads else []
    require(len(outputs) == 1 or words == ["kcenter"], "the model has no outputs, or several files of them")
    require(len(places) == spreads, "the pool has no embeddings, or several files of them")
    features = read_npy(places[0]) if spreads else []
    rows = read_npy(outputs[0]) if outputs else [[1.0]] * pool["rows"]
    settings = tomllib.loads(log.settings)
    names, group, (money, time) = read_items(pool, settings)
    drawn = {pick["row"] for pick in log.picks if pick["arm"] == "audit"}
    for pick in log.picks:
        require(names[pick["row"]] == pick["item"], f"row {pick['row']} is {names[pick['row']]}, not {pick['item']}")
        require(pick["item"] not in log.gone, f"{pick['item']} was taken before")
    chosen = [pick for pick in log.picks if pick["arm"] != "audit"]
    left = [row for row, values in enumerate(rows) if names[row] not in log.gone and row not in drawn and all(map(math.isfinite, values))]

    budgets = [(money, spec.get("budget"), "cost"), (time, spec.get("budgets", {}).get("seconds"), "seconds")]
    budgets = [one for one in budgets if one[1] is not None]
    for _, most, key in budgets:
        total = sum(pick.get(key, 0) for pick in chosen)
        require(total <= most, f"the picks come to {total} ({key}), and {most} was left")
    fitted = "price" in log.round or "took" in log.round
    quota, picks = spec.get("quota"), spec["batch"]
    for slice_, most in enumerate(quota or []):
        require(sum(group[pick["row"]] == slice_ for pick in chosen) <= most, f"slice {slice_} has more than its quota")
    within = f"round {options.round}: the {len(chosen)} picks are within every limit"
    if fitted:
        return f"{within}; prices were fitted, and no more is looked at"
    floors = any(spec.get("floor", []))  # they have a say in what stages keep, and in what is picked
    for costs, most, _ in budgets:
        picks = min(picks, affordable(costs, most, group, quota, left))

    sure, may = left, left
    for k, word in enumerate(words[: len(words) - spreads]):
        values = {row: SCORES[word](softmax(rows[row]) if outputs[0]["part"] == "logits" else rows[row]) for row in may}
        for pick in chosen:
            said = pick["score"] if k + 1 == len(words) else pick.get("kept_by", {}).get(word)
            require(pick["row"] in values, f"{pick['item']} was not kept by the stages before")
            require(said is not None and abs(values[pick["row"]] - said) <= FP32, f"the score of {pick['item']} is {values[pick['row']]:.9g}")
        if k + 1 < len(words):
            certain, may = ([], may) if floors else kept(values, rules[k], picks)
            sure = [row for row in certain if row in set(sure)]
    if spreads:
        labelled = [row for row in range(len(names)) if names[row] in log.known] + sorted(drawn)

        def allowed(row, before):
            if quota and sum(group[one["row"]] == group[row] for one in before) >= quota[group[row]]:
                return False
            return all(costs[row] + sum(one.get(key, 0) for one in before) <= most for costs, most, key in budgets)

        check_farthest(chosen, [] if floors else sure, may, labelled, features, allowed)
        if floors:
            return f"{within}, each as far from the others as it says; floors had a say in them"
        require(budgets or quota or len(chosen) == min(spec["batch"], len(left)), f"{len(chosen)} picks are too few")
        return f"round {options.round} holds: {len(chosen)} picks, each the farthest there was, and {len(drawn)} drawn at random"
    if floors and len(words) > 1:
        return f"{within}, and their scores are theirs; floors had a say in what stages kept"
    wanted = best(sorted(values, key=lambda row: (-values[row], row)), group, spec)
    got, made = {pick["row"] for pick in chosen}, set(wanted)
    # Rows that change places because float32 sees them alike are the same.
    other = sorted(values[row] for row in got ^ made)
    if other and len(got) == len(made) and other[-1] - other[0] <= FP32:
        made = got
    if got != made and budgets:
        most = min(most_worth(values, costs, budget, group, spec) for costs, budget, _ in budgets)
        share = sum(values[row] for row in got) / most if most > 0 else 1
        said = log.round.get("of_optimum", 0)
        require(len(budgets) > 1 or share >= said - 0.005, f"the picks have {share:.4f} of the best batch surely, not {said:.4f}")
        return f"round {options.round}: a budget decided; the {len(got)} picks have at least {share:.2%} of the best batch's score"
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
