"""Losses, perplexities and bits are those that can be worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.experiments.tiny_gpt.perplexity import (
    bits_per_character,
    mixed_losses,
    perplexity,
    token_losses,
)


def test_who_knows_nothing_guesses_among_all_tokens():
    assert perplexity(math.log(104)) == pytest.approx(104)
    assert perplexity(0.0) == 1
    assert bits_per_character(math.log(8), tokens=5, characters=5) == pytest.approx(3)


@given(st.integers(1, 50), st.floats(0, 9))
def test_the_bits_of_a_text_do_not_depend_on_how_it_is_cut(pieces, total):
    # One text of 100 characters and a total loss, cut into any number of tokens.
    bits = bits_per_character(total / pieces, tokens=pieces, characters=100)
    assert bits == pytest.approx(total / math.log(2) / 100)


def test_token_losses_are_those_of_torch_in_any_batches():
    table = torch.randn(7, 7, dtype=torch.float64)
    tokens, labels = torch.randint(7, (2, 10, 5)).unbind()
    labels[-1, 2:] = -100
    losses = token_losses(lambda x: table[x], tokens, labels, batch_size=3)
    expected = -table[tokens].log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    torch.testing.assert_close(losses, expected.masked_fill(labels == -100, 0.0))
    mean = F.cross_entropy(table[tokens].flatten(0, 1), labels.flatten())
    torch.testing.assert_close(losses.sum() / 47, mean)


def test_a_mixture_averages_probabilities():
    first, second = -torch.tensor([0.5, 0.1]).log(), -torch.tensor([0.1, 0.3]).log()
    torch.testing.assert_close((-mixed_losses(first, second)).exp(), torch.tensor([0.3, 0.2]))
    mixed = (-mixed_losses(first, second, share=0.25)).exp()
    torch.testing.assert_close(mixed, torch.tensor([0.2, 0.25]))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: perplexity(-1.0), ValueError, "loss must be at least 0"),
        (lambda: perplexity("1"), TypeError, "loss must be a number"),
        (lambda: bits_per_character(1.0, tokens=0, characters=1), ValueError, "tokens must be"),
        (lambda: bits_per_character(1.0, tokens=1, characters=1.5), TypeError, "characters must"),
        (lambda: mixed_losses(torch.ones(2), torch.ones(3)), ValueError, "like first"),
        (lambda: mixed_losses(torch.ones(2), torch.ones(2), share=1.0), ValueError, "share"),
        (lambda: mixed_losses(torch.ones(2), torch.ones(2), share=0.0), ValueError, "share"),
        (
            lambda: token_losses(torch.nn.Identity(), torch.ones(2, 3), torch.ones(2, 4)),
            ValueError,
            "must have one shape",
        ),
        (
            lambda: token_losses(
                torch.nn.Identity(), torch.ones(2, 3), torch.ones(2, 3), batch_size=0
            ),
            ValueError,
            "batch_size must be at least 1",
        ),
    ],
)
def test_wrong_input_is_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()
