"""How the modules of this package ask for a batch: the one place that knows the core's keywords."""

import functools
import re

import numpy as np

from . import _core
from ._calls import explained

_select, _score, _committee = explained(_core.select), explained(_core.score), explained(_core.committee)


def select(strategy, batch, *, outputs=None, kind="probabilities", committee=None, **parts):
    """A Batch. `outputs` and `committee` hold what `kind` says; a part that is None is not there."""
    ending = {"probabilities": "probs", "logits": "logits"}[kind]
    parts[ending] = outputs
    parts["committee_probs" if ending == "probs" else "committee"] = committee
    return _select(strategy=strategy, batch=batch, **{name: part for name, part in parts.items() if part is not None})


def score(outputs, name, kind="probabilities"):
    return _score(outputs, name, kind=kind)


def disagreement(outputs, name, kind="probabilities"):
    return _committee(outputs, name, kind=kind)


def _plain(word):
    return re.sub(r"[^a-z0-9]", "", word.lower())


@functools.cache
def _needs_of_words():
    table = {}
    for entry in _core.strategies():
        for word in (entry.name, *entry.aliases):
            table[_plain(word)] = {need.strip() for need in entry.needs.split(",")}
    return table


def needs(strategy):
    """What a strategy looks at, of "outputs", "logits", "committee", "embeddings", "predictions" and "queries"."""
    words = re.findall(r"[A-Za-z_][\w-]*", re.sub(r"\w+\s*=", "", strategy))  # but for the names of parameters
    found = set().union(*(_needs_of_words().get(_plain(word), set()) for word in words))
    return found & {"outputs", "logits", "committee", "embeddings", "predictions", "queries"}


def seed_of(random_state):
    """A whole number: of an int itself, of a numpy Generator or RandomState the next draw, of None a fresh one."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**63))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    return random_state
