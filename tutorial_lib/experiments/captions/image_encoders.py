"""Image encoders: modules that turn an image into one vector for each of its places."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tutorial_lib.encoder import TransformerEncoder
from tutorial_lib.experiments.images.patches import PatchEmbedding, require_images
from tutorial_lib.validation import require_positive, require_probability, require_width

MEAN, SPREAD = 0.3, 0.2  # of the pixels, roughly: they enter with mean 0 and variance 1
CONV_STRIDE = 6  # pixels from one place of the ConvEncoder to the next


class GridPositions(nn.Module):
    r"""Tell every place of a square grid its row and its column.

    .. math:: y_{b,\, i n + j} = x_{b,\, i n + j} + R_i + C_j

    Args:
        side: Places in a row, and in a column, n.
        embed_dim: Width of the vectors.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1.

    Used in :doc:`/notebooks/34_injected_nested_modules`.
    """

    def __init__(self, *, side: int, embed_dim: int) -> None:
        super().__init__()
        require_positive(side=side, embed_dim=embed_dim)
        self.rows = nn.Parameter(torch.empty(side, 1, embed_dim))
        self.columns = nn.Parameter(torch.empty(1, side, embed_dim))
        for table in (self.rows, self.columns):
            # Large enough to be told apart at once, half as strong as features of unit variance.
            nn.init.normal_(table, std=0.5)

    def forward(
        self, x: Float[Tensor, "batch places embed_dim"]
    ) -> Float[Tensor, "batch places embed_dim"]:
        """Add to every place the vectors of its row and its column.

        Args:
            x: The places, row by row.

        Returns:
            The places with their positions.

        Raises:
            ValueError: If there are not ``side**2`` places of ``embed_dim`` values.
        """
        table = (self.rows + self.columns).flatten(0, 1)  # (places, embed_dim)
        require_width(x, table.shape[1], name="x")
        if x.shape[1] != len(table):
            raise ValueError(f"x must have {len(table)} places, got {x.shape[1]}")
        return x + table


class ConvEncoder(nn.Module):
    r"""Look at an image with two strided convolutions.

    .. math:: m = \operatorname{LN}\big(W \operatorname{conv}(\operatorname{conv}(x))\big) + P

    Each convolution is followed by BatchNorm and ReLU. Together they step 6 pixels from one place
    to the next; P are the vectors of rows and columns.

    Args:
        embed_dim: Width of the places.
        channels: Channels behind the first and the second convolution.
        image_size: Side of the square images in pixels; a multiple of 6.
        dropout: Probability of dropping while training.

    Attributes:
        embed_dim: Width of the places.

    Raises:
        TypeError: If a size is not an integer, or ``dropout`` not a number.
        ValueError: If a size is below 1, ``image_size`` no multiple of 6, there are not two
            numbers of channels, or ``dropout`` lies outside [0, 1).

    Taught in :doc:`/notebooks/34_injected_nested_modules`.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        channels: tuple[int, int] = (48, 96),
        image_size: int = 18,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_positive(embed_dim=embed_dim, image_size=image_size)
        require_probability(dropout=dropout)
        if len(channels) != 2:
            raise ValueError(f"channels must hold two numbers, got {channels}")
        first, second = channels
        require_positive(first_channels=first, second_channels=second)
        _require_multiple(image_size, CONV_STRIDE)
        self.embed_dim, self.image_size = embed_dim, image_size
        self.layers = nn.Sequential(
            nn.Conv2d(3, first, kernel_size=3, stride=3),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, kernel_size=4, stride=2, padding=1),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Conv2d(second, embed_dim, kernel_size=1),
        )
        self.norm = nn.LayerNorm(embed_dim)
        self.positions = GridPositions(side=image_size // CONV_STRIDE, embed_dim=embed_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch places embed_dim"]:
        """Look at images.

        Args:
            images: The images, values from 0 to 1.

        Returns:
            A vector for each place, row by row.

        Raises:
            TypeError: If ``images`` is not a tensor of floats.
            ValueError: If ``images`` has another shape.
        """
        x = self.layers(_standardised(images, self.image_size))  # (batch, embed_dim, row, column)
        return self.dropout(self.positions(self.norm(x.flatten(2).transpose(1, 2))))


class PatchEncoder(nn.Module):
    r"""Look at an image as a vision Transformer does: patches, positions, encoder layers.

    .. math:: m = \operatorname{encoder}\big(\operatorname{LN}(W x_n + b) + P\big)

    :math:`x_n` are the values of patch n, P are the vectors of rows and columns. There is no class
    token: the decoder is to look at the places.

    Args:
        embed_dim: Width of the places.
        num_heads: Number of attention heads; divides ``embed_dim``.
        num_layers: Number of encoder layers.
        dim_feedforward: Width inside the feed-forward; four times ``embed_dim`` when left out.
        image_size: Side of the square images in pixels.
        patch_size: Side of a patch in pixels; divides ``image_size``.
        dropout: Probability of dropping while training.

    Attributes:
        embed_dim: Width of the places.

    Raises:
        TypeError: If a size is not an integer, or ``dropout`` not a number.
        ValueError: If a size is below 1, ``num_heads`` does not divide ``embed_dim``,
            ``patch_size`` does not divide ``image_size``, or ``dropout`` lies outside [0, 1).

    Source: Dosovitskiy et al. (2021), section 3.1.
    Taught in :doc:`/notebooks/34_injected_nested_modules`.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        num_heads: int = 4,
        num_layers: int = 1,
        dim_feedforward: int | None = None,
        image_size: int = 18,
        patch_size: int = 6,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_positive(embed_dim=embed_dim, image_size=image_size, patch_size=patch_size)
        _require_multiple(image_size, patch_size)
        self.embed_dim, self.image_size = embed_dim, image_size
        self.patches = PatchEmbedding(patch_size=patch_size, num_channels=3, embed_dim=embed_dim)
        self.norm = nn.LayerNorm(embed_dim)
        self.positions = GridPositions(side=image_size // patch_size, embed_dim=embed_dim)
        self.encoder = TransformerEncoder(
            num_layers=num_layers,
            embed_dim=embed_dim,
            num_heads=num_heads,
            dim_feedforward=4 * embed_dim if dim_feedforward is None else dim_feedforward,
            dropout=dropout,
            norm_first=True,
        )

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, "batch places embed_dim"]:
        """Look at images.

        Args:
            images: The images, values from 0 to 1.

        Returns:
            A vector for each place, row by row.

        Raises:
            TypeError: If ``images`` is not a tensor of floats.
            ValueError: If ``images`` has another shape.
        """
        patches = self.patches(_standardised(images, self.image_size))
        return self.encoder(self.positions(self.norm(patches)))


def _standardised(images: Tensor, size: int) -> Tensor:
    require_images(images, 3, size, size)
    return (images - MEAN) / SPREAD


def _require_multiple(image_size: int, step: int) -> None:
    if image_size % step:
        raise ValueError(f"image_size must be a multiple of {step}, got {image_size}")
