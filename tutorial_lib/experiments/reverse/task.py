"""Train a network that says something about every token of a sequence."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tutorial_lib.lightning.task import Means, Task
from tutorial_lib.validation import require_positive

Batch = tuple[Int[Tensor, "batch length"], Int[Tensor, "batch length"]]


class SequenceTagger(Task):
    r"""Tag every token: a :class:`~tutorial_lib.lightning.task.Task` with cross-entropy.

    .. math:: \mathcal L = -\frac{1}{BT} \sum_{b,t} \log p(y_{b,t} \mid x_b)

    The tokens reach the network one-hot. The means are ``loss`` and ``accuracy``, the share of
    tokens whose best class is the right one.

    Args:
        network: Maps one-hot tokens ``(batch, length, num_categories)`` to logits
            ``(batch, length, num_classes)``.
        num_categories: Number of different input tokens, at least 1.
        learning_rate: Peak rate.
        warmup_steps: Optimizer steps below the peak.

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
        super().__init__(network, learning_rate=learning_rate, warmup_steps=warmup_steps)
        require_positive(num_categories=num_categories)
        self.save_hyperparameters(ignore=["network"])
        self.num_categories = num_categories

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

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Average the cross-entropy over the tokens."""
        tokens, labels = batch
        return F.cross_entropy(self(tokens).flatten(0, 1), labels.flatten())

    def means(self, batch: Batch) -> Means:
        """Measure loss and accuracy, means over sequences of one length."""
        tokens, labels = batch
        logits = self(tokens)
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        accuracy = (logits.argmax(dim=-1) == labels).float().mean()
        return {"loss": (loss, len(tokens)), "accuracy": (accuracy, len(tokens))}
