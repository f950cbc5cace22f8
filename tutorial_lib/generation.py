"""Write tokens, one after the other: greedy search, sampling, beam search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tutorial_lib.next_token import Follower, NextTokenModel, require_prompt, with_room
from tutorial_lib.validation import (
    require_above_zero,
    require_at_least_zero,
    require_floats,
    require_positive,
)

OnStep = Callable[[int, int], None]


class Beams(NamedTuple):
    """The hypotheses of a beam search, best first.

    Args:
        tokens: The prompts and what follows them.
        scores: Log-probability of what follows, divided by the length penalty.
    """

    tokens: Int[Tensor, "batch beams length"]
    scores: Float[Tensor, "batch beams"]


def greedy_search(
    model: NextTokenModel,
    prompt: Int[Tensor, "batch length"],
    *,
    max_new_tokens: int,
    stop_token: int | None = None,
    pad_token: int | None = None,
    left_padding: Int[Tensor, " batch"] | None = None,
    use_cache: bool = True,
    on_step: OnStep | None = None,
) -> Int[Tensor, "batch longer"]:
    r"""Take the most probable token, again and again.

    .. math:: t_{i+1} = \operatorname{argmax}_v\, p(v \mid t_0, \dots, t_i)

    Args:
        model: What scores the next token.
        prompt: What each sequence starts with; at least one token.
        max_new_tokens: Most tokens to write.
        stop_token: Ends its sequence; without it every sequence gets ``max_new_tokens``.
        pad_token: What follows the stop token while other sequences go on; the stop token itself
            when left out.
        left_padding: Number of padding tokens at the left of each prompt.
        use_cache: Whether to keep keys and values; the result is the same, only slower without.
        on_step: Called after every step with the number of steps done and ``max_new_tokens``.

    Returns:
        The prompts and what follows them, as long as the longest.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, or the model is in training mode.

    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """
    return _write(
        model,
        prompt,
        lambda logits: logits.argmax(dim=-1),
        max_new_tokens=max_new_tokens,
        stop_token=stop_token,
        pad_token=pad_token,
        left_padding=left_padding,
        use_cache=use_cache,
        on_step=on_step,
    ).clone()  # a copy made outside inference mode can be trained on


def sample(
    model: NextTokenModel,
    prompt: Int[Tensor, "batch length"],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
    stop_token: int | None = None,
    pad_token: int | None = None,
    left_padding: Int[Tensor, " batch"] | None = None,
    use_cache: bool = True,
    on_step: OnStep | None = None,
) -> Int[Tensor, "batch longer"]:
    r"""Draw the next token, again and again.

    .. math:: t_{i+1} \sim \operatorname{softmax}(\operatorname{filter}(\operatorname{logits}_i))

    Args:
        model: What scores the next token.
        prompt: What each sequence starts with; at least one token.
        max_new_tokens: Most tokens to write.
        temperature: See :func:`filter_logits`.
        top_k: See :func:`filter_logits`.
        top_p: See :func:`filter_logits`.
        generator: Where the randomness comes from; the same seed draws the same tokens.
        stop_token: Ends its sequence; without it every sequence gets ``max_new_tokens``.
        pad_token: What follows the stop token while other sequences go on; the stop token itself
            when left out.
        left_padding: Number of padding tokens at the left of each prompt.
        use_cache: Whether to keep keys and values; the result is the same, only slower without.
        on_step: Called after every step with the number of steps done and ``max_new_tokens``.

    Returns:
        The prompts and what follows them, as long as the longest.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, or the model is in training mode.

    Source: top-k: Fan et al. (2018); top-p: Holtzman et al. (2020).
    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """
    _require_filter(temperature, top_k, top_p)

    def draw(logits: Tensor) -> Tensor:
        kept = filter_logits(logits, temperature=temperature, top_k=top_k, top_p=top_p)
        return torch.multinomial(kept.softmax(dim=-1), 1, generator=generator)[:, 0]

    return _write(
        model,
        prompt,
        draw,
        max_new_tokens=max_new_tokens,
        stop_token=stop_token,
        pad_token=pad_token,
        left_padding=left_padding,
        use_cache=use_cache,
        on_step=on_step,
    ).clone()  # a copy made outside inference mode can be trained on


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


@torch.no_grad()
def beam_search(
    model: NextTokenModel,
    prompt: Int[Tensor, "batch length"],
    *,
    num_beams: int,
    max_new_tokens: int,
    length_penalty: float = 0.0,
    stop_token: int | None = None,
    pad_token: int | None = None,
    left_padding: Int[Tensor, " batch"] | None = None,
    use_cache: bool = True,
    on_step: OnStep | None = None,
) -> Beams:
    r"""Follow the best few beginnings at once.

    .. math:: \operatorname{score}(t) = \frac{\log p(t \mid \text{prompt})}{\ell(|t|)},
        \qquad \ell(n) = \left(\frac{5 + n}{6}\right)^\alpha

    A hypothesis that has written its stop token keeps its place and its score. Those that have not
    are continued with every token, and the best ``num_beams`` of all stay. One beam is greedy
    search; as many beams as there are sequences find the best of all.

    Args:
        model: What scores the next token.
        prompt: What each sequence starts with; at least one token.
        num_beams: Number of hypotheses that are followed.
        max_new_tokens: Most tokens to write.
        length_penalty: :math:`\alpha`, at least 0: 0 compares log-probabilities, which favours
            short hypotheses; larger values favour long ones.
        stop_token: Ends its hypothesis.
        pad_token: What follows the stop token; the stop token itself when left out.
        left_padding: Number of padding tokens at the left of each prompt.
        use_cache: Whether to keep keys and values; the result is the same, only slower without.
        on_step: Called after every step with the number of steps done and ``max_new_tokens``.

    Returns:
        The hypotheses, best first, and their scores. Where there are fewer than ``num_beams``
        different ones, the rest have a score of minus infinity.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, or the model is in training mode.

    Source: Wu et al. (2016), section 7. Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """
    require_positive(num_beams=num_beams)
    require_at_least_zero(length_penalty=length_penalty)
    require_prompt(model, prompt, max_new_tokens, left_padding, stop_token, pad_token)
    batch, given = prompt.shape
    tokens = with_room(prompt, max_new_tokens, stop_token, pad_token).repeat_interleave(
        num_beams, 0
    )
    left_padding = None if left_padding is None else left_padding.repeat_interleave(num_beams)
    follow = Follower(model, len(tokens), tokens.shape[1] - 1, left_padding, use_cache=use_cache)
    first_rows = torch.arange(0, len(tokens), num_beams, device=prompt.device)[:, None]
    # Every beam of a prompt starts the same: only the first counts until they differ.
    total = torch.full((batch, num_beams), -math.inf, device=prompt.device, dtype=torch.float64)
    total[:, 0] = 0.0
    length = torch.zeros_like(total)
    ended = torch.zeros_like(total, dtype=torch.bool)
    end = given
    for end in range(given + 1, given + max_new_tokens + 1):
        log_p = follow(tokens[:, : end - 1]).double().log_softmax(dim=-1)
        log_p = log_p.view(batch, num_beams, -1)
        vocab_size = log_p.shape[-1]
        log_p = log_p.masked_fill(ended[..., None], -math.inf)
        log_p[..., 0] = log_p[..., 0].masked_fill(ended, 0.0)  # an ended one goes on in one way
        length = length + ~ended
        score = (total[..., None] + log_p) / _length_penalty(length, length_penalty)[..., None]
        score, choice = score.flatten(1).topk(num_beams, dim=-1)
        beam, token = choice // vocab_size, choice % vocab_size
        rows = (first_rows + beam).flatten()
        tokens, was_ended = tokens[rows], ended.gather(1, beam)
        follow.reorder(rows)
        length = length.gather(1, beam)
        total = score * _length_penalty(length, length_penalty)
        new = token.flatten()
        tokens[:, end - 1] = torch.where(was_ended.flatten(), tokens[:, end - 1], new)
        ended = was_ended if stop_token is None else was_ended | (token == stop_token)
        if on_step is not None:
            on_step(end - given, max_new_tokens)
        if (ended | total.isneginf()).all():
            break
    score = total / _length_penalty(length, length_penalty)
    return Beams(tokens[:, :end].view(batch, num_beams, -1), score)


@torch.inference_mode()
def _write(
    model: NextTokenModel,
    prompt: Tensor,
    choose: Callable[[Tensor], Tensor],
    *,
    max_new_tokens: int,
    stop_token: int | None,
    pad_token: int | None,
    left_padding: Tensor | None,
    use_cache: bool,
    on_step: OnStep | None,
) -> Tensor:
    require_prompt(model, prompt, max_new_tokens, left_padding, stop_token, pad_token)
    batch, given = prompt.shape
    tokens = with_room(prompt, max_new_tokens, stop_token, pad_token)
    follow = Follower(model, batch, tokens.shape[1] - 1, left_padding, use_cache=use_cache)
    ended = torch.zeros(batch, dtype=torch.bool, device=prompt.device)
    for end in range(given, tokens.shape[1]):
        chosen = choose(follow(tokens[:, :end]))
        tokens[:, end] = torch.where(ended, tokens[:, end], chosen)
        if stop_token is not None:
            ended = ended | (chosen == stop_token)
        if on_step is not None:
            on_step(end - given + 1, max_new_tokens)
        if ended.all():
            return tokens[:, : end + 1]
    return tokens


def _length_penalty(length: Tensor, alpha: float) -> Tensor:
    return ((5.0 + length) / 6.0) ** alpha


def _require_filter(temperature: float, top_k: int | None, top_p: float | None) -> None:
    require_above_zero(temperature=temperature)
    if top_k is not None:
        require_positive(top_k=top_k)
    if top_p is not None:
        require_above_zero(top_p=top_p)
        if top_p > 1:
            raise ValueError(f"top_p must be above 0 and at most 1, got {top_p}")
