"""The set network follows a permutation of its images, unless it is told where they stand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import TOLERANCE, draw, randomized
from torch import nn

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.experiments.odd_one_out.image_embedding import ConvEmbedding
from tutorial_lib.experiments.odd_one_out.network import SetNetwork

SIZES: dict[str, Any] = {"input_dim": 6, "embed_dim": 8, "num_heads": 2, "num_layers": 2}


def make(**settings) -> SetNetwork:
    embedding = ConvEmbedding(image_size=8, num_channels=1, embed_dim=6, width=2)
    return randomized(SetNetwork(embedding, **(SIZES | settings)).double()).eval()


def test_the_network_of_the_page_has_52705_parameters():
    embedding = ConvEmbedding(image_size=8, num_channels=1, embed_dim=64)
    network = SetNetwork(embedding, input_dim=64, embed_dim=64, num_heads=4)
    assert sum(parameter.numel() for parameter in network.parameters()) == 52_705


def test_forward_embeds_every_image_and_scores_it_in_its_set():
    network, x = make(), draw(3, 5, 1, 8, 8)
    z = torch.stack([network.embedding(images) for images in x])
    torch.testing.assert_close(network.embed(x), z, **TOLERANCE)
    torch.testing.assert_close(network(x), network.tagger(z)[..., 0], **TOLERANCE)
    assert network(x).shape == (3, 5)


@given(batch=st.integers(1, 3), size=st.integers(1, 6), seed=st.integers(0, 1000))
def test_without_positions_the_scores_follow_a_permutation(batch, size, seed):
    network, x = make(), draw(batch, size, 1, 8, 8, seed=seed)
    order = torch.randperm(size, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(network(x[:, order]), network(x)[:, order], **TOLERANCE)


def test_with_positions_the_scores_depend_on_the_order():
    network, x = make(positions=True), draw(2, 5, 1, 8, 8)
    assert not torch.allclose(network(x.flip(1)), network(x).flip(1), atol=1e-3)


def test_sets_of_a_batch_do_not_see_each_other():
    network, x = make(), draw(3, 5, 1, 8, 8)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), **TOLERANCE)


def test_the_maps_are_those_of_the_embedded_images_under_the_mask():
    network, x = make(), draw(2, 5, 1, 8, 8)
    mask = torch.eye(5).bool()
    alone = attention_maps(network, x, mask)
    assert len(alone) == 2
    for weights in alone:
        torch.testing.assert_close(weights, torch.eye(5).double().expand(2, 2, 5, 5))
    for weights, wanted in zip(
        attention_maps(network, x), attention_maps(network.tagger, network.embed(x)), strict=True
    ):
        torch.testing.assert_close(weights, wanted, atol=0, rtol=0)
        assert not weights.requires_grad
    single = torch.cat([network(x[:, i : i + 1]) for i in range(5)], dim=1)
    torch.testing.assert_close(network(x, mask), single, **TOLERANCE)


def test_any_embedding_serves():
    network = SetNetwork(nn.Flatten(), **(SIZES | {"input_dim": 12}))
    assert network(torch.zeros(2, 4, 3, 2, 2)).shape == (2, 4)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"embedding": "conv"}, TypeError, "embedding must be an nn.Module, got str"),
        ({"input_dim": 0}, ValueError, "input_dim must be at least 1, got 0"),
        ({"num_layers": 1.0}, TypeError, "num_layers must be an integer, got float"),
        ({"num_heads": 3}, ValueError, "num_heads must divide embed_dim=8, got 3"),
        ({"dropout": 1.0}, ValueError, r"dropout must be at least 0 and below 1, got 1\.0"),
    ],
)
def test_wrong_settings_are_refused(wrong, error, says):
    with pytest.raises(error, match=f"^{says}"):
        SetNetwork(**({"embedding": nn.Identity()} | SIZES | wrong))


@pytest.mark.usefixtures("unchecked_shapes")
def test_inputs_that_do_not_fit_are_refused():
    network = make()
    with pytest.raises(ValueError, match=r"images must have shape \(batch, set, .*got \(5, 1, 8"):
        network(torch.zeros(5, 1, 8, 8))
    with pytest.raises(TypeError, match="images must be a tensor, got list"):
        network([])
