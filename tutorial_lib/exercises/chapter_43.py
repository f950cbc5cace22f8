"""Checks for chapter 43, translation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

import torch
import torch.nn.functional as F

from tutorial_lib.exercises.checker import Checker, ask, explain, require_shape
from tutorial_lib.experiments.translation.language_pair import translate

check = Checker(43)


@check.exercise(1, hint="Go from left to right; where the pair begins, take both and move two on.")
def merge_joins_a_pair(merge: Callable) -> None:
    """Join pairs that stand alone, follow one another, and overlap."""
    for pieces, pair, expected in [
        (["a", "b", "c"], ("a", "b"), ["ab", "c"]),
        (["a", "b", "c", "a", "b", "c"], ("a", "b"), ["ab", "c", "ab", "c"]),
        (["a", "b", "a", "b"], ("a", "b"), ["ab", "ab"]),
        (["a", "b", "c"], ("b", "a"), ["a", "b", "c"]),
        (["b", "a"], ("a", "b"), ["b", "a"]),
        (["a", "c", "b"], ("a", "b"), ["a", "c", "b"]),
        (["a", "a", "a"], ("a", "a"), ["aa", "a"]),
        (["x", "ab", "c", "a", "bc"], ("ab", "c"), ["x", "abc", "a", "bc"]),
        (["xab", "c"], ("ab", "c"), ["xab", "c"]),
        (["a"], ("a", "b"), ["a"]),
    ]:
        got = ask(merge, pieces, pair)
        assert isinstance(got, list), f"the answer must be a list, got {type(got).__name__}"
        begins = [tuple(pieces[i : i + 2]) == pair for i in range(len(pieces))]
        first = begins.index(True) if any(begins) else len(pieces)
        joined, text = "".join(pair), " ".join(pieces)
        where = f"{pieces} with the pair {pair}"
        explain(
            got,
            expected,
            {
                f"nothing is joined: {where}": pieces,
                f"only the first place is joined: {where}": (
                    [*pieces[:first], joined, *pieces[first + 2 :]]
                ),
                f"the second piece of a joined pair stays: move two on: {where}": (
                    [joined if begins[i] else pieces[i] for i in range(len(pieces))]
                ),
                f"the last piece is lost: {where}": expected[:-1],
                f"a piece that only ends like the first of the pair is joined: {where}": (
                    text.replace(" ".join(pair), joined).split(" ")
                ),
                f"the order of the pair plays no part: {where}": _joined_at(pieces, set(pair)),
                f"the pieces are put into a string and cut again: {where}": list("".join(pieces)),
                f"a piece is used twice: {where}": [joined] * sum(begins),
            },
            otherwise=f"{where} must become {expected}, got {got}",
        )


@check.exercise(2, hint="epsilon / V everywhere, and 1 - epsilon more at the label.")
def smoothed_targets_are_what_pytorch_uses(smoothed: Callable) -> None:
    """Compare with the targets that the gradient of PyTorch's cross-entropy shows."""
    generator = torch.Generator().manual_seed(43)
    for size, epsilon in [(5, 0.1), (7, 0.0), (3, 0.5)]:
        labels = torch.randint(size, (4,), generator=generator)
        logits = torch.randn(4, size, generator=generator).double().requires_grad_()
        q = ask(smoothed, labels, size, epsilon)
        require_shape(q, (4, size), "the answer")
        loss = F.cross_entropy(logits, labels, label_smoothing=epsilon, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, logits)  # softmax(logits) - q
        expected = (logits.softmax(dim=-1) - gradient).detach()
        hard = F.one_hot(labels, size).double()
        away = int((q - expected).abs().amax(dim=-1).argmax())
        explain(
            q,
            expected,
            {
                "these are the labels: nothing is smoothed": hard,
                "epsilon is spread over the other tokens only: the label gets its share too": (
                    (1 - hard) * epsilon / (size - 1) + (1 - epsilon) * hard
                ),
                "the label has no share of epsilon: a row does not sum to one": (
                    (1 - hard) * epsilon / size + (1 - epsilon) * hard
                ),
                "the label keeps all of its 1: a row does not sum to one": hard + epsilon / size,
                "epsilon is not divided by the number of tokens: a row does not sum to one": (
                    (1 - epsilon) * hard + epsilon
                ),
                "epsilon is divided by one token too few: a row does not sum to one": (
                    (1 - epsilon) * hard + epsilon / (size - 1)
                ),
                "epsilon / V is missing: a row does not sum to one": (1 - epsilon) * hard,
                "epsilon and 1 - epsilon have changed places": (
                    epsilon * hard + (1 - epsilon) / size
                ),
                "all tokens have the same: the label is not the most probable token": (
                    torch.full_like(hard, 1 / size)
                ),
            },
            otherwise=(
                f"with {size} tokens, epsilon {epsilon} and the label {labels[away]}, PyTorch's "
                f"targets are {_rounded(expected[away])}, got {_rounded(q[away])}"
            ),
        )
        assert q.is_floating_point(), f"the targets must be floats, got {q.dtype}"


@check.exercise(
    3, hint="Compare every number with those behind it: the larger one in front counts."
)
def crossings_are_counted(crossings: Callable) -> None:
    """Count the pairs in the wrong order, also for translations of the grammar."""
    cases: list[Sequence[int]] = [(5, 1, 0, 2, 3, 4), (0, 1, 2), (2, 1, 0), (0, 2, 1), (4,)]
    sentences = ("the dog sleeps", "some boys gave the red key to an owl")
    cases += [translate(text).sources for text in sentences]
    for sources in cases:
        got = crossings(sources)
        assert isinstance(got, int), f"the answer must be an int, got {type(got).__name__}"
        pairs = list(combinations(sources, 2))
        right = sum(a > b for a, b in pairs)
        so = f"{sources} has {right} crossings, got {got}"
        explain(
            got,
            right,
            {
                f"only neighbours are compared, lines of any two words may cross: {so}": (
                    sum(a > b for a, b in pairwise(sources))
                ),
                f"the pairs that keep their order are counted: {so}": sum(a < b for a, b in pairs),
                f"every pair is counted, whether its lines cross or not: {so}": len(pairs),
                f"every crossing is counted twice, once from each side: {so}": 2 * right,
                f"the words that have moved are counted, not the pairs: {so}": (
                    sum(i != a for i, a in enumerate(sources))
                ),
                f"the places that the words move are counted, not the pairs: {so}": (
                    sum(abs(i - a) for i, a in enumerate(sources))
                ),
            },
            otherwise=so,
            tolerance=0.0,
        )


def _joined_at(pieces: list[str], pair: set[str]) -> list[str]:
    """Join two pieces side by side in whichever order they stand."""
    joined, at = [], 0
    while at < len(pieces):
        here = pieces[at : at + 2]
        width = 2 if len(here) == 2 and set(here) == pair else 1
        joined.append("".join(pieces[at : at + width]))
        at += width
    return joined


def _rounded(row: torch.Tensor) -> list[float]:
    return [round(value, 4) for value in row.tolist()]
