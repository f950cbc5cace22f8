"""The vision Transformer is its parts in order; its class token reads what the mask allows."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import TOLERANCE, draw, randomized, snapshot

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.experiments.images.network import VisionTransformer
from tutorial_lib.experiments.images.patches import image_to_patches, patches_to_image

SIZES: dict[str, Any] = {
    "image_size": 6,
    "patch_size": 2,
    "num_channels": 3,
    "num_classes": 5,
    "embed_dim": 8,
    "num_heads": 2,
    "num_layers": 2,
}
PATCHES = 9


def make(**settings) -> VisionTransformer:
    return randomized(VisionTransformer(**(SIZES | settings)).double())


def images(batch=2, seed=0) -> torch.Tensor:
    return draw(batch, 3, 6, 6, seed=seed)


def reordered(x: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    return patches_to_image(image_to_patches(x, 2)[:, order], 2, (6, 6))


def test_the_digits_network_has_18218_parameters():
    network = VisionTransformer(
        image_size=8,
        patch_size=2,
        num_channels=1,
        num_classes=10,
        embed_dim=32,
        num_heads=8,
        num_layers=2,
        dim_feedforward=64,
    )
    count = {name: p.numel() for name, p in network.named_parameters() if "encoder" not in name}
    assert list(count.values()) == [32, 4 * 32, 32, 17 * 32, 320, 10]
    assert sum(p.numel() for p in network.encoder.parameters()) == 2 * 8544 + 64
    assert sum(p.numel() for p in network.parameters()) == 18218


def test_forward_is_patches_class_token_positions_encoder_head():
    network, x = make(), images()
    tokens = network.patch_embedding(x)
    first = network.class_token.expand(2, 1, 8)
    positions: Any = network.positions
    z = torch.cat([first, tokens], dim=1) + positions.weight
    for layer in network.encoder.layers:
        z = z + layer.self_attn(layer.norm1(z))[0]
        z = z + layer.feed_forward(layer.norm2(z))
    assert network.encoder.norm is not None
    expected = network.head(network.encoder.norm(z[:, 0]))
    torch.testing.assert_close(network(x), expected, **TOLERANCE)


def test_the_defaults_are_those_of_the_paper():
    network = VisionTransformer(**SIZES)
    layer: Any = network.encoder.layers[0]
    assert layer.norm_first
    assert layer.feed_forward.activation == "gelu"
    assert layer.feed_forward.linear1.out_features == 4 * 8
    assert layer.norm1.eps == network.encoder.norm.eps == 1e-6


@pytest.mark.parametrize("std", [0.02, 0.5])
def test_the_table_starts_with_the_spread_that_was_asked_for(std):
    torch.manual_seed(0)
    network = VisionTransformer(**(SIZES | {"embed_dim": 512, "position_std": std}))
    positions: Any = network.positions
    assert positions.weight.shape == (1 + PATCHES, 512)
    assert positions.weight.std().item() == pytest.approx(std, rel=0.05)


# ---- order --------------------------------------------------------------------------------------


@given(order=st.permutations(range(PATCHES)))
def test_without_positions_the_order_of_the_patches_makes_no_difference(order):
    network, x = make(positions=False), images()
    torch.testing.assert_close(network(reordered(x, torch.tensor(order))), network(x), **TOLERANCE)


def test_with_positions_it_does():
    network, x = make(), images()
    order = torch.tensor([1, 0, *range(2, PATCHES)])
    assert (network(reordered(x, order)) - network(x)).abs().min() > 1e-3


@given(order=st.permutations(range(PATCHES)))
def test_a_table_in_the_order_of_the_patches_undoes_their_order(order):
    network, other, x, order = make(), make(), images(), torch.tensor(order)
    with torch.no_grad():
        table: Any = other.positions.weight
        table[1:] = table[1:][order]
    torch.testing.assert_close(other(reordered(x, order)), network(x), **TOLERANCE)


# ---- maps and masks -----------------------------------------------------------------------------


def test_the_maps_are_those_of_the_embedded_tokens():
    network, x = make(), images()
    before = snapshot(network)
    maps = attention_maps(network, x)
    assert [tuple(layer.shape) for layer in maps] == [(2, 2, 10, 10)] * 2
    tokens = torch.cat([network.class_token.expand(2, 1, 8), network.patch_embedding(x)], dim=1)
    for found, wanted in zip(
        maps, attention_maps(network.encoder, network.positions(tokens)), strict=True
    ):
        torch.testing.assert_close(found, wanted, **TOLERANCE)
        assert not found.requires_grad
    assert snapshot(network) == before


def test_a_hidden_patch_is_as_good_as_taken_out():
    network, x = make(), images()
    keep = torch.ones(2, 1, 1, 1 + PATCHES, dtype=torch.bool)
    keep[0, ..., 4] = keep[1, ..., 7:] = False
    changed = image_to_patches(x, 2)
    changed[0, 3] += 5  # token 4
    changed[1, 6:] += 5
    changed = patches_to_image(changed, 2, (6, 6))
    torch.testing.assert_close(network(changed, keep), network(x, keep), **TOLERANCE)
    assert (network(changed) - network(x)).abs().amax(dim=1).min() > 1e-3
    assert attention_maps(network, x, keep)[1][0, :, :, 4].eq(0).all()


def test_no_image_depends_on_another():
    network, x = make(), images(3)
    torch.testing.assert_close(network(x)[1:2], network(x[1:2]), **TOLERANCE)


def test_every_parameter_gets_a_gradient():
    network = make()
    network(images()).square().sum().backward()
    for name, parameter in network.named_parameters():
        # A bias of the keys shifts every score of a query alike, which softmax does not see.
        if not name.endswith("k_proj.bias"):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_dropout_acts_on_the_tokens_while_training():
    for positions in (True, False):
        network, x = make(dropout=0.5, positions=positions), images()
        for layer in network.encoder.layers:  # leave the tokens' dropout alone
            for part in layer.modules():
                if isinstance(part, torch.nn.Dropout):
                    part.p = 0.0
            layer.self_attn.dropout = 0.0
        assert not torch.allclose(network(x), network(x))
        network.eval()
        assert network(x).equal(network(x))


def test_the_state_dict_goes_round():
    network, other = make(), VisionTransformer(**SIZES).double()
    other.load_state_dict(network.state_dict())
    torch.testing.assert_close(network(images()), other(images()), atol=0, rtol=0)


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", [*SIZES, "dim_feedforward"])
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (8.0, TypeError, "must be an integer, got float"),
    ],
)
def test_wrong_sizes_are_refused(name, size, error, says):
    with pytest.raises(error, match=f"^{name} {says}"):
        VisionTransformer(**(SIZES | {name: size}))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"num_heads": 3}, "num_heads must divide embed_dim=8, got 3"),
        ({"patch_size": 4}, "patch_size must divide image_size=6, got 4"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1\.0"),
        ({"activation": "tanh"}, "activation must be one of"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps must be above 0"),
        ({"position_std": 0.0}, "position_std must be above 0"),
    ],
)
def test_wrong_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        VisionTransformer(**(SIZES | wrong))


@pytest.mark.usefixtures("unchecked_shapes")
def test_images_that_do_not_fit_are_refused():
    for network in (make(), make(positions=False)):
        for call in (network, partial(attention_maps, network)):
            with pytest.raises(ValueError, match="images must be 6 by 6 pixels, got 8 by 8"):
                call(torch.zeros(2, 3, 8, 8).double())
            with pytest.raises(ValueError, match="images must have 3 channels, got 1"):
                call(torch.zeros(2, 1, 6, 6).double())
            with pytest.raises(ValueError, match=r"images must have shape \(batch, .* got \(3, 6"):
                call(torch.zeros(3, 6, 6).double())
            with pytest.raises(TypeError, match=r"images must be a tensor of floats, got torch\.u"):
                call(torch.zeros(2, 3, 6, 6, dtype=torch.uint8))
            with pytest.raises(TypeError, match=r"attn_mask must be boolean.*torch\.float64"):
                call(images(), torch.zeros(10, 10).double())
            with pytest.raises(ValueError, match=r"attn_mask must broadcast.*got \(9, 9\)"):
                call(images(), torch.ones(9, 9).bool())
