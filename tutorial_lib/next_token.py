"""What every way to write shares: the model, the settings, and the sequences so far."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import Required, TypedDict

from tutorial_lib.cache import KVCache
from tutorial_lib.left_padding import require_left_padding
from tutorial_lib.validation import kind_of, require_counts, require_positive

OnStep = Callable[[int, int], None]


@runtime_checkable
class NextTokenModel(Protocol):
    """What can be decoded from: logits ``(batch, length, vocab_size)`` for tokens.

    ``left_padding`` is passed only where there is some, and ``cache`` only to a
    :class:`CachedModel`.
    """

    def __call__(self, tokens: Tensor) -> Tensor:
        """Score the next token at every position."""
        ...


@runtime_checkable
class CachedModel(Protocol):
    """What can be decoded from with a cache.

    :class:`tutorial_lib.language_model.TransformerLanguageModel` is one, and so is what
    :meth:`tutorial_lib.seq2seq.Seq2SeqTransformer.given` returns.
    """

    def __call__(self, tokens: Tensor, *, cache: KVCache | None = None) -> Tensor:
        """Score the next token at every position of the tokens that the cache has not seen."""
        ...

    def make_cache(self, batch_size: int, capacity: int) -> KVCache:
        """Make an empty cache."""
        ...


class WritingOptions(TypedDict, total=False):
    """The settings that greedy search, sampling and beam search share, given by keyword.

    Args:
        max_new_tokens: Most tokens to write; the only one that must be given.
        stop_token: Ends its sequence; without it every sequence gets ``max_new_tokens``.
        pad_token: What follows the stop token while other sequences go on; the stop token itself
            when left out.
        left_padding: Number of padding tokens at the left of each prompt; none when left out.
        use_cache: Whether to keep keys and values, which is the default; the result is the same,
            only slower without.
        on_step: Called after every step with the number of steps done and ``max_new_tokens``.
    """

    max_new_tokens: Required[int]
    stop_token: int | None
    pad_token: int | None
    left_padding: Int[Tensor, " batch"] | None
    use_cache: bool
    on_step: OnStep | None


class Draft:
    """Sequences that are being written, and the model that scores what comes next.

    All settings are checked here, before the first step; a step checks none of them again.

    Args:
        model: What scores the next token.
        prompt: What each sequence starts with; at least one token.
        copies: Number of rows of each prompt, one after the other (beams).
        max_new_tokens: This and all that follow: see :class:`WritingOptions`.

    Attributes:
        tokens: The prompts, what follows them so far, and padding where the rest will stand.
        length: Number of tokens so far, without that padding.
        ended: Which rows have written their stop token.

    Raises:
        TypeError: If an argument is of the wrong type, or a cache is wanted and the model makes
            none.
        ValueError: If an argument is out of range, or the model is in training mode.
    """

    def __init__(
        self,
        model: NextTokenModel,
        prompt: Int[Tensor, "batch length"],
        *,
        copies: int = 1,
        max_new_tokens: int,
        stop_token: int | None = None,
        pad_token: int | None = None,
        left_padding: Int[Tensor, " batch"] | None = None,
        use_cache: bool = True,
        on_step: OnStep | None = None,
    ) -> None:
        require_positive(max_new_tokens=max_new_tokens)
        named = {"stop_token": stop_token, "pad_token": pad_token}
        require_counts(**{name: token for name, token in named.items() if token is not None})
        _require_prompt(prompt)
        require_left_padding(left_padding, len(prompt), most=prompt.shape[1] - 1)
        if getattr(model, "training", False):
            raise ValueError("model must be in evaluation mode: call eval() first")
        self.model, self.on_step = model, on_step
        self.stop_token, self.pad_token = stop_token, pad_token
        self.start = self.length = prompt.shape[1]
        self.max_new_tokens = operator.index(max_new_tokens)
        filler = next((token for token in (pad_token, stop_token) if token is not None), 0)
        room = prompt.new_full((len(prompt), self.max_new_tokens), filler)
        self.tokens = torch.cat([prompt, room], dim=1).repeat_interleave(copies, dim=0)
        self.ended = torch.zeros(len(self.tokens), dtype=torch.bool, device=prompt.device)
        # A model of a target knows no padding at the left: it is named only where there is some.
        self.padding: dict[str, Any] = {}
        if left_padding is not None:
            self.padding = {"left_padding": left_padding.repeat_interleave(copies)}
        self.cache = self._make_cache() if use_cache else None

    @property
    def has_room(self) -> bool:
        """Whether fewer than ``max_new_tokens`` have been written."""
        return self.length < self.tokens.shape[1]

    @property
    def written(self) -> Int[Tensor, "rows length"]:
        """The prompts and what follows them so far, as long as the longest."""
        return self.tokens[:, : self.length]

    def score(self) -> Float[Tensor, "rows vocab_size"]:
        """Feed the model what it has not seen, and read the logits of what comes next.

        Returns:
            The logits of the next token.

        Raises:
            ValueError: If one is NaN, or ``pad_token`` is none of the tokens.
        """
        if self.cache is None:
            logits = self.model(self.written, **self.padding)[:, -1]
        else:
            model = cast(CachedModel, self.model)
            logits = model(self.written[:, self.cache.length :], cache=self.cache)[:, -1]
        if self.pad_token is not None and self.pad_token >= logits.shape[-1]:
            raise ValueError(
                f"pad_token must lie in 0..{logits.shape[-1] - 1}, got {self.pad_token}"
            )
        if math.isnan(logits.amax()):  # the largest is NaN where any is
            raise ValueError(f"model must give numbers as logits, got NaN for token {self.length}")
        return logits

    def append(self, chosen: Int[Tensor, " rows"]) -> None:
        """Write the next token of every row; what has ended gets padding instead.

        Args:
            chosen: The tokens.
        """
        padding = self.tokens[:, self.length]
        self.tokens[:, self.length] = torch.where(self.ended, padding, chosen)
        if self.stop_token is not None:
            self.ended = self.ended | (chosen == self.stop_token)
        self.length += 1
        if self.on_step is not None:
            self.on_step(self.length - self.start, self.max_new_tokens)

    def reorder(self, rows: Int[Tensor, " rows"]) -> None:
        """Let row i go on from what row ``rows[i]`` has written.

        Args:
            rows: A row number for each row; may repeat.
        """
        self.tokens, self.ended = self.tokens[rows], self.ended[rows]
        if self.cache is not None:
            self.cache.reorder(rows)
        elif self.padding:
            self.padding = {"left_padding": self.padding["left_padding"][rows]}

    def _make_cache(self) -> KVCache:
        if not isinstance(self.model, CachedModel):
            raise TypeError(
                f"model must have make_cache to be decoded with a cache, which "
                f"{type(self.model).__name__} has not: pass use_cache=False"
            )
        rows, length = self.tokens.shape
        return self.model.make_cache(rows, length - 1, **self.padding)  # the last is not read


def _require_prompt(prompt: Tensor) -> None:
    if not isinstance(prompt, Tensor) or prompt.dtype != torch.int64:
        raise TypeError(f"prompt must be a tensor of int64, got {kind_of(prompt)}")
    if prompt.ndim != 2 or not prompt.numel():
        raise ValueError(
            f"prompt must have shape (batch, length) and a token a row, got {tuple(prompt.shape)}"
        )
