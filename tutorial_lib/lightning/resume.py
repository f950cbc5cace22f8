"""Checkpoints that a killed run goes on from as if nothing had happened."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from pytorch_lightning.trainer.states import TrainerFn

from tutorial_lib.lightning.loaders import EpochLoader
from tutorial_lib.validation import require_positive

KEY = "tutorial_lib.lightning.resume"  # of what is added to Lightning's checkpoint


class ResumeCheckpoint(Checkpoint):
    """Keep one checkpoint, ``last.ckpt``, from which training goes on bit for bit.

    Lightning's checkpoint holds weights, optimizer, schedule and counters. Three things are added:

    * The state of the random numbers: dropout goes on where it stood.
    * The number of batches done in this epoch, which an
      :class:`~tutorial_lib.lightning.loaders.EpochLoader` is told. Lightning does so too, but not
      where ``configure_optimizers`` asks for the number of steps, nor with
      ``limit_train_batches``.
    * The moment: after an optimizer step, and after the validation that belongs to it; never
      between the batches whose gradients are added up, since the sum is not saved.

    The file is written under another name, flushed to the disk and then renamed, in one folder. A
    rename happens at once or not at all, so whenever the run is killed, ``last.ckpt`` is whole:
    the new one or the one before it.

    Args:
        every_n_train_steps: Optimizer steps from one checkpoint to the next; one more is written
            when training ends.
        dirpath: Folder of the checkpoint; the trainer's ``log_dir`` when left out.

    Attributes:
        path: The checkpoint, from ``setup`` on.

    Raises:
        TypeError: If ``every_n_train_steps`` is not an integer.
        ValueError: If it is below 1.

    Taught in :doc:`/notebooks/35_command_line_and_devices`.
    """

    path: Path

    def __init__(self, *, every_n_train_steps: int = 50, dirpath: str | None = None) -> None:
        super().__init__()
        require_positive(every_n_train_steps=every_n_train_steps)
        self.every_n_train_steps, self.dirpath = every_n_train_steps, dirpath
        self._found: dict[str, Any] | None = None
        self._step_before = self._step_saved = -1
        self._waits_for_validation = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the folder.

        Args:
            trainer: Knows the folder of its logs.
            pl_module: What is trained.
            stage: "fit", "validate", "test" or "predict".
        """
        log_dir = trainer.log_dir  # every process has to ask
        self.path = Path(self.dirpath or log_dir or trainer.default_root_dir) / "last.ckpt"

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what Lightning leaves out; every checkpoint of the trainer gets it.

        Args:
            trainer: Knows the batch.
            pl_module: What is trained.
            checkpoint: Where it goes.
        """
        batches = 0 if trainer.is_last_batch else trainer.fit_loop.batch_idx + 1
        checkpoint[KEY] = {"batches": batches, "random": random_state()}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep it until training starts.

        Args:
            trainer: Goes on from the checkpoint.
            pl_module: What is trained.
            checkpoint: Where it comes from.
        """
        if trainer.state.fn == TrainerFn.FITTING:
            self._found = checkpoint.get(KEY)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on where the checkpoint stood.

        Args:
            trainer: Has restored its own part.
            pl_module: What is trained.
        """
        if self._found is None:
            return
        if isinstance(trainer.train_dataloader, EpochLoader):
            trainer.train_dataloader.load_state_dict({"batches": self._found["batches"]})
        set_random_state(self._found["random"])
        self._found, self._step_saved = None, trainer.global_step
        # Saved behind the last batch of an epoch, it makes Lightning begin the next one without
        # counting it; a checkpoint of that run would then lead to another epoch.
        epochs: Any = trainer.fit_loop.epoch_progress
        uncounted = getattr(trainer.fit_loop, "restarted_mid_epoch", False)  # not in old versions
        if uncounted and epochs.current.ready == epochs.current.completed:
            epochs.increment_ready()
            epochs.increment_started()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note the step.

        Args:
            trainer: Knows the step.
            pl_module: What is trained.
            batch: What comes next.
            batch_idx: Its number.
        """
        self._step_before = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save, if a step was made whose turn it is.

        Args:
            trainer: Knows the step.
            pl_module: What is trained.
            outputs: What the training step returned.
            batch: What it was given.
            batch_idx: Its number.
        """
        step = trainer.global_step
        if step == self._step_before or step % self.every_n_train_steps:
            return
        loop: Any = trainer.fit_loop
        self._waits_for_validation = loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
        if not self._waits_for_validation:
            self._save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save what waited for the validation.

        Args:
            trainer: Has validated.
            pl_module: What is trained.
        """
        if self._waits_for_validation:
            self._waits_for_validation = False
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end of training.

        Args:
            trainer: Has trained.
            pl_module: What was trained.
        """
        if self._step_saved != trainer.global_step:
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        self._step_saved = trainer.global_step
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        unfinished = self.path.with_suffix(".unfinished")
        trainer.save_checkpoint(unfinished, weights_only=False)  # all states, not weights alone
        if trainer.is_global_zero:
            flush_to_disk(unfinished)
            os.replace(unfinished, self.path)
            flush_to_disk(self.path.parent)  # the new name itself
        trainer.strategy.barrier("tutorial_lib.lightning.resume")


def random_state() -> dict[str, Any]:
    """Collect the states of the global random numbers: PyTorch's, Python's and NumPy's.

    Returns:
        Tensors and plain values, which ``torch.load(..., weights_only=True)`` reads.
    """
    numpy: Any = np.random.get_state(legacy=False)
    numpy["state"]["key"] = torch.from_numpy(numpy["state"]["key"].astype(np.int64))
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "python": random.getstate(),
        "numpy": numpy,
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Put the global random numbers back.

    Args:
        state: What ``random_state`` returned.
    """
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    random.setstate(state["python"])
    mersenne = state["numpy"]["state"] | {"key": state["numpy"]["state"]["key"].numpy()}
    np.random.set_state(state["numpy"] | {"state": mersenne})


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, have reached the disk.

    Args:
        path: The file or the folder.
    """
    if os.name != "posix":
        return  # Windows opens no folder
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
