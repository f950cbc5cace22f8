"""Tokens into vectors, and vectors back into scores of tokens."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tutorial_lib.validation import kind_of, require_positive, require_width


class TokenEmbedding(nn.Module):
    r"""One table that turns tokens into vectors, and vectors into scores of tokens.

    .. math:: \operatorname{embed}(t) = \sqrt d\, E_t, \qquad \operatorname{logits}(x) = x E^\top

    A row of E starts with a length of about 1, so that an embedded token has elements of about
    unit variance, and a normalised vector gets logits of about unit variance. A model that uses
    one table for both has tied weights.

    Args:
        vocab_size: Number of different tokens.
        embed_dim: Width of their vectors, d.
        scale: Whether to multiply by :math:`\sqrt d`; GPT-2 and BERT do not.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1.

    Source: Vaswani et al. (2017), section 3.4; Press and Wolf (2017).
    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """

    def __init__(self, vocab_size: int, embed_dim: int, *, scale: bool = True) -> None:
        super().__init__()
        require_positive(vocab_size=vocab_size, embed_dim=embed_dim)
        self.factor = math.sqrt(embed_dim) if scale else 1.0
        self.table = nn.Embedding(vocab_size, embed_dim)
        nn.init.normal_(self.table.weight, std=embed_dim**-0.5)

    def forward(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch length embed"]:
        """Look the tokens up.

        Args:
            tokens: Token numbers, 0 to ``vocab_size`` - 1.

        Returns:
            Their vectors.

        Raises:
            TypeError: If ``tokens`` is not a tensor of integers.
            ValueError: If it has not two axes, or a number is out of range.
        """
        require_tokens(tokens, name="tokens")
        try:
            return self.factor * self.table(tokens)
        except IndexError:  # asked afterwards: looking costs more than the lookup
            last = self.table.num_embeddings - 1
            low, high = (int(end) for end in tokens.aminmax())
            raise ValueError(f"tokens must lie in 0..{last}, got {low}..{high}") from None

    def logits(
        self, x: Float[Tensor, "batch length embed"]
    ) -> Float[Tensor, "batch length vocab_size"]:
        """Score every token of the vocabulary at every position.

        Args:
            x: Vectors, as a decoder gives them.

        Returns:
            The logits.

        Raises:
            ValueError: If the width differs from ``embed_dim``.
        """
        require_width(x, self.table.weight.shape[1], name="x")
        return F.linear(x, self.table.weight)


def require_tokens(tokens: Tensor, *, name: str) -> None:
    """Raise unless a tensor has the type and the axes of token numbers, ``(batch, length)``.

    Args:
        tokens: The tensor to check.
        name: What the caller calls it.

    Raises:
        TypeError: If it is not a tensor of int64 or int32.
        ValueError: If it has not two axes, or no row.
    """
    if not isinstance(tokens, Tensor) or tokens.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"{name} must be a tensor of integers, got {kind_of(tokens)}")
    if tokens.ndim != 2 or not len(tokens):
        raise ValueError(f"{name} must have shape (batch, length), got {tuple(tokens.shape)}")
