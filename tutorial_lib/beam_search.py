"""Beam search: write the most probable sequence that the best few beginnings lead to."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import Unpack

from tutorial_lib.next_token import Draft, NextTokenModel, WritingOptions
from tutorial_lib.validation import require_at_least_zero, require_positive


class Beams(NamedTuple):
    """The hypotheses of a beam search, best first.

    Args:
        tokens: The prompts and what follows them.
        scores: Log-probability of what follows, divided by the length penalty.
    """

    tokens: Int[Tensor, "batch beams length"]
    scores: Float[Tensor, "batch beams"]


@torch.no_grad()
def beam_search(
    model: NextTokenModel,
    prompt: Int[Tensor, "batch length"],
    *,
    num_beams: int,
    length_penalty: float = 0.0,
    **options: Unpack[WritingOptions],
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
        length_penalty: :math:`\alpha`, at least 0: 0 compares log-probabilities, which favours
            short hypotheses; larger values favour long ones.
        options: ``max_new_tokens``, and if wanted ``stop_token``, ``pad_token``, ``left_padding``,
            ``use_cache`` and ``on_step``; see :class:`tutorial_lib.next_token.WritingOptions`.

    Returns:
        The hypotheses, best first, and their scores. Where there are fewer than ``num_beams``
        different ones, the rest have a score of minus infinity.

    Raises:
        TypeError: If an argument is of the wrong type.
        ValueError: If an argument is out of range, or the model is in training mode or gives NaN.

    Source: Wu et al. (2016), section 7. Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """
    require_positive(num_beams=num_beams)
    require_at_least_zero(length_penalty=length_penalty)
    draft = Draft(model, prompt, copies=num_beams, **options)
    first_rows = torch.arange(0, len(draft.tokens), num_beams, device=prompt.device)[:, None]
    # Every beam of a prompt starts the same: only the first counts until they differ.
    total = torch.full(
        (len(prompt), num_beams), -math.inf, dtype=torch.float64, device=prompt.device
    )
    total[:, 0] = 0.0
    length = torch.zeros_like(total)
    ended = draft.ended.view_as(total)
    while draft.has_room and not (ended | total.isneginf()).all():
        log_p = draft.score().double().log_softmax(dim=-1)
        vocab_size = log_p.shape[-1]
        log_p = log_p.view(*total.shape, vocab_size).masked_fill(ended[..., None], -math.inf)
        log_p[..., 0] = log_p[..., 0].masked_fill(ended, 0.0)  # an ended one goes on in one way
        length = length + ~ended
        score = (total[..., None] + log_p) / _length_penalty(length, length_penalty)[..., None]
        score, choice = score.flatten(1).topk(num_beams, dim=-1)
        beam, token = choice // vocab_size, choice % vocab_size
        draft.reorder((first_rows + beam).flatten())
        draft.append(token.flatten())
        ended = draft.ended.view_as(total)
        length = length.gather(1, beam)
        total = score * _length_penalty(length, length_penalty)
    score = total / _length_penalty(length, length_penalty)
    return Beams(draft.written.view(*total.shape, -1), score)


def _length_penalty(length: Tensor, alpha: float) -> Tensor:
    return ((5.0 + length) / 6.0) ** alpha
