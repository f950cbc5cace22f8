"""Train a network that predicts the next token of a text."""

from __future__ import annotations

import math

import pytorch_lightning as pl
from jaxtyping import Float, Int
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tutorial_lib.experiments.tiny_gpt.windows import IGNORED
from tutorial_lib.lightning.optimization import scheduled_adam
from tutorial_lib.teacher_forcing import token_cross_entropy
from tutorial_lib.validation import (
    require_above_zero,
    require_at_least_zero,
    require_counts,
    require_modules,
)

Batch = tuple[Int[Tensor, "batch length"], Int[Tensor, "batch length"], Int[Tensor, "batch length"]]


class LanguageModeling(pl.LightningModule):
    r"""Predict the next token: cross-entropy, Adam, cosine schedule with warm-up.

    .. math:: \mathcal L = -\frac{1}{|R|} \sum_{(b,i) \in R} \log p(t_{b,i+1} \mid
        t_{b,0}, \dots, t_{b,i})

    A batch holds tokens, labels and the number of characters that each label begins. R are the
    labels other than -100. Logged are ``train_loss`` every step, and of validation and test
    ``val_loss`` and ``test_loss``, in nats a token, ``val_bits_per_character`` and
    ``test_bits_per_character``: the sum of all losses in bits, divided by the sum of all
    characters.

    Args:
        network: Maps tokens to logits ``(batch, length, vocab_size)``. Its weights are in the
            checkpoint, its construction is not: reload with
            ``load_from_checkpoint(path, network=...)``.
        learning_rate: Peak rate of Adam.
        warmup_steps: Optimizer steps below the peak.
        weight_decay: Share of a weight that a step takes away, times the rate.

    Raises:
        TypeError: If ``network`` is not a module, ``warmup_steps`` not an integer, or another
            setting not a number.
        ValueError: If ``learning_rate`` is not above 0, or ``warmup_steps`` or ``weight_decay``
            negative.

    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float = 0.01,
        warmup_steps: int = 20,
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

    def forward(
        self, tokens: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length vocab_size"]:
        """Score the next token at every position.

        Args:
            tokens: Token numbers.

        Returns:
            The logits.
        """
        return self.network(tokens)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a training batch."""
        tokens, labels, _ = batch
        loss = token_cross_entropy(self(tokens), labels)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss of a validation batch, a token and a character."""
        self._log_evaluation("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the loss of a test batch, a token and a character."""
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

    def _log_evaluation(self, stage: str, batch: Batch) -> None:
        tokens, labels, characters = batch
        loss = token_cross_entropy(self(tokens), labels)
        counted, begun = int((labels != IGNORED).sum()), int(characters.sum())
        self.log(f"{stage}_loss", loss, batch_size=counted, sync_dist=True)  # over all processes
        if begun:  # weighted by the characters, the batches' means add up to that of the text
            bits = loss * counted / (math.log(2) * begun)
            self.log(f"{stage}_bits_per_character", bits, batch_size=begun, sync_dist=True)
