"""Our twin of Hugging Face's vision Transformer, with its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from tutorial_lib.experiments.images.network import VisionTransformer
from tutorial_lib.interop.filling import (
    State,
    filled,
    hugging_face_model,
    renamed,
    require_same,
    require_settings,
)

# Where each part of a layer stands in ours.
LAYER = {
    "layernorm_before": "norm1",
    "attention.q_proj": "self_attn.q_proj",
    "attention.k_proj": "self_attn.k_proj",
    "attention.v_proj": "self_attn.v_proj",
    "attention.o_proj": "self_attn.out_proj",
    "layernorm_after": "norm2",
    "mlp.fc1": "feed_forward.linear1",
    "mlp.fc2": "feed_forward.linear2",
}


def vit_from_huggingface(model: nn.Module | str | Path) -> VisionTransformer:
    """Build our twin of a ViT that classifies images: same sizes, a copy of its weights.

    The logits are equal. The twin has the model's float type, device and training mode, also those
    of its layers; what is frozen stays frozen. It takes images that are scaled as the model's were
    in its training, for most from -1 to 1.

    Args:
        model: A ``ViTForImageClassification`` of the package ``transformers``; or a model's name
            on Hugging Face's hub, such as "google/vit-base-patch16-224", or the folder where one
            is saved. By name, weights are read from safetensors only, never from a pickle.

    Returns:
        A :class:`~tutorial_lib.experiments.images.network.VisionTransformer`.

    Raises:
        TypeError: If the model is of another kind.
        ValueError: If the model uses a setting that our twin does not have, or if a weight is
            missing where it is saved.
        OSError: If there is no such name, or no weights in safetensors.

    Source: Dosovitskiy et al. (2021). Taught in :doc:`/notebooks/45_vision_transformer`.
    """
    return _twin(hugging_face_model(model, {"vit": "ViTForImageClassification"}))


def _twin(model: Any) -> VisionTransformer:
    config = model.config
    for name in ("image_size", "patch_size"):
        if not isinstance(getattr(config, name), int):
            raise ValueError(f"model must have one {name} for both sides, got {config}")
    require_settings(config, {"qkv_bias": True, "hidden_act": "gelu"})
    require_same(config, "hidden_dropout_prob", "attention_probs_dropout_prob")
    twin = VisionTransformer(
        image_size=config.image_size,
        patch_size=config.patch_size,
        num_channels=config.num_channels,
        num_classes=model.num_labels,
        embed_dim=config.hidden_size,
        num_heads=config.num_attention_heads,
        num_layers=config.num_hidden_layers,
        dim_feedforward=config.intermediate_size,
        dropout=config.hidden_dropout_prob,
        layer_norm_eps=config.layer_norm_eps,
    )
    with torch.enable_grad():  # the state's tensors are parameters, or views that need gradients
        state = _state(model.state_dict(keep_vars=True), config.num_hidden_layers)
    parts: dict[str, nn.Module] = {"positions": model.vit.embeddings.dropout}
    for index, layer in enumerate(model.vit.layers):
        ours = f"encoder.layers.{index}"
        parts |= {ours: layer, f"{ours}.self_attn": layer.attention}
        parts[f"{ours}.dropout"] = layer.dropout
    return filled(twin, state, like=model, parts=parts)


def _state(theirs: State, num_layers: int) -> State:
    patches = "vit.embeddings.patch_embeddings.projection"
    state = {
        "class_token": theirs["vit.embeddings.cls_token"][0, 0],
        "positions.weight": theirs["vit.embeddings.position_embeddings"][0],
        # A kernel (embed, channel, row, column) is a linear map of a patch, laid out the same.
        "patch_embedding.projection.weight": theirs[f"{patches}.weight"].flatten(1),
        "patch_embedding.projection.bias": theirs[f"{patches}.bias"],
    }
    names = {"vit.layernorm": "encoder.norm", "classifier": "head"}
    for index in range(num_layers):
        for name, ours in LAYER.items():
            names[f"vit.layers.{index}.{name}"] = f"encoder.layers.{index}.{ours}"
    for name, ours in names.items():
        state |= renamed(theirs, name, ours)
    return state
