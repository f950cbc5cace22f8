"""The convolutional network is its layers in order, and is told apart from the Transformer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from reference import TOLERANCE, draw, randomized

from tutorial_lib.experiments.images.convnet import ConvNet

SIZES: dict[str, Any] = {"image_size": 8, "num_channels": 2, "num_classes": 5}


def make(**settings) -> ConvNet:
    return randomized(ConvNet(**(SIZES | {"channels": (3, 4, 6)} | settings)).double())


def test_the_digits_network_has_17970_parameters():
    network = ConvNet(image_size=8, num_channels=1, num_classes=10)
    count = [parameter.numel() for parameter in network.parameters()]
    weights = [9 * 16, 9 * 16 * 32, 9 * 32 * 40, 4 * 40 * 10]
    assert count == [n for pair in zip(weights, [16, 32, 40, 10], strict=True) for n in pair]
    assert sum(count) == 17970


def test_forward_is_convolutions_and_poolings_in_order():
    network, x = make(), draw(3, 2, 8, 8)
    weights = [parameter.detach() for parameter in network.parameters()]
    y = F.conv2d(x, weights[0], weights[1], padding=1).relu()
    y = F.max_pool2d(F.conv2d(y, weights[2], weights[3], padding=1).relu(), 2)
    y = F.max_pool2d(F.conv2d(y, weights[4], weights[5], padding=1).relu(), 2)
    expected = F.linear(y.flatten(1), weights[6], weights[7])
    torch.testing.assert_close(network(x), expected, **TOLERANCE)


def test_other_sizes_of_images_work():
    assert make(image_size=32)(draw(1, 2, 32, 32)).shape == (1, 5)


def test_dropout_acts_on_what_the_head_reads_while_training():
    network, x = make(dropout=0.5), draw(2, 2, 8, 8)
    assert not torch.allclose(network(x), network(x))
    network.eval()
    expected = network.head(network.features(x).flatten(1))
    torch.testing.assert_close(network(x), expected, **TOLERANCE)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", [*SIZES, "channels"])
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (8.0, TypeError, "must be an integer, got float"),
    ],
)
def test_wrong_sizes_are_refused(name, size, error, says):
    with pytest.raises(error, match=f"^{name} {says}"):
        ConvNet(**(SIZES | {name: (4, size, 4) if name == "channels" else size}))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"image_size": 6}, "image_size must be a multiple of 4, got 6"),
        ({"channels": (3, 4)}, r"channels must hold three numbers, got \(3, 4\)"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1\.0"),
    ],
)
def test_wrong_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        ConvNet(**(SIZES | wrong))


@pytest.mark.usefixtures("unchecked_shapes")
def test_images_that_do_not_fit_are_refused():
    for shape in [(1, 2, 8, 12), (1, 1, 8, 8), (1, 8, 8, 2)]:
        with pytest.raises(ValueError, match=r"images must have shape \(batch, 2, 8, 8\), got"):
            make()(torch.zeros(shape).double())
    with pytest.raises(ValueError, match=r"images must have shape .* got \(2, 8, 8\)"):
        make()(torch.zeros(2, 8, 8).double())
    with pytest.raises(TypeError, match=r"images must be a tensor of floats, got torch\.uint8"):
        make()(torch.zeros(1, 2, 8, 8, dtype=torch.uint8))
