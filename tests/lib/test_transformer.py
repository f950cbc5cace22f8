"""The Transformer equals PyTorch's: every mask reaches its attention, and no token the future."""

from __future__ import annotations

import itertools
from functools import partial

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

from tutorial_lib.attention_maps import attention_maps, record_attention
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


PADDED = ("padding", "combined")
MASKS = [
    # Where the source is padded so is the memory: PyTorch's evaluation may say anything there.
    *(
        (f"source: {kind}", kind, "none", "padding" if kind in PADDED else "none")
        for kind in SELF_MASKS
    ),
    *((f"target: {kind}", "none", kind, "none") for kind in DECODER_MASKS),
    *((f"memory: {kind}", "none", "none", kind) for kind in CROSS_MASKS),
    ("all three: padding", "padding", "is_causal and padding", "padding"),
    ("all three: 3-D, prefix, 4-D", "3-D", "prefix", "4-D"),
]


@norm_orders
@pytest.mark.parametrize(("mask", "source", "target", "memory"), MASKS)
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_the_masked_transformer_equals_torch(
    mask, source, target, memory, norm_first, record_equality
):
    theirs = randomized(torch_transformer(norm_first=norm_first).double())
    largest = compare_twin(theirs, INPUTS, masks_of(source, target, memory))
    record_equality(module="Transformer", mask=mask, largest=largest)


# ---- its stacks ---------------------------------------------------------------------------------


@norm_orders
def test_forward_is_the_decoder_on_what_the_encoder_made_of_the_source(norm_first):
    model, (src, tgt) = make_transformer(norm_first=norm_first), INPUTS
    masks, _ = masks_of("3-D", "prefix", "4-D")
    memory = model.encoder(src, masks["src_mask"])
    expected = model.decoder(
        tgt, memory, attn_mask=masks["tgt_mask"], memory_mask=masks["memory_mask"]
    )
    torch.testing.assert_close(model(src, tgt, **masks), expected, atol=0, rtol=0)


@pytest.mark.parametrize("final_norm", [None, True, False])
@norm_orders
def test_both_stacks_end_as_the_norm_order_says_unless_told_otherwise(norm_first, final_norm):
    model = Transformer(norm_first=norm_first, final_norm=final_norm, **STACKS)
    expected = norm_first if final_norm is None else final_norm
    assert (model.encoder.norm is not None) == (model.decoder.norm is not None) == expected


def test_both_stacks_have_the_settings_that_were_given():
    model = Transformer(
        dropout=0.25, norm_first=True, activation="gelu", layer_norm_eps=0.5, bias=False, **STACKS
    )
    assert (len(model.encoder.layers), len(model.decoder.layers)) == (2, 3)
    for layer in (*model.encoder.layers, *model.decoder.layers):
        assert layer.norm_first
        assert layer.dropout.p == layer.self_attn.dropout == layer.feed_forward.dropout.p == 0.25
        assert layer.feed_forward.activation == "gelu"
        assert layer.feed_forward.linear1.out_features == 12
        assert layer.self_attn.num_heads == 2
    norms = [part.eps for part in model.modules() if isinstance(part, nn.LayerNorm)]
    assert norms == [0.5] * (2 * 2 + 1 + 3 * 3 + 1)
    assert not [name for name, _ in model.named_parameters() if name.endswith("bias")]


def test_no_two_matrices_start_equal():
    matrices = [
        (name, tensor)
        for name, tensor in Transformer(**STACKS).named_parameters()
        if tensor.ndim == 2
    ]
    assert len(matrices) == 2 * (4 + 2) + 3 * (4 + 4 + 2)
    for (one, first), (other, second) in itertools.combinations(matrices, 2):
        assert first.shape != second.shape or not first.equal(second), f"{one} is {other}"


# ---- attention maps -----------------------------------------------------------------------------


def maps_of(model, *inputs, **masks) -> list[list[torch.Tensor]]:
    with record_attention(model) as maps:
        model(*inputs, **masks)
    kinds = ("encoder", "self_attn", "cross_attn")
    found = {kind: [] for kind in kinds}
    for name, weights in maps.items():
        found[next(kind for kind in kinds if kind in name)].append(weights)
    return list(found.values())


@norm_orders
def test_the_maps_are_those_of_the_stacks_and_are_masked(norm_first):
    model, (src, tgt) = make_transformer(norm_first=norm_first), INPUTS
    masks, _ = masks_of("padding", "is_causal and padding", "padding")
    maps = maps_of(model, src, tgt, **masks)
    with record_attention(model.encoder):  # the same path, to the last digit
        memory = model.encoder(src, masks["src_mask"])
    decoding = maps_of(
        model.decoder,
        tgt,
        memory,
        attn_mask=masks["tgt_mask"],
        memory_mask=masks["memory_mask"],
        is_causal=True,
    )
    expected = attention_maps(model.encoder, src, masks["src_mask"]), *decoding[1:]
    seen = masks["src_mask"], masks["tgt_mask"] & causal_mask(5), masks["memory_mask"]
    for found, wanted, allowed, layers in zip(maps, expected, seen, (2, 3, 3), strict=True):
        assert len(found) == layers
        for weights, same in zip(found, wanted, strict=True):
            torch.testing.assert_close(weights, same, atol=0, rtol=0)
            assert ((weights > 0) == allowed).all()
            ones = torch.ones_like(weights[..., 0])
            torch.testing.assert_close(weights.sum(-1), ones, **TOLERANCE)


def test_the_maps_leave_no_gradient_and_nothing_on_the_modules():
    model = make_transformer(dropout=0.5)
    before, inputs = snapshot(model), [x.clone().requires_grad_() for x in INPUTS]
    for weights in attention_maps(model, *inputs):
        assert not weights.requires_grad
        ones = torch.ones_like(weights[..., 0])
        torch.testing.assert_close(weights.sum(-1), ones, **TOLERANCE)
    model(*INPUTS, tgt_is_causal=True)
    assert torch.is_grad_enabled()
    assert snapshot(model) == before
    assert all(tensor.grad is None for tensor in (*inputs, *model.parameters()))


# ---- properties ---------------------------------------------------------------------------------


@given(source=st.integers(1, 4), target=st.integers(2, 6), norm_first=st.booleans(), data=st.data())
def test_future_tokens_do_not_change_earlier_outputs(source, target, norm_first, data):
    now = data.draw(st.integers(1, target - 1))
    model, src = make_transformer(norm_first=norm_first), draw(2, source, 8, seed=1)
    tgt = draw(2, target, 8)
    changed = torch.cat([tgt[:, :now], draw(2, target - now, 8, seed=2)], dim=1)
    for causal in ({"tgt_is_causal": True}, {"tgt_mask": causal_mask(target)}):
        before, after = model(src, tgt, **causal), model(src, changed, **causal)
        torch.testing.assert_close(after[:, :now], before[:, :now], **TOLERANCE)
        assert not torch.allclose(after[:, now:], before[:, now:])


@given(batch=st.integers(1, 3), norm_first=st.booleans(), data=st.data())
def test_padding_changes_nothing_and_examples_do_not_mix(batch, norm_first, data):
    several = st.lists(st.integers(1, 5), min_size=batch, max_size=batch)
    sources, targets = data.draw(several), data.draw(several)
    model = make_transformer(norm_first=norm_first)
    src, tgt = draw(batch, 5, 8, seed=1), draw(batch, 5, 8)
    is_source, is_target = (padding_mask(torch.tensor(n), 5) for n in (sources, targets))
    together = model(
        src,
        tgt,
        src_mask=is_source,
        tgt_mask=combine_masks(causal_mask(5), is_target),
        memory_mask=is_source,
    )
    for row, (s, t) in enumerate(zip(sources, targets, strict=True)):
        one = slice(row, row + 1)
        alone = model(src[one, :s], tgt[one, :t], tgt_is_causal=True)
        torch.testing.assert_close(together[one, :t], alone, **TOLERANCE)


@norm_orders
@float_types
def test_a_source_and_a_target_of_nothing_but_padding_stay_finite(dtype, norm_first):
    model = Transformer(norm_first=norm_first, **STACKS).to(dtype)
    src, tgt = (tokens.to(dtype).requires_grad_() for tokens in INPUTS)
    is_source = padding_mask(torch.tensor([4, 0, 0]), 4)
    is_target = padding_mask(torch.tensor([0, 3, 0]), 5)
    masks = {"src_mask": is_source, "tgt_mask": is_target, "memory_mask": is_source}
    output = model(src, tgt, **masks)
    output.float().square().sum().backward()
    assert output.isfinite().all()
    assert all(tensor.grad.isfinite().all() for tensor in (src, tgt, *model.parameters()))
    assert (src.grad[1:] == 0).all()
    maps = maps_of(model, src, tgt, **masks)
    for found, empty in zip(maps, ([1, 2], [0, 2], [1, 2]), strict=True):
        assert all((weights[empty] == 0).all() for weights in found)


def test_dropout_changes_training_and_not_evaluation():
    model, quiet = Transformer(dropout=0.5, **STACKS).double(), Transformer(**STACKS).double()
    quiet.load_state_dict(model.state_dict())
    assert not torch.allclose(model(*INPUTS), quiet(*INPUTS))
    torch.testing.assert_close(model.eval()(*INPUTS), quiet(*INPUTS), **TOLERANCE)


# ---- wrong input --------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", STACKS)
@wrong_sizes
def test_wrong_sizes_are_refused(name, size, error, says):
    named = "layers" if name.endswith("layers") else name  # a stack's is called num_layers
    with pytest.raises(error, match=f"{named} {says}"):
        Transformer(**(STACKS | {name: size}))


@pytest.mark.usefixtures("unchecked_shapes")
@wrong_settings
def test_wrong_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Transformer(**(STACKS | wrong))


@pytest.mark.usefixtures("unchecked_shapes")
def test_inputs_that_do_not_fit_are_refused():
    model, src, tgt = Transformer(**STACKS), torch.zeros(2, 4, 8), torch.zeros(2, 5, 8)
    for call in (model, partial(attention_maps, model)):
        for shape in [(5, 8), (2, 5, 7)]:
            with pytest.raises(ValueError, match=r"src must have shape \(batch, length, 8\), got"):
                call(torch.zeros(shape), tgt)
            with pytest.raises(ValueError, match=r"tgt must have shape \(batch, length, 8\), got"):
                call(src, torch.zeros(shape))
        with pytest.raises(ValueError, match="tgt must have batch 2 like src, got 3"):
            call(src, torch.zeros(3, 5, 8))
        for name in ("src_mask", "tgt_mask", "memory_mask"):
            with pytest.raises(TypeError, match=rf"{name} must be boolean.*torch\.float32"):
                call(src, tgt, **{name: torch.zeros(5, 5)})
            with pytest.raises(ValueError, match=rf"{name} must broadcast.*got \(6, 6\)"):
                call(src, tgt, **{name: torch.ones(6, 6).bool()})
