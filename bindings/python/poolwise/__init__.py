"""Poolwise picks, of millions of unlabelled items, the few that are worth paying a person to label.

    import poolwise

    entropy = poolwise.score(logits, "entropy")  # [rows], nats
    rows, scores = poolwise.top_k(entropy, 100)
    chosen = poolwise.select("margin/10x/kcenter", batch=100, outputs=logits, embeddings=embeddings)
    chosen.rows, chosen.scores, chosen.why(0)

Arrays are read where they lie, on the CPU: those of numpy, buffers, and whatever speaks DLPack, Arrow or
__array_interface__; rows may be strided, arrays may be read-only. So are files, by their names: .npy, .npz and
.safetensors. What would have to be converted, such as float64 and Fortran order, is refused, and `copy=True` converts
it in a copy. Uint16 is no bfloat16: `.view(ml_dtypes.bfloat16)` says that it is. Integers are copied; arrays of floats
must stay as they are while a call reads them.

`threads=0` takes as many threads as OpenMP would (OMP_NUM_THREADS). The thread that comes out of a fork, as in the
workers of a data loader, computes alone; "spawn" and "forkserver" start workers that use all.

Every call releases the GIL while it computes. Ctrl-C ends it within about a second, on devices after the pass over the
pool that is under way.
"""

from . import _core
from ._calls import explained
from ._core import Batch, KnnReport, Pick, Plan, PlanStep, Pool, Strategy, __version__, strategies
from ._errors import (
    ArgumentError,
    ArrayError,
    BudgetError,
    ClusterError,
    CudaError,
    DeviceMemoryError,
    Error,
    InvalidValueError,
    NoCudaError,
    ShapeError,
)

badge = explained(_core.badge)
committee = explained(_core.committee)
dpp = explained(_core.dpp)
facility_location = explained(_core.facility_location)
kcenter = explained(_core.kcenter)
knn_graph = explained(_core.knn_graph)
nearest = explained(_core.nearest)
plan = explained(_core.plan)
score = explained(_core.score)
select = explained(_core.select)
top_k = explained(_core.top_k)

__all__ = [
    "ArgumentError",
    "ArrayError",
    "Batch",
    "BudgetError",
    "ClusterError",
    "CudaError",
    "DeviceMemoryError",
    "Error",
    "InvalidValueError",
    "KnnReport",
    "NoCudaError",
    "Pick",
    "Plan",
    "PlanStep",
    "Pool",
    "ShapeError",
    "Strategy",
    "__version__",
    "badge",
    "committee",
    "dpp",
    "facility_location",
    "kcenter",
    "knn_graph",
    "nearest",
    "plan",
    "score",
    "select",
    "strategies",
    "top_k",
]
