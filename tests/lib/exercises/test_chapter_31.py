"""The checks of chapter 31 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import copy
import logging

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from tutorial_lib.exercises.chapter_31 import check


def _replace_linear(module, make):
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            dense = make(child.in_features, child.out_features)
            dense.load_state_dict(child.state_dict())
            setattr(module, name, dense)
        else:
            _replace_linear(child, make)


def _only_the_surface(module, make):
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            dense = make(child.in_features, child.out_features)
            dense.load_state_dict(child.state_dict())
            setattr(module, name, dense)


def _without_the_weights(module, make):
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, make(child.in_features, child.out_features))
        else:
            _without_the_weights(child, make)


def _under_other_names(module, make):
    _replace_linear(module, make)
    for name, child in module.named_children():
        setattr(module, name, nn.Sequential(child))


def _into_a_new_module(module, make):
    new = copy.deepcopy(module)
    _replace_linear(new, make)
    return new


def _under_a_dotted_name(module, make):
    for name, child in list(module.named_modules()):
        if isinstance(child, nn.Linear):
            dense = make(child.in_features, child.out_features)
            dense.load_state_dict(child.state_dict())
            setattr(module, name, dense)


class _GradientNorms(pl.Callback):
    def __init__(self):
        self.norms = []

    def on_before_optimizer_step(self, trainer, module, optimizer):
        gradients = [parameter.grad.flatten() for parameter in module.parameters()]
        self.norms.append(torch.cat(gradients).norm().item())


class _AfterBackward(pl.Callback):
    def __init__(self):
        self.norms = []

    def on_after_backward(self, trainer, module):
        _GradientNorms.on_before_optimizer_step(self, trainer, module, None)


class _AfterTheBatch(pl.Callback):
    def __init__(self):
        self.norms = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        _GradientNorms.on_before_optimizer_step(self, trainer, module, None)


class _Separately(pl.Callback):
    def __init__(self):
        self.norms = []

    def put_together(self, norms):
        return sum(norms)

    def on_before_optimizer_step(self, trainer, module, optimizer):
        norms = [parameter.grad.norm().item() for parameter in module.parameters()]
        self.norms.append(self.put_together(norms))


class _MeanOfNorms(_Separately):
    def put_together(self, norms):
        return sum(norms) / len(norms)


class _FirstParameter(_Separately):
    def put_together(self, norms):
        return norms[0]


class _LastParameter(_Separately):
    def put_together(self, norms):
        return norms[-1]


class _Squared(_GradientNorms):
    def on_before_optimizer_step(self, trainer, module, optimizer):
        super().on_before_optimizer_step(trainer, module, optimizer)
        self.norms[-1] **= 2


def _two_batches(module, batch, batch_idx):
    module.manual_backward(module.loss(batch) / 2)
    if batch_idx % 2 == 1:
        optimizer = module.optimizers()
        optimizer.step()
        optimizer.zero_grad()


def _the_sum(module, batch, batch_idx):
    module.manual_backward(module.loss(batch))
    if batch_idx % 2 == 1:
        optimizer = module.optimizers()
        optimizer.step()
        optimizer.zero_grad()


def _never_zeroed(module, batch, batch_idx):
    module.manual_backward(module.loss(batch) / 2)
    if batch_idx % 2 == 1:
        module.optimizers().step()


def _every_batch(module, batch, batch_idx):
    optimizer = module.optimizers()
    module.manual_backward(module.loss(batch) / 2)
    optimizer.step()
    optimizer.zero_grad()


def _one_batch_early(module, batch, batch_idx):
    _two_batches(module, batch, batch_idx + 1)


def _twice_too_long(module, batch, batch_idx):
    module.manual_backward(module.loss(batch) * 2)
    if batch_idx % 2 == 1:
        optimizer = module.optimizers()
        optimizer.step()
        optimizer.zero_grad()


def _zeroed_at_every_batch(module, batch, batch_idx):
    optimizer = module.optimizers()
    optimizer.zero_grad()
    module.manual_backward(module.loss(batch) / 2)
    if batch_idx % 2 == 1:
        optimizer.step()


RIGHT = [(1, _replace_linear), (2, _GradientNorms), (3, _two_batches)]


@pytest.mark.parametrize(("number", "answer"), RIGHT)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (1, "'0' is still an nn.Linear"),
        (2, "a callback is needed, got None"),
        (3, "8 batches must make 4 optimizer steps, got 0"),
    ],
)
def test_the_stub_does_not_pass(number, says):
    assert says in check.problem(number, lambda *args: None)


class _NoNorms(pl.Callback):
    pass


WRONG = {
    "only the surface": (
        1,
        _only_the_surface,
        "three levels down, '1.0.0' is still an nn.Linear: the children's children",
    ),
    "not in place": (1, _into_a_new_module, "replaced in the module that you return"),
    "a dotted name": (1, _under_a_dotted_name, "a new child with the name '1.0.0'"),
    "without the weights": (1, _without_the_weights, "old numbers were not copied"),
    "under other names": (
        1,
        _under_other_names,
        "the parameters must be ['0.weight', '0.bias', '2.weight', '2.bias'], got ['0.0.weight'",
    ),
    "after backward": (2, _AfterBackward, "got 8 norms: your hook runs at every batch"),
    "after the batch": (2, _AfterTheBatch, "the norm after clipping"),
    "squared": (2, _Squared, "the root is missing"),
    "summed": (2, _Separately, "the sum of the parameters' norms"),
    "averaged": (2, _MeanOfNorms, "the mean of the parameters' norms"),
    "the first only": (2, _FirstParameter, "the norm of the first parameter alone"),
    "the last only": (2, _LastParameter, "the norm of the last parameter alone"),
    "no norms": (2, _NoNorms, "norms must be a list, got None"),
    "the sum": (3, _the_sum, "added up, not averaged"),
    "never zeroed": (3, _never_zeroed, "never set to zero"),
    "every batch": (3, _every_batch, "got 8: you take one at every batch"),
    "a batch too early": (3, _one_batch_early, "the first step follows batch 0 alone"),
    "zeroed at every batch": (3, _zeroed_at_every_batch, "zero_grad comes before every backward"),
    "something else": (3, _twice_too_long, "the weights are"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)


def test_the_check_leaves_lightnings_voice_as_it_was():
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    check.problem(3, _two_batches)
    assert logger.level == level
