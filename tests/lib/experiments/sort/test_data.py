"""The pairs come as three splits without overlap, in ordinary loaders."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from tutorial_lib.experiments.sort.data import PairDataModule
from tutorial_lib.experiments.sort.pairs import sequence_pairs

SIZES: dict[str, Any] = {
    "num_symbols": 4,
    "min_length": 2,
    "max_length": 5,
    "train_size": 20,
    "val_size": 9,
    "test_size": 11,
    "batch_size": 4,
}


def make(**settings):
    module = PairDataModule(**(SIZES | settings))
    module.setup("fit")
    return module


@pytest.mark.parametrize("task", ["copy", "reverse", "sort"])
def test_the_splits_are_the_pairs_in_order_without_overlap(task):
    module = make(task=task, seed=3)
    assert [len(split) for split in module.splits] == [20, 9, 11]
    pairs = sequence_pairs(40, task=task, num_symbols=4, min_length=2, max_length=5, seed=3)
    for index, whole in enumerate(pairs):
        joined = torch.cat([split.tensors[index] for split in module.splits])
        assert joined.equal(whole)


def test_the_vocabulary_has_three_tokens_more_than_symbols():
    module = make(train_size=200)
    assert module.vocab_size == 7
    highest = max(int(tensor.max()) for split in module.splits for tensor in split.tensors)
    assert highest == module.vocab_size - 1


def test_the_loaders_are_ordinary_and_go_through_their_split():
    module = make()
    loaders = module.train_dataloader(), module.val_dataloader(), module.test_dataloader()
    assert all(isinstance(loader, DataLoader) for loader in loaders)
    assert [len(loader) for loader in loaders] == [5, 3, 3]
    for loader, split in zip(loaders[1:], module.splits[1:], strict=True):
        assert torch.cat([sources for sources, _ in loader]).equal(split.tensors[0])
        assert torch.cat([targets for _, targets in loader]).equal(split.tensors[1])
    assert [len(sources) for sources, _ in loaders[1]] == [4, 4, 1]


def test_training_batches_are_shuffled_anew_and_stay_pairs():
    module = make()
    loader = module.train_dataloader()
    epochs = [[torch.cat(tensors) for tensors in zip(*loader, strict=True)] for _ in range(2)]
    assert not epochs[0][0].equal(epochs[1][0])
    whole = torch.cat(module.splits[0].tensors, dim=1).tolist()
    for drawn in epochs:
        assert sorted(torch.cat(drawn, dim=1).tolist()) == sorted(whole)


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
        "task": "sort",
        "num_symbols": 10,
        "min_length": 1,
        "max_length": 8,
        "train_size": 20_000,
        "val_size": 1_000,
        "test_size": 2_000,
        "batch_size": 128,
        "seed": 0,
    }
    assert dict(PairDataModule().hparams) == expected
    assert dict(PairDataModule(**SIZES).hparams) == SIZES | {"task": "sort", "seed": 0}


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (4.0, TypeError, "must be an integer, got float"),
    ],
)
def test_wrong_sizes_are_refused(name, size, error, says):
    with pytest.raises(error, match=f"^{name} {says}"):
        make(**{name: size})


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"task": "add"}, "task must be one of"),
        ({"min_length": 6}, "min_length must be at most max_length=5, got 6"),
    ],
)
def test_wrong_tasks_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        make(**wrong)


@pytest.mark.parametrize("name", ["train_dataloader", "val_dataloader", "test_dataloader"])
def test_there_is_no_loader_before_setup(name):
    with pytest.raises(RuntimeError, match=r"call setup\(stage\) first"):
        getattr(PairDataModule(**SIZES), name)()


def test_a_batch_larger_than_the_training_set_is_refused():
    module = make(batch_size=SIZES["train_size"] + 1)
    with pytest.raises(ValueError, match="batch_size must be at most"):
        module.train_dataloader()
