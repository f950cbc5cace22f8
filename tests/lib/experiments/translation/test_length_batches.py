"""Batches of one length: every row once, hardly any padding, another order every epoch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed

from tutorial_lib.experiments.translation.length_batches import LengthBatches, TrimmedRows
from tutorial_lib.lightning.loaders import EpochOrder, TensorRows, batch_loader

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


def numbers_of(order, batch_size):
    rows = list(order)
    return [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]


def test_an_epoch_takes_every_row_once_and_the_next_one_in_another_order():
    order = LengthBatches(make_rows(), batch_size=6, seed=1)
    first, second = numbers_of(order, 6), numbers_of(order, 6)
    for epoch in (first, second):
        assert sorted(number for batch in epoch for number in batch) == list(range(60))
    assert first != second


def test_the_order_is_that_of_the_seed_alone():
    torch.manual_seed(1)
    one = list(LengthBatches(make_rows(), batch_size=6, seed=1))
    expected = torch.rand(1)
    torch.manual_seed(2)
    assert list(LengthBatches(make_rows(), batch_size=6, seed=1)) == one
    assert list(LengthBatches(make_rows(), batch_size=6, seed=2)) != one
    torch.manual_seed(1)
    assert torch.rand(1).equal(expected)


def test_a_loader_makes_the_batches_and_goes_on_in_the_middle_of_an_epoch():
    def make():
        rows = make_rows()
        order = LengthBatches(rows, batch_size=7, seed=3)
        return batch_loader(rows, batch_size=7, order=order)

    whole, resumed = make(), make()
    batches = [batch[0].tolist() for _ in range(2) for batch in whole]
    assert len(whole) == 8
    assert {len(batch) for batch in batches} == {7}
    resumed.load_state_dict({"batches": 3})
    assert [batch[0].tolist() for _ in range(2) for batch in resumed] == batches[3:]


def padding(rows, order, batch_size):
    batches = [rows.__getitems__(numbers)[0] for numbers in numbers_of(order, batch_size)]
    padded = sum(int((batch == PAD).sum()) for batch in batches)
    return padded / sum(batch.numel() for batch in batches)


def test_a_batch_holds_rows_of_about_one_length():
    rows = make_rows(600)
    assert padding(rows, LengthBatches(rows, batch_size=10), 10) < 0.08
    assert padding(rows, EpochOrder(rows, seed=0), 10) > 0.3


def test_a_pool_is_sorted_and_its_batches_are_shuffled():
    lengths = torch.tensor([5, 1, 4, 2, 3, 6, 8, 7])
    rows = TrimmedRows((torch.arange(8) < lengths[:, None]).long(), pad_token=0)
    drawn = EpochOrder(rows, seed=2).order(torch.Generator().manual_seed(2))
    batches = numbers_of(LengthBatches(rows, batch_size=2, pool=3, seed=2), 2)
    in_pool = sorted(drawn[:6], key=lambda row: lengths[row])
    assert sorted(map(tuple, batches[:3])) == sorted(zip(in_pool[::2], in_pool[1::2], strict=True))
    assert batches[3] == sorted(drawn[6:], key=lambda row: lengths[row])
    shuffled = [numbers_of(LengthBatches(rows, batch_size=2, seed=n), 2) for n in range(9)]
    first = [lengths[batches[0]].sum() for batches in shuffled]
    assert len(set(map(int, first))) > 1  # not always the shortest


@given(processes=st.integers(1, 3), size=st.integers(12, 40), batch_size=st.integers(1, 4))
def test_processes_load_a_step_together(processes, size, batch_size):
    rows, shares = make_rows(size), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "is_initialized", lambda: True)
        patch.setattr(distributed, "get_world_size", lambda: processes)
        for rank in range(processes):
            patch.setattr(distributed, "get_rank", lambda rank=rank: rank)
            shares.append(list(LengthBatches(rows, batch_size=batch_size, pool=2)))
    alone = list(LengthBatches(rows, batch_size=batch_size * processes, pool=2))
    assert [row for places in zip(*shares, strict=True) for row in places] == alone


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_does_not_fit_is_refused():
    rows = make_rows()
    with pytest.raises(TypeError, match=r"^rows must be TrimmedRows, got TensorRows"):
        LengthBatches(TensorRows(*rows.tensors), batch_size=2)
    with pytest.raises(ValueError, match=r"^pad_token must be at least 0, got -1"):
        TrimmedRows(torch.ones(2, 2, dtype=torch.long), pad_token=-1)
    for wrong, says in (
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"pool": 0}, "pool must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
    ):
        with pytest.raises(ValueError, match=f"^{says}"):
            LengthBatches(rows, **({"batch_size": 2} | wrong))
