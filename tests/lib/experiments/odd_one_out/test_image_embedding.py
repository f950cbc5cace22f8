"""The embedding is its layers in order, and in evaluation an image stands for itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from reference import TOLERANCE, draw, randomized

from tutorial_lib.experiments.odd_one_out.image_embedding import ConvEmbedding

SIZES: dict[str, Any] = {"image_size": 8, "num_channels": 2, "embed_dim": 6, "width": 3}


def make(**settings) -> ConvEmbedding:
    return randomized(ConvEmbedding(**(SIZES | settings)).double())


def normal(x):
    axes = [0, *range(2, x.ndim)]
    mean, variance = x.mean(axes, keepdim=True), x.var(axes, correction=0, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def test_the_digits_embedding_has_10720_parameters():
    network = ConvEmbedding(image_size=8, num_channels=1, embed_dim=64)
    counts = [parameter.numel() for parameter in network.parameters()]
    assert counts == [16 * 16, 16, 16, 16 * 32 * 4, 32, 32, 4 * 32 * 64, 64, 64]
    assert sum(counts) == 10_720


def test_forward_is_convolutions_and_normalisations_in_order():
    network, x = make(), draw(7, 2, 8, 8)
    k1, w1, b1, k2, w2, b2, linear, w3, b3 = (p.detach() for p in network.parameters())
    y = normal(F.conv2d(x, k1, stride=2, padding=1)) * w1[:, None, None] + b1[:, None, None]
    y = normal(F.conv2d(y.relu(), k2, stride=2)) * w2[:, None, None] + b2[:, None, None]
    expected = normal(y.relu().flatten(1) @ linear.T) * w3 + b3
    torch.testing.assert_close(network(x), expected, **TOLERANCE)


def test_a_trained_embedding_of_an_image_depends_on_no_other_image():
    network, x = make(), draw(5, 2, 8, 8)
    assert not torch.allclose(network(x)[:2], network(x[:2]))  # while training it does
    network.eval()
    torch.testing.assert_close(network(x)[:2], network(x[:2]), **TOLERANCE)


def test_other_sizes_of_images_work():
    assert make(image_size=32, num_channels=3)(draw(2, 3, 32, 32)).shape == (2, 6)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (8.0, TypeError, "must be an integer, got float"),
    ],
)
def test_wrong_sizes_are_refused(name, size, error, says):
    with pytest.raises(error, match=f"^{name} {says}"):
        ConvEmbedding(**(SIZES | {name: size}))


def test_a_side_that_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="image_size must be a multiple of 4, got 10"):
        ConvEmbedding(**(SIZES | {"image_size": 10}))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 2, 8, 9), (2, 8, 8)])
def test_images_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"images must have shape \((images|batch), .*got \("):
        ConvEmbedding(**SIZES)(torch.zeros(shape))
