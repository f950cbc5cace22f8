"""How well a language model predicts a text: losses, perplexity, bits per character."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from tutorial_lib.validation import require_above_zero, require_at_least_zero, require_positive

Network = Callable[[Tensor], Tensor]


def perplexity(loss: float) -> float:
    r"""Say among how many equally probable tokens a guess would be as hard.

    .. math:: \operatorname{PPL} = e^{\mathcal L}

    Args:
        loss: Mean cross-entropy of a token, in nats.

    Returns:
        The perplexity, from 1; the number of tokens for who knows nothing.

    Raises:
        TypeError: If ``loss`` is not a number.
        ValueError: If it is negative, or not finite.

    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """
    require_at_least_zero(loss=loss)
    return math.exp(loss)


def bits_per_character(loss: float, *, tokens: int, characters: int) -> float:
    r"""Spread the loss of the tokens over the characters that they stand for.

    .. math:: \operatorname{BPC} = \frac{\mathcal L}{\ln 2} \cdot \frac{N_{\text{tokens}}}
        {N_{\text{characters}}}

    Args:
        loss: Mean cross-entropy of a token, in nats.
        tokens: Number of tokens that were predicted.
        characters: Number of characters of their text.

    Returns:
        Bits for each character, whatever the tokens are.

    Raises:
        TypeError: If ``loss`` is not a number, or a count not an integer.
        ValueError: If ``loss`` is negative, or a count below 1.

    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """
    require_at_least_zero(loss=loss)
    require_positive(tokens=tokens, characters=characters)
    return loss / math.log(2) * tokens / characters


@torch.no_grad()
def token_losses(
    network: Network,
    tokens: Int[Tensor, "rows length"],
    labels: Int[Tensor, "rows length"],
    *,
    batch_size: int = 64,
) -> Float[Tensor, "rows length"]:
    r"""Say how surprised a network is at every single label.

    .. math:: \ell_{b,i} = -\log p(t_{b,i+1} \mid t_{b,0}, \dots, t_{b,i})

    Args:
        network: Maps tokens to logits ``(batch, length, vocab_size)``; in evaluation mode if it
            has dropout.
        tokens: What it reads.
        labels: What comes next; -100 does not count.
        batch_size: Rows that go through the network together.

    Returns:
        The losses in nats, 0 where a label does not count.

    Raises:
        TypeError: If ``batch_size`` is not an integer.
        ValueError: If it is below 1, or tokens and labels do not fit.

    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """
    require_positive(batch_size=batch_size)
    if tokens.ndim != 2 or tokens.shape != labels.shape or not len(tokens):
        raise ValueError(
            f"tokens and labels must have one shape (rows, length), "
            f"got {tuple(tokens.shape)} and {tuple(labels.shape)}"
        )
    batches = zip(tokens.split(batch_size), labels.split(batch_size), strict=True)
    return torch.cat(
        [F.cross_entropy(network(x).transpose(1, 2), y, reduction="none") for x, y in batches]
    )


def mixed_losses(
    first: Float[Tensor, "*shape"], second: Float[Tensor, "*shape"], *, share: float = 0.5
) -> Float[Tensor, "*shape"]:
    r"""Let two models predict together: average their probabilities.

    .. math:: \ell = -\log\left(\lambda\, e^{-\ell_1} + (1 - \lambda)\, e^{-\ell_2}\right)

    Args:
        first: Losses of one model, in nats.
        second: Losses of the other, for the same labels.
        share: Weight of the first model's probability, between 0 and 1.

    Returns:
        Losses of the mixture.

    Raises:
        TypeError: If ``share`` is not a number.
        ValueError: If it does not lie between 0 and 1, or the shapes differ.

    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """
    require_above_zero(share=share)
    if share >= 1:
        raise ValueError(f"share must be above 0 and below 1, got {share}")
    if first.shape != second.shape:
        raise ValueError(
            f"second must have shape {tuple(first.shape)} like first, got {tuple(second.shape)}"
        )
    return -torch.logaddexp(math.log(share) - first, math.log1p(-share) - second)
