"""Checks for chapter 34, injected, nested modules."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tutorial_lib.exercises.checker import Checker, is_close

check = Checker(34)


@check.exercise(1, hint="Keep a set of the parameters that are taken, and skip those.")
def groups_hold_every_parameter_once(groups: Callable) -> None:
    """Try parts that share nothing, parts that share a parameter, and three parts."""
    one, two, three = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(3, 3)
    tied = nn.Linear(2, 3)
    tied.weight = one.weight
    rates = {"a": 0.1, "b": 0.02, "c": 0.5}
    for parts in ({"a": one, "b": two}, {"b": one, "a": tied}, {"c": three, "a": one, "b": tied}):
        try:
            got = groups(dict(parts), dict(rates))
        except RuntimeError as error:
            if not any(said in str(error) for said in ("size of tensor", "Boolean value")):
                raise
            why = "`in` a list compares tensors number by number, keep a set of the parameters"
            raise AssertionError(f"it raised RuntimeError: {error}: {why}") from error
        assert isinstance(got, list), f"a list of groups is needed, got {type(got).__name__}"
        assert len(got) == len(parts), f"{len(parts)} groups are needed, got {len(got)}"
        _require_groups(parts, rates, [group | {"params": [*group["params"]]} for group in got])


def _require_groups(
    parts: Mapping[str, nn.Module], rates: dict[str, float], got: list[dict[str, Any]]
) -> None:
    taken: set[nn.Parameter] = set()
    for place, ((name, part), group) in enumerate(zip(parts.items(), got, strict=True)):
        by_place = group["lr"] == [*rates.values()][place]
        assert group["lr"] == rates[name], (
            f"part {name!r} must have rate {rates[name]}, got {group['lr']}"
            + (": rates are found by name, not by their order" if by_place else "")
        )
        params, later = group["params"], {p for other in got[place + 1 :] for p in other["params"]}
        wanted = [p for p in part.parameters() if p not in taken]
        shared = [p for p in params if p in taken]
        assert not shared, f"a parameter of part {name!r} is in an earlier group already"
        assert not ({*wanted} - {*params}) & later, (
            f"a parameter of part {name!r} is in a later group: it belongs to the first part "
            "that has it"
        )
        assert {*params} == {*wanted}, f"part {name!r} must have {len(wanted)} parameters"
        taken.update(params)
    torch.optim.Adam(got)


@check.exercise(2, hint="Three things: requires_grad_(False), eval(), and a train() of its own.")
def frozen_stays_frozen(frozen: Callable) -> None:
    """Train something before and behind it, and look for changes."""
    part = _part()
    expected = copy.deepcopy(part).eval()
    with torch.random.fork_rng():
        torch.manual_seed(34)
        before = nn.Linear(3, 4)
        whole = nn.Sequential(before, frozen(part), nn.Linear(4, 1))
        in_evaluation = not any(each.training for each in part.modules())
        whole.train()
        x = torch.randn(12, 3)
        optimizer = torch.optim.Adam(whole.parameters(), lr=0.1)
        for _ in range(2):
            whole.train()
            optimizer.zero_grad()
            whole(x).square().mean().backward()
            gradient = before.weight.grad
            passes = gradient is not None and gradient.abs().sum() > 0
            assert passes, (
                "no gradient reaches what comes before the frozen part: no_grad() and detach() "
                "cut it, requires_grad_(False) lets it pass"
            )
            optimizer.step()
        inside = torch.randn(5, 4)
        state, weights = part.state_dict(), {name for name, _ in part.named_parameters()}
        for name, value in expected.state_dict().items():
            why = _why_it_changed(name in weights, in_evaluation)
            assert state[name].equal(value), f"{name} has changed in training{why}"
        outputs = [whole.train()[1](inside) for _ in range(2)]
        assert outputs[0].equal(outputs[1]), "dropout is still at work after train()"
        assert is_close(outputs[0], expected(inside)), "not what the part gives in evaluation mode"


def _why_it_changed(is_weight: bool, in_evaluation: bool) -> str:
    if is_weight:
        return ": eval() sets the mode, and gradients have a switch of their own" * in_evaluation
    if in_evaluation:
        return ": the train() of the whole has undone your eval()"
    return ": the part is in training mode, and gradients have nothing to do with that"


@check.exercise(3, hint="Build the values that are dictionaries first, by calling build itself.")
def factory_builds_nests(build: Callable) -> None:
    """Try flat, nested and doubly nested recipes."""
    classes: dict[str, Any] = {"Linear": nn.Linear, "Pair": _Pair, "Leaf": _Leaf}
    flat = {"class": "Linear", "in_features": 2, "out_features": 5}
    nest = {"class": "Pair", "first": flat, "second": {"class": "Leaf"}, "name": "nest"}
    deep = {"class": "Pair", "second": nest, "first": {"class": "Leaf"}, "name": "deep"}
    for config in (flat, nest, deep):
        given = copy.deepcopy(config)
        try:
            got = build(given, classes)
        except TypeError as error:
            if "'class'" not in str(error):
                raise
            why = 'the entry "class" names the class, and is no argument of it'
            raise AssertionError(f"it raised TypeError: {error}: {why}") from error
        assert given == config, "config must not be changed: read the class, do not pop it"
        _require_built(got, config, classes)


@check.exercise(4, hint="Change one example at a time, each of them, and compare the others.")
def mixing_is_found(mixes: Callable) -> None:
    """Try modules that mix, everywhere or in one place, and modules that do not."""
    with torch.random.fork_rng():
        torch.manual_seed(34)
        x = torch.randn(4, 3)
        norm = nn.BatchNorm1d(3)
        cases = [
            (nn.Linear(3, 3), False, "a linear map"),
            (nn.LayerNorm(3), False, "a LayerNorm"),
            (norm, True, "a BatchNorm that trains"),
            (copy.deepcopy(norm).eval(), False, "a BatchNorm in evaluation mode"),
            (_Listens(3, 0), True, "a module whose last example listens to the first"),
            (_Listens(0, 3), True, "a module whose first example listens to the last"),
            (_Listens(1, 1), False, "a module where example 1 listens to itself"),
        ]
        for module, answer, name in cases:
            state = copy.deepcopy(module.state_dict())
            got = mixes(module, x.clone())
            why = ", a tensor: put bool() around it" if isinstance(got, Tensor) else ""
            assert isinstance(got, bool), f"the answer must be True or False, got {got!r}{why}"
            why = _WHY_MIXING.get((name, got), "")
            assert got == answer, f"for {name} the answer must be {answer}, got {got}{why}"
            kept = all(value.equal(state[key]) for key, value in module.state_dict().items())
            assert kept, f"for {name} a buffer has changed: work on a copy of the module"


_WHY_MIXING = {
    ("a linear map", True): ": the changed example moves by itself, compare only the others",
    ("a BatchNorm that trains", False): ": leave the module in the mode it is in",
    ("a BatchNorm in evaluation mode", True): ": leave the module in the mode it is in",
    ("a module whose last example listens to the first", False): ": look at all the others, also "
    "at the last",
    ("a module whose first example listens to the last", False): ": change each example, also the "
    "last, and look at those before it",
}


class _Leaf:
    pass


class _Pair:
    def __init__(self, *, first: object, second: object, name: str) -> None:
        self.first, self.second, self.name = first, second, name


class _Listens(nn.Module):
    """Adds one example to another."""

    def __init__(self, listener: int, speaker: int) -> None:
        super().__init__()
        self.listener, self.speaker = listener, speaker

    def forward(self, x: Tensor) -> Tensor:
        """Add them."""
        output = x.clone()
        output[self.listener] = x[self.listener] + 2 * x[self.speaker]
        return output


def _part() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


def _require_built(got: object, config: dict[str, Any], classes: dict[str, Any]) -> None:
    kind = classes[config["class"]]
    why = {kind: ": call the class", dict: ": a value that is a dictionary is built, too"}
    found = kind if got is kind else type(got)
    assert isinstance(got, kind), (
        f"a {config['class']} is needed, got {type(got).__name__}{why.get(found, '')}"
    )
    for name, value in config.items():
        if isinstance(value, dict):
            _require_built(getattr(got, name), value, classes)
        elif name != "class":
            found = getattr(got, name)
            assert found == value, f"{name} of {config['class']} must be {value}, got {found}"
