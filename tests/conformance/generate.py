#!/usr/bin/env python3
"""Writes tests/conformance/NAME.json, the golden vectors of each strategy, from tests/conformance/reference/*.py.

    generate.py             writes all of them
    generate.py NAME ...    writes some
    generate.py --check     says which files are not what the references give, and fails

A file holds cases: inputs and parameters by Poolwise's keywords, the picks in order with their values and, where the
strategy is a score, that of every row, all in double precision. An implementation conforms if it picks the same rows
in the same order, with values within `tolerance` times 1 + |value|. Numbers are exact in fp32.
"""

import importlib
import json
import math
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "reference")]

import golden


def references():
    for file in sorted((HERE / "reference").glob("*.py")):
        importlib.import_module(file.stem)
    return golden.registry


def text_of(name, cases):
    """A line for each row of an array: what a change alters is seen in its diff."""
    lines = [f'{{"schema": "{golden.SCHEMA}", "name": "{name}", "cases": [']
    for at, case in enumerate(cases):
        inputs = case.pop("inputs")
        head = json.dumps(case)[:-1]
        arrays = []
        for key, value in inputs.items():
            nested = isinstance(value, list) and value and isinstance(value[0], list)
            rows = ",\n    ".join(json.dumps(row) for row in value) if nested else None
            arrays.append(f'  {json.dumps(key)}: ' + (f"[\n    {rows}]" if nested else json.dumps(value)))
        lines.append(head + ', "inputs": {\n' + ",\n".join(arrays) + "}}" + ("," if at + 1 < len(cases) else ""))
    return "\n".join(lines) + "\n]}\n"


def same(a, b):
    """Equal but for the last digits, which another libm may write otherwise."""
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-11, abs_tol=1e-13)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def main(arguments):
    check, wanted = "--check" in arguments, [name for name in arguments if not name.startswith("-")]
    known = references()
    if missing := [name for name in wanted if name not in known]:
        sys.exit(f"generate.py: no reference has cases of {', '.join(missing)}; add them to tests/conformance/reference")
    wrong = [file.name for file in HERE.glob("*.json") if file.stem not in known]
    for name in wanted or known:
        text, file = text_of(name, known[name]()), HERE / f"{name}.json"
        if check and not (file.exists() and same(json.loads(text), json.loads(file.read_text()))):
            wrong.append(file.name)
        if not check:
            file.write_text(text)
    if wrong:
        sys.exit(f"generate.py: {', '.join(wrong)}: not what the references give; run tests/conformance/generate.py")


if __name__ == "__main__":
    main(sys.argv[1:])
