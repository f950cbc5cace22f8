"""One table turns tokens into vectors and vectors into scores."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from reference import TOLERANCE, assert_all_close, draw

from tutorial_lib.embedding import TokenEmbedding

TABLE = [[1.0, 0.0, 0.0, 2.0], [0.0, 3.0, -1.0, 0.0], [0.5, 0.5, 0.5, 0.5]]


@pytest.fixture
def by_hand() -> TokenEmbedding:
    module = TokenEmbedding(3, 4)
    module.load_state_dict({"table.weight": torch.tensor(TABLE)})
    return module


def test_a_token_is_its_row_times_the_root_of_the_width(by_hand):
    # The root of 4 is 2.
    output = by_hand(torch.tensor([[1, 0], [2, 2]]))
    assert output[0].tolist() == [[0.0, 6.0, -2.0, 0.0], [2.0, 0.0, 0.0, 4.0]]
    assert output[1].tolist() == [[1.0] * 4] * 2


def test_logits_are_the_dot_products_with_the_rows_and_are_not_scaled(by_hand):
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]]])
    assert by_hand.logits(x).tolist() == [[[9.0, 3.0, 5.0], [0.0, 0.0, 0.0]]]


@given(
    vocab_size=st.integers(1, 7),
    embed_dim=st.integers(1, 6),
    batch=st.integers(1, 3),
    length=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_both_uses_equal_torchs_and_add_up_their_gradients_in_the_one_table(
    vocab_size, embed_dim, batch, length, seed
):
    module = TokenEmbedding(vocab_size, embed_dim).double()
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(vocab_size, (batch, length), generator=generator)
    upstream = draw(batch, length, vocab_size, seed=seed)
    weight = module.table.weight.detach().clone().requires_grad_()
    logits = module.logits(module(tokens))
    expected = F.linear(math.sqrt(embed_dim) * F.embedding(tokens, weight), weight)
    logits.backward(upstream)
    expected.backward(upstream)
    assert_all_close(
        {"logits": logits, "gradient": module.table.weight.grad},
        {"logits": expected, "gradient": weight.grad},
    )
    assert len(list(module.parameters())) == 1


def test_embedded_tokens_have_unit_variance_and_so_do_the_logits_of_normalised_vectors():
    torch.manual_seed(0)
    module = TokenEmbedding(1000, 256)
    tokens = torch.arange(1000)[None]
    normalised = F.layer_norm(torch.randn(1, 100, 256), (256,))
    with torch.no_grad():
        for tensor in (module(tokens), module.logits(normalised)):
            assert 0.97 < float(tensor.std()) < 1.03
            assert abs(float(tensor.mean())) < 0.03


def test_tokens_may_be_int64_or_int32(by_hand):
    tokens = torch.tensor([[2, 0, 1]])
    torch.testing.assert_close(by_hand(tokens.int()), by_hand(tokens), **TOLERANCE)


def test_the_state_dict_goes_round():
    module, other = TokenEmbedding(5, 4), TokenEmbedding(5, 4)
    assert not module.table.weight.equal(other.table.weight)
    other.load_state_dict(module.state_dict())
    assert module.table.weight.equal(other.table.weight)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("tokens", "error", "says"),
    [
        (torch.tensor([[0, 3]]), ValueError, r"must lie in 0\.\.2, got 0\.\.3"),
        (torch.tensor([[1, -1]]), ValueError, r"must lie in 0\.\.2, got -1\.\.1"),
        (torch.tensor([0, 1]), ValueError, r"must have shape \(batch, length\), got \(2,\)"),
        (torch.zeros(1, 2, 3).long(), ValueError, r"must have shape \(batch, length\), got \(1, 2"),
        (torch.zeros(1, 2), TypeError, r"must be a tensor of integers, got torch\.float32"),
        (torch.zeros(1, 2).bool(), TypeError, r"must be a tensor of integers, got torch\.bool"),
        ([[0, 1]], TypeError, "must be a tensor of integers, got list"),
    ],
)
def test_tokens_that_are_not_in_the_vocabulary_are_refused(by_hand, tokens, error, says):
    with pytest.raises(error, match=f"^tokens {says}"):
        by_hand(tokens)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("shape", [(2, 4), (1, 2, 3), (1, 1, 2, 4)])
def test_vectors_of_the_wrong_shape_get_no_logits(by_hand, shape):
    with pytest.raises(ValueError, match=r"x must have shape \(batch, length, 4\), got"):
        by_hand.logits(torch.zeros(shape))
    with pytest.raises(TypeError, match="x must be a tensor, got list"):
        by_hand.logits([[[0.0] * 4]])


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", ["vocab_size", "embed_dim"])
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (4.0, TypeError, "must be an integer, got float"),
        (True, TypeError, "must be an integer, got bool"),
    ],
)
def test_wrong_sizes_are_refused(name, size, error, says):
    with pytest.raises(error, match=f"{name} {says}"):
        TokenEmbedding(**({"vocab_size": 3, "embed_dim": 4} | {name: size}))
