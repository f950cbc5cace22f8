"""A twin has the module's sizes, a copy of its weights, its type, its device and its mode."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from reference import TOLERANCE, randomized
from torch import nn

from tutorial_lib.attention import MultiheadAttention
from tutorial_lib.interop import from_torch
from tutorial_lib.layers import TransformerEncoderLayer
from tutorial_lib.transformer import TransformerEncoder


def layer(**settings: Any) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(8, 2, 12, **({"batch_first": True} | settings))


def stack(inner=None, **settings) -> nn.TransformerEncoder:
    inner = layer() if inner is None else inner
    return nn.TransformerEncoder(inner, 2, enable_nested_tensor=False, **settings)


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
    "encoder": (stack, TransformerEncoder),
    "encoder with a norm": (lambda: stack(norm=nn.LayerNorm(8)), TransformerEncoder),
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


@pytest.mark.parametrize("activation", [F.relu, F.gelu, nn.ReLU(), nn.GELU(), "relu", "gelu"])
def test_both_ways_to_name_an_activation_are_understood(activation):
    theirs = randomized(layer(activation=activation, dropout=0.0).double())
    x = torch.randn(2, 3, 8, dtype=torch.float64)
    torch.testing.assert_close(from_torch(theirs)(x), theirs(x), **TOLERANCE)


def test_the_twin_of_a_module_that_is_not_batch_first_is_batch_first():
    theirs = randomized(layer(batch_first=False, dropout=0.0).double())
    x = torch.randn(2, 3, 8, dtype=torch.float64)
    expected = theirs(x.transpose(0, 1)).transpose(0, 1)
    torch.testing.assert_close(from_torch(theirs)(x), expected, **TOLERANCE)


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
        (
            lambda: layer(activation=nn.GELU(approximate="tanh")),
            r"module\.activation must be relu or gelu, got GELU\(approximate='tanh'\)",
        ),
        (lambda: stack(norm=nn.RMSNorm(8)), r"module\.norm must be exactly nn\.LayerNorm, got"),
    ],
)
def test_an_option_that_ours_lack_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        from_torch(make())


def _altered(change):
    theirs = stack()
    change(theirs)
    return theirs


class _OwnLayer(nn.TransformerEncoderLayer):
    pass


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda m: setattr(m, "layers", nn.ModuleList([nn.Linear(8, 8)])),
            r"module\.layers\[0\] must be exactly nn\.TransformerEncoderLayer, got .*Linear",
        ),
        (
            lambda m: setattr(m, "layers", nn.ModuleList()),
            r"module\.layers must hold at least one layer, got none",
        ),
        (
            lambda m: setattr(m.layers[1], "norm_first", not m.layers[0].norm_first),
            r"module\.layers\[1\] must have norm_first=",
        ),
        (
            lambda m: setattr(m.layers[1], "activation", F.gelu),
            r"module\.layers\[1\] must have activation=relu like module\.layers\[0\], got gelu",
        ),
        (
            lambda m: setattr(m.layers[0].norm2, "eps", 0.1),
            r"module\.layers\[0\]\.norm2 must have eps=1e-05 like norm1, got 0\.1",
        ),
        (
            lambda m: setattr(m.layers[0].dropout1, "p", 0.7),
            r"module\.layers\[0\]\.dropout1 must drop with p=.* like dropout, got 0\.7",
        ),
        (
            lambda m: m.layers.__setitem__(1, _OwnLayer(8, 2, 16)),
            r"module\.layers\[1\] must be exactly nn\.TransformerEncoderLayer, got .*_OwnLayer",
        ),
        (
            lambda m: setattr(m, "norm", nn.LayerNorm(8, bias=False)),
            r"module\.norm must have bias=True like the layers, got False",
        ),
    ],
)
def test_a_stack_that_ours_would_not_repeat_is_refused(change, says):
    with pytest.raises(ValueError, match=says):
        from_torch(_altered(change))
