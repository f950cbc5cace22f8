"""Every message names the argument, what came and what was needed."""

from __future__ import annotations

import math

import numpy
import numpy as np
import pytest
import torch

from tutorial_lib import validation
from tutorial_lib.generation import greedy_search
from tutorial_lib.language_model import TransformerLanguageModel
from tutorial_lib.validation import require_positive, require_probability, require_width


def test_good_values_pass():
    require_positive(width=1, length=10**9)
    require_probability(dropout=0.0, other=0.999)
    require_width(torch.zeros(2, 3, 4), 4, name="x")


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("value", [1.0, "1", None, True, torch.tensor(1)])
def test_what_is_not_an_integer_is_a_type_error(value):
    kind = "torch.int64" if isinstance(value, torch.Tensor) else type(value).__name__
    with pytest.raises(TypeError, match=f"width must be an integer, got {kind}"):
        require_positive(length=1, width=value)


@pytest.mark.usefixtures("unchecked_shapes")  # the annotations say int
def test_numpy_integers_are_integers_everywhere():
    require_positive(width=np.int64(1), length=np.int32(3))
    sizes = {"vocab_size": 5, "embed_dim": 8, "num_heads": 2, "num_layers": 1, "max_len": 9}
    for positions in ("learned", "sinusoidal", "rotary", "alibi"):
        model = TransformerLanguageModel(
            positions=positions, **{name: np.int64(size) for name, size in sizes.items()}
        )
        written = greedy_search(model.eval(), torch.ones(1, 2).long(), max_new_tokens=np.int64(3))
        assert written.shape == (1, 5)


@pytest.mark.parametrize("value", [0, -1])
def test_what_is_below_one_is_a_value_error(value):
    with pytest.raises(ValueError, match=f"width must be at least 1, got {value}"):
        require_positive(length=1, width=value)


@pytest.mark.parametrize("value", [-1e-9, 1.0, 2.0, math.nan, math.inf])
def test_what_is_not_a_dropout_is_a_value_error(value):
    with pytest.raises(ValueError, match=rf"p must be at least 0 and below 1, got {value}"):
        require_probability(other=0.5, p=value)


@pytest.mark.parametrize("value", [-1e-9, math.nan, math.inf])
def test_what_is_below_zero_or_not_finite_is_a_value_error(value):
    validation.require_at_least_zero(penalty=0.0)
    with pytest.raises(ValueError, match=rf"p must be at least 0 and finite, got {value}"):
        validation.require_at_least_zero(other=0.5, p=value)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 5), (1, 2, 3, 4)])
def test_another_shape_is_a_value_error(shape):
    with pytest.raises(ValueError, match=r"memory must have shape \(batch, length, 4\), got \("):
        require_width(torch.zeros(shape), 4, name="memory")


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: validation.require_probability(dropout="x"), "dropout must be a number, got str"),
        (lambda: validation.require_width([1], 2, name="x"), "x must be a tensor, got list"),
        (lambda: validation.require_counts(step=1.5), "step must be an integer, got float"),
        (lambda: validation.require_counts(step=True), "step must be an integer, got bool"),
        (lambda: validation.require_above_zero(eps=None), "eps must be a number, got NoneType"),
        (
            lambda: validation.require_floats(query=torch.ones(2), key=torch.ones(2).double()),
            "key must be torch.float32 like query, got torch.float64",
        ),
        (
            lambda: validation.require_modules(encoder=torch.nn.Identity(), decoder="x"),
            "decoder must be an nn.Module, got str",
        ),
        (
            lambda: validation.require_floats(query=torch.ones(2).long()),
            "query must be a tensor of floats, got torch.int64",
        ),
    ],
)
def test_a_wrong_type_is_named(call, says):
    with pytest.raises(TypeError, match=says):
        call()


@pytest.mark.usefixtures("unchecked_shapes")
def test_counts_of_numpy_and_pytorch_are_integers_too():
    assert validation.require_counts(a=numpy.int64(3), b=torch.tensor(4)) == [3, 4]


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_what_is_not_above_zero_is_refused(value):
    with pytest.raises(ValueError, match="eps must be above 0 and finite"):
        validation.require_above_zero(eps=value)
