"""The maps are those that the model used, and looking leaves nothing behind."""

from __future__ import annotations

import pytest
import torch
from reference import (
    DECODER_INPUTS,
    SIZES,
    TOLERANCE,
    decoder_masks,
    draw,
    mask_case,
    norm_orders,
    randomized,
    snapshot,
)
from torch import nn

from tutorial_lib.attention import MultiheadAttention
from tutorial_lib.attention_maps import attention_maps, record_attention
from tutorial_lib.language_model import TransformerLanguageModel
from tutorial_lib.layers import TransformerDecoderLayer, TransformerEncoderLayer
from tutorial_lib.masks import causal_mask

TOKENS = torch.tensor([[1, 2, 3, 4], [4, 0, 1, 1]])


def make_model(**settings) -> TransformerLanguageModel:
    sizes = {"vocab_size": 5, "embed_dim": 8, "num_heads": 2, "num_layers": 2}
    return randomized(TransformerLanguageModel(**sizes, **settings).double())


@norm_orders
def test_an_encoder_layers_map_is_that_of_its_attention(norm_first):
    layer = randomized(TransformerEncoderLayer(norm_first=norm_first, **SIZES).double())
    x, mask = draw(3, 5, 8), mask_case("3-D", batch=3, heads=2, query=5, key=5).ours
    with record_attention(layer) as maps:
        output = layer(x, mask)
    torch.testing.assert_close(output, layer(x, mask), **TOLERANCE)
    attended = layer.norm1(x) if norm_first else x
    expected = layer.self_attn(attended, attn_mask=mask, need_weights=True)[1]
    torch.testing.assert_close(maps, {"self_attn": expected}, **TOLERANCE)


@norm_orders
def test_a_decoder_layers_maps_are_those_of_both_attentions(norm_first):
    layer = randomized(TransformerDecoderLayer(norm_first=norm_first, **SIZES).double())
    x, memory = DECODER_INPUTS
    masks = decoder_masks("3-D", "4-D")[0] | {"is_causal": True}
    with record_attention(layer) as maps:
        output = layer(x, memory, **masks)
    torch.testing.assert_close(output, layer(x, memory, **masks), **TOLERANCE)
    seen = layer.norm1(x) if norm_first else x
    attended, to_tokens = layer.self_attn(
        seen, attn_mask=masks["attn_mask"], is_causal=True, need_weights=True
    )
    h = x + attended
    seen = layer.norm2(h) if norm_first else layer.norm1(h)
    mask = masks["memory_mask"]
    to_memory = layer.cross_attn(seen, memory, attn_mask=mask, need_weights=True)[1]
    assert list(maps) == ["self_attn", "cross_attn"]  # in the order of the calls
    torch.testing.assert_close(maps["self_attn"], to_tokens, **TOLERANCE)
    torch.testing.assert_close(maps["cross_attn"], to_memory, **TOLERANCE)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary", "alibi"])
def test_a_language_model_shows_its_maps_and_gives_the_same_logits(positions):
    model = make_model(positions=positions)
    with record_attention(model) as maps:
        logits = model(TOKENS)
    torch.testing.assert_close(logits, model(TOKENS), **TOLERANCE)
    assert list(maps) == [f"decoder.layers.{layer}.self_attn" for layer in range(2)]
    for weights in maps.values():
        assert (weights > 0).equal(causal_mask(4).expand(2, 2, 4, 4))
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 4).double(), **TOLERANCE)


def test_a_model_of_ones_own_is_looked_into_wherever_its_blocks_stand():
    model = nn.ModuleDict({"a": nn.Sequential(MultiheadAttention(8, 2)), "b": nn.Identity()})
    assert [len(maps) for maps in attention_maps(model["a"][0], draw(3, 4, 8).float())] == [3]
    with record_attention(model) as maps:
        model["a"][0](draw(3, 4, 8).float())
    assert list(maps) == ["a.0"]


def test_the_last_call_of_a_module_counts():
    attention, one, other = MultiheadAttention(8, 2).double(), draw(1, 3, 8), draw(1, 4, 8)
    with record_attention(attention) as maps:
        attention(one)
        attention(other)
    assert [weights.shape for weights in maps.values()] == [(1, 2, 4, 4)]


def test_a_step_with_a_cache_shows_the_row_of_its_token():
    model = make_model().eval()
    whole = attention_maps(model, TOKENS)
    cache = model.make_cache(2, 4)
    with torch.no_grad():
        model(TOKENS[:, :3], cache=cache)
    for step, weights in zip(attention_maps(model, TOKENS[:, 3:], cache=cache), whole, strict=True):
        torch.testing.assert_close(step, weights[:, :, 3:], **TOLERANCE)


def test_gradients_flow_through_recorded_weights_and_not_through_maps():
    model = make_model()
    with record_attention(model) as maps:
        model(TOKENS)
    (gradient,) = torch.autograd.grad(
        maps["decoder.layers.0.self_attn"][..., 0].sum(), model.embedding.table.weight
    )
    assert gradient.abs().max() > 0
    assert not any(weights.requires_grad for weights in attention_maps(model, TOKENS))
    assert torch.is_grad_enabled()


def test_looking_leaves_nothing_behind_also_after_an_error():
    model = make_model()
    before = snapshot(model)
    attention_maps(model, TOKENS)
    with pytest.raises(ValueError, match="tokens must lie"), record_attention(model):
        model(TOKENS + 9)
    assert snapshot(model) == before
    attention = model.decoder.layers[0].self_attn
    assert attention(draw(1, 3, 8))[1] is None


def test_only_the_modules_that_are_named_are_shown():
    layer = TransformerDecoderLayer(**SIZES).double()
    x, memory = DECODER_INPUTS
    (cross,) = attention_maps(layer, x, memory, of="cross")
    assert cross.shape == (3, 2, 5, 4)
    with pytest.raises(ValueError, match=r"of must be a part of one of ..self_attn', 'cross_a"):
        attention_maps(layer, x, memory, of="encoder")


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_is_no_module_is_refused():
    with pytest.raises(TypeError, match=r"model must be an nn\.Module, got list"):
        attention_maps([], TOKENS)
