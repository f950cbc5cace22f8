"""Positions are the papers' formulas: added to tokens, turning them, or lowering scores."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import float64

from tutorial_lib.positions import (
    LearnedPositionalEmbedding,
    SinusoidalPositionalEncoding,
    sinusoidal_encoding,
)

TOLERANCE: dict[str, Any] = {"atol": 1e-10, "rtol": 1e-10}
EXACT: dict[str, Any] = {"atol": 0, "rtol": 0}
KINDS = [SinusoidalPositionalEncoding, LearnedPositionalEmbedding]


def table(length: int, embed_dim: int) -> torch.Tensor:
    with float64():
        return sinusoidal_encoding(length, embed_dim)


# ---- the formula --------------------------------------------------------------------------------


def test_four_dimensions_are_those_worked_by_hand():
    expected = [
        [0.0, 1.0, 0.0, 1.0],
        [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)],
        [math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)],
    ]
    torch.testing.assert_close(
        table(3, 4), torch.tensor(expected, dtype=torch.float64), **TOLERANCE
    )


@given(length=st.integers(1, 40), embed_dim=st.integers(1, 33))
def test_every_column_of_every_width_is_the_formula(length, embed_dim):
    encoding = table(length, embed_dim)
    assert encoding.shape == (length, embed_dim)
    for column in range(embed_dim):
        pair = 2 * (column // 2)
        wave = math.cos if column % 2 else math.sin
        expected = [wave(p / 10000 ** (pair / embed_dim)) for p in range(length)]
        torch.testing.assert_close(
            encoding[:, column], torch.tensor(expected, dtype=torch.float64), **TOLERANCE
        )


@given(half=st.integers(1, 16), shift=st.integers(0, 20))
def test_a_shift_of_the_position_is_a_fixed_rotation(half, shift):
    embed_dim = 2 * half
    encoding = table(60, embed_dim)
    rotation = torch.zeros(embed_dim, embed_dim, dtype=torch.float64)
    for pair in range(0, embed_dim, 2):
        angle = shift / 10000 ** (pair / embed_dim)
        rotation[pair : pair + 2, pair : pair + 2] = torch.tensor(
            [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]],
            dtype=torch.float64,
        )
    turned = encoding[: 60 - shift] @ rotation.T
    torch.testing.assert_close(turned, encoding[shift:], **TOLERANCE)


@given(half=st.integers(2, 24))
def test_dimensions_2i_and_2i_plus_1_share_a_wavelength_and_the_next_pair_has_a_longer_one(half):
    encoding = table(2, 2 * half)
    sine, cosine = encoding[:, 0::2], encoding[:, 1::2]
    torch.testing.assert_close(sine**2 + cosine**2, torch.ones_like(sine), **TOLERANCE)
    wavelength = 2 * math.pi / torch.atan2(sine[1], cosine[1])
    expected = torch.full((half - 1,), 10000 ** (1 / half), dtype=torch.float64)
    torch.testing.assert_close(wavelength[1:] / wavelength[:-1], expected, **TOLERANCE)
    assert math.isclose(wavelength[0], 2 * math.pi)


def test_the_table_has_the_default_float_type_and_is_exact_in_it():
    encoding = sinusoidal_encoding(5000, 7)
    assert encoding.dtype == torch.float32
    assert encoding.equal(table(5000, 7).float())


def test_the_table_is_made_on_the_device_that_is_named():
    assert sinusoidal_encoding(2, 4, device=torch.device("meta")).device.type == "meta"


# ---- the modules --------------------------------------------------------------------------------


def test_the_sinusoidal_module_adds_the_table_to_every_sequence():
    x = torch.randn(3, 5, 6)
    expected = x + sinusoidal_encoding(5, 6)
    torch.testing.assert_close(SinusoidalPositionalEncoding(6)(x), expected, atol=0, rtol=0)


def test_the_learned_module_adds_its_weight_to_every_sequence_and_trains_it():
    module = LearnedPositionalEmbedding(6, max_len=7)
    x = torch.randn(3, 5, 6)
    output = module(x)
    torch.testing.assert_close(output, x + module.weight[:5], atol=0, rtol=0)
    output.sum().backward()
    assert (module.weight.grad[:5] == 3).all()
    assert (module.weight.grad[5:] == 0).all()


def test_learned_positions_start_small_and_different():
    weight = LearnedPositionalEmbedding(64, max_len=100).weight
    assert 0.018 < float(weight.detach().std()) < 0.022
    assert len(weight.unique(dim=0)) == 100


def test_the_sinusoidal_table_is_no_part_of_the_state_dict_and_is_not_trained():
    module = SinusoidalPositionalEncoding(6, max_len=9)
    assert not module.state_dict()
    assert not list(module.parameters())
    assert not module(torch.randn(1, 2, 6)).requires_grad


def test_the_sinusoidal_table_moves_with_the_module():
    module = SinusoidalPositionalEncoding(6, max_len=9)
    assert module.to(torch.float16).encoding.dtype == torch.float16
    assert module(torch.randn(1, 2, 6).half()).dtype == torch.float16
    assert module.to("meta").encoding.device.type == "meta"


def test_the_learned_state_dict_goes_round():
    module, other = (LearnedPositionalEmbedding(6, max_len=9) for _ in range(2))
    assert not module.weight.equal(other.weight)
    other.load_state_dict(module.state_dict())
    assert module.weight.equal(other.weight)


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_acts_while_training_only(kind):
    module = kind(8, max_len=50, dropout=0.5)
    x = torch.full((4, 50, 8), 10.0)
    share = (module(x) == 0).float().mean()
    assert 0.4 < share < 0.6
    assert (module.eval()(x) != 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_sequence_fits_and_a_longer_one_is_refused(kind):
    module = kind(4, max_len=5)
    assert module(torch.zeros(2, 5, 4)).shape == (2, 5, 4)
    with pytest.raises(ValueError, match="x must have at most max_len=5 positions, got 6"):
        module(torch.zeros(2, 6, 4))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5, 4), (2, 5, 3), (1, 2, 5, 4)])
def test_tokens_of_the_wrong_shape_are_refused(kind, shape):
    with pytest.raises(ValueError, match=r"x must have shape \(batch, length, 4\), got"):
        kind(4, max_len=5)(torch.zeros(shape))


# ---- positions that are told --------------------------------------------------------------------


def table_of(module: torch.nn.Module) -> torch.Tensor:
    is_fixed = isinstance(module, SinusoidalPositionalEncoding)
    return torch.as_tensor(module.encoding if is_fixed else module.weight)


@pytest.mark.parametrize("kind", KINDS)
def test_positions_that_are_told_are_looked_up_for_each_sequence(kind):
    module, x = kind(4, max_len=9), torch.randn(2, 3, 4)
    positions = torch.tensor([[0, 5, 8], [2, 2, 1]])
    expected = x + table_of(module)[positions]
    torch.testing.assert_close(module(x, positions), expected, **EXACT)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), batch=st.integers(1, 3), length=st.integers(1, 6))
def test_one_row_of_positions_holds_for_every_sequence(kind, data, batch, length):
    drawn = data.draw(st.lists(st.integers(0, 8), min_size=length, max_size=length))
    module, x, row = kind(4, max_len=9), torch.randn(batch, length, 4), torch.tensor([drawn])
    output = module(x, row)
    torch.testing.assert_close(output, x + table_of(module)[drawn], **EXACT)
    torch.testing.assert_close(output, module(x, row.expand(batch, -1)), **EXACT)
    torch.testing.assert_close(module(x), module(x, torch.arange(length)[None]), **EXACT)


def test_a_learned_position_that_is_told_is_trained_and_no_other():
    module = LearnedPositionalEmbedding(4, max_len=9)
    module(torch.randn(2, 3, 4), torch.tensor([[0, 5, 5], [5, 8, 0]])).sum().backward()
    assert module.weight.grad[:, 0].tolist() == [2, 0, 0, 0, 0, 3, 0, 0, 1]


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("positions", "error", "says"),
    [
        (torch.tensor([[0, 1, 5]]), ValueError, r"must lie in 0\.\.4 \(max_len=5\), got 0\.\.5"),
        (torch.tensor([[0, -1, 2]]), ValueError, r"must lie in 0\.\.4 \(max_len=5\), got -1\.\.2"),
        (torch.tensor([0, 1, 2]), ValueError, r"must have shape \(1 or 2, 3\), got \(3,\)"),
        (torch.zeros(2, 2).long(), ValueError, r"must have shape \(1 or 2, 3\), got \(2, 2\)"),
        (torch.zeros(3, 3).long(), ValueError, r"must have shape \(1 or 2, 3\), got \(3, 3\)"),
        (
            torch.zeros(2, 3, 1).long(),
            ValueError,
            r"must have shape \(1 or 2, 3\), got \(2, 3, 1\)",
        ),
        (torch.zeros(2, 3), TypeError, r"must be a tensor of int64, got torch\.float32"),
        (torch.zeros(2, 3).bool(), TypeError, r"must be a tensor of int64, got torch\.bool"),
        (range(3), TypeError, "must be a tensor of int64, got range"),
        (0, TypeError, "must be a tensor of int64, got int"),
    ],
)
def test_wrong_positions_are_refused(kind, positions, error, says):
    with pytest.raises(error, match=f"^positions {says}"):
        kind(4, max_len=5)(torch.zeros(2, 3, 4), positions)


# ---- wrong input --------------------------------------------------------------------------------

SIZES = [
    (0, ValueError, "must be at least 1, got 0"),
    (4.0, TypeError, "must be an integer, got float"),
    (True, TypeError, "must be an integer, got bool"),
]


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(("size", "error", "says"), SIZES)
def test_wrong_sizes_are_refused(size, error, says):
    with pytest.raises(error, match=f"length {says}"):
        sinusoidal_encoding(size, 4)
    with pytest.raises(error, match=f"embed_dim {says}"):
        sinusoidal_encoding(4, size)
    with pytest.raises(error, match=f"embed_dim {says}"):
        LearnedPositionalEmbedding(size, max_len=3)
    with pytest.raises(error, match=f"max_len {says}"):
        LearnedPositionalEmbedding(3, max_len=size)
    with pytest.raises(error, match=f"embed_dim {says}"):
        SinusoidalPositionalEncoding(size)
    with pytest.raises(error, match=f"max_len {says}"):
        SinusoidalPositionalEncoding(4, max_len=size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_a_dropout_outside_0_1_is_refused(kind, dropout):
    with pytest.raises(ValueError, match=f"dropout must be at least 0 and below 1, got {dropout}"):
        kind(4, max_len=3, dropout=dropout)
