"""Our twins of PyTorch's modules, with their weights."""

from __future__ import annotations

from functools import singledispatch
from typing import TypeVar

from torch import Tensor, nn

from tutorial_lib.attention import MultiheadAttention
from tutorial_lib.layers import ACTIVATIONS, Activation, TransformerEncoderLayer
from tutorial_lib.transformer import TransformerEncoder

Twin = TypeVar("Twin", bound=nn.Module)


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
        ValueError: If the module uses an option that our twin does not have.

    Used in :doc:`/notebooks/12_multi_head_attention` and :doc:`/notebooks/21_encoder`.
    """
    known = ", ".join(kind.__name__ for kind in from_torch.registry if kind is not object)
    raise TypeError(f"module must be one of {known}; got {type(module).__name__}")


@from_torch.register
def _(module: nn.MultiheadAttention) -> MultiheadAttention:
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
    twin = TransformerEncoderLayer(**_layer_settings(module))
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
    first = module.layers[0]
    if not isinstance(first, nn.TransformerEncoderLayer):
        raise ValueError(f"module.layers must be nn.TransformerEncoderLayer, got {type(first)}")
    if module.norm is not None and not isinstance(module.norm, nn.LayerNorm):
        raise ValueError(f"module.norm must be nn.LayerNorm or None, got {type(module.norm)}")
    twin = TransformerEncoder(
        num_layers=len(module.layers),
        final_norm=module.norm is not None,
        **_layer_settings(first),
    )
    state = {}
    for index, layer in enumerate(module.layers):
        state |= from_torch(layer).state_dict(prefix=f"layers.{index}.")
    if twin.norm is not None and module.norm is not None:
        twin.norm.eps = module.norm.eps
        state |= module.norm.state_dict(prefix="norm.")
    return _filled(twin, state, like=module)


def _layer_settings(layer: nn.TransformerEncoderLayer) -> dict:
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
