"""Train a network to score sentences by their place in the story."""

from __future__ import annotations

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from tutorial_lib.experiments.ordering.ranking import exact_match, kendall_tau, rank_loss
from tutorial_lib.lightning.task import Means, Task
from tutorial_lib.teacher_forcing import NO_LABEL

Batch = dict[str, Shaped[Tensor, "batch length"]]


class SentenceOrderingTask(Task):
    r"""Score every sentence with its rank: a :class:`~tutorial_lib.lightning.task.Task`.

    .. math:: \mathcal L = \frac{1}{|M|} \sum_{(b,t) \in M} (s_{b,t} - y_{b,t})^2

    M are the markers of the sentences: the tokens whose label is not -100. The means are ``loss``,
    over the markers, and over the stories ``tau``, Kendall's, and ``exact``: the share of stories
    whose sentences are all in the right order when they are sorted by score.

    Args:
        network: Called with a batch's columns other than ``labels``, by name; its result has
            ``logits`` of shape (batch, length, 1): Hugging Face's token classifiers with
            ``num_labels=1``, or ours.
        learning_rate: Peak rate.
        warmup_steps: Optimizer steps below the peak.
        weight_decay: Share of a weight that a step takes away, times the rate.

    Taught in :doc:`/notebooks/46_sentence_ordering`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        learning_rate: float = 8e-3,
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

    def forward(self, **inputs: Shaped[Tensor, "batch length"]) -> Float[Tensor, "batch length"]:
        """Score every token.

        Args:
            inputs: A batch's columns; ``labels`` are not handed to the network.

        Returns:
            The scores; those of the markers mean something.
        """
        columns = {name: column for name, column in inputs.items() if name != "labels"}
        return self.network(**columns).logits.squeeze(-1)

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Average the squared error over the markers."""
        return rank_loss(self(**batch), batch["labels"])

    def means(self, batch: Batch) -> Means:
        """Measure the loss, a mean over the markers, and two means over the stories."""
        scores, labels = self(**batch), batch["labels"]
        exact = exact_match(scores, labels).float()
        return {
            "loss": (rank_loss(scores, labels), int((labels != NO_LABEL).sum())),
            "tau": (kendall_tau(scores, labels).mean(), len(labels)),
            "exact": (exact.mean(), len(labels)),
        }
