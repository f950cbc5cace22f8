"""Masks say True where a query may attend, and are read the same way everywhere."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.masks import (
    align_mask,
    causal_mask,
    combine_masks,
    padding_mask,
    prefix_mask,
    sliding_window_mask,
)

T, F = True, False
sizes = st.integers(1, 4)


def test_the_causal_mask_is_the_lower_triangle():
    expected = torch.tensor([[T, F, F], [T, T, F], [T, T, T]])
    assert causal_mask(3).equal(expected)
    assert causal_mask(1).equal(torch.tensor([[T]]))


@given(length=st.integers(1, 12))
def test_position_i_may_attend_to_exactly_i_plus_one_positions(length):
    mask = causal_mask(length)
    assert mask.sum(dim=-1).tolist() == list(range(1, length + 1))
    assert mask[:, 0].all()


def test_the_causal_mask_is_made_on_the_device_that_is_named():
    assert causal_mask(2, device=torch.device("meta")).device.type == "meta"


def test_the_padding_mask_is_true_at_real_tokens():
    mask = padding_mask(torch.tensor([2, 0, 3]), 4)
    assert mask.shape == (3, 1, 1, 4)
    assert mask[:, 0, 0].equal(torch.tensor([[T, T, F, F], [F, F, F, F], [T, T, T, F]]))


def test_the_padded_length_defaults_to_the_longest_sequence():
    assert padding_mask(torch.tensor([1, 3])).shape == (2, 1, 1, 3)


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5), extra=st.integers(1, 3))
def test_the_padding_mask_counts_the_real_tokens(lengths, extra):
    for dtype in (torch.int64, torch.int32, torch.uint8):
        mask = padding_mask(torch.tensor(lengths, dtype=dtype), max(lengths) + extra)
        assert mask.sum(dim=-1).flatten().tolist() == lengths


def test_padding_on_the_left_leaves_the_real_tokens_at_the_end():
    mask = padding_mask(torch.tensor([2, 0, 3]), 4, side="left")
    assert mask.shape == (3, 1, 1, 4)
    assert mask[:, 0, 0].equal(torch.tensor([[F, F, T, T], [F, F, F, F], [F, T, T, T]]))


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5), extra=st.integers(1, 3))
def test_padding_on_the_left_is_padding_on_the_right_read_backwards(lengths, extra):
    for dtype in (torch.int64, torch.int32, torch.uint8):
        length = torch.tensor(lengths, dtype=dtype)
        left = padding_mask(length, max(lengths) + extra, side="left")
        assert left.equal(padding_mask(length, max(lengths) + extra).flip(-1))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("side", ["Left", "", None, ["left"]])
def test_an_unknown_side_is_refused(side):
    with pytest.raises(ValueError, match="side must be 'right' or 'left', got"):
        padding_mask(torch.tensor([1]), 2, side=side)


# ---- windows and prefixes -----------------------------------------------------------------------


def test_a_window_of_two_holds_the_token_and_its_neighbours():
    expected = torch.tensor([[T, T, F, F], [T, T, T, F], [F, T, T, T], [F, F, T, T]])
    assert sliding_window_mask(4, 2).equal(expected)
    assert sliding_window_mask(4, 1).equal(torch.eye(4).bool())


@given(length=st.integers(1, 12), window=st.integers(1, 14))
def test_a_causal_window_holds_the_last_positions_and_no_other(length, window):
    mask = combine_masks(sliding_window_mask(length, window), causal_mask(length))
    for i in range(length):
        assert mask[i].nonzero().flatten().tolist() == list(range(max(0, i - window + 1), i + 1))


@given(length=st.integers(1, 12), window=st.integers(1, 14))
def test_a_window_looks_as_far_back_as_ahead_and_sees_all_once_it_is_as_long_as_the_text(
    length, window
):
    mask = sliding_window_mask(length, window)
    assert mask.equal(mask.T)
    assert bool(mask.all()) == (window >= length)


def test_a_prefix_is_seen_by_all_and_the_rest_is_causal():
    mask = prefix_mask(torch.tensor([2, 0]), 3)
    assert mask.shape == (2, 1, 3, 3)
    assert mask[0, 0].equal(torch.tensor([[T, T, F], [T, T, F], [T, T, T]]))
    assert mask[1, 0].equal(causal_mask(3))


@given(data=st.data(), length=st.integers(1, 9), batch=sizes)
def test_position_i_sees_the_prefix_or_itself_whichever_ends_later(data, length, batch):
    prefixes = data.draw(st.lists(st.integers(0, length), min_size=batch, max_size=batch))
    for dtype in (torch.int64, torch.int32, torch.uint8):
        mask = prefix_mask(torch.tensor(prefixes, dtype=dtype), length)
        assert mask.shape == (batch, 1, length, length)
        for row, prefix in zip(mask[:, 0], prefixes, strict=True):
            assert row.sum(-1).tolist() == [max(prefix, i + 1) for i in range(length)]
            assert row.equal(row.sort(dim=-1, descending=True).values)  # no gap in what is seen


@given(length=st.integers(1, 9))
def test_no_prefix_is_causal_and_a_prefix_of_everything_hides_nothing(length):
    mask = prefix_mask(torch.tensor([0, length]), length)
    assert mask[0, 0].equal(causal_mask(length))
    assert mask[1].all()


def test_windows_and_prefixes_are_made_on_the_device_that_is_named():
    assert sliding_window_mask(2, 1, device=torch.device("meta")).device.type == "meta"


# ---- masks together -----------------------------------------------------------------------------


def test_combining_is_the_logical_and():
    combined = combine_masks(causal_mask(3), padding_mask(torch.tensor([2, 3])))
    assert combined.shape == (2, 1, 3, 3)
    assert combined[0, 0].equal(torch.tensor([[T, F, F], [T, T, F], [T, T, F]]))
    assert combined[1, 0].equal(causal_mask(3))


def test_none_stands_for_no_restriction():
    assert combine_masks() is None
    assert combine_masks(None, None) is None
    assert combine_masks(None, causal_mask(2), None).equal(causal_mask(2))


@pytest.mark.parametrize("first", [0, 1])
def test_three_axes_are_batch_query_key_beside_four_also_where_batch_equals_heads(first):
    per_sequence = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(0)) < 0.5
    per_head = torch.ones(2, 2, 3, 3).bool()
    masks = (per_sequence, per_head) if first == 0 else (per_head, per_sequence)
    combined = combine_masks(*masks)
    for head in range(2):
        assert combined[:, head].equal(per_sequence)


def test_combining_leaves_its_masks_as_they_are():
    mask, other = causal_mask(3), torch.zeros(3, 3).bool()
    combine_masks(mask, other)
    assert mask.equal(causal_mask(3))


def test_a_mask_of_three_axes_gets_an_axis_for_the_heads():
    mask = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(0)) < 0.5
    aligned = align_mask(mask, (2, 2, 3, 3))
    assert aligned.shape == (2, 1, 3, 3)
    assert aligned[:, 0].equal(mask)


@pytest.mark.parametrize(
    ("mask", "shape", "aligned"),
    [
        ((3, 4), (2, 5, 3, 4), (3, 4)),
        ((1, 4), (2, 5, 3, 4), (1, 4)),
        ((2, 1, 1, 4), (2, 5, 3, 4), (2, 1, 1, 4)),
        ((1, 3, 4), (2, 5, 3, 4), (1, 1, 3, 4)),
        ((2, 3, 4), (2, 3, 4), (2, 3, 4)),
        ((3, 4), (3, 4), (3, 4)),
    ],
)
def test_a_mask_that_fits_is_aligned(mask, shape, aligned):
    assert align_mask(torch.ones(mask).bool(), shape).shape == aligned


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("mask", "shape"),
    [
        ((4,), (2, 5, 3, 4)),
        ((4, 3), (2, 5, 3, 4)),
        ((5, 3, 4), (2, 5, 3, 4)),
        ((2, 4, 3, 4), (2, 5, 3, 4)),
        ((1, 2, 5, 3, 4), (2, 5, 3, 4)),
        ((1, 1, 3, 4), (2, 3, 4)),
        ((1, 3, 4), (3, 4)),
    ],
)
def test_a_mask_that_does_not_fit_the_scores_is_refused(mask, shape):
    with pytest.raises(ValueError, match=r"attn_mask must broadcast to the scores' shape .* got"):
        align_mask(torch.ones(mask).bool(), shape)


# ---- wrong input --------------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("length", "error", "says"),
    [
        (0, ValueError, "length must be at least 1, got 0"),
        (-1, ValueError, "length must be at least 1, got -1"),
        (2.0, TypeError, "length must be an integer, got float"),
    ],
)
def test_a_wrong_length_is_refused(length, error, says):
    with pytest.raises(error, match=says):
        causal_mask(length)
    with pytest.raises(error, match=says):
        sliding_window_mask(length, 1)
    with pytest.raises(error, match=says.replace("length", "window")):
        sliding_window_mask(1, length)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("lengths", "max_len", "error", "says"),
    [
        (torch.tensor([1.0]), 3, TypeError, r"lengths must be a tensor of integers, got torch\.fl"),
        (torch.tensor([True]), 3, TypeError, r"lengths must be a tensor of integers.*torch\.bool"),
        ([1, 2], 3, TypeError, "lengths must be a tensor of integers, got list"),
        (torch.tensor(2), 3, ValueError, r"lengths must have shape \(batch,\), got \(\)"),
        (torch.tensor([[2]]), 3, ValueError, r"lengths must have shape \(batch,\), got \(1, 1\)"),
        (torch.tensor([]).long(), 3, ValueError, r"lengths must have shape \(batch,\), got \(0,\)"),
        (torch.tensor([2, -1]), 3, ValueError, r"lengths must lie in 0\.\.3 .*got -1\.\.2"),
        (torch.tensor([2, 4]), 3, ValueError, r"lengths must lie in 0\.\.3 .*got 2\.\.4"),
        (torch.tensor([0]), 0, ValueError, "max_len must be at least 1, got 0"),
        (
            torch.tensor([0, 0]),
            None,
            ValueError,
            "lengths must hold one above 0",
        ),
        (torch.tensor([1]), 3.0, TypeError, "max_len must be an integer, got float"),
    ],
)
def test_wrong_lengths_are_refused(lengths, max_len, error, says):
    with pytest.raises(error, match=says):
        padding_mask(lengths, max_len)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("prefixes", "length", "error", "says"),
    [
        (torch.tensor([1.0]), 3, TypeError, r"prefix_lengths must be a tensor of int.*torch\.fl"),
        ([1], 3, TypeError, "prefix_lengths must be a tensor of integers, got list"),
        (torch.tensor(2), 3, ValueError, r"prefix_lengths must have shape \(batch,\), got \(\)"),
        (torch.tensor([]).long(), 3, ValueError, r"prefix_lengths must have shape .*got \(0,\)"),
        (torch.tensor([2, -1]), 3, ValueError, r"prefix_lengths must lie in 0\.\.3 .*got -1\.\.2"),
        (torch.tensor([2, 4]), 3, ValueError, r"prefix_lengths must lie in 0\.\.3 .*got 2\.\.4"),
        (torch.tensor([0]), 0, ValueError, "length must be at least 1, got 0"),
        (torch.tensor([1]), 3.0, TypeError, "length must be an integer, got float"),
    ],
)
def test_wrong_prefixes_are_refused(prefixes, length, error, says):
    with pytest.raises(error, match=says):
        prefix_mask(prefixes, length)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (torch.zeros(3, 3), TypeError, r"masks must be boolean.*got torch\.float32"),
        (torch.zeros(3, 3).long(), TypeError, r"masks must be boolean.*got torch\.int64"),
        ([[True]], TypeError, r"masks must be boolean.*got list"),
        (
            torch.ones(2, 2).bool(),
            ValueError,
            r"masks must broadcast.*\(3, 3\) and \(2, 2\)",
        ),
        (torch.ones(3).bool(), ValueError, r"masks must have 2, 3 or 4 axes, got shape \(3,\)"),
        (torch.ones(1, 1, 1, 3, 3).bool(), ValueError, r"masks must have 2, 3 or 4 axes, got sh"),
    ],
)
def test_masks_that_cannot_be_combined_are_refused(wrong, error, says):
    with pytest.raises(error, match=says):
        combine_masks(causal_mask(3), wrong)


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_mask_that_is_not_boolean_is_not_aligned():
    with pytest.raises(TypeError, match=r"attn_mask must be boolean.*got torch\.float32"):
        align_mask(torch.zeros(3, 3), (3, 3))
