"""What is counted equals what is worked out by hand."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tutorial_lib.attention import MultiheadAttention
from tutorial_lib.measure import flops, power_law, products_in_a_row, saved_bytes

sizes = st.integers(1, 6)


# ---- operations ---------------------------------------------------------------------------------


@given(a=sizes, b=sizes, c=sizes)
def test_a_product_of_matrices_takes_two_operations_for_each_multiply_add(a, b, c):
    assert flops(lambda: torch.ones(a, b) @ torch.ones(b, c)) == 2 * a * b * c


def test_attention_is_counted_on_the_explicit_path_and_on_meta():
    attention = MultiheadAttention(8, 2)
    x, expected = torch.zeros(3, 5, 8), 3 * (8 * 5 * 8**2 + 4 * 5**2 * 8)
    assert flops(lambda: attention(x, need_weights=True)) == expected
    assert flops(lambda: attention.to("meta")(x.to("meta"))) == expected


def test_what_is_not_a_product_is_not_counted():
    assert flops(lambda: torch.ones(4).exp().sum()) == 0


# ---- bytes --------------------------------------------------------------------------------------


def test_a_product_keeps_both_factors():
    x, y = torch.zeros(3, 4, requires_grad=True), torch.zeros(4, 5, requires_grad=True)
    assert saved_bytes(lambda: x @ y) == 4 * (12 + 20)
    assert saved_bytes(lambda: x.double() @ y.double()) == 8 * (12 + 20)


def test_memory_that_is_shared_is_counted_once():
    x = torch.zeros(3, 4, requires_grad=True)
    assert saved_bytes(lambda: x @ x.mT) == 4 * 12
    assert saved_bytes(lambda: (x.exp() + x.sin(), x.cos())) == 4 * (12 + 12)


def test_what_is_kept_anyway_is_left_out():
    linear, x = nn.Linear(4, 5), torch.zeros(3, 4, requires_grad=True)
    assert saved_bytes(lambda: linear(x)) == 4 * (12 + 20)
    assert saved_bytes(lambda: linear(x), besides=linear.parameters()) == 4 * 12


def test_gradients_are_recorded_also_where_they_are_switched_off():
    x = torch.zeros(3, requires_grad=True)
    with torch.no_grad():
        assert saved_bytes(lambda: x.exp()) == 12
    assert saved_bytes(lambda: torch.zeros(3).exp()) == 0


def test_tensors_that_were_dropped_do_not_hide_later_ones_at_their_address():
    x = torch.zeros(1000, requires_grad=True)

    def call():
        for i in range(20):
            (x + i).sin()

    assert saved_bytes(call) == 20 * 4000


def test_nothing_is_kept_once_it_is_counted():
    x, outputs = torch.zeros(3, requires_grad=True), []

    def call():
        output = x.exp()  # its gradient needs the output itself
        outputs.append(weakref.ref(output))

    saved_bytes(call)
    gc.collect()
    assert outputs[0]() is None


@given(heads=st.sampled_from([1, 2, 4]), n=st.integers(1, 20))
def test_the_explicit_path_keeps_the_weights_and_the_fused_one_a_number_a_row(heads, n):
    attention, x = MultiheadAttention(8, heads), torch.zeros(1, n, 8)
    options = {"besides": list(attention.parameters())}
    explicit = saved_bytes(lambda: attention(x, need_weights=True), **options)
    assert explicit == 4 * (5 * n * 8 + heads * n**2)
    assert saved_bytes(lambda: attention(x), **options) == 4 * (5 * n * 8 + heads * n)


# ---- depth --------------------------------------------------------------------------------------


def test_products_side_by_side_count_once_and_in_a_row_each():
    x, w = torch.zeros(2, 3), torch.zeros(3, 3, requires_grad=True)
    assert products_in_a_row(x @ w @ w @ w) == 3
    assert products_in_a_row(x @ w + x @ w.T + x @ w) == 1
    assert products_in_a_row((x @ w + (x @ w).exp() @ w) @ w) == 3
    assert products_in_a_row(w.exp()) == 0
    assert products_in_a_row(x) == 0


@pytest.mark.parametrize("product", [torch.matmul, torch.dot, torch.bmm, torch.mv])
def test_products_of_vectors_and_of_batches_count_too(product):
    sizes = {torch.dot: [(3,), (3,)], torch.bmm: [(2, 3, 3)] * 2}.get(product, [(3, 3), (3,)])
    factors = [torch.zeros(size, requires_grad=True) for size in sizes]
    assert products_in_a_row(product(*factors)) == 1


def test_a_product_that_is_added_on_counts_too():
    w, v = torch.zeros(3, 3, requires_grad=True), torch.zeros(3, requires_grad=True)
    batch = w[None]
    assert products_in_a_row(torch.addmm(w, w, w)) == 1
    assert products_in_a_row(torch.addmv(v, w, v)) == 1
    assert products_in_a_row(torch.addbmm(w, batch, batch)) == 1
    assert products_in_a_row(torch.baddbmm(batch, batch, batch)) == 1


@pytest.mark.parametrize("n", [1, 7, 600])
def test_a_recurrent_layer_has_a_product_for_each_token_and_attention_four(n):
    x = torch.zeros(1, n, 4)
    assert products_in_a_row(nn.GRU(4, 4, batch_first=True)(x)[0]) == n
    attention = MultiheadAttention(4, 2)
    assert products_in_a_row(attention(x)[0]) == 4
    assert products_in_a_row(attention(x, need_weights=True)[0]) == 4
    assert products_in_a_row(nn.Conv1d(4, 4, 3, padding=1)(x.mT)) == 1


# ---- exponents ----------------------------------------------------------------------------------


@given(exponent=st.floats(-3, 3), factor=st.floats(1e-3, 1e3))
def test_an_exact_power_law_gives_its_exponent(exponent, factor):
    x = [1.0, 2.0, 5.0, 40.0]
    y = [factor * value**exponent for value in x]
    assert power_law(x, y) == pytest.approx(exponent, abs=1e-9)


def test_a_sum_of_powers_lies_between_them():
    x = list(range(10, 100, 10))
    assert 1 < power_law(x, [n + n**2 / 50 for n in x]) < 2


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        ([1, 2], [1], "y must have 2 values, one for each x, got 1"),
        ([3, 3], [1, 2], r"x must have at least two different values, got \[3, 3\]"),
        ([0, 1], [1, 2], "x must be above 0 and finite, got 0"),
        ([1, 2], [1, -2], "y must be above 0 and finite, got -2"),
        ([1, float("inf")], [1, 2], "x must be above 0 and finite, got inf"),
        ([1, 2], [1, float("nan")], "y must be above 0 and finite, got nan"),
    ],
)
def test_points_without_a_slope_are_named(x, y, says):
    with pytest.raises(ValueError, match=says):
        power_law(x, y)
