"""Scores of marked tokens, and the ranks they should have: the loss, Kendall's tau, exact match."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tutorial_lib.teacher_forcing import NO_LABEL
from tutorial_lib.validation import require_floats


def rank_loss(
    scores: Float[Tensor, "batch length"], labels: Float[Tensor, "batch length"]
) -> Float[Tensor, ""]:
    r"""Average the squared error over the tokens that have a label.

    .. math:: \mathcal L = \frac{1}{|M|} \sum_{(b,t) \in M} (s_{b,t} - y_{b,t})^2,
        \qquad M = \{(b,t) : y_{b,t} \ne -100\}

    Args:
        scores: A score for each token.
        labels: A number for each marked token, -100 for all others.

    Returns:
        The loss.

    Raises:
        TypeError: If one is not a tensor of floats, or they differ in type.
        ValueError: If the shapes differ, or no token has a label.

    Taught in :doc:`/notebooks/46_sentence_ordering`.
    """
    _require_alike(scores, labels)
    marked = labels != NO_LABEL
    if not marked.any():
        raise ValueError("labels must mark at least one token, got -100 everywhere")
    return (scores - labels)[marked].square().mean()


def kendall_tau(
    scores: Float[Tensor, "batch length"], labels: Float[Tensor, "batch length"]
) -> Float[Tensor, " batch"]:
    r"""Compare the order of the scores with that of the labels, row by row: Kendall's tau-b.

    .. math:: \tau = \frac{\sum_{i<j} \sigma^s_{ij} \sigma^y_{ij}}
        {\sqrt{\sum_{i<j} (\sigma^s_{ij})^2} \sqrt{\sum_{i<j} (\sigma^y_{ij})^2}},
        \qquad \sigma^s_{ij} = \operatorname{sign}(s_i - s_j)

    Without ties that is the share of pairs in the right order minus the share in the wrong one.

    Args:
        scores: A score for each token.
        labels: A number for each marked token, -100 for all others; only marked tokens count.

    Returns:
        From -1, reversed, to 1, the same order; NaN where a row has no two different scores or
        no two different labels.

    Raises:
        TypeError: If one is not a tensor of floats, or they differ in type.
        ValueError: If the shapes differ.

    Source: Kendall (1938), and (1945) for ties. Taught in :doc:`/notebooks/46_sentence_ordering`.
    """
    of_scores, of_labels = _signs(scores, labels)
    agree = (of_scores * of_labels).sum(dim=(1, 2))
    pairs = of_scores.square().sum(dim=(1, 2)) * of_labels.square().sum(dim=(1, 2))
    return agree / pairs.sqrt()


def exact_match(
    scores: Float[Tensor, "batch length"], labels: Float[Tensor, "batch length"]
) -> Bool[Tensor, " batch"]:
    """Say in which rows the scores put all marked tokens in the order of their labels.

    Args:
        scores: A score for each token.
        labels: A number for each marked token, -100 for all others.

    Returns:
        True where every pair stands in the right order; two equal scores are no order.

    Raises:
        TypeError: If one is not a tensor of floats, or they differ in type.
        ValueError: If the shapes differ.

    Taught in :doc:`/notebooks/46_sentence_ordering`.
    """
    of_scores, of_labels = _signs(scores, labels)
    return ((of_scores == of_labels) | (of_labels == 0)).all(dim=2).all(dim=1)


def _signs(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Compare every two marked tokens of a row; 0 where one is not marked."""
    _require_alike(scores, labels)
    marked = labels != NO_LABEL
    both = marked[:, :, None] & marked[:, None, :]
    return tuple(  # type: ignore[return-value]
        torch.sign(values[:, :, None] - values[:, None, :]).where(both, 0.0)
        for values in (scores, labels)
    )


def _require_alike(scores: Tensor, labels: Tensor) -> None:
    require_floats(scores=scores, labels=labels)
    if scores.ndim != 2:
        raise ValueError(f"scores must have shape (batch, length), got {tuple(scores.shape)}")
    if scores.shape != labels.shape:
        raise ValueError(
            f"labels must have shape {tuple(scores.shape)} like scores, got {tuple(labels.shape)}"
        )
