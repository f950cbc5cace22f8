"""Weights as text: nothing is lost that the kind of number can hold."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest
import torch
from torch import nn

from tutorial_lib.live.weights import pack


def test_the_numbers_come_one_after_the_other_under_their_names() -> None:
    layer = nn.Linear(2, 3)
    packed = pack(layer, "float32")
    assert packed["shapes"] == {"weight": [3, 2], "bias": [3]}
    numbers = np.frombuffer(base64.b64decode(packed["values"]), dtype="<f4")
    expected = torch.cat([layer.weight.flatten(), layer.bias]).detach().numpy()
    np.testing.assert_array_equal(numbers, expected)


def test_half_as_many_bits_are_half_as_long() -> None:
    layer = nn.Linear(8, 8)
    short, long = (len(pack(layer, kind)["values"]) for kind in ("float16", "float32"))
    assert abs(long / short - 2) < 0.05


def test_a_wrong_call_says_what_was_needed() -> None:
    with pytest.raises(ValueError, match="kind must be"):
        pack(nn.Linear(2, 2), "int8")
    with pytest.raises(ValueError, match="weight must have one axis or two"):
        pack(nn.Conv2d(1, 1, 3))
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, 1e6)
    with pytest.raises(ValueError, match="must be finite in float16"):
        pack(layer)
    nn.init.constant_(layer.weight, math.nan)
    with pytest.raises(ValueError, match="must be finite in float32"):
        pack(layer, "float32")
