"""A run goes on from its checkpoint bit for bit, wherever it was killed."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from lightning_runs import QUIET, read_config, small_splits
from pytorch_lightning.trainer.states import TrainerFn

from tutorial_lib.experiments.reverse.data import ReverseDataModule
from tutorial_lib.experiments.reverse.task import SequenceTagger
from tutorial_lib.lightning import resume
from tutorial_lib.lightning.cli import BookCLI, config_names, main
from tutorial_lib.lightning.resume import ResumeCheckpoint, random_state, set_random_state
from tutorial_lib.tagger import TaggerNetwork


class NoisyTagger(SequenceTagger):
    """Its validation draws random numbers too: left out or done twice, it changes what follows."""

    def validation_step(self, batch, batch_idx):
        torch.rand(1)
        random.random()
        np.random.rand()
        super().validation_step(batch, batch_idx)


class Record(pl.Callback):
    """Note what every step and every validation did."""

    def __init__(self) -> None:
        self.steps: list[tuple] = []
        self.validations: list[tuple] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        place = trainer.current_epoch, batch_idx, trainer.global_step
        logged = trainer.fit_loop.epoch_loop._batches_that_stepped  # the loggers' step
        self.steps.append((*place, logged, float(outputs["loss"]), batch[0].tolist()))

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            loss = float(trainer.callback_metrics["val_loss"])
            self.validations.append((trainer.global_step, loss))


class KeepAll(ResumeCheckpoint):
    """Keep a copy of every checkpoint."""

    def _save(self, trainer):
        super()._save(trainer)
        number = len(list(self.path.parent.glob("*.copy")))
        shutil.copy(self.path, self.path.with_name(f"{number:02d}.copy"))


def train(folder, *, ckpt_path=None, every=1, keep=False, callbacks=(), seed=1, **options):
    pl.seed_everything(seed, verbose=False)
    network = TaggerNetwork(input_dim=3, num_classes=3, embed_dim=8, dropout=0.3)
    task = NoisyTagger(network, num_categories=3, learning_rate=0.01, warmup_steps=2)
    data = ReverseDataModule(
        num_categories=3, length=4, train_size=24, val_size=8, test_size=8, batch_size=8, seed=1
    )
    record = Record()
    checkpoint = (KeepAll if keep else ResumeCheckpoint)(
        every_n_train_steps=every, dirpath=str(folder)
    )
    trainer = pl.Trainer(
        accelerator="cpu",
        callbacks=[record, checkpoint, *callbacks],
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        **options,
    )
    trainer.fit(task, data, ckpt_path=ckpt_path, weights_only=True)
    return {name: value.clone() for name, value in task.state_dict().items()}, record


def assert_equal(weights, expected):
    assert weights.keys() == expected.keys()
    for name, value in weights.items():
        assert value.equal(expected[name]), name


@pytest.mark.parametrize(
    "options",
    [
        {"max_epochs": 2},  # 3 batches an epoch
        {"max_steps": 7, "val_check_interval": 2},
        {"max_epochs": 2, "val_check_interval": 2},
        {"max_epochs": 2, "accumulate_grad_batches": 2},
        {"max_steps": 5, "limit_train_batches": 2},
        {"max_steps": 7, "val_check_interval": 2, "check_val_every_n_epoch": None},
        {"max_steps": 7, "limit_val_batches": 0},
    ],
    ids=str,
)
def test_every_checkpoint_leads_to_the_same_end(tmp_path, options):
    (tmp_path / "again").mkdir()
    weights, record = train(tmp_path, keep=True, **options)
    copies, rest = sorted(tmp_path.glob("*.copy")), record
    assert len(copies) == record.steps[-1][2]  # after each step
    for copy in copies:
        resumed, rest = train(tmp_path / "again", ckpt_path=copy, **options)
        assert_equal(resumed, weights)
        assert rest.steps == record.steps[len(record.steps) - len(rest.steps) :]
        done = len(record.validations) - len(rest.validations)
        assert rest.validations == record.validations[done:]
    assert len(rest.steps) == 0  # the last copy is of the end


@pytest.mark.parametrize(
    "options",
    [
        {"max_epochs": 3},
        {"max_steps": 10, "val_check_interval": 2},
        {"max_epochs": 3, "val_check_interval": 2},
        {"max_steps": 10, "limit_val_batches": 0},
    ],
    ids=str,
)
def test_a_run_that_is_resumed_at_each_of_its_checkpoints_ends_the_same(tmp_path, options):
    weights, record = train(tmp_path, **options)
    last, resumed, rest, runs = None, {}, record, 0
    while rest.steps:
        folder = tmp_path / f"{runs:02d}"
        resumed, rest = train(folder, ckpt_path=last, keep=True, **options)
        assert rest.steps == record.steps[len(record.steps) - len(rest.steps) :]
        copies = sorted(folder.glob("*.copy"))
        last, runs = copies[0] if copies else None, runs + 1  # the first that this run has written
    assert_equal(resumed, weights)
    assert runs == len(record.steps) + 1  # from the beginning, and from each checkpoint


def test_checkpoints_come_every_so_many_steps_and_at_the_end(tmp_path):
    train(tmp_path, keep=True, every=3, max_steps=7)
    steps = [
        torch.load(copy, weights_only=True)["global_step"]
        for copy in sorted(tmp_path.glob("*.copy"))
    ]
    assert steps == [3, 6, 7]
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_resumed_run_writes_at_the_same_steps(tmp_path):
    train(tmp_path, every=2, max_steps=3)
    (tmp_path / "again").mkdir()
    train(tmp_path / "again", keep=True, every=2, ckpt_path=tmp_path / "last.ckpt", max_steps=7)
    steps = [
        torch.load(copy, weights_only=True)["global_step"]
        for copy in sorted((tmp_path / "again").glob("*.copy"))
    ]
    assert steps == [4, 6, 7]


def test_a_trial_run_writes_nothing(tmp_path):
    train(tmp_path, fast_dev_run=3)
    assert not list(tmp_path.iterdir())


def test_the_folder_is_that_of_the_logs_when_none_is_given(tmp_path):
    checkpoint = ResumeCheckpoint()
    trainer = pl.Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path)
    checkpoint.setup(trainer, SequenceTagger(torch.nn.Identity(), num_categories=2), "fit")
    assert checkpoint.path == tmp_path / "last.ckpt"


def test_only_training_takes_the_random_numbers_from_a_checkpoint():
    checkpoint, task = ResumeCheckpoint(), SequenceTagger(torch.nn.Identity(), num_categories=2)
    trainer = pl.Trainer(accelerator="cpu", logger=False, callbacks=[checkpoint])
    for stage, found in (("test", None), ("fit", "something")):
        trainer.state.fn = TrainerFn(stage)
        checkpoint.on_load_checkpoint(trainer, task, {resume.KEY: "something"})
        assert checkpoint._found == found


def test_random_numbers_go_on_where_they_stood():
    draws = torch.rand, random.random, np.random.rand
    state = random_state()
    first = [float(draw(1) if draw is torch.rand else draw()) for draw in draws]
    for seed in (torch.manual_seed, random.seed, np.random.seed):
        seed(5)
    set_random_state(state)
    assert [float(draw(1) if draw is torch.rand else draw()) for draw in draws] == first


def test_the_random_state_needs_no_pickled_code(tmp_path):
    torch.save(random_state(), tmp_path / "state.pt")
    torch.save(torch.load(tmp_path / "state.pt", weights_only=True), tmp_path / "again.pt")


class KilledError(Exception):
    """Stands in for kill -9: all that is left of the run is on the disk."""


def die():
    raise KilledError


class Kill(pl.Callback):
    """Die after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer, *_):
        if trainer.global_step == self.step:
            die()


def dies_half_written(trainer, path, **_):
    if trainer.global_step < 4:
        return SAVE(trainer, path, **_)
    Path(path).write_bytes(b"half a checkpoint")
    return die()


def dies_before_the_rename(source, target):
    if torch.load(source, weights_only=True)["global_step"] == 4:
        die()
    RENAME(source, target)


SAVE, RENAME = pl.Trainer.save_checkpoint, os.replace
MOMENTS = {
    "between": ([Kill(step=5)], []),
    "while validating": ([Kill(step=4)], []),
    "half written": ([], [(pl.Trainer, "save_checkpoint", dies_half_written)]),
    "before the rename": ([], [(resume.os, "replace", dies_before_the_rename)]),
}
RUN = {"max_steps": 7, "val_check_interval": 2, "every": 2}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_at_a_bad_moment_goes_on(tmp_path, moment):
    callbacks, patches = MOMENTS[moment]
    with pytest.MonkeyPatch.context() as patched:
        for patch in patches:
            patched.setattr(*patch)
        with pytest.raises(KilledError):
            train(tmp_path, callbacks=callbacks, **RUN)
    last = tmp_path / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == (4 if moment == "between" else 2)
    resumed, _ = train(tmp_path, ckpt_path=last, **RUN)
    weights, _ = train(tmp_path / "whole", **RUN)
    assert_equal(resumed, weights)


def dies_after_six_steps(cli):
    cli.trainer.callbacks.insert(0, Kill(step=6))  # before the sixth is saved


def run_config(name, root, *flags):
    """Train a config with four batches an epoch, into the second; give the last checkpoint."""
    words = [f"--trainer.default_root_dir={root}", "--trainer.max_steps=7"]
    words += ["--trainer.val_check_interval=3", "--trainer.limit_val_batches=1"]
    words += ["--trainer.limit_train_batches=4", "--resume.every_n_train_steps=1"]
    words += ["--model.init_args.warmup_steps=2"]
    sizes = small_splits(read_config(name), batches=4)
    assert main(["fit", f"--config={name}", *QUIET, *sizes, *words, *flags]) == 0
    (path,) = Path(root).rglob("last.ckpt")
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("name", config_names())
def test_every_config_goes_on_to_the_same_weights(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    whole = run_config(name, "whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(BookCLI, "before_fit", dies_after_six_steps, raising=False)
        with pytest.raises(KilledError):
            run_config(name, "killed")
    (last,) = Path("killed").rglob("last.ckpt")
    last = last.rename("killed.ckpt")
    killed = torch.load(last, weights_only=True)
    assert (killed["global_step"], killed[resume.KEY]["batches"]) == (5, 1)  # in the second epoch
    resumed = run_config(name, "resumed", f"--ckpt_path={last}")
    assert resumed["global_step"] == whole["global_step"] == 7
    assert_equal(resumed["state_dict"], whole["state_dict"])
    moments = (run["optimizer_states"][0]["state"] for run in (resumed, whole))
    for ours, theirs in zip(*(state.values() for state in moments), strict=True):
        assert_equal(ours, theirs)


@pytest.mark.usefixtures("unchecked_shapes")
def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="every_n_train_steps must be at least 1, got 0"):
        ResumeCheckpoint(every_n_train_steps=0)
    with pytest.raises(TypeError, match="every_n_train_steps must be an integer, got str"):
        ResumeCheckpoint(every_n_train_steps="often")
