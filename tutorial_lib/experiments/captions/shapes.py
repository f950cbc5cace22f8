"""Small pictures of coloured shapes, whose captions are true of them word by word."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tutorial_lib.experiments.captions.words import (
    COLOURS,
    EMPTY,
    NUM_KINDS,
    NUM_PLACES,
    SHAPES,
    caption_of,
    to_tokens,
)
from tutorial_lib.teacher_forcing import PAD
from tutorial_lib.validation import kind_of, require_positive

RGB = {
    "red": (0.85, 0.20, 0.10),
    "blue": (0.10, 0.35, 0.85),
    "yellow": (0.95, 0.85, 0.20),
    "white": (0.95, 0.95, 0.95),
}
PATTERNS = {
    "square": ("#####", "#####", "#####", "#####", "#####"),
    "ring": (".###.", "#...#", "#...#", "#...#", ".###."),
    "triangle": ("..#..", "..#..", ".###.", ".###.", "#####"),
    "cross": ("#...#", ".#.#.", "..#..", ".#.#.", "#...#"),
}
PLACE_SIDE = 6  # pixels; a shape has 5, and stands anywhere in its place
SIDE = 3 * PLACE_SIDE
GROUND, DIMMEST, NOISE = 0.25, 0.8, 0.04

MOST_THINGS = 2
MAX_LENGTH = 2 + 4 * MOST_THINGS + MOST_THINGS - 1  # tokens of the longest caption
Combination = tuple[int, ...]  # the kinds of the things in a picture


class CombinationSplits(NamedTuple):
    """Combinations for three sets of pictures; none is in two of them.

    Args:
        train: All single kinds, and the pairs that are left.
        val: Pairs of kinds.
        test: Pairs of kinds.
    """

    train: list[Combination]
    val: list[Combination]
    test: list[Combination]


class Pictures(NamedTuple):
    """Pictures and their captions.

    Args:
        images: Red, green and blue, from 0 to 1.
        captions: Tokens, from the start token to the end token and its padding.
    """

    images: Float[Tensor, "size 3 18 18"]
    captions: Int[Tensor, "size 11"]


def split_combinations(*, held_out: int = 14, seed: int = 0) -> CombinationSplits:
    r"""Choose which kinds of things are seen together in which split.

    With 16 kinds there are 16 single things and :math:`\binom{16}{2} + 16 = 136` pairs, where the
    two may be of one kind. A pair that is held out occurs in one split alone, wherever its two
    things stand.

    Args:
        held_out: Pairs for validation, and as many others for the test; at most 67.
        seed: Seed of the choice.

    Returns:
        The combinations of the three splits.

    Raises:
        TypeError: If ``held_out`` is not an integer.
        ValueError: If it is below 1 or leaves no pair to train on.

    Taught in :doc:`/notebooks/34_injected_nested_modules`.
    """
    require_positive(held_out=held_out)
    pairs: list[Combination] = list(combinations_with_replacement(range(NUM_KINDS), 2))
    if 2 * held_out >= len(pairs):
        raise ValueError(f"held_out must be at most {(len(pairs) - 1) // 2}, got {held_out}")
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed)).tolist()
    pairs = [pairs[place] for place in order]
    singles: list[Combination] = [(kind,) for kind in range(NUM_KINDS)]
    test, val, rest = pairs[:held_out], pairs[held_out : 2 * held_out], pairs[2 * held_out :]
    return CombinationSplits(singles + rest, val, test)


def draw_pictures(size: int, combinations: Sequence[Combination], *, seed: int = 0) -> Pictures:
    """Draw pictures: a combination, places for its things, and how they are painted.

    Args:
        size: Number of pictures.
        combinations: What may be seen together; each is as likely as the next.
        seed: Seed of the draw.

    Returns:
        The pictures and their captions.

    Raises:
        TypeError: If ``size`` is not an integer.
        ValueError: If it is below 1, there is no combination, or one has no thing, more than two,
            or an unknown kind.

    Taught in :doc:`/notebooks/34_injected_nested_modules`.
    """
    require_positive(size=size)
    if not combinations:
        raise ValueError("combinations must hold at least one, got none")
    for combination in combinations:
        if not 1 <= len(combination) <= MOST_THINGS or not set(combination) <= {*range(NUM_KINDS)}:
            raise ValueError(
                f"combinations must hold one or two kinds from 0 to {NUM_KINDS - 1}, "
                f"got {combination}"
            )
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(combinations), (size,), generator=generator).tolist()
    places = torch.rand(size, NUM_PLACES, generator=generator).argsort(dim=1).tolist()
    rows = [[EMPTY] * NUM_PLACES for _ in range(size)]
    for row, number, free in zip(rows, chosen, places, strict=True):
        for kind, place in zip(combinations[number], free, strict=False):
            row[place] = kind
    captions = [to_tokens(caption_of(row)) for row in rows]
    captions = [[*tokens, *[PAD] * (MAX_LENGTH - len(tokens))] for tokens in captions]
    return Pictures(paint(torch.tensor(rows), generator=generator), torch.tensor(captions))


def paint(
    layouts: Int[Tensor, "size 9"], *, generator: torch.Generator | None = None
) -> Float[Tensor, "size 3 18 18"]:
    """Paint what stands where, on a grey ground.

    A shape is shifted by up to one pixel each way, and dimmed by up to a fifth; all pixels get a
    little noise.

    Args:
        layouts: The kind at each place, row by row; ``EMPTY`` where there is nothing.
        generator: Where shifts, light and noise come from.

    Returns:
        Red, green and blue, from 0 to 1.

    Raises:
        TypeError: If ``layouts`` is not a tensor of int64.
        ValueError: If it has not nine places a picture, or an unknown kind.

    Taught in :doc:`/notebooks/34_injected_nested_modules`.
    """
    _require_layouts(layouts)
    size, there = len(layouts), layouts != EMPTY
    kinds = layouts.clamp(min=0)
    down, right = torch.randint(2, (2, size, NUM_PLACES), generator=generator)
    masks = _stamps()[kinds % len(SHAPES), down, right] * there[..., None, None]
    light = torch.rand(size, NUM_PLACES, 1, generator=generator)
    colours = torch.tensor([RGB[name] for name in COLOURS])[kinds // len(SHAPES)]
    colours = colours * (DIMMEST + (1 - DIMMEST) * light)  # (size, place, channel)
    tiles = GROUND + masks[:, :, None] * (colours[..., None, None] - GROUND)
    tiles = tiles.view(size, 3, 3, 3, PLACE_SIDE, PLACE_SIDE)  # (size, row, column, channel, y, x)
    images = tiles.permute(0, 3, 1, 4, 2, 5).reshape(size, 3, SIDE, SIDE)
    return (images + NOISE * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def _stamps() -> Tensor:
    """Give each shape at each of its four spots in a place: (shape, down, right, y, x)."""
    stamps = torch.zeros(len(SHAPES), 2, 2, PLACE_SIDE, PLACE_SIDE)
    for number, name in enumerate(SHAPES):
        lines = PATTERNS[name]
        shape = torch.tensor([[pixel == "#" for pixel in line] for line in lines]).float()
        for down in (0, 1):
            for right in (0, 1):
                stamps[number, down, right, down : down + 5, right : right + 5] = shape
    return stamps


def _require_layouts(layouts: Tensor) -> None:
    if not isinstance(layouts, Tensor) or layouts.dtype != torch.int64:
        raise TypeError(f"layouts must be a tensor of int64, got {kind_of(layouts)}")
    if layouts.ndim != 2 or layouts.shape[1] != NUM_PLACES:
        raise ValueError(f"layouts must have shape (size, 9), got {tuple(layouts.shape)}")
    if layouts.numel() and (layouts.min() < EMPTY or layouts.max() >= NUM_KINDS):
        low, high = (int(end) for end in layouts.aminmax())
        raise ValueError(f"layouts must lie in -1..{NUM_KINDS - 1}, got {low}..{high}")
