"""Handwritten digits that ship with scikit-learn, split without overlap."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor

NUM_CLASSES, SIDE = 10, 8


class Digits(NamedTuple):
    """Images and the digits they show.

    Args:
        images: Grey values from 0 (paper) to 1 (ink).
        labels: The digits, 0 to 9.
    """

    images: Float[Tensor, "size 1 8 8"]
    labels: Int[Tensor, " size"]


class DigitSplits(NamedTuple):
    """Three disjoint parts of the digits.

    Args:
        train: 1 077 images.
        val: 360 images.
        test: 360 images.
    """

    train: Digits
    val: Digits
    test: Digits


def digit_splits(*, seed: int = 0) -> DigitSplits:
    """Split the 1 797 images into three parts, each with the classes' shares of the whole.

    Args:
        seed: Seed of the split.

    Returns:
        Training, validation and test images; no image is in two of them.

    Source: Alpaydin and Kaynak (1998), as scikit-learn ships them.
    """
    pixels, target = load_digits(return_X_y=True)
    images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, SIDE, SIDE) / 16
    labels = torch.tensor(target, dtype=torch.int64)
    rest, test = train_test_split(
        range(len(labels)), test_size=360, stratify=labels, random_state=seed
    )
    train, val = train_test_split(rest, test_size=360, stratify=labels[rest], random_state=seed)
    return DigitSplits(*(Digits(images[rows], labels[rows]) for rows in (train, val, test)))
