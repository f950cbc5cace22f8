"""The feed-forward network is its formula, one position at a time."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    TOLERANCE,
    assert_all_close,
    draw,
    randomized,
    results,
    setting_name,
    wrong_sizes,
)
from torch import nn

from tutorial_lib.feed_forward import FeedForward

SIZES: dict[str, Any] = {"embed_dim": 8, "dim_feedforward": 12}
TORCH_ACTIVATIONS = {
    "relu": nn.ReLU(),
    "gelu": nn.GELU(),
    "gelu_tanh": nn.GELU(approximate="tanh"),
}


def test_the_feed_forward_is_worked_by_hand():
    module = FeedForward(embed_dim=1, dim_feedforward=2)
    state = {
        "linear1.weight": [[2.0], [-3.0]],
        "linear1.bias": [1.0, 1.0],
        "linear2.weight": [[5.0, 7.0]],
        "linear2.bias": [0.5],
    }
    module.load_state_dict({name: torch.tensor(values) for name, values in state.items()})
    # 1 -> (3, -2) -> (3, 0) -> 15.5 and -1 -> (-1, 4) -> (0, 4) -> 28.5
    output = module(torch.tensor([[[1.0], [-1.0]]]))
    assert output.flatten().tolist() == [15.5, 28.5]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", TORCH_ACTIVATIONS)
def test_the_feed_forward_equals_a_sequence_of_torchs_modules(activation, bias, record_equality):
    module = randomized(FeedForward(activation=activation, bias=bias, **SIZES).double())
    theirs = nn.Sequential(
        OrderedDict(
            linear1=nn.Linear(8, 12, bias=bias),
            activation=TORCH_ACTIVATIONS[activation],
            linear2=nn.Linear(12, 8, bias=bias),
        )
    ).double()
    theirs.load_state_dict(module.state_dict())
    inputs = [draw(3, 5, 8)]
    largest = assert_all_close(results(module, inputs), results(theirs, inputs))
    record_equality(module="FeedForward", mask=setting_name(activation, bias), largest=largest)


@given(batch=st.integers(1, 3), length=st.integers(1, 5), seed=st.integers(0, 1000))
def test_the_feed_forward_sees_every_position_on_its_own(batch, length, seed):
    module = FeedForward(embed_dim=4, dim_feedforward=6, activation="gelu").double()
    x = draw(batch, length, 4, seed=seed)
    together = module(x)
    for position in range(length):
        alone = module(x[:, position : position + 1])
        torch.testing.assert_close(together[:, position : position + 1], alone, **TOLERANCE)


def test_without_bias_there_is_no_bias():
    names = [name for name, _ in FeedForward(bias=False, **SIZES).named_parameters()]
    assert names == ["linear1.weight", "linear2.weight"]


def test_dropout_acts_in_between_and_while_training_only():
    module = randomized(FeedForward(dropout=0.5, **SIZES).double())
    dropped = []
    module.dropout.register_forward_hook(lambda _, args, output: dropped.append((*args, output)))
    x = draw(2, 50, 8)
    output = module(x)
    hidden, kept = dropped[0]
    torch.testing.assert_close(hidden, F.relu(module.linear1(x)), **TOLERANCE)
    torch.testing.assert_close(output, module.linear2(kept), **TOLERANCE)
    share = float((kept[hidden != 0] == 0).double().mean())
    assert 0.4 < share < 0.6
    expected = module.linear2(F.relu(module.linear1(x)))
    torch.testing.assert_close(module.eval()(x), expected, **TOLERANCE)


# ---- wrong input --------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", SIZES)
@wrong_sizes
def test_wrong_sizes_are_refused(name, size, error, says):
    with pytest.raises(error, match=f"{name} {says}"):
        FeedForward(**(SIZES | {name: size}))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1\.0"),
        ({"dropout": -0.5}, r"dropout must be at least 0 and below 1, got -0\.5"),
        (
            {"activation": "tanh"},
            r"activation must be one of \['gelu', 'gelu_tanh', 'relu'\], got 'tanh'",
        ),
        (
            {"activation": ["relu"]},
            r"activation must be one of \['gelu', 'gelu_tanh', 'relu'\], got \[",
        ),
    ],
)
def test_wrong_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        FeedForward(**SIZES, **wrong)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("shape", [(5, 8), (2, 5, 7), (1, 2, 5, 8)])
def test_tokens_of_the_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"x must have shape \(batch, length, 8\), got"):
        FeedForward(**SIZES)(torch.zeros(shape))
