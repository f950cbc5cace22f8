"""The pairs are what the task says, of every length that is allowed, and drawn by seed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.experiments.sort.pairs import FIRST_SYMBOL, TASKS, sequence_pairs
from tutorial_lib.teacher_forcing import END, PAD, START


@pytest.mark.parametrize(
    ("task", "expected"),
    [("copy", [5, 3, 7, 3]), ("reverse", [3, 7, 3, 5]), ("sort", [3, 3, 5, 7])],
)
def test_the_tasks_are_those_worked_by_hand(task, expected):
    symbols = [5, 3, 7, 3]
    assert TASKS[task](symbols) == expected
    assert symbols == [5, 3, 7, 3]  # left as they were
    assert TASKS[task]([4]) == [4]


def test_the_first_pairs_are_those_worked_by_hand():
    sources, targets = sequence_pairs(3, task="reverse", num_symbols=4, max_length=3, seed=0)
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 4, (3,), generator=generator).tolist()
    drawn = (3 + torch.randint(4, (3, 3), generator=generator)).tolist()
    for row in range(3):
        n = lengths[row]
        symbols, padding = drawn[row][:n], [0] * (3 - n)
        assert sources[row].tolist() == symbols + padding
        assert targets[row].tolist() == [1, *reversed(symbols), 2, *padding]


@given(
    size=st.integers(1, 20),
    task=st.sampled_from(["copy", "reverse", "sort"]),
    num_symbols=st.integers(1, 12),
    lengths=st.tuples(st.integers(1, 6), st.integers(0, 4)),
    seed=st.integers(0, 1000),
)
def test_a_target_is_start_what_the_task_makes_of_the_source_end(
    size, task, num_symbols, lengths, seed
):
    shortest, longest = lengths[0], sum(lengths)
    sources, targets = sequence_pairs(
        size,
        task=task,
        num_symbols=num_symbols,
        min_length=shortest,
        max_length=longest,
        seed=seed,
    )
    assert sources.shape == (size, longest)
    assert targets.shape == (size, longest + 2)
    assert sources.dtype == targets.dtype == torch.int64
    make = {"copy": list, "reverse": lambda x: list(reversed(x)), "sort": sorted}[task]
    for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
        symbols = [token for token in source if token >= 3]
        assert shortest <= len(symbols) <= longest
        assert max(symbols) < 3 + num_symbols
        padding = [0] * (longest - len(symbols))
        assert source == symbols + padding
        assert target == [1, *make(symbols), 2, *padding]


def test_no_special_token_is_drawn_and_the_special_ones_differ():
    assert (PAD, START, END, FIRST_SYMBOL) == (0, 1, 2, 3)
    sources, targets = sequence_pairs(500, task="sort", num_symbols=2, max_length=5)
    assert set(sources.flatten().tolist()) == {0, 3, 4}
    assert (targets[:, 1:] != START).all()
    assert ((targets == END).sum(dim=1) == 1).all()


def test_every_length_and_every_symbol_is_drawn_about_as_often():
    sources, _ = sequence_pairs(4000, task="copy", num_symbols=5, min_length=3, max_length=6)
    lengths = (sources != PAD).sum(dim=1).bincount(minlength=7) / 4000
    torch.testing.assert_close(
        lengths, torch.tensor([0, 0, 0, 0.25, 0.25, 0.25, 0.25]), atol=0.02, rtol=0
    )
    symbols = sources[sources != PAD].bincount(minlength=8)[3:].float()
    torch.testing.assert_close(symbols / symbols.sum(), torch.full((5,), 0.2), atol=0.01, rtol=0)


def test_the_draw_is_that_of_the_seed_and_of_nothing_else():
    torch.manual_seed(1)
    sources, targets = sequence_pairs(50, task="sort", seed=3)
    expected = torch.rand(1)
    torch.manual_seed(1)
    assert torch.rand(1).equal(expected)  # the global generator was left alone
    again = sequence_pairs(50, task="sort", seed=3)
    assert again[0].equal(sources)
    assert again[1].equal(targets)
    assert not sequence_pairs(50, task="sort", seed=4)[0].equal(sources)


def test_every_task_gets_the_same_sources():
    one, *others = (sequence_pairs(50, task=task)[0] for task in TASKS)
    assert all(other.equal(one) for other in others)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"num_symbols": 0}, ValueError, "num_symbols must be at least 1, got 0"),
        ({"min_length": 0}, ValueError, "min_length must be at least 1, got 0"),
        ({"max_length": 0}, ValueError, "max_length must be at least 1, got 0"),
        ({"size": 2.0}, TypeError, "size must be an integer, got float"),
        ({"max_length": "8"}, TypeError, "max_length must be an integer, got str"),
        ({"min_length": 9}, ValueError, "min_length must be at most max_length=8, got 9"),
        ({"task": "add"}, ValueError, r"task must be one of \['copy', 'reverse', 'sort'\], got 'a"),
        ({"task": None}, ValueError, "task must be one of .* got None"),
        ({"task": ["copy"]}, ValueError, "task must be one of .* got .'copy'."),
    ],
)
def test_wrong_settings_are_refused(wrong, error, says):
    with pytest.raises(error, match=f"^{says}"):
        sequence_pairs(**({"size": 3, "task": "copy"} | wrong))
