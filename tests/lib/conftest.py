"""How far ours is from the reference: each comparison says it, and a table ends the run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

COLUMNS = ("module", "mask", "largest_difference")


@pytest.fixture
def record_equality(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Require that the largest difference is nothing but rounding, and note it for the table."""

    def record(*, module: str, mask: str, largest: float) -> None:
        for name, value in zip(COLUMNS, (module, mask, largest), strict=True):
            record_property(name, value)
        assert largest < 1e-10

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows: dict[tuple[str, str], float] = {}
    for report in terminalreporter.getreports("passed"):
        found = dict(report.user_properties)
        if found.keys() >= set(COLUMNS):
            row = found["module"], found["mask"]
            rows[row] = max(rows.get(row, 0.0), found["largest_difference"])
    if not rows:
        return
    wide, narrow = (max(map(len, cells)) for cells in zip(*rows, strict=True))
    terminalreporter.section("equal to the reference in float64: largest absolute difference")
    for (module, mask), largest in sorted(rows.items()):
        terminalreporter.write_line(f"{module:{wide}}  {mask:{narrow}}  {largest:.1e}")
