"""A layer equals PyTorch's in both norm orders: values, gradients, training and evaluation."""

from __future__ import annotations

import pytest
import torch
from reference import (
    DECODER_INPUTS,
    SELF_MASKS,
    SIZES,
    TOLERANCE,
    TORCH_SETTINGS,
    compare_twin,
    decoder_masks,
    draw,
    each_decoder_mask,
    every_setting,
    float_types,
    mask_case,
    norm_orders,
    randomized,
    setting_name,
    wrong_settings,
    wrong_sizes,
)
from torch import nn

from tutorial_lib.attention_maps import record_attention
from tutorial_lib.layers import TransformerDecoderLayer, TransformerEncoderLayer
from tutorial_lib.masks import causal_mask, padding_mask

# Each layer, and what it is called with: tokens, or tokens and a memory.
LAYERS = {
    TransformerEncoderLayer: (nn.TransformerEncoderLayer, [draw(3, 5, 8)]),
    TransformerDecoderLayer: (nn.TransformerDecoderLayer, DECODER_INPUTS),
}
each_layer = pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)


def torch_layer(kind, **settings) -> nn.Module:
    layer = LAYERS[kind][0](8, 2, 12, **(TORCH_SETTINGS | settings))
    return randomized(layer.double())


def make_layer(kind=TransformerDecoderLayer, **settings) -> nn.Module:
    return randomized(kind(**(SIZES | settings)).double())


# ---- equal to PyTorch ---------------------------------------------------------------------------


@each_layer
@every_setting
def test_the_layer_equals_torch(kind, norm_first, activation, bias, record_equality):
    theirs = torch_layer(kind, norm_first=norm_first, activation=activation, bias=bias)
    largest = compare_twin(theirs, LAYERS[kind][1])
    setting = setting_name(activation, bias)
    record_equality(module=kind.__name__, mask=setting, largest=largest)


@norm_orders
@pytest.mark.parametrize("mask", SELF_MASKS)
def test_the_masked_encoder_layer_equals_torch(mask, norm_first, record_equality):
    case = mask_case(mask, batch=3, heads=2, query=5, key=5)
    masks = (
        {"attn_mask": case.ours},
        {"src_mask": case.attn_mask, "src_key_padding_mask": case.key_padding_mask},
    )
    theirs = torch_layer(TransformerEncoderLayer, norm_first=norm_first)
    largest = compare_twin(theirs, [draw(3, 5, 8)], masks, is_padding=case.key_padding_mask)
    record_equality(module="TransformerEncoderLayer", mask=mask, largest=largest)


@norm_orders
@each_decoder_mask
def test_the_masked_decoder_layer_equals_torch(mask, tokens, memory, norm_first, record_equality):
    theirs = torch_layer(TransformerDecoderLayer, norm_first=norm_first)
    largest = compare_twin(theirs, DECODER_INPUTS, decoder_masks(tokens, memory))
    record_equality(module="TransformerDecoderLayer", mask=mask, largest=largest)


def test_the_norms_are_those_of_torch_unless_told_otherwise():
    for kind, (torch_kind, _) in LAYERS.items():
        for layer, eps in [
            (kind(**SIZES), torch_kind(8, 2).norm1.eps),
            (kind(layer_norm_eps=0.25, **SIZES), 0.25),
        ]:
            norms = [part.eps for part in layer.modules() if isinstance(part, nn.LayerNorm)]
            assert norms == [eps] * (2 if kind is TransformerEncoderLayer else 3)


@each_layer
def test_without_bias_there_is_no_bias(kind):
    names = [name for name, _ in kind(bias=False, **SIZES).named_parameters()]
    assert not [name for name in names if name.endswith("bias")]


# ---- the formulas -------------------------------------------------------------------------------


@norm_orders
def test_the_encoder_layer_is_the_formula(norm_first):
    layer, x = make_layer(TransformerEncoderLayer, norm_first=norm_first), draw(2, 3, 8)
    if norm_first:
        h = x + layer.self_attn(layer.norm1(x))[0]
        expected = h + layer.feed_forward(layer.norm2(h))
    else:
        h = layer.norm1(x + layer.self_attn(x)[0])
        expected = layer.norm2(h + layer.feed_forward(h))
    torch.testing.assert_close(layer(x), expected, **TOLERANCE)


@norm_orders
def test_the_decoder_layer_is_the_formula(norm_first):
    layer, x, m = make_layer(norm_first=norm_first), draw(2, 3, 8), draw(2, 4, 8, seed=1)
    if norm_first:
        h = x + layer.self_attn(layer.norm1(x))[0]
        c = h + layer.cross_attn(layer.norm2(h), m)[0]
        expected = c + layer.feed_forward(layer.norm3(c))
    else:
        h = layer.norm1(x + layer.self_attn(x)[0])
        c = layer.norm2(h + layer.cross_attn(h, m)[0])
        expected = layer.norm3(c + layer.feed_forward(c))
    torch.testing.assert_close(layer(x, m), expected, **TOLERANCE)


@norm_orders
def test_without_cross_attention_the_decoder_layer_is_a_causal_encoder_layer(norm_first):
    encoder = make_layer(TransformerEncoderLayer, norm_first=norm_first)
    decoder = make_layer(norm_first=norm_first, cross_attention=False)
    state = encoder.state_dict()
    decoder.load_state_dict({name.replace("norm2", "norm3"): state[name] for name in state})
    x = draw(2, 5, 8)
    expected = encoder(x, causal_mask(5))
    torch.testing.assert_close(decoder(x, is_causal=True), expected, **TOLERANCE)
    torch.testing.assert_close(decoder(x, attn_mask=causal_mask(5)), expected, **TOLERANCE)


# ---- rows that may attend to nothing ------------------------------------------------------------


@norm_orders
@float_types
def test_a_row_that_may_attend_to_nothing_stays_finite(dtype, norm_first):
    layer = TransformerDecoderLayer(norm_first=norm_first, **SIZES).to(dtype)
    x, memory = (draw(*shape).to(dtype).requires_grad_() for shape in [(2, 4, 8), (2, 3, 8)])
    attn_mask = causal_mask(4)
    attn_mask[2] = False
    memory_mask = padding_mask(torch.tensor([3, 0]), 3)
    masks = {"attn_mask": attn_mask, "memory_mask": memory_mask}
    with record_attention(layer) as maps:
        output = layer(x, memory, **masks)
    assert (maps["self_attn"][:, :, 2] == 0).all()
    assert (maps["cross_attn"][1] == 0).all()
    for result in (output, layer(x, memory, **masks)):
        layer.zero_grad()
        result.float().square().sum().backward()
        assert result.isfinite().all()
        assert (memory.grad[1] == 0).all()
        for tensor in (x, memory, *layer.parameters()):
            assert tensor.grad.isfinite().all()


# ---- dropout ------------------------------------------------------------------------------------


class Spy(nn.Module):
    """Take the place of a dropout, and note what it is asked to drop."""

    def __init__(self, sites: list[str], name: str) -> None:
        super().__init__()
        self.sites, self.name = sites, name

    def forward(self, x):
        self.sites.append(self.name)
        return x


@each_layer
def test_dropout_acts_in_attention_inside_the_feed_forward_and_on_every_branch(kind):
    layer, sites = kind(dropout=0.5, **SIZES).double(), []
    assert layer.self_attn.dropout == layer.feed_forward.dropout.p == layer.dropout.p == 0.5
    layer.dropout, layer.feed_forward.dropout = Spy(sites, "branch"), Spy(sites, "inside")
    layer(*LAYERS[kind][1])
    if kind is TransformerEncoderLayer:
        assert sites == ["branch", "inside", "branch"]
    else:
        assert sites == ["branch", "branch", "inside", "branch"]
        assert layer.cross_attn.dropout == 0.5


@each_layer
@norm_orders
def test_dropout_changes_training_and_not_evaluation(norm_first, kind):
    layer = kind(dropout=0.5, norm_first=norm_first, **SIZES).double()
    quiet = kind(norm_first=norm_first, **SIZES).double()
    quiet.load_state_dict(layer.state_dict())
    inputs = LAYERS[kind][1]
    assert not torch.allclose(layer(*inputs), quiet(*inputs))
    torch.testing.assert_close(layer.eval()(*inputs), quiet(*inputs), **TOLERANCE)


# ---- wrong input --------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_shapes")
@each_layer
@pytest.mark.parametrize("name", SIZES)
@wrong_sizes
def test_wrong_sizes_are_refused(name, size, error, says, kind):
    with pytest.raises(error, match=f"{name} {says}"):
        kind(**(SIZES | {name: size}))


@pytest.mark.usefixtures("unchecked_shapes")
@each_layer
@wrong_settings
def test_wrong_settings_are_refused(wrong, says, kind):
    with pytest.raises(ValueError, match=says):
        kind(**(SIZES | wrong))


@pytest.mark.usefixtures("unchecked_shapes")
@norm_orders
@pytest.mark.parametrize("shape", [(5, 8), (3, 5, 7), (1, 3, 5, 8)])
def test_tokens_and_memories_of_the_wrong_shape_are_refused(shape, norm_first):
    encoder = TransformerEncoderLayer(norm_first=norm_first, **SIZES)
    decoder = TransformerDecoderLayer(norm_first=norm_first, **SIZES)
    wrong, right = torch.zeros(shape), torch.zeros(3, 5, 8)
    with pytest.raises(ValueError, match=r"x must have shape \(batch, length, 8\), got"):
        encoder(wrong)
    with pytest.raises(ValueError, match=r"x must have shape \(batch, length, 8\), got"):
        decoder(wrong, right)
    with pytest.raises(ValueError, match=r"memory must have shape \(batch, length, 8\), got"):
        decoder(right, wrong)


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_mask_that_does_not_fit_is_refused():
    encoder, decoder = TransformerEncoderLayer(**SIZES), TransformerDecoderLayer(**SIZES)
    x, memory = torch.zeros(2, 5, 8), torch.zeros(2, 3, 8)
    floats, misfit = torch.zeros(5, 5), torch.ones(4, 5).bool()
    for call, inputs, name in [
        (encoder, [x], "attn_mask"),
        (decoder, [x, memory], "attn_mask"),
        (decoder, [x, memory], "memory_mask"),
    ]:
        with pytest.raises(TypeError, match=r"mask must be boolean.*torch\.float32"):
            call(*inputs, **{name: floats})
        with pytest.raises(ValueError, match=r"mask must broadcast.*got \(4, 5\)"):
            call(*inputs, **{name: misfit})


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_memory_that_is_missing_or_not_wanted_is_refused():
    layer, x = TransformerDecoderLayer(**SIZES), torch.zeros(2, 5, 8)
    with pytest.raises(ValueError, match="memory must be given: the decoder has cross-att"):
        layer(x)
    alone = TransformerDecoderLayer(cross_attention=False, **SIZES)
    unwanted = {"memory": x}, {"memory_mask": causal_mask(5)}
    for arguments in unwanted:
        with pytest.raises(ValueError, match="memory must be left out: the decoder has no cross"):
            alone(x, **arguments)
