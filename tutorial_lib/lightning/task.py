"""What the tasks of the experiments share: how a network is trained, and how means are logged."""

from __future__ import annotations

from typing import Any, Literal, get_args

import pytorch_lightning as pl
import torch
from jaxtyping import Float
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tutorial_lib.schedules import cosine_with_warmup, inverse_sqrt_with_warmup, make_scheduler
from tutorial_lib.validation import (
    require_above_zero,
    require_at_least_zero,
    require_counts,
    require_modules,
)

Schedule = Literal["cosine", "inverse_sqrt"]
Means = dict[str, tuple[Float[Tensor, ""], int]]  # by name: a mean, and of how many


class Task(pl.LightningModule):
    r"""Train a network with Adam, at a rate that warms up and falls, and log means.

    .. math:: \eta_s = \eta f(s), \qquad
        \bar m = \frac{\sum_b n_b m_b}{\sum_b n_b}

    An experiment's task says what the :meth:`loss` of a batch is, and which :meth:`means` the
    network is judged by: :math:`m_b`, each the mean of :math:`n_b` things. Logged are
    ``train_loss`` every step, and every epoch :math:`\bar m`, over all batches of all processes:
    ``val_NAME`` and ``test_NAME``.

    Args:
        network: What is trained. Its weights are in the checkpoint, its construction is not:
            reload with ``load_from_checkpoint(path, network=...)``.
        learning_rate: Peak rate, :math:`\eta`.
        warmup_steps: Optimizer steps below the peak.
        weight_decay: Share of a weight that a step takes away, times the rate (AdamW); Adam
            where it is 0.
        schedule: The factor f: "cosine" is :func:`~tutorial_lib.schedules.cosine_with_warmup`, to
            0 at the trainer's last step, "inverse_sqrt" is
            :func:`~tutorial_lib.schedules.inverse_sqrt_with_warmup`, the paper's.

    Raises:
        TypeError: If ``network`` is not a module, ``warmup_steps`` not an integer, or another
            setting not a number.
        ValueError: If ``learning_rate`` is not above 0, ``warmup_steps`` or ``weight_decay``
            negative, or ``schedule`` not known; in training, if ``warmup_steps`` does not lie
            below the trainer's number of steps.

    Taught in :doc:`/notebooks/31_lightning_from_the_ground`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float,
        warmup_steps: int,
        weight_decay: float = 0.0,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__()
        require_modules(network=network)
        require_above_zero(learning_rate=learning_rate)
        require_counts(warmup_steps=warmup_steps)
        require_at_least_zero(weight_decay=weight_decay)
        if schedule not in get_args(Schedule):
            raise ValueError(f"schedule must be one of {get_args(Schedule)}, got {schedule!r}")
        self.network = network
        self.learning_rate, self.warmup_steps = learning_rate, warmup_steps
        self.weight_decay = weight_decay
        self.schedule: Schedule = schedule

    def loss(self, batch: Any) -> Float[Tensor, ""]:
        """Say what a training step lowers.

        Args:
            batch: What the data module gives.

        Returns:
            The loss of the batch.
        """
        raise NotImplementedError

    def means(self, batch: Any) -> Means:
        """Say what the network is judged by.

        Args:
            batch: What the data module gives.

        Returns:
            By name, a mean over the batch, and of how many things it is the mean.
        """
        raise NotImplementedError

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """Call the network.

        Args:
            inputs: What it takes.
            named: What it takes by name.

        Returns:
            What it returns.
        """
        return self.network(*inputs, **named)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a training batch."""
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the means of a validation batch."""
        self.log_means("val", self.means(batch))

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Log the means of a test batch."""
        self.log_means("test", self.means(batch))

    def log_means(self, stage: str, means: Means) -> None:
        """Log what a batch adds to the means of an epoch.

        Args:
            stage: "val" or "test".
            means: As :meth:`means` returns them.
        """
        for name, (mean, count) in means.items():
            self.log(f"{stage}_{name}", mean, batch_size=count, sync_dist=True)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Group what is trained, as PyTorch's optimizers take it.

        Returns:
            All parameters in one group; a task may return more, each with a peak rate ``lr``.
        """
        return [{"params": [*self.parameters()]}]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam, and a rate that changes every step."""
        groups, rate = self.parameter_groups(), self.learning_rate
        optimizer = (
            torch.optim.AdamW(groups, lr=rate, weight_decay=self.weight_decay)
            if self.weight_decay
            else torch.optim.Adam(groups, lr=rate)
        )
        factor, settings = inverse_sqrt_with_warmup, {"warmup_steps": self.warmup_steps}
        if self.schedule == "cosine":
            factor = cosine_with_warmup
            settings["total_steps"] = int(self.trainer.estimated_stepping_batches)
        scheduler = make_scheduler(optimizer, factor, **settings)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }
