"""The tagger is its four parts in order, and is blind to order without positions."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import TOLERANCE, randomized

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.masks import causal_mask, padding_mask
from tutorial_lib.positions import sinusoidal_encoding
from tutorial_lib.tagger import TaggerNetwork

SIZES: dict[str, Any] = {
    "input_dim": 10,
    "num_classes": 7,
    "embed_dim": 8,
    "num_heads": 2,
    "num_layers": 2,
}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def make(**settings) -> TaggerNetwork:
    return randomized(TaggerNetwork(**(SIZES | settings)).double())


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_reversal_network_has_10346_parameters():
    network = TaggerNetwork(input_dim=10, num_classes=10, embed_dim=32)
    parts = [network.input_net, network.positions, network.encoder, network.output_net]
    assert [count(part) for part in parts] == [352, 0, 8544, 1450]
    assert count(network) == 10346


def test_forward_is_input_map_positions_encoder_output_map():
    network, x = make(), draw(2, 5, 10)
    embedded = network.input_net(x) + sinusoidal_encoding(5, 8).double()
    expected = network.output_net(network.encoder(embedded, causal_mask(5)))
    torch.testing.assert_close(network(x, causal_mask(5)), expected, atol=1e-6, rtol=1e-6)
    assert network(x).shape == (2, 5, 7)


def test_the_output_map_is_linear_norm_relu_dropout_linear():
    network = TaggerNetwork(dropout=0.25, **SIZES)
    names = [type(part).__name__ for part in network.output_net]
    assert names == ["Linear", "LayerNorm", "ReLU", "Dropout", "Linear"]
    assert network.output_net[3].p == network.encoder.layers[0].dropout.p == 0.25


def test_the_settings_reach_the_encoder():
    network = TaggerNetwork(norm_first=True, dim_feedforward=5, max_len=9, **SIZES)
    assert len(network.encoder.layers) == 2
    for layer in network.encoder.layers:
        assert layer.norm_first
        assert layer.self_attn.num_heads == 2
        assert layer.feed_forward.linear1.out_features == 5
    assert network.positions.encoding.shape == (9, 8)
    assert TaggerNetwork(**SIZES).encoder.layers[0].feed_forward.linear1.out_features == 16


@given(batch=st.integers(1, 3), length=st.integers(1, 6), seed=st.integers(0, 1000))
def test_without_positions_the_network_follows_a_permutation(batch, length, seed):
    network, x = make(positions=False), draw(batch, length, 10, seed=seed)
    order = torch.randperm(length, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(network(x[:, order]), network(x)[:, order], **TOLERANCE)


def test_with_positions_the_network_tells_the_order():
    network, x = make(), draw(2, 5, 10)
    assert not torch.allclose(network(x.flip(1)), network(x).flip(1), atol=1e-3)


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_padding_does_not_change_real_tokens(lengths):
    network, x = make(), draw(len(lengths), 6, 10)
    padded = network(x, padding_mask(torch.tensor(lengths), 6))
    for row, n in enumerate(lengths):
        alone = network(x[row : row + 1, :n])
        torch.testing.assert_close(padded[row : row + 1, :n], alone, **TOLERANCE)


def test_the_maps_are_those_of_the_embedded_tokens_and_masked_in_every_layer():
    network, x = make(), draw(2, 5, 10)
    mask = padding_mask(torch.tensor([5, 3]))
    maps = attention_maps(network, x, mask)
    expected = attention_maps(network.encoder, network.positions(network.input_net(x)), mask)
    for weights, wanted in zip(maps, expected, strict=True):
        torch.testing.assert_close(weights, wanted, atol=0, rtol=0)
        assert (weights[1, :, :, 3:] == 0).all()
        assert not weights.requires_grad


def test_the_state_dict_goes_round():
    network, other = make(), TaggerNetwork(**SIZES).double()
    other.load_state_dict(network.state_dict())
    x = draw(2, 5, 10)
    torch.testing.assert_close(network(x), other(x), atol=0, rtol=0)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("positions", [True, False])
@pytest.mark.parametrize("name", [*SIZES, "dim_feedforward", "max_len"])
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (8.0, TypeError, "must be an integer, got float"),
    ],
)
def test_wrong_sizes_are_refused(name, size, error, says, positions):
    with pytest.raises(error, match=f"^{name} {says}"):
        TaggerNetwork(positions=positions, **(SIZES | {name: size}))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"num_heads": 3}, "num_heads must divide embed_dim=8, got 3"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1\.0"),
    ],
)
def test_wrong_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        TaggerNetwork(**(SIZES | wrong))


@pytest.mark.usefixtures("unchecked_shapes")
def test_inputs_that_do_not_fit_are_refused():
    network, x = TaggerNetwork(max_len=5, **SIZES), torch.zeros(2, 5, 10)
    for call in (network, partial(attention_maps, network)):
        for shape in [(5, 10), (2, 5, 9)]:
            with pytest.raises(ValueError, match=r"x must have shape \(batch, length, 10\), got"):
                call(torch.zeros(shape))
        with pytest.raises(ValueError, match="x must have at most max_len=5 positions, got 6"):
            call(torch.zeros(2, 6, 10))
        with pytest.raises(TypeError, match=r"attn_mask must be boolean.*torch\.float32"):
            call(x, torch.zeros(5, 5))
        with pytest.raises(ValueError, match=r"attn_mask must broadcast.*got \(4, 5\)"):
            call(x, torch.ones(4, 5).bool())
