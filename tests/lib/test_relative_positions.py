"""Relative positions: turned vectors and falling scores, those of Llama and of Bloom."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import assert_all_close, draw, float64
from transformers import LlamaConfig
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from tutorial_lib.masks import causal_mask
from tutorial_lib.relative_positions import RotaryEmbedding, alibi_bias

TOLERANCE: dict[str, Any] = {"atol": 1e-10, "rtol": 1e-10}
EXACT: dict[str, Any] = {"atol": 0, "rtol": 0}


# ---- rotary positions ---------------------------------------------------------------------------


def rotary(head_dim: int, **settings: Any) -> RotaryEmbedding:
    with float64():
        return RotaryEmbedding(head_dim, **settings)


def test_two_dimensions_turn_by_as_many_radians_as_the_position():
    turned = rotary(2)(torch.tensor([[[[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]]]], dtype=torch.float64))
    expected = [[1.0, 0.0], [math.cos(1), math.sin(1)], [-2 * math.sin(2), 2 * math.cos(2)]]
    torch.testing.assert_close(
        turned[0, 0], torch.tensor(expected, dtype=torch.float64), **TOLERANCE
    )


def test_the_pairs_are_half_a_width_apart_and_the_later_ones_turn_slower():
    # With base 100 and width 4 the angles of position 3 are 3 and 3 / 10.
    x = torch.tensor([1.0, 2.0, 0.0, 0.0], dtype=torch.float64).expand(1, 1, 4, 4)
    expected = [math.cos(3), 2 * math.cos(0.3), math.sin(3), 2 * math.sin(0.3)]
    turned = rotary(4, base=100.0)(x)[0, 0, 3]
    torch.testing.assert_close(turned, torch.tensor(expected, dtype=torch.float64), **TOLERANCE)


@pytest.mark.parametrize("start", [0, 17])
@pytest.mark.parametrize(("head_dim", "base"), [(2, 10000.0), (6, 10000.0), (8, 500000.0)])
def test_rotary_positions_are_those_of_llama(head_dim, base, start, monkeypatch, record_equality):
    query, key = draw(2, 3, 9, head_dim), draw(2, 3, 9, head_dim, seed=1)
    config = LlamaConfig(
        hidden_size=3 * head_dim,
        num_attention_heads=3,
        rope_parameters={"rope_type": "default", "rope_theta": base},
    )
    with monkeypatch.context() as patch:
        patch.setattr(torch, "float", torch.float64)  # Llama's angles are float32 by this name
        cos, sin = LlamaRotaryEmbedding(config)(query, torch.arange(start, start + 9)[None])
    theirs = apply_rotary_pos_emb(query, key, cos, sin)
    module = rotary(head_dim, base=base)
    largest = assert_all_close(
        {"query": module(query, start), "key": module(key, start)},
        dict(zip(("query", "key"), theirs, strict=True)),
    )
    record_equality(module="RotaryEmbedding", mask="-", largest=largest)


@given(
    half=st.integers(1, 8),
    query_at=st.integers(0, 50),
    key_at=st.integers(0, 50),
    shift=st.integers(0, 40),
    seed=st.integers(0, 1000),
)
def test_the_score_of_turned_vectors_depends_on_their_distance_alone(
    half, query_at, key_at, shift, seed
):
    module = rotary(2 * half, max_len=100)
    query, key = draw(2, 2, 1, 2 * half, seed=seed), draw(2, 2, 1, 2 * half, seed=seed + 1)
    score, moved = (
        (module(query, query_at + by) * module(key, key_at + by)).sum(-1) for by in (0, shift)
    )
    torch.testing.assert_close(moved, score, **TOLERANCE)


@given(half=st.integers(1, 8), length=st.integers(1, 9), start=st.integers(0, 9))
def test_turning_keeps_every_length_and_leaves_position_0_as_it_is(half, length, start):
    module, x = rotary(2 * half, max_len=20), draw(2, 3, length, 2 * half)
    turned = module(x, start)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1), **TOLERANCE)
    torch.testing.assert_close(module(x)[:, :, 0], x[:, :, 0], **EXACT)
    if start + length > 1:
        assert not torch.allclose(turned, x)


@given(length=st.integers(1, 9), data=st.data())
def test_tokens_that_come_in_parts_are_turned_as_the_whole(length, data):
    cut = data.draw(st.integers(0, length))
    module, x = rotary(6), draw(2, 3, length, 6)
    parts = [module(x[:, :, :cut]), module(x[:, :, cut:], start=cut)]
    torch.testing.assert_close(torch.cat(parts, dim=2), module(x), **EXACT)


def test_rotary_tables_are_no_part_of_the_state_dict_and_move_with_the_module():
    module = RotaryEmbedding(6, max_len=9)
    assert not module.state_dict()
    assert not list(module.parameters())
    assert module.cos.dtype == torch.float32
    with float64():
        assert module.cos.equal(RotaryEmbedding(6, max_len=9).cos.float())
    assert module.half()(torch.randn(1, 1, 2, 6).half()).dtype == torch.float16
    assert module.to("meta").sin.device.type == "meta"


def test_the_last_position_can_be_turned_to_and_no_later_one():
    module = RotaryEmbedding(4, max_len=5)
    assert module(torch.zeros(1, 1, 2, 4), start=3).shape == (1, 1, 2, 4)
    with pytest.raises(ValueError, match="x must end before position max_len=5, got 6 positions"):
        module(torch.zeros(1, 1, 2, 4), start=4)
    with pytest.raises(ValueError, match="x must end before position max_len=5, got 6 positions"):
        module(torch.zeros(1, 1, 6, 4))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"head_dim": 5}, ValueError, "head_dim must be even, got 5"),
        ({"head_dim": 0}, ValueError, "head_dim must be at least 1, got 0"),
        ({"head_dim": 4.0}, TypeError, "head_dim must be an integer, got float"),
        ({"max_len": 0}, ValueError, "max_len must be at least 1, got 0"),
        ({"base": 0.0}, ValueError, "base must be above 0 and finite, got 0"),
        ({"base": math.inf}, ValueError, "base must be above 0 and finite, got inf"),
        ({"base": "10000"}, TypeError, "base must be a number, got str"),
    ],
)
def test_wrong_rotary_settings_are_refused(wrong, error, says):
    with pytest.raises(error, match=says):
        RotaryEmbedding(**({"head_dim": 4} | wrong))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("x", "start", "error", "says"),
    [
        (
            torch.zeros(2, 3, 4),
            0,
            ValueError,
            r"x must have shape \(batch, heads, length, 4\), got",
        ),
        (torch.zeros(1, 2, 3, 6), 0, ValueError, r"x must have shape .* 4\), got \(1, 2, 3, 6\)"),
        ([[[[0.0] * 4]]], 0, TypeError, "x must be a tensor, got list"),
        (torch.zeros(1, 2, 3, 4), -1, ValueError, "start must be at least 0, got -1"),
        (torch.zeros(1, 2, 3, 4), 1.0, TypeError, "start must be an integer, got float"),
        (torch.zeros(1, 2, 3, 4), True, TypeError, "start must be an integer, got bool"),
    ],
)
def test_what_cannot_be_turned_is_refused(x, start, error, says):
    with pytest.raises(error, match=says):
        RotaryEmbedding(4)(x, start)


# ---- ALiBi --------------------------------------------------------------------------------------


def slopes(num_heads: int) -> torch.Tensor:
    return -alibi_bias(num_heads, 2)[:, 1, 0]


def test_eight_heads_have_the_papers_slopes():
    assert slopes(8).tolist() == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]


def test_three_heads_have_those_of_two_and_the_first_of_four():
    assert slopes(2).tolist() == [1 / 16, 1 / 256]
    assert slopes(3).tolist() == [1 / 16, 1 / 256, 1 / 4]
    assert slopes(1).tolist() == [1 / 256]


@pytest.mark.parametrize("num_heads", range(1, 17))
def test_every_number_of_heads_has_the_slopes_of_bloom(num_heads):
    # Bloom computes them in float32, and says the position where we say the distance.
    theirs = build_alibi_tensor(torch.ones(1, 6), num_heads, torch.float32)
    torch.testing.assert_close(slopes(num_heads), theirs[:, 0, 1], atol=0, rtol=1e-6)
    future = ~causal_mask(6)
    weights, expected = (
        bias.masked_fill(future, -math.inf).softmax(-1)
        for bias in (alibi_bias(num_heads, 6), theirs.expand(-1, 6, -1))
    )
    torch.testing.assert_close(weights, expected, atol=1e-6, rtol=1e-5)


@given(num_heads=st.integers(1, 20), length=st.integers(1, 9))
def test_the_bias_falls_with_the_distance_in_both_directions(num_heads, length):
    with float64():
        bias = alibi_bias(num_heads, length)
        slope = -alibi_bias(num_heads, 2)[:, 1, 0]
    assert bias.shape == (num_heads, length, length)
    for i in range(length):
        for j in range(length):
            torch.testing.assert_close(bias[:, i, j], -slope * abs(i - j), **TOLERANCE)


@given(num_heads=st.integers(1, 9), length=st.integers(1, 9), data=st.data())
def test_later_queries_have_the_later_rows_of_the_bias(num_heads, length, data):
    start = data.draw(st.integers(0, length - 1))
    part = alibi_bias(num_heads, length, start=start)
    torch.testing.assert_close(part, alibi_bias(num_heads, length)[:, start:], **EXACT)


def test_the_bias_has_the_default_float_type_and_the_device_that_is_named():
    assert alibi_bias(2, 3).dtype == torch.float32
    with float64():
        assert alibi_bias(2, 3).dtype == torch.float64
    assert alibi_bias(2, 3, device=torch.device("meta")).device.type == "meta"


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("start", "error", "says"),
    [
        (3, ValueError, "start must be below length=3, got 3"),
        (-1, ValueError, "start must be at least 0, got -1"),
        (1.0, TypeError, "start must be an integer, got float"),
    ],
)
def test_a_bias_that_starts_outside_the_keys_is_refused(start, error, says):
    with pytest.raises(error, match=says):
        alibi_bias(2, 3, start=start)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (4.0, TypeError, "must be an integer, got float"),
        (True, TypeError, "must be an integer, got bool"),
    ],
)
def test_a_bias_of_wrong_sizes_is_refused(size, error, says):
    with pytest.raises(error, match=f"num_heads {says}"):
        alibi_bias(size, 3)
    with pytest.raises(error, match=f"length {says}"):
        alibi_bias(2, size)
