"""What tests that train share: a quiet trainer, a record of its steps, a look at a file."""

from __future__ import annotations

import inspect
import pickletools
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml

from tutorial_lib.lightning.cli import config_path

QUIET = [
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.log_every_n_steps=1",
]


def read_config(name: str) -> dict[str, Any]:
    """Read one of the book's configs."""
    return yaml.safe_load(config_path(name).read_text("utf-8"))


def small_splits(config: dict[str, Any], *, batches: int = 2) -> list[str]:
    """Ask for a few batches a split, where the data can be told how much it is to be."""
    settings = config["data"]["init_args"]
    module, _, kind = config["data"]["class_path"].rpartition(".")
    known = inspect.signature(getattr(import_module(module), kind)).parameters
    size = batches * settings.get("batch_size", 32)
    sizes = [name for name in ("train_size", "val_size", "test_size") if name in known]
    return [f"--data.init_args.{name}={size}" for name in sizes]


class Recorder(pl.Callback):
    """Note the rates and the loss of every training step, and that the loss is what is logged."""

    def __init__(self) -> None:
        self.group_rates: list[list[float]] = []
        self.losses: list[float] = []

    @property
    def rates(self) -> list[float]:
        """The rate of the first group of parameters."""
        return [rates[0] for rates in self.group_rates]

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        groups = trainer.optimizers[0].param_groups
        self.group_rates.append([group["lr"] for group in groups])

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]))
        assert float(trainer.callback_metrics["train_loss"]) == pytest.approx(self.losses[-1])


def make_trainer(folder: Path | None, *callbacks: pl.Callback, **settings: Any) -> pl.Trainer:
    """A trainer on one core that writes nothing of its own."""
    return pl.Trainer(
        accelerator="cpu",
        callbacks=list(callbacks),
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        **settings,
    )


def fit_and_save(
    folder: Path, task: pl.LightningModule, data: pl.LightningDataModule, **settings: Any
) -> tuple[Recorder, Path]:
    """Train, and give the record of the steps and the checkpoint of the end."""
    record, path = Recorder(), folder / "task.ckpt"
    trainer = make_trainer(folder, record, **settings)
    trainer.fit(task, data)
    trainer.save_checkpoint(path)
    return record, path


def assert_holds_no_module(path: Path) -> None:
    """The checkpoint loads without pickle's freedom, and names no class of ours or of torch.nn."""
    assert "network" not in torch.load(path, weights_only=True)["hyper_parameters"]
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        operations = list(pickletools.genops(archive.read(name)))
    pickled = [argument for code, argument, _ in operations if code.name == "GLOBAL"]
    assert pickled  # tensors are there
    assert not [kind for kind in pickled if kind.startswith(("tutorial_lib", "torch.nn"))]
