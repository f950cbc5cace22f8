"""Images as sequences of patches."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tutorial_lib.validation import kind_of, require_positive


def image_to_patches(
    images: Float[Tensor, "batch channels height width"], patch_size: int
) -> Float[Tensor, "batch patches values"]:
    r"""Cut images into square patches, and write each patch as a row of its values.

    .. math:: x_{i W/P + j,\ (c P + u) P + v} = \text{image}_{c,\ i P + u,\ j P + v}

    The patches come row by row from the top left; the values of a patch channel by channel, each
    channel row by row.

    Args:
        images: The images.
        patch_size: Side of a patch in pixels, P; divides both sides of the images.

    Returns:
        One token a patch, of ``channels * patch_size**2`` values.

    Raises:
        TypeError: If ``images`` is not a tensor of floats, or ``patch_size`` not an integer.
        ValueError: If ``images`` has not four axes, or ``patch_size`` is below 1 or does not
            divide a side.

    Source: Dosovitskiy et al. (2021), section 3.1.
    Taught in :doc:`/notebooks/45_vision_transformer`.
    """
    require_images(images)
    require_positive(patch_size=patch_size)
    _require_divides(patch_size, *images.shape[2:])
    return F.unfold(images, patch_size, stride=patch_size).mT.contiguous()


def patches_to_image(
    patches: Float[Tensor, "batch patches values"], patch_size: int, size: tuple[int, int]
) -> Float[Tensor, "batch channels height width"]:
    """Put patches back into images: what :func:`image_to_patches` takes apart.

    Args:
        patches: The patches, row by row.
        patch_size: Side of a patch in pixels.
        size: Height and width of the images in pixels.

    Returns:
        The images.

    Raises:
        TypeError: If ``patches`` is not a tensor, or a size not an integer.
        ValueError: If ``patches`` has not three axes, or the sizes do not fit it.

    Taught in :doc:`/notebooks/45_vision_transformer`.
    """
    height, width = size
    if not isinstance(patches, Tensor):
        raise TypeError(f"patches must be a tensor, got {kind_of(patches)}")
    require_positive(patch_size=patch_size, height=height, width=width)
    _require_divides(patch_size, height, width)
    rows, columns = height // patch_size, width // patch_size
    if patches.ndim != 3 or patches.shape[1] != rows * columns or patches.shape[2] % patch_size**2:
        raise ValueError(
            f"patches must have shape (batch, {rows * columns}, a multiple of {patch_size**2}), "
            f"got {tuple(patches.shape)}"
        )
    return F.fold(patches.mT, size, patch_size, stride=patch_size)


class PatchEmbedding(nn.Module):
    r"""Turn an image into tokens: a linear map of each patch.

    .. math:: z_n = W x_n + b

    The same numbers come from a convolution whose kernel and stride are both one patch.

    Args:
        patch_size: Side of a patch in pixels.
        num_channels: Channels of the images.
        embed_dim: Width of the tokens.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1.

    Source: Dosovitskiy et al. (2021), equation 1.
    Taught in :doc:`/notebooks/45_vision_transformer`.
    """

    def __init__(self, *, patch_size: int, num_channels: int, embed_dim: int) -> None:
        super().__init__()
        require_positive(patch_size=patch_size, num_channels=num_channels, embed_dim=embed_dim)
        self.patch_size, self.num_channels = patch_size, num_channels
        self.projection = nn.Linear(num_channels * patch_size**2, embed_dim)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch patches embed_dim"]:
        """Turn images into tokens.

        Args:
            images: The images; both sides are multiples of ``patch_size``.

        Returns:
            One token a patch, row by row.

        Raises:
            TypeError: If ``images`` is not a tensor of floats.
            ValueError: If ``images`` has not four axes, another number of channels, or a side
                that is not a multiple of ``patch_size``.
        """
        require_images(images)
        if images.shape[1] != self.num_channels:
            raise ValueError(
                f"images must have {self.num_channels} channels, got {images.shape[1]}"
            )
        return self.projection(image_to_patches(images, self.patch_size))


def require_images(images: Tensor, *shape: int) -> None:
    """Raise unless a tensor has the type and the axes of images.

    Args:
        images: The tensor to check.
        shape: Channels, height and width that it needs; any when left out.

    Raises:
        TypeError: If it is not a tensor of floats.
        ValueError: If it has not the four axes ``(batch, channels, height, width)``, or others
            than were asked for.
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        raise TypeError(f"images must be a tensor of floats, got {kind_of(images)}")
    if images.ndim != 4 or (shape and images.shape[1:] != shape):
        wanted = ", ".join(map(str, shape or ("channels", "height", "width")))
        raise ValueError(f"images must have shape (batch, {wanted}), got {tuple(images.shape)}")


def _require_divides(patch_size: int, height: int, width: int) -> None:
    if height % patch_size or width % patch_size:
        raise ValueError(
            f"patch_size must divide the sides of the images, {height} by {width}, got {patch_size}"
        )
