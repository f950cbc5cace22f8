"""Checks for chapter 44, a tiny GPT."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, is_close, require_shape
from tutorial_lib.teacher_forcing import NO_LABEL

check = Checker(44)


@check.exercise(1, hint="Add up -log2 of the probabilities, and divide by the characters.")
def bits_are_those_of_the_text(bits: Callable) -> None:
    """Cut one text in two ways that give it the same probability."""
    cases = [
        ([0.5, 0.25, 0.125], "abc", 2.0),
        ([1 / 64], "abc", 2.0),
        ([0.5, 0.5], "four", 0.5),
    ]
    for probabilities, text, right in cases:
        got = bits(torch.tensor(probabilities), text)
        got = torch.as_tensor(got)
        require_shape(got, (), "the answer")
        nats, a_token = right * math.log(2), right * len(text) / len(probabilities)
        assert right == nats or not is_close(got, torch.tensor(nats)), "these are nats, not bits"
        assert a_token == right or not is_close(got, torch.tensor(a_token)), (
            "these are bits for each token, not for each character"
        )
        assert is_close(got, torch.tensor(right)), (
            f"{len(probabilities)} tokens with the probabilities {probabilities} that spell "
            f"{text!r} take {right} bits a character, got {float(got):.4f}"
        )


@check.exercise(2, hint="Pairs are counted in a matrix; lower counts its cells above 0 by column.")
def bigram_table_leans_on_the_neighbours(bigram: Callable) -> None:
    """Compare with counts in dictionaries, also behind a token that never occurs."""
    for text, discount in [("banana bandana ", 0.5), ("abracadabra", 0.75)]:
        names = [*sorted(set(text)), "?"]  # the last one never occurs
        tokens = torch.tensor([names.index(sign) for sign in text])
        table = bigram(tokens, len(names), discount)
        require_shape(table, (len(names), len(names)), "the table")
        rows = table.double().sum(dim=-1)
        assert is_close(rows, torch.ones_like(rows)), (
            f"row {names[int((rows - 1).abs().argmax())]!r} does not sum to one"
        )
        for a, first in enumerate(names):
            for b, second in enumerate(names):
                right = _bigram(text, first, second, discount)
                assert is_close(table[a, b], torch.tensor(right)), (
                    f"in {text!r}, {second!r} follows {first!r} with {right:.4f}, "
                    f"got {float(table[a, b]):.4f}"
                )


@check.exercise(
    3, hint="A window starts every stride tokens; all but the first hide their beginning."
)
def every_label_counts_once_and_has_a_context(windows: Callable) -> None:
    """Look where the labels are that count, for several strides."""
    for length, stride, count in [(8, 4, 3), (8, 2, 5), (6, 6, 2), (5, 1, 4)]:
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
        at = {int(token): place for place, token in enumerate(stream)}
        counted = [at[int(label)] for label in labels[labels != NO_LABEL].tolist()]
        twice = [place for place, times in Counter(counted).items() if times > 1]
        assert not twice, f"label {twice[0]} counts more than once, at stride {stride}"
        assert sorted(counted) == list(range(1, len(stream))), (
            f"{len(stream) - 1 - len(counted)} labels do not count, at stride {stride}"
        )
        for row, (read, said) in enumerate(zip(tokens, labels, strict=True)):
            first = row * stride
            assert read.equal(stream[first : first + length]), (
                f"window {row} must read tokens {first} to {first + length - 1}"
            )
            real = said != NO_LABEL
            assert said[real].equal(stream[first + 1 : first + length + 1][real]), (
                f"in window {row} a label is not the token that comes next"
            )


def _bigram(text: str, first: str, second: str, discount: float) -> float:
    pairs = Counter(pairwise(text))
    lower = sum(pair[1] == second for pair in pairs) / len(pairs)
    behind = {pair: count for pair, count in pairs.items() if pair[0] == first}
    if not behind:
        return lower
    kept = max(pairs[first, second] - discount, 0)
    return (kept + discount * len(behind) * lower) / sum(behind.values())
