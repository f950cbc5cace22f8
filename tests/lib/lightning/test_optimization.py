"""The optimizer that the tasks share: which one, at which rates, until which step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import nn

from tutorial_lib.lightning.optimization import scheduled_adam
from tutorial_lib.schedules import cosine_with_warmup, inverse_sqrt_with_warmup

TASK = SimpleNamespace(trainer=SimpleNamespace(estimated_stepping_batches=12))
SETTINGS = {"learning_rate": 0.5, "warmup_steps": 3}


@pytest.fixture(autouse=True)
def _any_task_will_do(unchecked_shapes):
    """Only the trainer's number of steps is asked for."""


def rates_of(made, steps):
    optimizer, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(steps):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("schedule", ["cosine", "inverse_sqrt"])
def test_the_rate_follows_the_schedule(schedule):
    made = scheduled_adam(TASK, nn.Linear(2, 2).parameters(), schedule=schedule, **SETTINGS)
    factor = {
        "cosine": lambda step: cosine_with_warmup(step, warmup_steps=3, total_steps=12),
        "inverse_sqrt": lambda step: inverse_sqrt_with_warmup(step, warmup_steps=3),
    }[schedule]
    expected = [[0.5 * factor(step)] for step in range(15)]
    torch.testing.assert_close(torch.tensor(rates_of(made, 15)), torch.tensor(expected))
    assert cast(Any, made)["lr_scheduler"]["interval"] == "step"


def test_groups_keep_the_ratio_of_their_rates():
    fast, slow = nn.Linear(2, 2), nn.Linear(2, 2)
    groups = [{"params": fast.parameters()}, {"params": slow.parameters(), "lr": 0.05}]
    for high, low in rates_of(scheduled_adam(TASK, groups, **SETTINGS), 11):
        assert high == pytest.approx(10 * low)


def test_weight_decay_makes_it_adamw():
    weights = nn.Linear(2, 2)
    plain = scheduled_adam(TASK, weights.parameters(), **SETTINGS)["optimizer"]
    decayed = scheduled_adam(TASK, weights.parameters(), weight_decay=0.1, **SETTINGS)["optimizer"]
    assert type(plain) is torch.optim.Adam
    assert type(decayed) is torch.optim.AdamW
    assert decayed.param_groups[0]["weight_decay"] == 0.1


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="schedule must be 'cosine' or 'inverse_sqrt', got 'step'"):
        scheduled_adam(TASK, nn.Linear(2, 2).parameters(), schedule="step", **SETTINGS)
