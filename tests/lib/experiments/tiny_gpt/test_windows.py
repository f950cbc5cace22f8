"""Windows lie at every place, or side by side without losing a token."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.experiments.tiny_gpt.windows import every_window, windows_in_order
from tutorial_lib.teacher_forcing import NO_LABEL


def test_there_is_a_window_at_every_place_and_it_takes_no_memory():
    stream = torch.arange(5)
    windows = every_window(stream, 3)
    assert windows.tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert windows.data_ptr() == stream.data_ptr()


@given(size=st.integers(1, 40), length=st.integers(1, 12))
def test_windows_in_order_hold_every_token_once(size, length):
    windows = windows_in_order(torch.arange(size), length, filler=NO_LABEL)
    assert windows.shape == (-(-size // length), length)
    assert windows.flatten()[:size].equal(torch.arange(size))
    assert windows.flatten()[size:].eq(NO_LABEL).all()


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: every_window(torch.arange(3), 4), ValueError, "length must be at most 3"),
        (lambda: every_window(torch.arange(3), 0), ValueError, "length must be at least 1"),
        (lambda: windows_in_order(torch.arange(0), 4), ValueError, "at least one token"),
        (lambda: windows_in_order(torch.arange(3), 2.0), TypeError, "length must be an integer"),
    ],
)
def test_wrong_settings_are_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()
