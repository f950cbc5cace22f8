"""A twin has the module's sizes, a copy of its weights, its type, its device and its mode."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from reference import TOLERANCE, assert_all_close, draw, randomized, results, torch_transformer
from torch import nn

from tutorial_lib.attention import MultiheadAttention
from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.encoder import TransformerEncoder
from tutorial_lib.interop import from_torch
from tutorial_lib.layers import TransformerDecoderLayer, TransformerEncoderLayer
from tutorial_lib.transformer import Transformer


def layer(kind=nn.TransformerEncoderLayer, **settings: Any) -> nn.Module:
    return kind(8, 2, 12, **({"batch_first": True} | settings))


def decoder_layer(**settings: Any) -> nn.Module:
    return layer(nn.TransformerDecoderLayer, **settings)


def stack(inner=None, **settings) -> nn.TransformerEncoder:
    inner = layer() if inner is None else inner
    return nn.TransformerEncoder(inner, 2, enable_nested_tensor=False, **settings)


def decoder(inner=None, **settings) -> nn.TransformerDecoder:
    return nn.TransformerDecoder(decoder_layer() if inner is None else inner, 2, **settings)


MODULES = {
    "attention": (lambda: nn.MultiheadAttention(8, 2), MultiheadAttention),
    "attention, widths of its own": (
        lambda: nn.MultiheadAttention(8, 2, kdim=5, vdim=6, bias=False),
        MultiheadAttention,
    ),
    "layer": (layer, TransformerEncoderLayer),
    "pre-norm layer without bias": (
        lambda: layer(norm_first=True, bias=False),
        TransformerEncoderLayer,
    ),
    "decoder layer": (decoder_layer, TransformerDecoderLayer),
    "pre-norm decoder layer without bias": (
        lambda: decoder_layer(norm_first=True, bias=False),
        TransformerDecoderLayer,
    ),
    "encoder": (stack, TransformerEncoder),
    "encoder with a norm": (lambda: stack(norm=nn.LayerNorm(8)), TransformerEncoder),
    "decoder": (decoder, TransformerDecoder),
    "decoder with a norm": (lambda: decoder(norm=nn.LayerNorm(8)), TransformerDecoder),
    "Transformer": (torch_transformer, Transformer),
    "pre-norm Transformer without bias": (
        lambda: torch_transformer(norm_first=True, bias=False),
        Transformer,
    ),
}
each_module = pytest.mark.parametrize(("make", "kind"), MODULES.values(), ids=MODULES)


@each_module
def test_the_twin_is_ours_and_has_as_many_parameters(make, kind):
    module = make()
    twin = from_torch(module)
    assert type(twin) is kind
    count = sum(parameter.numel() for parameter in module.parameters())
    assert sum(parameter.numel() for parameter in twin.parameters()) == count


@each_module
def test_the_twin_has_the_float_type_the_device_and_the_mode(make, kind):
    assert from_torch(make()).training
    module = make().eval().to(torch.float16)
    twin = from_torch(module)
    assert not any(part.training for part in twin.modules())
    assert {parameter.dtype for parameter in twin.parameters()} == {torch.float16}
    twin = from_torch(make().to("meta"))
    assert {parameter.device.type for parameter in twin.parameters()} == {"meta"}


@each_module
def test_the_twin_has_copies_that_are_trained(make, kind):
    module = make()
    twin = from_torch(module)
    before = [parameter.detach().clone() for parameter in module.parameters()]
    storages = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    with torch.no_grad():
        for parameter in twin.parameters():
            assert parameter.requires_grad
            assert parameter.untyped_storage().data_ptr() not in storages
            parameter.add_(1)
    for parameter, old in zip(module.parameters(), before, strict=True):
        assert parameter.equal(old)


def test_the_sizes_and_settings_are_taken_over():
    twin: Any = from_torch(nn.MultiheadAttention(8, 4, dropout=0.25, kdim=5, vdim=6, bias=False))
    assert (twin.embed_dim, twin.num_heads, twin.dropout) == (8, 4, 0.25)
    assert (twin.k_proj.in_features, twin.v_proj.in_features) == (5, 6)
    assert twin.q_proj.bias is None

    twin = from_torch(layer(dropout=0.25, norm_first=True, layer_norm_eps=0.5, activation="gelu"))
    assert twin.self_attn.num_heads == 2
    assert twin.self_attn.dropout == twin.feed_forward.dropout.p == twin.dropout.p == 0.25
    assert twin.norm_first
    assert twin.norm1.eps == twin.norm2.eps == 0.5
    assert twin.feed_forward.activation == "gelu"

    twin = from_torch(stack(layer(layer_norm_eps=0.5), norm=nn.LayerNorm(8, eps=0.125)))
    assert len(twin.layers) == 2
    assert [inner.norm1.eps for inner in twin.layers] == [0.5, 0.5]
    assert twin.norm.eps == 0.125
    assert from_torch(stack(layer(norm_first=True))).norm is None


@pytest.mark.parametrize("make", [stack, decoder], ids=["encoder", "decoder"])
def test_every_layer_of_a_stack_takes_the_settings_over(make):
    inner = layer if make is stack else decoder_layer
    settings = {"dropout": 0.25, "norm_first": True, "layer_norm_eps": 0.5, "activation": "gelu"}
    twin: Any = from_torch(make(inner(**settings), norm=nn.LayerNorm(8, eps=0.125)))
    assert (len(twin.layers), twin.norm.eps) == (2, 0.125)
    for ours in twin.layers:
        attentions = [part for part in ours.modules() if isinstance(part, MultiheadAttention)]
        assert len(attentions) == (1 if make is stack else 2)
        assert [part.num_heads for part in attentions] == [2] * len(attentions)
        drops = [ours.dropout.p, ours.feed_forward.dropout.p, *(a.dropout for a in attentions)]
        assert drops == [0.25] * len(drops)
        norms = [part.eps for part in ours.modules() if isinstance(part, nn.LayerNorm)]
        assert norms == [0.5] * (len(attentions) + 1)
        assert ours.norm_first
        assert ours.feed_forward.activation == "gelu"


def test_the_stacks_of_a_transformer_may_differ_and_keep_their_settings():
    settings = {"activation": "gelu", "norm_first": True, "dropout": 0.0, "batch_first": True}
    custom = decoder(nn.TransformerDecoderLayer(8, 4, 7, **settings))
    theirs = randomized(torch_transformer(custom_decoder=custom).double())
    twin: Any = from_torch(theirs)
    assert (len(twin.encoder.layers), len(twin.decoder.layers)) == (2, 2)
    assert twin.encoder.norm.eps == 1e-2
    assert twin.decoder.norm is None
    inputs = [draw(2, 4, 8), draw(2, 3, 8, seed=1)]
    assert_all_close(results(twin, inputs), results(theirs, inputs))


@pytest.mark.parametrize(
    "activation",
    [F.relu, F.gelu, nn.ReLU(), nn.GELU(), nn.GELU(approximate="tanh"), "relu", "gelu"],
)
def test_both_ways_to_name_an_activation_are_understood(activation):
    theirs = randomized(layer(activation=activation, dropout=0.0).double())
    x = torch.randn(2, 3, 8, dtype=torch.float64)
    torch.testing.assert_close(from_torch(theirs)(x), theirs(x), **TOLERANCE)


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (layer, 1),
        (lambda **settings: stack(layer(**settings)), 1),
        (decoder_layer, 2),
        (lambda **settings: decoder(decoder_layer(**settings)), 2),
        (torch_transformer, 2),
    ],
    ids=["layer", "encoder", "decoder layer", "decoder", "Transformer"],
)
def test_the_twin_of_a_module_that_is_not_batch_first_is_batch_first(make, inputs):
    theirs = randomized(make(batch_first=False, dropout=0.0).double())
    tensors = [draw(2, 3, 8), draw(2, 4, 8, seed=1)][:inputs]
    expected = theirs(*(x.transpose(0, 1) for x in tensors)).transpose(0, 1)
    torch.testing.assert_close(from_torch(theirs)(*tensors), expected, **TOLERANCE)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("module", [nn.Linear(2, 2), None, "encoder"])
def test_what_has_no_twin_is_refused(module):
    says = f"module must be one of .*MultiheadAttention.*; got {type(module).__name__}"
    with pytest.raises(TypeError, match=says):
        from_torch(module)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.MultiheadAttention(8, 2, add_bias_kv=True), "module must have add_bias_kv="),
        (lambda: nn.MultiheadAttention(8, 2, add_zero_attn=True), "add_zero_attn=False"),
        (lambda: layer(activation=F.silu), r"module\.activation must be relu or gelu, got <func"),
        (lambda: decoder_layer(activation=F.silu), r"activation must be relu or gelu, got <func"),
    ],
)
def test_an_option_that_ours_lack_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        from_torch(make())


def _subclassed(module):
    module.__class__ = type("Own", (type(module),), {})


def _replaced(module, **parts):
    for name, part in parts.items():
        setattr(module, name, part)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda m: _replaced(m, layers=nn.ModuleList([nn.Linear(8, 8)])),
            r"module\.layers\[0\] must be exactly nn\.Transformer\w+Layer, got .*Linear",
        ),
        (
            lambda m: _replaced(m, layers=nn.ModuleList()),
            r"module\.layers must hold at least one layer, got none",
        ),
        (
            lambda m: _replaced(m.layers[1], norm_first=not m.layers[0].norm_first),
            r"module\.layers\[1\] must have norm_first=",
        ),
        (
            lambda m: _replaced(m.layers[1], activation=F.gelu),
            r"module\.layers\[1\] must have activation=relu like module\.layers\[0\], got gelu",
        ),
        (
            lambda m: _replaced(m.layers[0].norm2, eps=0.1),
            r"module\.layers\[0\]\.norm2 must have eps=1e-05 like the layer's .*, got 0\.1",
        ),
        (
            lambda m: _replaced(m.layers[0].dropout1, p=0.7),
            r"module\.layers\[0\]\.dropout1 must have p=.* like the layer's .*, got 0\.7",
        ),
        (
            lambda m: _replaced(m.layers[1].self_attn, dropout=0.7),
            r"module\.layers\[1\]\.self_attn must have dropout=.* like the layer's .*, got 0\.7",
        ),
        (
            lambda m: _replaced(m.layers[1], norm1=nn.RMSNorm(8)),
            r"module\.layers\[1\]\.norm1 must be exactly nn\.LayerNorm, got .*RMSNorm",
        ),
        (
            lambda m: _replaced(m.layers[0], linear1=nn.Identity()),
            r"module\.layers\[0\]\.linear1 must be exactly nn\.Linear, got .*Identity",
        ),
        (
            lambda m: _subclassed(m.layers[1]),
            r"module\.layers\[1\] must be exactly nn\.Transformer\w+Layer, got .*Own",
        ),
        (
            lambda m: _replaced(m, norm=nn.LayerNorm(8, bias=False)),
            r"module\.norm must have bias=True like the layers, got False",
        ),
        (
            lambda m: _replaced(m, norm=nn.RMSNorm(8)),
            r"module\.norm must be exactly nn\.LayerNorm, got",
        ),
    ],
)
@pytest.mark.parametrize("make", [stack, decoder], ids=["encoder", "decoder"])
def test_a_stack_that_ours_would_not_repeat_is_refused(make, change, says):
    module = make()
    change(module)
    with pytest.raises(ValueError, match=says):
        from_torch(module)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda m: _replaced(m.multihead_attn, dropout=0.7),
            r"module\.multihead_attn must have dropout=0\.1 like the layer's .*, got 0\.7",
        ),
        (
            lambda m: _replaced(m.dropout3, p=0.7),
            r"module\.dropout3 must have p=0\.1 like the layer's .*, got 0\.7",
        ),
        (
            lambda m: _replaced(m, dropout2=nn.Identity()),
            r"module\.dropout2 must be exactly nn\.Dropout, got .*Identity",
        ),
        (
            lambda m: _replaced(m.norm3, eps=0.1),
            r"module\.norm3 must have eps=1e-05 like the layer's .*, got 0\.1",
        ),
        (
            lambda m: _replaced(m, multihead_attn=nn.MultiheadAttention(8, 4, dropout=0.1)),
            r"module\.multihead_attn must have num_heads=2 like the layer's .*, got 4",
        ),
        (
            lambda m: _replaced(m, multihead_attn=nn.MultiheadAttention(8, 2, 0.1, kdim=5)),
            r"module\.multihead_attn must have kdim=8 like the layer's .*, got 5",
        ),
        (
            lambda m: _replaced(m, multihead_attn=nn.MultiheadAttention(8, 2, add_zero_attn=True)),
            r"module\.multihead_attn must have add_bias_kv=False and add_zero_attn=False",
        ),
        (
            lambda m: _replaced(m, linear2=nn.Linear(12, 8, bias=False)),
            r"module\.linear2 must have bias=True like linear1",
        ),
        (
            lambda m: _replaced(m, norm2=nn.LayerNorm(8, elementwise_affine=False)),
            r"module\.norm2 must have elementwise_affine=True like the layer's .*, got F",
        ),
        (
            lambda m: _subclassed(m.multihead_attn),
            r"module\.multihead_attn must be exactly nn\.MultiheadAttention, got .*Own",
        ),
        (
            lambda m: _subclassed(m),
            r"module must be exactly nn\.TransformerDecoderLayer, got .*Own",
        ),
    ],
)
def test_a_decoder_layer_that_ours_would_not_repeat_is_refused(change, says):
    module = decoder_layer()
    change(module)
    with pytest.raises(ValueError, match=says):
        from_torch(module)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda m: _replaced(m, encoder=nn.Identity()),
            r"module\.encoder must be exactly nn\.TransformerEncoder, got .*Identity",
        ),
        (
            lambda m: _replaced(m, decoder=stack()),
            r"module\.decoder must be exactly nn\.TransformerDecoder, got .*TransformerEncoder",
        ),
        (
            lambda m: _subclassed(m.encoder),
            r"module\.encoder must be exactly nn\.TransformerEncoder, got .*Own",
        ),
        (
            lambda m: _subclassed(m.decoder.layers[2]),
            r"module\.decoder\.layers\[2\] must be exactly nn\.TransformerDecoderLayer, got .*Own",
        ),
        (
            lambda m: _replaced(m.decoder.layers[1].norm3, eps=0.5),
            r"module\.decoder\.layers\[1\]\.norm3 must have eps=0\.01 like .*, got 0\.5",
        ),
        (
            lambda m: _replaced(m.encoder, norm=nn.RMSNorm(8)),
            r"module\.encoder\.norm must be exactly nn\.LayerNorm, got .*RMSNorm",
        ),
        (lambda m: _subclassed(m), r"module must be exactly nn\.Transformer, got .*Own"),
    ],
)
def test_a_transformer_that_ours_would_not_repeat_is_refused(change, says):
    module = torch_transformer()
    change(module)
    with pytest.raises(ValueError, match=says):
        from_torch(module)


def test_a_stack_of_the_other_kind_of_layer_is_refused():
    theirs = nn.TransformerDecoder(layer(), 2)
    with pytest.raises(ValueError, match=r"module\.layers\[0\] must be exactly nn\.TransformerDec"):
        from_torch(theirs)


def test_a_transformer_whose_stacks_differ_in_width_is_refused():
    narrow = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 12, batch_first=True), 1)
    theirs = nn.Transformer(8, 2, 1, 1, 12, batch_first=True, custom_decoder=narrow)
    with pytest.raises(ValueError, match=r"module\.decoder must have embed_dim=8 like module\.enc"):
        from_torch(theirs)


def test_each_stack_of_a_transformer_keeps_its_mode():
    theirs = nn.Transformer(8, 2, 1, 1, 12, batch_first=True)
    theirs.encoder.eval()
    twin = from_torch(theirs)
    assert (twin.training, twin.encoder.training, twin.decoder.training) == (True, False, True)


@pytest.mark.parametrize("gradients", [torch.enable_grad, torch.no_grad])
def test_what_is_frozen_and_what_evaluates_stays_so(gradients):
    theirs = nn.Transformer(8, 2, 2, 2, 12, batch_first=True)
    theirs.encoder.layers[0].eval()
    theirs.decoder.layers[1].multihead_attn.eval()
    theirs.encoder.layers[1].linear1.weight.requires_grad_(False)
    theirs.decoder.layers[0].self_attn.in_proj_bias.requires_grad_(False)
    theirs.encoder.norm.requires_grad_(False)
    with gradients():
        twin = from_torch(theirs)
    frozen = {name for name, weight in twin.named_parameters() if not weight.requires_grad}
    assert frozen == {
        "encoder.layers.1.feed_forward.linear1.weight",
        *(f"decoder.layers.0.self_attn.{name}_proj.bias" for name in "qkv"),
        *("encoder.norm.weight", "encoder.norm.bias"),
    }
    evaluates = twin.encoder.layers[0], twin.decoder.layers[1].cross_attn
    quiet = {part for whole in evaluates for part in whole.modules()}
    assert {part for part in twin.modules() if not part.training} == quiet


def test_branches_of_which_one_evaluates_are_refused():
    theirs = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
    theirs.dropout2.eval()
    with pytest.raises(ValueError, match="dropout2 must have training=True like the layer's other"):
        from_torch(theirs)
