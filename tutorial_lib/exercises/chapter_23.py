"""Checks for chapter 23, what attention costs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from tutorial_lib.attention import scaled_dot_product_attention
from tutorial_lib.attention_maps import record_attention
from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.exercises.checker import Checker, is_close, require_shape
from tutorial_lib.layers import TransformerEncoderLayer
from tutorial_lib.masks import causal_mask, sliding_window_mask
from tutorial_lib.measure import flops, saved_bytes

check = Checker(23)


@check.exercise(1, hint="Try one token more until it no longer fits, or solve the quadratic.")
def the_longest_length_fits_and_one_more_does_not(longest_length: Callable) -> None:
    """Compare with the bytes that a real encoder keeps at that length, and at one more."""
    for num_layers, d, d_ff, heads, n in [(1, 8, 16, 2, 20), (3, 8, 32, 4, 9), (2, 16, 16, 1, 0)]:
        exactly, one_more = (_kept(num_layers, d, d_ff, heads, length) for length in (n, n + 1))
        for budget in (exactly, one_more - 1):
            got = longest_length(budget, num_layers, d, d_ff, heads)
            sizes = f"num_layers={num_layers}, d={d}, d_ff={d_ff}, heads={heads}"
            assert got == n, (
                f"{n} tokens keep {exactly} bytes and {n + 1} keep {one_more}, so with {sizes} "
                f"and a budget of {budget} the answer must be {n}, got {got}"
            )


@check.exercise(2, hint="Pad w rows in front only, and give each block the 2 w keys that end it.")
def looking_back_is_the_masked_one_for_less(look_back: Callable) -> None:
    """Compare with the mask, then count."""
    for n, w in [(12, 4), (24, 4), (8, 8), (5, 1)]:
        generator = torch.Generator().manual_seed(23)
        q, k, v = torch.randn(3, 2, 3, n, 4, dtype=torch.float64, generator=generator)
        got = look_back(q, k, v, w)
        require_shape(got, (2, 3, n, 4), "the output")
        both_sides = sliding_window_mask(n, w)
        expected = scaled_dot_product_attention(q, k, v, both_sides & causal_mask(n))[0]
        where = f"with n={n} and w={w}"
        if w > 1:
            seen = scaled_dot_product_attention(q, k, v, both_sides)[0]
            assert not is_close(got, seen), f"{where} a query sees what comes after it"
        assert is_close(got, expected), f"{where} the output is not that of the masked attention"
        counted, enough = flops(partial(look_back, q, k, v, w)), 2 * 8 * n * w * 12
        assert counted >= enough // 4, (
            f"{where} only {counted} FLOPs could be seen: make the products with "
            "tutorial_lib.attention.scaled_dot_product_attention"
        )
        assert counted <= enough, (
            f"{where} 8 n w d, {enough} FLOPs for two sequences, are enough, got {counted}"
        )


@check.exercise(3, hint="The first token that is fed alone meets prompt + 1 keys, itself included.")
def decoding_flops_are_those_counted(decoding_flops: Callable) -> None:
    """Compare with what the counter sees in a real decoder, call by call."""
    for sizes in [(3, 2, 1, 8, 16), (4, 0, 2, 8, 32), (1, 3, 2, 8, 24)]:
        expected, got = _counted_decoding(*sizes), decoding_flops(*sizes)
        prompt, new, num_layers, d, d_ff = sizes
        assert got == expected, (
            f"prompt={prompt}, new={new}, num_layers={num_layers}, d={d}, d_ff={d_ff} take "
            f"{expected} FLOPs, got {got}"
        )


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
