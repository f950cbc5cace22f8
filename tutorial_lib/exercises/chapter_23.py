"""Checks for chapter 23, what attention costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from tutorial_lib.attention import scaled_dot_product_attention
from tutorial_lib.attention_maps import record_attention
from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.exercises.checker import Checker, explain, require_shape
from tutorial_lib.layers import TransformerEncoderLayer
from tutorial_lib.masks import causal_mask, sliding_window_mask
from tutorial_lib.measure import flops, saved_bytes

check = Checker(23)


@check.exercise(1, hint="Try one token more until it no longer fits, or solve the quadratic.")
def the_longest_length_fits_and_one_more_does_not(longest_length: Callable) -> None:
    """Compare with the bytes that a real encoder keeps at that length, and at one more."""
    asked, right, answers, sentences = [], [], [], []
    for num_layers, d, d_ff, heads, n in [(1, 8, 16, 2, 20), (3, 8, 32, 4, 9), (2, 16, 16, 1, 0)]:
        exactly, one_more = (_kept(num_layers, d, d_ff, heads, length) for length in (n, n + 1))
        for budget in (exactly, one_more - 1):
            got = longest_length(budget, num_layers, d, d_ff, heads)
            sizes = f"num_layers={num_layers}, d={d}, d_ff={d_ff}, heads={heads}"
            asked.append((budget, num_layers, d, d_ff, heads))
            right.append(n)
            answers.append(got)
            sentences.append(
                f"{n} tokens keep {exactly} bytes and {n + 1} keep {one_more}, so with {sizes} "
                f"and a budget of {budget} the answer must be {n}, got {got}"
            )
    _explain_numbers(answers, right, _wrong_lengths(asked), sentences)


@check.exercise(2, hint="Pad w rows in front only, and give each block the 2 w keys that end it.")
def looking_back_is_the_masked_one_for_less(look_back: Callable) -> None:
    """Compare with the mask, then count."""
    for n, w in [(24, 4), (12, 4), (8, 8), (5, 1)]:
        generator = torch.Generator().manual_seed(23)
        q, k, v = torch.randn(3, 2, 3, n, 4, dtype=torch.float64, generator=generator)
        got = look_back(q, k, v, w)
        require_shape(got, (2, 3, n, 4), "the output")
        both_sides = sliding_window_mask(n, w)
        expected = scaled_dot_product_attention(q, k, v, both_sides & causal_mask(n))[0]
        where = f"with n={n} and w={w}"
        wrong = {f"{where} {why}": mistake for why, mistake in _wrong_outputs(q, k, v, w).items()}
        otherwise = f"{where} the output is not that of the masked attention"
        explain(got, expected, wrong, otherwise=otherwise)
        counted, enough = flops(partial(look_back, q, k, v, w)), 2 * 8 * n * w * 12
        assert counted >= enough // 4, (
            f"{where} only {counted} FLOPs could be seen: make the products with "
            "tutorial_lib.attention.scaled_dot_product_attention"
        )
        everything = 2 * 4 * n**2 * 12
        assert counted != everything or counted <= enough, (
            f"{where} every query meets every key: a mask alone saves no FLOPs, cut into blocks"
        )
        assert counted * 2 != 3 * enough, (
            f"{where} each block of queries meets three blocks of keys: nobody looks ahead, so two "
            "are enough"
        )
        assert counted <= enough, (
            f"{where} 8 n w d, {enough} FLOPs for two sequences, are enough, got {counted}"
        )


@check.exercise(3, hint="The first token that is fed alone meets prompt + 1 keys, itself included.")
def decoding_flops_are_those_counted(decoding_flops: Callable) -> None:
    """Compare with what the counter sees in a real decoder, call by call."""
    cases = [(3, 2, 1, 8, 16), (4, 0, 2, 8, 32), (1, 3, 2, 8, 24)]
    right = [_counted_decoding(*sizes) for sizes in cases]
    answers = [decoding_flops(*sizes) for sizes in cases]
    sentences = [
        f"prompt={prompt}, new={new}, num_layers={num_layers}, d={d}, d_ff={d_ff} take "
        f"{expected} FLOPs, got {got}"
        for (prompt, new, num_layers, d, d_ff), expected, got in zip(
            cases, right, answers, strict=True
        )
    ]
    _explain_numbers(answers, right, _wrong_flops(cases), sentences)


def _explain_numbers(
    answers: Sequence[float],
    right: Sequence[float],
    wrong: dict[str, list[float]],
    sentences: Sequence[str],
) -> None:
    """Look at the answers to all cases at once: one alone may be right by chance."""
    for got, sentence in zip(answers, sentences, strict=True):
        assert isinstance(got, int | float), sentence
    differ = [got != number for got, number in zip(answers, right, strict=True)]
    explain(
        torch.tensor(answers, dtype=torch.float64),
        torch.tensor(right, dtype=torch.float64),
        {why: torch.tensor(mistake) for why, mistake in wrong.items()},
        otherwise=sentences[differ.index(True)] if any(differ) else "",
        tolerance=1e-9,
    )


def _longest(
    budget: float, num_layers: int, d: int, d_ff: int, heads: int, *, norms: int = 4
) -> int:
    n = 0
    while True:
        linear = (8 * d + d_ff + norms) * (n + 1)
        if 4 * num_layers * (linear + heads * (n + 1) ** 2) > budget:
            return n
        n += 1


def _wrong_lengths(asked: list[tuple[int, int, int, int, int]]) -> dict[str, list[float]]:
    right = [_longest(*sizes) for sizes in asked]
    return {
        "each head has attention weights of its own: H n^2 of them": [
            _longest(budget, layers, d, d_ff, 1) for budget, layers, d, d_ff, _ in asked
        ],
        "the norms keep a mean and a spread of each token too, 4 n numbers a layer": [
            _longest(*sizes, norms=0) for sizes in asked
        ],
        "that is for one layer: all of them have to fit": [
            _longest(budget, 1, *sizes) for budget, _, *sizes in asked
        ],
        "a number in float32 takes four bytes": [
            _longest(4 * budget, *sizes) for budget, *sizes in asked
        ],
        "it is one token too many, the first that no longer fits": [n + 1 for n in right],
        "it is one token too few: what takes the whole budget still fits": [
            max(0, n - 1) for n in right
        ],
        "it is one token too few where the budget is used up to the last byte": [
            _longest(budget - 1, *sizes) for budget, *sizes in asked
        ],
        "where not even one token fits it must be 0": [max(1, n) for n in right],
    }


def _wrong_outputs(q: Tensor, k: Tensor, v: Tensor, w: int) -> dict[str, Tensor]:
    n = q.shape[-2]
    i, j = torch.arange(n)[:, None], torch.arange(n)
    in_reach, past = i - w < j, j <= i

    def seen(mask: Tensor) -> Tensor:
        return scaled_dot_product_attention(q, k, v, mask)[0]

    empty = torch.zeros_like(k[..., :w, :])
    padded = (i - w < torch.arange(-w, n)) & (torch.arange(-w, n) <= i)
    return {
        "a query sees what comes after it": seen(sliding_window_mask(n, w)),
        "a query sees what comes after it in its block": seen(in_reach & (j // w <= i // w)),
        "a query sees one position too many: it sees w, itself included": seen((i - w <= j) & past),
        "a query sees one position too few: it sees w, itself included": seen(
            (i - w + 1 < j) & past
        ),
        "a query sees all of the block before, also what is w or more positions back": seen(
            (j // w >= i // w - 1) & past
        ),
        "a query sees its own block alone, not the one before": seen((j // w == i // w) & past),
        "the first block gives weight to the zeros that were put in front": (
            scaled_dot_product_attention(
                q, torch.cat([empty, k], dim=-2), torch.cat([empty, v], dim=-2), padded
            )[0]
        ),
    }


def _wrong_flops(cases: list[tuple[int, int, int, int, int]]) -> dict[str, list[float]]:
    def count(prompt: int, new: int, num_layers: int, d: int, d_ff: int, *, scores: float) -> float:
        return num_layers * ((prompt + new) * (8 * d**2 + 4 * d * d_ff) + 4 * d * scores)

    def written(prompt: int, new: int) -> int:  # pairs of a new token and a key
        return sum(range(prompt + 1, prompt + new + 1))

    right = [count(*c, scores=c[0] ** 2 + written(*c[:2])) for c in cases]
    return {
        "a token that is fed alone meets itself too: prompt + 1 keys the first time": [
            count(*c, scores=c[0] ** 2 + written(*c[:2]) - c[1]) for c in cases
        ],
        "the prompt's scores are one number a token there: each of its tokens meets all of them": [
            count(*c, scores=c[0] + written(*c[:2])) for c in cases
        ],
        "the future's scores are left out: the pass over the prompt computes them and masks them": [
            count(*c, scores=written(0, c[0] + c[1])) for c in cases
        ],
        "each token that is fed reads everything again: with a cache it is fed alone": [
            sum(count(c[0] + t, 0, *c[2:], scores=(c[0] + t) ** 2) for t in range(c[1] + 1))
            for c in cases
        ],
        "all tokens are read in one pass: the new ones are fed one by one": [
            count(*c, scores=(c[0] + c[1]) ** 2) for c in cases
        ],
        "d_ff is the width itself, not a factor for d": [
            count(*c[:4], d_ff=c[3] * c[4], scores=c[0] ** 2 + written(*c[:2])) for c in cases
        ],
        "the feed-forward width is d_ff, not always 4 d": [
            count(*c[:4], d_ff=4 * c[3], scores=c[0] ** 2 + written(*c[:2])) for c in cases
        ],
        "that is one layer: there are num_layers of them": [
            number / c[2] for number, c in zip(right, cases, strict=True)
        ],
        "a multiplication and the addition that follows are two FLOPs": [n / 2 for n in right],
    }


def _kept(num_layers: int, d: int, d_ff: int, heads: int, length: int) -> int:
    if length == 0:
        return 0
    layers = nn.ModuleList(
        TransformerEncoderLayer(embed_dim=d, num_heads=heads, dim_feedforward=d_ff)
        for _ in range(num_layers)
    )

    def call() -> None:
        x = torch.zeros(1, length, d)
        with record_attention(layers):
            for layer in layers:
                x = layer(x)

    return saved_bytes(call, besides=list(layers.parameters()))


def _counted_decoding(prompt: int, new: int, num_layers: int, d: int, d_ff: int) -> int:
    decoder = TransformerDecoder(
        num_layers=num_layers,
        embed_dim=d,
        num_heads=2,
        dim_feedforward=d_ff,
        cross_attention=False,
    ).to("meta")  # where all products are plain ones, which the counter sees
    cache = decoder.make_cache(1, prompt + new)

    def call() -> None:
        for length in [prompt] + [1] * new:
            decoder(torch.zeros(1, length, d, device="meta"), is_causal=True, cache=cache)

    with torch.no_grad():
        return flops(call)
