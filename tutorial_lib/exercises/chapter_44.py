"""Checks for chapter 44, a tiny GPT."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, ask, explain, require_shape
from tutorial_lib.teacher_forcing import NO_LABEL

check = Checker(44)


@check.exercise(1, hint="Add up -log2 of the probabilities, and divide by the characters.")
def bits_are_those_of_the_text(bits: Callable) -> None:
    """Cut texts into tokens of several lengths, one into more than a float can multiply."""
    cases = [
        ([0.5, 0.125], "fives", 0.8),
        ([0.5, 0.25, 0.125], "abc", 2.0),
        ([1 / 64], "été", 2.0),
        ([1 / 64] * 400, "abc" * 400, 2.0),
    ]
    for probabilities, text, right in cases:
        p = torch.tensor(probabilities)
        got = torch.as_tensor(ask(bits, p, text))
        require_shape(got, (), "the answer")
        total = right * len(text)
        assert total < 1000 or got.isfinite(), (
            f"it is {got.item()} for {len(p)} tokens: the product of their probabilities is 0 in "
            "floating point, so add up the logarithms"
        )
        explain(
            got,
            right,
            {
                "these are nats, not bits: the logarithm has the base 2": right * math.log(2),
                "these are decimal digits, not bits: the logarithm has the base 2": (
                    right * math.log10(2)
                ),
                "these are bits for each token, not for each character": total / len(p),
                "these are nats for each token: bits for each character are needed": (
                    total * math.log(2) / len(p)
                ),
                "these are bits of the whole text: divide by its characters": total,
                "these are bits for each byte, not for each character": total / len(text.encode()),
                "the sign is wrong: a probability below 1 has a negative logarithm": -right,
                "the probabilities are averaged before the logarithm": -p.mean().log2(),
                "this is the entropy of the probabilities: the tokens that came count fully": (
                    -(p * p.log2()).sum() / len(text)
                ),
                "this is the perplexity: bits are its logarithm": 2.0**right,
            },
            otherwise=(
                f"{len(p)} tokens with the probabilities {probabilities[:3]} that spell "
                f"{text[:4]!r} take {right} bits a character, got {got.item():.4f}"
            ),
        )


@check.exercise(2, hint="Pairs are counted in a matrix; lower counts its cells above 0 by column.")
def bigram_table_leans_on_the_neighbours(bigram: Callable) -> None:
    """Compare with counts in dictionaries, also behind a token that never occurs."""
    for text, discount in [("banana bandana ", 0.5), ("abracadabra", 0.75), ("bananas", 0.5)]:
        names = [*sorted(set(text)), "?"]  # the last one never occurs
        size = len(names)
        tokens = torch.tensor([names.index(sign) for sign in text])
        table = ask(bigram, tokens, size, discount)
        require_shape(table, (size, size), "the table")
        right = torch.tensor([[_bigram(text, a, b, discount) for b in names] for a in names])
        counts = Counter(pairwise(text))
        pairs = torch.tensor([[float(counts[a, b]) for b in names] for a in names])
        there = (pairs > 0).float()
        lower = there.sum(dim=0) / there.sum()
        unseen = pairs.sum(dim=1) == 0
        bad = [names[i] for i in unseen.nonzero().flatten() if not table[i].allclose(right[i])]
        explain(
            table,
            right,
            {
                "rows and columns have changed places: row h holds what follows h": right.T,
                "p_1 counts how often w comes: take the share of different pairs": (
                    _table(pairs, pairs.sum(dim=0) / pairs.sum(), discount)
                ),
                "p_1 counts the pairs that begin with w: those that end with it are needed": (
                    _table(pairs, there.sum(dim=1) / there.sum(), discount)
                ),
                "p_1 is the same for all tokens: it is a share of different pairs": (
                    _table(pairs, torch.full((size,), 1 / size), discount)
                ),
                "the discount plays no part: these are shares of the counts": (
                    _table(pairs, lower, 0.0)
                ),
                "counts of 0 fall below 0: the discount takes away at most what is there": (
                    _table(pairs, lower, discount, least=-discount)
                ),
                "what the discount takes away is not given back through p_1": (
                    _table(pairs, lower, discount, back=0.0)
                ),
                "one discount is given back a row: one was taken for each different pair": (
                    _table(pairs, lower, discount, back=1 / there.sum(dim=1, keepdim=True))
                ),
            },
            otherwise=_wrong_cell(table, right, names, text, bad),
        )


@check.exercise(
    3, hint="A window starts every stride tokens; all but the first hide their beginning."
)
def every_label_counts_once_and_has_a_context(windows: Callable) -> None:
    """Compare with slices of the stream, for several strides."""
    for length, stride, count in [(8, 3, 4), (8, 2, 5), (6, 6, 2), (5, 1, 4)]:
        stream = torch.randperm(200, generator=torch.Generator().manual_seed(44))
        stream = stream[: length + (count - 1) * stride + 1]
        given = stream.clone()
        answer = windows(given, length, stride)
        is_pair = isinstance(answer, tuple | list) and len(answer) == 2
        assert is_pair, "tokens and labels must be returned"
        tokens, labels = cast(tuple[Tensor, Tensor], answer)
        require_shape(tokens, (count, length), "tokens")
        require_shape(labels, (count, length), "labels")
        assert given.equal(stream), "the stream was changed: a window shares its memory with it"
        assert not labels.is_floating_point(), f"labels must be integers, got {labels.dtype}"
        starts = range(0, count * stride, stride)
        read = torch.stack([stream[at : at + length] for at in starts])
        comes = torch.stack([stream[at + 1 : at + length + 1] for at in starts])
        overlap = length - stride
        explain(
            tokens,
            read,
            {
                "tokens and labels have changed places": comes,
                "what is read is hidden too: only labels are -100": _hidden(read, 1, 0, overlap),
            },
            otherwise=f"window k must read tokens k * {stride} to k * {stride} + {length - 1}",
        )
        so = f"with stride {stride} the first {overlap} labels must be {NO_LABEL}"
        explain(
            labels,
            _hidden(comes, 1, 0, overlap),
            {
                f"a label counts more than once: {so}": comes,
                f"the first window hides labels too, which then never count: {so} behind it": (
                    _hidden(comes, 0, 0, overlap)
                ),
                f"the end of a window is hidden, not its beginning: {so}": (
                    _hidden(comes, 1, stride, length)
                ),
                f"the first stride labels are hidden: {so}": _hidden(comes, 1, 0, stride),
                f"one label too few is hidden, and counts twice: {so}": (
                    _hidden(comes, 1, 0, max(overlap - 1, 0))
                ),
                f"one label too many is hidden, and never counts: {so}": (
                    _hidden(comes, 1, 0, overlap + 1)
                ),
                "a label is the token that is read: the one that comes next is needed": (
                    _hidden(read, 1, 0, overlap)
                ),
                f"labels that do not count are 0, which is a token: {so}": (
                    _hidden(comes, 1, 0, overlap, value=0)
                ),
            },
            otherwise=f"the labels of window k are its tokens, one place on, but {so} for k > 0",
        )


def _bigram(text: str, first: str, second: str, discount: float) -> float:
    pairs = Counter(pairwise(text))
    lower = sum(pair[1] == second for pair in pairs) / len(pairs)
    behind = {pair: count for pair, count in pairs.items() if pair[0] == first}
    if not behind:
        return lower
    kept = max(pairs[first, second] - discount, 0)
    return (kept + discount * len(behind) * lower) / sum(behind.values())


def _table(
    pairs: Tensor,
    lower: Tensor,
    discount: float,
    *,
    least: float = 0.0,
    back: Tensor | float = 1.0,
) -> Tensor:
    """Fill the table from counts, as a mistake has it."""
    total, kinds = pairs.sum(dim=1, keepdim=True), (pairs > 0).sum(dim=1, keepdim=True)
    kept = (pairs - discount).clamp(min=least)
    return torch.where(total > 0, (kept + back * discount * kinds * lower) / total, lower)


def _wrong_cell(table: Tensor, right: Tensor, names: list[str], text: str, bad: list[str]) -> str:
    """Say where a table is wrong, or that only the rows of tokens that nothing follows are."""
    wrong = ~table.isclose(right.to(table), atol=1e-6)
    if bad and wrong.any(dim=1).sum() == len(bad):
        row = table[names.index(bad[0])]
        return f"nothing follows {bad[0]!r}: its row must be p_1, and sums to {row.sum():.2f}"
    a, b = (wrong.nonzero().tolist() or [[0, 0]])[0]
    return (
        f"in {text!r}, {names[b]!r} follows {names[a]!r} with {right[a, b]:.4f}, "
        f"got {table[a, b]:.4f}"
    )


def _hidden(labels: Tensor, window: int, first: int, last: int, value: int = NO_LABEL) -> Tensor:
    """Hide a range of labels from a window on."""
    hidden = labels.clone()
    hidden[window:, first:last] = value
    return hidden
