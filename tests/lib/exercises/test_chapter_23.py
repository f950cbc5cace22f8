"""The checks of chapter 23 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tutorial_lib.attention import scaled_dot_product_attention
from tutorial_lib.exercises.chapter_23 import check
from tutorial_lib.masks import causal_mask, sliding_window_mask


def _layer_bytes(n, d, d_ff, heads, *, norms=4, heads_count=True):
    linear = 8 * n * d + n * d_ff + norms * n
    return 4 * (linear + (heads if heads_count else 1) * n**2)


def _longest_length(budget, num_layers, d, d_ff, heads, **options):
    n = 0
    while num_layers * _layer_bytes(n + 1, d, d_ff, heads, **options) <= budget:
        n += 1
    return n


def _longest_by_root(budget, num_layers, d, d_ff, heads):
    linear = 8 * d + d_ff + 4
    root = (linear**2 + heads * budget / num_layers) ** 0.5
    return int((root - linear) / (2 * heads) + 1e-9)


def _look_back(query, key, value, w, *, blocks_before=1, causal=True, edge=True, near=True):
    n, seen_by_block = query.shape[-2], (blocks_before + 1) * w

    def pairs(x):
        return F.pad(x, (0, 0, blocks_before * w, 0)).unfold(-2, seen_by_block, w).mT

    i = torch.arange(n).view(-1, w, 1)
    j = torch.arange(-blocks_before * w, n).unfold(0, seen_by_block, w)[:, None]
    seen = torch.ones(n // w, w, seen_by_block, dtype=torch.bool)
    seen = seen & (i - w < j) if near else seen
    seen = seen & (j <= i) if causal else seen
    seen = seen & (j >= 0) if edge else seen
    blocks = query.unflatten(-2, (n // w, w))
    output, _ = scaled_dot_product_attention(blocks, pairs(key), pairs(value), seen[None, None])
    return output.flatten(-3, -2)


def _look_back_in_a_loop(query, key, value, w):
    outputs = []
    for start in range(0, query.shape[-2], w):
        first, end = max(0, start - w), start + w
        i, j = torch.arange(start, end)[:, None], torch.arange(first, end)
        seen, keys, values = (
            (i - w < j) & (j <= i),
            key[..., first:end, :],
            value[..., first:end, :],
        )
        outputs.append(
            scaled_dot_product_attention(query[..., start:end, :], keys, values, seen)[0]
        )
    return torch.cat(outputs, dim=-2)


def _masked(query, key, value, w, *, causal=True, width=None):
    n = query.shape[-2]
    mask = sliding_window_mask(n, w if width is None else width)
    mask = mask & causal_mask(n) if causal else mask
    return scaled_dot_product_attention(query, key, value, mask)[0]


def _fused(query, key, value, w):
    mask = sliding_window_mask(query.shape[-2], w) & causal_mask(query.shape[-2])
    return F.scaled_dot_product_attention(query, key, value, mask)


def _decoding_flops(prompt, new, num_layers, d, d_ff, *, first=1, read=2):
    linear = (prompt + new) * (8 * d**2 + 4 * d * d_ff)
    reading = 4 * prompt**read * d
    writing = sum(4 * (t + first) * d for t in range(prompt, prompt + new))
    return num_layers * (linear + reading + writing)


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, _longest_length),
        (1, _longest_by_root),
        (2, _look_back),
        (2, _look_back_in_a_loop),
        (3, _decoding_flops),
    ],
)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_stub_does_not_pass(number):
    assert "None" in check.problem(number, lambda *args: None)


def _no_cache(prompt, new, *sizes):
    return sum(_decoding_flops(prompt + i, 0, *sizes) for i in range(new + 1))


def _half_of_the_scores(prompt, new, num_layers, d, d_ff):
    unmasked = prompt * (prompt - 1) // 2
    return _decoding_flops(prompt, new, num_layers, d, d_ff) - num_layers * 4 * unmasked * d


WRONG = {
    "heads left out": (
        1,
        lambda *sizes: _longest_length(*sizes, heads_count=False),
        "each head has attention weights of its own",
    ),
    "norms left out": (1, lambda *sizes: _longest_length(*sizes, norms=0), "a mean and a spread"),
    "one layer": (
        1,
        lambda budget, layers, *sizes: _longest_length(budget, 1, *sizes),
        "that is for one layer",
    ),
    "numbers, not bytes": (
        1,
        lambda budget, *sizes: _longest_length(4 * budget, *sizes),
        "takes four bytes",
    ),
    "one too many": (1, lambda *sizes: _longest_length(*sizes) + 1, "one token too many"),
    "one too few": (1, lambda *sizes: max(0, _longest_length(*sizes) - 1), "one token too few: "),
    "less than the budget": (
        1,
        lambda budget, *sizes: _longest_length(budget - 1, *sizes),
        "up to the last byte",
    ),
    "at least one": (1, lambda *sizes: max(1, _longest_length(*sizes)), "it must be 0"),
    "something else": (1, lambda *sizes: 7, "the answer must be 20, got 7"),
    "a mask alone": (2, _masked, "a mask alone saves no FLOPs"),
    "both sides": (2, lambda *args: _masked(*args, causal=False), "sees what comes after it"),
    "one position too many": (
        2,
        lambda q, k, v, w: _masked(q, k, v, w, width=w + 1),
        "one position too many",
    ),
    "one position too few": (
        2,
        lambda q, k, v, w: _masked(q, k, v, w, width=max(1, w - 1)),
        "one position too few",
    ),
    "its own block alone": (
        2,
        lambda *args: _look_back(*args, blocks_before=0),
        "its own block alone",
    ),
    "padding is seen": (2, lambda *args: _look_back(*args, edge=False), "the zeros that were put"),
    "all of both blocks": (2, lambda *args: _look_back(*args, near=False), "w or more positions"),
    "the future of the block": (
        2,
        lambda *args: _look_back(*args, causal=False),
        "what comes after it in its block",
    ),
    "something else than attention": (2, lambda q, k, v, w: v, "not that of the masked"),
    "three blocks": (2, lambda *args: _look_back(*args, blocks_before=2), "so two are enough"),
    "four blocks": (2, lambda *args: _look_back(*args, blocks_before=3), "are enough, got"),
    "fused": (2, _fused, "could be seen"),
    "blocks not joined": (
        2,
        lambda q, k, v, w: _look_back(q, k, v, w).unflatten(-2, (-1, w)),
        "must have shape",
    ),
    "itself not counted": (3, lambda *sizes: _decoding_flops(*sizes, first=0), "meets itself too"),
    "the prompt read linearly": (
        3,
        lambda *sizes: _decoding_flops(*sizes, read=1),
        "each of its tokens meets all of them",
    ),
    "the future left out": (3, _half_of_the_scores, "the future's scores are left out"),
    "no cache": (3, _no_cache, "with a cache it is fed alone"),
    "all at once": (
        3,
        lambda p, new, *sizes: _decoding_flops(p + new, 0, *sizes),
        "the new ones are fed one by one",
    ),
    "d_ff times wider": (
        3,
        lambda p, new, layers, d, d_ff: _decoding_flops(p, new, layers, d, d * d_ff),
        "not a factor for d",
    ),
    "always four times wider": (
        3,
        lambda p, new, layers, d, d_ff: _decoding_flops(p, new, layers, d, 4 * d),
        "not always 4 d",
    ),
    "one layer only": (
        3,
        lambda p, new, layers, *sizes: _decoding_flops(p, new, 1, *sizes),
        "that is one layer",
    ),
    "multiply-adds": (3, lambda *sizes: _decoding_flops(*sizes) // 2, "are two FLOPs"),
    "nothing at all": (3, lambda *sizes: 0, "prompt=3, new=2"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
