"""The checks of chapter 35 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import os

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


def _remove_first(path, write):
    path.unlink(missing_ok=True)
    _save_whole(path, write)


def _catch(path, write):
    try:
        _save_whole(path, write)
    except KeyboardInterrupt:
        path.with_suffix(".unfinished").unlink()


WRONG = {
    "all rows for each": (1, lambda o, r, w, b: _share(o, 0, 1, b), "steps, got"),
    "the same for each": (1, lambda o, r, w, b: _share(o, 0, w, b), "together are"),
    "blocks": (1, _blocks, "together are"),
    "the short batch": (
        1,
        lambda o, r, w, b: [*_share(o, r, w, b), o[:1]],
        "steps, got",
    ),
    "in place": (2, _save_at_once, "holds b'half of'"),
    "a copy": (2, _save_and_copy, "another file left"),
    "removed first": (2, _remove_first, "the old file is gone"),
    "caught": (2, _catch, "was caught"),
    "the mean of the means": (3, lambda x, n: sum(x) / len(x), "[1, 7, 3] tokens the loss must"),
    "the sum": (3, lambda x, n: sum(x), "this is the sum"),
    "without gradient": (3, lambda x, n: _accumulated(x, n).detach(), "lost its gradient"),
    "a number": (3, lambda x, n: _accumulated(x, n).item(), "must be a tensor"),
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
