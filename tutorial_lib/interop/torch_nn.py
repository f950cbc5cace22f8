"""Our twins of PyTorch's modules, with their weights."""

from __future__ import annotations

from functools import singledispatch
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from tutorial_lib.attention import MultiheadAttention
from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.encoder import TransformerEncoder
from tutorial_lib.feed_forward import ACTIVATIONS, Activation
from tutorial_lib.interop.filling import filled
from tutorial_lib.layers import TransformerDecoderLayer, TransformerEncoderLayer
from tutorial_lib.transformer import Transformer

Stack = TypeVar("Stack", TransformerEncoder, TransformerDecoder)

# Where each part of PyTorch's layers stands in ours.
ENCODER_LAYER = {
    "self_attn": "self_attn",
    "linear1": "feed_forward.linear1",
    "linear2": "feed_forward.linear2",
    "norm1": "norm1",
    "norm2": "norm2",
}
DECODER_LAYER = ENCODER_LAYER | {"multihead_attn": "cross_attn", "norm3": "norm3"}

TorchLayer = nn.TransformerEncoderLayer | nn.TransformerDecoderLayer
TorchStack = nn.TransformerEncoder | nn.TransformerDecoder


@singledispatch
def from_torch(module: nn.Module) -> nn.Module:
    """Build our twin of a ``torch.nn`` module: same sizes, a copy of its weights.

    The twin is batch first whatever ``batch_first`` says. It has the module's float type and
    device, and its parts are in the mode of the module's; what is frozen stays frozen.

    Args:
        module: An ``nn.MultiheadAttention``, ``nn.TransformerEncoderLayer``,
            ``nn.TransformerDecoderLayer``, ``nn.TransformerEncoder``, ``nn.TransformerDecoder``
            or ``nn.Transformer``.

    Returns:
        Our module.

    Raises:
        TypeError: If we have no twin of this module.
        ValueError: If the module uses an option that our twin does not have, is of a subclass, or
            has layers or parts whose settings differ from each other's.

    Used in :doc:`/notebooks/12_multi_head_attention`, :doc:`/notebooks/21_encoder`,
    :doc:`/notebooks/22_decoder_and_generation` and
    :doc:`/notebooks/33_torch_transformer_in_lightning`.
    """
    known = ", ".join(kind.__name__ for kind in from_torch.registry if kind is not object)
    raise TypeError(f"module must be one of {known}; got {type(module).__name__}")


@from_torch.register
def _(module: nn.MultiheadAttention) -> MultiheadAttention:
    _require_exactly(nn.MultiheadAttention, module=module)
    _require_plain(module, name="module")
    twin = MultiheadAttention(
        module.embed_dim,
        module.num_heads,
        kdim=module.kdim,
        vdim=module.vdim,
        bias=module.in_proj_bias is not None,
        dropout=module.dropout,
    )
    # PyTorch keeps three matrices where the widths differ.
    weights = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
    biases = (None,) * 3
    with torch.enable_grad():  # what is cut out of a parameter that is trained says so too
        if module.in_proj_weight is not None:
            weights = module.in_proj_weight.chunk(3)
        if module.in_proj_bias is not None:
            biases = module.in_proj_bias.chunk(3)
    state = module.out_proj.state_dict(prefix="out_proj.", keep_vars=True)
    for name, weight, bias in zip(("q_proj", "k_proj", "v_proj"), weights, biases, strict=True):
        state[f"{name}.weight"] = weight
        if bias is not None:
            state[f"{name}.bias"] = bias
    return filled(twin, state, like=module)


@from_torch.register(nn.TransformerEncoderLayer)
@from_torch.register(nn.TransformerDecoderLayer)
def _(module: TorchLayer) -> TransformerEncoderLayer | TransformerDecoderLayer:
    if isinstance(module, nn.TransformerEncoderLayer):
        settings = _layer_settings(module, nn.TransformerEncoderLayer, name="module")
        twin = TransformerEncoderLayer(**settings)
    else:
        settings = _layer_settings(module, nn.TransformerDecoderLayer, name="module")
        twin = TransformerDecoderLayer(**settings)
    return filled(twin, _layer_state(module), like=module, parts=_modes(module))


@from_torch.register(nn.TransformerEncoder)
@from_torch.register(nn.TransformerDecoder)
def _(module: TorchStack) -> TransformerEncoder | TransformerDecoder:
    if isinstance(module, nn.TransformerEncoder):
        return _stack_twin(module, TransformerEncoder, name="module")
    return _stack_twin(module, TransformerDecoder, name="module")


@from_torch.register
def _(module: nn.Transformer) -> Transformer:
    _require_exactly(nn.Transformer, module=module)
    encoder = _stack_twin(module.encoder, TransformerEncoder, name="module.encoder")
    decoder = _stack_twin(module.decoder, TransformerDecoder, name="module.decoder")
    if decoder.embed_dim != encoder.embed_dim:
        raise ValueError(
            f"module.decoder must have embed_dim={encoder.embed_dim} like module.encoder, "
            f"got {decoder.embed_dim}"
        )
    settings = _layer_settings(module.encoder.layers[0], nn.TransformerEncoderLayer, name="")
    twin = Transformer(
        num_encoder_layers=len(encoder.layers), num_decoder_layers=len(decoder.layers), **settings
    )
    twin.training = module.training
    # Each stack keeps the settings and the mode it came with, which may differ from the other's.
    twin.encoder, twin.decoder = encoder, decoder
    return twin


def _stack_twin(module: nn.Module, kind: type[Stack], *, name: str) -> Stack:
    is_encoder = kind is TransformerEncoder
    theirs = nn.TransformerEncoder if is_encoder else nn.TransformerDecoder
    layer_kind = nn.TransformerEncoderLayer if is_encoder else nn.TransformerDecoderLayer
    _require_exactly(theirs, **{name: module})
    assert isinstance(module, TorchStack)  # for the type checker
    settings = [
        _layer_settings(layer, layer_kind, name=f"{name}.layers[{index}]")
        for index, layer in enumerate(module.layers)
    ]
    _require_alike(settings, name=name)
    if module.norm is not None:
        _require_exactly(nn.LayerNorm, **{f"{name}.norm": module.norm})
        bias = module.norm.bias is not None
        if bias != settings[0]["bias"]:
            raise ValueError(
                f"{name}.norm must have bias={settings[0]['bias']} like the layers, got {bias}"
            )
    twin = kind(num_layers=len(settings), final_norm=module.norm is not None, **settings[0])
    state, parts = {}, {}
    for index, layer in enumerate(module.layers):
        state |= _layer_state(cast(TorchLayer, layer), prefix=f"layers.{index}.")
        parts |= _modes(cast(TorchLayer, layer), prefix=f"layers.{index}.")
    if twin.norm is not None and isinstance(module.norm, nn.LayerNorm):
        twin.norm.eps = module.norm.eps
        state |= module.norm.state_dict(prefix="norm.", keep_vars=True)
    return filled(twin, state, like=module, parts=parts)


def _parts_of(layer: TorchLayer) -> dict[str, str]:
    return ENCODER_LAYER if isinstance(layer, nn.TransformerEncoderLayer) else DECODER_LAYER


def _layer_state(layer: TorchLayer, *, prefix: str = "") -> dict[str, Tensor]:
    state = {}
    for theirs, ours in _parts_of(layer).items():
        part = getattr(layer, theirs)
        part = from_torch(part) if isinstance(part, nn.MultiheadAttention) else part
        state |= part.state_dict(prefix=f"{prefix}{ours}.", keep_vars=True)
    return state


def _modes(layer: TorchLayer, *, prefix: str = "") -> dict[str, nn.Module]:
    parts: dict[str, nn.Module] = {"": layer, "self_attn": layer.self_attn}
    parts |= {"feed_forward": layer.dropout, "dropout": layer.dropout1}
    if isinstance(layer, nn.TransformerDecoderLayer):
        parts["cross_attn"] = layer.multihead_attn
    return {(prefix + ours).removesuffix("."): part for ours, part in parts.items()}


def _layer_settings(layer: nn.Module, kind: type[TorchLayer], *, name: str) -> dict[str, Any]:
    _require_exactly(kind, **{name: layer})
    assert isinstance(layer, TorchLayer)  # for the type checker
    norms = [part for part in _parts_of(layer) if part.startswith("norm")]
    attentions = [part for part in _parts_of(layer) if part.endswith("attn")]
    dropouts = ["dropout", *(norm.replace("norm", "dropout") for norm in norms)]
    for part_kind, parts in {
        nn.MultiheadAttention: attentions,
        nn.Linear: ("linear1", "linear2"),
        nn.LayerNorm: norms,
        nn.Dropout: dropouts,
    }.items():
        _require_exactly(part_kind, **{f"{name}.{part}": getattr(layer, part) for part in parts})
    for part in attentions:
        _require_plain(getattr(layer, part), name=f"{name}.{part}")
        for size, wanted in {
            "num_heads": layer.self_attn.num_heads,
            "kdim": layer.self_attn.embed_dim,
            "vdim": layer.self_attn.embed_dim,
            "dropout": layer.dropout.p,
        }.items():
            _require_setting(layer, part, size, wanted, name=name)
    for part in norms:
        _require_setting(layer, part, "eps", layer.norm1.eps, name=name)
        _require_setting(layer, part, "elementwise_affine", True, name=name)
    for part in dropouts:
        _require_setting(layer, part, "p", layer.dropout.p, name=name)
    for part in dropouts[1:]:  # ours has one dropout for all branches
        _require_setting(layer, part, "training", layer.dropout1.training, name=name)
    has_bias = layer.linear1.bias is not None
    for part in _parts_of(layer):
        found = getattr(layer, part)
        bias = found.in_proj_bias if isinstance(found, nn.MultiheadAttention) else found.bias
        if (bias is not None) != has_bias:
            raise ValueError(f"{name}.{part} must have bias={has_bias} like linear1")
    return {
        "embed_dim": layer.self_attn.embed_dim,
        "num_heads": layer.self_attn.num_heads,
        "dim_feedforward": layer.linear1.out_features,
        "dropout": layer.dropout.p,
        "norm_first": layer.norm_first,
        "activation": _activation_name(layer.activation, name=name),
        "layer_norm_eps": layer.norm1.eps,
        "bias": has_bias,
    }


def _require_setting(
    layer: nn.Module, part: str, setting: str, wanted: object, *, name: str
) -> None:
    got = getattr(getattr(layer, part), setting)
    if got != wanted:
        raise ValueError(
            f"{name}.{part} must have {setting}={wanted} like the layer's other parts, got {got}"
        )


def _require_plain(attention: nn.MultiheadAttention, *, name: str) -> None:
    if attention.bias_k is not None or attention.add_zero_attn:
        raise ValueError(f"{name} must have add_bias_kv=False and add_zero_attn=False")


def _require_alike(settings: list[dict[str, Any]], *, name: str) -> None:
    if not settings:
        raise ValueError(f"{name}.layers must hold at least one layer, got none")
    for index, other in enumerate(settings):
        for setting, value in settings[0].items():
            if other[setting] != value:
                raise ValueError(
                    f"{name}.layers[{index}] must have {setting}={value} like {name}.layers[0], "
                    f"got {other[setting]}"
                )


def _require_exactly(kind: type[nn.Module], **modules: nn.Module) -> None:
    for name, module in modules.items():  # a subclass may compute something else
        if type(module) is not kind:
            raise ValueError(f"{name} must be exactly nn.{kind.__name__}, got {type(module)}")


def _activation_name(activation: object, *, name: str) -> Activation:
    for known, function in ACTIVATIONS.items():
        if activation is function:
            return known
    if isinstance(activation, nn.ReLU):
        return "relu"
    if isinstance(activation, nn.GELU):
        return "gelu" if activation.approximate == "none" else "gelu_tanh"
    raise ValueError(f"{name}.activation must be relu or gelu, got {activation!r}")
