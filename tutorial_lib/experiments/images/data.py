"""The handwritten digits as training, validation and test data, one image a row."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from tutorial_lib.experiments.images.digits import digit_splits
from tutorial_lib.lightning.loaders import TensorRows
from tutorial_lib.lightning.splits import RowsDataModule
from tutorial_lib.validation import require_counts


def shifted_copies(
    images: Float[Tensor, "size channels height width"], max_shift: int
) -> Float[Tensor, "copies channels height width"]:
    r"""Move images by up to some pixels in every direction, and keep all the copies.

    .. math:: \text{copy}_{r,c} = \text{image}_{r - \delta, c - \epsilon}, \qquad
        \delta, \epsilon \in \{-k, \dots, k\}

    What leaves the frame is lost, and 0 comes in. All images come moved one way, then all of them
    another way; unmoved ones stand in the middle.

    Args:
        images: The images.
        max_shift: Most pixels down or up, right or left, k.

    Returns:
        :math:`(2k + 1)^2` copies of each image.

    Raises:
        TypeError: If ``max_shift`` is not an integer.
        ValueError: If it is negative.

    Taught in :doc:`/notebooks/45_vision_transformer`.
    """
    require_counts(max_shift=max_shift)
    height, width = images.shape[-2:]
    padded = F.pad(images, (max_shift,) * 4)
    starts = range(2 * max_shift + 1)
    return torch.cat([padded[..., r : r + height, c : c + width] for r in starts for c in starts])


class DigitDataModule(RowsDataModule):
    """Training, validation and test images of the handwritten digits.

    Args:
        batch_size: Images in a batch.
        max_shift: Most pixels that copies of the training images are moved, in every direction;
            no copies when 0. Validation and test images stay as they are.
        seed: Seed of the split and of the training order.

    Raises:
        TypeError: If ``max_shift`` is not an integer; or as ``RowsDataModule``.
        ValueError: If ``max_shift`` is negative; or as ``RowsDataModule``.

    Taught in :doc:`/notebooks/45_vision_transformer`.
    """

    def __init__(self, *, batch_size: int = 64, max_shift: int = 0, seed: int = 0) -> None:
        super().__init__(batch_size, seed)
        require_counts(max_shift=max_shift)
        self.save_hyperparameters()
        self.max_shift = max_shift

    def make_splits(self) -> list[TensorRows]:
        """Split the images; every process splits them the same way."""
        train, val, test = digit_splits(seed=self.seed)
        images = shifted_copies(train.images, self.max_shift)
        labels = train.labels.repeat(len(images) // len(train.images))
        return [TensorRows(images, labels), TensorRows(*val), TensorRows(*test)]
