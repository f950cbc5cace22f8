"""Find the odd one of a set of images: nine of one class, one of another."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from tutorial_lib.experiments.images.digits import digit_splits
from tutorial_lib.experiments.images.torchvision_data import TorchvisionDataModule
from tutorial_lib.experiments.odd_one_out.sets import (
    FreshSets,
    ImageSets,
    SetSampler,
    seeded_generator,
)
from tutorial_lib.lightning.loaders import TensorRows
from tutorial_lib.lightning.splits import RowsDataModule
from tutorial_lib.validation import require_at_least_zero, require_counts, require_positive

ImageSource = Literal["digits", "CIFAR100"]
IMAGE_SOURCES: tuple[ImageSource, ...] = ("digits", "CIFAR100")


class OddOneOutDataModule(RowsDataModule):
    """Training, validation and test sets of images, each with one of another class.

    The images are split first, so that no image is in sets of two splits. Validation and test sets
    are drawn once; training sets are drawn afresh for every batch, their images moved a little.

    Args:
        source: Where the images are from: "digits", which ship with scikit-learn, or "CIFAR100",
            which torchvision reads.
        root: Where CIFAR-100 is stored.
        download: Whether CIFAR-100 may be fetched when it is not there.
        set_size: Images in a set.
        train_size: Training sets in an epoch.
        val_size: Number of validation sets.
        test_size: Number of test sets.
        max_shift: Most pixels, or parts of a pixel, that a training image is moved.
        odd_place: Where the odd one stands; anywhere when left out.
        batch_size: Sets in a batch.
        seed: Seed of the split, of the sets and of the training order.

    Attributes:
        images: The images of each split and their classes, from ``setup`` on.

    Raises:
        TypeError: If ``max_shift`` is not a number; or as ``RowsDataModule``.
        ValueError: If ``source`` is not known, or ``max_shift`` or ``seed`` negative; or as
            ``RowsDataModule``; from ``setup``, if ``set_size`` is below 3, ``odd_place`` outside
            the set, or a class has too few images.
        ModuleNotFoundError: From ``setup``, if CIFAR-100 is asked for and torchvision is not
            installed.
        RuntimeError: From ``setup``, if CIFAR-100 is not there and may not be fetched.

    Source: Zaheer et al. (2017) and Lee et al. (2019) for the task, in the form of Lippe (2024);
    digits: Alpaydin and Kaynak (1998); CIFAR-100: Krizhevsky (2009).
    Taught in :doc:`/notebooks/42_odd_one_out`.
    """

    images: list[TensorRows]

    def __init__(
        self,
        *,
        source: ImageSource = "digits",
        root: str = "data",
        download: bool = False,
        set_size: int = 10,
        train_size: int = 9_600,
        val_size: int = 1_000,
        test_size: int = 5_000,
        max_shift: float = 0.5,
        odd_place: int | None = None,
        batch_size: int = 32,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, sizes=(train_size, val_size, test_size))
        if source not in IMAGE_SOURCES:
            raise ValueError(f"source must be one of {list(IMAGE_SOURCES)}, got {source!r}")
        require_positive(set_size=set_size)
        require_at_least_zero(max_shift=max_shift)
        require_counts(seed=seed)
        self.save_hyperparameters()
        self.source: ImageSource = source
        self.root, self.download = root, download
        self.set_size, self.odd_place = set_size, odd_place
        self.max_shift = max_shift

    def prepare_data(self) -> None:
        """Fetch CIFAR-100, once for all processes, if it is wanted and that is allowed."""
        if self.source == "CIFAR100":
            self._torchvision().prepare_data()

    def make_splits(self) -> list[TensorRows]:
        """Split the images and draw the sets; every process draws the same ones."""
        if self.source == "CIFAR100":
            self.images = list(self._torchvision().make_splits())
        else:
            self.images = [TensorRows(*part) for part in digit_splits(seed=self.seed)]
        train, val, test = (self._sampler(rows.tensors[1]) for rows in self.images)
        fresh = FreshSets(
            self.images[0], train, size=self.sizes[0], max_shift=self.max_shift, seed=self.seed
        )
        return [fresh, self._fixed(1, val), self._fixed(2, test)]

    def _fixed(self, split: int, sampler: SetSampler) -> ImageSets:
        drawn = sampler.draw(self.sizes[split], seeded_generator(self.seed, split))
        return ImageSets(self.images[split], *drawn)

    def _sampler(self, labels: Tensor) -> SetSampler:
        return SetSampler(labels, set_size=self.set_size, odd_place=self.odd_place)

    def _torchvision(self) -> TorchvisionDataModule:
        return TorchvisionDataModule(
            source="CIFAR100", root=self.root, download=self.download, seed=self.seed
        )
