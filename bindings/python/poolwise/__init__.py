"""Poolwise picks, of millions of unlabelled items, the few that are worth paying a person to label.

    import poolwise

    entropy = poolwise.score(logits, "entropy")  # [rows], nats
    rows, scores = poolwise.top_k(entropy, 100)
    chosen = poolwise.select(strategy="margin/10x/kcenter", batch=100, logits=logits, embeddings=embeddings)
    chosen.rows, chosen.scores, chosen.reasons

Arrays are read where they lie if their columns lie beside each other in memory: numpy arrays, buffers, and whatever
speaks DLPack, on the CPU; rows may be strided, arrays may be read-only. Other layouts, such as Fortran order, and other
types of floats are converted in a copy. Uint16 is no bfloat16: `.view(ml_dtypes.bfloat16)` says that it is. Integers
are copied; arrays of floats must stay as they are while a call reads them.

`threads=0` takes as many threads as OpenMP would (OMP_NUM_THREADS). The thread that comes out of a fork, as in the
workers of a data loader, computes alone; "spawn" and "forkserver" start workers that use all.

Every call releases the GIL while it computes. Ctrl-C ends it within about a second, on devices after the pass over the
pool that is under way.
"""

from . import _core
from ._calls import explained
from ._core import Batch, KnnReport, Pick, Plan, PlanStep, Strategy, __version__, strategies
from ._errors import (
    ArgumentError,
    ArrayError,
    BudgetError,
    CudaError,
    DeviceMemoryError,
    Error,
    InvalidValueError,
    NoCudaError,
    ShapeError,
)

badge = explained(_core.badge)
committee = explained(_core.committee)
kcenter = explained(_core.kcenter)
plan = explained(_core.plan)
score = explained(_core.score)
select = explained(_core.select)
top_k = explained(_core.top_k)

__all__ = [
    "ArgumentError",
    "ArrayError",
    "Batch",
    "BudgetError",
    "CudaError",
    "DeviceMemoryError",
    "Error",
    "InvalidValueError",
    "KnnReport",
    "NoCudaError",
    "Pick",
    "Plan",
    "PlanStep",
    "ShapeError",
    "Strategy",
    "__version__",
    "badge",
    "committee",
    "kcenter",
    "plan",
    "score",
    "select",
    "strategies",
    "top_k",
]
