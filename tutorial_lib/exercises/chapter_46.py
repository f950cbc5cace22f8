"""Checks for chapter 46, sentence ordering with Hugging Face."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from math import factorial
from statistics import mean

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, ask, explain, require_shape
from tutorial_lib.experiments.ordering.ranking import kendall_tau
from tutorial_lib.teacher_forcing import NO_LABEL

check = Checker(46)


@check.exercise(1, hint="argsort says which sentence comes first; sort once more to turn it round.")
def ranks_are_places_in_the_order(ranks_of: Callable) -> None:
    """Rank drawn scores, and some for which sorting once gives something else."""
    drawn = torch.randn(6, generator=torch.Generator().manual_seed(0))
    for scores in (drawn, torch.tensor([0.9, 0.1, 0.5]), torch.tensor([2.0])):
        ranks = ask(ranks_of, scores)
        require_shape(ranks, tuple(scores.shape), "the ranks")
        right = (scores[None, :] < scores[:, None]).sum(dim=1)
        got = f"{scores.tolist()} got {ranks.tolist()}"
        explain(
            ranks,
            right,
            {
                f"this is the order: at place k, the sentence that comes k-th: {got}": (
                    scores.argsort()
                ),
                f"this is the order, from the highest: {got}": scores.argsort(descending=True),
                f"rank 0 is the lowest score, and here it is the highest: {got}": (
                    len(scores) - 1 - right
                ),
                f"the ranks begin at 1: they begin at 0: {got}": right + 1,
                f"these are the scores, sorted: {got}": scores.sort().values,
            },
            otherwise=f"{got}: the ranks are {right.tolist()}",
        )


@check.exercise(2, hint="Look at the sign of (s_i - s_j) (y_i - y_j) for every pair i < j.")
def tau_counts_the_pairs(tau: Callable) -> None:
    """Compare with the package on drawn orders, a reversal and one swap."""
    generator = torch.Generator().manual_seed(0)
    cases = [
        (torch.randn(n, generator=generator), torch.randperm(n, generator=generator).float())
        for n in (6, 5, 5)
    ]
    for order in ([3.0, 2.0, 1.0], [1.0, 2.0, 4.0, 3.0], [0.5, 0.25]):
        cases.append((torch.tensor(order), torch.arange(float(len(order)))))
    for scores, labels in cases:
        answer = torch.as_tensor(ask(tau, scores, labels))
        require_shape(answer, (), "tau")
        right = kendall_tau(scores[None], labels[None])[0]
        size, rank = len(scores), scores.argsort().argsort()
        pairs = size * (size - 1) / 2
        explain(
            answer,
            right,
            {
                "this is the share of right pairs; the wrong ones are subtracted": (right + 1) / 2,
                "this is the share of wrong pairs; they are subtracted from the right ones": (
                    (1 - right) / 2
                ),
                "the sign is wrong: a pair in the right order counts +1": -right,
                "the labels play no part: compare with y_i - y_j, not with the places": (
                    kendall_tau(scores[None], torch.arange(float(size))[None])[0]
                ),
                "the scores play no part": (
                    kendall_tau(torch.arange(float(size))[None], labels[None])[0]
                ),
                "the pairs are summed: divide by their number": right * pairs,
                "each pair is summed from both sides: divide by n (n - 1)": right * 2 * pairs,
                "each pair is summed from both sides, and divided by once": 2 * right,
                "each pair counts once, and is divided by n (n - 1): there are half as many": (
                    right / 2
                ),
                "a sentence is compared with itself: of n * n pairs n are no pairs": (
                    right * 2 * pairs / size**2
                ),
                "this is the correlation of the values: only signs of differences count": (
                    torch.corrcoef(torch.stack([scores, labels]))[0, 1]
                ),
                "this is the correlation of the ranks: count the pairs": (
                    torch.corrcoef(torch.stack([rank.to(labels), labels]))[0, 1]
                ),
                "only neighbours are compared: every two sentences are a pair": (
                    (scores.diff().sign() * labels.diff().sign()).mean()
                ),
            },
            otherwise=(
                f"tau is {right:.3f} for scores in the order {scores.argsort().tolist()} with "
                f"the labels {labels.tolist()}, got {answer.item():.3f}"
            ),
            tolerance=1e-5,
        )


@check.exercise(3, hint="Of n sentences there are n! orders, and one of them is right.")
def chance_is_one_order_of_all(chance_exact: Callable) -> None:
    """Ask for mixtures, and for stories of one length."""
    for lengths in ([4, 5, 6], [2, 2, 6], [4]):
        answer = float(ask(chance_exact, lengths))
        chances = [1 / factorial(n) for n in lengths]
        right = mean(chances)
        explain(
            answer,
            right,
            {
                "average the chances, not the lengths": 1 / factorial(round(mean(lengths))),
                "average the chances, not the numbers of orders": (
                    1 / mean(factorial(n) for n in lengths)
                ),
                "the chances are summed: average over the stories": sum(chances),
                "this is the chance that the first place is right: of n sentences there are n! "
                "orders": mean(1 / n for n in lengths),
                "a sentence may come twice here: of n sentences there are n! orders, not n^n": (
                    mean(n**-n for n in lengths)
                ),
                "this is the chance of a pair: all sentences must stand in order": (
                    mean(2 / (n * (n - 1)) for n in lengths)
                ),
                "these are the expected orders, not the chance: one order of n! is right": (
                    mean(factorial(n) for n in lengths)
                ),
                "the last sentence also has to be placed: there are n! orders, not (n - 1)!": (
                    mean(n / factorial(n) for n in lengths)
                ),
            },
            otherwise=f"for lengths {lengths} it is {right:.4f}, got {answer:.4f}",
        )


@check.exercise(
    4, hint="softplus(s_earlier - s_later) for every pair of markers of a row; average over pairs."
)
def pairs_are_compared_within_a_story(pairwise_loss: Callable) -> None:
    """Compare with a loop over the pairs; other tokens and other stories play no part."""
    no = float(NO_LABEL)
    first = torch.tensor([[1.0, no, -1.0, 0.0, no], [no, -1.0, no, 1.0, no]])
    alone = torch.tensor([[no, 0.0, no], [1.0, -1.0, no], [0.0, 1.0, -1.0]])
    for seed, labels in enumerate((first, alone), start=1):
        drawn = torch.randn(labels.shape, generator=torch.Generator().manual_seed(seed))
        scores = drawn.requires_grad_()
        answer = ask(pairwise_loss, scores, labels)
        require_shape(answer, (), "the loss")
        rows = [_gaps(s, y) for s, y in zip(scores, labels, strict=True)]
        gaps = torch.cat(rows)  # s_later - s_earlier, pair by pair
        right = F.softplus(-gaps).mean()
        assert answer.requires_grad, "the loss must have a gradient"
        gradient, wanted = (torch.autograd.grad(x, scores)[0] for x in (answer, right))
        assert not gradient[labels == no].abs().max() > 0, "a token without a label gets a gradient"
        assert not answer.isnan(), "the loss is not a number: a row may have no pair"
        by_place = torch.cat(
            [_gaps(s, _in_place_order(y)) for s, y in zip(scores, labels, strict=True)]
        )
        across = _gaps(scores.flatten(), labels.flatten())
        explain(
            answer.detach(),
            right.detach(),
            {
                "the order is reversed: a later sentence needs the higher score": (
                    F.softplus(gaps).mean()
                ),
                "the pairs are summed: average over them": F.softplus(-gaps).sum(),
                "each row is averaged first: all pairs of all rows count alike": torch.stack(
                    [F.softplus(-row).mean() for row in rows if len(row)]
                ).mean(),
                "the pairs are divided by the number of rows: average over pairs": (
                    F.softplus(-gaps).sum() / len(labels)
                ),
                "each pair is compared in both directions: only s_later - s_earlier counts": (
                    (F.softplus(-gaps).mean() + F.softplus(gaps).mean()) / 2
                ),
                "the place in the row decides who comes later: the label says it": (
                    F.softplus(-by_place).mean()
                ),
                "sentences of different stories are compared": F.softplus(-across).mean(),
                "minus is missing: this is the logarithm of the sigmoid": -right,
                "the logarithm is missing: this is the sigmoid": gaps.sigmoid().mean(),
                "this is one minus the sigmoid: take minus its logarithm": (-gaps).sigmoid().mean(),
                "the logarithm comes after the average: take it for each pair": (
                    -gaps.sigmoid().mean().log()
                ),
                "the differences themselves are averaged: minus log sigmoid is missing": (
                    -gaps.mean()
                ),
                "differences below 0 are cut off: this is a hinge, not log sigmoid": (
                    F.relu(-gaps).mean()
                ),
            },
            otherwise=f"it must be {right.item():.4f} here, got {answer.item():.4f}",
            tolerance=1e-5,
        )
        explain(
            gradient, wanted, {}, otherwise="the gradient is not that of the loss", tolerance=1e-5
        )


def _gaps(scores: Tensor, labels: Tensor) -> Tensor:
    """Give s_later - s_earlier for every two markers of a row."""
    marked = [t for t in range(len(labels)) if labels[t] != NO_LABEL]
    pairs = [(i, j) for i, j in combinations(marked, 2) if labels[i] != labels[j]]
    gaps = [(scores[j] - scores[i]) * (labels[j] - labels[i]).sign() for i, j in pairs]
    return torch.stack(gaps) if gaps else scores[:0]


def _in_place_order(labels: Tensor) -> Tensor:
    """Label the markers of a row in the order in which they stand."""
    return torch.arange(float(len(labels))).where(labels != NO_LABEL, labels)
