"""Images that torchvision would read: from files on disk, through a small stand-in for it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from tutorial_lib.experiments.images.torchvision_data import ByteImages, TorchvisionDataModule

COLOURS = {"blue": (0, 0, 255), "grey": (51, 51, 51), "red": (255, 0, 0)}
EACH = 10  # images of a class


class ImageFolder:
    """What torchvision's class of this name does: a subfolder a class, in alphabetic order."""

    def __init__(self, root: Path) -> None:
        self.classes = sorted(folder.name for folder in Path(root).iterdir() if folder.is_dir())
        self.samples = [
            (path, label)
            for label, name in enumerate(self.classes)
            for path in sorted((Path(root) / name).iterdir())
        ]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        path, label = self.samples[index]
        with Image.open(path) as image:
            return image.convert("RGB"), label


class CIFAR10:
    """What torchvision's class of this name does, with 40 images that know their number."""

    classes = ("airplane", "automobile", "bird")
    fetched: ClassVar[list[tuple[str, bool]]] = []

    def __init__(self, root: Path, *, train: bool = True, download: bool = False) -> None:
        if download:
            self.fetched.append((str(root), train))
            Path(root).mkdir(exist_ok=True)
        if not Path(root).is_dir():
            raise RuntimeError("Dataset not found or corrupted. You can use download=True")
        numbers = range(40) if train else range(100, 110)
        self.items = [(Image.fromarray(np.full((32, 32, 3), n, np.uint8)), n % 3) for n in numbers]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return self.items[index]


@pytest.fixture
def torchvision(monkeypatch):
    module = ModuleType("torchvision")
    module.datasets = SimpleNamespace(ImageFolder=ImageFolder, CIFAR10=CIFAR10)
    monkeypatch.setitem(sys.modules, "torchvision", module)
    CIFAR10.fetched.clear()


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder of small pictures, of several shapes and kinds of files."""
    for name, colour in COLOURS.items():
        (tmp_path / name).mkdir()
        for number in range(EACH):
            picture = Image.new("RGB", (6 + number, 8), colour)
            if name == "grey" and number % 2:
                picture = picture.convert("L")
            picture.save(tmp_path / name / f"{number}.png")
    return tmp_path


def make(**settings) -> TorchvisionDataModule:
    module = TorchvisionDataModule(**({"batch_size": 4} | settings))
    module.prepare_data()
    module.setup("fit")
    return module


@pytest.mark.usefixtures("torchvision")
def test_a_folder_of_images_becomes_three_disjoint_parts(photos):
    module = make(source="ImageFolder", root=str(photos), image_size=4, val_share=0.2)
    assert module.classes == ["blue", "grey", "red"]
    assert [len(rows) for rows in module.splits] == [18, 6, 6]
    labels = torch.cat([rows.tensors[1] for rows in module.splits])
    assert labels.bincount().tolist() == [EACH] * 3
    for rows in module.splits:
        for image, label in zip(*rows.tensors, strict=True):
            colour = COLOURS[module.classes[int(label)]]
            assert image.equal(
                torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(3, 4, 4)
            )


@pytest.mark.usefixtures("torchvision")
def test_a_picture_is_scaled_and_not_cut(photos):
    for path in photos.glob("*/*.png"):
        halves = Image.new("RGB", (16, 8), (0, 0, 0))
        halves.paste((255, 255, 255), (8, 0, 16, 8))  # the right half is white
        halves.save(path)
    module = make(source="ImageFolder", root=str(photos), image_size=4, val_share=0.2)
    image = module.splits[0].tensors[0][0]
    assert image[:, :, 0].eq(0).all()
    assert image[:, :, 3].eq(255).all()
    assert image.shape == (3, 4, 4)


@pytest.mark.usefixtures("torchvision")
def test_cifar_keeps_its_own_test_images(tmp_path):
    module = make(source="CIFAR10", root=str(tmp_path), val_share=0.25)
    numbers = [sorted(rows.tensors[0][:, 0, 0, 0].tolist()) for rows in module.splits]
    assert [len(part) for part in numbers] == [30, 10, 10]
    assert sorted(numbers[0] + numbers[1]) == list(range(40))
    assert numbers[2] == list(range(100, 110))
    assert module.classes == ["airplane", "automobile", "bird"]
    assert CIFAR10.fetched == []
    for rows in module.splits:
        assert rows.tensors[1].equal(rows.tensors[0][:, 0, 0, 0].long() % 3)


@pytest.mark.usefixtures("torchvision")
def test_cifar_is_fetched_only_when_that_is_allowed(tmp_path):
    place = str(tmp_path / "cifar")
    with pytest.raises(RuntimeError, match="Dataset not found"):
        make(root=place)
    make(root=place, download=True)
    assert CIFAR10.fetched == [(place, True), (place, False)]


@pytest.mark.usefixtures("torchvision")
def test_the_split_is_that_of_the_seed(tmp_path):
    def validation(seed):
        rows = make(root=str(tmp_path), seed=seed).splits[1]
        return rows.tensors[0][:, 0, 0, 0].tolist()

    assert validation(0) == validation(0) != validation(1)


@pytest.mark.usefixtures("torchvision")
def test_batches_are_floats_from_minus_one_to_one(tmp_path):
    module = make(root=str(tmp_path))
    images, labels = next(iter(module.test_dataloader()))
    assert images.dtype == torch.float32
    assert images.shape == (4, 3, 32, 32)
    torch.testing.assert_close(images[:, 0, 0, 0], torch.arange(100, 104) / 127.5 - 1)
    assert labels.tolist() == [n % 3 for n in range(100, 104)]
    images, _ = next(iter(module.train_dataloader()))
    assert -1 <= images.min() <= images.max() <= 1


def test_bytes_are_handed_out_as_floats_one_by_one_and_at_once():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8)[:, None, None, None]
    rows = ByteImages(images, torch.arange(3))
    assert [round(float(rows[index][0]), 6) for index in range(3)] == [-1, -0.6, 1]
    batch, labels = rows.__getitems__([2, 0])
    assert batch.flatten().tolist() == [1, -1]
    assert labels.tolist() == [2, 0]
    assert rows.tensors[0].dtype == torch.uint8


def test_without_torchvision_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    says = "not installed: pip install torchvision"
    with pytest.raises(ModuleNotFoundError, match=says):
        TorchvisionDataModule().setup("fit")
    with pytest.raises(ModuleNotFoundError, match=says):
        TorchvisionDataModule(download=True).prepare_data()
    TorchvisionDataModule().prepare_data()  # there is nothing to fetch


@pytest.mark.usefixtures("torchvision")
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5])
def test_a_share_that_leaves_a_part_empty_is_refused(share, photos):
    with pytest.raises(ValueError, match=r"val_share must leave images in all 3 parts of 30, got"):
        make(source="ImageFolder", root=str(photos), val_share=share)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"source": "MNIST"}, ValueError, r"source must be one of \['CIFAR10', .* got 'MNIST'"),
        ({"image_size": 0}, ValueError, "image_size must be at least 1, got 0"),
        ({"val_share": 1.0}, ValueError, r"val_share must be at least 0 and below 1, got 1\.0"),
        ({"val_share": "some"}, TypeError, "val_share must be a number, got str"),
    ],
)
def test_wrong_settings_are_refused(wrong, error, says):
    with pytest.raises(error, match=f"^{says}"):
        TorchvisionDataModule(**wrong)
