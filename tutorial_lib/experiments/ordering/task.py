"""Train a network to score sentences by their place in the story."""

from __future__ import annotations

import pytorch_lightning as pl
from jaxtyping import Float, Shaped
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tutorial_lib.experiments.ordering.ranking import exact_match, has_label, kendall_tau, rank_loss
from tutorial_lib.lightning.optimization import scheduled_adam
from tutorial_lib.validation import (
    require_above_zero,
    require_at_least_zero,
    require_counts,
    require_modules,
)

Batch = dict[str, Shaped[Tensor, "batch length"]]


class SentenceOrderingTask(pl.LightningModule):
    r"""Score the marker of every sentence with its rank: masked squared error, Adam, cosine.

    .. math:: \mathcal L = \frac{1}{|M|} \sum_{(b,t) \in M} (s_{b,t} - y_{b,t})^2

    M are the markers: the tokens whose label is not -100. Logged are ``train_loss`` every step,
    and ``val_loss``, ``val_tau``, ``val_exact``, ``test_loss``, ``test_tau``, ``test_exact``
    every epoch: the loss, the mean of Kendall's tau, and the share of stories whose sentences
    are all in the right order when they are sorted by score.

    Args:
        network: Called with a batch's columns other than ``labels``, by name; its result has
            ``logits`` of shape (batch, length, 1): Hugging Face's token classifiers with
            ``num_labels=1``, or ours. Its weights are in the checkpoint, its construction is
            not: reload with ``load_from_checkpoint(path, network=...)``.
        learning_rate: Peak rate of Adam.
        warmup_steps: Optimizer steps below the peak.
        weight_decay: Share of a weight that a step takes away, times the rate.

    Raises:
        TypeError: If ``network`` is not a module, ``warmup_steps`` not an integer, or another
            setting not a number.
        ValueError: If ``learning_rate`` is not above 0, or another setting negative.

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

    def forward(self, **inputs: Shaped[Tensor, "batch length"]) -> Float[Tensor, "batch length"]:
        """Score every token.

        Args:
            inputs: A batch's columns; ``labels`` are not handed to the network.

        Returns:
            The scores; those of the markers mean something.
        """
        columns = {name: column for name, column in inputs.items() if name != "labels"}
        return self.network(**columns).logits.squeeze(-1)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a training batch."""
        loss = rank_loss(self(**batch), batch["labels"])
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss, Kendall's tau and exact match of a validation batch."""
        self._log_evaluation("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss, Kendall's tau and exact match of a test batch."""
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
        scores, labels = self(**batch), batch["labels"]
        tau, exact = kendall_tau(scores, labels), exact_match(scores, labels).float()
        metrics = {f"{stage}_tau": tau.mean(), f"{stage}_exact": exact.mean()}
        # The loss is a mean over markers, the others over stories, of all processes.
        markers = int(has_label(labels).sum())
        loss = rank_loss(scores, labels)
        self.log(f"{stage}_loss", loss, batch_size=markers, sync_dist=True)
        self.log_dict(metrics, batch_size=len(labels), sync_dist=True)
