"""The line in which a chapter states what it has measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tutorial_lib.validation import require_counts


def result_line(
    measure: str,
    values: Sequence[float],
    *,
    baselines: Mapping[str, float],
    percent: bool = True,
    digits: int = 1,
) -> str:
    r"""Write a result over several seeds beside its baselines.

    .. math:: \text{mean } \frac{1}{n}\sum_i v_i \; (\min_i v_i \text{ to } \max_i v_i)

    The book's landing page collects these lines.

    Args:
        measure: What was measured, such as "test accuracy".
        values: The result of each seed.
        baselines: What the result is to be compared with, by name.
        percent: Whether the values are shares, written in percent.
        digits: Digits behind the point; what would round to 0 has one digit that is not 0.

    Returns:
        A sentence such as
        ``test accuracy: 98.2 % (97.8 to 98.6, 3 seeds). Baselines: chance 10.0 %.``

    Raises:
        TypeError: If ``digits`` is not an integer.
        ValueError: If there are no values or no baselines, or ``digits`` is negative.

    Used in :doc:`/notebooks/42_odd_one_out`.
    """
    require_counts(digits=digits)
    if not values:
        raise ValueError("values must hold at least one result, got none")
    if not baselines:
        raise ValueError("baselines must hold at least one to compare with, got none")
    scale, unit = (100, " %") if percent else (1, "")

    def number(value: float) -> str:
        rounded = f"{scale * value:.{digits}f}"
        # A chance of 1 in 10 000 is not 0.0 %.
        return f"{scale * value:.1g}" if value and not float(rounded) else rounded

    mean, low, high = sum(values) / len(values), min(values), max(values)
    spread = f"({number(low)} to {number(high)}, {len(values)} seed{'s' * (len(values) != 1)})"
    compared = ", ".join(f"{name} {number(value)}{unit}" for name, value in baselines.items())
    return f"{measure}: {number(mean)}{unit} {spread}. Baselines: {compared}."
