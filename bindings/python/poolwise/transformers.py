"""A callback for the Trainer of Hugging Face transformers that picks a batch when training is over.

    pool = DataLoader(unlabelled, 64, collate_fn=collator)
    picking = poolwise.transformers.SelectCallback(pool, "badge", 100, layer="classifier", labelled=done)
    Trainer(model, args, train_dataset=labelled, callbacks=[picking]).train()
    picking.batch_.rows

The arguments are those of poolwise.torch.select. Batches of the pool are dicts of the model's keywords; "labels" among
them are left out.
"""

try:
    from transformers import TrainerCallback
except ImportError as missing:
    raise ImportError("poolwise.transformers needs transformers; pip install transformers") from missing

from .torch import PoolSelection

__all__ = ["SelectCallback"]


class SelectCallback(PoolSelection, TrainerCallback):
    """batch_ is the Batch of the last training, None before the first."""

    def on_train_end(self, args, state, control, model=None, **_):
        self.run(model)
