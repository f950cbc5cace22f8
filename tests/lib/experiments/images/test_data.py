"""The digits' data module holds the splits; copies are moved as the formula says."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.experiments.images.data import DigitDataModule, shifted_copies
from tutorial_lib.experiments.images.digits import digit_splits


def make(**settings) -> DigitDataModule:
    module = DigitDataModule(**settings)
    module.setup("fit")
    return module


def test_the_splits_are_those_of_the_seed():
    for seed in (0, 3):
        module = make(seed=seed)
        for rows, (images, labels) in zip(module.splits, digit_splits(seed=seed), strict=True):
            assert rows.tensors[0].equal(images)
            assert rows.tensors[1].equal(labels)


def test_the_loaders_give_images_with_their_labels():
    module = make(batch_size=100)
    images, labels = next(iter(module.train_dataloader()))
    assert images.shape == (100, 1, 8, 8)
    assert labels.shape == (100,)
    known = {
        tuple(image.flatten().tolist()): int(label)
        for image, label in zip(*digit_splits().train, strict=True)
    }
    assert [known[tuple(image.flatten().tolist())] for image in images] == labels.tolist()


def test_training_images_are_moved_and_the_others_stay():
    plain, moved = make(), make(max_shift=1)
    assert [len(rows) for rows in moved.splits] == [9 * 1077, 360, 360]
    for one, other in zip(plain.splits[1:], moved.splits[1:], strict=True):
        assert one.tensors[0].equal(other.tensors[0])
    images, labels = moved.splits[0].tensors
    assert images.equal(shifted_copies(digit_splits().train.images, 1))
    for copy, same in zip(images.split(1077), labels.split(1077), strict=True):
        assert same.equal(digit_splits().train.labels)
        assert copy.shape == (1077, 1, 8, 8)


def test_a_small_image_is_moved_as_worked_by_hand():
    image = torch.tensor([[[[1.0, 2], [3, 4]]]])
    down_right, up, left = ([[0, 0], [0, 1]], [[3, 4], [0, 0]], [[2, 0], [4, 0]])
    copies = shifted_copies(image, 1)[:, 0].tolist()
    assert len(copies) == 9
    assert (copies[0], copies[7], copies[5]) == (down_right, up, left)
    assert copies[4] == image[0, 0].tolist()


@given(shift=st.integers(0, 3), size=st.integers(1, 3), seed=st.integers(0, 9))
def test_copies_are_the_images_moved_every_way(shift, size, seed):
    images = torch.rand(size, 2, 4, 5, generator=torch.Generator().manual_seed(seed))
    copies = shifted_copies(images, shift).split(size)
    reach = range(-shift, shift + 1)
    # The window moves up and left first, so the image moves down and right.
    moves = [(-r, -c) for r in reach for c in reach]
    assert len(copies) == len(moves) == (2 * shift + 1) ** 2
    for copy, (down, right) in zip(copies, moves, strict=True):
        expected = torch.zeros_like(images)
        for r in range(4):
            for c in range(5):
                if 0 <= r - down < 4 and 0 <= c - right < 5:
                    expected[..., r, c] = images[..., r - down, c - right]
        assert copy.equal(expected)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"max_shift": -1}, ValueError, "max_shift must be at least 0, got -1"),
        ({"max_shift": 0.5}, TypeError, "max_shift must be an integer, got float"),
    ],
)
def test_wrong_settings_are_refused(wrong, error, says):
    with pytest.raises(error, match=f"^{says}"):
        DigitDataModule(**wrong)
    with pytest.raises(error, match=f"^{says}"):
        shifted_copies(torch.zeros(1, 1, 2, 2), wrong["max_shift"])
