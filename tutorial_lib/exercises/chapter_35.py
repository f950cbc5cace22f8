"""Checks for chapter 35, command line, tuning, many devices."""

from __future__ import annotations

import io
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
            why = ""
            if processes > 1 and len(batches) == size // batch_size:
                why = ": each process goes through all the rows"
            elif len(batches) == size // big + 1:
                why = ": rows that do not fill a step are left out"
            assert len(batches) == size // big, (
                f"{case}: process {rank} must make {size // big} steps, got {len(batches)}{why}"
            )
            assert all(len(batch) == batch_size for batch in batches), (
                f"{case}: process {rank} has a batch that is not of size {batch_size}"
            )
        assert processes == 1 or shares[0] != shares[1], (
            f"{case}: all processes have the same rows, rank is not used"
        )
        block = size // processes
        first = [row for batch in shares[0] for row in batch]
        assert processes == 1 or {*first} != {*order[:block]}, (
            f"{case}: process 0 has the first block of the order, so a step has rows from "
            f"{processes} places of it, and must have the next {big} rows"
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

    def write(file: BinaryIO | io.BytesIO) -> None:
        file.write(b"all of ")
        file.write(b"the new")

    def die(file: BinaryIO) -> None:
        file.write(b"half of")
        file.flush()
        raise KeyboardInterrupt  # stands in for the kill

    with TemporaryDirectory() as name:
        path = Path(name) / "last.ckpt"
        files: list[BinaryIO | io.BytesIO] = []

        def write_and_note(file: BinaryIO | io.BytesIO) -> None:
            files.append(file)
            write(file)

        save_whole(path, write_and_note)
        assert path.is_file(), "nothing has been written"
        assert path.read_bytes() == b"all of the new", f"written was {path.read_bytes()!r}"
        assert list(path.parent.iterdir()) == [path], (
            "there is another file left: rename it, a copy leaves it behind and takes time"
        )
        assert not isinstance(files[0], io.BytesIO), (
            "the new bytes were collected in memory, and the file is then written in place: a kill "
            "during that leaves a half"
        )
        name = getattr(files[0], "name", None)
        assert not isinstance(name, str | Path) or Path(name).parent == path.parent, (
            "the new bytes went into another folder first: a rename happens at once only within a "
            "folder"
        )
        path.write_bytes(b"the old")
        try:
            save_whole(path, die)
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError("the kill was caught: nobody can do that")
        assert path.is_file(), (
            "killed half way, the old file is gone: os.replace takes its place in one step, so do "
            "not remove it before"
        )
        assert path.read_bytes() == b"the old", (
            f"killed half way, the file holds {path.read_bytes()!r}: write under another name"
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
        number = isinstance(got, float | int)
        assert not number, f"the loss must be a tensor, got {got!r}: item() cuts the gradient"
        require_shape(got, (), "the loss")
        expected = (weight * torch.cat(tokens)).mean()
        case = f"with {counts} tokens"
        means = torch.stack([(weight * part).mean() for part in tokens])
        for wrong, why in [
            (means.sum(), "this is the sum: the loss grows with the number of micro-batches"),
            (means.mean(), "this is the mean of the means: a token in a short batch counts more"),
            (expected * sum(counts), "this is the sum over all tokens: divide by their number"),
            (expected * sum(counts) / len(counts), "the sum is divided by the number of batches"),
        ]:
            no_mistake = is_close(wrong, expected, 1e-9)  # with these counts
            assert no_mistake or not is_close(got, wrong, 1e-9), f"{case}, {why}"
        assert is_close(got, expected, 1e-9), (
            f"{case} the loss must be {expected:.4f}, got {got:.4f}"
        )
        assert got.requires_grad, "the loss has lost its gradient"
        (slope,) = torch.autograd.grad(got, weight)
        assert is_close(slope, torch.cat(tokens).mean(), 1e-9), f"{case} the gradient is wrong"
