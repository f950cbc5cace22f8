"""Train a network that says something about every token of a sequence."""

from __future__ import annotations

import pytorch_lightning as pl
import torch.nn.functional as F
from jaxtyping import Float, Int
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tutorial_lib.lightning.optimization import scheduled_adam
from tutorial_lib.validation import (
    require_above_zero,
    require_counts,
    require_modules,
    require_positive,
)

Batch = tuple[Int[Tensor, "batch length"], Int[Tensor, "batch length"]]


class SequenceTagger(pl.LightningModule):
    r"""Tag every token: cross-entropy, Adam, cosine schedule with warm-up.

    .. math:: \mathcal L = -\frac{1}{BT} \sum_{b,t} \log p(y_{b,t} \mid x_b)

    The tokens reach the network one-hot. Logged are ``train_loss`` every step, and ``val_loss``,
    ``val_accuracy``, ``test_loss``, ``test_accuracy`` every epoch; accuracy is the share of
    tokens whose best class is the right one.

    Args:
        network: Maps one-hot tokens ``(batch, length, num_categories)`` to logits
            ``(batch, length, num_classes)``. Its weights are in the checkpoint, its construction
            is not: reload with ``load_from_checkpoint(path, network=...)``.
        num_categories: Number of different input tokens.
        learning_rate: Peak rate of Adam.
        warmup_steps: Optimizer steps below the peak.

    Raises:
        TypeError: If ``network`` is not a module, ``num_categories`` or ``warmup_steps`` not an
            integer, or ``learning_rate`` not a number.
        ValueError: If ``num_categories`` is below 1, ``learning_rate`` not above 0, or
            ``warmup_steps`` negative.

    Taught in :doc:`/notebooks/41_reverse_a_sequence`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        num_categories: int,
        learning_rate: float = 5e-4,
        warmup_steps: int = 50,
    ) -> None:
        super().__init__()
        require_modules(network=network)
        require_positive(num_categories=num_categories)
        require_above_zero(learning_rate=learning_rate)
        require_counts(warmup_steps=warmup_steps)
        # The network is not a number: stored as a hyperparameter it would be pickled whole.
        self.save_hyperparameters(ignore=["network"])
        self.network = network
        self.num_categories = num_categories
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps

    def forward(
        self, tokens: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length num_classes"]:
        """Score the classes of every token.

        Args:
            tokens: Token numbers, from 0 to ``num_categories`` - 1.

        Returns:
            The logits.

        Raises:
            ValueError: If a token number is out of range.
        """
        return self.network(self.one_hot(tokens))

    def one_hot(
        self, tokens: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length category"]:
        """Write token numbers as the vectors that the network takes.

        Args:
            tokens: Token numbers, from 0 to ``num_categories`` - 1.

        Returns:
            A 1 at each token's number, 0 elsewhere.

        Raises:
            ValueError: If a token number is out of range.
        """
        if tokens.numel():
            low, high = (int(end) for end in tokens.aminmax())
            if low < 0 or high >= self.num_categories:
                raise ValueError(
                    f"tokens must lie in 0..{self.num_categories - 1}, got {low}..{high}"
                )
        return F.one_hot(tokens, self.num_categories).to(self.dtype)

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
        )

    def _loss_and_accuracy(self, batch: Batch) -> tuple[Tensor, Tensor]:
        tokens, labels = batch
        logits = self(tokens)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return loss, (logits.argmax(dim=-1) == labels).float().mean()

    def _log_evaluation(self, stage: str, batch: Batch) -> None:
        loss, accuracy = self._loss_and_accuracy(batch)
        # Weighted by the batch's size, so that a short last batch counts for what it holds.
        metrics = {f"{stage}_loss": loss, f"{stage}_accuracy": accuracy}
        self.log_dict(metrics, batch_size=len(batch[0]), sync_dist=True)  # over all processes
