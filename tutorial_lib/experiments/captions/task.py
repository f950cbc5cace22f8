"""Train a captioner whose two parts are handed in, each at a rate of its own."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tutorial_lib.experiments.captions.network import Captioner
from tutorial_lib.generation import greedy_search
from tutorial_lib.lightning.task import Means, Task
from tutorial_lib.teacher_forcing import (
    require_special_tokens,
    shifted,
    token_cross_entropy,
    token_means,
    written_right,
)
from tutorial_lib.training import evaluating
from tutorial_lib.validation import require_above_zero

Batch = tuple[Float[Tensor, "batch channels height width"], Int[Tensor, "batch length"]]


class CaptioningTask(Task):
    r"""Caption images: a :class:`~tutorial_lib.lightning.task.Task` with a rate for each part.

    .. math:: \mathcal L = -\frac{1}{|R|} \sum_{(b,i) \in R} \log p(t_{b,i+1} \mid
        \text{image}_b, t_{b,0}, \dots, t_{b,i}), \qquad
        \eta_\text{encoder} = \alpha\, \eta_\text{decoder}

    R leaves the padding out. One Adam has a parameter group for each part; both rates follow the
    cosine schedule with warm-up. The means of validation are ``loss`` and ``accuracy``, the share
    of tokens that are right after the right beginning. That of the test is ``exact_match``: the
    share of captions that greedy search writes without one mistake.

    Args:
        encoder: Maps images to a memory ``(batch, places, embed_dim)``.
        decoder: Maps tokens and a memory to logits; see
            :class:`tutorial_lib.experiments.captions.network.Captioner`. Reload with
            ``load_from_checkpoint(path, encoder=..., decoder=...)``.
        pad_token: The padding token; its labels do not count.
        start_token: What every caption starts with.
        end_token: What every caption ends with.
        learning_rate: Peak rate of the decoder.
        encoder_factor: What the decoder's rate is multiplied by for the encoder, :math:`\alpha`.
        warmup_steps: Optimizer steps below the peaks.
        freeze_encoder: Whether the encoder starts frozen; see :meth:`set_encoder_frozen`.

    Attributes:
        network: The two parts together, a captioner.
        encoder_frozen: Whether the encoder is frozen now.

    Raises:
        TypeError: If a token is not an integer, or ``encoder_factor`` not a number; or as ``Task``
            does.
        ValueError: If the parts do not fit together, ``encoder_factor`` is not above 0, a token
            negative, or two of the three tokens the same; or as ``Task`` does.

    Taught in :doc:`/notebooks/34_injected_nested_modules`.
    """

    network: Captioner

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
        super().__init__(
            Captioner(encoder, decoder), learning_rate=learning_rate, warmup_steps=warmup_steps
        )
        require_special_tokens(pad_token=pad_token, start_token=start_token, end_token=end_token)
        require_above_zero(encoder_factor=encoder_factor)
        self.save_hyperparameters(ignore=["encoder", "decoder"])
        self.pad_token, self.start_token, self.end_token = pad_token, start_token, end_token
        self.encoder_factor = encoder_factor
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
        self.network.encoder.requires_grad_(not frozen)
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
            self.network.encoder.eval()
        return self

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
        prompt = torch.full((len(images), 1), self.start_token, device=images.device)
        with evaluating(self.network):
            return greedy_search(
                self.network.given(images),
                prompt,
                max_new_tokens=max_new_tokens,
                stop_token=self.end_token,
                pad_token=self.pad_token,
            )

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Average the cross-entropy over the labels that are no padding."""
        images, captions = batch
        tokens, labels = shifted(captions)
        return token_cross_entropy(self(images, tokens), labels, pad_token=self.pad_token)

    def means(self, batch: Batch) -> Means:
        """Measure loss and accuracy, means over the labels that are no padding."""
        images, captions = batch
        tokens, labels = shifted(captions)
        return token_means(self(images, tokens), labels, pad_token=self.pad_token)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the share of a test batch's captions that are written without one mistake."""
        images, captions = batch
        written = self.generate(images, max_new_tokens=captions.shape[1] - 1)
        right = written_right(written, captions, pad_token=self.pad_token)
        self.log_means("test", {"exact_match": (right.float().mean(), len(images))})

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Give the parameters of each part with their peak rate, as optimizers take them.

        Returns:
            The group of the encoder, frozen or not, and that of the decoder.
        """
        encoder, decoder = self.network.encoder, self.network.decoder
        rate = self.encoder_factor * self.learning_rate
        return [
            {"name": "encoder", "params": [*encoder.parameters()], "lr": rate},
            {"name": "decoder", "params": [*decoder.parameters()], "lr": self.learning_rate},
        ]
