"""Both scorers answer the same call, leave padding out, and show their maps."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.experiments.ordering.network import (
    EncoderScorer,
    hugging_face_scorer,
)
from tutorial_lib.positions import sinusoidal_encoding

SMALL = {"vocab_size": 11, "segments": 3, "max_len": 9, "embed_dim": 8, "num_heads": 2}
INPUTS = {
    "input_ids": torch.tensor([[2, 5, 6, 2, 7], [2, 9, 2, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
    "token_type_ids": torch.tensor([[0, 0, 0, 1, 1], [0, 0, 1, 0, 0]]),
}
both = pytest.mark.parametrize("kind", [hugging_face_scorer, EncoderScorer])


def make(kind):
    torch.manual_seed(0)
    return kind(**SMALL).double().eval()


@both
def test_every_token_gets_one_score(kind):
    network = make(kind)
    assert network(**INPUTS).logits.shape == (2, 5, 1)
    assert not network(**INPUTS).logits.isnan().any()


@both
def test_padding_changes_nothing(kind):
    network = make(kind)
    short = {name: column[1:, :3] for name, column in INPUTS.items()}
    torch.testing.assert_close(network(**INPUTS).logits[1:, :3], network(**short).logits)


@both
def test_segments_and_order_count(kind):
    network = make(kind)
    before = network(**INPUTS).logits
    other = INPUTS | {"token_type_ids": (INPUTS["token_type_ids"] + 1) % 3}
    turned = INPUTS | {"input_ids": INPUTS["input_ids"].flip(1)}
    assert not torch.allclose(network(**other).logits, before)
    assert not torch.allclose(network(**turned).logits[:1].flip(1), before[:1])


def test_the_maps_are_weights_without_gradients_and_leave_padding_out():
    maps = attention_maps(make(EncoderScorer), **INPUTS)
    assert [weights.shape for weights in maps] == [(2, 2, 5, 5)] * 2
    for weights in maps:
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 5).double())
        assert weights[1, :, :, 3:].max() < 1e-12
        assert not weights.requires_grad


def test_our_scores_are_those_of_the_equation():
    network = make(EncoderScorer)
    x = network.words(INPUTS["input_ids"]) + network.segments(INPUTS["token_type_ids"])
    x = network.norm(x + sinusoidal_encoding(5, 8).double())
    mask = INPUTS["attention_mask"].bool()[:, None, None]
    expected = network.score(network.encoder(x, mask))
    torch.testing.assert_close(network(**INPUTS).logits, expected, atol=1e-6, rtol=1e-6)


@both
def test_keys_start_like_queries_and_layers_do_not_start_alike(kind):
    network = make(kind)
    pairs = {
        hugging_face_scorer: lambda: [
            (layer.attention.self.query.weight, layer.attention.self.key.weight)
            for layer in network.bert.encoder.layer
        ],
        EncoderScorer: lambda: [
            (layer.self_attn.q_proj.weight, layer.self_attn.k_proj.weight)
            for layer in network.encoder.layers
        ],
    }[kind]()
    assert all(query.equal(key) and query is not key for query, key in pairs)
    assert not pairs[0][0].equal(pairs[1][0])


def test_the_table_of_positions_starts_as_sines():
    table = make(hugging_face_scorer).bert.embeddings.position_embeddings.weight
    torch.testing.assert_close(
        table.detach(), 0.1 * 2**0.5 * sinusoidal_encoding(9, 8).double(), atol=1e-6, rtol=0
    )


def test_a_pretrained_model_comes_from_its_folder(tmp_path):
    network = make(hugging_face_scorer).float()
    network.save_pretrained(tmp_path)
    again = hugging_face_scorer(str(tmp_path))
    assert all(module.training for module in again.modules())  # or it would train without dropout
    again.eval()
    assert again(**INPUTS).logits.equal(network(**INPUTS).logits)


@pytest.mark.usefixtures("unchecked_shapes")
@both
def test_wrong_sizes_are_refused(kind):
    for name in SMALL:
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            kind(**(SMALL | {name: 0}))
    with pytest.raises(ValueError, match="num_heads must divide embed_dim=8, got 3"):
        kind(**(SMALL | {"num_heads": 3}))
    with pytest.raises(TypeError, match="input_ids must be a tensor of integers"):
        make(EncoderScorer)(INPUTS["input_ids"].float(), INPUTS["attention_mask"])
