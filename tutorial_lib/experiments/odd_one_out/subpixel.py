"""Images moved by parts of a pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def move_images(
    images: Float[Tensor, "images channels height width"], offsets: Float[Tensor, "images 2"]
) -> Float[Tensor, "images channels height width"]:
    r"""Move each image by an offset of its own, which need not be a whole number of pixels.

    .. math:: \text{moved}(r, c) = \text{image}(r - \delta, c - \epsilon)

    Between pixels the image is interpolated linearly; outside its frame it is 0.

    Args:
        images: The images.
        offsets: Pixels down and to the right, :math:`\delta` and :math:`\epsilon`; negative ones
            go up and to the left.

    Returns:
        The moved images.

    Raises:
        ValueError: If there is not one pair of offsets for each image.

    Taught in :doc:`/notebooks/42_odd_one_out`.
    """
    if images.ndim != 4 or offsets.shape != (len(images), 2):
        raise ValueError(
            "images must have shape (images, channels, height, width) and offsets (images, 2), "
            f"got {tuple(images.shape)} and {tuple(offsets.shape)}"
        )
    height, width = images.shape[-2:]
    # The grid runs from -1 to 1 across the frame: a pixel is 2 / height high. It says where each
    # pixel is read from, which is the offset's opposite.
    maps = torch.zeros(len(images), 2, 3, dtype=images.dtype, device=images.device)
    maps[:, 0, 0] = maps[:, 1, 1] = 1
    maps[:, 0, 2] = -2 * offsets[:, 1] / width
    maps[:, 1, 2] = -2 * offsets[:, 0] / height
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)
