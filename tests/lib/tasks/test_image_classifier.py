"""The classifier trains with Lightning, logs what it says, and comes back from its checkpoint."""

from __future__ import annotations

import pickletools
import zipfile

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from tutorial_lib.convnet import ConvNet
from tutorial_lib.data.digit_module import DigitDataModule
from tutorial_lib.schedules import cosine_with_warmup
from tutorial_lib.tasks.image_classifier import ImageClassifier
from tutorial_lib.vision import VisionTransformer

SIZES = {"image_size": 8, "num_channels": 1, "num_classes": 10}


def make_network(seed=0):
    torch.manual_seed(seed)
    return VisionTransformer(
        patch_size=2, embed_dim=16, num_heads=4, num_layers=1, position_std=0.1, **SIZES
    )


def make_task(network=None, **settings):
    settings = {"learning_rate": 1e-2, "warmup_steps": 5, "weight_decay": 0.1} | settings
    return ImageClassifier(make_network() if network is None else network, **settings)


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
    task, data, record = make_task(), DigitDataModule(batch_size=64), Recorder()
    trainer = make_trainer(folder, record)
    trainer.fit(task, data)
    path = folder / "classifier.ckpt"
    trainer.save_checkpoint(path)
    return task, data, record, path


def test_training_learns_to_read_digits(trained, tmp_path):
    task, data, record, _ = trained
    assert len(record.losses) == 3 * 16
    assert record.losses[-1] < 0.7 * record.losses[0]
    (metrics,) = make_trainer(tmp_path).test(task, data, verbose=False)
    assert metrics["test_accuracy"] > 0.4  # guessing gives 0.1


def test_the_rate_follows_the_schedule_to_the_last_step_of_the_trainer(trained):
    _, _, record, _ = trained
    settings = {"warmup_steps": 5, "total_steps": 48}
    expected = [1e-2 * cosine_with_warmup(step, **settings) for step in range(48)]
    assert record.rates == pytest.approx(expected, abs=1e-12)
    assert max(record.rates) == record.rates[5] == 1e-2


def test_the_logged_numbers_are_those_of_all_images(trained, tmp_path):
    task, data, _, _ = trained
    for stage, prefix, split in (("validate", "val", 1), ("test", "test", 2)):
        (metrics,) = getattr(make_trainer(tmp_path), stage)(task, data, verbose=False)
        images, labels = data.splits[split].tensors
        with torch.no_grad():
            logits = task.eval()(images)
        # The last batch is short: a mean over batches would differ.
        loss = F.cross_entropy(logits, labels)
        accuracy = (logits.argmax(dim=-1) == labels).float().mean()
        assert set(metrics) == {f"{prefix}_loss", f"{prefix}_accuracy"}
        assert metrics[f"{prefix}_loss"] == pytest.approx(float(loss), abs=1e-5)
        assert metrics[f"{prefix}_accuracy"] == pytest.approx(float(accuracy), abs=1e-6)


def test_the_training_loss_is_the_cross_entropy_of_every_image():
    task = make_task()
    images, labels = (tensor[:7] for tensor in DigitDataModule().make_splits()[0].tensors)
    loss, accuracy = task._loss_and_accuracy((images, labels))
    assert float(accuracy) == pytest.approx(int((task(images).argmax(-1) == labels).sum()) / 7)
    chosen = task(images).log_softmax(dim=-1)[torch.arange(7), labels]
    torch.testing.assert_close(loss, -chosen.mean())


def test_any_network_for_images_is_trained(tmp_path):
    task, record = make_task(ConvNet(**SIZES), weight_decay=0.0), Recorder()
    trainer = make_trainer(tmp_path, record, epochs=1)
    trainer.fit(task, DigitDataModule())
    assert record.losses[-1] < record.losses[0]
    (optimizer,) = trainer.optimizers
    assert type(optimizer) is torch.optim.Adam
    (group,) = optimizer.param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in task.parameters()}


def test_weight_decay_makes_the_optimizer_adamw(tmp_path):
    trainer = make_trainer(tmp_path, epochs=1)
    trainer.fit(make_task(weight_decay=0.3, warmup_steps=0), DigitDataModule(batch_size=1077))
    (optimizer,) = trainer.optimizers
    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.param_groups[0]["weight_decay"] == 0.3


def test_the_task_comes_back_from_its_checkpoint(trained):
    task, data, _, path = trained
    again = ImageClassifier.load_from_checkpoint(path, network=make_network(1), weights_only=True)
    images = data.splits[2].tensors[0]
    with torch.no_grad():
        assert again.eval()(images).equal(task.eval()(images))
        assert not make_task().eval()(images).equal(task(images))
    assert dict(again.hparams) == {"learning_rate": 1e-2, "warmup_steps": 5, "weight_decay": 0.1}


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


def test_training_can_be_resumed_from_the_checkpoint(trained, tmp_path):
    *_, path = trained
    record = Recorder()
    make_trainer(tmp_path, record, epochs=4).fit(make_task(), DigitDataModule(), ckpt_path=path)
    assert len(record.losses) == 16


def test_the_same_seed_trains_the_same_network(trained, tmp_path):
    task = make_task()
    make_trainer(tmp_path).fit(task, DigitDataModule(batch_size=64))
    expected = trained[0].state_dict()
    assert all(value.equal(expected[name]) for name, value in task.state_dict().items())


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"network": "x"}, TypeError, "network must be an nn.Module, got str"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be above 0"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number, got str"),
        ({"warmup_steps": -5}, ValueError, "warmup_steps must be at least 0, got -5"),
        ({"warmup_steps": 1.5}, TypeError, "warmup_steps must be an integer, got float"),
        ({"weight_decay": -0.1}, ValueError, r"weight_decay must be at least 0 .* got -0\.1"),
    ],
)
def test_wrong_settings_are_refused(wrong, error, says):
    with pytest.raises(error, match=f"^{says}"):
        ImageClassifier(**({"network": torch.nn.Identity()} | wrong))
