"""Write tokens, one after the other: greedy search and sampling."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import Unpack

from tutorial_lib.next_token import Draft, NextTokenModel, WritingOptions
from tutorial_lib.validation import require_above_zero, require_floats, require_positive


def greedy_search(
    model: NextTokenModel,
    prompt: Int[Tensor, "batch length"],
    **options: Unpack[WritingOptions],
) -> Int[Tensor, "batch longer"]:
    r"""Take the most probable token, again and again.

    .. math:: t_{i+1} = \operatorname{argmax}_v\, p(v \mid t_0, \dots, t_i)

    Args:
        model: What scores the next token.
        prompt: What each sequence starts with; at least one token.
        options: ``max_new_tokens``, and if wanted ``stop_token``, ``pad_token``, ``left_padding``,
            ``use_cache`` and ``on_step``; see :class:`tutorial_lib.next_token.WritingOptions`.

    Returns:
        The prompts and what follows them, as long as the longest.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, or the model is in training mode or gives NaN.

    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """
    return _write(model, prompt, lambda logits: logits.argmax(dim=-1), **options)


def sample(
    model: NextTokenModel,
    prompt: Int[Tensor, "batch length"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
    **options: Unpack[WritingOptions],
) -> Int[Tensor, "batch longer"]:
    r"""Draw the next token, again and again.

    .. math:: t_{i+1} \sim \operatorname{softmax}(\operatorname{filter}(\operatorname{logits}_i))

    Args:
        model: What scores the next token.
        prompt: What each sequence starts with; at least one token.
        temperature: See :func:`filter_logits`.
        top_k: See :func:`filter_logits`.
        top_p: See :func:`filter_logits`.
        generator: Where the randomness comes from; the same seed draws the same tokens.
        options: As :func:`greedy_search` takes them.

    Returns:
        The prompts and what follows them, as long as the longest.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, or the model is in training mode or gives NaN.

    Source: top-k: Fan et al. (2018); top-p: Holtzman et al. (2020).
    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """
    _require_filter(temperature, top_k, top_p)

    def draw(logits: Tensor) -> Tensor:
        kept = filter_logits(logits, temperature=temperature, top_k=top_k, top_p=top_p)
        return torch.multinomial(kept.softmax(dim=-1), 1, generator=generator)[:, 0]

    return _write(model, prompt, draw, **options)


def filter_logits(
    logits: Float[Tensor, "... vocab_size"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Float[Tensor, "... vocab_size"]:
    r"""Sharpen a distribution, and cut off its improbable tokens.

    .. math:: \operatorname{logits} / \tau, \quad -\infty \text{ for all tokens but the k most
        probable, or but the fewest that hold the probability } p

    Args:
        logits: Scores of the tokens.
        temperature: Divides the scores, :math:`\tau`: below 1 sharpens, above 1 flattens.
        top_k: Keep this many of the most probable tokens, and those that tie with the last.
        top_p: Keep the fewest of the most probable tokens that together hold this probability,
            after ``temperature`` and ``top_k``; at least one.

    Returns:
        The scores, minus infinity where a token is cut off.

    Raises:
        TypeError: If ``logits`` are no floats, or a setting not a number.
        ValueError: If ``temperature`` is not above 0, ``top_k`` below 1, or ``top_p`` not in
            (0, 1].

    Source: top-k: Fan et al. (2018), section 5.4; top-p: Holtzman et al. (2020), section 3.1.
    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """
    require_floats(logits=logits)
    _require_filter(temperature, top_k, top_p)
    logits = logits / temperature
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1]), dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < least, -math.inf)
    if top_p is not None and top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True, stable=True)
        probability = ordered.double().softmax(dim=-1)  # a sum of many small numbers
        before = probability.cumsum(dim=-1) - probability  # held by the more probable tokens
        cut = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, before >= top_p)
        logits = logits.masked_fill(cut, -math.inf)
    return logits


def _write(
    model: NextTokenModel,
    prompt: Tensor,
    choose: Callable[[Tensor], Tensor],
    **options: Unpack[WritingOptions],
) -> Tensor:
    with torch.inference_mode():
        draft = Draft(model, prompt, **options)
        while draft.has_room and not draft.ended.all():
            draft.append(choose(draft.score()))
    return draft.written.clone()  # a copy made outside inference mode can be trained on


def _require_filter(temperature: float, top_k: int | None, top_p: float | None) -> None:
    require_above_zero(temperature=temperature)
    if top_k is not None:
        require_positive(top_k=top_k)
    if top_p is not None:
        require_above_zero(top_p=top_p)
        if top_p > 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {top_p}")
