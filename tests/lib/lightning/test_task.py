"""Every task is trained by one recipe, logs weighted means, and comes back from its checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch
from lightning_runs import Recorder, assert_holds_no_module, fit_and_save, make_trainer
from small_tasks import SMALL, Small
from torch import nn
from torch.utils.data import DataLoader

from tutorial_lib.lightning.task import Task
from tutorial_lib.schedules import cosine_with_warmup, inverse_sqrt_with_warmup

STEPS = 12


class Trained(NamedTuple):
    small: Small
    task: Any
    data: pl.LightningDataModule
    record: Recorder
    path: Path


@pytest.fixture(scope="module", params=SMALL)
def trained(request, tmp_path_factory):
    """Train each once, for a few steps."""
    small = SMALL[request.param]
    task, data = small.task(), small.make_data()
    folder = tmp_path_factory.mktemp("trained")
    record, path = fit_and_save(folder, task, data, max_steps=STEPS, limit_val_batches=1)
    return Trained(small, task, data, record, path)


def assert_equal(one, other):
    assert one.keys() == other.keys()
    assert all(value.equal(other[name]) for name, value in one.items())


def test_the_peak_rate_follows_the_cosine_to_the_last_step_of_the_trainer(trained):
    rate = trained.small.settings["learning_rate"]
    factors = [cosine_with_warmup(s, warmup_steps=3, total_steps=STEPS) for s in range(STEPS)]
    rates = [rates[-1] for rates in trained.record.group_rates]
    assert rates == pytest.approx([rate * factor for factor in factors], abs=1e-12)
    assert max(rates) == rates[3] == rate


def test_the_optimizer_trains_every_parameter_once(trained):
    optimizer = trained.task.optimizers(use_pl_optimizer=False)
    decay = trained.small.settings.get("weight_decay", 0.0)
    assert type(optimizer) is (torch.optim.AdamW if decay else torch.optim.Adam)
    assert all(group["weight_decay"] == decay for group in optimizer.param_groups)
    grouped = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in trained.task.parameters()}


def test_the_same_seed_trains_the_same_network(trained, tmp_path):
    task = trained.small.task()
    trainer = make_trainer(tmp_path, max_steps=STEPS, limit_val_batches=1)
    trainer.fit(task, trained.small.make_data())
    assert_equal(task.state_dict(), trained.task.state_dict())


def test_training_can_be_resumed_from_the_checkpoint(trained, tmp_path):
    record, task = Recorder(), trained.small.task()
    trainer = make_trainer(tmp_path, record, max_steps=STEPS + 2, limit_val_batches=1)
    trainer.fit(task, trained.small.make_data(), ckpt_path=trained.path)
    assert len(record.losses) == 2


def test_a_task_comes_back_from_its_checkpoint_which_holds_no_module(trained):
    small, trained_state = trained.small, trained.task.state_dict()
    fresh = small.kind(**small.parts(seed=1), **small.settings).state_dict()
    assert not all(value.equal(trained_state[name]) for name, value in fresh.items())
    again = small.kind.load_from_checkpoint(trained.path, **small.parts(seed=1), weights_only=True)
    assert_equal(again.state_dict(), trained_state)
    assert dict(again.hparams) == small.settings
    assert_holds_no_module(trained.path)


def test_a_step_lowers_what_the_task_calls_its_loss(trained, tmp_path):
    task, trainer = trained.small.task(warmup_steps=0), make_trainer(tmp_path, max_steps=1)
    batch = next(iter(trained.data.train_dataloader()))  # the one that will come first
    expected = float(task.train().loss(batch).detach())
    trainer.fit(task, trained.data)
    assert float(trainer.callback_metrics["train_loss"]) == pytest.approx(expected, abs=1e-5)


class Rows(nn.Module):
    """A network that says 0, and has something to train."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x * 0 + self.weight


class Counting(Task):
    """Its batches are tuples: a mean, and of how many."""

    def loss(self, batch):
        return (self(batch[0]) - 1).square().mean()

    def means(self, batch):
        mean, count = batch
        return {"a": (mean.float().mean(), int(count)), "b": (-mean.float().mean(), 1)}


def make_loader(batches=((1.0, 3), (5.0, 1))):
    return DataLoader([(torch.tensor(mean), count) for mean, count in batches], batch_size=None)


def test_means_are_weighted_by_what_they_are_means_of(tmp_path):
    task = Counting(Rows(), learning_rate=0.1, warmup_steps=0)
    for stage, prefix in (("validate", "val"), ("test", "test")):
        (found,) = getattr(make_trainer(tmp_path), stage)(task, make_loader(), verbose=False)
        assert found == {f"{prefix}_a": pytest.approx(2.0), f"{prefix}_b": pytest.approx(-3.0)}


def test_the_rate_of_the_papers_schedule_falls_with_the_root_of_the_step(tmp_path):
    record = Recorder()
    task = Counting(Rows(), learning_rate=0.5, warmup_steps=3, schedule="inverse_sqrt")
    make_trainer(tmp_path, record, max_epochs=8).fit(task, make_loader(), make_loader())
    expected = [0.5 * inverse_sqrt_with_warmup(step, warmup_steps=3) for step in range(16)]
    assert record.rates == pytest.approx(expected, abs=1e-12)
    assert record.rates[15] == pytest.approx(0.5 * (4 / 16) ** 0.5)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"network": "x"}, TypeError, "must be an nn.Module, got str"),
        ({"learning_rate": -1.0}, ValueError, "must be above 0"),
        ({"learning_rate": "fast"}, TypeError, "must be a number, got str"),
        ({"warmup_steps": -5}, ValueError, "must be at least 0, got -5"),
        ({"warmup_steps": 1.5}, TypeError, "must be an integer, got float"),
        ({"weight_decay": -0.1}, ValueError, r"must be at least 0 .* got -0\.1"),
        ({"schedule": "step"}, ValueError, r"must be one of .* got 'step'"),
    ],
)
def test_wrong_settings_are_refused(name, wrong, error, says):
    small = SMALL[name]
    known = small.settings.keys() | small.parts().keys()
    (setting,) = wrong
    if setting in known:
        with pytest.raises(error, match=f"^{setting} {says}"):
            small.task(**wrong)
    settings = {"network": nn.Identity(), "learning_rate": 0.1, "warmup_steps": 0}
    with pytest.raises(error, match=f"^{setting} {says}"):
        Counting(**(settings | wrong))
