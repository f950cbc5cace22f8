"""The finder trains with Lightning, logs what it says, and comes back from its checkpoint."""

from __future__ import annotations

import pickletools
import zipfile

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from tutorial_lib.data.odd_one_out import OddOneOutDataModule
from tutorial_lib.image_embedding import ConvEmbedding
from tutorial_lib.schedules import cosine_with_warmup
from tutorial_lib.set_network import SetNetwork
from tutorial_lib.tasks.odd_one_finder import OddOneFinder


def make_network(seed=0):
    torch.manual_seed(seed)
    embedding = ConvEmbedding(image_size=8, num_channels=1, embed_dim=32, width=8)
    return SetNetwork(embedding, input_dim=32, embed_dim=32, num_heads=2)


def make_task(**settings):
    settings = {"learning_rate": 5e-3, "warmup_steps": 5, "weight_decay": 0.1} | settings
    return OddOneFinder(make_network(), **settings)


def make_data():
    sizes = {"train_size": 40 * 32, "val_size": 50, "test_size": 210, "batch_size": 32}
    return OddOneOutDataModule(set_size=4, max_shift=0.0, **sizes)


class Recorder(pl.Callback):
    """Note the rate and the loss of every training step."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))
        assert float(trainer.callback_metrics["train_loss"]) == pytest.approx(self.losses[-1])


def make_trainer(tmp_path, *callbacks, epochs=3):
    return pl.Trainer(
        accelerator="cpu",
        callbacks=list(callbacks),
        default_root_dir=tmp_path,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        max_epochs=epochs,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train once: the task, its data, its record and its checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    task, data, record = make_task(), make_data(), Recorder()
    trainer = make_trainer(folder, record)
    trainer.fit(task, data)
    path = folder / "finder.ckpt"
    trainer.save_checkpoint(path)
    return task, data, record, path


def test_training_learns_to_find_the_odd_one(trained, tmp_path):
    task, data, record, _ = trained
    assert len(record.losses) == 3 * 40
    assert record.losses[-1] < 0.7 * record.losses[0]
    (metrics,) = make_trainer(tmp_path).test(task, data, verbose=False)
    assert metrics["test_accuracy"] > 0.7  # guessing gives 0.25


def test_the_rate_follows_the_schedule_to_the_last_step_of_the_trainer(trained):
    _, _, record, _ = trained
    settings = {"warmup_steps": 5, "total_steps": 120}
    expected = [5e-3 * cosine_with_warmup(step, **settings) for step in range(120)]
    assert record.rates == pytest.approx(expected, abs=1e-12)


def test_the_logged_numbers_are_those_of_all_sets(trained, tmp_path):
    task, data, _, _ = trained
    for stage, prefix, split in (("validate", "val", 1), ("test", "test", 2)):
        (metrics,) = getattr(make_trainer(tmp_path), stage)(task, data, verbose=False)
        rows = data.splits[split]
        sets, places = rows.__getitems__(range(len(rows)))
        with torch.no_grad():
            scores = task.eval()(sets)
        # The last batch is short: a mean over batches would differ.
        loss = F.cross_entropy(scores, places)
        accuracy = (scores.argmax(dim=-1) == places).float().mean()
        assert set(metrics) == {f"{prefix}_loss", f"{prefix}_accuracy"}
        assert metrics[f"{prefix}_loss"] == pytest.approx(float(loss), abs=1e-5)
        assert metrics[f"{prefix}_accuracy"] == pytest.approx(float(accuracy), abs=1e-6)


def test_the_training_loss_is_the_cross_entropy_over_the_places():
    task = make_task().eval()
    sets, places = torch.rand(7, 4, 1, 8, 8), torch.tensor([0, 1, 2, 3, 3, 2, 1])
    loss, accuracy = task._loss_and_accuracy((sets, places))
    scores = task.network(sets)
    torch.testing.assert_close(
        loss, (scores.logsumexp(-1) - scores[torch.arange(7), places]).mean()
    )
    assert float(accuracy) == pytest.approx(int((scores.argmax(-1) == places).sum()) / 7)


def test_the_finder_comes_back_from_its_checkpoint(trained):
    task, data, _, path = trained
    again = OddOneFinder.load_from_checkpoint(path, network=make_network(1), weights_only=True)
    sets, _ = data.splits[2].__getitems__(range(20))
    with torch.no_grad():
        assert again.eval()(sets).equal(task.eval()(sets))
        assert not make_task().eval()(sets).equal(task(sets))
    assert dict(again.hparams) == {"learning_rate": 5e-3, "warmup_steps": 5, "weight_decay": 0.1}


def test_the_checkpoint_holds_no_pickled_module(trained):
    *_, path = trained
    checkpoint = torch.load(path, weights_only=True)
    assert "network" not in checkpoint["hyper_parameters"]
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        operations = list(pickletools.genops(archive.read(name)))
    pickled = [argument for code, argument, _ in operations if code.name == "GLOBAL"]
    assert pickled  # tensors are there
    assert not [kind for kind in pickled if kind.startswith(("tutorial_lib", "torch.nn"))]


@pytest.mark.parametrize(("decay", "kind"), [(0.0, torch.optim.Adam), (0.1, torch.optim.AdamW)])
def test_the_optimizer_trains_all_parameters(decay, kind, tmp_path):
    task, trainer = make_task(weight_decay=decay, warmup_steps=1), make_trainer(tmp_path, epochs=1)
    trainer.limit_train_batches = 2
    trainer.fit(task, make_data())
    (optimizer,) = trainer.optimizers
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in task.parameters()}
    assert group["weight_decay"] == decay


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"network": "x"}, TypeError, "network must be an nn.Module, got str"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be above 0"),
        ({"warmup_steps": -5}, ValueError, "warmup_steps must be at least 0, got -5"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be at least 0"),
    ],
)
def test_wrong_settings_are_refused(settings, error, says):
    with pytest.raises(error, match=says):
        OddOneFinder(**{"network": torch.nn.Identity(), **settings})
