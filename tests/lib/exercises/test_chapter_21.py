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


def _moves_the_next(module, x):
    changed = x.clone()
    changed[0] += 1
    return not torch.allclose(module(changed)[1:], module(x)[1:])


WRONG = {
    "no last norm": (1, lambda n, d, f, first: n * _layer_size(d, f), "norm_first=True"),
    "always a last norm": (1, lambda n, d, f, first: n * _layer_size(d, f) + 2 * d, "=False"),
    "no biases": (1, lambda n, d, f, first: n * (4 * d * d + 2 * d * f + 4 * d), "8544"),
    "subtracts the mean": (2, lambda x, w, e: w * F.layer_norm(x, (8,), eps=e), "no mean"),
    "no weight": (2, lambda x, w, e: F.rms_norm(x, (8,), eps=e), "weight is missing"),
    "eps outside": (
        2,
        lambda x, w, e: w * x / (x.square().mean(-1, keepdim=True).sqrt() + e),
        "inside the root",
    ),
    "no eps": (2, lambda x, w, e: _rms_norm(x, w, 0.0), "inside the root"),
    "over the sequence": (
        2,
        lambda x, w, e: w * x / (x.square().mean((1, 2), keepdim=True) + e).sqrt(),
        "each token's mean square",
    ),
    "norm, not root mean square": (2, lambda x, w, e: w * F.normalize(x, dim=-1), "mean square"),
    "always True": (3, lambda module, x: True, "with batch_first the answer must be False"),
    "always False": (3, lambda module, x: False, "without batch_first the answer must be True"),
    "only the first example as source": (3, _moves_the_next, "the last example to the first"),
    "a tensor": (3, lambda module, x: torch.tensor(True), "True or False"),
    "mask dropped between layers": (4, lambda *a: _maps_of(*a, step_mask=False), "model uses"),
    "mask not in the map": (4, lambda *a: _maps_of(*a, map_mask=False), "weight to padding"),
    "norm1 forgotten": (4, lambda *a: _maps_of(*a, norm=False), "norm_first=True"),
    "heads averaged": (4, lambda *a: _maps_of(*a, heads=False), "must have shape"),
    "one map": (4, lambda *a: _maps_of(*a)[:1], "each of the 3 layers"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
