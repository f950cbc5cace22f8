"""The checks of chapter 31 take the right answers, and name what is wrong with others."""

from __future__ import annotations

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
    "only the surface": (1, _only_the_surface, "three levels down, '1.0.0' is still"),
    "without the weights": (1, _without_the_weights, "'0.weight' has other numbers"),
    "under other names": (
        1,
        _under_other_names,
        "the parameters must be ['0.weight', '0.bias', '2.weight', '2.bias'], got ['0.0.weight'",
    ),
    "after backward": (2, _AfterBackward, "there are 4 optimizer steps, got 8 norms"),
    "after the batch": (2, _AfterTheBatch, "with clipping the norm of step 0"),
    "squared": (2, _Squared, "plainly the norm of step 0"),
    "no norms": (2, _NoNorms, "norms must be a list, got None"),
    "the sum": (3, _the_sum, "the weights are"),
    "never zeroed": (3, _never_zeroed, "the weights are"),
    "every batch": (3, _every_batch, "must make 4 optimizer steps, got 8"),
    "zeroed at every batch": (3, _zeroed_at_every_batch, "the weights are"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)


def test_the_check_leaves_lightnings_voice_as_it_was():
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    check.problem(3, _two_batches)
    assert logger.level == level
