"""Real images through torchvision: CIFAR-10, CIFAR-100, or a folder of your own."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tutorial_lib.lightning.loaders import TensorRows
from tutorial_lib.lightning.splits import RowsDataModule
from tutorial_lib.validation import require_positive, require_probability

Source = Literal["CIFAR10", "CIFAR100", "ImageFolder"]
SOURCES: tuple[Source, ...] = ("CIFAR10", "CIFAR100", "ImageFolder")


class ByteImages(TensorRows):
    r"""Images that are kept as bytes, and handed out as floats from -1 to 1.

    .. math:: x = \frac{\text{byte}}{127.5} - 1

    A byte takes a quarter of the memory of a float. Published vision Transformers want the values
    in this range.

    Args:
        tensors: The images as bytes, ``(rows, channels, height, width)``, and their classes.

    Raises:
        TypeError: If one is not a tensor.
        ValueError: If there are not as many images as labels.

    Taught in :doc:`/notebooks/45_vision_transformer`.
    """

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        images, labels = super().__getitems__(indices)
        return images.float() / 127.5 - 1, labels


class TorchvisionDataModule(RowsDataModule):
    """Training, validation and test images that torchvision reads.

    CIFAR comes with a test set; a folder is split into three. All images are read once, by
    ``setup``, and stay in memory.

    Args:
        source: "CIFAR10", "CIFAR100", or "ImageFolder": a folder with a subfolder of images for
            each class.
        root: Where the images are, or where CIFAR is stored.
        image_size: Side in pixels to which images are scaled, whatever their shape.
        val_share: Share of the images that is kept for validation; of a folder as many again are
            kept for the test.
        download: Whether CIFAR may be fetched when it is not there.
        batch_size: Images in a batch.
        seed: Seed of the split and of the training order.

    Attributes:
        classes: The names of the classes, from ``setup`` on.

    Raises:
        TypeError: If ``image_size`` is not an integer, or ``val_share`` not a number; or as
            ``RowsDataModule``.
        ValueError: If ``source`` is not known, ``image_size`` below 1, or ``val_share`` outside
            [0, 1); or as ``RowsDataModule``; from ``setup``, if there are too few images for
            three parts.
        ModuleNotFoundError: From ``setup``, if torchvision is not installed.
        RuntimeError: From ``setup``, if CIFAR is not there and may not be fetched.

    Source: Krizhevsky (2009). Taught in :doc:`/notebooks/45_vision_transformer`.
    """

    classes: list[str]

    def __init__(
        self,
        *,
        source: Source = "CIFAR10",
        root: str = "data",
        image_size: int = 32,
        val_share: float = 0.1,
        download: bool = False,
        batch_size: int = 128,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed)
        if source not in SOURCES:
            raise ValueError(f"source must be one of {list(SOURCES)}, got {source!r}")
        require_positive(image_size=image_size)
        require_probability(val_share=val_share)
        self.save_hyperparameters()
        self.source: Source = source
        self.root, self.download = Path(root), download
        self.image_size, self.val_share = image_size, val_share

    def prepare_data(self) -> None:
        """Fetch CIFAR, once for all processes, if that is allowed."""
        if self.source != "ImageFolder" and self.download:
            for train in (True, False):
                getattr(_datasets(), self.source)(self.root, train=train, download=True)

    def make_splits(self) -> list[TensorRows]:
        """Read the images; every process splits them the same way."""
        if self.source == "ImageFolder":
            everything = _datasets().ImageFolder(self.root)
            self.classes = list(everything.classes)
            val, test, train = self._parts(*_read(everything, self.image_size), kept=2)
            return [train, val, test]
        kind = getattr(_datasets(), self.source)
        theirs = [kind(self.root, train=train, download=False) for train in (True, False)]
        self.classes = list(theirs[0].classes)
        val, train = self._parts(*_read(theirs[0], self.image_size), kept=1)
        return [train, val, ByteImages(*_read(theirs[1], self.image_size))]

    def _parts(self, images: Tensor, labels: Tensor, *, kept: int) -> list[TensorRows]:
        """Keep some parts of ``val_share`` each; the rest comes last."""
        size = int(self.val_share * len(labels))
        if not 0 < kept * size < len(labels):
            raise ValueError(
                f"val_share must leave images in all {kept + 1} parts of {len(labels)}, "
                f"got {self.val_share}"
            )
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(labels), generator=generator)
        cuts = [size] * kept + [len(labels) - kept * size]
        return [ByteImages(images[rows], labels[rows]) for rows in order.split(cuts)]


def _read(dataset: Any, image_size: int) -> tuple[Tensor, Tensor]:
    images, labels = [], []
    for image, label in dataset:
        scaled = image.convert("RGB").resize((image_size, image_size), Image.Resampling.BILINEAR)
        images.append(torch.from_numpy(np.array(scaled)).permute(2, 0, 1))
        labels.append(label)
    return torch.stack(images), torch.tensor(labels)


def _datasets() -> Any:
    try:
        return import_module("torchvision").datasets
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise ModuleNotFoundError(
            "real images are read by torchvision, which is not installed: pip install torchvision",
            name="torchvision",
        ) from None
