"""Train a captioner whose two parts are handed in, each at a rate of its own."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from tutorial_lib.experiments.captions.network import Captioner
from tutorial_lib.generation import greedy_search
from tutorial_lib.lightning.optimization import scheduled_adam
from tutorial_lib.teacher_forcing import shifted, token_cross_entropy
from tutorial_lib.validation import require_above_zero, require_counts

Batch = tuple[Float[Tensor, "batch channels height width"], Int[Tensor, "batch length"]]


class CaptioningTask(pl.LightningModule):
    r"""Write the captions of images: teacher forcing, Adam, a rate for each part.

    .. math:: \mathcal L = -\frac{1}{|R|} \sum_{(b,i) \in R} \log p(t_{b,i+1} \mid
        \text{image}_b, t_{b,0}, \dots, t_{b,i}), \qquad
        \eta_\text{encoder} = \alpha\, \eta_\text{decoder}

    R leaves the padding out. One Adam has a parameter group for each part; both rates follow the
    cosine schedule with warm-up. Logged are ``train_loss`` every step, ``val_loss`` and
    ``val_accuracy`` (share of tokens that are right after the right beginning), and
    ``test_exact_match``: the share of captions that greedy search writes without one mistake.

    Args:
        encoder: Maps images to a memory ``(batch, places, embed_dim)``.
        decoder: Maps tokens and a memory to logits; see
            :class:`tutorial_lib.experiments.captions.network.Captioner`. The weights of both
            parts are in the checkpoint, their construction is not: reload with
            ``load_from_checkpoint(path, encoder=..., decoder=...)``.
        pad_token: The padding token; its labels do not count.
        start_token: What every caption starts with.
        end_token: What every caption ends with.
        learning_rate: Peak rate of the decoder.
        encoder_factor: What the decoder's rate is multiplied by for the encoder, :math:`\alpha`.
        warmup_steps: Optimizer steps below the peaks.
        freeze_encoder: Whether the encoder starts frozen; see :meth:`set_encoder_frozen`.

    Attributes:
        captioner: The two parts together.
        encoder_frozen: Whether the encoder is frozen now.

    Raises:
        TypeError: If a part is not a module, a token or ``warmup_steps`` not an integer, or
            another setting not a number.
        ValueError: If the parts do not fit together, a rate or factor is not above 0, a token or
            ``warmup_steps`` negative, or two of the three tokens the same.

    Taught in :doc:`/notebooks/34_injected_nested_modules`.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        *,
        pad_token: int = 0,
        start_token: int = 1,
        end_token: int = 2,
        learning_rate: float = 1e-2,
        encoder_factor: float = 0.1,
        warmup_steps: int = 30,
        freeze_encoder: bool = False,
    ) -> None:
        super().__init__()
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
        require_above_zero(learning_rate=learning_rate, encoder_factor=encoder_factor)
        # The parts are no numbers: stored as hyperparameters they would be pickled whole.
        self.save_hyperparameters(ignore=["encoder", "decoder"])
        self.captioner = Captioner(encoder, decoder)
        self.pad_token, self.start_token, self.end_token = pad_token, start_token, end_token
        self.learning_rate, self.encoder_factor = learning_rate, encoder_factor
        self.warmup_steps = warmup_steps
        self.set_encoder_frozen(freeze_encoder)

    def set_encoder_frozen(self, frozen: bool) -> None:
        """Freeze the encoder, or let it be trained again.

        A frozen encoder gets no gradients, and stays in evaluation mode whatever mode the task is
        put into: its BatchNorm keeps its statistics, its dropout does nothing. Its parameters stay
        in the optimizer, which skips what has no gradient; so it can be unfrozen in mid-training.

        Args:
            frozen: Whether it is to be frozen.
        """
        self.encoder_frozen = frozen
        self.captioner.encoder.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> CaptioningTask:
        """Put the task into training or evaluation mode; a frozen encoder stays in evaluation.

        Args:
            mode: Whether it is training.

        Returns:
            The task.
        """
        super().train(mode)
        if self.encoder_frozen:
            self.captioner.encoder.eval()
        return self

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        tokens: Int[Tensor, "batch length"],
    ) -> Float[Tensor, "batch length vocab_size"]:
        """Score the next word at every position.

        Args:
            images: The images.
            tokens: Words from the start token on.

        Returns:
            The logits.
        """
        return self.captioner(images, tokens)

    @torch.no_grad()
    def generate(
        self, images: Float[Tensor, "batch channels height width"], *, max_new_tokens: int
    ) -> Int[Tensor, "batch length"]:
        """Write the captions of some images, by greedy search.

        The captioner is put into evaluation mode, and back into the mode it was in.

        Args:
            images: The images.
            max_new_tokens: Most words to write, the end token included.

        Returns:
            Captions from the start token on, padded behind the end token.

        Raises:
            TypeError: If ``max_new_tokens`` is not an integer.
            ValueError: If it is below 1.
        """
        was_training = self.training
        self.eval()
        try:
            return greedy_search(
                self.captioner.given(images),
                torch.full((len(images), 1), self.start_token, device=images.device),
                max_new_tokens=max_new_tokens,
                stop_token=self.end_token,
                pad_token=self.pad_token,
            )
        finally:
            self.train(was_training)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a training batch."""
        loss, _ = self._loss_and_accuracy(batch)
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
        """Log the share of a test batch's captions that are written without one mistake."""
        images, captions = batch
        written = self.generate(images, max_new_tokens=captions.shape[1] - 1)
        written = F.pad(written, (0, captions.shape[1] - written.shape[1]), value=self.pad_token)
        exact = (written == captions).all(dim=1).float().mean()
        self.log("test_exact_match", exact, batch_size=len(images), sync_dist=True)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Give the parameters of each part with their peak rate, as optimizers take them.

        Returns:
            The group of the encoder, frozen or not, and that of the decoder.
        """
        encoder, decoder = self.captioner.encoder, self.captioner.decoder
        rate = self.encoder_factor * self.learning_rate
        return [
            {"name": "encoder", "params": [*encoder.parameters()], "lr": rate},
            {"name": "decoder", "params": [*decoder.parameters()], "lr": self.learning_rate},
        ]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """One Adam with a group for each part, and rates that change every step."""
        return scheduled_adam(
            self,
            self.parameter_groups(),
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
        )

    def _loss_and_accuracy(self, batch: Batch) -> tuple[Tensor, Tensor]:
        images, captions = batch
        tokens, labels = shifted(captions)
        logits = self(images, tokens)
        loss = token_cross_entropy(logits, labels, pad_token=self.pad_token)
        counts = labels != self.pad_token
        return loss, (logits.argmax(dim=-1) == labels)[counts].float().mean()
