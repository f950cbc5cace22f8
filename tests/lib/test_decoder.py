"""The decoder equals PyTorch's, sees no future, and says with a cache what it says without."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    DECODER_INPUTS,
    SIZES,
    TOLERANCE,
    TORCH_SETTINGS,
    assert_all_close,
    compare_twin,
    decoder_masks,
    draw,
    each_decoder_mask,
    every_setting,
    float_types,
    mask_case,
    norm_orders,
    randomized,
    relative_positions,
    results,
    setting_name,
    snapshot,
    wrong_settings,
    wrong_sizes,
)
from torch import nn

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.interop import from_torch
from tutorial_lib.masks import causal_mask, combine_masks, padding_mask

STACK = {"num_layers": 3} | SIZES

relatives = st.sampled_from([None, "rotary", "alibi"])
chunks = st.lists(st.integers(1, 3), min_size=1, max_size=4)


def torch_decoder(*, final_norm=False, num_layers=3, **settings) -> nn.TransformerDecoder:
    layer = nn.TransformerDecoderLayer(8, 2, 12, **(TORCH_SETTINGS | settings))
    # An epsilon that differs from the layers' own.
    norm = nn.LayerNorm(8, eps=0.1, bias=settings.get("bias", True)) if final_norm else None
    return randomized(nn.TransformerDecoder(layer, num_layers, norm=norm).double())


def make_decoder(**settings) -> TransformerDecoder:
    return randomized(TransformerDecoder(**(STACK | settings)).double())


# ---- equal to PyTorch ---------------------------------------------------------------------------


@every_setting
@pytest.mark.parametrize("final_norm", [True, False])
def test_the_decoder_equals_torch(norm_first, activation, bias, final_norm, record_equality):
    theirs = torch_decoder(
        norm_first=norm_first, activation=activation, bias=bias, final_norm=final_norm
    )
    largest = compare_twin(theirs, DECODER_INPUTS)
    setting = setting_name(activation, bias)
    record_equality(module="TransformerDecoder", mask=setting, largest=largest)


@norm_orders
@each_decoder_mask
def test_the_masked_decoder_equals_torch(mask, tokens, memory, norm_first, record_equality):
    theirs = torch_decoder(norm_first=norm_first, final_norm=norm_first)
    largest = compare_twin(theirs, DECODER_INPUTS, decoder_masks(tokens, memory))
    record_equality(module="TransformerDecoder", mask=mask, largest=largest)


@norm_orders
@pytest.mark.parametrize("final_norm", [True, False])
def test_without_cross_attention_it_is_torch_s_causal_encoder(
    norm_first, final_norm, record_equality
):
    layer = nn.TransformerEncoderLayer(8, 2, 12, norm_first=norm_first, **TORCH_SETTINGS)
    norm = nn.LayerNorm(8, eps=1e-2) if final_norm else None
    theirs = randomized(nn.TransformerEncoder(layer, 3, norm, enable_nested_tensor=False).double())
    decoder = make_decoder(
        norm_first=norm_first, final_norm=final_norm, cross_attention=False, layer_norm_eps=1e-2
    )

    def renamed(tensors):  # the norm before the feed-forward is a decoder's third
        return {name.replace("norm2", "norm3"): tensor for name, tensor in tensors.items()}

    decoder.load_state_dict(renamed(from_torch(theirs).state_dict()))
    x, mask = draw(3, 5, 8), mask_case("causal", batch=3, heads=2, query=5, key=5)
    expected = renamed(results(theirs, [x], mask=mask.attn_mask))
    largest = assert_all_close(results(decoder, [x], is_causal=True), expected)
    record_equality(module="TransformerDecoder, decoder-only", mask="is_causal", largest=largest)
    assert_all_close(results(decoder, [x], attn_mask=mask.ours), expected)


# ---- its layers ---------------------------------------------------------------------------------


@norm_orders
def test_the_final_norm_follows_the_norm_order_unless_told_otherwise(norm_first):
    assert (TransformerDecoder(norm_first=norm_first, **STACK).norm is not None) == norm_first
    for wanted in (True, False):
        decoder = TransformerDecoder(norm_first=norm_first, final_norm=wanted, **STACK)
        assert (decoder.norm is not None) == wanted


def test_every_norm_has_the_epsilon_that_was_given():
    decoder = TransformerDecoder(norm_first=True, layer_norm_eps=0.25, **STACK)
    norms = [module.eps for module in decoder.modules() if isinstance(module, nn.LayerNorm)]
    assert norms == [0.25] * 10


def test_no_two_layers_and_no_two_attentions_start_equal():
    matrices = {
        name: parameter
        for name, parameter in TransformerDecoder(**STACK).named_parameters()
        if parameter.ndim == 2
    }
    assert len(matrices) == 3 * (4 + 4 + 2)
    for (one, first), (other, second) in itertools.combinations(matrices.items(), 2):
        assert first.shape != second.shape or not first.equal(second), f"{one} is {other}"


def test_forward_is_one_layer_after_the_other_with_one_memory_for_all():
    decoder, (x, memory) = make_decoder(norm_first=True), DECODER_INPUTS
    expected = x
    for layer in decoder.layers:
        expected = layer(expected, memory, is_causal=True)
    expected = decoder.norm(expected)
    torch.testing.assert_close(decoder(x, memory, is_causal=True), expected, **TOLERANCE)


def test_the_state_dict_goes_round():
    decoder, other = make_decoder(norm_first=True), TransformerDecoder(norm_first=True, **STACK)
    other.double().load_state_dict(decoder.state_dict())
    torch.testing.assert_close(decoder(*DECODER_INPUTS), other(*DECODER_INPUTS), atol=0, rtol=0)


# ---- attention maps -----------------------------------------------------------------------------


@norm_orders
@pytest.mark.parametrize(("tokens", "memory"), [("3-D", "padding"), ("is_causal", "4-D")])
def test_the_maps_of_every_layer_are_masked(tokens, memory, norm_first):
    decoder = make_decoder(norm_first=norm_first)
    masks, _ = decoder_masks(tokens, memory)
    allowed = masks["attn_mask"][:, None] if tokens == "3-D" else causal_mask(5)
    for name, mask in (("self_attn", allowed), ("cross_attn", masks["memory_mask"])):
        found = attention_maps(decoder, *DECODER_INPUTS, of=name, **masks)
        assert len(found) == 3
        for weights in found:
            assert (weights[~mask.expand(weights.shape)] == 0).all()
            assert (weights[mask.expand(weights.shape)] > 0).all()
            torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 5).double(), **TOLERANCE)


@norm_orders
def test_the_maps_are_those_that_torch_computes_layer_by_layer(norm_first):
    theirs = torch_decoder(norm_first=norm_first)
    ours_masks, torch_masks = decoder_masks("combined", "3-D")
    x, memory = DECODER_INPUTS
    maps = attention_maps(from_torch(theirs), x, memory, **ours_masks)
    for to_tokens, to_memory, layer in zip(maps[::2], maps[1::2], theirs.layers, strict=True):
        seen = layer.norm1(x) if norm_first else x
        attended, expected = layer.self_attn(
            seen,
            seen,
            seen,
            attn_mask=torch_masks["tgt_mask"],
            key_padding_mask=torch_masks["tgt_key_padding_mask"],
            average_attn_weights=False,
        )
        torch.testing.assert_close(to_tokens, expected.detach(), **TOLERANCE)
        h = x + attended
        seen = layer.norm2(h) if norm_first else layer.norm1(h)
        blocked = torch_masks["memory_mask"]
        _, expected = layer.multihead_attn(
            seen, memory, memory, attn_mask=blocked, average_attn_weights=False
        )
        torch.testing.assert_close(to_memory, expected.detach(), **TOLERANCE)
        x = layer(x, memory, **torch_masks)


def test_the_maps_leave_no_gradient_and_work_while_training():
    decoder = make_decoder(dropout=0.5)
    inputs = [x.clone().requires_grad_() for x in DECODER_INPUTS]
    maps = attention_maps(decoder, *inputs)
    assert decoder.training
    assert torch.is_grad_enabled()
    for weights in maps:
        assert not weights.requires_grad
        torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2, 5).double(), **TOLERANCE)
    assert all(tensor.grad is None for tensor in (*inputs, *decoder.parameters()))


def test_a_decoder_only_model_has_no_maps_of_cross_attention():
    maps = attention_maps(make_decoder(cross_attention=False), DECODER_INPUTS[0], is_causal=True)
    assert [weights.shape for weights in maps] == [(3, 2, 5, 5)] * 3


def test_nothing_is_stored_on_the_modules():
    decoder = make_decoder()
    before, state = snapshot(decoder), {k: v.clone() for k, v in decoder.state_dict().items()}
    decoder(*DECODER_INPUTS, is_causal=True)
    attention_maps(decoder, *DECODER_INPUTS, is_causal=True)
    with torch.no_grad():
        decoder(*DECODER_INPUTS, is_causal=True, cache=decoder.make_cache(3, 5))
    assert snapshot(decoder) == before
    assert all(value.equal(state[name]) for name, value in decoder.state_dict().items())


# ---- properties ---------------------------------------------------------------------------------


@given(length=st.integers(2, 6), norm_first=st.booleans(), relative=relatives, data=st.data())
def test_future_tokens_do_not_change_earlier_outputs(length, norm_first, relative, data):
    now = data.draw(st.integers(1, length - 1))
    decoder = make_decoder(norm_first=norm_first, **relative_positions(relative))
    x, memory = draw(2, length, 8), draw(2, 4, 8, seed=1)
    changed = torch.cat([x[:, :now], draw(2, length - now, 8, seed=2)], dim=1)
    before, after = (decoder(tokens, memory, is_causal=True) for tokens in (x, changed))
    torch.testing.assert_close(after[:, :now], before[:, :now], **TOLERANCE)
    assert not torch.allclose(after[:, now:], before[:, now:])
    pair = (attention_maps(decoder, tokens, memory, is_causal=True) for tokens in (x, changed))
    for one, other in zip(*pair, strict=True):
        torch.testing.assert_close(other[:, :, :now], one[:, :, :now], **TOLERANCE)


@pytest.mark.parametrize("relative", [None, "rotary", "alibi"])
def test_the_order_of_the_tokens_matters_to_every_layer_with_relative_positions_only(relative):
    decoder, (x, memory) = make_decoder(**relative_positions(relative)), DECODER_INPUTS
    for layer in decoder.layers:
        rolled = layer(x.roll(1, dims=1), memory), layer(x, memory).roll(1, dims=1)
        assert torch.allclose(*rolled, **TOLERANCE) == (relative is None)


@given(batch=st.integers(2, 4), norm_first=st.booleans(), seed=st.integers(0, 1000))
def test_examples_do_not_mix(batch, norm_first, seed):
    decoder = make_decoder(norm_first=norm_first)
    x, memory = draw(batch, 4, 8, seed=seed), draw(batch, 3, 8, seed=seed + 1)
    own = torch.rand(batch, 4, 3, generator=torch.Generator().manual_seed(seed)) < 0.5
    together = decoder(x, memory, memory_mask=own, is_causal=True)
    for row in range(batch):
        one = slice(row, row + 1)
        alone = decoder(x[one], memory[one], memory_mask=own[one], is_causal=True)
        torch.testing.assert_close(together[one], alone, **TOLERANCE)


@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    norm_first=st.booleans(),
    relative=relatives,
)
def test_padding_does_not_change_real_tokens(lengths, norm_first, relative):
    decoder = make_decoder(norm_first=norm_first, **relative_positions(relative))
    batch = len(lengths)
    x, memory = draw(batch, 5, 8), draw(batch, 5, 8, seed=1)
    # The memories are as long as the sequences, in the opposite order.
    own, theirs = (padding_mask(torch.tensor(order), 5) for order in (lengths, lengths[::-1]))
    masks = {"attn_mask": combine_masks(causal_mask(5), own), "memory_mask": theirs}
    padded = decoder(x, memory, **masks)
    for row, (n, m) in enumerate(zip(lengths, lengths[::-1], strict=True)):
        one = slice(row, row + 1)
        alone = decoder(x[one, :n], memory[one, :m], is_causal=True)
        torch.testing.assert_close(padded[one, :n], alone, **TOLERANCE)


@norm_orders
@float_types
def test_rows_that_may_attend_to_nothing_stay_finite(dtype, norm_first):
    decoder = TransformerDecoder(norm_first=norm_first, **STACK).to(dtype)
    x, memory = (tokens.to(dtype).requires_grad_() for tokens in DECODER_INPUTS)
    masks = {
        "attn_mask": padding_mask(torch.tensor([3, 0, 5]), 5),
        "memory_mask": padding_mask(torch.tensor([0, 0, 4]), 4),
    }
    output = decoder(x, memory, **masks)
    output.float().square().sum().backward()
    assert output.isfinite().all()
    assert all(tensor.grad.isfinite().all() for tensor in (x, memory, *decoder.parameters()))
    assert (memory.grad[:2] == 0).all()
    maps = attention_maps(decoder, x, memory, **masks)
    assert all((weights[1] == 0).all() for weights in maps[::2])  # self-attention
    assert all((weights[:2] == 0).all() for weights in maps[1::2])  # cross-attention


# ---- with a cache -------------------------------------------------------------------------------


@given(steps=chunks, norm_first=st.booleans(), relative=relatives)
@torch.no_grad()
def test_a_cache_gives_what_the_whole_sequence_gives(steps, norm_first, relative):
    decoder = make_decoder(norm_first=norm_first, **relative_positions(relative))
    length = sum(steps)
    x, memory = draw(2, length, 8), draw(2, 4, 8, seed=1)
    is_real = padding_mask(torch.tensor([length, 2]), max(length, 2))[..., :length]
    memory_mask = padding_mask(torch.tensor([3, 4]), 4)
    whole = decoder(x, memory, attn_mask=is_real, memory_mask=memory_mask, is_causal=True)
    cache = decoder.make_cache(2, length)
    for step, end in zip(steps, itertools.accumulate(steps), strict=True):
        now = decoder(
            x[:, end - step : end],
            memory if end == step else None,  # it is kept from the first call on
            attn_mask=is_real[..., :end],
            memory_mask=memory_mask,
            is_causal=True,
            cache=cache,
        )
        torch.testing.assert_close(now, whole[:, end - step : end], **TOLERANCE)
        assert cache.length == end


@given(steps=chunks, norm_first=st.booleans(), relative=relatives)
@torch.no_grad()
def test_a_cache_gives_what_the_whole_sequence_gives_without_a_memory(steps, norm_first, relative):
    decoder = make_decoder(
        norm_first=norm_first, cross_attention=False, **relative_positions(relative)
    )
    x = draw(2, sum(steps), 8)
    cache = decoder.make_cache(2, sum(steps) + 3)  # room that is never used
    found = [decoder(part, is_causal=True, cache=cache) for part in x.split(steps, dim=1)]
    torch.testing.assert_close(torch.cat(found, dim=1), decoder(x, is_causal=True), **TOLERANCE)


@torch.no_grad()
def test_a_step_past_the_capacity_is_refused_and_leaves_the_cache_as_it_was():
    decoder, x = make_decoder(cross_attention=False), draw(2, 4, 8)
    cache = decoder.make_cache(2, 4)
    decoder(x[:, :3], is_causal=True, cache=cache)
    with pytest.raises(ValueError, match="capacity=4: 3 positions are filled, and 2 more came"):
        decoder(x[:, 2:], is_causal=True, cache=cache)
    assert cache.length == 3
    last = decoder(x[:, 3:], is_causal=True, cache=cache)
    torch.testing.assert_close(last, decoder(x, is_causal=True)[:, 3:], **TOLERANCE)


def test_a_cache_that_does_not_fit_is_refused():
    decoder, (x, memory) = make_decoder(), DECODER_INPUTS
    with pytest.raises(ValueError, match="is_causal must be True with a cache"):
        decoder(x, memory, cache=decoder.make_cache(3, 5))
    with pytest.raises(ValueError, match="cache must have num_layers=3, got 2"):
        decoder(x, memory, is_causal=True, cache=make_decoder(num_layers=2).make_cache(3, 5))
    with pytest.raises(RuntimeError, match=r"cache keeps no gradients.*torch\.no_grad"):
        decoder(x, memory, is_causal=True, cache=decoder.make_cache(3, 5))
    with torch.no_grad(), pytest.raises(ValueError, match="cache must have batch 3 like x, got 2"):
        decoder(x, memory, is_causal=True, cache=decoder.make_cache(2, 5))
    with torch.no_grad(), pytest.raises(ValueError, match="memory must be given"):
        decoder(x, is_causal=True, cache=decoder.make_cache(3, 5))
    half = decoder.make_cache(3, 5)
    with torch.no_grad(), pytest.raises(TypeError, match=r"cache must be of torch\.float32"):
        decoder.float()(x.float(), memory.float(), is_causal=True, cache=half)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_a_cache_has_the_decoder_s_sizes_and_float_type(dtype):
    cache = make_decoder().to(dtype).make_cache(4, 6)
    assert cache.keys.shape == cache.values.shape == (3, 4, 2, 6, 4)
    assert cache.keys.dtype == cache.values.dtype == dtype
    assert (cache.length, cache.capacity) == (0, 6)
    assert TransformerDecoder(**STACK).to("meta").make_cache(4, 6).keys.device.type == "meta"


# ---- wrong input --------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", STACK)
@wrong_sizes
def test_wrong_sizes_are_refused(name, size, error, says):
    with pytest.raises(error, match=f"{name} {says}"):
        TransformerDecoder(**(STACK | {name: size}))


@pytest.mark.usefixtures("unchecked_shapes")
@wrong_settings
def test_wrong_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        TransformerDecoder(**(STACK | wrong))


@pytest.mark.usefixtures("unchecked_shapes")
def test_inputs_that_do_not_fit_are_refused():
    decoder, alone = TransformerDecoder(**STACK), TransformerDecoder(cross_attention=False, **STACK)
    x, memory = torch.zeros(2, 5, 8), torch.zeros(2, 4, 8)
    looking = (partial(attention_maps, decoder), partial(attention_maps, alone))
    for call, only in [(decoder, alone), looking]:
        for shape in [(5, 8), (2, 5, 7)]:
            with pytest.raises(ValueError, match=r"x must have shape \(batch, length, 8\), got"):
                call(torch.zeros(shape), memory)
            with pytest.raises(ValueError, match=r"memory must have shape \(batch, length, 8\)"):
                call(x, torch.zeros(shape))
        with pytest.raises(ValueError, match="memory must have batch 2 like x, got 3"):
            call(x, torch.zeros(3, 4, 8))
        for name in ("attn_mask", "memory_mask"):
            with pytest.raises(TypeError, match=rf"{name} must be boolean.*torch\.float32"):
                call(x, memory, **{name: torch.zeros(5, 5)})
            with pytest.raises(ValueError, match=rf"{name} must broadcast.*got \(4, 5\)"):
                call(x, memory, **{name: torch.ones(4, 5).bool()})
        with pytest.raises(ValueError, match="memory must be given: the decoder has cross-att"):
            call(x)
        with pytest.raises(ValueError, match="memory must be left out: the decoder has no cross"):
            only(x, memory)
