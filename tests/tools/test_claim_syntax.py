"""Which statements count as claims, and what the hook says of one that does not hold."""

from __future__ import annotations

import pytest
from claim_hook import values_in
from claim_syntax import claims_of

CELL = """
%time x = 1
assert x == 1  # for this seed
for k in range(3):
    assert k < 3, "a message"
torch.testing.assert_close(
    x,
    1,
)  # for this seed
try:
    assert False
    raise ValueError
except ValueError as error:
    assert "text" in str(error)


def helper(x):
    assert x


class Helper:
    assert True


assert_close(x, x)
try:
    assert x
finally:
    assert 2
"""


def test_claims_are_the_checks_that_a_cell_makes_itself() -> None:
    assert [claim.text for claim in claims_of(CELL)] == [
        "assert x == 1",
        "assert k < 3, 'a message'",
        "torch.testing.assert_close(x, 1)",
        "assert 'text' in str(error)",
        "assert_close(x, x)",
        "assert x",
        "assert 2",
    ]


def test_a_claim_is_marked_on_any_of_its_lines() -> None:
    own = [claim.own_seed for claim in claims_of(CELL)]
    assert own == [True, False, True, False, False, False, False]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("assert low < 0.5 < high", ["low is 0.7", "high is 0.9"]),
        ("assert min(rates) > low", ["min(rates) is 1", "low is 0.7"]),
        ("assert not rates", []),
        ("assert all(rate > missing for rate in rates)", []),
    ],
)
def test_both_sides_of_a_comparison_are_shown(text: str, expected: list[str]) -> None:
    assert values_in(text, {"low": 0.7, "high": 0.9, "rates": [1, 2]}) == expected
