"""A small convolutional network that classifies images."""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from tutorial_lib.experiments.images.patches import require_images
from tutorial_lib.validation import require_positive, require_probability

SHRINKING = 4  # two poolings of 2 by 2


class ConvNet(nn.Module):
    r"""Classify an image: three convolutions, two poolings, one linear map.

    .. math:: \hat y = \operatorname{head}\big(
        \operatorname{pool} c_3 \big(\operatorname{pool} c_2 (c_1(x))\big)\big), \qquad
        c(x) = \operatorname{relu}(K * x + b)

    Every kernel K is 3 by 3 pixels, every pooling takes the largest of 2 by 2 places. The head
    reads all places of the last grid.

    Args:
        image_size: Side of the square images in pixels; a multiple of 4.
        num_channels: Channels of the images.
        num_classes: Number of scores.
        channels: Channels behind each of the three convolutions.
        dropout: Probability of dropping what the head reads, while training.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, ``image_size`` no multiple of 4, there are not three
            numbers of channels, or ``dropout`` lies outside [0, 1).

    Source: LeCun et al. (1998), section II.
    Taught in :doc:`/notebooks/45_vision_transformer`.
    """

    def __init__(
        self,
        *,
        image_size: int,
        num_channels: int,
        num_classes: int,
        channels: tuple[int, int, int] = (16, 32, 40),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_positive(image_size=image_size, num_channels=num_channels, num_classes=num_classes)
        require_probability(dropout=dropout)
        if image_size % SHRINKING:
            raise ValueError(f"image_size must be a multiple of {SHRINKING}, got {image_size}")
        if len(channels) != 3:
            raise ValueError(f"channels must hold three numbers, got {channels}")
        for number in channels:
            require_positive(channels=number)
        self.image_size, self.num_channels = image_size, num_channels
        widths = pairwise((num_channels, *channels))
        first, second, third = (nn.Conv2d(a, b, kernel_size=3, padding=1) for a, b in widths)
        self.features = nn.Sequential(
            first,
            nn.ReLU(),
            second,
            nn.ReLU(),
            nn.MaxPool2d(2),
            third,
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels[-1] * (image_size // SHRINKING) ** 2, num_classes)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch num_classes"]:
        """Score the classes of every image.

        Args:
            images: The images.

        Returns:
            Logits, one row for each image.

        Raises:
            TypeError: If ``images`` is not a tensor of floats.
            ValueError: If ``images`` has another shape.
        """
        require_images(images, self.num_channels, self.image_size, self.image_size)
        return self.head(self.dropout(self.features(images).flatten(1)))
