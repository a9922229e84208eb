"""The calls of the core, which say in one line what is wrong with their arguments."""

import difflib
import functools
import inspect
import re
from typing import TypeVar

from ._errors import ArgumentError

Call = TypeVar("Call")


def _signature(call):
    """What nanobind writes of a function, for `inspect`."""
    text, _, defaults = call.__nb_signature__[0]
    by_place, _, by_name = text[text.index("(") + 1:text.rindex(") ->")].partition("*, ")
    given = iter(defaults)
    parameters = []
    for part, kind in (by_place, inspect.Parameter.POSITIONAL_OR_KEYWORD), (by_name, inspect.Parameter.KEYWORD_ONLY):
        for argument in re.split(r", (?=\w+: )", part.rstrip(", ")):
            if argument:
                default = next(given) if " = " in argument else inspect.Parameter.empty
                parameters.append(inspect.Parameter(argument.partition(":")[0], kind, default=default))
    return inspect.Signature(parameters)


def explained(call: Call, name: str | None = None) -> Call:
    """The call itself, which messages call `name`; only where nanobind finds no fit, its four lines become one of ours."""
    signature = _signature(call)

    @functools.wraps(call)
    def explaining(*arguments, **keywords):
        try:
            return call(*arguments, **keywords)
        except TypeError as refusal:
            if type(refusal) is not TypeError or "incompatible function arguments" not in str(refusal):
                raise
        raise ArgumentError(f"{name or call.__name__}: {_problem(signature, arguments, keywords)}")

    explaining.__signature__ = signature
    return explaining


# What others call arguments, and what these may be called here: the first that a call has. For those who come from
# scikit-activeml, modAL, small-text, Baal, bmdal, apricot, submodlib and scikit-learn.
ELSEWHERE = {
    "n_instances": ("batch", "k"), "batch_size": ("batch", "k"), "query_size": ("batch", "k"), "n_samples": ("batch", "k"),
    "n_query": ("batch", "k"), "num": ("batch", "k"), "budget_size": ("batch", "k"), "n": ("batch", "k"), "k": ("batch",), "batch": ("k",),
    "X": ("points", "embeddings", "outputs"), "x": ("points", "embeddings", "outputs"), "X_pool": ("points", "embeddings"),
    "X_cand": ("candidates",), "features": ("points", "embeddings"), "embeddings": ("points", "features"), "data": ("points", "embeddings"),
    "logits": ("outputs",), "predictions": ("outputs",), "probabilities": ('outputs, and kind="probabilities"',),
    "probs": ('outputs, and kind="probabilities"',), "proba": ('outputs, and kind="probabilities"',),
    "committee_probs": ('committee, and kind="probabilities"',), "utilities": ("scores",), "query_strategy": ("strategy",),
    "indices_labeled": ("labelled",), "labeled": ("labelled",), "already_selected": ("labelled",), "initial_subset": ("labelled",),
    "random_state": ("seed",), "metric_name": ("metric",), "n_neighbors": ("neighbours", "k"), "n_jobs": ("threads",), "verbose": ("progress",),
}


def _problem(signature, arguments, keywords):
    known = list(signature.parameters)
    for name in keywords:
        if name not in known:
            ours = [mine for mine in ELSEWHERE.get(name, ()) if mine.partition(",")[0] in known]
            if ours:
                return f"{name} is no argument; pass {ours[0]}"
            near = difflib.get_close_matches(name, known, 1)
            return f"{name} is no argument; " + (f"pass {near[0]}" if near else f"pass some of {', '.join(known)}")
    try:
        given = signature.bind(*arguments, **keywords).arguments
    except TypeError as problem:
        return str(problem)
    empty = [name for name, value in given.items() if value is None]
    return f"{empty[0]} is None; leave it out, or pass a value" if empty else "arguments of these types do not fit"
