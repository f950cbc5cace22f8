"""The pairs come as three splits without overlap, in ordinary loaders."""

from __future__ import annotations

from typing import Any

import pytest
import torch

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
    rows = set(map(tuple, torch.cat(module.splits[0].tensors, dim=1).tolist()))
    for batch in module.train_dataloader():
        assert set(map(tuple, torch.cat(batch, dim=1).tolist())) <= rows  # they stay pairs


def test_the_vocabulary_has_three_tokens_more_than_symbols():
    module = make(train_size=200)
    assert module.vocab_size == 7
    highest = max(int(tensor.max()) for split in module.splits for tensor in split.tensors)
    assert highest == module.vocab_size - 1


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"num_symbols": 0}, "num_symbols must be at least 1, got 0"),
        ({"max_length": 0}, "max_length must be at least 1, got 0"),
        ({"task": "add"}, "task must be one of"),
        ({"min_length": 6}, "min_length must be at most max_length=5, got 6"),
    ],
)
def test_wrong_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        make(**wrong)
