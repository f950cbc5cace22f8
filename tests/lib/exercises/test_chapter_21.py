"""The checks of chapter 21 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tutorial_lib.exercises.chapter_21 import check


def _layer_size(d, d_ff):
    return 4 * (d * d + d) + (2 * d * d_ff + d_ff + d) + 4 * d


def _encoder_size(num_layers, d, d_ff, norm_first):
    return num_layers * _layer_size(d, d_ff) + (2 * d if norm_first else 0)


def _rms_norm(x, weight, eps):
    return weight * x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt()


def _mixes_examples(module, x):
    alone = torch.cat([module(example[None]) for example in x])
    return not torch.allclose(module(x), alone)


def _mixes_by_gradient(module, x):
    x = x.clone().requires_grad_()
    for i in range(len(x)):
        (gradient,) = torch.autograd.grad((module(x)[i] * x.detach()[i]).sum(), x)
        gradient[i] = 0
        if gradient.abs().max() > 1e-9:
            return True
    return False


def _maps_of(encoder, x, padding, *, norm=True, heads=True, map_mask=True, step_mask=True):
    maps = []
    for layer in encoder.layers:
        seen = layer.norm1(x) if layer.norm_first and norm else x
        mask = padding if map_mask else None
        options = {"key_padding_mask": mask, "average_attn_weights": not heads}
        maps.append(layer.self_attn(seen, seen, seen, **options)[1])
        x = layer(x, src_key_padding_mask=padding if step_mask else None)
    return maps


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, _encoder_size),
        (2, _rms_norm),
        (3, _mixes_examples),
        (3, _mixes_by_gradient),
        (4, _maps_of),
    ],
)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_stub_does_not_pass(number):
    assert "None" in check.problem(number, lambda *args: None)


def _change_the_first(module, x):
    changed = x.clone()
    changed[0] += torch.randn(x.shape[1:], dtype=x.dtype)
    return not torch.allclose(module(changed)[1:], module(x)[1:])


def _change_the_last(module, x):
    changed = x.clone()
    changed[-1] += torch.randn(x.shape[1:], dtype=x.dtype)
    return not torch.allclose(module(changed)[:-1], module(x)[:-1])


def _the_first_alone(module, x):
    return not torch.allclose(module(x)[:1], module(x[:1]))


def _the_first_and_the_last_alone(module, x):
    in_company = module(x)
    return _the_first_alone(module, x) or not torch.allclose(in_company[-1:], module(x[-1:]))


def _gradient_of_a_plain_sum(module, x):
    x = x.clone().requires_grad_()
    for i in range(len(x)):
        (gradient,) = torch.autograd.grad(module(x)[i].sum(), x)
        gradient[i] = 0
        if gradient.abs().max() > 1e-9:
            return True
    return False


def _over(*axes):
    return lambda x, w, e: w * x / (x.square().mean(axes, keepdim=True) + e).sqrt()


def _without_steps(encoder, x, padding):
    return [_maps_of_one(layer, x, padding) for layer in encoder.layers]


def _maps_of_one(layer, x, padding):
    seen = layer.norm1(x) if layer.norm_first else x
    options = {"key_padding_mask": padding, "average_attn_weights": False}
    return layer.self_attn(seen, seen, seen, **options)[1]


def _always_norm1(encoder, x, padding):
    maps = []
    for layer in encoder.layers:
        seen = layer.norm1(x)
        options = {"key_padding_mask": padding, "average_attn_weights": False}
        maps.append(layer.self_attn(seen, seen, seen, **options)[1])
        x = layer(x, src_key_padding_mask=padding)
    return maps


WRONG = {
    "no last norm": (1, lambda n, d, f, first: n * _layer_size(d, f), "one more norm at its end"),
    "always a last norm": (
        1,
        lambda n, d, f, first: n * _layer_size(d, f) + 2 * d,
        "a post-norm stack has no norm at its end",
    ),
    "a last norm in each layer": (
        1,
        lambda n, d, f, first: n * (_layer_size(d, f) + 2 * d * first),
        "not in every layer",
    ),
    "no biases": (1, lambda n, d, f, first: n * (4 * d * d + 2 * d * f + 4 * d), "biases are"),
    "no norms": (1, lambda n, d, f, first: n * (_layer_size(d, f) - 4 * d), "norms of each layer"),
    "norms without a bias": (
        1,
        lambda n, d, f, first: n * (_layer_size(d, f) - 2 * d) + d * first,
        "a weight and a bias",
    ),
    "one layer": (1, lambda n, *sizes: _encoder_size(1, *sizes), "that is one layer"),
    "something else": (1, lambda n, d, f, first: 7, "make 8544 parameters, got 7"),
    "subtracts the mean": (2, lambda x, w, e: w * F.layer_norm(x, (8,), eps=e), "no mean"),
    "no weight": (2, lambda x, w, e: F.rms_norm(x, (8,), eps=e), "weight is missing"),
    "eps outside": (
        2,
        lambda x, w, e: w * x / (x.square().mean(-1, keepdim=True).sqrt() + e),
        "eps is added to the root",
    ),
    "no eps": (2, lambda x, w, e: _rms_norm(x, w, 0.0), "eps is missing"),
    "another eps": (2, lambda x, w, e: _rms_norm(x, w, 1e-9), "for tiny tokens"),
    "over the sequence": (2, _over(1, 2), "a whole sequence"),
    "over the batch": (2, _over(0, 1, 2), "the whole batch"),
    "norm, not root mean square": (
        2,
        lambda x, w, e: w * F.normalize(x, dim=-1),
        "take their mean",
    ),
    "no root": (
        2,
        lambda x, w, e: w * x / (x.square().mean(-1, keepdim=True) + e),
        "the root is missing",
    ),
    "something else than x": (2, lambda x, w, e: x, "each token's mean square, times"),
    "always True": (3, lambda module, x: True, "with batch_first the answer must be False"),
    "always False": (3, lambda module, x: False, "without batch_first the answer must be True"),
    "only the first example as source": (3, _change_the_first, "change others than the first"),
    "only the last example as source": (3, _change_the_last, "those before it"),
    "only the first example looked at": (3, _the_first_alone, "the first example is alone there"),
    "only the ends looked at": (3, _the_first_and_the_last_alone, "look at every example"),
    "a sum that no norm feels": (3, _gradient_of_a_plain_sum, "it may end in a norm"),
    "a tensor": (3, lambda module, x: torch.tensor(True), "True or False"),
    "mask dropped between layers": (
        4,
        lambda *a: _maps_of(*a, step_mask=False),
        "layer 2 is not the one that the model uses: the layer that makes the next input",
    ),
    "mask not in the map": (4, lambda *a: _maps_of(*a, map_mask=False), "weight to padding"),
    "padding upside down": (
        4,
        lambda encoder, x, padding: _maps_of(encoder, x, ~padding),
        "True is what is ignored",
    ),
    "norm1 forgotten": (4, lambda *a: _maps_of(*a, norm=False), "attention sees norm1(x) here"),
    "norm1 always": (4, _always_norm1, "attention sees x here, not norm1(x)"),
    "the first input again": (4, _without_steps, "was given the input of the first"),
    "noise": (
        4,
        lambda *a: [m.flip(-2) for m in _maps_of(*a)],
        "layer 1 is not the one that the model uses",
    ),
    "heads averaged": (4, lambda *a: _maps_of(*a, heads=False), "averaged over the heads"),
    "one map": (4, lambda *a: _maps_of(*a)[:1], "each of the 3 layers"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
