"""poolwise.torch, and the callbacks of Lightning and transformers, on models of some hundred weights. Reported as not
run where torch, lightning or transformers is not to be had."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import poolwise
import poolwise.torch as recipe
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

torch.manual_seed(0)
X = torch.randn(50, 6)
Y = (X[:, 0] > 0).long() + (X[:, 1] > 0).long()


class Net(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm1d(8))
        self.fc = nn.Linear(8, classes)

    def forward(self, x):
        return self.fc(self.body(x))


def loader(size=16, **options):
    return DataLoader(TensorDataset(X, Y), batch_size=size, **options)


def plain(model):
    model.eval()
    with torch.no_grad():
        return model(X).numpy(), model.body(X).numpy()


def test_logits_and_penultimate_features_are_those_of_a_plain_pass():
    model = Net()
    model.train()
    model.body[2].eval()
    seen = recipe.collect(model, loader(), layer="fc")
    assert model.training and not model.body[2].training and not model.fc._forward_hooks  # left as it was
    logits, features = plain(model)
    assert np.allclose(seen.logits, logits, atol=1e-6) and np.allclose(seen.embeddings, features, atol=1e-6)
    assert seen.logits.dtype == np.float32 and seen.logits.flags.c_contiguous
    outputs = recipe.collect(model, loader(7), layer="body.0", of="output", logits=False)
    assert outputs.logits is None and np.allclose(outputs.embeddings, model.body[0](X).detach().numpy(), atol=1e-6)


def test_arrays_are_filled_and_files_are_whole_or_not_there(tmp_path):
    model = Net()
    logits, features = plain(model)
    mine = np.zeros((50, 3), np.float32)
    seen = recipe.collect(model, loader(), layer="fc", logits=mine, embeddings=tmp_path / "h.npy")
    assert seen.logits is mine and np.allclose(mine, logits, atol=1e-6)
    assert np.allclose(np.load(tmp_path / "h.npy"), features, atol=1e-6)
    assert poolwise.select(strategy="kcenter", batch=3, embeddings=seen.embeddings).rows.size == 3

    class Breaks(Net):
        def forward(self, x):
            if len(x) < 16:
                raise RuntimeError("the last batch")
            return super().forward(x)

    for broken, error in (Breaks(), RuntimeError), (model, poolwise.ShapeError):
        with pytest.raises(error):
            recipe.collect(broken, loader(drop_last=True) if broken is model else loader(), logits=tmp_path / "z.npy")
        assert [file.name for file in tmp_path.iterdir()] == ["h.npy"]


def test_dropout_and_ensembles_are_committees(tmp_path):
    model = Net()
    state = torch.get_rng_state()
    cube = recipe.collect_committee(model, loader(), samples=5, seed=3)
    assert cube.shape == (5, 50, 3) and np.ptp(cube, axis=0).max() > 0.01
    assert torch.equal(state, torch.get_rng_state()) and model.training
    assert np.array_equal(cube, recipe.collect_committee(model, loader(), samples=5, seed=3, out=tmp_path / "c.npy"))
    models = [Net() for _ in range(3)]
    each = np.stack([plain(member)[0] for member in models])
    assert np.allclose(recipe.collect_committee(models, loader()), each, atol=1e-6)
    for name in "bald", ["bald", "vote_entropy"]:
        assert np.allclose(recipe.disagreement(models, loader(7), name), poolwise.committee(each, name), atol=1e-6)
    assert np.allclose(recipe.disagreement(model, loader(), samples=5, seed=3), poolwise.committee(cube, "bald"), atol=1e-6)


def test_a_batch_is_that_of_poolwise():
    model, done = Net(), [1, 2, 3]
    logits, features = plain(model)
    wanted = poolwise.select(strategy="margin/10x/kcenter", batch=4, logits=logits, embeddings=features, labelled=done)
    assert recipe.select(model, loader(), "margin/10x/kcenter", 4, layer="fc", labelled=done).rows.tolist() == wanted.rows.tolist()
    models = [Net() for _ in range(3)]
    cube = recipe.collect_committee(models, loader())
    assert recipe.select(models, loader(), "bald", 4).rows.tolist() == poolwise.select(strategy="bald", batch=4, committee=cube).rows.tolist()
    assert len(recipe.select(model, loader(), "random", 4)) == 4
    cost = recipe.select(model, loader(), "entropy", 4, cost=np.arange(50), budget=20)
    assert cost.cost <= 20


def test_dicts_tuples_and_half_precision():
    class Keyed(Net):
        def forward(self, values, mask=None):
            assert mask is not None
            return {"loss": 0, "logits": super().forward(values)}

    model = Keyed()
    rows = [{"values": x, "mask": torch.ones(1), "labels": y} for x, y in zip(X, Y)]
    seen = recipe.collect(model, DataLoader(rows, batch_size=16), layer="fc")
    assert np.allclose(seen.logits, model.eval()(X, True)["logits"].detach().numpy(), atol=1e-6)
    half = recipe.collect(Net().bfloat16(), DataLoader(X.bfloat16(), batch_size=16), layer="fc")
    assert half.logits.dtype == half.embeddings.dtype == np.float32


def test_a_stream_says_how_long_it_is():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(X)

    stream, model = DataLoader(Stream(), batch_size=16), Net()
    with pytest.raises(poolwise.Error, match="rows="):
        recipe.collect(model, stream)
    assert np.allclose(recipe.collect(model, stream, rows=50).logits, plain(model)[0], atol=1e-6)
    with pytest.raises(poolwise.ShapeError, match="50 rows of 60"):
        recipe.collect(model, stream, rows=60)


def test_what_is_wrong_is_said():
    model = Net()
    for call, said in [
        (lambda: recipe.collect(model, loader(shuffle=True)), "shuffle=False"),
        (lambda: recipe.collect(model, loader(), layer="fcc"), "'fc'"),
        (lambda: recipe.collect(model, loader(), layer="fc", of="weights"), "of is"),
        (lambda: recipe.collect(model, loader(), embeddings="h.npy"), "no layer"),
        (lambda: recipe.collect(model, loader(), logits=np.zeros((50, 4), np.float32)), r"\[50, 4\] but the model gives \[50, 3\]"),
        (lambda: recipe.collect(nn.Unflatten(1, (2, 3)), loader()), r"\[16, 2, 3\]"),
        (lambda: recipe.collect_committee(model, loader()), "samples=20"),
        (lambda: recipe.collect_committee([model, model], loader(), samples=2), "samples=1"),
        (lambda: recipe.disagreement(nn.Linear(6, 3), loader(), samples=3), "no dropout"),
        (lambda: recipe.select(model, loader(), "badge", 3), "layer="),
    ]:
        with pytest.raises(poolwise.Error, match=said):
            call()


def test_lightning_picks_when_training_is_over(tmp_path):
    lightning = pytest.importorskip("lightning")
    from poolwise.lightning import SelectCallback

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Net()

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, _):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    picking = SelectCallback(loader(), "margin/50%/kcenter", 5, layer="net.fc", labelled=range(10))
    model = Module()
    trainer = lightning.Trainer(max_epochs=1, callbacks=[picking], accelerator="cpu", logger=False, enable_checkpointing=False,
                                enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path)
    trainer.fit(model, DataLoader(TensorDataset(X[:10], Y[:10]), 5))
    logits, features = plain(model.net)
    wanted = poolwise.select(strategy="margin/50%/kcenter", batch=5, logits=logits, embeddings=features, labelled=range(10))
    assert picking.batch_.rows.tolist() == wanted.rows.tolist()


def test_transformers_picks_when_training_is_over(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from poolwise.transformers import SelectCallback

    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    config = transformers.BertConfig(vocab_size=40, num_labels=3, max_position_embeddings=16, **sizes)
    model = transformers.BertForSequenceClassification(config)
    rows = [{"input_ids": torch.randint(1, 40, (8,)), "attention_mask": torch.ones(8, dtype=torch.long), "labels": Y[i]}
            for i in range(24)]
    picking = SelectCallback(DataLoader(rows, 8), "badge", 4, layer="classifier", labelled=range(6))
    args = transformers.TrainingArguments(str(tmp_path), max_steps=1, per_device_train_batch_size=4, report_to=[], use_cpu=True,
                                          save_strategy="no", disable_tqdm=True)
    transformers.Trainer(model, args, train_dataset=rows[:6], callbacks=[picking]).train()
    seen = recipe.collect(model, DataLoader(rows, 8), layer="classifier")
    wanted = poolwise.select(strategy="badge", batch=4, logits=seen.logits, embeddings=seen.embeddings, labelled=range(6))
    assert picking.batch_.rows.tolist() == wanted.rows.tolist() and seen.embeddings.shape == (24, 16)
