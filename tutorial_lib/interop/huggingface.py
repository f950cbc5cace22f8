"""Our twins of Hugging Face's GPT-2 and BERT, with their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from tutorial_lib.feed_forward import Activation
from tutorial_lib.interop.filling import (
    State,
    filled,
    hugging_face_model,
    renamed,
    require_same,
    require_settings,
)
from tutorial_lib.language_model import TransformerLanguageModel
from tutorial_lib.masked_language_model import MaskedLanguageModel

# Hugging Face's names of what ours are called.
ACTIVATION_NAMES: dict[str, Activation] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
# Settings under which GPT-2 or BERT computes what our blocks do; a model without one has it so.
GPT2_SETTINGS = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False}
BERT_SETTINGS = {"position_embedding_type": "absolute", "tie_word_embeddings": True}
COMMON_SETTINGS = {"add_cross_attention": False}


def from_huggingface(
    model: nn.Module | str | Path,
) -> TransformerLanguageModel | MaskedLanguageModel:
    """Build our twin of a GPT-2 or BERT: same sizes, a copy of its weights.

    The logits are equal, and so are the attention maps. The twin has the model's float type,
    device and training mode, also those of its layers; what is frozen stays frozen.

    Args:
        model: A ``GPT2LMHeadModel`` or ``BertForMaskedLM`` of the package ``transformers``; or a
            model's name on Hugging Face's hub, or the folder where one is saved. By name, weights
            are read from safetensors only, never from a pickle.

    Returns:
        A :class:`~tutorial_lib.language_model.TransformerLanguageModel` for GPT-2, a
        :class:`~tutorial_lib.masked_language_model.MaskedLanguageModel` for BERT.

    Raises:
        TypeError: If we have no twin of this model.
        ValueError: If the model uses a setting that our twin does not have, or has an output map
            that ours has not; if a weight is missing where it is saved.
        OSError: If there is no such name, or no weights in safetensors.

    Source: Radford et al. (2019); Devlin et al. (2019).
    Taught in :doc:`/notebooks/47_real_weights`.
    """
    original = hugging_face_model(model, {"gpt2": "GPT2LMHeadModel", "bert": "BertForMaskedLM"})
    theirs = original.state_dict(keep_vars=True)
    twin_of = _gpt2 if original.config.model_type == "gpt2" else _bert
    with torch.enable_grad():  # what is cut out of a parameter that is trained says so too
        return twin_of(original, theirs)


def _gpt2(model: Any, theirs: State) -> TransformerLanguageModel:
    config = model.config
    require_settings(config, COMMON_SETTINGS | GPT2_SETTINGS)
    require_same(config, "attn_pdrop", "resid_pdrop", "embd_pdrop")
    if model.lm_head.bias is not None:
        raise ValueError("model must have an lm_head without bias, got one with a bias")
    tied = model.lm_head.weight is model.transformer.wte.weight
    twin = TransformerLanguageModel(
        vocab_size=config.vocab_size,
        embed_dim=config.n_embd,
        num_heads=config.n_head,
        num_layers=config.n_layer,
        dim_feedforward=config.n_inner,
        max_len=config.n_positions,
        dropout=config.resid_pdrop,
        activation=_activation(config.activation_function),
        layer_norm_eps=config.layer_norm_epsilon,
        scale_embedding=False,
        tie_weights=tied,
    )
    state = {
        "embedding.table.weight": theirs["transformer.wte.weight"],
        "positions.weight": theirs["transformer.wpe.weight"],
        **renamed(theirs, "transformer.ln_f", "decoder.norm"),
    }
    if not tied:
        state["head.weight"] = theirs["lm_head.weight"]
    parts: dict[str, nn.Module] = {"dropout": model.transformer.drop}
    for index, block in enumerate(model.transformer.h):
        ours = f"decoder.layers.{index}"
        state |= _gpt2_layer(theirs, f"transformer.h.{index}.", f"{ours}.")
        parts |= {ours: block, f"{ours}.self_attn": block.attn}
        parts[f"{ours}.dropout"] = _one_mode(block.attn.resid_dropout, block.mlp.dropout)
    return filled(twin, state, like=model, parts=parts)


def _gpt2_layer(theirs: State, source: str, target: str) -> State:
    def transposed(name: str) -> State:
        # GPT-2 keeps its maps as Conv1D, (in, out); nn.Linear keeps (out, in).
        weight, bias = theirs[f"{source}{name}.weight"], theirs[f"{source}{name}.bias"]
        return {"weight": weight.T, "bias": bias}

    state = {}
    packed = transposed("attn.c_attn")  # query, key and value, one below the other
    for part, tensor in packed.items():
        for name, piece in zip("qkv", tensor.chunk(3), strict=True):
            state[f"{target}self_attn.{name}_proj.{part}"] = piece
    for name, ours in {
        "attn.c_proj": "self_attn.out_proj",
        "mlp.c_fc": "feed_forward.linear1",
        "mlp.c_proj": "feed_forward.linear2",
    }.items():
        state |= {f"{target}{ours}.{part}": tensor for part, tensor in transposed(name).items()}
    for name, ours in {"ln_1": "norm1", "ln_2": "norm3"}.items():  # norm2 is cross-attention's
        state |= renamed(theirs, f"{source}{name}", f"{target}{ours}")
    return state


def _bert(model: Any, theirs: State) -> MaskedLanguageModel:
    config = model.config
    require_settings(config, COMMON_SETTINGS | BERT_SETTINGS | {"is_decoder": False})
    require_same(config, "hidden_dropout_prob", "attention_probs_dropout_prob")
    head, table = model.cls.predictions, model.bert.embeddings.word_embeddings
    if head.decoder.weight is not table.weight or head.decoder.bias is not head.bias:
        raise ValueError(
            "model must make its logits with the table of its tokens and the bias of its head, "
            "got a decoder with others"
        )
    twin = MaskedLanguageModel(
        vocab_size=config.vocab_size,
        embed_dim=config.hidden_size,
        num_heads=config.num_attention_heads,
        num_layers=config.num_hidden_layers,
        dim_feedforward=config.intermediate_size,
        max_len=config.max_position_embeddings,
        num_segments=config.type_vocab_size,
        dropout=config.hidden_dropout_prob,
        activation=_activation(config.hidden_act),
        layer_norm_eps=config.layer_norm_eps,
    )
    names = {
        "bert.embeddings.word_embeddings": "embedding.table",
        "bert.embeddings.position_embeddings": "positions",
        "bert.embeddings.token_type_embeddings": "segments",
        "bert.embeddings.LayerNorm": "norm",
        "cls.predictions.transform.dense": "head",
        "cls.predictions.transform.LayerNorm": "head_norm",
    }
    parts: dict[str, nn.Module] = {"dropout": model.bert.embeddings.dropout}
    for index, layer in enumerate(model.bert.encoder.layer):
        source, target = f"bert.encoder.layer.{index}.", f"encoder.layers.{index}."
        parts |= {target[:-1]: layer, f"{target}self_attn": layer.attention.self}
        after = layer.attention.output.dropout, layer.output.dropout
        parts[f"{target}dropout"] = _one_mode(*after)
        for name, ours in {
            "attention.self.query": "self_attn.q_proj",
            "attention.self.key": "self_attn.k_proj",
            "attention.self.value": "self_attn.v_proj",
            "attention.output.dense": "self_attn.out_proj",
            "attention.output.LayerNorm": "norm1",
            "intermediate.dense": "feed_forward.linear1",
            "output.dense": "feed_forward.linear2",
            "output.LayerNorm": "norm2",
        }.items():
            names[source + name] = target + ours
    state = {"head_bias": theirs["cls.predictions.bias"]}
    for name, ours in names.items():
        state |= renamed(theirs, name, ours)
    return filled(twin, state, like=model, parts=parts)


def _one_mode(first: nn.Module, second: nn.Module) -> nn.Module:
    if first.training != second.training:
        raise ValueError("model must have both dropouts of a layer in one mode, got one of each")
    return first


def _activation(name: str) -> Activation:
    if name not in ACTIVATION_NAMES:
        raise ValueError(
            f"model's activation must be one of {sorted(ACTIVATION_NAMES)}, got {name!r}"
        )
    return ACTIVATION_NAMES[name]
