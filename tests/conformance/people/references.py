#!/usr/bin/env python3
"""What crowd-kit, krippendorff and irrCAC say of small tables of answers, as tests/engine/annotate.cpp expects it.

    python tests/conformance/people/references.py                writes people.json beside this file
    python tests/conformance/people/references.py --check        fails where the libraries say something else by now

Needs `pip install crowd-kit==1.4.2 krippendorff==0.9.0 irrCAC==0.4.4`; `make test-peers` makes such an environment.
"""
import json
import math
import pathlib
import random
import sys

import krippendorff
import numpy as np
import pandas as pd
from crowdkit.aggregation.classification.dawid_skene import DawidSkene
from irrCAC.raw import CAC

FILE = pathlib.Path(__file__).with_name("people.json")


def dawid_skene():
    """Answers whose every annotator said every label, so that no floor is met."""
    cases = []
    for seed, items, annotators, classes, known in [(1, 60, 5, 2, 0), (2, 150, 7, 3, 0), (3, 120, 6, 4, 20)]:
        draw = random.Random(seed)
        skill = [0.5 + 0.45 * draw.random() for _ in range(annotators)]
        truth = [draw.randrange(classes) for _ in range(items)]
        answers = [(i, k, truth[i] if draw.random() < skill[k] else draw.randrange(classes))
                   for i in range(items) for k in range(annotators) if draw.random() < 0.7]
        frame = pd.DataFrame(answers, columns=["task", "worker", "label"])
        gold = pd.Series({i: truth[i] for i in sorted(frame.task.unique())[:known]}) if known else None
        for rounds in (1, 20):
            model = DawidSkene(n_iter=rounds, tol=-math.inf).fit(frame, true_labels=gold)
            order = sorted(frame.task.unique())
            cases.append({"answers": answers, "classes": classes, "rounds": rounds,
                          "known": [[int(i), int(t)] for i, t in (gold.items() if known else [])],
                          "items": [int(i) for i in order],
                          "posterior": model.probas_.loc[order, list(range(classes))].values.tolist(),
                          "confusion": [[[float(model.errors_.loc[(k, said), true]) for said in range(classes)]
                                         for true in range(classes)] for k in range(annotators)]})
    return cases


# Twelve items by four raters with gaps: Krippendorff 2011, Gwet 2014 (whose raters they are).
PUBLISHED = [[1, 1, None, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4],
             [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [None, 5, 5, 5], [None, None, 1, 1], [None, None, 3, None]]


def tables():
    yield PUBLISHED
    for seed, items, raters, labels, missing in [(5, 30, 2, 2, 0.0), (6, 40, 3, 3, 0.2), (7, 25, 5, 5, 0.4), (8, 200, 4, 2, 0.1)]:
        draw = random.Random(seed)
        truth = [draw.choice([1] * 4 + list(range(1, labels + 1))) for _ in range(items)]
        yield [[None if draw.random() < missing else t if draw.random() < 0.7 else draw.randrange(1, labels + 1)
                for _ in range(raters)] for t in truth]


def agreement():
    cases = []
    for rows in tables():
        values = np.array([[np.nan if x is None else x for x in row] for row in rows], dtype=float)
        case = {"rows": [[-1 if x is None else x for x in row] for row in rows], "alpha": {}, "irrcac": {}}
        for level in ("nominal", "ordinal", "interval"):
            case["alpha"][level] = float(krippendorff.alpha(reliability_data=values.T, level_of_measurement=level))
        for scale, weights in (("nominal", "identity"), ("ordinal", "ordinal"), ("interval", "quadratic")):
            # Without the list it takes a missing label for a category.
            asked = CAC(pd.DataFrame(values), weights=weights, digits=12, categories=sorted({x for row in rows for x in row if x}))
            for name in ("fleiss", "gwet", "krippendorff"):
                if name == "krippendorff" and scale == "ordinal":
                    continue  # another ordinal scale than Krippendorff's
                said = getattr(asked, name)()["est"]
                case["irrcac"][f"{name} {scale}"] = [float(said["coefficient_value"]), float(said["se"]),
                                                     *(float(x) for x in said["confidence_interval"])]
        cases.append(case)
    return cases


def main():
    text = json.dumps({"dawid_skene": dawid_skene(), "agreement": agreement()})
    if "--check" not in sys.argv:
        FILE.write_text(text + "\n")
        return

    def numbers(value):
        return [x for v in (value.values() if isinstance(value, dict) else value) for x in numbers(v)] \
            if isinstance(value, (dict, list)) else [float(value)] if value is not None else []

    kept, now = numbers(json.loads(FILE.read_text())), numbers(json.loads(text))
    worst = max((abs(a - b) for a, b in zip(kept, now)), default=0)
    if len(kept) != len(now) or worst > 1e-9:
        sys.exit(f"people.json: the libraries differ from it by {worst}; look at what changed, then write it anew")
    print(f"people.json: {len(kept)} numbers as the libraries say them, off by at most {worst:.1g}")


if __name__ == "__main__":
    main()
