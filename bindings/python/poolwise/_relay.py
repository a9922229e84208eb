"""How ranks that are tasks of an engine gather: by an actor of that engine, which hands on bytes."""

import asyncio

import numpy as np

from ._errors import InvalidValueError


class Relay:
    """An actor by which ranks gather: its coroutines wait beside each other."""

    def __init__(self, size):
        self._size, self._exchanges = size, {}

    async def gather(self, exchange, rank, mine, deadline):
        """The bytes of all ranks; a tuple of those that gave none within the deadline."""
        given, complete = self._exchanges.setdefault(exchange, ({}, asyncio.Event()))
        given[rank] = mine
        if len(given) == self._size:
            del self._exchanges[exchange]
            complete.set()
        try:
            await asyncio.wait_for(complete.wait(), deadline)
        except asyncio.TimeoutError:
            return tuple(rank for rank in range(self._size) if rank not in given)
        return [given[rank] for rank in range(self._size)]


class RelayedRank:
    """What poolwise.distributed takes for `ranks`."""

    def __init__(self, rank, size, gather, deadline):
        self.rank, self.size, self._gather, self._deadline, self._exchange = rank, size, gather, deadline, 0

    def allgather(self, mine):
        self._exchange += 1
        answer = self._gather(self._exchange, self.rank, mine, self._deadline)
        if isinstance(answer, tuple):
            raise TimeoutError(f"rank {', '.join(map(str, answer))} not within {self._deadline:g} s; look at its worker")
        return answer


def take_listed(parts, count):
    """Takes labelled, exclude and candidates, numbers or masks of the rows of a pool of `count`, out of `parts`."""
    listed = {}
    for name in "labelled", "exclude", "candidates":
        if parts.get(name) is None:
            continue
        rows = np.asarray(parts.pop(name))
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        wrong = rows[(rows < 0) | (rows >= count)]
        if len(wrong):
            raise InvalidValueError(f"select: {name} names row {wrong[0]}, which is not among the {count} rows; pass rows from 0 to {count - 1}")
        listed[name] = rows
    return listed


def places_of(listed, numbers):
    """The same among the rows of one rank, by their places."""
    return {name: np.flatnonzero(np.isin(numbers, rows)) for name, rows in listed.items()}
