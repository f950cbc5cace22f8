"""A small convolutional network that turns an image into a vector."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from tutorial_lib.experiments.images.patches import require_images
from tutorial_lib.validation import require_positive

SHRINKING = 4  # two strides of 2


class ConvEmbedding(nn.Module):
    r"""Turn an image into a vector: two convolutions, one linear map, all normalised.

    .. math:: z = \operatorname{BN}\big(W\, c_2(c_1(x)) + b\big), \qquad
        c(x) = \operatorname{relu}(\operatorname{BN}(K * x))

    The first kernels are 4 by 4 pixels, the second 2 by 2 places; both move on by 2. BN is batch
    normalisation: mean 0 and variance 1 over the images of a batch while training, and fixed
    numbers afterwards, so that a trained embedding of an image depends on no other image.

    Args:
        image_size: Side of the square images in pixels; a multiple of 4.
        num_channels: Channels of the images.
        embed_dim: Width of the vector.
        width: Kernels of the first convolution; the second has twice as many.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, or ``image_size`` no multiple of 4.

    Source: Ioffe and Szegedy (2015), algorithm 1, for the normalisation.
    Taught in :doc:`/notebooks/42_odd_one_out`.
    """

    def __init__(
        self, *, image_size: int, num_channels: int, embed_dim: int, width: int = 16
    ) -> None:
        super().__init__()
        require_positive(
            image_size=image_size, num_channels=num_channels, embed_dim=embed_dim, width=width
        )
        if image_size % SHRINKING:
            raise ValueError(f"image_size must be a multiple of {SHRINKING}, got {image_size}")
        self.image_size, self.num_channels = image_size, num_channels
        places = (image_size // SHRINKING) ** 2
        # A bias in front of a normalisation would be taken away again.
        self.layers = nn.Sequential(
            nn.Conv2d(num_channels, width, kernel_size=4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, kernel_size=2, stride=2, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(2 * width * places, embed_dim, bias=False),
            nn.BatchNorm1d(embed_dim),
        )

    def forward(
        self, images: Float[Tensor, "images channels height width"]
    ) -> Float[Tensor, "images embed_dim"]:
        """Turn images into vectors.

        Args:
            images: The images.

        Returns:
            A vector for each image.

        Raises:
            TypeError: If ``images`` is not a tensor of floats.
            ValueError: If it has another shape.
        """
        require_images(images, self.num_channels, self.image_size, self.image_size)
        return self.layers(images)
