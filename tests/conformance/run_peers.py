#!/usr/bin/env python3
"""The libraries that Poolwise has shims for, installed by pip and asked themselves.

    make test-peers                                    or: PYTHONPATH=build/release/python python tests/conformance/run_peers.py
    ... run_peers.py [--only LIBRARY] [--out FILE]

Each library is installed, at the version of peers.py, into an environment under build/peer_tests. Its cells of peers.py
are held to it: what we say it does, and what our shim gives in its place. small-text's source archive holds its own
tests, which run with the shims in the place of its strategies; the others' archives hold no tests of their queries.
Prints passed / all and the reason of each failure, and fails on one that is not explained.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOM = HERE.parents[1] / "build" / "peer_tests"

sys.path.insert(0, str(HERE))

import peers

ENVIRONMENTS = {  # of packages that go together; torch is some GB
    "plain": ["scikit-activeml", "modAL", "submodlib", "apricot"],
    "torch": ["Baal", "bmdal", "small-text"],
}
PACKAGES = {"scikit-activeml": "scikit-activeml", "modAL": "modAL-python", "submodlib": "submodlib-py", "apricot": "apricot-select",
            "Baal": "baal", "bmdal": "bmdal-reg", "small-text": "small-text"}
SMALL_TEXT_TESTS = ["tests/unit/small_text/query_strategies", "tests/unit/small_text/test_active_learner.py",
                    "tests/integration/small_text/query_strategies", "tests/integration/small_text/test_serialization.py"]
ALSO_ALONE = "fails with small-text's own strategies, too"
ASKS_TOO_MANY = re.compile(r"GreedyCoresetWith\w+FunctionTest::test_query(_with_num_unlabeled_smaller_than_num_batches)?$")


def explanation(test, reason):
    """Of a failure that is a difference; empty for any other."""
    if ASKS_TOO_MANY.search(test):
        return "asks greedy_coreset for more rows than are unlabelled: small-text returns one again and again, we none twice"
    return reason if reason == ALSO_ALONE else ""


def python_of(environment):
    return ROOM / environment / "bin" / "python"


def install(environment):
    """Why there is none, or nothing."""
    wanted = [f"{PACKAGES[library]}=={peers.VERSIONS[library]}" for library in ENVIRONMENTS[environment]]
    wanted += ["numpy", "scikit-learn", "pytest"] + (["torch", "hnswlib"] if environment == "torch" else [])
    done = ROOM / environment / "installed.txt"
    if done.exists() and done.read_text() == "\n".join(wanted):
        return ""
    subprocess.run([sys.executable, "-m", "venv", "--clear", ROOM / environment], check=True)
    pip = subprocess.run([python_of(environment), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
                         capture_output=True, text=True)
    if pip.returncode:
        return "pip: " + pip.stderr.strip().splitlines()[-1][:160]
    done.write_text("\n".join(wanted))
    return ""


def cells(environment, library):
    run = subprocess.run([python_of(environment), HERE / "peers.py", "--real", library], capture_output=True, text=True)
    try:
        return [(name, wrong) for name, wrong in json.loads(run.stdout.splitlines()[-1])]
    except (IndexError, ValueError):
        return [(library, run.stderr.strip().splitlines()[-1] if run.stderr.strip() else "it said nothing")]


def own_tests_of_small_text():
    name = f"small_text-{peers.VERSIONS['small-text']}"
    if not (ROOM / name).exists():
        subprocess.run([python_of("torch"), "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "-d", ROOM,
                        f"small-text=={peers.VERSIONS['small-text']}"], check=True)
        subprocess.run(["tar", "--extract", "--gzip", "--file", f"{name}.tar.gz"], cwd=ROOM, check=True)
    alone, shimmed = (small_text_tests(ROOM / name, shims) for shims in "01")
    why = {test: ALSO_ALONE for test, (outcome, _) in alone.items() if outcome == "failed"}
    return [(test, "" if outcome == "passed" else why.get(test, reason)) for test, (outcome, reason) in shimmed.items()
            if outcome != "skipped"]


def small_text_tests(folder, shims):
    report = ROOM / "small_text.json"
    report.unlink(missing_ok=True)
    path = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    subprocess.run([python_of("torch"), "-m", "pytest", "-q", "-p", "small_text_shims", "-p", "no:cacheprovider", *SMALL_TEXT_TESTS],
                   cwd=folder, env={**os.environ, "PYTHONPATH": path, "SHIM_REPORT": str(report), "SHIMS": shims}, capture_output=True)
    return json.loads(report.read_text()) if report.exists() else {"small-text's tests": ("failed", "did not run")}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--only", choices=PACKAGES)
    arguments.add_argument("--out", type=pathlib.Path)
    given = arguments.parse_args()
    lines, unexplained = [], False
    for environment, libraries in ENVIRONMENTS.items():
        libraries = [library for library in libraries if given.only in (None, library)]
        absent = install(environment) if libraries else ""
        for library in libraries:
            named = f"{library} {peers.VERSIONS[library]}"
            if absent:
                lines.append(f"{named}: not run: {absent}")
                continue
            kinds = [("scores and picks, ours and the shim's", cells(environment, library))]
            if library == "small-text":
                kinds.append(("its own tests that ask a shim", own_tests_of_small_text()))
            for kind, results in kinds:
                wrong = [(test, reason) for test, reason in results if reason]
                lines.append(f"{named}: {kind}: {len(results) - len(wrong)} / {len(results)}")
                for test, reason in wrong:
                    why = explanation(test, reason)
                    unexplained |= not why
                    lines.append(f"    {test.split('::', 1)[-1]}: {why or reason + '  NOT EXPLAINED'}")
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if given.out:
        given.out.write_text(text)
    return unexplained


if __name__ == "__main__":
    sys.exit(main())
