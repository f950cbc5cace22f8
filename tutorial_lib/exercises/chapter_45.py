"""Checks for chapter 45, a vision Transformer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, ask, explain, require_shape
from tutorial_lib.experiments.images.network import VisionTransformer
from tutorial_lib.experiments.images.patches import image_to_patches

check = Checker(45)


@check.exercise(1, hint="The table has a row for each patch and one for the class token.")
def the_parameters_are_counted(count: Callable) -> None:
    """Compare with networks of several sizes; a mistake must explain all the counts."""
    cases = [(8, 2, 1, 32, 2), (8, 4, 1, 32, 2), (6, 2, 3, 8, 1)]
    found, right = [], []
    for image, patch, channels, width, layers in cases:
        sizes: dict[str, Any] = {
            "image_size": image,
            "patch_size": patch,
            "num_channels": channels,
            "num_classes": 10,
            "embed_dim": width,
            "num_layers": layers,
            "dim_feedforward": 2 * width + 4,
        }
        got = count(**sizes)
        assert isinstance(got, int), f"the answer must be an int, got {type(got).__name__}"
        network = VisionTransformer(num_heads=1, **sizes)
        found.append(got)
        right.append(sum(parameter.numel() for parameter in network.parameters()))

    def if_off_by(off: Callable[[int, int, int, int, int], int]) -> list[int]:
        return [n + off(*case) for n, case in zip(right, cases, strict=True)]

    first = next((at for at, n in enumerate(right) if n != found[at]), 0)
    image, patch, channels, width, layers = cases[first]
    explain(
        found,
        right,
        {
            "a vector of the width is missing: the class token, its row in the table, or the bias "
            "of the patches": if_off_by(lambda i, p, c, d, n: -d),
            "two vectors of the width are missing: the encoder ends with a norm": (
                if_off_by(lambda i, p, c, d, n: -2 * d)
            ),
            "three vectors of the width are missing: the last norm and the class token": (
                if_off_by(lambda i, p, c, d, n: -3 * d)
            ),
            "the table of positions is missing": (
                if_off_by(lambda i, p, c, d, n: -(1 + (i // p) ** 2) * d)
            ),
            "each layer lacks four vectors of the width: two norms have them, and so have the "
            "biases of attention": if_off_by(lambda i, p, c, d, n: -4 * d * n),
            "each layer has two norms, with weight and bias each": (
                if_off_by(lambda i, p, c, d, n: -2 * d * n)
            ),
            "the biases of the feed-forward are missing": (
                if_off_by(lambda i, p, c, d, n: -(3 * d + 4) * n)
            ),
            "attention has four maps: query, key, value and output": (
                if_off_by(lambda i, p, c, d, n: -(d * d + d) * n)
            ),
            "the layers are counted once, whatever their number": (
                if_off_by(
                    lambda i, p, c, d, n: -(n - 1) * (4 * d * d + 11 * d + 4 + 2 * d * (2 * d + 4))
                )
            ),
            "the biases of the head are missing": if_off_by(lambda i, p, c, d, n: -10),
            "the head is missing": if_off_by(lambda i, p, c, d, n: -10 * d - 10),
            "the channels play no part: a patch has all of them": (
                if_off_by(lambda i, p, c, d, n: -(c - 1) * p * p * d)
            ),
        },
        otherwise=(
            f"{found[first] - right[first]:+} for images of {image}, patches of {patch}, "
            f"{channels} channels, width {width}, {layers} layers"
        ),
    )


@check.exercise(2, hint="F.unfold cuts; it puts the values of a window on the middle axis.")
def windows_overlap(cut: Callable) -> None:
    """Compare with single windows; with a stride of one patch they are the chapter's patches."""
    images = torch.rand(2, 3, 8, 6, generator=torch.Generator().manual_seed(0))
    for side, stride in [(2, 2), (3, 1), (4, 2)]:
        tops, lefts = range(0, 8 - side + 1, stride), range(0, 6 - side + 1, stride)
        windows = torch.stack(
            [images[:, :, r : r + side, c : c + side] for r, c in product(tops, lefts)], dim=1
        )  # (batch, patch, channel, row, column)
        right = windows.flatten(2)
        assert side != stride or right.equal(image_to_patches(images, side))
        got = ask(cut, images, side, stride)
        require_shape(got, tuple(right.shape), f"with stride {stride}, the answer")
        grid = windows.unflatten(1, (len(tops), len(lefts)))
        explain(
            got,
            right,
            {
                "the values stand on the middle axis, where F.unfold puts them: the patches "
                "belong there": right.mT,
                "a reshape alone does not cut patches: it takes values row by row": (
                    images.reshape(right.shape) if side == stride else images
                ),
                "the patches come column by column: they come row by row": (
                    grid.transpose(1, 2).flatten(1, 2).flatten(2)
                ),
                "the values of a patch come pixel by pixel: channel by channel is needed": (
                    windows.permute(0, 1, 3, 4, 2).flatten(2)
                ),
                "rows and columns have changed places inside the patches": windows.mT.flatten(2),
                "channels come before patches: a patch has the values of all channels": (
                    windows.transpose(1, 2).reshape(right.shape)
                ),
            },
            otherwise=f"wrong for patches of {side} and stride {stride}",
        )


@check.exercise(3, hint="Leave row 0 out; F.interpolate wants (batch, channels, height, width).")
def the_table_is_resized(resize: Callable) -> None:
    """Compare with PyTorch's interpolation of the grid, in both directions, of two tables."""
    generator = torch.Generator().manual_seed(0)
    for old, width, sides in [(4, 6, (4, 7, 2)), (3, 5, (6,))]:
        table = torch.randn(1 + old**2, width, generator=generator)
        for side in sides:
            got = ask(resize, table, side)
            require_shape(got, (1 + side**2, width), f"for a grid of {side}, the answer")
            assert got[0].equal(table[0]), "the class token's row must stay as it is"
            grid = table[1:].T.reshape(1, width, old, old)
            stretched = _stretched(grid, side, mode="bilinear", align_corners=False)
            rows = stretched[0].flatten(1).T
            scrambled = table[1:].reshape(1, width, old, old)
            mixed = _stretched(scrambled, side, mode="bilinear", align_corners=False)
            explain(
                got[1:],
                rows,
                {
                    "rows and columns of the grid have changed places": (
                        stretched.mT[0].flatten(1).T
                    ),
                    "the values of a row are spread over the grid: transpose the table before "
                    "you reshape it": mixed[0].flatten(1).T,
                    "the values of a row are spread over the grid: d is the last axis of the "
                    "table and the second of the grid": mixed[0].reshape(rows.shape),
                    "the grid is flattened with d in front: transpose what comes out": (
                        stretched[0].reshape(rows.shape)
                    ),
                    "the corners are aligned: align_corners=False is needed": (
                        _rows(grid, side, mode="bilinear", align_corners=True)
                    ),
                    'the nearest row is taken: mode="bilinear" is needed': (
                        _rows(grid, side, mode="nearest")
                    ),
                    'this is mode="bicubic": "bilinear" is needed': (
                        _rows(grid, side, mode="bicubic", align_corners=False)
                    ),
                },
                otherwise=f"wrong for a grid of {side}, from one of {old}",
                tolerance=1e-5,
            )


def _stretched(grid: Tensor, side: int, **options: Any) -> Tensor:
    return F.interpolate(grid, size=(side, side), **options)


def _rows(grid: Tensor, side: int, **options: Any) -> Tensor:
    return _stretched(grid, side, **options)[0].flatten(1).T
