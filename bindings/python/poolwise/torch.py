"""From a PyTorch model to a batch; needs torch.

    loader = DataLoader(pool, batch_size=256)                  # in the order of the pool: no shuffling
    seen = poolwise.torch.collect(model, loader, layer="fc")   # logits, and what the layer named fc is fed
    batch = poolwise.torch.select(model, loader, "margin/10x/kcenter", 100, layer="fc", labelled=done)
    doubt = poolwise.torch.disagreement(model, loader, "bald", samples=20)            # MC dropout
    doubt = poolwise.torch.disagreement([a, b, c], loader, "bald")                    # an ensemble
    poolwise.top_k(doubt, 100)

A batch of the loader is what the model takes: a tensor, the first of a tuple or list, or a dict of keywords, whose
"labels" are left out. What the model gives is a tensor, the first of a tuple, or has `logits`. The model runs where its
parameters are, without gradients, as in evaluation, and is left in the mode it was in.
"""

import contextlib
import dataclasses
import difflib
import os

import numpy as np

try:
    import torch
except ImportError as missing:
    raise ImportError("poolwise.torch needs PyTorch; pip install torch") from missing

from . import _asking
from ._errors import ArgumentError, InvalidValueError, ShapeError

__all__ = ["Collected", "PoolSelection", "collect", "collect_committee", "disagreement", "select"]


@dataclasses.dataclass
class Collected:
    """logits [rows, classes] and embeddings [rows, features], float32, in the order of the loader; None if not asked
    for."""

    logits: np.ndarray | None = None
    embeddings: np.ndarray | None = None


def collect(model, loader, *, layer=None, of="input", logits=True, embeddings=None, rows=None):
    """One pass of the model over the loader.

    layer       a module by its name in model.named_modules(), whose input (of="input": the penultimate features, where
                it is the last layer) or output is kept, flattened to [rows, features]. None: no embeddings.
    logits      True: into a new array; an array [rows, classes] to fill; a path of an .npy to write, which is there
                whole or not at all; False: not kept. embeddings likewise, None for a new array.
    rows        of the loader, where its data set has no len().
    """
    sink = _Sink(logits, rows, loader, "logits") if logits is not False else None
    features = _Sink(True if embeddings is None else embeddings, rows, loader, "embeddings") if layer is not None else None
    if layer is None and embeddings is not None:
        raise ArgumentError("collect: embeddings are asked for but no layer; pass the name of the layer that they are of")
    with contextlib.ExitStack() as stack:
        for one in sink, features:
            if one is not None:
                stack.enter_context(one)
        hook = stack.enter_context(_hook(model, layer, of)) if layer is not None else None
        stack.enter_context(_evaluating(model))
        for inputs in _batches(loader):
            out = _run(model, inputs)
            if sink is not None:
                sink.take(out)
            if features is not None:
                features.take(hook.seen())
    return Collected(*(None if one is None else one.array() for one in (sink, features)))


def collect_committee(models, loader, *, samples=1, out=None, rows=None, seed=0):
    """Logits [members, rows, classes]: of each model, or of `samples` passes of one with dropout on. out: None, an
    array, or a path of an .npy, as in `collect`.

    Each batch of rows draws masks of its own, so that a pass is no function of the row alone: "batchbald", which asks how
    labels of several rows go together, wants an ensemble."""
    members = _members(models, samples)
    sink = _Sink(True if out is None else out, rows, loader, "committee", members=len(members))
    with sink, _dropping(members, samples, seed):
        for inputs in _batches(loader):
            sink.take_members([_run(member, inputs) for member in members])
    return sink.array()


def disagreement(models, loader, name="bald", *, samples=1, rows=None, seed=0):
    """float32 [rows]: how much a committee disagrees, by a name of poolwise.committee; or a list of names, [rows, names].
    The members' outputs are kept for one batch of the loader at a time."""
    members = _members(models, samples)
    parts = []
    with _dropping(members, samples, seed):
        for inputs in _batches(loader):
            cube = np.stack([_float32(_run(member, inputs), "committee") for member in members])
            parts.append(_asking.disagreement(cube, name, "logits"))
    scores = np.concatenate(parts) if parts else np.empty(0, np.float32)
    _check_count("disagreement", len(scores), _rows(loader, rows))
    return scores


def select(model, loader, strategy, batch, *, layer=None, of="input", samples=None, labelled=None, seed=0, rows=None,
           **parts):
    """A Batch of rows of the loader: the model's logits, embeddings or committee are gathered, as the strategy needs.

    A committee is that of `model`, a list of models or one with `samples` passes of dropout. parts: the other keywords
    of poolwise.select, cost and budget, say."""
    return PoolSelection(loader, strategy, batch, layer=layer, of=of, samples=samples, labelled=labelled, seed=seed,
                         rows=rows, **parts).run(model)


class PoolSelection:
    """What to ask of a model about a pool, once it is there: the callbacks of poolwise.lightning and
    poolwise.transformers are made of it. The arguments are those of `select`."""

    def __init__(self, loader, strategy, batch, *, layer=None, of="input", samples=None, labelled=None, seed=0, rows=None,
                 **parts):
        needed = _asking.needs(strategy)
        if "embeddings" in needed and layer is None and "embeddings" not in parts:
            raise ArgumentError(f"select: {strategy} compares embeddings; pass layer=, the name of the layer that is fed "
                                "them, or embeddings=")
        self.loader, self.strategy, self.batch, self.layer, self.of = loader, strategy, batch, layer, of
        self.samples, self.labelled, self.seed, self.rows, self.parts = samples, labelled, seed, rows, parts
        self.batch_ = None

    def run(self, model):
        """The Batch, kept in batch_ too."""
        needed, parts = _asking.needs(self.strategy), dict(self.parts)
        one = model[0] if isinstance(model, (list, tuple)) else model
        outputs = bool(needed & {"outputs", "logits"})
        if outputs or ("embeddings" in needed and "embeddings" not in parts):
            seen = collect(one, self.loader, layer=self.layer, of=self.of, logits=outputs, rows=self.rows)
            parts |= {name: part for name, part in (("outputs", seen.logits), ("embeddings", seen.embeddings)) if part is not None}
        if "committee" in needed:
            parts["committee"] = collect_committee(model, self.loader, samples=self.samples or 1, rows=self.rows, seed=self.seed)
        if not parts.keys() & {"outputs", "committee", "embeddings"}:
            parts["rows"] = _rows(self.loader, self.rows)
        self.batch_ = _asking.select(self.strategy, self.batch, kind="logits", labelled=self.labelled, seed=self.seed, **parts)
        return self.batch_


# ---- Running a model


def _members(models, samples):
    if isinstance(models, (list, tuple)):
        if samples != 1:
            raise ArgumentError("committee: there are several models and several samples; pass one model, or samples=1")
        return list(models)
    if samples < 2:
        raise InvalidValueError("committee: one model and one sample do not disagree; pass samples=20, say, for MC dropout, or a "
                                "list of models")
    return [models] * samples


@contextlib.contextmanager
def _evaluating(model):
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextlib.contextmanager
def _dropping(members, samples, seed):
    """As in evaluation, but for dropout where there are samples; torch's random state is left as it was."""
    with contextlib.ExitStack() as stack:
        for member in dict.fromkeys(members):
            stack.enter_context(_evaluating(member))
        if samples > 1:
            dropouts = [m for m in members[0].modules() if isinstance(m, torch.nn.modules.dropout._DropoutNd)]
            if not any(m.p > 0 for m in dropouts):
                raise InvalidValueError("committee: the model has no dropout, so that all samples are alike; pass a list of models")
            for module in dropouts:
                module.train()
            device = _device(members[0])
            stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else []))
            torch.manual_seed(seed)
        yield


def _device(model):
    return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))


def _batches(loader):
    if isinstance(getattr(loader, "sampler", None), torch.utils.data.RandomSampler):
        raise InvalidValueError("collect: the loader shuffles, so that its rows are not the pool's; pass shuffle=False")
    yield from loader


def _run(model, inputs):
    """Logits [rows, classes] of a batch of the loader."""
    device = _device(model)

    def there(part):
        return part.to(device, non_blocking=True) if hasattr(part, "to") else part

    if hasattr(inputs, "keys"):
        out = model(**{name: there(part) for name, part in inputs.items() if name not in ("labels", "label", "label_ids")})
    else:
        out = model(there(inputs[0] if isinstance(inputs, (tuple, list)) else inputs))
    if hasattr(out, "logits"):
        return out.logits
    if hasattr(out, "keys"):
        return out["logits"]
    return out[0] if isinstance(out, (tuple, list)) else out


def _float32(tensor, name):
    if tensor.ndim < 2 or (tensor.ndim > 2 and name != "embeddings"):
        raise ShapeError(f"collect: {name} of a batch are {list(tensor.shape)}; they need [rows, classes]")
    return tensor.detach().flatten(1).to("cpu", torch.float32).numpy()


class _hook:
    """Keeps what a layer of the model is fed, or gives, of the last batch."""

    def __init__(self, model, layer, of):
        modules = dict(model.named_modules())
        if layer not in modules:
            near = difflib.get_close_matches(layer, modules, 3) or [name for name in modules if name][-3:]
            raise InvalidValueError(f"collect: the model has no layer {layer!r}; pass " + " or ".join(map(repr, near)))
        if of not in ("input", "output"):
            raise InvalidValueError(f"collect: of is {of!r}; pass \"input\" or \"output\"")
        self.layer, self.last = layer, None
        self.handle = modules[layer].register_forward_hook(self._keep_input if of == "input" else self._keep_output)

    def _keep_input(self, module, given, out):
        self.last = given[0] if given else None

    def _keep_output(self, module, given, out):
        self.last = out[0] if isinstance(out, (tuple, list)) else out

    def seen(self):
        if self.last is None:
            raise InvalidValueError(f"collect: the layer {self.layer!r} was not run, or not by a tensor; pass another")
        last, self.last = self.last, None
        return last

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.handle.remove()


# ---- Where it is kept


def _rows(loader, rows):
    if rows is not None:
        return rows
    try:
        return len(loader.dataset)
    except (AttributeError, TypeError):
        raise ArgumentError("collect: the loader does not say how many rows it has; pass rows=") from None


def _check_count(call, got, wanted):
    if got != wanted:
        raise ShapeError(f"{call}: the loader gave {got} rows of {wanted}; pass drop_last=False, and the right rows=")


class _Sink:
    """An array that is filled batch by batch: a new one, one that is given, or a file."""

    def __init__(self, to, rows, loader, name, members=None):
        self.rows, self.name, self.members, self.done = _rows(loader, rows), name, members, 0
        self.path = os.fspath(to) if isinstance(to, (str, os.PathLike)) else None
        self.to = to if isinstance(to, np.ndarray) else None
        self.part = f"{self.path}.part" if self.path else None

    def take(self, tensor):
        values = _float32(tensor, self.name)
        self._write(values, slice(None))

    def take_members(self, tensors):
        for at, tensor in enumerate(tensors):
            values = _float32(tensor, self.name)
            self._write(values, at, done=at + 1 == len(tensors))

    def _write(self, values, member, done=True):
        if self.to is None:
            self._make(values.shape[1])
        wanted = (*self.to.shape[:-2], self.rows, values.shape[1])
        if self.to.shape != wanted:
            raise ShapeError(f"collect: {self.name} is {list(self.to.shape)} but the model gives {list(wanted)}; pass an array of "
                             "that shape")
        end = self.done + len(values)
        if end > self.rows:
            _check_count("collect", end, self.rows)
        (self.to if self.members is None else self.to[member])[self.done:end] = values
        self.done = end if done else self.done

    def _make(self, width):
        shape = (self.rows, width) if self.members is None else (self.members, self.rows, width)
        if self.path:
            self.to = np.lib.format.open_memmap(self.part, "w+", np.float32, shape)
        else:
            self.to = np.empty(shape, np.float32)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            try:
                _check_count("collect", self.done, self.rows)
            except ShapeError:
                self._drop()
                raise
            if self.part and self.to is not None:
                self.to.flush()
                os.replace(self.part, self.path)
        else:
            self._drop()

    def _drop(self):
        if self.part and os.path.exists(self.part):
            os.remove(self.part)

    def array(self):
        return np.load(self.path, mmap_mode="r") if self.path else self.to
