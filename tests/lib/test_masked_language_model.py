"""BERT's input is a sum, its head is tied, and its refusals name what came."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from reference import TOLERANCE, randomized
from torch import nn

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.masked_language_model import MaskedLanguageModel

SIZES: dict[str, Any] = {
    "vocab_size": 11,
    "embed_dim": 8,
    "num_heads": 2,
    "num_layers": 2,
    "max_len": 6,
}


def make(**settings: Any) -> MaskedLanguageModel:
    return randomized(MaskedLanguageModel(**(SIZES | settings)).double().eval())


def test_the_logits_are_the_formula():
    model = make()
    tokens, segments = torch.tensor([[3, 10, 0]]), torch.tensor([[0, 1, 1]])
    table = model.embedding.table.weight
    x = table[tokens] + model.positions.weight[:3] + model.segments.weight[segments]
    x = model.encoder(model.norm(x))
    x = model.head_norm(nn.functional.gelu(x @ model.head.weight.T + model.head.bias))
    expected = x @ table.T + model.head_bias
    torch.testing.assert_close(model(tokens, segments), expected, **TOLERANCE)


def test_segments_are_the_first_when_left_out():
    model, tokens = make(), torch.tensor([[1, 2, 3]])
    assert model(tokens).equal(model(tokens, torch.zeros_like(tokens)))
    assert not torch.allclose(model(tokens), model(tokens, torch.ones_like(tokens)))


def test_every_position_sees_every_other_but_no_padding():
    model, tokens = make(), torch.tensor([[1, 2, 3, 4]])
    changed = tokens.clone()
    changed[0, 3] = 9
    moved = (model(changed) - model(tokens)).abs().amax(dim=(0, 2))
    assert moved.min() > 1e-6
    mask = torch.tensor([True, True, True, False])[None, None, None]
    moved = (model(changed, None, mask) - model(tokens, None, mask)).abs().amax(dim=(0, 2))
    assert moved[:3].max() == 0
    for weights in attention_maps(model, tokens, None, mask):
        assert weights.shape == (1, 2, 4, 4)
        assert weights[..., 3].eq(0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones(1, 2, 4).double())


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (([[1, 11]],), ValueError, r"tokens must lie in 0\.\.10, got 1\.\.11"),
        (([[1, 2]], [[0, 2]]), ValueError, r"segments must lie in 0\.\.1, got 0\.\.2"),
        (([[1, 2]], [[0]]), ValueError, r"segments must have shape \(1, 2\) like tokens, got"),
        (([[1.0, 2.0]],), TypeError, r"tokens must be a tensor of integers, got torch\.float32"),
        (([[1] * 7],), ValueError, "max_len"),
    ],
)
def test_wrong_input_is_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        make()(*map(torch.tensor, arguments))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"num_segments": 0}, "num_segments must be at least 1, got 0"),
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
        ({"activation": "tanh"}, "activation must be one of"),
    ],
)
def test_wrong_settings_are_refused(setting, says):
    with pytest.raises(ValueError, match=says):
        MaskedLanguageModel(**(SIZES | setting))
