"""Padding on the left: positions count from the first real token, and wrong numbers are refused."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.left_padding import require_left_padding, token_positions

CPU = torch.device("cpu")


def test_positions_count_from_the_first_real_token():
    positions = token_positions(torch.tensor([0, 2, 4]), 0, 4, CPU)
    assert positions.tolist() == [[0, 1, 2, 3], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_without_padding_a_position_is_its_column():
    assert token_positions(None, 2, 5, CPU).tolist() == [[2, 3, 4]]


@given(
    padding=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    length=st.integers(1, 9),
    data=st.data(),
)
def test_positions_of_a_part_are_those_of_the_whole(padding, length, data):
    start = data.draw(st.integers(0, length - 1))
    given_padding = torch.tensor(padding)
    whole = token_positions(given_padding, 0, length, CPU)
    part = token_positions(given_padding, start, length, CPU)
    assert part.equal(whole[:, start:])
    for row, count in zip(whole.tolist(), padding, strict=True):
        real = max(length - count, 0)
        assert row == [0] * (length - real) + list(range(real))


def test_positions_are_made_on_the_device_that_is_named():
    assert token_positions(None, 0, 2, torch.device("meta")).device.type == "meta"


def test_one_number_for_each_sequence_is_accepted_and_so_is_none():
    require_left_padding(None, 2)
    require_left_padding(torch.tensor([0, 3]), 2)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("padding", "error", "says"),
    [
        ([0, 1], TypeError, "must be a tensor of int64, got list"),
        (1, TypeError, "must be a tensor of int64, got int"),
        (torch.tensor([0.0, 1.0]), TypeError, r"must be a tensor of int64, got torch\.float32"),
        (torch.tensor([False, True]), TypeError, r"must be a tensor of int64, got torch\.bool"),
        (torch.tensor([0, 1, 2]), ValueError, r"must have shape \(2,\), got \(3,\)"),
        (torch.tensor([0]), ValueError, r"must have shape \(2,\), got \(1,\)"),
        (torch.tensor(1), ValueError, r"must have shape \(2,\), got \(\)"),
        (torch.tensor([[0, 1]]), ValueError, r"must have shape \(2,\), got \(1, 2\)"),
        (torch.tensor([0, -2]), ValueError, "must be at least 0, got -2"),
    ],
)
def test_wrong_padding_is_refused(padding, error, says):
    with pytest.raises(error, match=f"^left_padding {says}"):
        require_left_padding(padding, 2)
