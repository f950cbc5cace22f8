"""Relative positions: attention itself is told how far apart a query and a key stand."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tutorial_lib.validation import kind_of, require_above_zero, require_counts, require_positive


class RotaryEmbedding(nn.Module):
    r"""Turn queries and keys by an angle that grows with their position.

    .. math::
        \begin{pmatrix} y_i \\ y_{i + d/2} \end{pmatrix} =
        \begin{pmatrix} \cos p\theta_i & -\sin p\theta_i \\
        \sin p\theta_i & \cos p\theta_i \end{pmatrix}
        \begin{pmatrix} x_i \\ x_{i + d/2} \end{pmatrix},
        \qquad \theta_i = \text{base}^{-2i/d}

    The dot product of a turned query and a turned key depends on the two vectors and on how far
    apart they stand, not on where. The pairs are i and i + d/2, as in Llama; the paper pairs
    neighbours, which is the same up to the order of the dimensions.

    Args:
        head_dim: Width of a query and of a key, d; even.
        max_len: Number of positions the tables hold.
        base: Sets how slowly the last pair turns.

    Raises:
        TypeError: If a size is not an integer, or ``base`` not a number.
        ValueError: If a size is below 1, ``head_dim`` is odd, or ``base`` is not above 0.

    Source: Su et al. (2024), section 3.2.2. Used in :doc:`/notebooks/22_decoder_and_generation`.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, head_dim: int, *, max_len: int = 4096, base: float = 10000.0) -> None:
        super().__init__()
        require_positive(head_dim=head_dim, max_len=max_len)
        require_above_zero(base=base)
        if head_dim % 2:
            raise ValueError(f"head_dim must be even, got {head_dim}")
        pair = torch.arange(0, head_dim, 2, dtype=torch.float64)
        position = torch.arange(max_len, dtype=torch.float64)[:, None]
        angle = (position * base ** -(pair / head_dim)).repeat(1, 2)  # (max_len, head_dim)
        # Buffers move with the module; not persistent, since the formula gives them back.
        self.register_buffer("cos", angle.cos().to(torch.get_default_dtype()), persistent=False)
        self.register_buffer("sin", angle.sin().to(torch.get_default_dtype()), persistent=False)

    def forward(
        self, x: Float[Tensor, "batch heads length head_dim"], start: int = 0
    ) -> Float[Tensor, "batch heads length head_dim"]:
        """Turn vectors that stand at positions ``start``, ``start`` + 1, ...

        Args:
            x: Queries or keys.
            start: Position of the first.

        Returns:
            The turned vectors; their lengths stay.

        Raises:
            TypeError: If ``x`` is not a tensor, or ``start`` not an integer.
            ValueError: If ``x`` has not four axes or another width, or a position lies outside
                0 to ``max_len`` - 1.
        """
        max_len, head_dim = self.cos.shape
        require_counts(start=start)
        if not isinstance(x, Tensor):
            raise TypeError(f"x must be a tensor, got {kind_of(x)}")
        if x.ndim != 4 or x.shape[-1] != head_dim:
            raise ValueError(
                f"x must have shape (batch, heads, length, {head_dim}), got {tuple(x.shape)}"
            )
        end = start + x.shape[2]
        if end > max_len:
            raise ValueError(f"x must end before position max_len={max_len}, got {end} positions")
        low, high = x.chunk(2, dim=-1)
        quarter_turn = torch.cat([-high, low], dim=-1)
        turned = x * self.cos[start:end] + quarter_turn * self.sin[start:end]
        return turned.to(x.dtype)  # under autocast the tables are wider


def alibi_bias(
    num_heads: int, length: int, *, start: int = 0, device: torch.device | None = None
) -> Float[Tensor, "heads query key"]:
    r"""Say how much a key's score falls with its distance from the query.

    .. math:: B_{hij} = -m_h \, |i - j|, \qquad m_h = 2^{-8h/H}, \quad h = 1, \dots, H

    Where H is no power of two, the slopes are those of the power below, then every other one of
    the power above, as in the authors' code. Under a causal mask the distance is i - j.

    Args:
        num_heads: Number of heads, H.
        length: Number of keys.
        start: Position of the first query; the queries end where the keys do.
        device: Where the bias is made.

    Returns:
        What is added to the scores, in the default float type.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, or ``start`` not in 0 to ``length`` - 1.

    Source: Press et al. (2022), section 3. Used in :doc:`/notebooks/22_decoder_and_generation`.
    """
    require_positive(num_heads=num_heads, length=length)
    require_counts(start=start)
    if start >= length:
        raise ValueError(f"start must be below length={length}, got {start}")
    power = 2 ** (int(num_heads).bit_length() - 1)  # the largest power of two up to num_heads
    slopes = [2.0 ** (-8 * h / power) for h in range(1, power + 1)]
    slopes += [2.0 ** (-4 * h / power) for h in range(1, 2 * (num_heads - power), 2)]
    position = torch.arange(length, device=device)
    distance = (position[start:, None] - position).abs()  # (query, key)
    return -torch.tensor(slopes, device=device)[:, None, None] * distance
