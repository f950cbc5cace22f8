"""Train a network that chooses one of several: the class of an image, the place in a set."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tutorial_lib.lightning.task import Means, Task

Batch = tuple[Float[Tensor, "batch ..."], Int[Tensor, " batch"]]


class Classifier(Task):
    r"""Choose one of several: a :class:`~tutorial_lib.lightning.task.Task` with cross-entropy.

    .. math:: \mathcal L = -\frac{1}{B} \sum_b \log \operatorname{softmax}(s_b)_{y_b}

    :math:`s_b` are the scores of input b, and :math:`y_b` is the number of the right choice: the
    class of an image, or the place of the odd one in a set. The means are ``loss`` and
    ``accuracy``, the share of inputs whose highest score is that of the right choice.

    Args:
        network: Maps inputs ``(batch, ...)`` to scores ``(batch, choices)``.
        learning_rate: Peak rate.
        warmup_steps: Optimizer steps below the peak.
        weight_decay: Share of a weight that a step takes away, times the rate.

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
        super().__init__(
            network,
            learning_rate=learning_rate,
            warmup_steps=warmup_steps,
            weight_decay=weight_decay,
        )
        self.save_hyperparameters(ignore=["network"])

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Average the cross-entropy over the inputs."""
        inputs, right = batch
        return F.cross_entropy(self(inputs), right)

    def means(self, batch: Batch) -> Means:
        """Measure loss and accuracy, means over the inputs."""
        inputs, right = batch
        scores = self(inputs)
        accuracy = (scores.argmax(dim=-1) == right).float().mean()
        return {
            "loss": (F.cross_entropy(scores, right), len(right)),
            "accuracy": (accuracy, len(right)),
        }
