"""The module gives what the golden vectors of tests/conformance say, which an independent double-precision reference
wrote; and every strategy has some."""

import json
import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import poolwise
from poolwise._asking import needs

VECTORS = pathlib.Path(__file__).parents[3] / "tests" / "conformance"
NAMES = [strategy.name for strategy in poolwise.strategies()]
FLOATS = {"logits", "probs", "committee", "committee_probs", "embeddings", "predictions", "queries", "query_weights", "private",
          "labels", "targets", "cost_matrix", "label_logits", "label_probs", "label_sets"}
# What the vectors call outputs by what they hold.
KEYWORDS = {"logits": "outputs", "probs": "outputs", "committee_probs": "committee", "label_logits": "label_outputs",
            "label_probs": "label_outputs"}


def selected(case, batch):
    inputs = {KEYWORDS.get(name, name): np.array(value, np.float32) if name in FLOATS else value for name, value in case["inputs"].items()}
    kind = "probabilities" if {"probs", "committee_probs", "label_probs"} & set(case["inputs"]) else "logits"
    return poolwise.select(case["strategy"], batch=batch, kind=kind, **inputs, **case["parameters"])


def is_near(got, wanted, tolerance):
    wanted = float(wanted)
    return got == wanted or abs(got - wanted) <= tolerance * (1 + abs(wanted))


def differences(case):
    batch = selected(case, case["batch"])
    if batch.rows.tolist() != case["picks"]:
        yield f"picks {batch.rows.tolist()}, not {case['picks']}"
    for row, got, wanted in zip(batch.rows, batch.scores, case["values"]):
        if not is_near(float(got), wanted, case["tolerance"]):
            yield f"row {row} has the value {got}, not {wanted}"
    for row, score in zip(batch.rows, batch.scores):
        if "scores" in case and not is_near(float(score), case["scores"][row], case["tolerance"]):
            yield f"row {row} scores {score}, not {case['scores'][row]}"


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_gives_its_vectors(name):
    file = VECTORS / f"{name}.json"
    assert file.exists(), f"{name} has no vectors; CONTRIBUTING says how to add some"
    vectors = json.loads(file.read_text())
    assert (vectors["schema"], vectors["name"]) == ("poolwise.conformance/1", name) and vectors["cases"]
    assert not [(case["case"], difference) for case in vectors["cases"] for difference in differences(case)]


def test_what_a_strategy_looks_at_is_what_its_vectors_hold():
    parts = {"logits": {"outputs", "logits"}, "probs": {"outputs"}, "committee": {"committee"}, "committee_probs": {"committee"},
             "embeddings": {"embeddings"}, "predictions": {"predictions"}, "queries": {"queries"}, "private": {"private"},
             "labels": {"labels"}, "targets": {"targets"}, "cost_matrix": {"cost matrix"},
             "label_logits": {"label outputs"}, "label_probs": {"label outputs"}, "label_sets": {"label sets"}}
    for name in NAMES:
        for case in json.loads((VECTORS / f"{name}.json").read_text())["cases"]:
            held = [parts[name] for name in case["inputs"] if name in parts]
            needed = needs(case["strategy"])
            assert needed <= set().union(*held) and all(needed & part for part in held), case["strategy"]


def test_the_vectors_are_what_the_references_give():
    subprocess.run([sys.executable, VECTORS / "generate.py", "--check"], check=True)


def test_a_wrong_vector_is_noticed():
    case = json.loads((VECTORS / "entropy.json").read_text())["cases"][0]
    case["values"][2] += 1e-4
    case["picks"][:2] = case["picks"][1::-1]
    assert len(list(differences(case))) == 2 and math.isfinite(case["scores"][0])
