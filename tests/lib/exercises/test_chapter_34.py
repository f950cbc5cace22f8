"""The checks of chapter 34 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from tutorial_lib.exercises.chapter_34 import check


def _groups(parts, rates):
    taken, found = set(), []
    for name, part in parts.items():
        new = [p for p in part.parameters() if p not in taken]
        taken.update(new)
        found.append({"params": new, "lr": rates[name]})
    return found


class _Frozen(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part.requires_grad_(False).eval()

    def train(self, mode=True):
        super().train(mode)
        self.part.eval()
        return self

    def forward(self, x):
        return self.part(x)


def _build(config, classes):
    settings = {
        name: _build(value, classes) if isinstance(value, dict) else value
        for name, value in config.items()
        if name != "class"
    }
    return classes[config["class"]](**settings)


def _mixes(module, x):
    module = copy.deepcopy(module)
    before = module(x)
    for example in range(len(x)):
        changed = x.clone()
        changed[example] += torch.linspace(1, 2, x[example].numel()).view_as(x[example])
        others = torch.arange(len(x)) != example
        if not torch.allclose(module(changed)[others], before[others]):
            return True
    return False


@pytest.mark.parametrize(
    ("number", "answer"), [(1, _groups), (2, _Frozen), (3, _build), (4, _mixes)]
)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


class _Nothing(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x)


class _NoGradients(_Nothing):
    def __init__(self, part):
        super().__init__(part.requires_grad_(False))


class _EvalOnce(_Nothing):
    def __init__(self, part):
        super().__init__(part.requires_grad_(False).eval())


class _Blocks(_Frozen):
    def forward(self, x):
        with torch.no_grad():
            return self.part(x)


class _Evaluates(_Frozen):
    def __init__(self, part):
        super().__init__(part)
        part.requires_grad_(True)


def _first_only(module, x):
    module, changed = copy.deepcopy(module), x.clone()
    changed[0] += torch.linspace(1, 2, 3)
    return not torch.allclose(module(changed)[1:], module(x)[1:])


def _popping(config, classes):
    name = config.pop("class")
    return classes[name](
        **{k: _popping(v, classes) if isinstance(v, dict) else v for k, v in config.items()}
    )


WRONG = {
    "no list": (1, lambda parts, rates: None, "a list of groups is needed"),
    "one group": (
        1,
        lambda parts, rates: [{"params": list(parts["a"].parameters()), "lr": 0.1}],
        "2 groups are needed",
    ),
    "shared twice": (
        1,
        lambda parts, rates: [
            {"params": list(part.parameters()), "lr": rates[name]} for name, part in parts.items()
        ],
        "in an earlier group",
    ),
    "the same rate": (
        1,
        lambda parts, rates: [group | {"lr": 0.1} for group in _groups(parts, rates)],
        "must have rate 0.02",
    ),
    "the weight forgotten": (
        1,
        lambda parts, rates: [g | {"params": g["params"][1:]} for g in _groups(parts, rates)],
        "must have 2 parameters",
    ),
    "nothing done": (2, _Nothing, "has changed in training"),
    "gradients off, mode left": (2, _NoGradients, "running_mean has changed"),
    "undone by train()": (2, _EvalOnce, "running_mean has changed"),
    "gradients blocked": (2, _Blocks, "no gradient reaches"),
    "mode only": (2, _Evaluates, "0.weight has changed"),
    "nothing built": (3, lambda config, classes: None, "a Linear is needed"),
    "flat only": (
        3,
        lambda c, k: k[c["class"]](**{n: v for n, v in c.items() if n != "class"}),
        "a Linear is needed, got dict",
    ),
    "config spoiled": (3, _popping, "config must not be changed"),
    "never": (4, lambda module, x: False, "a BatchNorm that trains"),
    "always": (4, lambda module, x: True, "a linear map"),
    "no answer": (4, lambda module, x: None, "must be True or False"),
    "the first example only": (4, _first_only, "first example listens to the last"),
    "statistics spoiled": (
        4,
        lambda module, x: bool(module(x).numel()) and _mixes(module, x),
        "a buffer has changed",
    ),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
