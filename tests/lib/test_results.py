"""A result is written with its spread and its baselines."""

from __future__ import annotations

import pytest

from tutorial_lib.results import result_line


def test_shares_are_written_in_percent_with_mean_and_range():
    line = result_line(
        "test accuracy", [0.978, 0.986, 0.982], baselines={"chance": 0.1, "a mean": 0.4321}
    )
    assert line == (
        "test accuracy: 98.2 % (97.8 to 98.6, 3 seeds). Baselines: chance 10.0 %, a mean 43.2 %."
    )


def test_other_measures_keep_their_unit():
    line = result_line("bits", [1.5], baselines={"trigrams": 2.25}, percent=False, digits=2)
    assert line == "bits: 1.50 (1.50 to 1.50, 1 seed). Baselines: trigrams 2.25."


def test_a_small_chance_is_not_written_as_none():
    line = result_line("right", [0.5, 0.0], baselines={"chance": 1 / 9360})
    assert line == "right: 25.0 % (0.0 to 50.0, 2 seeds). Baselines: chance 0.01 %."


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"values": []}, "values must hold at least one result, got none"),
        ({"baselines": {}}, "baselines must hold at least one to compare with, got none"),
        ({"digits": -1}, "digits must be at least 0, got -1"),
    ],
)
def test_what_cannot_be_written_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        result_line(**({"measure": "m", "values": [1.0], "baselines": {"b": 0.0}} | wrong))
