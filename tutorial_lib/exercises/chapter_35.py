"""Checks for chapter 35, command line, tuning, many devices."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import torch

from tutorial_lib.exercises.checker import Checker, is_close, require_shape

check = Checker(35)


@check.exercise(1, hint="Process r takes every W-th place of the order, from r on: order[r::W].")
def shares_make_the_big_batch(share: Callable) -> None:
    """Put the shares of a step together, for several numbers of processes."""
    for processes, batch_size, size in [(1, 4, 12), (2, 3, 12), (3, 2, 20), (4, 1, 9)]:
        order = torch.randperm(size, generator=torch.Generator().manual_seed(size)).tolist()
        shares = [share(order, rank, processes, batch_size) for rank in range(processes)]
        big = processes * batch_size
        case = f"{processes} processes, batch {batch_size}, {size} rows"
        for rank, batches in enumerate(shares):
            assert isinstance(batches, list), (
                f"the answer must be a list of batches, got {type(batches).__name__}"
            )
            assert len(batches) == size // big, (
                f"{case}: process {rank} must make {size // big} steps, got {len(batches)}"
            )
            assert all(len(batch) == batch_size for batch in batches), (
                f"{case}: process {rank} has a batch that is not of size {batch_size}"
            )
        for step in range(size // big):
            together = [row for batches in shares for row in batches[step]]
            expected = order[step * big : (step + 1) * big]
            assert sorted(together) == sorted(expected), (
                f"{case}: the rows of step {step} together are {sorted(together)}, "
                f"and must be {sorted(expected)}"
            )


@check.exercise(2, hint="Write under another name in the same folder, then os.replace.")
def a_file_is_whole_or_old(save_whole: Callable) -> None:
    """Die half way through the writing, and look at what is there."""

    def write(file: BinaryIO) -> None:
        file.write(b"all of ")
        file.write(b"the new")

    def die(file: BinaryIO) -> None:
        file.write(b"half of")
        file.flush()
        raise KeyboardInterrupt  # stands in for the kill

    with TemporaryDirectory() as name:
        path = Path(name) / "last.ckpt"
        save_whole(path, write)
        assert path.is_file(), "nothing has been written"
        assert path.read_bytes() == b"all of the new", f"written was {path.read_bytes()!r}"
        assert list(path.parent.iterdir()) == [path], "there is another file left"
        path.write_bytes(b"the old")
        try:
            save_whole(path, die)
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("the kill was caught: nobody can do that")
        assert path.is_file(), "killed half way, the old file is gone"
        assert path.read_bytes() == b"the old", (
            f"killed half way, the file holds {path.read_bytes()!r}"
        )
        save_whole(path, write)
        assert path.read_bytes() == b"all of the new", "the next attempt does not succeed"


@check.exercise(3, hint="Weight each mean with its number of tokens, and divide by all tokens.")
def micro_batches_make_the_big_batch(accumulated: Callable) -> None:
    """Compare value and gradient with the mean over all tokens at once."""
    generator = torch.Generator().manual_seed(0)
    for counts in ([4, 4], [1, 7, 3], [5]):
        weight = torch.ones((), dtype=torch.float64, requires_grad=True)
        tokens = [torch.rand(n, generator=generator, dtype=torch.float64) for n in counts]
        got = accumulated([(weight * part).mean() for part in tokens], counts)
        require_shape(got, (), "the loss")
        expected = (weight * torch.cat(tokens)).mean()
        case = f"with {counts} tokens"
        assert len(counts) == 1 or not is_close(got, expected * len(counts), 1e-9), (
            "this is the sum: the loss grows with the number of micro-batches"
        )
        assert is_close(got, expected, 1e-9), (
            f"{case} the loss must be {expected:.4f}, got {got:.4f}"
        )
        assert got.requires_grad, "the loss has lost its gradient"
        (slope,) = torch.autograd.grad(got, weight)
        assert is_close(slope, torch.cat(tokens).mean(), 1e-9), f"{case} the gradient is wrong"
