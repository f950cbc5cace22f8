"""One layer of the encoder and one of the decoder: branches, sums and norms, from the bottom up.

The encoder's is in post-norm, the decoder's in pre-norm, as the chapters write them first.
"""

from __future__ import annotations

from itertools import pairwise

from architecture_shapes import Box, Drawing, Line, Words

WIDE = 180.0  # the width of a branch
HIGH = 160.0  # its height, with its sum and its norm
TOP = 48.0
FORK = 142.0  # where the stream goes past a branch, from its top

# Where the sum, the branch and the norm begin, from the top of a branch.
POST_NORM = {"norm": 0.0, "sum": 42.0, "branch": 78.0}
PRE_NORM = {"sum": 0.0, "branch": 36.0, "norm": 103.0}
HEIGHTS = {"norm": 28.0, "sum": 24.0, "branch": 46.0}


def encoder_layer() -> Drawing:
    """Draw self-attention and the feed-forward network, each with its sum and its norm."""
    branches = [
        ("feed-forward network", "each token on its own", "feed-forward"),
        ("self-attention", "tokens read each other", "self-attention"),
    ]
    return _layer(170, POST_NORM, branches)


def decoder_layer() -> Drawing:
    """Draw masked self-attention, cross-attention to the memory, and the feed-forward network."""
    branches = [
        ("feed-forward network", "each token on its own", "feed-forward"),
        ("cross-attention", "target reads source", "cross-attention"),
        ("masked self-attention", "no token sees later ones", "self-attention"),
    ]
    drawing = _layer(205, PRE_NORM, branches)
    y = TOP + HIGH + PRE_NORM["branch"] + HEIGHTS["branch"] / 2
    drawing.add(
        Line(((12, y), (115, y)), ("memory",)),
        Words(12, y - 9, "memory", "start", 13, True, False, parts=("memory",)),
        Words(12, y + 18, "key, value", "start", parts=("memory",)),
        Words(213, y + 37, "query", "start"),
        Line(((12, y + HIGH), (115, y + HIGH)), ("mask",), dashed=True),
        Words(12, y + HIGH - 9, "causal mask", "start", quiet=False, parts=("mask",)),
    )
    return drawing


def _layer(middle: float, order: dict[str, float], branches: list[tuple[str, str, str]]) -> Drawing:
    end = TOP + HIGH * len(branches)
    drawing = Drawing(end + 34)
    drawing.add(
        Words(middle, 18, "output (batch, length, embed_dim)", quiet=False),
        Line(((middle, TOP), (middle, 26))),
        Words(middle, end + 24, "input (batch, length, embed_dim)", quiet=False),
    )
    for i, (name, more, part) in enumerate(branches):
        y = TOP + HIGH * i
        _branch(drawing, middle, y, order, (name, more), part)
        below = y + HIGH + (10 if i == len(branches) - 1 else 0)
        last = list(order)[-1]
        drawing.add(Line(((middle, below), (middle, y + order[last] + HEIGHTS[last]))))
    return drawing


def _branch(
    drawing: Drawing,
    middle: float,
    y: float,
    order: dict[str, float],
    lines: tuple[str, str],
    part: str,
) -> None:
    left, way_round = middle - WIDE / 2, middle + WIDE / 2 + 23
    boxes = {
        "norm": Box(left, y + order["norm"], WIDE, HEIGHTS["norm"], ("layer norm",), ("norm",)),
        "sum": Box(middle - 20, y + order["sum"], 40, HEIGHTS["sum"], ("+",), ("sum",)),
        "branch": Box(left, y + order["branch"], WIDE, HEIGHTS["branch"], lines, (part,)),
    }
    for above, below in pairwise(order):
        foot = y + order[above] + HEIGHTS[above]
        drawing.add(Line(((middle, y + order[below]), (middle, foot))))
    into = y + order["sum"] + HEIGHTS["sum"] / 2
    drawing.add(
        *boxes.values(),
        Line(
            ((middle, y + FORK), (way_round, y + FORK), (way_round, into), (middle + 20, into)),
            ("residual",),
        ),
        Words(way_round + 7, (y + FORK + into) / 2 + 4, "residual", "start", parts=("residual",)),
    )
