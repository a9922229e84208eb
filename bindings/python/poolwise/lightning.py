"""A Lightning callback that picks a batch when training is over; needs lightning, or pytorch_lightning.

    picking = poolwise.lightning.SelectCallback(DataLoader(pool, 256), "margin/10x/kcenter", 100, layer="head")
    Trainer(callbacks=[picking], max_epochs=3).fit(model, train)
    picking.batch_.rows

The arguments are those of poolwise.torch.select; the pool's loader is that of one process.
"""

try:
    from lightning.pytorch.callbacks import Callback
except ImportError:
    try:
        from pytorch_lightning.callbacks import Callback
    except ImportError as missing:
        raise ImportError("poolwise.lightning needs Lightning; pip install lightning") from missing

from .torch import PoolSelection

__all__ = ["SelectCallback"]


class SelectCallback(PoolSelection, Callback):
    """batch_ is the Batch of the last fit, None before the first."""

    def on_train_end(self, trainer, pl_module):
        self.run(pl_module)
