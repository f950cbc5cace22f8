"""What generation runs: a model that scores the next token, fed step by step."""

from __future__ import annotations

from typing import Any, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tutorial_lib.cache import KVCache
from tutorial_lib.left_padding import require_left_padding
from tutorial_lib.validation import kind_of, require_counts, require_positive


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


class Follower:
    """Feed a model what it has not seen, and read the logits of what comes next.

    Args:
        model: What scores the next token.
        batch_size: Number of sequences.
        capacity: Most tokens that a sequence is fed.
        left_padding: Number of padding tokens at the left of each sequence, or ``None``.
        use_cache: Whether to keep keys and values between the calls.

    Raises:
        TypeError: If a cache is wanted and the model makes none.
    """

    def __init__(
        self,
        model: NextTokenModel,
        batch_size: int,
        capacity: int,
        left_padding: Tensor | None,
        *,
        use_cache: bool,
    ) -> None:
        self.model = model
        # A model of a target knows no padding at the left: it is named only where there is some.
        self.padding: dict[str, Any] = {}
        if left_padding is not None:
            self.padding = {"left_padding": left_padding}
        self.cache = None
        if use_cache:
            if not isinstance(model, CachedModel):
                raise TypeError(
                    f"model must have make_cache to be decoded with a cache, which "
                    f"{type(model).__name__} has not: pass use_cache=False"
                )
            self.cache = model.make_cache(batch_size, capacity, **self.padding)

    def __call__(self, tokens: Int[Tensor, "batch length"]) -> Float[Tensor, "batch vocab_size"]:
        """Score what follows the sequences so far.

        Args:
            tokens: All tokens so far, also those of earlier calls.

        Returns:
            The logits of the next token.
        """
        if self.cache is None:
            return self.model(tokens, **self.padding)[:, -1]
        model = cast(CachedModel, self.model)
        return model(tokens[:, self.cache.length :], cache=self.cache)[:, -1]

    def reorder(self, rows: Int[Tensor, " batch"]) -> None:
        """Let row i go on from what row ``rows[i]`` has seen.

        Args:
            rows: A row number for each row; may repeat.
        """
        if self.cache is not None:
            self.cache.reorder(rows)
        elif self.padding:
            self.padding = {"left_padding": self.padding["left_padding"][rows]}


def with_room(
    prompt: Tensor, max_new_tokens: int, stop_token: int | None, pad_token: int | None
) -> Tensor:
    """Put padding behind the prompts, where the new tokens will stand.

    Args:
        prompt: What each sequence starts with.
        max_new_tokens: Number of places.
        stop_token: The padding where ``pad_token`` is left out.
        pad_token: The padding.

    Returns:
        Prompts and padding, ``(batch, length + max_new_tokens)``.
    """
    filler = next((token for token in (pad_token, stop_token) if token is not None), 0)
    return torch.cat([prompt, prompt.new_full((len(prompt), max_new_tokens), filler)], dim=1)


def require_prompt(
    model: NextTokenModel,
    prompt: Tensor,
    max_new_tokens: int,
    left_padding: Tensor | None = None,
    stop_token: int | None = None,
    pad_token: int | None = None,
) -> None:
    """Raise unless decoding can start.

    Args:
        model: What scores the next token.
        prompt: What each sequence starts with.
        max_new_tokens: Most tokens to write.
        left_padding: Number of padding tokens at the left of each prompt, or ``None``.
        stop_token: Ends a sequence, or ``None``.
        pad_token: What follows the stop token, or ``None``.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, or the model is in training mode.
    """
    require_positive(max_new_tokens=max_new_tokens)
    tokens = {"stop_token": stop_token, "pad_token": pad_token}
    require_counts(**{name: token for name, token in tokens.items() if token is not None})
    if not isinstance(prompt, Tensor) or prompt.dtype != torch.int64:
        raise TypeError(f"prompt must be a tensor of int64, got {kind_of(prompt)}")
    if prompt.ndim != 2 or not prompt.numel():
        raise ValueError(
            f"prompt must have shape (batch, length) and a token a row, got {tuple(prompt.shape)}"
        )
    require_left_padding(left_padding, len(prompt), most=prompt.shape[1] - 1)
    if getattr(model, "training", False):
        raise ValueError("model must be in evaluation mode: call eval() first")
