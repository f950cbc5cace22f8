"""Checks for chapter 45, a vision Transformer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F

from tutorial_lib.exercises.checker import Checker, is_close, require_shape
from tutorial_lib.experiments.images.network import VisionTransformer
from tutorial_lib.experiments.images.patches import image_to_patches

check = Checker(45)


@check.exercise(1, hint="The table has a row for each patch and one for the class token.")
def the_parameters_are_counted(count: Callable) -> None:
    """Compare with networks of several sizes."""
    cases = [(8, 2, 1, 32, 2), (8, 4, 1, 32, 2), (6, 2, 3, 8, 1)]
    for image, patch, channels, width, layers in cases:
        sizes: dict[str, Any] = {
            "image_size": image,
            "patch_size": patch,
            "num_channels": channels,
            "num_classes": 10,
            "embed_dim": width,
            "num_layers": layers,
            "dim_feedforward": 3 * width,
        }
        got = count(**sizes)
        assert isinstance(got, int), f"the answer must be an int, got {type(got).__name__}"
        network = VisionTransformer(num_heads=1, **sizes)
        expected = sum(parameter.numel() for parameter in network.parameters())
        assert got == expected, (
            f"{got - expected:+} for images of {image}, patches of {patch}, width {width}"
        )


@check.exercise(2, hint="F.unfold cuts; it puts the values of a window on the middle axis.")
def windows_overlap(cut: Callable) -> None:
    """Compare with single windows; with a stride of one patch they are the chapter's patches."""
    images = torch.rand(2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    require_shape(cut(images, 2, 2), (2, 12, 12), "with stride 2, the answer")
    assert is_close(cut(images, 2, 2), image_to_patches(images, 2)), (
        "with the stride of a patch these are not the chapter's patches"
    )
    for side, stride in [(3, 1), (4, 2)]:
        rows, columns = range(0, 8 - side + 1, stride), range(0, 6 - side + 1, stride)
        windows = [images[:, :, r : r + side, c : c + side] for r, c in product(rows, columns)]
        expected = torch.stack([window.flatten(1) for window in windows], dim=1)
        got = cut(images, side, stride)
        require_shape(got, tuple(expected.shape), f"with stride {stride}, the answer")
        assert is_close(got, expected), f"wrong for patches of {side} and stride {stride}"


@check.exercise(3, hint="Leave row 0 out; F.interpolate wants (batch, channels, height, width).")
def the_table_is_resized(resize: Callable) -> None:
    """Compare with PyTorch's interpolation of the grid, in both directions."""
    table = torch.randn(1 + 16, 6, generator=torch.Generator().manual_seed(0))
    for side in (4, 7, 2):
        got = resize(table, side)
        require_shape(got, (1 + side**2, 6), f"for a grid of {side}, the answer")
        assert is_close(got[0], table[0]), "the class token's row must stay as it is"
        grid = table[1:].T.reshape(1, 6, 4, 4)
        expected = F.interpolate(grid, size=(side, side), mode="bilinear", align_corners=False)
        mirrored = expected.transpose(2, 3)
        assert side == 4 or not is_close(got[1:], mirrored[0].flatten(1).T), (
            "rows and columns have changed places"
        )
        assert is_close(got[1:], expected[0].flatten(1).T, 1e-5), f"wrong for a grid of {side}"
