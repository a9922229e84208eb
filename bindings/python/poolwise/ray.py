"""One batch from a Ray data set; needs ray[data].

    import ray
    import poolwise.ray

    pool = ray.data.read_parquet("pool/")  # a column of embeddings, one of logits ...
    batch = poolwise.ray.select("margin/10x/kcenter", pool, ranks=4, batch=1000, embeddings="emb", outputs="logits")

The rows go in pieces to `ranks` actors, each a rank of `poolwise.distributed`; only what ranks exchange goes on from there. The
picks are those of one process, for any number of ranks and blocks.
"""

import numpy as np

try:
    import ray
except ImportError as missing:
    raise ImportError("poolwise.ray needs Ray; pip install 'ray[data]'") from missing

from . import distributed as _distributed
from ._errors import ArgumentError, ClusterError
from ._relay import Relay, RelayedRank, places_of, take_listed

__all__ = ["select"]

# What a column of the data set may be, and what a row of it holds.
_COLUMNS = ("embeddings", "outputs", "labels", "label_outputs", "label_sets", "ids", "cost", "group")


def select(strategy, dataset, *, ranks=2, numbers=None, cpus=1, deadline=60, retries=1, **parts):
    """`poolwise.select` over the rows of a ray.data.Dataset: a Batch.

    embeddings, outputs, labels, label_outputs, label_sets, ids, cost, group    names of columns.
    numbers         the column that says what the whole pool calls each row, integers from 0 on. None: their places in the data set,
                    which are the same from run to run where its order is (ray.data.DataContext's preserve_order).
    ranks, cpus     actors, and the cores, and threads, of each. All of them must run at the same time.
    labelled, exclude, candidates   numbers of rows of the whole pool. All else is as poolwise.select has it.
    deadline        seconds that a rank waits for another before all end.
    retries         how often it begins anew where an actor or its machine was lost.
    raises          ClusterError.
    """
    columns = {name: parts.pop(name) for name in _COLUMNS if parts.get(name) is not None}
    if not columns or not all(isinstance(column, str) for column in columns.values()):
        raise ArgumentError("select: no column of the data set is named; pass embeddings or outputs as names of columns")
    named = sorted({*columns.values(), *([numbers] if numbers else [])})
    whole = dataset.select_columns(named).materialize()  # all tasks are done before actors take the cores
    listed = take_listed(parts, whole.count())
    ranks = max(1, min(ranks, whole.count()))
    ends = np.linspace(0, whole.count(), ranks + 1).astype(int)
    pieces = whole.split_at_indices([int(end) for end in ends[1:-1]]) if ranks > 1 else [whole]
    while True:
        relay = ray.remote(Relay).options(num_cpus=0, max_concurrency=2 * ranks + 2).remote(ranks)
        actors = [ray.remote(_Shard).options(num_cpus=cpus).remote(rank, ranks, relay, deadline) for rank in range(ranks)]
        tasks = [actor.select.remote(strategy, piece, int(first), columns, numbers, listed, {"threads": cpus, **parts})
                 for actor, piece, first in zip(actors, pieces, ends)]
        try:
            return ray.get(tasks)[0]
        except ray.exceptions.RayTaskError as end:
            if isinstance(end.cause, ClusterError) and retries == 0:
                raise end.cause from None
            if not isinstance(end.cause, ClusterError) or not _lost(tasks):
                raise end.cause from None
        except ray.exceptions.RayActorError as end:
            if retries == 0:
                raise ClusterError(f"an actor is gone: {str(end).splitlines()[0]}") from None
        finally:
            for actor in (*actors, relay):
                ray.kill(actor)
        retries -= 1


def _lost(tasks):
    """Whether one of them has no answer because its actor is gone."""
    for task in tasks:
        try:
            ray.get(task)
        except ray.exceptions.RayActorError:
            return True
        except Exception:  # noqa: BLE001, S112 - what it said is known
            continue
    return False


class _Shard:
    """One rank, an actor."""

    def __init__(self, rank, size, relay, deadline):
        self._end = RelayedRank(rank, size, lambda *said: ray.get(relay.gather.remote(*said)), deadline)
        self._deadline = deadline

    def select(self, strategy, piece, first, columns, numbers, listed, parts):
        blocks = list(piece.iter_batches(batch_size=None, batch_format="numpy"))
        rows = {column: np.concatenate([_dense(block[column]) for block in blocks]) for column in blocks[0]}
        mine = rows[numbers].astype(np.int64) if numbers else np.arange(first, first + len(next(iter(rows.values()))))
        of = {name: rows[column] for name, column in columns.items()}
        of.update(places_of(listed, mine))
        if "ids" in of:
            of["ids"] = of["ids"].tolist()
        return _distributed.select(strategy, ranks=self._end, numbers=mine, deadline=self._deadline + 5, **{"copy": True, **parts, **of})


def _dense(column):
    """A column of lists as a matrix."""
    return np.stack(column) if column.dtype == object and len(column) and not isinstance(column[0], (str, bytes)) else column
