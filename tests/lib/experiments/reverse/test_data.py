"""The reversal data is what it says: drawn by seed, reversed, and split without overlap."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.experiments.reverse.data import ReverseDataModule, reverse_sequences


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


def test_the_splits_are_the_rows_in_order_without_overlap():
    sizes = {"train_size": 20, "val_size": 9, "test_size": 11}
    module = ReverseDataModule(num_categories=7, length=5, **sizes, batch_size=4, seed=3)
    module.setup("fit")
    assert [len(split) for split in module.splits] == [20, 9, 11]
    tokens, labels = reverse_sequences(40, num_categories=7, length=5, seed=3)
    for index, whole in enumerate((tokens, labels)):
        joined = torch.cat([split.tensors[index] for split in module.splits])
        assert joined.equal(whole)
    for tokens, labels in module.train_dataloader():
        assert labels.equal(tokens.flip(1))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (4.0, TypeError, "must be an integer, got float"),
    ],
)
def test_wrong_sizes_are_refused(size, error, says):
    with pytest.raises(error, match=f"^size {says}"):
        reverse_sequences(size)
    for name in ("num_categories", "length"):
        for call in (ReverseDataModule, partial(reverse_sequences, 3)):
            with pytest.raises(error, match=f"^{name} {says}"):
                call(**{name: size})
