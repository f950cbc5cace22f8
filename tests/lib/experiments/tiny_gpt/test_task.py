"""The task trains, logs exact losses and bits, and comes back from its checkpoint."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from lightning_runs import assert_holds_no_module, fit_and_save, make_trainer

from tutorial_lib.experiments.tiny_gpt.data import TextDataModule
from tutorial_lib.experiments.tiny_gpt.task import LanguageModeling
from tutorial_lib.language_model import TransformerLanguageModel
from tutorial_lib.schedules import cosine_with_warmup


def make_network(seed=0):
    torch.manual_seed(seed)
    return TransformerLanguageModel(
        vocab_size=280, embed_dim=16, num_heads=2, num_layers=1, positions="rotary"
    )


def make_task(**settings):
    settings = {"learning_rate": 1e-2, "warmup_steps": 3, "weight_decay": 0.1} | settings
    return LanguageModeling(make_network(), **settings)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "own.txt"
    path.write_text("\n\n".join(f"Line {i}: “{i * i}” is a square." for i in range(60)), "utf-8")
    module = TextDataModule(path=str(path), vocab_size=280, length=8, batch_size=8)
    module.setup("fit")
    assert module.encoding.vocab_size == 280
    return module


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Train once: the task, its record and its checkpoint."""
    folder, task = tmp_path_factory.mktemp("trained"), make_task()
    record, path = fit_and_save(folder, task, data, max_steps=40, limit_val_batches=0)
    return task, record, path


def test_training_lowers_the_loss_and_follows_the_schedule(trained):
    task, record, _ = trained
    assert len(record.losses) == 40
    assert record.losses[-1] < 0.6 * record.losses[0]
    settings = {"warmup_steps": 3, "total_steps": 40}
    expected = [1e-2 * cosine_with_warmup(step, **settings) for step in range(40)]
    assert record.rates == pytest.approx(expected, abs=1e-12)
    optimizer = task.optimizers(use_pl_optimizer=False)
    assert type(optimizer) is torch.optim.AdamW
    assert optimizer.param_groups[0]["weight_decay"] == 0.1


def test_the_logged_numbers_are_those_of_the_whole_text(trained, data, tmp_path):
    task = trained[0].eval()
    for stage, split in (("validate", 1), ("test", 2)):
        (metrics,) = getattr(make_trainer(tmp_path), stage)(task, data, verbose=False)
        tokens, labels, _ = data.splits[split].tensors
        with torch.no_grad():
            losses = F.cross_entropy(task(tokens).transpose(1, 2), labels, reduction="none")
        prefix = {"validate": "val", "test": "test"}[stage]
        count, length = int((labels != -100).sum()), len(data.texts[split])
        # The last row is filled up, and the last batch is short: a mean of means would differ.
        assert set(metrics) == {f"{prefix}_loss", f"{prefix}_bits_per_character"}
        assert metrics[f"{prefix}_loss"] == pytest.approx(float(losses.sum()) / count, abs=1e-5)
        bits = float(losses.sum()) / math.log(2) / length
        assert metrics[f"{prefix}_bits_per_character"] == pytest.approx(bits, abs=1e-5)


def test_the_task_comes_back_from_its_checkpoint(trained, data):
    task, *_, path = trained
    again = LanguageModeling.load_from_checkpoint(path, network=make_network(1), weights_only=True)
    tokens = data.splits[2].tensors[0]
    with torch.no_grad():
        assert again.eval()(tokens).equal(task.eval()(tokens))
        assert not make_task().eval()(tokens).equal(task(tokens))
    assert dict(again.hparams) == {"learning_rate": 1e-2, "warmup_steps": 3, "weight_decay": 0.1}
    assert_holds_no_module(path)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"network": "x"}, TypeError, "network must be an nn.Module, got str"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be above 0"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number, got str"),
        ({"warmup_steps": -5}, ValueError, "warmup_steps must be at least 0, got -5"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be at least 0"),
    ],
)
def test_wrong_settings_are_refused(settings, error, says):
    with pytest.raises(error, match=says):
        LanguageModeling(**{"network": torch.nn.Identity(), **settings})
