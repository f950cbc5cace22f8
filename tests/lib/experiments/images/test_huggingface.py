"""Our vision Transformer gives Hugging Face's logits, with Hugging Face's weights."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from reference import TOLERANCE, assert_all_close, draw, randomized
from torch import nn

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.experiments.images.huggingface import vit_from_huggingface

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers")

PLAIN: dict[str, Any] = {
    "image_size": 8,
    "patch_size": 2,
    "num_channels": 1,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 20,
    "num_labels": 5,
}
# Shapes that differ from each other in every size.
KINDS = {
    "as the digits": {},
    "one patch, one layer": {"image_size": 4, "patch_size": 4, "num_hidden_layers": 1},
    "colours, wide": {"num_channels": 3, "hidden_size": 24, "num_attention_heads": 4},
    "deep": {"image_size": 6, "num_hidden_layers": 5},
    "an epsilon of its own": {"layer_norm_eps": 0.1},
    "two classes": {"num_labels": 2, "intermediate_size": 7},
}


def vit(**settings: Any) -> Any:
    config = transformers.ViTConfig(**(PLAIN | settings))
    return randomized(transformers.ViTForImageClassification(config).double().eval())


def images_for(model: Any, batch: int = 3) -> torch.Tensor:
    config = model.config
    return draw(batch, config.num_channels, config.image_size, config.image_size)


@pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
def test_the_logits_are_the_same(settings, record_equality):
    theirs = vit(**settings)
    ours, x = vit_from_huggingface(theirs), images_for(theirs)
    with torch.no_grad():
        largest = (ours(x) - theirs(x).logits).abs().max().item()
    record_equality(module="ViT", mask="none", largest=largest)


def test_the_gradients_are_the_same():
    theirs = vit()
    ours, x, direction = vit_from_huggingface(theirs), images_for(theirs), draw(3, 5, seed=1)
    (ours(x) * direction).sum().backward()
    (theirs(x).logits * direction).sum().backward()
    embeddings = theirs.vit.embeddings
    found = {
        "class token": ours.class_token.grad,
        "table": ours.positions.weight.grad,
        "patches": ours.patch_embedding.projection.weight.grad,
    }
    wanted = {
        "class token": embeddings.cls_token.grad[0, 0],
        "table": embeddings.position_embeddings.grad[0],
        "patches": embeddings.patch_embeddings.projection.weight.grad.flatten(1),
    }
    assert assert_all_close(found, wanted) < 1e-10


def test_the_maps_are_the_same():
    theirs = vit(attn_implementation="eager")
    x = images_for(theirs)
    maps = attention_maps(vit_from_huggingface(theirs), x)
    expected = theirs(x, output_attentions=True).attentions
    for found, wanted in zip(maps, expected, strict=True):
        # Theirs come from a softmax in float32, whatever the model's type.
        torch.testing.assert_close(found, wanted.detach(), atol=1e-6, rtol=0)


def test_a_saved_model_is_found_by_its_folder(tmp_path):
    theirs = vit()
    theirs.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    x = images_for(theirs)
    for place in (tmp_path, str(tmp_path)):
        ours = vit_from_huggingface(place)
        assert not ours.training
        torch.testing.assert_close(ours.double()(x), theirs(x).logits, **TOLERANCE)


def test_a_pickle_is_never_read(tmp_path):
    theirs = vit()
    theirs.config.save_pretrained(tmp_path)
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        vit_from_huggingface(tmp_path)


def test_saved_weights_without_a_head_are_refused_by_name(tmp_path):
    vit().vit.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"it lacks classifier\.bias, classifier\.weight$"):
        vit_from_huggingface(tmp_path)


def test_what_is_frozen_and_what_evaluates_stays_so():
    theirs = vit().train()
    theirs.vit.layers[0].eval()
    theirs.vit.embeddings.requires_grad_(False)
    ours: Any = vit_from_huggingface(theirs)
    frozen = {name for name, weight in ours.named_parameters() if not weight.requires_grad}
    patches = {f"patch_embedding.projection.{part}" for part in ("weight", "bias")}
    assert frozen == {"class_token", "positions.weight"} | patches
    quiet = {part for part in ours.modules() if not part.training}
    assert quiet == {*ours.encoder.layers[0].modules()}


def test_the_twin_has_the_type_the_mode_and_weights_of_its_own():
    theirs = vit(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1).float().train()
    ours: Any = vit_from_huggingface(theirs)
    assert ours.training
    assert ours.positions.dropout.p == ours.encoder.layers[1].dropout.p == 0.1
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}
    before = theirs.classifier.weight.detach().clone()
    with torch.no_grad():
        ours.head.weight.add_(1)
    assert theirs.classifier.weight.equal(before)
    count = sum(parameter.numel() for parameter in theirs.parameters())
    assert sum(parameter.numel() for parameter in ours.parameters()) == count


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"qkv_bias": False}, "must have qkv_bias=True, got False"),
        ({"hidden_act": "relu"}, "must have hidden_act=gelu, got relu"),
        ({"hidden_dropout_prob": 0.3}, r"dropout_prob=0\.3 like hidden_dropout_prob, got 0\.0"),
        ({"image_size": [8, 4]}, "must have one image_size for both sides"),
    ],
)
def test_a_setting_that_ours_lacks_is_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        vit_from_huggingface(vit(**settings))


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_is_no_model_of_theirs_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"must be a ViTForImageClassification, .* got Linear"):
        vit_from_huggingface(nn.Linear(2, 2))
    transformers.BertConfig().save_pretrained(tmp_path)
    with pytest.raises(TypeError, match=r"must be of type vit, got .* of type bert"):
        vit_from_huggingface(tmp_path)
    with pytest.raises(OSError, match="no-such-folder"):
        vit_from_huggingface(tmp_path / "no-such-folder")
