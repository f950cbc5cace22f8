"""The pictures show what their captions say, and no combination is in two splits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.experiments.captions.data import ShapesDataModule
from tutorial_lib.experiments.captions.shapes import (
    MAX_LENGTH,
    PATTERNS,
    RGB,
    draw_pictures,
    paint,
    split_combinations,
)
from tutorial_lib.experiments.captions.words import (
    COLOURS,
    EMPTY,
    NUM_KINDS,
    SHAPES,
    WORDS,
    caption_of,
    kind_name,
    to_caption,
    to_tokens,
)
from tutorial_lib.teacher_forcing import END, PAD, START

ROWS, COLUMNS = ["top", "middle", "bottom"], ["left", "centre", "right"]
SIZES = {"held_out": 5, "train_size": 40, "val_size": 9, "test_size": 11, "batch_size": 8}


def seen_in(image):
    """Read a picture by rules of our own: bright pixels, their box, their mean colour."""
    things = []
    for row in range(3):
        for column in range(3):
            tile = image[:, 6 * row : 6 * row + 6, 6 * column : 6 * column + 6]
            bright = tile.amax(dim=0) > 0.46
            if not bright.any():
                continue
            (y, x), inside = (axis.tolist() for axis in bright.nonzero(as_tuple=True)), bright
            box = inside[min(y) : max(y) + 1, min(x) : max(x) + 1]
            drawn = tuple("".join(".#"[int(pixel)] for pixel in line) for line in box)
            (shape,) = [name for name, pattern in PATTERNS.items() if pattern == drawn]
            mean = tile[:, bright].mean(dim=1)
            # Dimming changes the length of a colour, hardly its direction; white is the even one.
            colour = max(
                RGB, key=lambda n: torch.cosine_similarity(mean, torch.tensor(RGB[n]), dim=0)
            )
            things.append(f"{ROWS[row]} {COLUMNS[column]} {colour} {shape}")
    return " and ".join(things)


def test_every_caption_is_exactly_what_a_reader_by_rules_sees():
    pictures = draw_pictures(400, split_combinations(seed=1).train, seed=5)
    for image, tokens in zip(pictures.images, pictures.captions.tolist(), strict=True):
        assert seen_in(image) == to_caption(tokens)


def test_every_kind_is_painted_and_named_at_every_place():
    layouts = torch.full((NUM_KINDS * 9, 9), EMPTY)
    for number, layout in enumerate(layouts):
        layout[number % 9] = number // 9
    images = paint(layouts, generator=torch.Generator().manual_seed(0))
    for layout, image in zip(layouts.tolist(), images, strict=True):
        assert seen_in(image) == caption_of(layout)


def test_captions_are_written_row_by_row_from_the_top_left():
    layout = [EMPTY] * 9
    layout[8], layout[0] = 4, 1  # blue square, red ring
    assert caption_of(layout) == "top left red ring and bottom right blue square"
    assert [kind_name(kind) for kind in (0, 3, 15)] == ["red square", "red cross", "white cross"]
    layout = [EMPTY] * 4 + [15] + [EMPTY] * 4
    assert caption_of(layout) == "middle centre white cross"


def test_tokens_are_the_numbers_of_the_words():
    tokens = to_tokens("top left red ring")
    assert tokens[0] == START
    assert tokens[-1] == END
    assert [WORDS[token] for token in tokens[1:-1]] == ["top", "left", "red", "ring"]
    assert to_caption([*tokens, PAD, PAD]) == to_caption(tokens[1:]) == "top left red ring"
    assert len(set(WORDS)) == len(WORDS) == 18
    assert set(RGB) == set(COLOURS)
    assert set(PATTERNS) == set(SHAPES)


@given(held_out=st.integers(1, 67), seed=st.integers(0, 99))
def test_a_pair_is_in_one_split_and_all_are_in_some(held_out, seed):
    train, val, test = split_combinations(held_out=held_out, seed=seed)
    assert len(val) == len(test) == held_out
    assert [len(combination) for combination in train[:16]] == [1] * 16
    assert all(len(combination) == 2 for combination in [*val, *test, *train[16:]])
    everything = [*train, *val, *test]
    assert len(everything) == len(set(everything)) == 16 + 136
    assert all(tuple(sorted(combination)) == combination for combination in everything)


def test_the_draw_is_that_of_the_seed_and_of_nothing_else():
    combinations = split_combinations().val
    torch.manual_seed(1)
    one = draw_pictures(20, combinations, seed=3)
    expected = torch.rand(1)
    torch.manual_seed(1)
    assert torch.rand(1).equal(expected)  # the global generator was left alone
    other = draw_pictures(20, combinations, seed=3)
    assert one.images.equal(other.images)
    assert one.captions.equal(other.captions)
    assert not draw_pictures(20, combinations, seed=4).captions.equal(one.captions)


def test_pictures_have_the_sizes_that_are_told():
    images, captions = draw_pictures(30, split_combinations().train, seed=2)
    assert images.shape == (30, 3, 18, 18)
    assert captions.shape == (30, MAX_LENGTH) == (30, 11)
    assert images.min() >= 0
    assert images.max() <= 1
    assert captions[:, 0].eq(START).all()
    assert captions.eq(END).sum(dim=1).eq(1).all()


def things_in(tokens):
    parts = to_caption(tokens).split(" and ")
    return tuple(sorted(" ".join(part.split()[2:]) for part in parts))


def test_no_combination_and_no_caption_is_in_two_splits():
    module = ShapesDataModule(**SIZES, seed=3)
    module.setup("fit")
    assert [len(split) for split in module.splits] == [40, 9, 11]
    captions = [split.tensors[1].tolist() for split in module.splits]
    found = [{things_in(tokens) for tokens in rows} for rows in captions]
    for split, combinations in zip(found, module.combinations, strict=True):
        assert split <= {tuple(sorted(map(kind_name, combination))) for combination in combinations}
    assert not found[0] & found[1] | found[0] & found[2] | found[1] & found[2]
    assert module.vocab_size == 18


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: split_combinations(held_out=0), ValueError, "held_out must be at least 1, got 0"),
        (lambda: split_combinations(held_out=68), ValueError, "held_out must be at most 67"),
        (lambda: draw_pictures(0, [(1,)]), ValueError, "size must be at least 1, got 0"),
        (lambda: draw_pictures(1, []), ValueError, "combinations must hold at least one"),
        (lambda: draw_pictures(1, [(1, 2, 3)]), ValueError, "combinations must hold one or two"),
        (lambda: draw_pictures(1, [(16,)]), ValueError, "combinations must hold one or two"),
        (lambda: paint(torch.zeros(1, 9)), TypeError, "layouts must be a tensor of int64"),
        (lambda: paint(torch.zeros(1, 8).long()), ValueError, r"layouts must have shape \(size, 9"),
        (lambda: paint(torch.full((1, 9), 16)), ValueError, r"layouts must lie in -1\.\.15"),
        (lambda: caption_of([EMPTY] * 9), ValueError, "layout must hold something"),
        (lambda: to_tokens("top green ring"), ValueError, "words of the grammar, got 'green'"),
    ],
)
def test_wrong_input_is_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()
