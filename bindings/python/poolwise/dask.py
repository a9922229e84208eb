"""One batch from a pool that lies in a Dask cluster; needs dask and distributed.

    import dask.array as da
    import poolwise.dask

    embeddings = da.from_zarr("pool.zarr")  # [rows, features], in chunks of rows
    batch = poolwise.dask.select("kcenter", embeddings, batch=1000)

Each worker that holds chunks is one rank of `poolwise.distributed`: its rows stay where they are, and only what ranks
exchange goes to the others, by way of an actor on one of them. The picks are those of one process, however many workers and
chunks there are. Where a worker is lost Dask makes its chunks again elsewhere, and the batch is picked anew.
"""

import logging

import numpy as np

try:
    import dask
    import dask.array
    from distributed import default_client, get_worker, wait
except ImportError as missing:
    raise ImportError("poolwise.dask needs Dask; pip install 'dask[array]' distributed") from missing

from . import distributed as _distributed
from ._errors import ArgumentError, ClusterError, ShapeError
from ._relay import Relay, RelayedRank, places_of, take_listed

__all__ = ["select"]

_log = logging.getLogger(__name__)
# Of poolwise.select's arguments those with something for each row, and the axis of these.
_ROW_AXIS = {"embeddings": 0, "outputs": 0, "committee": 1, "predictions": 1, "labels": 0, "label_outputs": 0, "label_sets": 0, "ids": 0,
             "cost": 0, "group": 0}


def select(strategy, embeddings=None, *, client=None, deadline=60, retries=1, **parts):
    """`poolwise.select` over the rows of all chunks: a Batch, whose rows count over the whole pool.

    embeddings      a dask array [rows, features], or a dask dataframe of numbers; its chunks of rows are the shards. So are
                    outputs, committee, predictions, labels, ids, cost and group, which have a row for each of its rows; those
                    that are small may be numpy's. All else is as poolwise.select has it: labelled, exclude and candidates are
                    numbers of rows of the whole pool.
    deadline        seconds that a worker waits for another before all end.
    retries         how often it begins anew where a worker was lost.
    raises          ClusterError where a worker fails or is lost; of one worker alone what poolwise.select raises.
    """
    client = client or default_client()
    if embeddings is not None:
        parts["embeddings"] = embeddings
    by_row = {name: parts.pop(name) for name in _ROW_AXIS if parts.get(name) is not None}
    shards = _Shards(by_row, client)
    listed = take_listed(parts, int(shards.first[-1]))
    while True:
        try:
            return _attempt(client, strategy, shards, listed, parts, deadline)
        except ClusterError as end:
            if retries == 0 or not shards.moved(client):
                raise
            retries -= 1
            _log.warning("%s; picking anew on the workers that are left", end)


class _Shards:
    """The chunks as futures of dicts, and the number of the first row of each."""

    def __init__(self, by_row, client):
        arrays = {name: _array(name, given) for name, given in by_row.items()}
        if not arrays:
            raise ArgumentError("select: no array of all rows is given; pass embeddings or outputs")
        chunks = max((array.chunks[_ROW_AXIS[name]] for name, array in arrays.items()), key=len)
        for name, array in arrays.items():
            axis = _ROW_AXIS[name]
            if array.shape[axis] != sum(chunks):
                raise ShapeError(f"select: {name} has {array.shape[axis]} rows but another part has {sum(chunks)}; pass one for each row")
            arrays[name] = array.rechunk({other: chunks if other == axis else -1 for other in range(array.ndim)})
        self.first = np.concatenate([[0], np.cumsum(chunks)]).astype(np.int64)
        blocks = {name: array.to_delayed().ravel() for name, array in arrays.items()}
        self.futures = client.compute([dask.delayed(dict)(**{name: block[at] for name, block in blocks.items()}) for at in range(len(chunks))])
        self._find(client)

    def _find(self, client):
        wait(self.futures)
        for future in self.futures:
            if future.status == "error":
                future.result()
        held = client.who_has(self.futures)
        self._worker = [sorted(held[future.key])[0] for future in self.futures]

    def moved(self, client):
        """Whether chunks lie elsewhere now, on workers that are there."""
        before = self._worker
        self._find(client)
        return before != self._worker

    def by_worker(self):
        return {worker: [at for at, holder in enumerate(self._worker) if holder == worker] for worker in sorted(set(self._worker))}


def _array(name, given):
    if hasattr(given, "to_dask_array"):
        given = given.to_dask_array(lengths=True)
    if not isinstance(given, dask.array.Array):
        given = dask.array.from_array(np.asarray(given), chunks=-1)
    if any(np.isnan(size) for size in given.chunks[_ROW_AXIS[name]]):
        given = given.compute_chunk_sizes()
    return given


def _pick(rank, size, relay, first, blocks, strategy, listed, parts, deadline):
    """One rank's part, on its worker. Its blocks are in the order of their rows."""
    whole = {name: blocks[0][name] if len(blocks) == 1 else np.concatenate([block[name] for block in blocks], axis=_ROW_AXIS[name]) for name in blocks[0]}
    lengths = [np.shape(next(iter(block.values())))[_ROW_AXIS[next(iter(block))]] for block in blocks]
    numbers = np.concatenate([np.arange(begin, begin + length) for begin, length in zip(first, lengths)])
    whole.update(places_of(listed, numbers))
    if "ids" in whole:
        whole["ids"] = list(whole["ids"])
    parts = {"threads": get_worker().state.nthreads, "copy": True, **parts, **whole}
    gather = relay.gather  # looked up here: Dask knows the worker of a task's own thread alone
    ranks = RelayedRank(rank, size, lambda *said: gather(*said).result(), deadline) if size > 1 else None
    return _distributed.select(strategy, ranks=ranks, numbers=numbers, deadline=deadline + 5, **parts)


def _attempt(client, strategy, shards, listed, parts, deadline):
    places = shards.by_worker()
    workers = list(places)
    relay = client.submit(Relay, len(places), actor=True, pure=False, workers=workers[:1]).result()
    tasks = [client.submit(_pick, rank, len(places), relay, [int(shards.first[at]) for at in mine], [shards.futures[at] for at in mine], strategy,
                           listed, parts, deadline, pure=False, workers=[worker], retries=0) for rank, (worker, mine) in enumerate(places.items())]
    try:
        while any(task.status == "pending" for task in tasks):
            try:
                wait(tasks, timeout=0.5, return_when="FIRST_COMPLETED" if len(tasks) == 1 else "ALL_COMPLETED")
            except TimeoutError:
                gone = set(workers) - set(client.scheduler_info(n_workers=-1)["workers"])
                if gone:
                    raise ClusterError(f"worker {min(gone)} is gone; start one in its place, or allow more retries") from None
            if any(task.status in ("error", "cancelled", "lost") for task in tasks):
                break
        for task in tasks:
            if task.status == "error":
                task.result()
        return tasks[0].result()
    finally:
        client.cancel(tasks)
