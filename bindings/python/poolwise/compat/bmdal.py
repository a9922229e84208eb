"""bmdal's select_batch (bmdal-reg 3.0): bmdal_reg.bmdal.algorithms.

    rows, results = poolwise.compat.bmdal.select_batch(
        100, models, {"train": train, "pool": pool}, y_train, base_kernel="linear", kernel_transforms=[],
        selection_method="lcmd")

data hold arrays or tensors of features, or whatever has get_tensor(). What differs:
- the kernel is that of the features as they are, base_kernel="linear" without transforms: gather a network's last
  layer by poolwise.torch and pass it. Other kernels and transforms are refused;
- lcmd, maxdist and maxdet are in fp32 of one summation order, ties to the lower row: the same picks where no two rows
  are within rounding;
- maxdet needs maxdet_sigma, the noise on the kernel's diagonal, above 0 (1 where it is not given, bmdal's is 0);
- fw is that of the pool alone, never of training rows;
- sel_with_train=False leaves training rows out; the default is True for lcmd and maxdist, as bmdal's;
- bait is in feature space, with bait_sigma above 0 (1 where it is not given, bmdal's is 0) and training rows;
- kmeanspp, maxdiag, rmds and sosd are refused.
"""

import time

import numpy as np

from . import _common

__all__ = ["select_batch"]

_METHODS = {"random": ("random", False), "maxdist": ("maxdist", True), "lcmd": ("lcmd", True),
            "maxdet": ("maxdet", False), "fw": ("frank_wolfe", False), "bait": ("bait_regression", True)}


def select_batch(batch_size, models, data, y_train, base_kernel, kernel_transforms, selection_method, *, random_state=None,
                 sel_with_train=None, **config):
    """(rows of the pool, results), as bmdal's; rows are a torch tensor where the pool is one."""
    if base_kernel not in ("linear", "lin") or list(kernel_transforms):
        raise _common.InvalidValueError(f"select_batch: base_kernel is {base_kernel!r} with {len(list(kernel_transforms))} "
                                        "transforms; pass \"linear\" and features of the network's last layer "
                                        "(poolwise.torch.collect)")
    if selection_method not in _METHODS:
        raise _common.InvalidValueError(f"select_batch: selection_method is {selection_method!r}; pass one of "
                                        + ", ".join(map(repr, _METHODS)))
    strategy, with_train = _METHODS[selection_method]
    if selection_method == "maxdet":
        strategy = f"maxdet(noise={config.pop('maxdet_sigma', 1.0)!r})"
    if selection_method == "bait":
        if sel_with_train is False:
            raise _common.InvalidValueError("select_batch: bait without training rows is not here; pass sel_with_train=True")
        strategy = f"bait_regression(noise={config.pop('bait_sigma', 1.0)!r}, forward={config.pop('overselection_factor', 1.0)!r})"
    with_train = with_train if sel_with_train is None else sel_with_train
    pool = _features(data["pool"])
    train = _features(data["train"]) if with_train and "train" in data else pool[:0]
    begin = time.perf_counter()
    batch = _common.select(strategy, _common.number_of("select_batch", "batch_size", batch_size),
                           embeddings=np.concatenate([pool, train]), labelled=len(pool) + np.arange(len(train)),
                           seed=_common.seed_of(random_state))
    spent = time.perf_counter() - begin
    results = {"kernel_time": {"total": 0.0, "process": 0.0}, "selection_time": {"total": spent, "process": spent},
               "selection_status": None}
    return _like(data["pool"], batch.rows), results


def _features(given):
    return _common.matrix(given.get_tensor() if hasattr(given, "get_tensor") else given)


def _like(given, rows):
    tensor = given.get_tensor() if hasattr(given, "get_tensor") else given
    if not hasattr(tensor, "detach"):
        return rows
    import torch

    return torch.from_numpy(np.array(rows)).to(tensor.device)
