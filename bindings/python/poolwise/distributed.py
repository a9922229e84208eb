"""One batch from rows that lie on many ranks: the picks of one process, for any number of ranks and any partition.

    from mpi4py import MPI
    import poolwise.distributed

    batch = poolwise.distributed.select("kcenter", batch=1000, embeddings=my_rows, ranks=MPI.COMM_WORLD)
    batch.rows  # the same on every rank, counted over the rows of all ranks

Every rank calls it with its own rows and otherwise the same arguments. Nothing but bytes goes from rank to rank: the best
rows that each has, in some 5 to 25 exchanges a batch, never the pool.

`ranks` is a communicator of mpi4py, a process group of torch.distributed (gloo or NCCL) or that module itself, or any
object with `rank`, `size` and `allgather(bytes)`, which gives the list of all ranks' bytes in their order. None takes
torch.distributed's group where there is one, else mpi4py's where it was imported, else this process alone.
"""

import queue
import sys
import threading

from . import _core
from ._calls import explained
from ._errors import ArgumentError, ClusterError

__all__ = ["select"]

_select = explained(_core.select_shard, "select")


def select(strategy, pool=None, *, ranks=None, numbers=None, deadline=600, **parts):
    """`poolwise.select` over the rows of all ranks.

    pool, and parts     as poolwise.select has them, of this rank's rows, which may be none: their arrays then are [0, columns].
                        labelled, exclude and candidates count within these rows, or are their ids. What is not by row, such as
                        `queries`, and all other arguments are the same on every rank.
    numbers             [rows] int64: what the whole pool calls each row, from 0 on; ties go to the lower number. None: the rows of
                        all ranks behind each other, in the order of ranks.
    deadline            seconds that this rank waits for another before all end.
    returns             the Batch, the same on every rank. `Batch.rows` are numbers of the whole pool.
    raises              ClusterError, the same sentence on every rank, where ranks ask for different things, one fails or is gone.
                        One rank alone raises what poolwise.select does.
    """
    end = _Ranks(ranks, deadline)
    core = _core.Ranks(end.rank, end.size, end.gather, deadline=deadline, **({} if numbers is None else {"numbers": numbers}))
    try:
        return _select(strategy, *(() if pool is None else (pool,)), ranks=core, **parts)
    except ClusterError:
        raise
    except Exception as problem:  # the others must not wait for this rank
        if end.size > 1:
            core.fail(str(problem))
        raise
    finally:
        end.close()


class _Ranks:
    """rank, size and a gather that gives up after the deadline: engines wait for as long as they like."""

    def __init__(self, given, deadline):
        self.rank, self.size, self._allgather = _adapted(given)
        self._asked, self._answers = queue.SimpleQueue(), queue.SimpleQueue()
        self._thread = None
        self._deadline = deadline

    def gather(self, mine, deadline):
        if self.size == 1:
            return [mine]
        if self._thread is None:  # one for all exchanges: engines bind devices and connections to threads
            self._thread = threading.Thread(target=self._serve, daemon=True, name="poolwise-ranks")
            self._thread.start()
        self._asked.put(mine)
        try:
            answer = self._answers.get(timeout=deadline)
        except queue.Empty:
            raise TimeoutError(f"none within {deadline:g} s; start all ranks again, or allow a longer deadline") from None
        if isinstance(answer, BaseException):
            raise answer
        return [bytes(one) for one in answer]

    def _serve(self):
        while (mine := self._asked.get()) is not None:
            try:
                self._answers.put(list(self._allgather(mine)))
            except BaseException as problem:  # noqa: BLE001 - it is raised where it is waited for
                self._answers.put(problem)

    def close(self):
        self._asked.put(None)


def _adapted(given):
    """(rank, size, allgather) of what was given for `ranks`."""
    torch = sys.modules.get("torch")
    dist = getattr(torch, "distributed", None)
    together = dist is not None and dist.is_available() and dist.is_initialized()
    if given is None:
        if together:
            given = dist
        elif "mpi4py.MPI" in sys.modules:
            given = sys.modules["mpi4py.MPI"].COMM_WORLD
        else:
            return 0, 1, lambda mine: [mine]
    if together and (given is dist or isinstance(given, dist.ProcessGroup)):
        return _of_torch(dist, None if given is dist else given)
    if hasattr(given, "allgather"):
        for rank, size in ("Get_rank", "Get_size"), ("rank", "size"):
            if hasattr(given, rank) and hasattr(given, size):
                value = [getattr(given, name) for name in (rank, size)]
                return *(one() if callable(one) else one for one in value), given.allgather
    raise ArgumentError(f"select: ranks is of type {type(given).__name__}; pass a communicator of mpi4py, an initialised group of "
                        "torch.distributed, or an object with rank, size and allgather(bytes)")


def _of_torch(dist, group):
    size = dist.get_world_size(group)

    def allgather(mine):
        answers = [None] * size
        dist.all_gather_object(answers, mine, group=group)
        return answers

    return dist.get_rank(group), size, allgather
