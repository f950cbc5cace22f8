"""Checks for chapter 31, Lightning from the ground."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tutorial_lib.exercises.checker import Checker, is_close

check = Checker(31)


class _Dense(nn.Module):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T + self.bias


@check.exercise(
    1, hint="Go through module.named_children(): replace a linear map, call yourself for the rest."
)
def every_linear_map_is_replaced(replace_linear: Callable) -> None:
    """Replace the maps of modules that nest them deeper and deeper."""
    with torch.random.fork_rng():
        torch.manual_seed(31)
        flat = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        nested = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Sequential(nn.Linear(3, 5))))
        listed = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(2, 3), nn.Linear(3, 1)])})
    for module, name in [
        (flat, "a module with two linear maps"),
        (nested, "a linear map three levels down"),
        (listed, "a ModuleList inside a ModuleDict"),
    ]:
        before = {key: value.clone() for key, value in module.state_dict().items()}
        replace_linear(module, _Dense)
        left = [key for key, part in module.named_modules() if isinstance(part, nn.Linear)]
        assert not left, f"in {name}, {left[0]!r} is still an nn.Linear"
        after = dict(module.named_parameters())
        assert list(after) == list(before), (
            f"in {name}, the parameters must be {list(before)}, got {list(after)}"
        )
        for key, value in before.items():
            assert after[key].equal(value), f"in {name}, {key!r} has other numbers than before"


@check.exercise(2, hint="Which hook runs once a step, after backward and before the clipping?")
def norms_are_those_before_clipping(make_callback: Callable) -> None:
    """Train a small module, with and without clipping and accumulation, and compare."""
    for options, name in [
        ({}, "plainly"),
        ({"gradient_clip_val": 0.01}, "with clipping"),
        ({"accumulate_grad_batches": 2}, "with two batches a step"),
    ]:
        callback = make_callback()
        assert isinstance(callback, pl.Callback), f"a callback is needed, got {callback!r}"
        expected: list[float] = []
        module = _Regression()
        _fit(module, _batches(), [callback, _Norms(expected)], **options)
        got = getattr(callback, "norms", None)
        assert isinstance(got, list), f"norms must be a list, got {got!r}"
        assert len(got) == len(expected), (
            f"trained {name} there are {len(expected)} optimizer steps, got {len(got)} norms"
        )
        for step, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
            assert math.isclose(float(ours), theirs, rel_tol=1e-6), (
                f"trained {name} the norm of step {step} is {theirs:.4f}, got {float(ours):.4f}"
            )


@check.exercise(
    3, hint="Half the loss, backward at every batch; step and zero_grad at every second one."
)
def two_batches_make_a_step(training_step: Callable) -> None:
    """Compare the weights with those of Lightning's own accumulation."""
    automatic, manual = _Regression(), _Regression(training_step)
    _fit(automatic, _batches(), [], accumulate_grad_batches=2)
    trainer = _fit(manual, _batches(), [])
    assert trainer.global_step == 4, (
        f"8 batches must make 4 optimizer steps, got {trainer.global_step}"
    )
    expected = nn.utils.parameters_to_vector(automatic.parameters())
    got = nn.utils.parameters_to_vector(manual.parameters())
    assert is_close(got, expected), (
        f"the weights are {got.tolist()}, with accumulate_grad_batches=2 they are "
        f"{expected.tolist()}"
    )


class _Regression(pl.LightningModule):
    """A line through drawn points; its training step is the reader's when one is handed over."""

    def __init__(self, training_step: Callable | None = None) -> None:
        super().__init__()
        self.automatic_optimization = training_step is None
        self.answer = training_step
        self.weight = nn.Parameter(torch.tensor([0.5, -1.0], dtype=torch.float64))

    def loss(self, batch: Tensor) -> Tensor:
        return (batch[:, :2] @ self.weight - batch[:, 2]).square().mean()

    def training_step(self, batch: Tensor, batch_idx: int) -> Any:
        if self.answer is not None:
            return self.answer(self, batch, batch_idx)
        return self.loss(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class _Norms(pl.Callback):
    def __init__(self, norms: list[float]) -> None:
        self.norms = norms

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        self.norms.append(float(torch.cat([grad.flatten() for grad in gradients]).norm()))


def _batches() -> DataLoader:
    rows = torch.randn(32, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(31))
    return DataLoader(list(rows), batch_size=4)  # type: ignore[arg-type]


def _fit(
    module: pl.LightningModule, batches: DataLoader, callbacks: list[pl.Callback], **options: Any
) -> pl.Trainer:
    with _quietly():
        trainer = pl.Trainer(
            accelerator="cpu",
            callbacks=callbacks,
            devices=1,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            logger=False,
            max_epochs=1,
            **options,
        )
        trainer.fit(module, batches)
    return trainer


@contextmanager
def _quietly() -> Iterator[None]:
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
