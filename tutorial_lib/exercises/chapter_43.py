"""Checks for chapter 43, translation."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from tutorial_lib.exercises.checker import Checker, is_close, require_shape
from tutorial_lib.experiments.translation.language_pair import translate

check = Checker(43)


@check.exercise(1, hint="Go from left to right; where the pair begins, take both and move two on.")
def merge_joins_a_pair(merge: Callable) -> None:
    """Join pairs that stand alone, follow one another, and overlap."""
    for pieces, pair, expected in [
        (["a", "b", "c"], ("a", "b"), ["ab", "c"]),
        (["a", "b", "a", "b"], ("a", "b"), ["ab", "ab"]),
        (["a", "b", "c"], ("b", "a"), ["a", "b", "c"]),
        (["b", "a"], ("a", "b"), ["b", "a"]),
        (["a", "a", "a"], ("a", "a"), ["aa", "a"]),
        (["x", "ab", "c", "a", "bc"], ("ab", "c"), ["x", "abc", "a", "bc"]),
        (["xab", "c"], ("ab", "c"), ["xab", "c"]),
        (["a"], ("a", "b"), ["a"]),
    ]:
        given = list(pieces)
        got = merge(given, pair)
        assert isinstance(got, list), f"the answer must be a list, got {type(got).__name__}"
        assert given == pieces, "the list that was passed must stay as it was"
        assert got == expected, f"{pieces} with the pair {pair} must become {expected}, got {got}"


@check.exercise(2, hint="epsilon / V everywhere, and 1 - epsilon more at the label.")
def smoothed_targets_are_what_pytorch_uses(smoothed: Callable) -> None:
    """Compare the cross-entropy with the targets to PyTorch's, for several settings."""
    generator = torch.Generator().manual_seed(43)
    for size, epsilon in [(5, 0.1), (7, 0.0), (3, 0.5)]:
        labels = torch.randint(size, (4,), generator=generator)
        logits = torch.randn(4, size, generator=generator)
        q = smoothed(labels, size, epsilon)
        require_shape(q, (4, size), "the answer")
        assert is_close(q.sum(dim=-1), torch.ones(4)), "a row does not sum to one"
        assert q.argmax(dim=-1).equal(labels), "the label is not the most probable token"
        got = -(q * logits.log_softmax(dim=-1)).sum(dim=-1).mean()
        expected = F.cross_entropy(logits, labels, label_smoothing=epsilon)
        assert is_close(got, expected, 1e-5), (
            f"the cross-entropy must be PyTorch's {expected:.3f}, got {got:.3f}, "
            f"for {size} tokens and epsilon {epsilon}"
        )


@check.exercise(
    3, hint="Compare every number with those behind it: the larger one in front counts."
)
def crossings_are_counted(crossings: Callable) -> None:
    """Count by hand, and for translations of the grammar."""
    known = [((0, 1, 2), 0), ((2, 1, 0), 3), ((0, 2, 1), 1), ((3, 0, 1, 2), 3), ((4,), 0)]
    sentences = ("the dog sleeps", "some boys gave the red key to an owl")
    for sources in (translate(text).sources for text in sentences):
        pairs = [(i, j) for i in range(len(sources)) for j in range(i)]
        known.append((sources, sum(sources[j] > sources[i] for i, j in pairs)))
    for sources, expected in known:
        got = crossings(sources)
        assert isinstance(got, int), f"the answer must be an int, got {type(got).__name__}"
        assert got == expected, f"{sources} has {expected} crossings, got {got}"
