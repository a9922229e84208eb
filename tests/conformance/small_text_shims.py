"""A plugin of pytest: small-text's own tests get the shims in place of its query strategies, where $SHIMS is 1. Writes to
$SHIM_REPORT what became of the tests that asked one: others prove nothing."""

import json
import os

import small_text.query_strategies as theirs
from poolwise.compat import small_text as shims
from small_text.query_strategies import bayesian, coresets, strategies

NAMES = "RandomSampling", "BreakingTies", "LeastConfidence", "PredictionEntropy", "GreedyCoreset", "greedy_coreset", "BALD"
asked, outcomes = set(), {}


def noted(call):
    def noting(*arguments, **keywords):
        asked.add(os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" (", 1)[0])
        return call(*arguments, **keywords)

    return noting


for name in NAMES if os.environ["SHIMS"] == "1" else ():
    shim = getattr(shims, name)
    if isinstance(shim, type):
        shim.__init__ = noted(shim.__init__)
    else:
        shim = noted(shim)
    for module in theirs, strategies, coresets, bayesian:
        if hasattr(module, name):
            setattr(module, name, shim)


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome == "failed":
        reason = str(report.longrepr.reprcrash.message).splitlines()[0] if report.failed and report.longrepr else ""
        outcomes[report.nodeid] = report.outcome, reason


def pytest_sessionfinish():
    with open(os.environ["SHIM_REPORT"], "w") as report:
        json.dump({test: outcome for test, outcome in outcomes.items() if test in asked or not asked}, report)
