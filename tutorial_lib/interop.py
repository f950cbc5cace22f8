"""Our twins of PyTorch's modules, with their weights."""

from __future__ import annotations

from functools import singledispatch
from typing import Any, TypeVar

from torch import Tensor, nn

from tutorial_lib.attention import MultiheadAttention
from tutorial_lib.layers import ACTIVATIONS, Activation, TransformerEncoderLayer
from tutorial_lib.transformer import TransformerEncoder

Twin = TypeVar("Twin", bound=nn.Module)

LAYER_PARTS: dict[type[nn.Module], tuple[str, ...]] = {
    nn.MultiheadAttention: ("self_attn",),
    nn.Linear: ("linear1", "linear2"),
    nn.LayerNorm: ("norm1", "norm2"),
    nn.Dropout: ("dropout", "dropout1", "dropout2"),
}


@singledispatch
def from_torch(module: nn.Module) -> nn.Module:
    """Build our twin of a ``torch.nn`` module: same sizes, a copy of its weights.

    The twin is batch first whatever ``batch_first`` says, and has the module's float type, device
    and training mode.

    Args:
        module: An ``nn.MultiheadAttention``, ``nn.TransformerEncoderLayer`` or
            ``nn.TransformerEncoder``.

    Returns:
        Our module.

    Raises:
        TypeError: If we have no twin of this module.
        ValueError: If the module uses an option that our twin does not have, is of a subclass, or
            has layers or parts whose settings differ from each other's.

    Used in :doc:`/notebooks/12_multi_head_attention` and :doc:`/notebooks/21_encoder`.
    """
    known = ", ".join(kind.__name__ for kind in from_torch.registry if kind is not object)
    raise TypeError(f"module must be one of {known}; got {type(module).__name__}")


@from_torch.register
def _(module: nn.MultiheadAttention) -> MultiheadAttention:
    _require_exactly(nn.MultiheadAttention, module=module)
    if module.bias_k is not None or module.add_zero_attn:
        raise ValueError("module must have add_bias_kv=False and add_zero_attn=False")
    twin = MultiheadAttention(
        module.embed_dim,
        module.num_heads,
        kdim=module.kdim,
        vdim=module.vdim,
        bias=module.in_proj_bias is not None,
        dropout=module.dropout,
    )
    if module.in_proj_weight is not None:
        weights = module.in_proj_weight.chunk(3)
    else:  # PyTorch keeps three matrices where the widths differ
        weights = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
    biases = (None,) * 3 if module.in_proj_bias is None else module.in_proj_bias.chunk(3)
    state = module.out_proj.state_dict(prefix="out_proj.")
    for name, weight, bias in zip(("q_proj", "k_proj", "v_proj"), weights, biases, strict=True):
        state[f"{name}.weight"] = weight
        if bias is not None:
            state[f"{name}.bias"] = bias
    return _filled(twin, state, like=module)


@from_torch.register
def _(module: nn.TransformerEncoderLayer) -> TransformerEncoderLayer:
    twin = TransformerEncoderLayer(**_layer_settings(module, name="module"))
    state = from_torch(module.self_attn).state_dict(prefix="self_attn.")
    for ours, theirs in {
        "feed_forward.linear1.": module.linear1,
        "feed_forward.linear2.": module.linear2,
        "norm1.": module.norm1,
        "norm2.": module.norm2,
    }.items():
        state |= theirs.state_dict(prefix=ours)
    return _filled(twin, state, like=module)


@from_torch.register
def _(module: nn.TransformerEncoder) -> TransformerEncoder:
    _require_exactly(nn.TransformerEncoder, module=module)
    settings = [
        _layer_settings(layer, name=f"module.layers[{index}]")
        for index, layer in enumerate(module.layers)
    ]
    if not settings:
        raise ValueError("module.layers must hold at least one layer, got none")
    for index, other in enumerate(settings):
        for name, value in settings[0].items():
            if other[name] != value:
                raise ValueError(
                    f"module.layers[{index}] must have {name}={value} like module.layers[0], "
                    f"got {other[name]}"
                )
    if module.norm is not None:
        _require_exactly(nn.LayerNorm, **{"module.norm": module.norm})
        bias = module.norm.bias is not None
        if bias != settings[0]["bias"]:
            raise ValueError(
                f"module.norm must have bias={settings[0]['bias']} like the layers, got {bias}"
            )
    twin = TransformerEncoder(
        num_layers=len(module.layers),
        final_norm=module.norm is not None,
        **settings[0],
    )
    state = {}
    for index, layer in enumerate(module.layers):
        state |= from_torch(layer).state_dict(prefix=f"layers.{index}.")
    if twin.norm is not None and isinstance(module.norm, nn.LayerNorm):
        twin.norm.eps = module.norm.eps
        state |= module.norm.state_dict(prefix="norm.")
    return _filled(twin, state, like=module)


def _layer_settings(layer: nn.Module, *, name: str) -> dict[str, Any]:
    _require_exactly(nn.TransformerEncoderLayer, **{name: layer})
    assert isinstance(layer, nn.TransformerEncoderLayer)  # for the type checker
    for kind, parts in LAYER_PARTS.items():
        _require_exactly(kind, **{f"{name}.{part}": getattr(layer, part) for part in parts})
    if layer.norm2.eps != layer.norm1.eps:
        raise ValueError(
            f"{name}.norm2 must have eps={layer.norm1.eps} like norm1, got {layer.norm2.eps}"
        )
    for part in ("dropout1", "dropout2", "self_attn"):
        dropout = getattr(layer, part)
        dropout = dropout.p if isinstance(dropout, nn.Dropout) else dropout.dropout
        if dropout != layer.dropout.p:
            raise ValueError(
                f"{name}.{part} must drop with p={layer.dropout.p} like dropout, got {dropout}"
            )
    return {
        "embed_dim": layer.self_attn.embed_dim,
        "num_heads": layer.self_attn.num_heads,
        "dim_feedforward": layer.linear1.out_features,
        "dropout": layer.dropout.p,
        "norm_first": layer.norm_first,
        "activation": _activation_name(layer.activation),
        "layer_norm_eps": layer.norm1.eps,
        "bias": layer.linear1.bias is not None,
    }


def _require_exactly(kind: type[nn.Module], **modules: nn.Module) -> None:
    for name, module in modules.items():  # a subclass may compute something else
        if type(module) is not kind:
            raise ValueError(f"{name} must be exactly nn.{kind.__name__}, got {type(module)}")


def _activation_name(activation: object) -> Activation:
    for name, function in ACTIVATIONS.items():
        if activation is function:
            return name
    if isinstance(activation, nn.ReLU):
        return "relu"
    if isinstance(activation, nn.GELU) and activation.approximate == "none":
        return "gelu"
    raise ValueError(f"module.activation must be relu or gelu, got {activation!r}")


def _filled(twin: Twin, state: dict[str, Tensor], *, like: nn.Module) -> Twin:
    weight = next(like.parameters())
    twin.to(device=weight.device, dtype=weight.dtype).load_state_dict(state)
    return twin.train(like.training)
