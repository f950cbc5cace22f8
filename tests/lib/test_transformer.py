"""The Transformer equals PyTorch's: every mask reaches its attention, and no token the future."""

from __future__ import annotations

import itertools
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    CROSS_MASKS,
    DECODER_MASKS,
    SELF_MASKS,
    SIZES,
    TOLERANCE,
    compare_twin,
    decoder_masks,
    draw,
    every_setting,
    float_types,
    mask_case,
    norm_orders,
    randomized,
    setting_name,
    snapshot,
    torch_transformer,
    wrong_settings,
    wrong_sizes,
)
from torch import nn

from tutorial_lib.masks import causal_mask, combine_masks, padding_mask
from tutorial_lib.transformer import Transformer

STACKS = {"num_encoder_layers": 2, "num_decoder_layers": 3} | SIZES
INPUTS = [draw(3, 4, 8, seed=1), draw(3, 5, 8)]  # a source, and a target of another length


def make_transformer(**settings) -> Transformer:
    return randomized(Transformer(**(STACKS | settings)).double())


def masks_of(source: str, target: str, memory: str):
    """Mask all three kinds of attention, as ours takes it and as PyTorch's does."""
    case = mask_case(source, batch=3, heads=2, query=4, key=4)
    ours, theirs = decoder_masks(target, memory)
    ours = {
        "src_mask": case.ours,
        "tgt_mask": ours["attn_mask"],
        "tgt_is_causal": ours["is_causal"],
        "memory_mask": ours["memory_mask"],
    }
    padding = {"src_mask": case.attn_mask, "src_key_padding_mask": case.key_padding_mask}
    return ours, theirs | padding


# ---- equal to PyTorch ---------------------------------------------------------------------------


@every_setting
def test_the_transformer_equals_torch(norm_first, activation, bias, record_equality):
    theirs = torch_transformer(norm_first=norm_first, activation=activation, bias=bias)
    largest = compare_twin(randomized(theirs.double()), INPUTS)
    setting = setting_name(activation, bias)
    record_equality(module="Transformer", mask=setting, largest=largest)


MASKS = {
    # A memory without the source's padding reads what PyTorch's evaluation sets to 0 there.
    **{f"source: {kind}": (kind, "none", kind if kind == "padding" else "none") for kind in CROSS_MASKS},
}
