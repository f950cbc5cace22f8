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


WRONG = {
    "heads left out": (
        1,
        lambda *sizes: _longest_length(*sizes, heads_count=False),
        "the answer must be 20",
    ),
    "norms left out": (1, lambda *sizes: _longest_length(*sizes, norms=0), "must be 20, got 21"),
    "one layer": (
        1,
        lambda budget, layers, *sizes: _longest_length(budget, 1, *sizes),
        "num_layers=3",
    ),
    "one too many": (1, lambda *sizes: _longest_length(*sizes) + 1, "must be 20, got 21"),
    "one too few": (1, lambda *sizes: _longest_length(*sizes) - 1, "must be 20, got 19"),
    "at least one": (1, lambda *sizes: max(1, _longest_length(*sizes)), "must be 0, got 1"),
    "a mask alone": (2, _masked, "are enough, got"),
    "both sides": (2, lambda *args: _masked(*args, causal=False), "sees what comes after it"),
    "one position too many": (2, lambda q, k, v, w: _masked(q, k, v, w, width=w + 1), "not that"),
    "one position too few": (
        2,
        lambda q, k, v, w: _masked(q, k, v, w, width=max(1, w - 1)),
        "not that",
    ),
    "padding is seen": (2, lambda *args: _look_back(*args, edge=False), "not that"),
    "all of both blocks": (2, lambda *args: _look_back(*args, near=False), "not that"),
    "the future of the block": (2, lambda *args: _look_back(*args, causal=False), "not that"),
    "three blocks": (2, lambda *args: _look_back(*args, blocks_before=2), "are enough, got"),
    "fused": (2, _fused, "could be seen"),
    "blocks not joined": (
        2,
        lambda q, k, v, w: _look_back(q, k, v, w).unflatten(-2, (-1, w)),
        "must have shape",
    ),
    "itself not counted": (3, lambda *sizes: _decoding_flops(*sizes, first=0), "new=2"),
    "the prompt read linearly": (3, lambda *sizes: _decoding_flops(*sizes, read=1), "prompt=3"),
    "no cache": (
        3,
        lambda p, new, *sizes: sum(_decoding_flops(p + i, 0, *sizes) for i in range(new + 1)),
        "prompt=3",
    ),
    "four times wider": (
        3,
        lambda p, new, layers, d, d_ff: _decoding_flops(p, new, layers, d, 4 * d),
        "d_ff=16",
    ),
    "one layer only": (
        3,
        lambda p, new, layers, *sizes: _decoding_flops(p, new, 1, *sizes),
        "num_layers=2",
    ),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
