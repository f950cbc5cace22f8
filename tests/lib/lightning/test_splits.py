"""What all data modules do alike: splits made once, loaders, settings that are saved."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_tasks import SMALL
from torch.utils.data import DataLoader

from tutorial_lib.experiments.captions.data import ShapesDataModule
from tutorial_lib.experiments.images.data import DigitDataModule
from tutorial_lib.experiments.images.torchvision_data import TorchvisionDataModule
from tutorial_lib.experiments.odd_one_out.data import OddOneOutDataModule
from tutorial_lib.experiments.ordering.data import OrderingDataModule
from tutorial_lib.experiments.reverse.data import ReverseDataModule
from tutorial_lib.experiments.sort.data import PairDataModule
from tutorial_lib.experiments.tiny_gpt.data import TextDataModule
from tutorial_lib.experiments.translation.data import TranslationDataModule
from tutorial_lib.lightning.splits import RowsDataModule

SIZES: dict[str, Any] = {"train_size": 40, "val_size": 9, "test_size": 11, "batch_size": 8}
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
# What a module is without an argument: the book's sizes, but for seed=0.
DEFAULTS: dict[type[RowsDataModule], dict[str, Any]] = {
    ShapesDataModule: {
        **{"train_size": 8_000, "val_size": 500, "test_size": 1_000, "batch_size": 64},
        **{"held_out": 14},
    },
    DigitDataModule: {"batch_size": 64, "max_shift": 0},
    TorchvisionDataModule: {
        **{"source": "CIFAR10", "root": "data", "image_size": 32, "val_share": 0.1},
        **{"download": False, "batch_size": 128},
    },
    OddOneOutDataModule: {
        **{"train_size": 9_600, "val_size": 1_000, "test_size": 5_000, "batch_size": 32},
        **{"source": "digits", "root": "data", "download": False, "set_size": 10},
        **{"max_shift": 0.5, "odd_place": None},
    },
    OrderingDataModule: {
        **{"train_size": 6_000, "val_size": 500, "test_size": 1_000, "batch_size": 32},
        **{"pretrained": None, "max_len": 64},
    },
    ReverseDataModule: {
        **{"train_size": 50_000, "val_size": 1_000, "test_size": 10_000, "batch_size": 128},
        **{"num_categories": 10, "length": 16},
    },
    PairDataModule: {
        **{"train_size": 20_000, "val_size": 1_000, "test_size": 2_000, "batch_size": 128},
        **{"task": "sort", "num_symbols": 10, "min_length": 1, "max_length": 8},
    },
    TextDataModule: {
        **{"level": "bpe", "vocab_size": 1024, "length": 64, "batch_size": 16, "path": None},
    },
    TranslationDataModule: {
        **{"train_size": 20_000, "val_size": 500, "test_size": 500, "batch_size": 32},
        **{"source_file": None, "target_file": None, "longer_size": 500, "vocab_size": 500},
        **{"min_words": 3, "max_words": 10, "longest_words": 20},
    },
}
SIZED = [kind for kind in DEFAULTS if "train_size" in DEFAULTS[kind]]
MAKERS: dict[str, Callable[..., RowsDataModule]] = {
    kind.__name__: lambda kind=kind, **settings: kind(**(SIZES | settings)) for kind in SIZED
}
MAKERS["DigitDataModule"] = lambda **settings: DigitDataModule(**({"batch_size": 100} | settings))


def rows_of(batch):
    """Write a batch as a list of rows, each a list of plain lists."""
    columns = batch.values() if isinstance(batch, dict) else batch
    return list(zip(*map(torch.Tensor.tolist, columns), strict=True))


def epoch(loader):
    return [row for batch in loader for row in rows_of(batch)]


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


@pytest.fixture
def module(make):
    module = make()
    module.setup("fit")
    return module


def test_the_loaders_are_ordinary_and_go_through_their_split(module):
    loaders = [getattr(module, name)() for name in LOADERS]
    assert all(isinstance(loader, DataLoader) for loader in loaders)
    size, splits = module.batch_size, module.splits
    batches = [len(rows) / size for rows in splits]
    expected = [math.floor(batches[0]), math.ceil(batches[1]), math.ceil(batches[2])]
    assert [len(loader) for loader in loaders] == expected
    for loader, rows in zip(loaders[1:], splits[1:], strict=False):
        found = epoch(loader)
        assert len(found) == len(rows)
        if not isinstance(module, (OrderingDataModule, TranslationDataModule)):  # they cut padding
            assert found == rows_of(rows.__getitems__(range(len(rows))))


def test_training_batches_are_full_and_shuffled_anew_by_the_seed(make, module):
    loader = module.train_dataloader()
    first, second = epoch(loader), epoch(loader)
    assert len(first) == len(module.splits[0]) // module.batch_size * module.batch_size
    assert first != second
    for seed, same in ((0, True), (1, False)):
        other = make(seed=seed)
        other.setup("fit")
        assert (epoch(other.train_dataloader()) == first) == same


def test_a_second_setup_keeps_the_splits(module):
    splits = module.splits
    module.setup("test")
    assert module.splits is splits


@pytest.mark.parametrize("kind", DEFAULTS)
def test_the_settings_are_saved_and_default_to_the_books(kind):
    assert dict(kind().hparams) == DEFAULTS[kind] | {"seed": 0}
    changed = {name: value + 1 for name, value in DEFAULTS[kind].items() if type(value) is int}
    assert dict(kind(**changed).hparams) == DEFAULTS[kind] | {"seed": 0} | changed


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("kind", DEFAULTS)
def test_wrong_sizes_are_refused(kind):
    sizes = [*SIZES] if kind in SIZED else ["batch_size"]
    for name in sizes:
        with pytest.raises(ValueError, match=f"^{name} must be at least 1, got 0"):
            kind(**{name: 0})
        with pytest.raises(TypeError, match=f"^{name} must be an integer, got float"):
            kind(**{name: 4.0})


@pytest.mark.parametrize("kind", DEFAULTS)
def test_there_is_no_loader_before_setup(kind):
    for name in LOADERS:
        with pytest.raises(RuntimeError, match=r"call setup\(stage\) first"):
            getattr(kind(), name)()


def test_a_batch_larger_than_the_training_set_is_refused(make, module):
    size = len(module.splits[0])
    larger = make(batch_size=size + 1)
    larger.setup("fit")
    with pytest.raises(ValueError, match=f"batch_size must be at most {size}, the number of rows"):
        larger.train_dataloader()


def test_text_is_loaded_alike():
    module = SMALL["tiny_gpt"].make_data()
    loader = module.train_dataloader()
    first, second = epoch(loader), epoch(loader)
    assert first == epoch(SMALL["tiny_gpt"].make_data().train_dataloader()) != second
    for split, other in ((1, module.val_dataloader()), (2, module.test_dataloader())):
        rows = module.splits[split]
        assert epoch(other) == rows_of(rows.__getitems__(range(len(rows))))
