"""Callbacks of the book's own: what a run keeps of its losses and its attention maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from torch import Tensor

from tutorial_lib.training import evaluating
from tutorial_lib.validation import kind_of, require_positive

Maps = Sequence[Float[Tensor, "batch heads query key"]]


class TrainingRecord(pl.Callback):
    """Keep the loss of every training batch, and what every validation has logged.

    Args:
        prefix: What the names of the validation's numbers begin with.

    Attributes:
        losses: What ``training_step`` returned, batch by batch; nothing where it returned none.
        validated: For each name a number from every validation, without the Trainer's check
            before the training.

    Raises:
        TypeError: If ``prefix`` is not a string.

    Taught in :doc:`/notebooks/31_lightning_from_the_ground`.
    """

    def __init__(self, *, prefix: str = "val_") -> None:
        super().__init__()
        if not isinstance(prefix, str):
            raise TypeError(f"prefix must be a string, got {kind_of(prefix)}")
        self.prefix = prefix
        self.losses: list[float] = []
        self.validated: dict[str, list[float]] = {}

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note the loss of a batch."""
        if outputs:
            self.losses.append(float(outputs["loss"]))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note what the validation has logged."""
        if trainer.sanity_checking:
            return
        for name, value in trainer.callback_metrics.items():
            if name.startswith(self.prefix):
                self.validated.setdefault(name, []).append(float(value))


class AttentionHistory(pl.Callback):
    r"""Look at a network's attention maps before training, every few steps, and after it.

    .. math:: s \in \{0, k, 2k, \dots\} \cup \{S\}

    s counts optimizer steps, and S is the last one. A look happens in evaluation mode and without
    gradients, and every part of the network is then put back into the mode it was in: training
    goes on as if nobody had looked. The history is part of the checkpoint, so that a run that is
    resumed goes on with it.

    Args:
        look: Called with the LightningModule; returns its maps, one tensor a layer, always of the
            same inputs. ``lambda module: attention_maps(module.network, inputs)``
            (:func:`tutorial_lib.attention_maps.attention_maps`) will often do.
        every: Optimizer steps between two looks, k.

    Attributes:
        steps: Number of optimizer steps before each look.
        maps: What each look saw, one tensor ``(batch, heads, query, key)`` a layer.

    Raises:
        TypeError: If ``look`` cannot be called, or ``every`` is not an integer; during training,
            if ``look`` returns something else than tensors.
        ValueError: If ``every`` is below 1; during training, if ``look`` returns no map, or
            tensors that have not four axes.

    Taught in :doc:`/notebooks/31_lightning_from_the_ground`.
    """

    def __init__(self, look: Callable[[pl.LightningModule], Maps], *, every: int) -> None:
        super().__init__()
        if not callable(look):
            raise TypeError(f"look must be a function of the module, got {kind_of(look)}")
        require_positive(every=every)
        self.look, self.every = look, every
        self.steps: list[int] = []
        self.maps: list[list[Tensor]] = []

    def layer(self, number: int) -> Float[Tensor, "look batch heads query key"]:
        """Stack what was seen of one layer.

        Args:
            number: Number of the layer, from 0; negative numbers count from the last.

        Returns:
            One entry for each of ``steps``.

        Raises:
            IndexError: If there is no such layer.
            RuntimeError: If no look has happened yet.
        """
        if not self.maps:
            raise RuntimeError("there is no map yet: train first")
        return torch.stack([maps[number] for maps in self.maps])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look before the first step; forget what is not of this run."""
        start = trainer.global_step
        kept = sum(step <= start for step in self.steps) if start else 0
        del self.steps[kept:], self.maps[kept:]
        self._look(start, pl_module)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Look after every ``every`` optimizer steps."""
        if trainer.global_step % self.every == 0:
            self._look(trainer.global_step, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look after the last step."""
        self._look(trainer.global_step, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Give the history as tensors and plain values, for the checkpoint.

        Returns:
            The steps and the maps.
        """
        return {"steps": list(self.steps), "maps": [list(maps) for maps in self.maps]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the history of a checkpoint.

        Args:
            state_dict: What :meth:`state_dict` gave.
        """
        self.steps = list(state_dict["steps"])
        self.maps = [list(maps) for maps in state_dict["maps"]]

    def _look(self, step: int, module: pl.LightningModule) -> None:
        # Batches whose gradients are accumulated share a step, and a resumed run repeats one.
        if self.steps and step == self.steps[-1]:
            return
        with evaluating(module):
            maps = [_require_map(seen).cpu().clone() for seen in self.look(module)]
        if not maps:
            raise ValueError("look must return at least one map, got none")
        self.steps.append(step)
        self.maps.append(maps)


def _require_map(seen: object) -> Tensor:
    if not isinstance(seen, Tensor):
        raise TypeError(f"look must return tensors, one a layer, got {kind_of(seen)}")
    if seen.ndim != 4:
        raise ValueError(
            f"look must return maps of shape (batch, heads, query, key), got {tuple(seen.shape)}"
        )
    return seen.detach()
