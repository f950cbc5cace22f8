"""The masks of PyTorch's attention, read and written."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import SELF_MASKS, assert_all_close, draw, mask_case, randomized
from torch import nn

from tutorial_lib.interop import from_torch
from tutorial_lib.interop.torch_masks import from_torch_masks, to_torch_mask
from tutorial_lib.masks import align_mask, causal_mask, combine_masks, padding_mask

T, F = True, False
sizes = st.integers(1, 4)


def draw_mask(data: st.DataObject, shape: tuple[int, int, int, int]) -> torch.Tensor:
    """Draw a mask of 2, 3 or 4 axes that broadcasts to the shape."""
    whole = (shape, shape[:1] + shape[2:], shape[2:])[data.draw(st.integers(0, 2))]
    drawn = tuple(size if data.draw(st.booleans()) else 1 for size in whole)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 1000)))
    return torch.rand(drawn, generator=generator) < 0.5


def test_torchs_mask_is_the_opposite_head_after_head():
    mask = torch.tensor([[[[T, F]], [[T, T]]], [[[F, F]], [[F, T]]]])  # (batch, head, query, key)
    expected = torch.tensor([[[F, T]], [[F, F]], [[T, T]], [[T, F]]])  # (batch * head, query, key)
    assert to_torch_mask(mask, mask.shape).equal(expected)
    assert from_torch_masks(expected, num_heads=2).equal(mask)


@given(data=st.data(), batch=sizes, heads=sizes, query=sizes, key=sizes)
def test_a_mask_comes_back_from_torchs_convention(data, batch, heads, query, key):
    shape = (batch, heads, query, key)
    mask = draw_mask(data, shape)
    theirs = to_torch_mask(mask, shape)
    assert theirs.shape == (batch * heads, query, key)
    assert from_torch_masks(theirs, num_heads=heads).equal(align_mask(mask, shape).expand(shape))


@given(query=sizes, key=sizes, size=st.integers(2, 4), seed=st.integers(0, 1000))
def test_three_axes_are_batch_query_key_also_where_the_batch_is_as_large_as_the_heads(
    query, key, size, seed
):
    mask = torch.rand(size, query, key, generator=torch.Generator().manual_seed(seed)) < 0.5
    theirs = to_torch_mask(mask, (size, size, query, key)).unflatten(0, (size, size))
    for row in range(size):
        for head in range(size):
            assert theirs[row, head].equal(~mask[row])


@pytest.mark.parametrize("heads", [1, 3])  # three heads are as many as there are sequences
@pytest.mark.parametrize("kind", [kind for kind in SELF_MASKS if kind != "none"])
def test_torch_attends_with_the_converted_mask_as_we_do(kind, heads, record_equality):
    batch, length = 3, 5
    theirs = randomized(nn.MultiheadAttention(6, heads, batch_first=True).double())
    mask = mask_case(kind, batch=batch, heads=heads, query=length, key=length).ours
    x = draw(batch, length, 6)
    hidden = to_torch_mask(mask, (batch, heads, length, length))
    output, weights = theirs(x, x, x, attn_mask=hidden, average_attn_weights=False)
    ours, our_weights = from_torch(theirs)(x, attn_mask=mask, need_weights=True)
    largest = assert_all_close(
        {"output": ours, "weights": our_weights}, {"output": output, "weights": weights}
    )
    record_equality(module="to_torch_mask", mask=kind, largest=largest)


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("kind", SELF_MASKS)
def test_we_attend_with_torchs_masks_as_torch_does(kind, heads, record_equality):
    theirs = randomized(nn.MultiheadAttention(6, heads, batch_first=True).double())
    case = mask_case(kind, batch=3, heads=heads, query=5, key=5)
    x = draw(3, 5, 6)
    masks = {"attn_mask": case.attn_mask, "key_padding_mask": case.key_padding_mask}
    output, weights = theirs(x, x, x, average_attn_weights=False, **masks)
    ours, our_weights = from_torch(theirs)(
        x, attn_mask=from_torch_masks(**masks, num_heads=heads), need_weights=True
    )
    largest = assert_all_close(
        {"output": ours, "weights": our_weights}, {"output": output, "weights": weights}
    )
    record_equality(module="from_torch_masks", mask=kind, largest=largest)


def test_floats_of_zero_and_minus_infinity_say_the_same_as_booleans():
    hidden = torch.ones(3, 3).triu(1).bool()
    padding = torch.tensor([[F, F, T], [F, F, F]])
    expected = from_torch_masks(hidden, padding, num_heads=2)
    assert expected.equal(combine_masks(causal_mask(3), padding_mask(torch.tensor([2, 3]))))
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        floats = [
            torch.zeros(m.shape, dtype=dtype).masked_fill(m, -math.inf) for m in (hidden, padding)
        ]
        assert from_torch_masks(*floats, num_heads=2).equal(expected)
    causal = nn.Transformer.generate_square_subsequent_mask(3)
    assert from_torch_masks(causal, num_heads=2).equal(causal_mask(3))


def test_without_masks_there_is_nothing_to_read():
    assert from_torch_masks(num_heads=2) is None


def test_converting_leaves_the_mask_as_it_is():
    mask = causal_mask(3)
    to_torch_mask(mask, (1, 1, 3, 3)).fill_(True)
    from_torch_masks(mask, num_heads=1).fill_(True)
    assert mask.equal(causal_mask(3))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3), (1, 1, 1, 3, 3)])
def test_torchs_convention_needs_the_shape_of_the_scores(shape):
    with pytest.raises(ValueError, match=r"shape must be \(batch, heads, query, key\), got \("):
        to_torch_mask(causal_mask(3), shape)


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_mask_that_does_not_fit_is_not_converted():
    with pytest.raises(
        ValueError, match=r"attn_mask must broadcast.*\(3, 2, 4, 4\).*got \(2, 4, 4"
    ):
        to_torch_mask(torch.ones(2, 4, 4).bool(), (3, 2, 4, 4))  # per head, by its looks
    with pytest.raises(TypeError, match=r"attn_mask must be boolean.*got torch\.float32"):
        to_torch_mask(torch.zeros(3, 3), (1, 1, 3, 3))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", ["attn_mask", "key_padding_mask"])
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (torch.zeros(2, 3).long(), TypeError, r"must hold booleans or floats, got torch\.int64"),
        ([[True]], TypeError, "must hold booleans or floats, got list"),
        (torch.ones(2, 3), ValueError, "must hold 0 and minus infinity only, got other numbers"),
        (torch.tensor([[0.0, -1e9]]), ValueError, "must hold 0 and minus infinity only"),
        (torch.tensor([[0.0, math.inf]]), ValueError, "must hold 0 and minus infinity only"),
        (torch.tensor([[0.0, math.nan]]), ValueError, "must hold 0 and minus infinity only"),
        (torch.zeros(3), ValueError, r"must have shape \(.*, key\).*got \(3,\)"),
        (torch.zeros(1, 2, 3, 3), ValueError, r"must have shape \(.*key\).*got \(1, 2, 3, 3\)"),
        (torch.zeros(3, 2, 3), ValueError, r"must have shape \(.*key\).*got \(3, 2, 3\)"),
    ],
)
def test_torchs_masks_that_say_something_else_are_refused(name, wrong, error, says):
    with pytest.raises(error, match=f"^{name} {says}"):
        from_torch_masks(**{name: wrong}, num_heads=2)


@pytest.mark.usefixtures("unchecked_shapes")
def test_torchs_masks_of_different_batches_are_refused():
    with pytest.raises(
        ValueError, match=r"attn_mask must have batch 2 like key_padding_mask, got 3"
    ):
        from_torch_masks(torch.zeros(6, 4, 4), torch.zeros(2, 4), num_heads=2)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("heads", "error", "says"),
    [
        (0, ValueError, "num_heads must be at least 1, got 0"),
        (2.0, TypeError, "num_heads must be an integer, got float"),
    ],
)
def test_a_wrong_number_of_heads_is_refused(heads, error, says):
    with pytest.raises(error, match=says):
        from_torch_masks(num_heads=heads)
