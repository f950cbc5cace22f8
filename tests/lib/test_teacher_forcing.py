"""Teacher forcing: the label is the next token, and padding does not count."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from reference import TOLERANCE, assert_all_close, draw

from tutorial_lib.teacher_forcing import (
    require_special_tokens,
    shifted,
    token_cross_entropy,
    token_means,
    written_right,
)

PAD = 2


def draw_tokens(*shape: int, vocab_size: int, seed: int) -> torch.Tensor:
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(seed))


# ---- inputs and labels --------------------------------------------------------------------------


def test_the_label_of_a_token_is_the_one_that_follows_it():
    inputs, labels = shifted(torch.tensor([[7, 4, 5, 8], [7, 6, 8, 0]]))
    assert inputs.tolist() == [[7, 4, 5], [7, 6, 8]]
    assert labels.tolist() == [[4, 5, 8], [6, 8, 0]]


@given(batch=st.integers(1, 4), length=st.integers(2, 9), seed=st.integers(0, 1000))
def test_inputs_and_labels_are_the_sequence_without_its_last_and_its_first(batch, length, seed):
    tokens = draw_tokens(batch, length, vocab_size=50, seed=seed)
    before = tokens.clone()
    inputs, labels = shifted(tokens)
    assert inputs.shape == labels.shape == (batch, length - 1)
    assert torch.cat([inputs, labels[:, -1:]], dim=1).equal(tokens)
    assert torch.cat([inputs[:, :1], labels], dim=1).equal(tokens)
    assert tokens.equal(before)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("shape", [(4,), (2, 1), (2, 0), (2, 3, 4)])
def test_a_sequence_without_a_next_token_is_refused(shape):
    with pytest.raises(ValueError, match=r"tokens must have shape .* length at least 2, got \("):
        shifted(torch.zeros(shape).long())


# ---- the loss -----------------------------------------------------------------------------------


def test_the_loss_is_worked_by_hand():
    # Probabilities 1/4 and 3/4: label 0 costs ln 4, label 1 costs ln 4/3, padding nothing.
    row = [0.0, math.log(3), -math.inf]
    logits = torch.tensor([[row, row, row]], dtype=torch.float64)
    labels = torch.tensor([[0, 1, PAD]])
    expected = torch.tensor((math.log(4) + math.log(4 / 3)) / 2, dtype=torch.float64)
    loss = token_cross_entropy(logits, labels, pad_token=PAD)
    torch.testing.assert_close(loss, expected, **TOLERANCE)
    assert token_cross_entropy(logits, labels).isinf()  # as a label it would be impossible


def test_smoothing_gives_its_share_to_every_token_alike():
    # Targets of 0.9 and 0.1 after smoothing by 0.2, for probabilities 1/4 and 3/4.
    logits = torch.tensor([[[0.0, math.log(3)]]], dtype=torch.float64)
    loss = token_cross_entropy(logits, torch.tensor([[0]]), label_smoothing=0.2)
    expected = torch.tensor(0.9 * math.log(4) + 0.1 * math.log(4 / 3), dtype=torch.float64)
    torch.testing.assert_close(loss, expected, **TOLERANCE)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("pad_token", [None, 0, PAD])
def test_the_loss_and_its_gradient_equal_torchs_mean(pad_token, smoothing, record_equality):
    labels = draw_tokens(3, 5, vocab_size=4, seed=1)
    results = []
    for theirs in (False, True):
        logits = draw(3, 5, 4).requires_grad_()
        if theirs:
            ignored = {} if pad_token is None else {"ignore_index": pad_token}
            loss = F.cross_entropy(
                logits.transpose(1, 2), labels, label_smoothing=smoothing, **ignored
            )
        else:
            settings = {"pad_token": pad_token, "label_smoothing": smoothing}
            loss = token_cross_entropy(logits, labels, **settings)
        loss.backward()
        results.append({"loss": loss, "gradient": logits.grad})
    largest = assert_all_close(*results)
    record_equality(module="token_cross_entropy", mask="-", largest=largest)


@given(batch=st.integers(1, 3), length=st.integers(1, 5), seed=st.integers(0, 1000))
def test_what_is_scored_at_padding_changes_nothing(batch, length, seed):
    labels = draw_tokens(batch, length, vocab_size=4, seed=seed)
    labels[0, 0] = 1
    logits = draw(batch, length, 4, seed=seed)
    changed = logits.masked_fill((labels == PAD)[..., None], 0.0).requires_grad_()
    loss = token_cross_entropy(changed, labels, pad_token=PAD, label_smoothing=0.1)
    expected = token_cross_entropy(logits, labels, pad_token=PAD, label_smoothing=0.1)
    torch.testing.assert_close(loss, expected, **TOLERANCE)
    loss.backward()
    assert (changed.grad[labels == PAD] == 0).all()
    assert (changed.grad[labels != PAD] != 0).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_padding_alone_costs_nothing_and_gives_a_gradient_of_zero(dtype):
    logits = draw(2, 3, 4).to(dtype).requires_grad_()
    loss = token_cross_entropy(logits, torch.full((2, 3), PAD), pad_token=PAD)
    assert loss == 0
    loss.backward()
    assert (logits.grad == 0).all()


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("shape", [(6,), (3, 2), (2, 4), (2, 3, 1)])
def test_labels_that_do_not_fit_the_logits_are_refused(shape):
    says = r"labels must have shape \(batch, length\) to fit logits .* = \(2, 3, 4\), got \("
    with pytest.raises(ValueError, match=says):
        token_cross_entropy(torch.zeros(2, 3, 4), torch.zeros(shape).long())


@pytest.mark.usefixtures("unchecked_shapes")
def test_logits_without_three_axes_are_refused():
    with pytest.raises(ValueError, match=r"labels must have shape .* = \(6, 4\), got \(6,\)"):
        token_cross_entropy(torch.zeros(6, 4), torch.zeros(6).long())


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("smoothing", "error", "says"),
    [
        (1.0, ValueError, r"must be at least 0 and below 1, got 1\.0"),
        (-0.1, ValueError, r"must be at least 0 and below 1, got -0\.1"),
        ("0.1", TypeError, "must be a number, got str"),
    ],
)
def test_a_wrong_smoothing_is_refused(smoothing, error, says):
    with pytest.raises(error, match=f"label_smoothing {says}"):
        token_cross_entropy(
            torch.zeros(1, 2, 3), torch.zeros(1, 2).long(), label_smoothing=smoothing
        )


def test_a_label_that_torch_passes_over_does_not_count():
    logits, labels = torch.zeros(1, 2, 4), torch.tensor([[1, -100]])
    torch.testing.assert_close(token_cross_entropy(logits, labels), torch.tensor(4.0).log())


def test_loss_and_accuracy_are_means_of_the_labels_that_are_no_padding():
    labels = torch.tensor([[1, 2, 0], [2, 0, 0]])
    logits = F.one_hot(torch.tensor([[1, 1, 1], [2, 2, 0]]), 3).float()
    for pad_token, share, count in ((0, 2 / 3, 3), (1, 2 / 5, 5)):
        means = token_means(logits, labels, pad_token=pad_token)
        assert {name: number for name, (_, number) in means.items()} == dict.fromkeys(means, count)
        assert float(means["accuracy"][0]) == pytest.approx(share)
        loss = token_cross_entropy(logits, labels, pad_token=pad_token)
        torch.testing.assert_close(means["loss"][0], loss)


def test_one_wrong_or_missing_token_is_a_mistake():
    targets = torch.tensor([[1, 5, 2, 0], [1, 5, 6, 2], [1, 5, 2, 0]])
    written = torch.tensor([[1, 5, 2], [1, 5, 6], [1, 6, 2]])
    assert written_right(written, targets, pad_token=0).tolist() == [True, False, False]
    assert written_right(targets, targets, pad_token=0).all()


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("tokens", "error", "says"),
    [
        ((-1, 1, 2), ValueError, "pad_token must be at least 0, got -1"),
        ((0, 1.0, 2), TypeError, "start_token must be an integer, got float"),
        ((0, 1, "2"), TypeError, "end_token must be an integer, got str"),
        ((0, 1, 1), ValueError, "pad_token, start_token and end_token must differ, got 0, 1 and 1"),
        ((0, 0, 1), ValueError, "pad_token, start_token and end_token must differ"),
    ],
)
def test_special_tokens_are_three_different_ones(tokens, error, says):
    require_special_tokens(pad_token=0, start_token=1, end_token=2)
    pad, start, end = tokens
    with pytest.raises(error, match=f"^{says}"):
        require_special_tokens(pad_token=pad, start_token=start, end_token=end)
