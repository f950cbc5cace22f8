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


def _grid(table):
    old = int((len(table) - 1) ** 0.5)
    return table[1:].T.reshape(1, -1, old, old)


def _resized(rows):
    def resize(table, side):
        return torch.cat([table[:1], rows(table, side)])

    return resize


def _interpolated(grid, side, mode="bilinear", align_corners=False):
    return F.interpolate(grid, size=(side, side), mode=mode, align_corners=align_corners)


def _interpolated_by(**options):
    return _resized(lambda t, side: _interpolated(_grid(t), side, **options)[0].flatten(1).T)


def _scrambled(table):
    return table[1:].reshape(_grid(table).shape)


def _resize_without_class(table, side):
    return torch.cat([torch.zeros(1, table.shape[1]), _resize(table, side)[1:]])


def _resize_in_place(table, side):
    right = _resize(table, side)
    table[1:] *= 2
    return right


def _resize_from_four(table, side):
    return _resize(table[:17], side) if len(table) >= 17 else torch.zeros(1 + side**2, 5)


def _off_by(off):
    return lambda **s: _count(**s) + off(s["embed_dim"], s["num_layers"], s["dim_feedforward"], s)


def _windows(images, side, stride):
    windows = images.unfold(2, side, stride).unfold(3, side, stride)
    return windows.permute(0, 2, 3, 1, 4, 5)  # (batch, top, left, channel, row, column)


def _cut_by(change):
    return lambda x, p, s: change(_windows(x, p, s)).reshape(_cut(x, p, s).shape)


def _reshaped(images, patch_size, stride):
    return images.reshape(len(images), -1, images.shape[1] * patch_size**2)


RIGHT = [(1, _count), (2, _cut), (3, _resize)]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize(("number", "says"), [(1, "an int"), (2, "a tensor"), (3, "a tensor")])
def test_the_stub_does_not_pass(number, says):
    assert f"must be {says}, got NoneType" in check.problem(number, lambda *args, **sizes: None)


ONE_LAYER = _off_by(lambda d, n, f, s: (1 - n) * (4 * (d * d + d) + 2 * d * f + f + 5 * d))
WRONG = {
    "no class token": (1, _off_by(lambda d, n, f, s: -d), "a vector of the width is missing"),
    "no final norm": (1, _off_by(lambda d, n, f, s: -2 * d), "the encoder ends with a norm"),
    "neither": (1, _off_by(lambda d, n, f, s: -3 * d), "three vectors of the width"),
    "no table": (
        1,
        _off_by(lambda d, n, f, s: -(1 + (s["image_size"] // s["patch_size"]) ** 2) * d),
        "the table of positions is missing",
    ),
    "no biases": (1, _off_by(lambda d, n, f, s: -4 * d * n), "each layer lacks four vectors"),
    "one norm": (1, _off_by(lambda d, n, f, s: -2 * d * n), "each layer has two norms"),
    "no feed-forward bias": (1, _off_by(lambda d, n, f, s: -(f + d) * n), "of the feed-forward"),
    "three maps": (1, _off_by(lambda d, n, f, s: -(d * d + d) * n), "attention has four maps"),
    "one layer": (1, ONE_LAYER, "the layers are counted once"),
    "no head bias": (1, _off_by(lambda d, n, f, s: -10), "the biases of the head"),
    "no head": (1, _off_by(lambda d, n, f, s: -10 * d - 10), "the head is missing"),
    "one channel": (1, lambda **s: _count(**(s | {"num_channels": 1})), "the channels play no"),
    "wide feed-forward": (
        1,
        lambda **s: _count(**(s | {"dim_feedforward": 4 * s["embed_dim"]})),
        "+7800 for images of 8, patches of 2, 1 channels, width 32, 2 layers",
    ),
    "for one size": (1, lambda **s: 17_000, "for images of 8"),
    "a float": (1, lambda **s: float(_count(**s)), "must be an int, got float"),
    "values in the middle": (
        2,
        lambda x, p, s: F.unfold(x, p, stride=s),
        "the values stand on the middle axis",
    ),
    "a reshape": (2, _reshaped, "a reshape alone"),
    "column by column": (
        2,
        _cut_by(lambda w: w.transpose(1, 2)),
        "the patches come column by column",
    ),
    "pixel by pixel": (2, _cut_by(lambda w: w.permute(0, 1, 2, 4, 5, 3)), "pixel by pixel"),
    "turned": (2, _cut_by(lambda w: w.mT), "inside the patches"),
    "channels in front": (
        2,
        _cut_by(lambda w: w.permute(0, 3, 1, 2, 4, 5)),
        "channels come before",
    ),
    "backwards": (2, _cut_by(lambda w: w.flip(1)), "wrong for patches of 2 and stride 2"),
    "no overlap": (2, lambda x, p, s: _cut(x, p, p), "must have shape (2, 24, 27)"),
    "in place": (2, lambda x, p, s: _cut(x.mul_(2), p, s) / 2, "argument 1 was changed"),
    "the class token lost": (3, _resize_without_class, "class token's row"),
    "mirrored": (
        3,
        _resized(lambda t, side: _interpolated(_grid(t).mT, side)[0].flatten(1).T),
        "changed places",
    ),
    "reshaped only": (
        3,
        _resized(lambda t, side: _interpolated(_scrambled(t), side)[0].flatten(1).T),
        "transpose the table before",
    ),
    "reshaped there and back": (
        3,
        _resized(lambda t, side: _interpolated(_scrambled(t), side).reshape(side**2, -1)),
        "d is the last axis of the table",
    ),
    "reshaped back": (
        3,
        _resized(lambda t, side: _interpolated(_grid(t), side).reshape(side**2, -1)),
        "transpose what comes out",
    ),
    "aligned corners": (3, _interpolated_by(align_corners=True), "the corners are aligned"),
    "nearest": (3, _interpolated_by(mode="nearest", align_corners=None), "the nearest row"),
    "bicubic": (3, _interpolated_by(mode="bicubic"), 'this is mode="bicubic"'),
    "too few rows": (3, lambda table, side: _resize(table, side)[1:], "shape (17, 6)"),
    "not resized": (3, lambda table, side: table, "shape (50, 6)"),
    "doubled": (3, _resized(lambda t, side: 2 * _resize(t, side)[1:]), "wrong for a grid of 4"),
    "from four only": (3, _resize_from_four, "the class token's row"),
    "changes the table": (3, _resize_in_place, "argument 1 was changed"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
