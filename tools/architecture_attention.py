"""One attention head, and how several of them make multi-head attention."""

from __future__ import annotations

from architecture_shapes import WIDTH, Box, Drawing, Line, Words
from architecture_whole import CAUSAL, mask, weights

THREE = (("query", 70.0), ("key", 190.0), ("value", 310.0))  # inputs, and where they rise


def head() -> Drawing:
    """Draw scaled dot-product attention, step by step from the bottom up."""
    drawing = Drawing(426)
    main = 130.0  # the way of the scores
    shapes = ("(query, head_dim)", "(key, head_dim)", "(key, value_dim)")
    for (name, x), shape in zip(THREE, shapes, strict=True):
        drawing.add(Box(x - 48, 366, 96, 30, (name,), (name,)), Words(x, 414, shape))
    steps = [
        (300, "scores: query · key", "scores"),
        (240, "divide by √head_dim", "scale"),
        (180, "mask: False is blocked", "mask"),
        (120, "softmax over the keys", "softmax"),
    ]
    for y, words, part in steps:
        drawing.add(Box(22, y, 216, 32, (words,), (part,)))
    drawing.add(
        Line(((70, 366), (70, 332))),
        Line(((190, 366), (190, 332))),
        *(Line(((main, y), (main, y - 28))) for y in (300, 240, 180)),
        Words(main + 10, 290, "(query, key)", "start"),
        Line(((main, 120), (main, 84))),
        weights(main - 28, 93, CAUSAL),
        Words(main + 10, 106, "weights (query, key)", "start", quiet=False),
        Line(((310, 366), (310, 84))),
        mask(250, 187, CAUSAL),
        Box(22, 52, 336, 32, ("average of the values, by weight",), ("average",)),
        Line(((190, 52), (190, 26))),
        Words(190, 18, "output (query, value_dim)", quiet=False),
    )
    return drawing


def multi_head() -> Drawing:
    """Draw split, attend, concatenate, from the bottom up."""
    drawing = Drawing(424)
    for name, x in THREE:
        drawing.add(
            Words(x, 400, name, size=13, quiet=False),
            Line(((x, 384), (x, 362))),
            Box(x - 48, 332, 96, 30, ("linear",), ("projections",)),
            Line(((x, 332), (x, 304))),
        )
    drawing.add(
        Words(WIDTH / 2, 418, "(batch, length, embed_dim) each"),
        Box(20, 256, 340, 48, ("split into heads", "(batch, heads, length, head_dim)"), ("split",)),
        Box(20, 104, 340, 48, ("concatenate", "(batch, length, heads · head_dim)"), ("concat",)),
    )
    for i, name in enumerate(("head 1", "head 2", "…", "head H")):
        x = 20 + 88 * i
        lines = (name, "attends") if name != "…" else (name,)
        drawing.add(
            Line(((x + 38, 256), (x + 38, 228))),
            Box(x, 180, 76, 48, lines, ("heads",)),
            Line(((x + 38, 180), (x + 38, 152))),
        )
    drawing.add(
        Line(((190, 104), (190, 78))),
        Box(110, 48, 160, 30, ("linear",), ("output projection",)),
        Line(((190, 48), (190, 26))),
        Words(190, 18, "output (batch, length, embed_dim)", quiet=False),
    )
    return drawing
