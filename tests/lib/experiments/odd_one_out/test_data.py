"""The odd-one-out data: images split first, sets drawn after; CIFAR-100 by one argument."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_lib.experiments.images.digits import digit_splits
from tutorial_lib.experiments.odd_one_out.data import OddOneOutDataModule
from tutorial_lib.experiments.odd_one_out.sets import FreshSets, ImageSets

SIZES: dict[str, Any] = {
    "set_size": 5,
    "train_size": 24,
    "val_size": 9,
    "test_size": 11,
    "batch_size": 4,
}


def make(**settings):
    module = OddOneOutDataModule(**(SIZES | settings))
    module.prepare_data()
    module.setup("fit")
    return module


def numbers_of(sets, images):
    """Find every image of the sets among all images."""
    flat = sets.flatten(2).flatten(0, 1)
    distances = torch.cdist(flat, images.flatten(1))
    assert distances.amin(1).max() < 1e-4
    return distances.argmin(1)


def test_the_splits_are_of_the_sizes_asked_for():
    module = make()
    assert [type(split) for split in module.splits] == [FreshSets, ImageSets, ImageSets]
    assert [len(split) for split in module.splits] == [24, 9, 11]
    assert [len(rows) for rows in module.images] == [1077, 360, 360]
    for rows, split in zip(module.images, digit_splits(seed=0), strict=True):
        assert rows.tensors[0].equal(split.images)
        assert rows.tensors[1].equal(split.labels)


def test_the_sets_of_a_split_hold_images_of_that_split_only():
    module = make(max_shift=0.0)
    loaders = module.train_dataloader(), module.val_dataloader(), module.test_dataloader()
    for loader, rows in zip(loaders, module.images, strict=True):
        for sets, places in loader:
            assert sets.shape[1:] == (5, 1, 8, 8)
            classes = rows.tensors[1][numbers_of(sets, rows.tensors[0])].view(-1, 5)
            odd = classes.gather(1, places[:, None])
            assert (classes == odd).sum(1).eq(1).all()
            assert all(len(row.unique()) == 2 for row in classes)


def test_training_images_are_moved_and_others_are_not():
    module = make()
    sets, _ = module.splits[0].__getitems__([0, 1])
    images = module.images[0].tensors[0]
    assert torch.cdist(sets.flatten(2).flatten(0, 1), images.flatten(1)).amin(1).max() > 0.1
    for split in (1, 2):
        numbers_of(module.splits[split].__getitems__([0, 1])[0], module.images[split].tensors[0])


def test_training_sets_are_new_every_epoch_and_test_sets_are_not():
    module = make()
    for loader, same in [(module.train_dataloader(), False), (module.test_dataloader(), True)]:
        one, other = (torch.cat([sets for sets, _ in loader]) for _ in range(2))
        assert one.equal(other) == same


def test_the_draw_is_that_of_the_seed():
    one, again, other = (make(seed=seed).splits[2].tensors[0] for seed in (3, 3, 4))
    assert one.equal(again)
    assert not one.equal(other)


def test_the_odd_one_stands_where_it_is_told_to():
    module = make(odd_place=4)
    for loader in (module.train_dataloader(), module.test_dataloader()):
        assert all(places.eq(4).all() for _, places in loader)


class CIFAR100:
    """What torchvision's class of this name does, in small; an image knows its number."""

    classes = ("apple", "bee", "cup")
    fetched: ClassVar[list[tuple[str, bool]]] = []

    def __init__(self, root: Path, *, train: bool = True, download: bool = False) -> None:
        if download:
            self.fetched.append((str(root), train))
            Path(root).mkdir(exist_ok=True)
        if not Path(root).is_dir():
            raise RuntimeError("Dataset not found or corrupted. You can use download=True")
        numbers = range(120) if train else range(150, 180)
        self.items = [(Image.fromarray(np.full((32, 32, 3), n, np.uint8)), n % 3) for n in numbers]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return self.items[index]


@pytest.fixture
def torchvision(monkeypatch):
    module = ModuleType("torchvision")
    module.datasets = SimpleNamespace(CIFAR100=CIFAR100)
    monkeypatch.setitem(sys.modules, "torchvision", module)
    CIFAR100.fetched.clear()


@pytest.mark.usefixtures("torchvision")
def test_one_argument_takes_cifar_instead(tmp_path):
    module = make(source="CIFAR100", root=str(tmp_path), set_size=3, max_shift=0.0)
    assert [len(rows) for rows in module.images] == [108, 12, 30]
    assert CIFAR100.fetched == []
    parts = []
    for loader in (module.train_dataloader(), module.val_dataloader(), module.test_dataloader()):
        seen = set()
        for sets, places in loader:
            assert sets.shape[1:] == (3, 3, 32, 32)
            assert sets.dtype == torch.float32
            numbers = ((sets[..., 0, 0, 0] + 1) * 127.5).round().long()
            odd = (numbers % 3).gather(1, places[:, None])
            assert (numbers % 3 == odd).sum(1).eq(1).all()
            seen |= set(numbers.flatten().tolist())
        parts.append(seen)
    assert not parts[0] & parts[1]
    assert max(parts[0] | parts[1]) < 120
    assert min(parts[2]) >= 150


@pytest.mark.usefixtures("torchvision")
def test_cifar_is_fetched_only_when_that_is_allowed(tmp_path):
    place = str(tmp_path / "cifar")
    with pytest.raises(RuntimeError, match="Dataset not found"):
        make(source="CIFAR100", root=place, set_size=3)
    make(source="CIFAR100", root=place, set_size=3, download=True)
    assert CIFAR100.fetched == [(place, True), (place, False)]


def test_without_torchvision_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ModuleNotFoundError, match="not installed: pip install torchvision"):
        OddOneOutDataModule(source="CIFAR100").setup("fit")
    OddOneOutDataModule(source="CIFAR100").prepare_data()  # there is nothing to fetch
    make()  # the digits need no torchvision


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"source": "MNIST"}, ValueError, r"source must be one of \['digits', 'CIFAR100'\], got"),
        ({"set_size": 0}, ValueError, "set_size must be at least 1, got 0"),
        ({"max_shift": -1.0}, ValueError, "max_shift must be at least 0"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
    ],
)
def test_wrong_settings_are_refused(wrong, error, says):
    with pytest.raises(error, match=f"^{says}"):
        OddOneOutDataModule(**wrong)
