"""Poolwise picks, of millions of unlabelled items, the few that are worth paying a person to label.

    import poolwise

    entropy = poolwise.score(logits, "entropy")  # [rows], nats
    rows, scores = poolwise.top_k(entropy, 100)
    chosen = poolwise.select(strategy="margin/10x/kcenter", batch=100, outputs=logits, embeddings=embeddings)
    chosen.rows, chosen.scores, chosen.reasons

Arrays are read where they lie: numpy arrays, or whatever speaks DLPack, on the CPU, with neighbouring columns
beside each other in memory; rows may be strided, arrays may be read-only. What would need a copy is refused with an
`ArrayError` that says how to make it. `threads=0` takes as many threads as OpenMP would (OMP_NUM_THREADS).

Every call releases the GIL while it computes. Ctrl-C ends `select`, `kcenter` and `badge` after the pass over the pool
that is under way; what makes no passes runs to its end first: scores, and the neighbour lists of a graph.
"""

from ._core import (
    Batch,
    KnnReport,
    Plan,
    PlanStep,
    Strategy,
    __version__,
    badge,
    committee,
    kcenter,
    plan,
    score,
    select,
    strategies,
    top_k,
)
from ._errors import (
    ArrayError,
    BudgetError,
    CudaError,
    DeviceMemoryError,
    Error,
    InvalidValueError,
    NoCudaError,
    ShapeError,
)

__all__ = [
    "ArrayError",
    "Batch",
    "BudgetError",
    "CudaError",
    "DeviceMemoryError",
    "Error",
    "InvalidValueError",
    "KnnReport",
    "NoCudaError",
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
