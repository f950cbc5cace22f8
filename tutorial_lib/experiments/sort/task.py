"""Train a network that reads one sequence and writes another."""

from __future__ import annotations

from typing import get_args

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tutorial_lib.beam_search import beam_search
from tutorial_lib.generation import greedy_search
from tutorial_lib.lightning.optimization import Schedule, scheduled_adam
from tutorial_lib.next_token import WritingOptions
from tutorial_lib.teacher_forcing import shifted, token_cross_entropy
from tutorial_lib.validation import (
    require_above_zero,
    require_counts,
    require_modules,
    require_positive,
    require_probability,
)

Batch = tuple[Int[Tensor, "batch source"], Int[Tensor, "batch target"]]


class Seq2SeqTask(pl.LightningModule):
    r"""Write the target of a source: teacher forcing, Adam, a schedule with warm-up.

    .. math:: \mathcal L = -\frac{1}{|R|} \sum_{(b,i) \in R} \log p(t_{b,i+1} \mid s_b,
        t_{b,0}, \dots, t_{b,i})

    R leaves the padding out. Logged are ``train_loss`` every step, ``val_loss`` and
    ``val_accuracy`` (share of target tokens that are right after the right beginning), and
    ``test_exact_match``: the share of targets that greedy search writes without one mistake,
    reading the source alone.

    Args:
        network: Maps source and target tokens to logits ``(batch, target, vocab_size)``; its
            ``given(source)`` is a model that :func:`tutorial_lib.generation.greedy_search` takes.
            Its weights are in the checkpoint, its construction is not: reload with
            ``load_from_checkpoint(path, network=...)``.
        pad_token: The padding token; its labels do not count.
        start_token: What every target starts with.
        end_token: What every target ends with.
        learning_rate: Peak rate of Adam.
        warmup_steps: Optimizer steps below the peak.
        label_smoothing: Share of the target probability that is spread over all tokens while
            training.
        use_cache: Whether the network's targets can be written with a cache.
        schedule: How the rate falls behind its peak: "cosine", to 0 at the trainer's last step,
            or "inverse_sqrt", the paper's.

    Raises:
        TypeError: If ``network`` is not a module, a token or ``warmup_steps`` not an integer, or
            another setting not a number.
        ValueError: If ``learning_rate`` is not above 0, ``label_smoothing`` outside [0, 1), a
            token or ``warmup_steps`` negative, two of the three tokens the same, or ``schedule``
            not known.

    Taught in :doc:`/notebooks/33_torch_transformer_in_lightning`, with the paper's schedule and
    beam search in :doc:`/notebooks/43_translation`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        pad_token: int,
        start_token: int,
        end_token: int,
        learning_rate: float = 1e-3,
        warmup_steps: int = 50,
        label_smoothing: float = 0.0,
        use_cache: bool = True,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__()
        require_modules(network=network)
        require_counts(
            pad_token=pad_token,
            start_token=start_token,
            end_token=end_token,
            warmup_steps=warmup_steps,
        )
        if len({pad_token, start_token, end_token}) < 3:
            raise ValueError(
                f"pad_token, start_token and end_token must differ, "
                f"got {pad_token}, {start_token} and {end_token}"
            )
        require_above_zero(learning_rate=learning_rate)
        require_probability(label_smoothing=label_smoothing)
        if schedule not in get_args(Schedule):
            raise ValueError(f"schedule must be one of {get_args(Schedule)}, got {schedule!r}")
        # The network is not a number: stored as a hyperparameter it would be pickled whole.
        self.save_hyperparameters(ignore=["network"])
        self.network = network
        self.pad_token, self.start_token, self.end_token = pad_token, start_token, end_token
        self.learning_rate, self.warmup_steps = learning_rate, warmup_steps
        self.label_smoothing, self.use_cache = label_smoothing, use_cache
        self.schedule: Schedule = schedule

    def forward(
        self, src: Int[Tensor, "batch source"], tgt: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch target vocab_size"]:
        """Score the next token at every position of the target.

        Args:
            src: Source tokens.
            tgt: Target tokens from the start token on.

        Returns:
            The logits.
        """
        return self.network(src, tgt)

    @torch.no_grad()
    def generate(
        self,
        src: Int[Tensor, "batch source"],
        *,
        max_new_tokens: int,
        num_beams: int = 1,
        length_penalty: float = 0.0,
    ) -> Int[Tensor, "batch length"]:
        """Write the targets of some sources, by greedy search or by beam search.

        The network is put into evaluation mode, and back into the mode it was in.

        Args:
            src: Source tokens.
            max_new_tokens: Most tokens to write, the end token included.
            num_beams: Number of hypotheses that beam search follows; 1 is greedy search.
            length_penalty: See :func:`tutorial_lib.beam_search.beam_search`; greedy search needs
                none.

        Returns:
            Targets from the start token on, padded behind the end token.

        Raises:
            TypeError: If a number is not an integer, or ``length_penalty`` not a number.
            ValueError: If a number is below 1, ``length_penalty`` negative, or a token out of
                range.
        """
        require_positive(num_beams=num_beams)
        was_training = self.network.training
        self.network.eval()
        try:
            given = self.network.given(src)  # type: ignore[operator]
            prompt = src.new_full((len(src), 1), self.start_token)
            options: WritingOptions = {
                "max_new_tokens": max_new_tokens,
                "stop_token": self.end_token,
                "pad_token": self.pad_token,
                "use_cache": self.use_cache,
            }
            if num_beams == 1:
                return greedy_search(given, prompt, **options)
            beams = beam_search(
                given, prompt, num_beams=num_beams, length_penalty=length_penalty, **options
            )
            return beams.tokens[:, 0]
        finally:
            self.network.train(was_training)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a training batch."""
        loss, _ = self._loss_and_accuracy(batch, label_smoothing=self.label_smoothing)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss and accuracy of a validation batch."""
        loss, accuracy = self._loss_and_accuracy(batch)
        # Weighted by the tokens that count: batches hold more or less padding.
        count = int((shifted(batch[1])[1] != self.pad_token).sum())
        metrics = {"val_loss": loss, "val_accuracy": accuracy}
        self.log_dict(metrics, batch_size=count, sync_dist=True)  # over all processes

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the share of a test batch's targets that are written without one mistake."""
        src, tgt = batch
        written = self.generate(src, max_new_tokens=tgt.shape[1] - 1)
        written = torch.nn.functional.pad(
            written, (0, tgt.shape[1] - written.shape[1]), value=self.pad_token
        )
        exact = (written == tgt).all(dim=1).float().mean()
        self.log("test_exact_match", exact, batch_size=len(src), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Adam, and a rate that changes every step."""
        return scheduled_adam(
            self,
            self.parameters(),
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            schedule=self.schedule,
        )

    def _loss_and_accuracy(
        self, batch: Batch, *, label_smoothing: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        src, tgt = batch
        tgt_in, labels = shifted(tgt)
        logits = self(src, tgt_in)
        loss = token_cross_entropy(
            logits, labels, pad_token=self.pad_token, label_smoothing=label_smoothing
        )
        counts = labels != self.pad_token
        return loss, (logits.argmax(dim=-1) == labels)[counts].float().mean()
