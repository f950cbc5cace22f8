"""The checks of chapter 51 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import math

import pytest
import torch

from tutorial_lib.exercises.chapter_51 import check


def _step(layer):
    return (layer.mean(0) + torch.eye(layer.shape[-1]).to(layer)) / 2


def _rollout(maps):
    result = torch.eye(maps[0].shape[-1]).to(maps[0])
    for layer in maps:
        result = _step(layer) @ result
    return result


def _through(step, *, order=1):
    """Multiply steps of one's own, from the left or from the right."""

    def rollout(maps):
        result = torch.eye(maps[0].shape[-1]).to(maps[0])
        for layer in maps[::order]:
            result = step(layer, torch.eye(layer.shape[-1]).to(layer)) @ result
        return result

    return rollout


def _in_place(maps):
    for layer in maps:
        layer += torch.eye(layer.shape[-1]).to(layer)
    return _through(lambda layer, eye: layer.mean(0) / 2)(maps)


def _added(weights, values, out):
    return weights * (values @ out).norm(dim=-1)


def _another(weights, values):
    ones = torch.ones_like(values[:, :1])
    rows = torch.linalg.svd(torch.cat([values, ones], dim=1).T)[2]
    return weights + 0.1 * rows[-1]


def _same_output_only(weights, values):
    return weights + 0.1 * torch.linalg.svd(values.T)[2][-1]


def _same_sums_only(weights, values):
    return weights + 0.1 * torch.eye(weights.shape[1])[0] - 0.1 * torch.eye(weights.shape[1])[1]


def _first_row_only(weights, values):
    changed = weights.clone()
    changed[0] = _another(weights, values)[0]
    return changed


def _entropy(weights):
    return torch.special.entr(weights).sum(dim=-1) / math.log(2)


RIGHT = [(1, _rollout), (2, _added), (3, _another), (4, _entropy)]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_stub_does_not_pass(number):
    assert "must be a tensor" in check.problem(number, lambda *args: None)


BITS = math.log(2)
WRONG = {
    "the last layer's map": (1, lambda maps: maps[-1].mean(0), "the map of the last layer"),
    "the last layer's step": (1, lambda maps: _step(maps[-1]), "the step of the last layer"),
    "no residual": (1, _through(lambda a, eye: a.mean(0)), "connection is left out"),
    "the wrong order": (1, lambda maps: _rollout(maps[::-1]), "in the wrong order"),
    "both": (1, _through(lambda a, eye: a.mean(0), order=-1), "left out, and the order"),
    "not halved": (1, _through(lambda a, eye: a.mean(0) + eye), "the steps are not halved"),
    "heads summed": (1, _through(lambda a, eye: (a.sum(0) + eye) / 2), "the heads are summed"),
    "one head": (1, _through(lambda a, eye: (a[0] + eye) / 2), "only the first head"),
    "largest head": (1, _through(lambda a, eye: (a.amax(0) + eye) / 2), "the largest head"),
    "layers averaged": (1, lambda m: sum(_step(a) for a in m) / len(m), "layers are averaged"),
    "maps averaged": (1, lambda m: torch.stack(m).mean((0, 1)), "the layers' maps are averaged"),
    "one residual": (
        1,
        lambda m: _step(_through(lambda a, eye: a.mean(0))(m)[None]),
        "comes after the product",
    ),
    "entry by entry": (1, lambda m: torch.stack([_step(a) for a in m]).prod(0), "entry by entry"),
    "the first left out": (1, lambda maps: _rollout(maps[1:]), "the first layer is left out"),
    "turned": (1, lambda maps: _rollout(maps).T, "turned around"),
    "a third": (1, _through(lambda a, eye: (a.mean(0) + 2 * eye) / 3), "the first row is"),
    "one a head": (1, _through(lambda a, eye: (a + eye) / 2), "must have shape (4, 4)"),
    "float32": (1, lambda maps: _rollout(maps).float(), "the maps are torch.float64"),
    "in place": (1, _in_place, "argument 1 was changed"),
    "weights alone": (2, lambda w, v, o: w, "these are the weights alone"),
    "no output map": (2, lambda w, v, o: w * v.norm(dim=-1), "the output map changes"),
    "no weight": (2, lambda w, v, o: (v @ o).norm(dim=-1).expand_as(w), "the weight A_ij"),
    "lengths multiplied": (
        2,
        lambda w, v, o: w * v.norm(dim=-1) * o.norm(),
        "output map's length is",
    ),
    "the sum's length": (2, lambda w, v, o: (w @ v @ o).norm(dim=-1), "must have shape"),
    "squared": (2, lambda w, v, o: w * (v @ o).square().sum(-1), "the root of the length"),
    "all squared": (2, lambda w, v, o: _added(w, v, o) ** 2, "these are squares"),
    "weight squared": (2, lambda w, v, o: w * _added(w, v, o), "the weight is squared"),
    "absolute": (2, lambda w, v, o: w * (v @ o).abs().sum(-1), "the absolute values"),
    "mean": (2, lambda w, v, o: w * (v @ o).square().mean(-1).sqrt(), "the squares are averaged"),
    "signed": (2, lambda w, v, o: w * (v @ o).sum(-1), "with their signs"),
    "shares": (
        2,
        lambda w, v, o: _added(w, v, o) / _added(w, v, o).sum(-1, keepdim=True),
        "these are shares",
    ),
    "map turned": (
        2,
        lambda w, v, o: _added(w, v, o.T if o.shape == (3, 3) else o),
        "W is turned around",
    ),
    "doubled": (2, lambda w, v, o: 2 * _added(w, v, o), "these are not the lengths"),
    "the same map": (3, lambda w, v: w, "every row is the same"),
    "one row": (3, _first_row_only, "a row is the same as before: row 1"),
    "hardly": (3, lambda w, v: w + 1e-6 * (_another(w, v) - w), "every row is the same"),
    "sums differ": (3, _same_output_only, "does not sum to 1, though the output"),
    "sums only": (3, _same_sums_only, "though the rows sum to 1"),
    "uniform": (3, lambda w, v: torch.full_like(w, 1 / w.shape[1]), "the output has changed"),
    "neither": (3, lambda w, v: w + 0.1, "a row does not sum to 1, and the output has changed"),
    "through float32": (3, lambda w, v: _another(w.float(), v.float()).double(), "stay in float64"),
    "not a number": (3, lambda w, v: w / 0 * 0, "an entry is not a number"),
    "for six keys": (3, lambda w, v: _another(w, v) if len(v) == 6 else w, "every row is the"),
    "changes the map": (3, lambda w, v: w.copy_(_another(w, v)), "argument 1 was changed"),
    "nats": (4, lambda w: torch.special.entr(w).sum(-1), "these are nats"),
    "digits": (4, lambda w: _entropy(w) * math.log10(2), "decimal digits"),
    "0 log 0": (4, lambda w: -(w * w.log2()).sum(-1), "count it as 0"),
    "negative": (4, lambda w: -_entropy(w), "the sign is wrong"),
    "multiplied": (4, lambda w: _entropy(w) * BITS**2, "divided the wrong way"),
    "mean of terms": (4, lambda w: _entropy(w) / w.shape[-1], "the terms are averaged"),
    "over the queries": (4, lambda w: _entropy(w.mT), "the queries are summed"),
    "axis 0": (4, lambda w: torch.special.entr(w).sum(0) / BITS, "the queries are summed"),
    "axis 1": (4, lambda w: torch.special.entr(w).sum(1) / BITS, "the queries are summed"),
    "axis 1 of three": (
        4,
        lambda w: _entropy(w.mT if w.ndim == 3 else w),
        "the queries are summed",
    ),
    "axis 0 of a list": (
        4,
        lambda w: torch.stack([_entropy(row) for row in w.flatten(0, -2)]),
        "must have shape (3, 4), got (12,)",
    ),
    "perplexity": (4, lambda w: 2 ** _entropy(w), "this is the perplexity"),
    "share": (4, lambda w: _entropy(w) / math.log2(w.shape[-1]), "of the largest entropy"),
    "rough": (4, lambda w: -(w * (w + 1e-3).log2()).sum(-1), "bits are right, got"),
    "one number": (4, lambda w: _entropy(w).mean(), "must have shape"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
