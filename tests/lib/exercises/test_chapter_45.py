"""The checks of chapter 45 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tutorial_lib.exercises.chapter_45 import check


def _count(
    *, image_size, patch_size, num_channels, num_classes, embed_dim, num_layers, dim_feedforward
):
    d, f, n = embed_dim, dim_feedforward, (image_size // patch_size) ** 2
    patches = num_channels * patch_size**2 * d + d
    layer = 4 * (d * d + d) + (d * f + f) + (f * d + d) + 2 * 2 * d
    return patches + d + (1 + n) * d + num_layers * layer + 2 * d + d * num_classes + num_classes


def _cut(images, patch_size, stride):
    return F.unfold(images, patch_size, stride=stride).transpose(1, 2)


def _resize(table, side):
    old = int((len(table) - 1) ** 0.5)
    grid = table[1:].T.reshape(1, -1, old, old)
    grid = F.interpolate(grid, size=(side, side), mode="bilinear", align_corners=False)
    return torch.cat([table[:1], grid[0].flatten(1).T])


def _resize_mirrored(table, side):
    resized = _resize(table, side)
    rows = resized[1:].reshape(side, side, -1).transpose(0, 1).flatten(0, 1)
    return torch.cat([resized[:1], rows]) if side != 4 else resized


def _resize_without_class(table, side):
    return torch.cat([torch.zeros(1, table.shape[1]), _resize(table, side)[1:]])


RIGHT = [(1, _count), (2, _cut), (3, _resize)]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize(("number", "says"), [(1, "an int"), (2, "a tensor"), (3, "a tensor")])
def test_the_stub_does_not_pass(number, says):
    assert f"must be {says}, got NoneType" in check.problem(number, lambda *args, **sizes: None)


WRONG = {
    "no class token": (1, lambda **s: _count(**s) - s["embed_dim"], "-32 for images of 8"),
    "no final norm": (1, lambda **s: _count(**s) - 2 * s["embed_dim"], "-64 for images of 8"),
    "a row too few": (1, lambda **s: _count(**s) - s["embed_dim"], "-32"),
    "a float": (1, lambda **s: float(_count(**s)), "must be an int, got float"),
    "one channel": (1, lambda **s: _count(**(s | {"num_channels": 1})), "-64 for images of 6"),
    "axes as unfold has them": (2, lambda x, p, s: _cut(x, p, s).transpose(1, 2), "not the chap"),
    "a reshape": (2, lambda x, p, s: x.reshape(2, 12, 12), "not the chapter's patches"),
    "no overlap": (2, lambda x, p, s: _cut(x, p, p), "shape"),
    "the class token lost": (3, _resize_without_class, "class token's row"),
    "mirrored": (3, _resize_mirrored, "changed places"),
    "too few rows": (3, lambda table, side: _resize(table, side)[1:], "shape (17, 6)"),
    "not resized": (3, lambda table, side: table, "shape (50, 6)"),
    "nearest": (
        3,
        lambda table, side: torch.cat(
            [
                table[:1],
                F.interpolate(table[1:].T.reshape(1, 6, 4, 4), size=(side, side))[0].flatten(1).T,
            ]
        ),
        "wrong for a grid of 7",
    ),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
