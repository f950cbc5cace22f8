"""Train a network that predicts the next token of a text."""

from __future__ import annotations

import math

from jaxtyping import Float, Int
from torch import Tensor, nn

from tutorial_lib.lightning.task import Means, Task
from tutorial_lib.teacher_forcing import NO_LABEL, token_cross_entropy

Batch = tuple[Int[Tensor, "batch length"], Int[Tensor, "batch length"], Int[Tensor, "batch length"]]


class LanguageModeling(Task):
    r"""Predict the next token: a :class:`~tutorial_lib.lightning.task.Task` with cross-entropy.

    .. math:: \mathcal L = -\frac{1}{|R|} \sum_{(b,i) \in R} \log p(t_{b,i+1} \mid
        t_{b,0}, \dots, t_{b,i})

    A batch holds tokens, labels and the number of characters that each label begins. R are the
    labels other than -100. The means are ``loss``, in nats a token, and ``bits_per_character``:
    the sum of all losses in bits, divided by the sum of all characters.

    Args:
        network: Maps tokens to logits ``(batch, length, vocab_size)``.
        learning_rate: Peak rate.
        warmup_steps: Optimizer steps below the peak.
        weight_decay: Share of a weight that a step takes away, times the rate.

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
        super().__init__(
            network,
            learning_rate=learning_rate,
            warmup_steps=warmup_steps,
            weight_decay=weight_decay,
        )
        self.save_hyperparameters(ignore=["network"])

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Average the cross-entropy over the labels."""
        tokens, labels, _ = batch
        return token_cross_entropy(self(tokens), labels)

    def means(self, batch: Batch) -> Means:
        """Measure the loss, a mean over the labels, and the bits, a mean over the characters."""
        _, labels, characters = batch
        counted, begun = int((labels != NO_LABEL).sum()), int(characters.sum())
        loss = self.loss(batch)
        means = {"loss": (loss, counted)}
        if begun:
            means["bits_per_character"] = loss * counted / (math.log(2) * begun), begun
        return means
