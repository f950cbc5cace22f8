"""The encoder equals PyTorch's, passes the mask to every layer, and starts with unequal layers."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    SELF_MASKS,
    SIZES,
    TOLERANCE,
    TORCH_SETTINGS,
    compare_twin,
    draw,
    every_setting,
    float_types,
    mask_case,
    norm_orders,
    randomized,
    setting_name,
    snapshot,
    wrong_settings,
    wrong_sizes,
)
from torch import nn

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.encoder import TransformerEncoder
from tutorial_lib.interop import from_torch
from tutorial_lib.masks import causal_mask, combine_masks, padding_mask

STACK = {"num_layers": 3} | SIZES


def torch_encoder(*, final_norm=False, num_layers=3, **settings) -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(8, 2, 12, **(TORCH_SETTINGS | settings))
    # An epsilon that differs from the layers' own.
    norm = nn.LayerNorm(8, eps=0.1, bias=settings.get("bias", True)) if final_norm else None
    stack = nn.TransformerEncoder(layer, num_layers, norm=norm, enable_nested_tensor=False)
    return randomized(stack.double())


def make_encoder(**settings) -> TransformerEncoder:
    return randomized(TransformerEncoder(**(STACK | settings)).double())


# ---- equal to PyTorch ---------------------------------------------------------------------------


@every_setting
@pytest.mark.parametrize("final_norm", [True, False])
def test_the_encoder_equals_torch(norm_first, activation, bias, final_norm, record_equality):
    theirs = torch_encoder(
        norm_first=norm_first, activation=activation, bias=bias, final_norm=final_norm
    )
    largest = compare_twin(theirs, [draw(3, 5, 8)])
    setting = setting_name(activation, bias)
    record_equality(module="TransformerEncoder", mask=setting, largest=largest)


@norm_orders
@pytest.mark.parametrize("kind", SELF_MASKS)
def test_the_masked_encoder_equals_torch(kind, norm_first, record_equality):
    case = mask_case(kind, batch=3, heads=2, query=5, key=5)
    masks = (
        {"attn_mask": case.ours},
        {"mask": case.attn_mask, "src_key_padding_mask": case.key_padding_mask},
    )
    theirs = torch_encoder(norm_first=norm_first, final_norm=norm_first)
    largest = compare_twin(theirs, [draw(3, 5, 8)], masks, is_padding=case.key_padding_mask)
    record_equality(module="TransformerEncoder", mask=kind, largest=largest)


@norm_orders
def test_the_final_norm_follows_the_norm_order_unless_told_otherwise(norm_first):
    assert (TransformerEncoder(norm_first=norm_first, **STACK).norm is not None) == norm_first
    for wanted in (True, False):
        encoder = TransformerEncoder(norm_first=norm_first, final_norm=wanted, **STACK)
        assert (encoder.norm is not None) == wanted


def test_every_norm_has_the_epsilon_that_was_given():
    encoder = TransformerEncoder(norm_first=True, layer_norm_eps=0.25, **STACK)
    norms = [module for module in encoder.modules() if isinstance(module, nn.LayerNorm)]
    assert [norm.eps for norm in norms] == [0.25] * 7


@norm_orders
def test_a_pre_norm_stack_ends_normalised(norm_first):
    encoder = TransformerEncoder(norm_first=norm_first, **STACK).double()
    output = encoder(10 * draw(2, 5, 8))
    torch.testing.assert_close(output.mean(dim=-1), torch.zeros(2, 5).double(), atol=1e-8, rtol=0)
    variance = output.var(dim=-1, unbiased=False)
    torch.testing.assert_close(variance, torch.ones(2, 5).double(), atol=1e-2, rtol=0)


# ---- its layers ---------------------------------------------------------------------------------


def test_no_two_layers_start_equal():
    encoder = TransformerEncoder(**STACK)
    assert len(encoder.layers) == 3
    for one, other in itertools.combinations(encoder.layers, 2):
        theirs = dict(other.named_parameters())
        for name, parameter in one.named_parameters():
            assert parameter is not theirs[name]
            if parameter.ndim == 2:
                assert not parameter.equal(theirs[name]), f"{name} is shared by two layers"


def test_forward_is_one_layer_after_the_other():
    encoder, x = make_encoder(), draw(2, 5, 8)
    expected = encoder.layers[2](encoder.layers[1](encoder.layers[0](x)))
    torch.testing.assert_close(encoder(x), expected, **TOLERANCE)


def test_the_state_dict_goes_round():
    encoder = make_encoder(norm_first=True)
    other = TransformerEncoder(norm_first=True, **STACK).double()
    other.load_state_dict(encoder.state_dict())
    x = draw(2, 5, 8)
    torch.testing.assert_close(encoder(x), other(x), atol=0, rtol=0)


# ---- attention maps -----------------------------------------------------------------------------


@norm_orders
@pytest.mark.parametrize("kind", ["padding", "causal", "3-D", "4-D"])
def test_the_maps_of_every_layer_are_masked(kind, norm_first):
    encoder = make_encoder(norm_first=norm_first)
    mask = mask_case(kind, batch=2, heads=2, query=5, key=5).ours
    maps = attention_maps(encoder, draw(2, 5, 8), mask)
    aligned = (mask[:, None] if kind == "3-D" else mask).expand(2, 2, 5, 5)
    assert len(maps) == 3
    for weights in maps:
        assert (weights[~aligned] == 0).all()
        assert (weights[aligned] > 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 5).double(), **TOLERANCE)


@norm_orders
def test_the_maps_are_those_that_torch_computes_layer_by_layer(norm_first):
    theirs = torch_encoder(norm_first=norm_first)
    mask = mask_case("combined", batch=2, heads=2, query=5, key=5)
    masks = {"attn_mask": mask.attn_mask, "key_padding_mask": mask.key_padding_mask}
    x = draw(2, 5, 8)
    maps = attention_maps(from_torch(theirs), x, mask.ours)
    for weights, layer in zip(maps, theirs.layers, strict=True):
        seen = layer.norm1(x) if norm_first else x
        expected = layer.self_attn(seen, seen, seen, average_attn_weights=False, **masks)[1]
        torch.testing.assert_close(weights, expected.detach(), **TOLERANCE)
        x = layer(x, mask.attn_mask, mask.key_padding_mask)


def test_the_maps_leave_no_gradient_and_work_while_training():
    encoder = make_encoder(dropout=0.5)
    x = draw(2, 5, 8).requires_grad_()
    maps = attention_maps(encoder, x)
    assert encoder.training
    assert torch.is_grad_enabled()
    assert not any(weights.requires_grad for weights in maps)
    assert x.grad is None
    assert all(parameter.grad is None for parameter in encoder.parameters())
    for weights in maps:
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 5).double(), **TOLERANCE)


def test_nothing_is_stored_on_the_modules():
    encoder = make_encoder()
    before, state = snapshot(encoder), {k: v.clone() for k, v in encoder.state_dict().items()}
    encoder(draw(2, 5, 8), causal_mask(5))
    attention_maps(encoder, draw(2, 5, 8), causal_mask(5))
    assert snapshot(encoder) == before
    assert all(value.equal(state[name]) for name, value in encoder.state_dict().items())


# ---- properties ---------------------------------------------------------------------------------


@given(
    batch=st.integers(1, 3), length=st.integers(1, 6), norm_first=st.booleans(), seed=st.integers(0)
)
def test_without_positions_the_encoder_follows_a_permutation(batch, length, norm_first, seed):
    encoder = make_encoder(norm_first=norm_first)
    x = draw(batch, length, 8, seed=seed % 2**31)
    order = torch.randperm(length, generator=torch.Generator().manual_seed(seed % 2**31))
    torch.testing.assert_close(encoder(x[:, order]), encoder(x)[:, order], **TOLERANCE)


@given(length=st.integers(2, 6), norm_first=st.booleans(), data=st.data())
def test_future_tokens_do_not_change_earlier_outputs(length, norm_first, data):
    now = data.draw(st.integers(1, length - 1))
    encoder = make_encoder(norm_first=norm_first)
    x = draw(2, length, 8)
    changed = x.clone()
    changed[:, now:] = draw(2, length - now, 8, seed=1)
    before, after = encoder(x, causal_mask(length)), encoder(changed, causal_mask(length))
    torch.testing.assert_close(after[:, :now], before[:, :now], **TOLERANCE)
    maps = zip(
        attention_maps(encoder, x, causal_mask(length)),
        attention_maps(encoder, changed, causal_mask(length)),
        strict=True,
    )
    for one, other in maps:
        torch.testing.assert_close(other[:, :, :now], one[:, :, :now], **TOLERANCE)


@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    norm_first=st.booleans(),
    causal=st.booleans(),
)
def test_padding_does_not_change_real_tokens(lengths, norm_first, causal):
    encoder = make_encoder(norm_first=norm_first)
    x = draw(len(lengths), 6, 8)
    mask = combine_masks(padding_mask(torch.tensor(lengths), 6), causal_mask(6) if causal else None)
    padded, maps = encoder(x, mask), attention_maps(encoder, x, mask)
    for row, n in enumerate(lengths):
        tokens, own = x[row : row + 1, :n], causal_mask(n) if causal else None
        torch.testing.assert_close(padded[row : row + 1, :n], encoder(tokens, own), **TOLERANCE)
        alone = attention_maps(encoder, tokens, own)
        for weights, expected in zip(maps, alone, strict=True):
            seen = weights[row : row + 1, :, :n, :n]
            torch.testing.assert_close(seen, expected, **TOLERANCE)


@float_types
@norm_orders
def test_a_sequence_of_nothing_but_padding_stays_finite(dtype, norm_first):
    encoder = TransformerEncoder(norm_first=norm_first, **STACK).to(dtype)
    x = draw(2, 4, 8).to(dtype).requires_grad_()
    mask = padding_mask(torch.tensor([3, 0]), 4)
    output = encoder(x, mask)
    output.float().square().sum().backward()
    assert output.isfinite().all()
    assert x.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())
    assert all((weights[1] == 0).all() for weights in attention_maps(encoder, x, mask))


# ---- wrong input --------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", STACK)
@wrong_sizes
def test_wrong_sizes_are_refused(name, size, error, says):
    with pytest.raises(error, match=f"{name} {says}"):
        TransformerEncoder(**(STACK | {name: size}))


@pytest.mark.usefixtures("unchecked_shapes")
@wrong_settings
def test_wrong_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        TransformerEncoder(**(STACK | wrong))


@pytest.mark.usefixtures("unchecked_shapes")
def test_inputs_that_do_not_fit_are_refused():
    encoder, x = TransformerEncoder(**STACK), torch.zeros(2, 5, 8)
    for call in (encoder, partial(attention_maps, encoder)):
        for shape in [(5, 8), (2, 5, 7)]:
            with pytest.raises(ValueError, match=r"x must have shape \(batch, length, 8\), got"):
                call(torch.zeros(shape))
        with pytest.raises(TypeError, match=r"attn_mask must be boolean.*torch\.float32"):
            call(x, torch.zeros(5, 5))
        with pytest.raises(ValueError, match=r"attn_mask must broadcast.*got \(4, 5\)"):
            call(x, torch.ones(4, 5).bool())
