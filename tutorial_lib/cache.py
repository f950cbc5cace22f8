"""What decoding keeps, so that no token goes through the model twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tutorial_lib.left_padding import require_left_padding
from tutorial_lib.validation import kind_of, require_positive

Projected = tuple[Tensor, Tensor]  # keys and values, (batch, heads, key, head_dim) each


@dataclass
class TokenCache:
    """One layer's room for the keys and values of the tokens, as its self-attention sees it.

    Args:
        keys: Room for the keys, filled up to ``start``.
        values: Room for the values.
        start: Number of positions that are filled.
    """

    keys: Float[Tensor, "batch heads capacity head_dim"]
    values: Float[Tensor, "batch heads capacity head_dim"]
    start: int

    def extend(self, project: Callable[[], Projected]) -> Projected:
        """Write the keys and values of new tokens behind those of the earlier ones.

        Args:
            project: Computes the new ones.

        Returns:
            Keys and values of all tokens so far.

        Raises:
            RuntimeError: If the new ones carry gradients.
            TypeError: If they have another float type.
            ValueError: If their batch or heads differ, or there is not enough room.
        """
        key, value = project()
        _require_no_gradients(key, value)
        if key.dtype != self.keys.dtype:
            raise TypeError(f"cache must be of {key.dtype} like the keys, got {self.keys.dtype}")
        if len(key) != len(self.keys):
            raise ValueError(f"cache must have batch {len(key)} like x, got {len(self.keys)}")
        if key.shape[1::2] != self.keys.shape[1::2]:
            raise ValueError(
                f"cache must have {key.shape[1]} heads of width {key.shape[3]} like the keys, "
                f"got {self.keys.shape[1]} of {self.keys.shape[3]}"
            )
        end = self.start + key.shape[2]
        if end > self.keys.shape[2]:
            raise ValueError(
                f"cache has capacity={self.keys.shape[2]}: {self.start} positions are filled, "
                f"and {key.shape[2]} more came"
            )
        self.keys[:, :, self.start : end] = key
        self.values[:, :, self.start : end] = value
        return self.keys[:, :, :end], self.values[:, :, :end]


@dataclass
class MemoryCache:
    """The keys and values of the memory, computed once for one layer's cross-attention.

    Args:
        projected: Keys and values, or ``None`` before the first use.
    """

    projected: Projected | None = None
    start: int = field(default=0, init=False)  # the memory stands at positions of its own

    def extend(self, project: Callable[[], Projected]) -> Projected:
        """Compute the keys and values at the first call, and return the same ones ever after.

        Args:
            project: Computes them.

        Returns:
            Keys and values of the memory.

        Raises:
            RuntimeError: If they carry gradients.
        """
        if self.projected is None:
            projected = project()
            _require_no_gradients(*projected)
            self.projected = projected
        return self.projected


class KVCache:
    r"""The keys and values of all layers, for the tokens that a decoder has seen.

    A causal token's keys and values do not depend on what comes later. So a step computes those of
    the new token alone, and attends to

    .. math:: K_{1:t} = [K_{1:t-1};\, k_t], \qquad V_{1:t} = [V_{1:t-1};\, v_t].

    The room is allocated at once, for ``capacity`` positions. The keys and values of the memory
    that cross-attention reads are kept too, from the first call on.
    :meth:`tutorial_lib.decoder.TransformerDecoder.make_cache` makes one that fits.

    Args:
        num_layers: Number of decoder layers.
        batch_size: Number of sequences.
        num_heads: Number of attention heads.
        head_dim: Width of a key.
        capacity: Number of positions there is room for.
        left_padding: Number of padding tokens at the left of each sequence; none when left out.
        dtype: Float type of the keys; the default one when left out.
        device: Where they are kept.

    Attributes:
        length: Number of positions that are filled.

    Raises:
        TypeError: If a size is not an integer, or ``left_padding`` no tensor of integers.
        ValueError: If a size is below 1, or ``left_padding`` has not one number of at least 0 for
            each sequence.

    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        batch_size: int,
        num_heads: int,
        head_dim: int,
        capacity: int,
        left_padding: Int[Tensor, " batch"] | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | None = None,
    ) -> None:
        require_positive(
            num_layers=num_layers,
            batch_size=batch_size,
            num_heads=num_heads,
            head_dim=head_dim,
            capacity=capacity,
        )
        require_left_padding(left_padding, batch_size)
        room = (num_layers, batch_size, num_heads, capacity, head_dim)
        self.keys = torch.empty(room, dtype=dtype, device=device)
        self.values = torch.empty(room, dtype=dtype, device=device)
        self.memory = [MemoryCache() for _ in range(num_layers)]
        self.left_padding = left_padding
        self.length = 0

    @property
    def capacity(self) -> int:
        """Number of positions there is room for."""
        return self.keys.shape[3]

    def tokens(self, layer: int) -> TokenCache:
        """Give one layer its room.

        Args:
            layer: Number of the layer, from 0.

        Returns:
            What its self-attention extends.
        """
        return TokenCache(self.keys[layer], self.values[layer], self.length)

    def begin(self) -> None:
        """Forget the memory of a first step that did not come to its end."""
        if self.length == 0:
            self.memory = [MemoryCache() for _ in self.memory]

    def advance(self, count: int) -> None:
        """Count new positions as filled, once every layer has written its own.

        A step that is interrupted before this leaves the cache as it was.

        Args:
            count: Number of new positions.
        """
        self.length += count

    def reorder(self, rows: Int[Tensor, " batch"]) -> None:
        """Let row i go on from what row ``rows[i]`` has seen, as beam search needs it.

        Args:
            rows: A row number for each row; may repeat.

        Raises:
            TypeError: If ``rows`` is not a tensor of int64.
            ValueError: If there is not one number for each row, from 0 to the last row's.
        """
        batch = self.keys.shape[1]
        if not isinstance(rows, Tensor) or rows.dtype != torch.int64:
            raise TypeError(f"rows must be a tensor of int64, got {kind_of(rows)}")
        if rows.shape != (batch,) or rows.min() < 0 or rows.max() >= batch:
            raise ValueError(
                f"rows must hold {batch} numbers from 0 to {batch - 1}, got {rows.tolist()}"
            )
        filled = slice(self.length)
        self.keys[:, :, :, filled] = self.keys[:, rows, :, filled]
        self.values[:, :, :, filled] = self.values[:, rows, :, filled]
        if self.left_padding is not None:
            self.left_padding = self.left_padding[rows]
        for memory in self.memory:
            if memory.projected is not None:
                key, value = memory.projected
                memory.projected = (key[rows], value[rows])


def _require_no_gradients(key: Tensor, value: Tensor) -> None:
    if key.requires_grad or value.requires_grad:
        raise RuntimeError("cache keeps no gradients: decode under torch.no_grad()")
