"""Schedules start above zero, reach their peak, end at their floor, and drive an optimizer."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.schedules import cosine_with_warmup, inverse_sqrt_with_warmup, make_scheduler

warmups = st.integers(0, 200)
floors = st.floats(0, 1)


# ---- cosine -------------------------------------------------------------------------------------


def test_the_cosine_schedule_has_the_values_worked_by_hand():
    factors = [cosine_with_warmup(s, warmup_steps=3, total_steps=7) for s in range(10)]
    root = math.sqrt(0.5)
    expected = [1 / 4, 2 / 4, 3 / 4, 1, (1 + root) / 2, 1 / 2, (1 - root) / 2, 0, 0, 0]
    assert factors == pytest.approx(expected, abs=1e-12)


def test_the_floor_is_where_the_cosine_ends():
    factors = [cosine_with_warmup(s, warmup_steps=0, total_steps=2, floor=0.1) for s in range(4)]
    assert factors == pytest.approx([1, 0.55, 0.1, 0.1], abs=1e-12)


@given(warmup=warmups, decay=st.integers(1, 300), floor=floors)
def test_the_cosine_schedule_rises_to_exactly_one_and_falls_to_its_floor(warmup, decay, floor):
    total = warmup + decay
    settings = {"warmup_steps": warmup, "total_steps": total, "floor": floor}
    factors = [cosine_with_warmup(s, **settings) for s in range(total + 5)]
    assert factors[0] > 0
    assert factors[0] == (1 / (warmup + 1))
    assert factors[warmup] == 1.0
    rise, fall = factors[: warmup + 1], factors[warmup : total + 1]
    assert all(low < high for low, high in pairwise(rise))
    assert all(high >= low for high, low in pairwise(fall))
    assert max(factors) == 1.0
    assert factors[total:] == pytest.approx([floor] * 5, abs=1e-12)
    assert factors[total:] == [factors[total]] * 5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"step": -1}, "step must be at least 0, got -1"),
        ({"warmup_steps": -1}, "warmup_steps must be at least 0, got -1"),
        ({"total_steps": 5}, "total_steps must exceed warmup_steps=5, got 5"),
        ({"total_steps": 0}, "total_steps must exceed warmup_steps=5, got 0"),
        ({"floor": -0.1}, r"floor must lie from 0 to 1, got -0\.1"),
        ({"floor": 1.1}, r"floor must lie from 0 to 1, got 1\.1"),
        ({"floor": math.nan}, "floor must lie from 0 to 1, got nan"),
    ],
)
def test_wrong_settings_of_the_cosine_schedule_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        cosine_with_warmup(**({"step": 0, "warmup_steps": 5, "total_steps": 9} | change))


# ---- inverse square root ------------------------------------------------------------------------


def test_the_inverse_square_root_schedule_has_the_values_worked_by_hand():
    factors = [inverse_sqrt_with_warmup(s, warmup_steps=3) for s in (0, 1, 2, 3, 15, 63)]
    assert factors == pytest.approx([1 / 4, 2 / 4, 3 / 4, 1, 1 / 2, 1 / 4], abs=1e-12)


@given(step=st.integers(0, 10_000), warmup=warmups, width=st.integers(1, 1024))
def test_the_inverse_square_root_schedule_is_the_papers_over_its_peak(step, warmup, width):
    def rate(number, steps):  # equation 3 of the paper, steps counted from 1
        return width**-0.5 * min(number**-0.5, number * steps**-1.5)

    expected = rate(step + 1, warmup + 1) / rate(warmup + 1, warmup + 1)
    factor = inverse_sqrt_with_warmup(step, warmup_steps=warmup)
    assert factor == pytest.approx(expected, rel=1e-12)


@given(warmup=warmups)
def test_the_inverse_square_root_schedule_rises_to_exactly_one_and_falls(warmup):
    factors = [inverse_sqrt_with_warmup(s, warmup_steps=warmup) for s in range(warmup + 50)]
    assert factors[0] == (1 / (warmup + 1))
    assert factors[warmup] == 1.0
    rise, fall = factors[: warmup + 1], factors[warmup:]
    assert all(low < high for low, high in pairwise(rise))
    assert all(high > low > 0 for high, low in pairwise(fall))


@pytest.mark.parametrize(
    ("step", "warmup", "says"),
    [
        (-1, 3, "step must be at least 0, got -1"),
        (0, -2, "warmup_steps must be at least 0, got -2"),
    ],
)
def test_wrong_settings_of_the_inverse_square_root_schedule_are_refused(step, warmup, says):
    with pytest.raises(ValueError, match=says):
        inverse_sqrt_with_warmup(step, warmup_steps=warmup)


# ---- the scheduler ------------------------------------------------------------------------------


def make(rates=(0.5, 0.02), **settings):
    settings = {"warmup_steps": 2, "total_steps": 6} | settings
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": rate} for rate in rates]
    optimizer = torch.optim.SGD(groups)
    return optimizer, make_scheduler(optimizer, cosine_with_warmup, **settings)


def advance(optimizer, scheduler, steps):
    """Take steps, and collect the rates that the optimizer used in them."""
    used = []
    for _ in range(steps):
        used.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return used


def test_the_scheduler_scales_the_peak_of_each_group_at_every_step():
    used = advance(*make(), steps=9)
    factors = [cosine_with_warmup(s, warmup_steps=2, total_steps=6) for s in range(9)]
    for rates, factor in zip(used, factors, strict=True):
        assert rates == pytest.approx([0.5 * factor, 0.02 * factor], abs=1e-15)


def test_the_first_step_of_a_parameter_is_taken_with_the_first_rate():
    parameter = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    optimizer = torch.optim.SGD([parameter], lr=0.5)
    make_scheduler(optimizer, inverse_sqrt_with_warmup, warmup_steps=1)
    parameter.sum().backward()
    optimizer.step()
    assert parameter.item() == 0.75  # half the peak, times a gradient of one


def test_a_scheduler_that_is_resumed_goes_on_at_the_same_rate(tmp_path):
    optimizer, scheduler = make()
    advance(optimizer, scheduler, 3)
    state = {"optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
    torch.save(state, tmp_path / "state.pt")
    rest = advance(optimizer, scheduler, 5)

    optimizer, scheduler = make()
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    optimizer.load_state_dict(state["optimizer"])
    scheduler.load_state_dict(state["scheduler"])
    assert advance(optimizer, scheduler, 5) == rest


@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"warmup": 3}, TypeError, "unexpected keyword argument 'warmup'"),
        ({"warmup_steps": -3}, ValueError, "warmup_steps must be at least 0, got -3"),
        ({"total_steps": 1}, ValueError, "total_steps must exceed warmup_steps=2, got 1"),
        ({"floor": 2.0}, ValueError, r"floor must lie from 0 to 1, got 2\.0"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_a_wrong_setting_is_refused_when_the_scheduler_is_made(settings, error, says):
    with pytest.raises(error, match=says):
        make(**settings)


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_missing_setting_is_refused_when_the_scheduler_is_made():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'total_steps'"):
        make_scheduler(optimizer, cosine_with_warmup, warmup_steps=3)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("wrong", [1.0, True, "1", None])
def test_steps_that_are_not_whole_are_refused(wrong):
    steps: dict = {"step": 0, "warmup_steps": 0, "total_steps": 9}
    for name in steps:
        with pytest.raises(TypeError, match=f"^{name} must be an integer, got "):
            cosine_with_warmup(**(steps | {name: wrong}))
    for name in ("step", "warmup_steps"):
        with pytest.raises(TypeError, match=f"^{name} must be an integer, got "):
            inverse_sqrt_with_warmup(**({"step": 0, "warmup_steps": 0} | {name: wrong}))
