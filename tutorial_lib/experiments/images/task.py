"""Train a network that chooses one of several: the class of an image, the place in a set."""

from __future__ import annotations

import pytorch_lightning as pl
import torch.nn.functional as F
from jaxtyping import Float, Int
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tutorial_lib.lightning.optimization import scheduled_adam
from tutorial_lib.validation import (
    require_above_zero,
    require_at_least_zero,
    require_counts,
    require_modules,
)

Batch = tuple[Float[Tensor, "batch ..."], Int[Tensor, " batch"]]


class Classifier(pl.LightningModule):
    r"""Choose one of several: cross-entropy, Adam, cosine schedule with warm-up.

    .. math:: \mathcal L = -\frac{1}{B} \sum_b \log \operatorname{softmax}(s_b)_{y_b}

    :math:`s_b` are the scores of input b, and :math:`y_b` is the number of the right choice: the
    class of an image, or the place of the odd one in a set.

    Logged are ``train_loss`` every step, and ``val_loss``, ``val_accuracy``, ``test_loss``,
    ``test_accuracy`` every epoch, over all processes; accuracy is the share of inputs whose
    highest score is that of the right choice.

    Args:
        network: Maps inputs ``(batch, ...)`` to scores ``(batch, choices)``. Its weights are in
            the checkpoint, its construction is not: reload with
            ``load_from_checkpoint(path, network=...)``.
        learning_rate: Peak rate of Adam.
        warmup_steps: Optimizer steps below the peak.
        weight_decay: Share of a weight that a step takes away, times the rate.

    Raises:
        TypeError: If ``network`` is not a module, ``warmup_steps`` not an integer, or another
            setting not a number.
        ValueError: If ``learning_rate`` is not above 0, or ``warmup_steps`` or ``weight_decay``
            negative.

    Taught in :doc:`/notebooks/42_odd_one_out` and :doc:`/notebooks/45_vision_transformer`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float = 3e-3,
        warmup_steps: int = 30,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__()
        require_modules(network=network)
        require_above_zero(learning_rate=learning_rate)
        require_counts(warmup_steps=warmup_steps)
        require_at_least_zero(weight_decay=weight_decay)
        # The network is not a number: stored as a hyperparameter it would be pickled whole.
        self.save_hyperparameters(ignore=["network"])
        self.network = network
        self.learning_rate, self.warmup_steps = learning_rate, warmup_steps
        self.weight_decay = weight_decay

    def forward(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch choices"]:
        """Score the choices of every input.

        Args:
            inputs: What the network takes.

        Returns:
            The scores.
        """
        return self.network(inputs)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a training batch."""
        loss, _ = self._loss_and_accuracy(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss and accuracy of a validation batch."""
        self._log_evaluation("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss and accuracy of a test batch."""
        self._log_evaluation("test", batch)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam, and a rate that changes every step until the trainer's last."""
        return scheduled_adam(
            self,
            self.parameters(),
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            weight_decay=self.weight_decay,
        )

    def _loss_and_accuracy(self, batch: Batch) -> tuple[Tensor, Tensor]:
        inputs, right = batch
        scores = self(inputs)
        loss = F.cross_entropy(scores, right)
        return loss, (scores.argmax(dim=-1) == right).float().mean()

    def _log_evaluation(self, stage: str, batch: Batch) -> None:
        loss, accuracy = self._loss_and_accuracy(batch)
        # Weighted by the batch's size, so that a short last batch counts for what it holds.
        metrics = {f"{stage}_loss": loss, f"{stage}_accuracy": accuracy}
        self.log_dict(metrics, batch_size=len(batch[0]), sync_dist=True)  # over all processes
