"""The checks of chapter 35 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import io
import os
import tempfile

import pytest
import torch

from tutorial_lib.exercises.chapter_35 import check


def _share(order, rank, processes, batch_size):
    mine = order[rank::processes]
    steps = len(order) // (processes * batch_size)
    return [mine[step * batch_size : (step + 1) * batch_size] for step in range(steps)]


def _save_whole(path, write):
    unfinished = path.with_suffix(".unfinished")
    with open(unfinished, "wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def _accumulated(losses, counts):
    return sum(loss * count for loss, count in zip(losses, counts, strict=True)) / sum(counts)


RIGHT = [(1, _share), (2, _save_whole), (3, _accumulated)]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_stub_does_not_pass(number):
    says = ["must be a list", "nothing has been written", "a tensor"]
    assert says[number - 1] in check.problem(number, lambda *args: None)


def _blocks(order, rank, processes, batch_size):
    size = len(order) // processes
    mine = order[rank * size : (rank + 1) * size]
    steps = len(order) // (processes * batch_size)
    return [mine[step * batch_size : (step + 1) * batch_size] for step in range(steps)]


def _save_at_once(path, write):
    with open(path, "wb") as file:
        write(file)


def _save_and_copy(path, write):
    _save_at_once(path.with_suffix(".new"), write)
    path.write_bytes(path.with_suffix(".new").read_bytes())


def _in_memory(path, write):
    file = io.BytesIO()
    write(file)
    path.write_bytes(file.getvalue())


def _in_another_folder(path, write):
    with tempfile.NamedTemporaryFile(delete=False) as file:
        write(file)
    os.replace(file.name, path)


def _remove_first(path, write):
    path.unlink(missing_ok=True)
    _save_whole(path, write)


def _catch(path, write):
    try:
        _save_whole(path, write)
    except KeyboardInterrupt:
        path.with_suffix(".unfinished").unlink()


WRONG = {
    "all rows for each": (1, lambda o, r, w, b: _share(o, 0, 1, b), "goes through all the rows"),
    "the same for each": (1, lambda o, r, w, b: _share(o, 0, w, b), "rank is not used"),
    "blocks": (1, _blocks, "process 0 has the first block"),
    "one place too far": (1, lambda o, r, w, b: _share(o[1:] + o[:1], r, w, b), "together are"),
    "the short batch": (
        1,
        lambda o, r, w, b: [*_share(o, r, w, b), o[:1]],
        "rows that do not fill a step are left out",
    ),
    "in place": (2, _save_at_once, "write under another name"),
    "a copy": (2, _save_and_copy, "a copy leaves it behind"),
    "removed first": (2, _remove_first, "do not remove it before"),
    "in memory": (2, _in_memory, "collected in memory"),
    "in another folder": (2, _in_another_folder, "went into another folder first"),
    "caught": (2, _catch, "was caught"),
    "the mean of the means": (3, lambda x, n: sum(x) / len(x), "this is the mean of the means"),
    "the sum": (3, lambda x, n: sum(x), "this is the sum"),
    "without gradient": (3, lambda x, n: _accumulated(x, n).detach(), "lost its gradient"),
    "not divided": (
        3,
        lambda x, n: sum(loss * count for loss, count in zip(x, n, strict=True)),
        "this is the sum over all tokens",
    ),
    "divided by the batches": (
        3,
        lambda x, n: sum(loss * count for loss, count in zip(x, n, strict=True)) / len(n),
        "divided by the number of batches",
    ),
    "something else": (3, lambda x, n: 2 * x[0], "the loss must be"),
    "a number": (3, lambda x, n: _accumulated(x, n).item(), "item() cuts the gradient"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)


def test_a_gradient_that_is_not_the_loss_s_is_noticed():
    def answer(losses, counts):
        loss = _accumulated(losses, counts)
        return loss + loss.detach() - loss.detach() + (loss - loss.detach())

    assert torch.is_tensor(answer([torch.ones(())], [1]))
    assert "the gradient is wrong" in check.problem(3, answer)
