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


def _taken_in_a_list(parts, rates):
    taken, found = [], []
    for name, part in parts.items():
        new = [p for p in part.parameters() if p not in taken]
        taken += new
        found.append({"params": new, "lr": rates[name]})
    return found


def _last_has_it(parts, rates):
    backwards = dict(reversed(parts.items()))
    return _groups(backwards, rates)[::-1]


def _rates_by_place(parts, rates):
    found = zip(_groups(parts, rates), rates.values(), strict=False)
    return [group | {"lr": rate} for group, rate in found]


def _with_generators(parts, rates):
    return [group | {"params": iter(group["params"])} for group in _groups(parts, rates)]


def test_groups_may_be_generators():
    assert check.problem(1, _with_generators) is None


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


def _every_output(module, x):
    module, changed = copy.deepcopy(module), x.clone()
    changed[0] += torch.linspace(1, 2, 3)
    return not torch.allclose(module(changed), module(x))


def _in_evaluation(module, x):
    return _mixes(copy.deepcopy(module).eval(), x)


def _in_training(module, x):
    return _mixes(copy.deepcopy(module).train(), x)


def _only_the_next(module, x):
    module = copy.deepcopy(module)
    for example in range(len(x) - 1):
        changed = x.clone()
        changed[example] += torch.linspace(1, 2, 3)
        if not torch.allclose(module(changed)[example + 1], module(x)[example + 1]):
            return True
    return False


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
    "rates by their place": (1, _rates_by_place, "rates are found by name"),
    "a list of taken ones": (1, _taken_in_a_list, "keep a set of the parameters"),
    "the last part has it": (1, _last_has_it, "it belongs to the first part"),
    "the weight forgotten": (
        1,
        lambda parts, rates: [g | {"params": g["params"][1:]} for g in _groups(parts, rates)],
        "must have 2 parameters",
    ),
    "nothing done": (2, _Nothing, "0.weight has changed in training"),
    "gradients off, mode left": (2, _NoGradients, "the part is in training mode"),
    "undone by train()": (2, _EvalOnce, "the train() of the whole has undone your eval()"),
    "gradients blocked": (2, _Blocks, "no_grad() and detach() cut it"),
    "mode only": (2, _Evaluates, "gradients have a switch of their own"),
    "nothing built": (3, lambda config, classes: None, "a Linear is needed"),
    "not called": (3, lambda config, classes: classes[config["class"]], "call the class"),
    "class as an argument": (3, lambda c, k: k[c["class"]](**c), "is no argument of it"),
    "flat only": (
        3,
        lambda c, k: k[c["class"]](**{n: v for n, v in c.items() if n != "class"}),
        "a Linear is needed, got dict: a value that is a dictionary is built, too",
    ),
    "config spoiled": (3, _popping, "do not pop it"),
    "never": (4, lambda module, x: False, "a BatchNorm that trains"),
    "always": (4, lambda module, x: True, "a linear map"),
    "every output": (4, _every_output, "compare only the others"),
    "in evaluation mode": (4, _in_evaluation, "leave the module in the mode it is in"),
    "in training mode": (4, _in_training, "leave the module in the mode it is in"),
    "only the next example": (4, _only_the_next, "also at the last"),
    "a tensor": (4, lambda module, x: torch.tensor(_mixes(module, x)), "put bool() around it"),
    "no answer": (4, lambda module, x: None, "must be True or False"),
    "the first example only": (4, _first_only, "change each example, also the last"),
    "statistics spoiled": (
        4,
        lambda module, x: bool(module(x).numel()) and _mixes(module, x),
        "a buffer has changed",
    ),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
