"""The reversal data is what it says: drawn by seed, reversed, and split without overlap."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from tutorial_lib.experiments.reverse.data import ReverseDataModule, reverse_sequences

SIZES: dict[str, Any] = {
    "num_categories": 7,
    "length": 5,
    "train_size": 20,
    "val_size": 9,
    "test_size": 11,
    "batch_size": 4,
}


@given(size=st.integers(1, 20), categories=st.integers(1, 12), length=st.integers(1, 9))
def test_labels_are_the_tokens_backwards(size, categories, length):
    tokens, labels = reverse_sequences(size, num_categories=categories, length=length)
    assert tokens.shape == labels.shape == (size, length)
    assert tokens.dtype == labels.dtype == torch.int64
    for row, reverse in zip(tokens.tolist(), labels.tolist(), strict=True):
        assert row[::-1] == reverse
    assert tokens.min() >= 0
    assert tokens.max() < categories


def test_every_category_is_drawn_about_as_often():
    tokens, _ = reverse_sequences(2000, num_categories=10, length=16)
    share = tokens.flatten().bincount(minlength=10) / tokens.numel()
    torch.testing.assert_close(share, torch.full((10,), 0.1), atol=0.01, rtol=0)


def test_the_draw_is_that_of_the_seed_and_of_nothing_else():
    torch.manual_seed(1)
    tokens, _ = reverse_sequences(50, seed=3)
    expected = torch.rand(1)
    torch.manual_seed(1)
    assert torch.rand(1).equal(expected)  # the global generator was left alone
    assert reverse_sequences(50, seed=3)[0].equal(tokens)
    assert not reverse_sequences(50, seed=4)[0].equal(tokens)


def make(**settings):
    module = ReverseDataModule(**(SIZES | settings))
    module.setup("fit")
    return module


def test_the_splits_are_the_rows_in_order_without_overlap():
    module = make(seed=3)
    assert [len(split) for split in module.splits] == [20, 9, 11]
    tokens, labels = reverse_sequences(40, num_categories=7, length=5, seed=3)
    for index, whole in enumerate((tokens, labels)):
        joined = torch.cat([split.tensors[index] for split in module.splits])
        assert joined.equal(whole)


def test_the_loaders_are_ordinary_and_go_through_their_split():
    module = make()
    loaders = module.train_dataloader(), module.val_dataloader(), module.test_dataloader()
    assert all(isinstance(loader, DataLoader) for loader in loaders)
    assert [len(loader) for loader in loaders] == [5, 3, 3]
    for loader, split in zip(loaders[1:], module.splits[1:], strict=True):
        assert torch.cat([tokens for tokens, _ in loader]).equal(split.tensors[0])
        assert torch.cat([labels for _, labels in loader]).equal(split.tensors[1])
    assert [len(tokens) for tokens, _ in loaders[1]] == [4, 4, 1]


def test_training_batches_are_shuffled_anew_and_still_reversed():
    module = make()
    loader = module.train_dataloader()
    epochs = [torch.cat([tokens for tokens, _ in loader]) for _ in range(2)]
    whole = module.splits[0].tensors[0]
    assert not epochs[0].equal(epochs[1])
    for drawn in epochs:
        assert sorted(drawn.tolist()) == sorted(whole.tolist())
    for tokens, labels in loader:
        assert labels.equal(tokens.flip(1))


def test_the_training_order_is_that_of_the_seed():
    one, other = (torch.cat([x for x, _ in make().train_dataloader()]) for _ in range(2))
    assert one.equal(other)


def test_a_second_setup_keeps_the_splits():
    module = make()
    splits = module.splits
    module.setup("test")
    assert module.splits is splits


def test_the_settings_are_saved_and_default_to_the_books():
    expected = {
        "num_categories": 10,
        "length": 16,
        "train_size": 50_000,
        "val_size": 1_000,
        "test_size": 10_000,
        "batch_size": 128,
        "seed": 0,
    }
    assert dict(ReverseDataModule().hparams) == expected
    assert dict(ReverseDataModule(**SIZES).hparams) == SIZES | {"seed": 0}


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (4.0, TypeError, "must be an integer, got float"),
    ],
)
def test_wrong_sizes_are_refused(size, error, says):
    for name in SIZES:
        with pytest.raises(error, match=f"^{name} {says}"):
            ReverseDataModule(**(SIZES | {name: size}))
    with pytest.raises(error, match=f"^size {says}"):
        reverse_sequences(size)
    for name in ("num_categories", "length"):
        with pytest.raises(error, match=f"^{name} {says}"):
            reverse_sequences(3, **{name: size})


@pytest.mark.parametrize("name", ["train_dataloader", "val_dataloader", "test_dataloader"])
def test_there_is_no_loader_before_setup(name):
    with pytest.raises(RuntimeError, match=r"call setup\(stage\) first"):
        getattr(ReverseDataModule(**SIZES), name)()


def test_a_batch_larger_than_the_training_set_is_refused():
    module = ReverseDataModule(**(SIZES | {"batch_size": SIZES["train_size"] + 1}))
    module.setup("fit")
    with pytest.raises(ValueError, match="batch_size must be at most"):
        module.train_dataloader()
