"""The whole Transformer: its two stacks, what goes in and comes out, and the loop that trains it.

It is read from the bottom up, as the tokens go; the training loop runs back above it.
"""

from __future__ import annotations

from architecture_shapes import SMALL, Box, Cells, Drawing, Line, Words

LEFT, RIGHT = 89.0, 270.0  # the middles of the two stacks
SOURCE, TARGET = (26.0, 126.0), (194.0, 152.0)  # where a stack's boxes begin, and their width
MARK = 18.0  # the size of the marks for heads, mask and weights
STRENGTHS = ((0.9, 0.3, 0.5, 0.4), (0.4, 0.9, 0.3, 0.5), (0.2, 0.6, 0.8, 0.3), (0.5, 0.2, 0.4, 0.9))
FAINT = 0.13  # how a cell is drawn that is blocked

Allowed = list[tuple[int, int]]  # pairs of a query and a key, of four each
CAUSAL: Allowed = [(row, column) for row in range(4) for column in range(row + 1)]
PADDED: Allowed = [(row, column) for row in range(4) for column in range(3)]  # hides the last key


def whole() -> Drawing:
    """Draw the Transformer and its training loop."""
    drawing = Drawing(474)
    _training_loop(drawing)
    drawing.add(Box(12, 110, 346, 342, kind="frame", parts=("model",)))
    _marks_explained(drawing)
    _stacks(drawing)
    _inputs(drawing)
    _ways(drawing)
    return drawing


def _training_loop(drawing: Drawing) -> None:
    drawing.add(
        Box(18, 10, 336, 76, kind="frame", parts=("training",)),
        Words(30, 30, "training loop", "start", bold=True, quiet=False, parts=("training",)),
        Box(150, 17, 98, 20, ("settings",), ("settings",)),
        Box(268, 48, 78, 28, ("loss",), ("loss",)),
        Box(166, 48, 82, 28, ("gradients",), ("gradients",)),
        Box(26, 48, 120, 28, ("optimizer step",), ("step",)),
        Line(((268, 62), (248, 62)), ("training",)),
        Line(((166, 62), (146, 62)), ("training",)),
        Line(((26, 62), (5, 62), (5, 278), (12, 278)), ("training",)),
    )


def _marks_explained(drawing: Drawing) -> None:
    drawing.add(
        Words(22, 124, "in every attention:", "start"),
        *_mark_rows("heads", 130, heads(26, 132), _first_head(26, 132)),
        *_mark_rows("mask", 152, mask(26, 154, CAUSAL)),
        *_mark_rows("weights", 174, weights(26, 176, CAUSAL)),
    )


def _mark_rows(word: str, y: float, *marks: Cells) -> list[Box | Cells | Words]:
    parts = tuple(part for mark in marks for part in mark.parts)
    row = Box(18, y + 1, 142, 20, kind="bare", parts=(*parts, "explained"))
    return [row, *marks, Words(54, y + 15.5, word, "start", quiet=False, parts=parts)]


def _stacks(drawing: Drawing) -> None:
    x, width = SOURCE
    drawing.add(
        Box(18, 222, 142, 128, kind="frame", parts=("encoder",)),
        Words(LEFT - 4, 241, "encoder", "end", 13, True, False, parts=("encoder",)),
        Words(LEFT + 4, 241, "L layers", "start", parts=("encoder",)),
        _feed_forward(x, 250, width, "encoder feed-forward"),
        *_attention(x, 294, width, "self-attention", "encoder self-attention", PADDED),
    )
    x, width = TARGET
    drawing.add(
        Box(186, 162, 168, 188, kind="frame", parts=("decoder",)),
        Words(RIGHT - 4, 181, "decoder", "end", 13, True, False, parts=("decoder",)),
        Words(RIGHT + 4, 181, "L layers", "start", parts=("decoder",)),
        _feed_forward(x, 190, width, "decoder feed-forward"),
        *_attention(x, 234, width, "cross-attention", "cross-attention", PADDED),
        *_attention(x, 294, width, "masked self-attention", "decoder self-attention", CAUSAL),
        Box(x, 118, width, 28, ("linear, softmax",), ("output",)),
    )


def _feed_forward(x: float, y: float, width: float, part: str) -> Box:
    return Box(x, y, width, 28, ("feed-forward",), ("feed-forward", part), pill=False)


def _attention(
    x: float, y: float, width: float, name: str, part: str, allowed: Allowed
) -> list[Box | Cells | Words]:
    """Draw an attention with its marks; their names are explained once, at the side."""
    middle = x + width / 2
    return [
        Box(x, y, width, 46, parts=("attention", part)),
        Words(middle, y + 17, name, size=13, quiet=False, parts=(part,)),
        heads(middle - 47, y + 23),
        _first_head(middle - 47, y + 23),
        mask(middle - 9, y + 23, allowed),
        weights(middle + 29, y + 23, allowed),
    ]


def heads(x: float, y: float) -> Cells:
    """Draw four bars, of which the first is a shape of its own."""
    return Cells(tuple((x + 5 * i, y, 3, MARK, 1) for i in range(1, 4)), ("heads",))


def _first_head(x: float, y: float) -> Cells:
    return Cells(((x, y, 3, MARK, 1),), ("heads", "head"))


def mask(x: float, y: float, allowed: Allowed) -> Cells:
    """Draw a mask: full where a query may attend."""
    return _map(x, y, dict.fromkeys(allowed, 1.0), "mask")


def weights(x: float, y: float, allowed: Allowed) -> Cells:
    """Draw an attention map under a mask."""
    return _map(x, y, {(row, key): STRENGTHS[row][key] for row, key in allowed}, "weights")


def _map(x: float, y: float, strengths: dict[tuple[int, int], float], part: str) -> Cells:
    pairs = [(row, column) for row in range(4) for column in range(4)]
    cells = [
        (x + 4.5 * pair[1], y + 4.5 * pair[0], 4.0, 4.0, strengths.get(pair, FAINT))
        for pair in pairs
    ]
    return Cells(tuple(cells), (part,))


def _inputs(drawing: Drawing) -> None:
    for name, (x, width) in (("source", SOURCE), ("target", TARGET)):
        drawing.add(
            Box(x, 374, width, 28, ("+ positions",), ("positions", f"{name} positions")),
            Box(x, 416, width, 28, ("embedding",), ("embedding", f"{name} embedding")),
        )
    drawing.add(
        Words(LEFT, 470, "source tokens", quiet=False),
        Words(RIGHT, 470, "target tokens so far", quiet=False),
    )


def _ways(drawing: Drawing) -> None:
    for middle in (LEFT, RIGHT):
        drawing.add(
            Line(((middle, 459), (middle, 444))),
            Line(((middle, 416), (middle, 402))),
            Line(((middle, 374), (middle, 340))),
        )
    drawing.add(
        Line(((LEFT, 294), (LEFT, 278))),
        Line(((RIGHT, 294), (RIGHT, 280))),
        Line(((RIGHT, 234), (RIGHT, 218))),
        Line(((RIGHT, 162), (RIGHT, 146))),
        Line(((LEFT, 222), (LEFT, 210), (173, 210), (173, 257), (194, 257)), ("memory",)),
        Words(131, 206, "memory", size=SMALL, quiet=False, parts=("memory",)),
        Line(((307, 118), (307, 76)), ("output",)),
        Words(299, 104, "probabilities of the next token", "end", quiet=False),
        Line(((307, 100), (367, 100), (367, 466), (336, 466)), ("generation",), dashed=True),
        Words(371, 280, "next token, when it writes", upright=True, parts=("generation",)),
    )
