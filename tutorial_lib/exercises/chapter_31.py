"""Checks for chapter 31, Lightning from the ground."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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
        returned = replace_linear(module, _Dense)
        dotted = [key for part in module.modules() for key in part._modules if "." in key]
        assert not dotted, (
            f"in {name}, there is a new child with the name {dotted[0]!r}: setattr does not follow "
            "the dots, so set the attribute on the module that holds the linear map"
        )
        left = _linear_maps(module)
        elsewhere = isinstance(returned, nn.Module) and returned is not module
        assert not (left and elsewhere and not _linear_maps(returned)), (
            f"in {name}, the maps are replaced in the module that you return, and {left[0]!r} of "
            "the one that was handed in is still an nn.Linear: work in place"
        )
        deep = ": the children's children count, too" if left and "." in left[0] else ""
        assert not left, f"in {name}, {left[0]!r} is still an nn.Linear{deep}"
        after = dict(module.named_parameters())
        assert list(after) == list(before), (
            f"in {name}, the parameters must be {list(before)}, got {list(after)}"
        )
        for key, value in before.items():
            new = ": it is new, and the old numbers were not copied" if not after[key].any() else ""
            assert after[key].equal(value), f"in {name}, {key!r} has other numbers than before{new}"


def _linear_maps(module: nn.Module) -> list[str]:
    return [key for key, part in module.named_modules() if isinstance(part, nn.Linear)]


@check.exercise(2, hint="Which hook runs once a step, after backward and before the clipping?")
def norms_are_those_before_clipping(make_callback: Callable) -> None:
    """Train a small module, with and without clipping and accumulation, and compare."""
    for options, name in [
        ({}, "plainly"),
        ({"gradient_clip_val": 0.01}, "with clipping"),
        ({"accumulate_grad_batches": 2}, "with two batches a step"),
    ]:
        callback, right = make_callback(), _Norms()
        assert isinstance(callback, pl.Callback), f"a callback is needed, got {callback!r}"
        trainer = _fit(_Regression(), _batches(), [callback, right], **options)
        got = getattr(callback, "norms", None)
        assert isinstance(got, list), f"norms must be a list, got {got!r}"
        steps = len(right.parts)
        batchwise = len(got) == trainer.fit_loop.total_batch_idx + 1
        assert len(got) == steps, (
            f"trained {name} there are {steps} optimizer steps, got {len(got)} norms"
            + (": your hook runs at every batch" if batchwise else "")
        )
        norms = [float(norm) for norm in got]
        clip = options.get("gradient_clip_val", math.inf)
        for step, (ours, parts) in enumerate(zip(norms, right.parts, strict=True)):
            theirs = math.hypot(*parts)
            assert math.isclose(ours, theirs, rel_tol=1e-6), (
                f"trained {name} the norm of step {step} is {theirs:.4f}, got {ours:.4f}"
                + _wrong_norm(ours, parts, clip)
            )


def _wrong_norm(got: float, parts: list[float], clip: float) -> str:
    """Name what was measured in the place of the norm of all parameters' gradients."""
    norm = math.hypot(*parts)
    for wrong, name in [
        (min(norm, clip), "the norm after clipping"),
        (norm**2, "the square of the norm: the root is missing"),
        (sum(parts), "the sum of the parameters' norms: norms add up as the sides of a box do"),
        (sum(parts) / len(parts), "the mean of the parameters' norms, not that of all together"),
        (parts[0], "the norm of the first parameter alone"),
        (parts[-1], "the norm of the last parameter alone"),
    ]:
        if math.isclose(got, wrong, rel_tol=1e-5):
            return f", {name}"
    return ""


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
        + (": you take one at every batch" if trainer.global_step == 8 else "")
    )
    expected = nn.utils.parameters_to_vector(automatic.parameters())
    got = nn.utils.parameters_to_vector(manual.parameters())
    assert is_close(got, expected), _wrong_steps(got) or (
        f"the weights are {got.tolist()}, with accumulate_grad_batches=2 they are "
        f"{expected.tolist()}"
    )


def _wrong_steps(got: Tensor) -> str | None:
    """Train with each of the usual mistakes, and find the one that leads to these weights."""
    for name, mistake in {
        "the two gradients are added up, not averaged: halve the loss": {"share": 1.0},
        "the gradients are never set to zero: each step follows all batches so far": {
            "zero_at": "never"
        },
        "the first of the two gradients is lost: zero_grad comes before every backward, "
        "not once a step": {"zero_at": "batch"},
        "the first step follows batch 0 alone: batches count from 0, so a step comes after the "
        "batches 1, 3, 5 and 7": {"turn": 0},
    }.items():
        module = _Regression(partial(_steps_with, **mistake))
        _fit(module, _batches(), [])
        if is_close(nn.utils.parameters_to_vector(module.parameters()), got):
            return name
    return None


def _steps_with(
    module: Any,
    batch: Tensor,
    batch_idx: int,
    *,
    share: float = 0.5,
    zero_at: str = "step",
    turn: int = 1,
) -> None:
    """Take a step at every second batch, with what a mistake changes."""
    optimizer = module.optimizers()
    if zero_at == "batch":
        optimizer.zero_grad()
    module.manual_backward(share * module.loss(batch))
    if batch_idx % 2 == turn:
        optimizer.step()
        if zero_at == "step":
            optimizer.zero_grad()


class _Regression(pl.LightningModule):
    """A line through drawn points; its training step is the reader's when one is handed over."""

    def __init__(self, training_step: Callable | None = None) -> None:
        super().__init__()
        self.automatic_optimization = training_step is None
        self.answer = training_step
        self.weight = nn.Parameter(torch.tensor([0.5, -1.0], dtype=torch.float64))
        self.bias = nn.Parameter(torch.tensor(0.3, dtype=torch.float64))

    def loss(self, batch: Tensor) -> Tensor:
        return (batch[:, :2] @ self.weight + self.bias - batch[:, 2]).square().mean()

    def training_step(self, batch: Tensor, batch_idx: int) -> Any:
        if self.answer is not None:
            return self.answer(self, batch, batch_idx)
        return self.loss(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class _Norms(pl.Callback):
    """Keeps the norm of each parameter's gradient at every step, before the clipping."""

    def __init__(self) -> None:
        self.parts: list[list[float]] = []

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any
    ) -> None:
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        self.parts.append([float(grad.norm()) for grad in gradients])


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
