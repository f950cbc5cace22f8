"""The checks of chapter 42 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib.exercises.chapter_42 import check


def _distances(vectors):
    return (vectors - vectors.mean(dim=1, keepdim=True)).norm(dim=-1)


def _gap(network, images, order):
    return (network(images[:, order]) - network(images)[:, order]).abs().max()


def _mask(places, size):
    mask = torch.ones(len(places), size, size, dtype=torch.bool)
    everyone = torch.arange(len(places))
    mask[everyone, :, places] = False
    mask[everyone, places, places] = True
    return mask


RIGHT = [(1, _distances), (2, _gap), (3, _mask)]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_stub_does_not_pass(number):
    assert "must be a tensor" in check.problem(number, lambda *args: None)


def _distances_from(mean):
    return lambda vectors: (vectors - mean(vectors)).norm(dim=-1)


def _in_place(vectors):
    vectors -= vectors.mean(dim=1, keepdim=True)
    return vectors.norm(dim=-1)


def _gap_by(change, measure=lambda difference: difference.abs().max()):
    def gap(network, images, order):
        return measure(change(network, images, order))

    return gap


def _change(network, images, order):
    return network(images[:, order]) - network(images)[:, order]


def _columns_only(places, size):
    mask = torch.ones(len(places), size, size, dtype=torch.bool)
    mask[torch.arange(len(places)), :, places] = False
    return mask


def _crossed_out(places, size):
    mask = _columns_only(places, size)
    everyone = torch.arange(len(places))
    mask[everyone, places, :] = False
    mask[everyone, places, places] = True
    return mask


def _places_of_all_sets(places, size):
    mask = torch.ones(len(places), size, size, dtype=torch.bool)
    mask[:, :, places] = False
    mask[torch.arange(len(places)), places, :] = True
    return mask


SIGNED = "with its sign: take absolute"
WRONG = {
    "mean over the batch": (1, _distances_from(lambda v: v.mean(0)), "runs over the batch"),
    "mean over the features": (
        1,
        _distances_from(lambda v: v.mean(-1, keepdim=True)),
        "runs over the features",
    ),
    "mean of everything": (1, _distances_from(torch.mean), "one mean of everything"),
    "one mean for all sets": (1, _distances_from(lambda v: v.mean((0, 1))), "one mean for all"),
    "no mean": (1, lambda v: v.norm(dim=-1), "the mean is not taken off"),
    "squares": (1, lambda v: _distances(v) ** 2, "take the root"),
    "mean of the squares": (
        1,
        lambda v: (v - v.mean(1, keepdim=True)).square().mean(-1).sqrt(),
        "averaged over the features",
    ),
    "absolute values": (1, lambda v: (v - v.mean(1, keepdim=True)).abs().sum(-1), "absolute"),
    "the mean of the others": (
        1,
        lambda v: (v - (v.sum(1, keepdim=True) - v) / (v.shape[1] - 1)).norm(dim=-1),
        "the mean of the others",
    ),
    "no kept axis": (1, lambda v: (v - v.mean(1)).norm(dim=-1), "it raised RuntimeError"),
    "one a set": (1, lambda v: _distances(v).amax(1), "shape"),
    "in place": (1, _in_place, "argument 1 was changed"),
    "the inverse order": (
        2,
        _gap_by(lambda n, x, order: n(x[:, order]) - n(x)[:, order.argsort()]),
        "reordered the wrong way",
    ),
    "not reordered": (2, _gap_by(lambda n, x, order: n(x[:, order]) - n(x)), "not reordered"),
    "only the scores": (
        2,
        _gap_by(lambda n, x, order: n(x) - n(x)[:, order]),
        "the images are not reordered",
    ),
    "twice": (2, _gap_by(lambda n, x, order: n(x[:, order])[:, order] - n(x)), "the wrong way"),
    "along the batch": (2, _gap_by(lambda n, x, order: n(x[order]) - n(x)[order]), "IndexError"),
    "always zero": (2, lambda n, x, order: torch.tensor(0.0), "knows the places has gap 0"),
    "signed": (2, _gap_by(_change, torch.max), SIGNED),
    "signed the other way": (2, _gap_by(lambda *a: -_change(*a), torch.max), SIGNED),
    "the mean": (2, _gap_by(_change, lambda d: d.abs().mean()), "take the largest"),
    "the sum": (2, _gap_by(_change, lambda d: d.abs().sum()), "take the largest"),
    "the square": (2, _gap_by(_change, lambda d: d.square().max()), "the largest square"),
    "the length": (2, _gap_by(_change, torch.norm), "is 0.40 here, got"),
    "always one": (2, lambda n, x, order: torch.tensor(1.0), "is 0.40 here, got 1.00"),
    "first example only": (
        2,
        _gap_by(_change, lambda d: d[0].abs().max() * 0.5),
        "is 0.40 here, got 0.20",
    ),
    "a number": (2, lambda *a: _gap(*a).item(), "must be a tensor, got float"),
    "floats": (3, lambda p, n: _mask(p, n).float(), "boolean"),
    "reversed": (3, lambda p, n: ~_mask(p, n), "the mask is reversed"),
    "hidden from itself": (3, _columns_only, "look at itself"),
    "crossed out": (3, _crossed_out, "it sees only itself"),
    "everyone alone": (3, lambda p, n: torch.eye(n).bool().expand(len(p), n, n), "everyone sees"),
    "the row": (3, lambda p, n: _mask(p, n).mT, "look at everyone"),
    "only the odd one": (3, lambda p, n: ~_columns_only(p, n).mT, "only the odd one may look"),
    "nothing hidden": (3, lambda p, n: torch.ones(len(p), n, n).bool(), "nothing is hidden"),
    "places of all sets": (3, _places_of_all_sets, "hidden in every set"),
    "the first one's": (3, lambda p, n: _mask(p[:1].expand(len(p)), n), "the mask of the first"),
    "one place on": (3, lambda p, n: _mask((p + 1) % n, n), "query 0 and key 4: True"),
    "no batch": (3, lambda p, n: _mask(p, n)[0], "shape"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
