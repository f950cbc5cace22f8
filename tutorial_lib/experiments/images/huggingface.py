"""Our twin of Hugging Face's vision Transformer, with its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tutorial_lib.experiments.images.network import VisionTransformer
from tutorial_lib.interop.filling import filled

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

    The logits are equal. The twin has the model's float type, device and training mode. It takes
    images that are scaled as the model's were in its training, for most from -1 to 1.

    Args:
        model: A ``ViTForImageClassification`` of the package ``transformers``; or a model's name
            on Hugging Face's hub, such as "google/vit-base-patch16-224", or the folder where one
            is saved. By name, weights are read from safetensors only, never from a pickle.

    Returns:
        A :class:`~tutorial_lib.experiments.images.network.VisionTransformer`.

    Raises:
        TypeError: If the model is of another kind.
        ValueError: If the model uses a setting that our twin does not have.
        OSError: If there is no such name, or no weights in safetensors.

    Source: Dosovitskiy et al. (2021). Taught in :doc:`/notebooks/45_vision_transformer`.
    """
    if isinstance(model, (str, Path)):
        model = _load(str(model))
    if type(model).__name__ != "ViTForImageClassification":
        raise TypeError(
            f"model must be a ViTForImageClassification, or where to find one, "
            f"got {type(model).__name__}"
        )
    return _twin(model)


def _load(name: str) -> nn.Module:
    from transformers import AutoConfig, ViTForImageClassification  # only by name

    kind = AutoConfig.from_pretrained(name).model_type
    if kind != "vit":
        raise TypeError(f"model must be of type vit, got {name!r} of type {kind}")
    return ViTForImageClassification.from_pretrained(name, use_safetensors=True)


def _twin(model: Any) -> VisionTransformer:
    config = model.config
    for name in ("image_size", "patch_size"):
        if not isinstance(getattr(config, name), int):
            raise ValueError(f"model must have one {name} for both sides, got {config}")
    for name, wanted in {"qkv_bias": True, "hidden_act": "gelu"}.items():
        if getattr(config, name) != wanted:
            raise ValueError(f"model must have {name}={wanted}, got {getattr(config, name)}")
    if config.attention_probs_dropout_prob != config.hidden_dropout_prob:
        raise ValueError(
            f"model must have attention_probs_dropout_prob={config.hidden_dropout_prob} like "
            f"hidden_dropout_prob, got {config.attention_probs_dropout_prob}"
        )
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
    return filled(twin, _state(model.state_dict(), config.num_hidden_layers), like=model)


def _state(theirs: dict[str, Tensor], num_layers: int) -> dict[str, Tensor]:
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
        for part in ("weight", "bias"):
            state[f"{ours}.{part}"] = theirs[f"{name}.{part}"]
    return state
