"""anomalib's KCenterGreedy (anomalib 2), which makes PatchCore's memory bank.

    sampler = poolwise.compat.anomalib.KCenterGreedy(embedding, sampling_ratio=0.01)
    coreset = sampler.sample_coreset()

What differs:
- distances are those of the features as they are, anomalib's of a sparse random projection of them (eps 0.9), so that
  its picks depend on torch's random state; project first to have that;
- the first pick is drawn by `random_state`, anomalib's by torch's; the others are those of greedy, ties to the lower row;
- the rows come back as a list, the coreset as what the embedding is: a tensor stays one, on its device.
"""

from . import _common

__all__ = ["KCenterGreedy"]


class KCenterGreedy:
    """Poolwise's kcenter over int(rows * sampling_ratio) rows."""

    def __init__(self, embedding, sampling_ratio, random_state=None):
        self.embedding, self.random_state = embedding, random_state
        self.coreset_size = int(len(embedding) * sampling_ratio)
        if self.coreset_size <= 0:
            raise ValueError(f"coreset_size must be a positive integer, got {self.coreset_size}. Check sampling_ratio "
                             f"({sampling_ratio}) and embedding size ({len(embedding)}).")

    def select_coreset_idxs(self):
        batch = _common.select("kcenter", self.coreset_size, embeddings=_common.matrix(self.embedding),
                               seed=_common.seed_of(self.random_state))
        return batch.rows.tolist()

    def sample_coreset(self):
        return self.embedding[self.select_coreset_idxs()]
