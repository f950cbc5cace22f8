"""Batches taken at once are the rows taken one by one; the loader is PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import distributed
from torch.utils.data import DataLoader, default_collate

from tutorial_lib.lightning.loaders import EpochOrder, TensorRows, batch_loader


def make_rows(size=10):
    return TensorRows(torch.arange(size), torch.arange(3 * size).reshape(size, 3))


def shuffled(rows, *, batch_size, seed=0):
    return batch_loader(rows, batch_size=batch_size, order=EpochOrder(rows, seed=seed))


@given(indices=st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_a_batch_is_its_rows_one_by_one(indices):
    rows = make_rows()
    at_once = rows.__getitems__(indices)
    one_by_one = default_collate([rows[index] for index in indices])
    assert len(at_once) == len(one_by_one) == 2
    for batch, stacked in zip(at_once, one_by_one, strict=True):
        assert batch.equal(stacked)


def test_rows_know_their_number():
    assert len(make_rows(7)) == 7
    assert [int(part.sum()) for part in make_rows()[2]] == [2, 6 + 7 + 8]


def test_the_loader_gives_what_an_ordinary_loader_gives():
    rows = make_rows()
    ordinary = DataLoader([rows[i] for i in range(10)], batch_size=4)
    loader = batch_loader(rows, batch_size=4)
    for batch, expected in zip(loader, ordinary, strict=True):
        assert all(ours.equal(theirs) for ours, theirs in zip(batch, expected, strict=True))


def test_the_loader_is_an_ordinary_one():
    loader = batch_loader(make_rows(), batch_size=4)
    assert type(loader) is DataLoader
    assert isinstance(shuffled(make_rows(), batch_size=4), DataLoader)
    assert loader.batch_size == 4
    assert loader.dataset[3][0] == 3


def test_the_last_batch_is_short_in_order_and_dropped_when_shuffled():
    in_order = batch_loader(make_rows(), batch_size=4)
    assert len(in_order) == 3
    assert [len(batch[0]) for batch in in_order] == [4, 4, 2]
    in_random_order = shuffled(make_rows(), batch_size=4)
    assert len(in_random_order) == 2
    assert [len(batch[0]) for batch in in_random_order] == [4, 4]


def epoch(loader):
    return torch.cat([batch[0] for batch in loader]).tolist()


def test_the_order_is_that_of_the_seed_and_new_every_epoch():
    def two_epochs(seed):
        loader = shuffled(make_rows(40), batch_size=8, seed=seed)
        return epoch(loader), epoch(loader)

    torch.manual_seed(1)
    first = two_epochs(seed=3)
    torch.manual_seed(2)
    assert two_epochs(seed=3) == first
    assert two_epochs(seed=4) != first
    assert first[0] != first[1]
    for drawn in first:
        assert sorted(drawn) == list(range(40))


def test_an_epochs_order_is_a_function_of_seed_and_epoch_alone():
    order = EpochOrder(make_rows(40), seed=3)
    for epoch_number in range(3):
        generator = torch.Generator().manual_seed(3 + epoch_number)
        assert list(order) == torch.randperm(40, generator=generator).tolist()
    order.set_epoch(1)
    assert list(order) == torch.randperm(40, generator=torch.Generator().manual_seed(4)).tolist()


@given(processes=st.integers(1, 4), size=st.integers(4, 30))
def test_processes_share_an_epoch_without_overlap(processes, size):
    shares = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "is_initialized", lambda: True)
        patch.setattr(distributed, "get_world_size", lambda: processes)
        for rank in range(processes):
            patch.setattr(distributed, "get_rank", lambda rank=rank: rank)
            shares.append(list(EpochOrder(make_rows(size), seed=1)))
    alone = list(EpochOrder(make_rows(size), seed=1))
    together = [row for places in zip(*shares, strict=True) for row in places]
    assert together == alone[: size // processes * processes]


@given(batches=st.integers(0, 5))
def test_a_loader_goes_on_where_another_stood(batches):
    def make():
        return shuffled(make_rows(20), batch_size=4, seed=2)

    whole, interrupted, resumed = make(), make(), make()
    iterator = iter(interrupted)
    before = [next(iterator)[0].tolist() for _ in range(batches)]
    resumed.load_state_dict(interrupted.state_dict())
    if batches == 5:  # the epoch is over: Lightning counts it, and goes on with the next
        assert interrupted.state_dict() == {"batches": 0}
        resumed.sampler.set_epoch(1)
    assert resumed.state_dict() == interrupted.state_dict()
    after = [batch[0].tolist() for _ in range(2) for batch in resumed]
    expected = [batch[0].tolist() for _ in range(3) for batch in whole]
    assert before + after == expected[: len(before + after)]
    assert resumed.state_dict() == {"batches": 0}


class CountedRows(TensorRows):
    loaded = 0

    def __getitems__(self, indices):
        self.loaded += len(indices)
        return super().__getitems__(indices)


def test_what_is_done_is_not_loaded_again():
    rows = CountedRows(torch.arange(20))
    loader = shuffled(rows, batch_size=4)
    loader.load_state_dict({"batches": 3})
    assert len(list(loader)) == 2
    assert rows.loaded == 8


def test_an_epoch_that_is_left_early_leaves_no_trace_in_the_next():
    loader = shuffled(make_rows(20), batch_size=4)
    next(iter(loader))
    assert len(list(loader)) == 5


@pytest.mark.parametrize("load", [batch_loader, shuffled])
def test_the_loader_leaves_the_global_generator_alone(load):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    epoch(load(make_rows(), batch_size=5))
    assert torch.rand(1).equal(expected)


def test_without_shuffling_the_rows_come_in_order():
    assert epoch(batch_loader(make_rows(), batch_size=3)) == list(range(10))


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        ((), "tensors must hold at least one tensor, got none"),
        ((torch.tensor(1.0),), r"tensors must have shape \(rows, \.\.\.\), got \(\)"),
        ((torch.zeros(2), torch.zeros(3)), r"tensors must have the same number.*got \[2, 3\]"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_tensors_that_do_not_fit_together_are_refused(tensors, says):
    with pytest.raises(ValueError, match=says):
        TensorRows(*tensors)


@pytest.mark.parametrize("load", [batch_loader, shuffled])
def test_a_batch_of_nothing_is_refused(load):
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        load(make_rows(), batch_size=0)


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_holds_no_rows_is_refused():
    with pytest.raises(TypeError, match="tensors must be tensors, got int"):
        TensorRows(3)
    with pytest.raises(TypeError, match="rows must have __getitems__, like TensorRows, got list"):
        batch_loader([1, 2], batch_size=1)


def test_an_epoch_without_one_full_batch_is_refused():
    assert epoch(batch_loader(make_rows(), batch_size=11)) == list(range(10))
    assert sorted(epoch(shuffled(make_rows(), batch_size=10))) == list(range(10))
    with pytest.raises(ValueError, match="batch_size must be at most 10, the number of rows, got"):
        shuffled(make_rows(), batch_size=11)
