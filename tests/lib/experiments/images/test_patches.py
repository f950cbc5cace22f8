"""Patches are cut where the formula says, come back whole, and are a strided convolution."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from reference import TOLERANCE, draw

from tutorial_lib.experiments.images.patches import (
    PatchEmbedding,
    image_to_patches,
    patches_to_image,
)

sizes = {
    "batch": st.integers(1, 3),
    "channels": st.integers(1, 3),
    "rows": st.integers(1, 4),
    "columns": st.integers(1, 4),
    "side": st.integers(1, 3),
}


def test_a_small_image_is_cut_as_worked_by_hand():
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    expected = [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    assert image_to_patches(image, 2)[0].tolist() == expected
    # Reading 4 values at a time, as a reshape does, gives the rows of the image.
    assert image.reshape(1, 4, 4)[0].tolist() != expected


def test_the_channels_of_a_patch_come_one_after_the_other():
    image = torch.arange(16.0).reshape(1, 2, 2, 4)
    expected = [[0, 1, 4, 5, 8, 9, 12, 13], [2, 3, 6, 7, 10, 11, 14, 15]]
    assert image_to_patches(image, 2)[0].tolist() == expected


@given(**sizes)
def test_every_pixel_stands_where_the_formula_says(batch, channels, rows, columns, side):
    images = draw(batch, channels, rows * side, columns * side)
    patches = image_to_patches(images, side)
    assert patches.shape == (batch, rows * columns, channels * side**2)
    for i in range(rows):
        for j in range(columns):
            patch = images[:, :, i * side : (i + 1) * side, j * side : (j + 1) * side]
            assert patches[:, i * columns + j].equal(patch.flatten(1))


@given(**sizes)
def test_patches_go_back_into_their_image(batch, channels, rows, columns, side):
    images = draw(batch, channels, rows * side, columns * side)
    again = patches_to_image(image_to_patches(images, side), side, images.shape[2:])
    assert again.equal(images)


@given(**sizes)
def test_the_embedding_is_a_convolution_with_the_stride_of_its_kernel(
    batch, channels, rows, columns, side
):
    embedding = PatchEmbedding(patch_size=side, num_channels=channels, embed_dim=5).double()
    images = draw(batch, channels, rows * side, columns * side)
    weight, bias = embedding.projection.weight, embedding.projection.bias
    grid = F.conv2d(images, weight.view(5, channels, side, side), bias, stride=side)
    assert grid.shape == (batch, 5, rows, columns)
    torch.testing.assert_close(embedding(images), grid.flatten(2).transpose(1, 2), **TOLERANCE)


def test_the_convolution_is_the_same_bit_by_bit_where_nothing_is_rounded():
    # Products and sums of small whole numbers are exact in float32, in whatever order.
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(17, (3, 2, 9, 6), generator=generator).float()
    embedding = PatchEmbedding(patch_size=3, num_channels=2, embed_dim=7)
    weight = torch.randint(-9, 10, (7, 2, 3, 3), generator=generator).float()
    with torch.no_grad():
        embedding.projection.weight.copy_(weight.flatten(1))
        embedding.projection.bias.copy_(torch.arange(7.0))
        grid = F.conv2d(images, weight, torch.arange(7.0), stride=3)
        assert embedding(images).equal(grid.flatten(2).transpose(1, 2))


@pytest.mark.usefixtures("unchecked_shapes")
def test_images_that_do_not_fit_are_refused():
    embedding = PatchEmbedding(patch_size=2, num_channels=3, embed_dim=4)
    for call in (embedding, lambda images: image_to_patches(images, 2)):
        with pytest.raises(TypeError, match=r"images must be a tensor of floats, got torch\.uint8"):
            call(torch.zeros(1, 3, 4, 4, dtype=torch.uint8))
        with pytest.raises(TypeError, match="images must be a tensor of floats, got list"):
            call([[0.0]])
        with pytest.raises(ValueError, match=r"images must have shape .* got \(3, 4, 4\)"):
            call(torch.zeros(3, 4, 4))
        for height, width in ((4, 5), (5, 4)):
            says = f"must divide the sides of the images, {height} by {width}, got 2"
            with pytest.raises(ValueError, match=says):
                call(torch.zeros(1, 3, height, width))
    with pytest.raises(ValueError, match="images must have 3 channels, got 4"):
        embedding(torch.zeros(1, 4, 4, 3))  # the channels come last, as files have them


@pytest.mark.usefixtures("unchecked_shapes")
def test_patches_that_do_not_fit_are_refused():
    for shape in [(1, 3, 4), (1, 4, 5), (4, 4)]:
        with pytest.raises(ValueError, match=r"patches must have shape \(batch, 4, a multiple of"):
            patches_to_image(torch.zeros(shape), 2, (4, 4))
    with pytest.raises(ValueError, match="must divide the sides of the images, 4 by 3, got 2"):
        patches_to_image(torch.zeros(1, 4, 4), 2, (4, 3))
    with pytest.raises(TypeError, match="patches must be a tensor, got list"):
        patches_to_image([[0.0]], 2, (4, 4))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (2.0, TypeError, "must be an integer, got float"),
    ],
)
def test_wrong_sizes_are_refused(size, error, says):
    good = {"patch_size": 2, "num_channels": 1, "embed_dim": 4}
    for name in good:
        with pytest.raises(error, match=f"^{name} {says}"):
            PatchEmbedding(**(good | {name: size}))
    with pytest.raises(error, match=f"^patch_size {says}"):
        image_to_patches(torch.zeros(1, 1, 4, 4), size)
    with pytest.raises(error, match=f"^patch_size {says}"):
        patches_to_image(torch.zeros(1, 4, 4), size, (4, 4))
    with pytest.raises(error, match=f"^height {says}"):
        patches_to_image(torch.zeros(1, 4, 4), 2, (size, 4))
