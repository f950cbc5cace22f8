"""Batches of one length: every row once, hardly any padding, another order every epoch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, SequentialSampler

from tutorial_lib.data.batches import TensorRows
from tutorial_lib.data.length_batches import LengthBatches, TrimmedRows, length_batch_loader

PAD = 0


def make_rows(size=60, longest=9, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (size,), generator=generator)
    real = torch.arange(longest) < lengths[:, None]
    numbers = torch.arange(1, size + 1)[:, None] * real
    other = torch.cat([torch.full_like(numbers[:, :2], 99), numbers], dim=1)
    return TrimmedRows(numbers, other, pad_token=PAD)


@given(indices=st.lists(st.integers(0, 59), min_size=1, max_size=12))
def test_a_batch_is_its_rows_without_the_columns_of_padding(indices):
    rows = make_rows()
    whole = TensorRows(*rows.tensors).__getitems__(indices)
    for batch, expected in zip(rows.__getitems__(indices), whole, strict=True):
        end = batch.shape[1]
        assert batch.equal(expected[:, :end])
        assert (expected[:, end:] == PAD).all()
        assert (batch[:, -1] != PAD).any()


def test_lengths_are_summed_over_the_tensors():
    rows = TrimmedRows(
        torch.tensor([[1, 2, 0], [1, 0, 0]]), torch.tensor([[5, 0], [6, 7]]), pad_token=0
    )
    assert rows.lengths == [3, 3]


def numbers_of(loader):
    return [batch[0][:, 0].tolist() for batch in loader]


def test_an_epoch_takes_every_row_once_and_the_next_one_in_another_order():
    loader = length_batch_loader(make_rows(), batch_size=6, seed=1)
    assert type(loader) is DataLoader
    assert len(loader) == 10
    first, second = numbers_of(loader), numbers_of(loader)
    for epoch in (first, second):
        assert sorted(number for batch in epoch for number in batch) == list(range(1, 61))
        assert {len(batch) for batch in epoch} == {6}
    assert first != second


def test_the_order_is_that_of_the_seed_alone():
    torch.manual_seed(1)
    one = numbers_of(length_batch_loader(make_rows(), batch_size=6, seed=1))
    expected = torch.rand(1)
    torch.manual_seed(2)
    assert numbers_of(length_batch_loader(make_rows(), batch_size=6, seed=1)) == one
    assert numbers_of(length_batch_loader(make_rows(), batch_size=6, seed=2)) != one
    torch.manual_seed(1)
    assert torch.rand(1).equal(expected)


def test_a_short_batch_is_dropped():
    loader = length_batch_loader(make_rows(), batch_size=7)
    assert len(loader) == len(list(loader)) == 8


def test_a_batch_holds_rows_of_about_one_length():
    rows = make_rows(600)

    def padding(loader):
        batches = [batch[0] for batch in loader]
        return sum(int((batch == PAD).sum()) for batch in batches) / sum(
            batch.numel() for batch in batches
        )

    assert padding(length_batch_loader(rows, batch_size=10)) < 0.08
    order = SequentialSampler(rows)
    alone = LengthBatches(order, 10, lengths=rows.lengths, pool=1)
    assert padding(DataLoader(rows, batch_sampler=alone, collate_fn=lambda x: x)) > 0.3


def test_a_pool_is_sorted_and_its_batches_are_shuffled():
    lengths = [5, 1, 4, 2, 3, 6, 8, 7]
    batches = list(LengthBatches(range(8), 2, lengths=lengths, pool=3))
    assert sorted(batches[:3]) == [[0, 5], [1, 3], [4, 2]]
    assert batches[3] == [7, 6]


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_does_not_fit_is_refused():
    rows = make_rows()
    with pytest.raises(TypeError, match=r"^rows must be TrimmedRows, got TensorRows"):
        length_batch_loader(TensorRows(*rows.tensors), batch_size=2)
    with pytest.raises(
        ValueError, match=r"^batch_size must be at most 60, the number of rows, got"
    ):
        length_batch_loader(rows, batch_size=61)
    with pytest.raises(ValueError, match=r"^batch_size must be at least 1, got 0"):
        length_batch_loader(rows, batch_size=0)
    with pytest.raises(ValueError, match=r"^pad_token must be at least 0, got -1"):
        TrimmedRows(torch.ones(2, 2, dtype=torch.long), pad_token=-1)
    for wrong, says in (
        ({"pool": 0}, "pool must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"drop_last": False}, "drop_last must be True, got False"),
    ):
        with pytest.raises(ValueError, match=f"^{says}"):
            LengthBatches(range(4), 2, lengths=[1, 2, 3, 4], **wrong)
