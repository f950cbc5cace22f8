"""Positional encodings: how a model that is blind to order is told the order."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tutorial_lib.validation import (
    kind_of,
    require_positive,
    require_probability,
    require_width,
)


def sinusoidal_encoding(
    length: int, embed_dim: int, *, device: torch.device | None = None
) -> Float[Tensor, "length embed_dim"]:
    r"""Write each position as sines and cosines of geometrically growing wavelengths.

    .. math::
        PE_{p,2i} = \sin\left(p / 10000^{2i/d}\right), \qquad
        PE_{p,2i+1} = \cos\left(p / 10000^{2i/d}\right)

    Dimensions 2i and 2i+1 share the wavelength :math:`2\pi \cdot 10000^{2i/d}` positions. An odd
    width ends with a sine that has no cosine.

    Args:
        length: Number of positions, counted from 0.
        embed_dim: Width of the encoding.
        device: Where the table is made.

    Returns:
        The table, in the default float type.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1.

    Source: Vaswani et al. (2017), section 3.5.
    Taught in :doc:`/notebooks/14_positional_encodings`.
    """
    require_positive(length=length, embed_dim=embed_dim)
    position = torch.arange(length, dtype=torch.float64, device=device)[:, None]
    pair = torch.arange(0, embed_dim, 2, dtype=torch.float64, device=device)
    angle = position / 10000.0 ** (pair / embed_dim)  # (length, ceil(embed_dim / 2))
    encoding = torch.empty(length, embed_dim, dtype=torch.float64, device=device)
    encoding[:, 0::2] = angle.sin()
    encoding[:, 1::2] = angle.cos()[:, : embed_dim // 2]
    return encoding.to(torch.get_default_dtype())


class SinusoidalPositionalEncoding(nn.Module):
    r"""Add the sinusoidal code of each position to the token that stands there.

    .. math:: y_{b,p} = \operatorname{dropout}(x_{b,p} + PE_p)

    Args:
        embed_dim: Width of the tokens.
        max_len: Number of positions the table holds.
        dropout: Probability of dropping an element of the sum while training.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, or ``dropout`` lies outside [0, 1).

    Source: Vaswani et al. (2017), section 3.5.
    Taught in :doc:`/notebooks/14_positional_encodings`.
    """

    encoding: Tensor

    def __init__(self, embed_dim: int, *, max_len: int = 5000, dropout: float = 0.0) -> None:
        super().__init__()
        require_positive(embed_dim=embed_dim, max_len=max_len)
        require_probability(dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        # A buffer moves with the module; not persistent, since the formula gives it back.
        self.register_buffer("encoding", sinusoidal_encoding(max_len, embed_dim), persistent=False)

    def forward(
        self,
        x: Float[Tensor, "batch length embed_dim"],
        positions: Int[Tensor, "#batch length"] | None = None,
    ) -> Float[Tensor, "batch length embed_dim"]:
        """Add to every token the code of its position.

        Args:
            x: The tokens.
            positions: Where each token stands; 0, 1, 2, ... when left out.

        Returns:
            The tokens with their positions.

        Raises:
            TypeError: If ``positions`` is not a tensor of integers.
            ValueError: If the width differs from ``embed_dim``, ``positions`` does not fit the
                tokens, or a position lies outside 0 to ``max_len`` - 1.
        """
        return self.dropout(x + _rows_for(x, positions, self.encoding))


class LearnedPositionalEmbedding(nn.Module):
    r"""Add a trained vector for each position to the token that stands there.

    .. math:: y_{b,p} = \operatorname{dropout}(x_{b,p} + W_p)

    Args:
        embed_dim: Width of the tokens.
        max_len: Number of positions with a vector of their own.
        dropout: Probability of dropping an element of the sum while training.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, or ``dropout`` lies outside [0, 1).

    Source: Gehring et al. (2017), section 3.1; compared in Vaswani et al. (2017), table 3, row E.
    Taught in :doc:`/notebooks/14_positional_encodings`.
    """

    def __init__(self, embed_dim: int, *, max_len: int, dropout: float = 0.0) -> None:
        super().__init__()
        require_positive(embed_dim=embed_dim, max_len=max_len)
        require_probability(dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(torch.empty(max_len, embed_dim))
        nn.init.normal_(self.weight, std=0.02)  # small beside unit-variance tokens

    def forward(
        self,
        x: Float[Tensor, "batch length embed_dim"],
        positions: Int[Tensor, "#batch length"] | None = None,
    ) -> Float[Tensor, "batch length embed_dim"]:
        """Add to every token the vector of its position.

        Args:
            x: The tokens.
            positions: Where each token stands; 0, 1, 2, ... when left out.

        Returns:
            The tokens with their positions.

        Raises:
            TypeError: If ``positions`` is not a tensor of integers.
            ValueError: If the width differs from ``embed_dim``, ``positions`` does not fit the
                tokens, or a position lies outside 0 to ``max_len`` - 1.
        """
        return self.dropout(x + _rows_for(x, positions, self.weight))


def _rows_for(x: Tensor, positions: Tensor | None, table: Tensor) -> Tensor:
    max_len, embed_dim = table.shape
    require_width(x, embed_dim, name="x")
    if positions is None:
        if x.shape[1] > max_len:
            raise ValueError(f"x must have at most max_len={max_len} positions, got {x.shape[1]}")
        return table[: x.shape[1]]
    if not isinstance(positions, Tensor) or positions.dtype != torch.int64:
        raise TypeError(f"positions must be a tensor of int64, got {kind_of(positions)}")
    if tuple(positions.shape) not in ((1, x.shape[1]), x.shape[:2]):
        raise ValueError(
            f"positions must have shape (1 or {len(x)}, {x.shape[1]}), got {tuple(positions.shape)}"
        )
    try:
        return F.embedding(positions, table)
    except IndexError:  # asked afterwards: looking costs more than the lookup
        low, high = (int(end) for end in positions.aminmax())
        raise ValueError(
            f"positions must lie in 0..{max_len - 1} (max_len={max_len}), got {low}..{high}"
        ) from None
