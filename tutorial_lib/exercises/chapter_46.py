"""Checks for chapter 46, sentence ordering with Hugging Face."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import factorial

import torch
import torch.nn.functional as F

from tutorial_lib.exercises.checker import Checker, is_close, require_shape
from tutorial_lib.experiments.ordering.ranking import kendall_tau
from tutorial_lib.teacher_forcing import NO_LABEL

check = Checker(46)


@check.exercise(1, hint="argsort says which sentence comes first; sort once more to turn it round.")
def ranks_are_places_in_the_order(ranks_of: Callable) -> None:
    """Rank drawn scores, and some for which sorting once gives something else."""
    drawn = torch.randn(6, generator=torch.Generator().manual_seed(0))
    for scores in (torch.tensor([0.9, 0.1, 0.5]), drawn, torch.tensor([2.0])):
        ranks = ranks_of(scores)
        require_shape(ranks, tuple(scores.shape), "the ranks")
        expected = (scores[None, :] < scores[:, None]).sum(dim=1)
        given, order = ranks.tolist(), scores.argsort().tolist()
        assert expected.tolist() == order or given != order, (
            "this is the order: at place k, the sentence that comes k-th"
        )
        assert given == expected.tolist(), f"{scores.tolist()} got the ranks {given}"


@check.exercise(2, hint="Look at the sign of (s_i - s_j) (y_i - y_j) for every pair i < j.")
def tau_counts_the_pairs(tau: Callable) -> None:
    """Compare with the package on a reversal, one swap, and drawn orders."""
    generator = torch.Generator().manual_seed(0)
    cases = [torch.tensor([3.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 4.0, 3.0])]
    cases += [torch.randn(n, generator=generator) for n in (2, 5, 6)]
    for scores in cases:
        labels = torch.arange(float(len(scores)))
        answer = torch.as_tensor(tau(scores, labels))
        require_shape(answer, (), "tau")
        expected = kendall_tau(scores[None], labels[None])[0]
        assert not is_close(answer, (expected + 1) / 2) or is_close(answer, expected), (
            "this is the share of right pairs; the wrong ones are subtracted"
        )
        assert is_close(answer, expected, 1e-5), (
            f"tau is {float(expected):.3f} for scores in the order "
            f"{scores.argsort().tolist()}, got {float(answer):.3f}"
        )


@check.exercise(3, hint="Of n sentences there are n! orders, and one of them is right.")
def chance_is_one_order_of_all(chance_exact: Callable) -> None:
    """Ask for stories of one length, and for a mixture."""
    for lengths in ([4], [4, 5, 6], [2, 2, 6]):
        answer = float(chance_exact(lengths))
        expected = sum(1 / factorial(n) for n in lengths) / len(lengths)
        at_the_mean = 1 / factorial(round(sum(lengths) / len(lengths)))
        assert len(set(lengths)) == 1 or abs(answer - at_the_mean) > 1e-9, (
            "average the chances, not the lengths"
        )
        assert abs(answer - expected) < 1e-9, f"for lengths {lengths} it is {expected:.4f}"


@check.exercise(
    4, hint="softplus(s_earlier - s_later) for every pair of markers of a row; average over pairs."
)
def pairs_are_compared_within_a_story(pairwise_loss: Callable) -> None:
    """Compare with a loop over the pairs; other tokens and other stories play no part."""
    no = float(NO_LABEL)
    labels = torch.tensor([[1.0, no, -1.0, 0.0, no], [no, -1.0, no, 1.0, no]])
    scores = torch.randn(2, 5, generator=torch.Generator().manual_seed(1)).requires_grad_()
    answer = pairwise_loss(scores, labels)
    require_shape(answer, (), "the loss")
    terms = [
        F.softplus((row[i] - row[j]) * torch.sign(y[j] - y[i]))
        for row, y in zip(scores, labels, strict=True)
        for i, j in combinations([t for t in range(5) if y[t] != no], 2)
    ]
    expected = torch.stack(terms).mean()
    assert answer.requires_grad, "the loss must have a gradient"
    (gradient,) = torch.autograd.grad(answer, scores)
    assert gradient[labels == no].abs().max() == 0, "a token without a label gets a gradient"
    assert is_close(answer.detach(), expected.detach(), 1e-5), (
        f"it must be {expected.item():.4f} here, got {answer.item():.4f}"
    )
