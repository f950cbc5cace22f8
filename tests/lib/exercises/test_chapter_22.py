"""The checks of chapter 22 accept right answers and say what is wrong with the others."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib.exercises.chapter_22 import PAD, check
from tutorial_lib.generation import greedy_search
from tutorial_lib.teacher_forcing import shifted


def _answer_only(tokens, lengths, pad_token, first=1):
    inputs, labels = shifted(tokens)
    place = torch.arange(first, first + labels.shape[1])
    return inputs, labels.masked_fill(place < lengths[:, None], pad_token)


def _in_place(tokens, lengths, pad_token):
    place = torch.arange(1, tokens.shape[1])
    tokens[:, 1:].masked_fill_(place < lengths[:, None], pad_token)
    return shifted(tokens)


def _blanked_inputs(tokens, lengths, pad_token):
    inputs, labels = _answer_only(tokens, lengths, pad_token)
    question = torch.arange(inputs.shape[1]) < lengths[:, None]
    return inputs.masked_fill(question, pad_token), labels


def _log_probability(model, tokens, length, pad_token, first=-1, *, softmax=True, padding=False):
    inputs, labels = shifted(tokens)
    log_p = model(inputs)
    log_p = log_p.log_softmax(dim=-1) if softmax else log_p
    each = log_p.gather(-1, labels[..., None])[..., 0]
    each = each if padding else each.masked_fill(labels == pad_token, 0.0)
    return each[:, length + first :].sum(dim=1)


def _not_shifted(model, tokens, length, pad_token):
    each = model(tokens).log_softmax(dim=-1).gather(-1, tokens[..., None])[..., 0]
    return each.masked_fill(tokens == pad_token, 0.0)[:, length:].sum(dim=1)


def _accepted(model, tokens, draft, first=-1, *, until=True):
    start = tokens.shape[1] + first
    answers = model(torch.cat([tokens, draft], dim=1)).argmax(dim=-1)
    same = (answers[:, start : start + draft.shape[1]] == draft[:, : answers.shape[1] - start])[0]
    return int((same.long().cumprod(dim=0) if until else same).sum())


def _many_calls(model, tokens, draft):
    for right, token in enumerate(draft[0]):
        if model(tokens)[0, -1].argmax() != token:
            return right
        tokens = torch.cat([tokens, token[None, None]], dim=1)
    return draft.shape[1]


def _greedy(model, tokens, draft):
    written = greedy_search(model, tokens, max_new_tokens=draft.shape[1], use_cache=False)
    return int((written[:, tokens.shape[1] :] == draft)[0].long().cumprod(dim=0).sum())


RIGHT = {1: _answer_only, 2: _log_probability, 3: _accepted}


@pytest.mark.parametrize(("number", "answer"), RIGHT.items())
def test_right_answers_pass(number, answer):
    assert check.problem(number, answer) is None


def test_inputs_and_labels_may_come_as_a_list():
    assert check.problem(1, lambda *arguments: list(_answer_only(*arguments))) is None


@pytest.mark.parametrize("number", RIGHT)
def test_the_stub_does_not_pass(number):
    assert check.problem(number, lambda *arguments: None) is not None


def _sum_of_probabilities(model, tokens, length, pad_token):
    inputs, labels = shifted(tokens)
    each = model(inputs).softmax(dim=-1).gather(-1, labels[..., None])[..., 0]
    return each.masked_fill(labels == pad_token, 0.0)[:, length - 1 :].sum(dim=1)


def _mean(model, tokens, length, pad_token):
    written = (tokens[:, length:] != pad_token).sum(dim=1)
    return _log_probability(model, tokens, length, pad_token) / written


def _question_only(tokens, lengths, pad_token):
    inputs, labels = shifted(tokens)
    place = torch.arange(1, tokens.shape[1])
    return inputs, labels.masked_fill(place >= lengths[:, None], pad_token)


def _masked_inputs_as_labels(tokens, lengths, pad_token):
    place = torch.arange(tokens.shape[1] - 1)
    return tokens[:, :-1], tokens[:, :-1].masked_fill(place < lengths[:, None], pad_token)


WRONG = {
    "not shifted": (1, lambda t, n, p: (t[:, :-1], t[:, :-1]), "these are the inputs: a label is"),
    "not shifted, masked": (1, _masked_inputs_as_labels, "these are the inputs, masked"),
    "one label too few": (1, lambda *a: _answer_only(*a, first=0), "first token of the answer"),
    "one label too many": (1, lambda *a: _answer_only(*a, first=2), "last token of the question"),
    "the question counts": (1, lambda t, n, p: shifted(t), "the question is learned too"),
    "the question alone": (1, _question_only, "it is the answer that is left out"),
    "something else": (1, lambda t, n, p: (t[:, :-1], t[:, 1:] + 1), "a question of 1 the labels"),
    "tokens changed": (1, _in_place, "tokens were changed"),
    "the question hidden": (1, _blanked_inputs, "without the last"),
    "padding is always 0": (1, lambda t, n, p: _answer_only(t, n, PAD), "must be pad_token"),
    "labels alone": (1, lambda *a: _answer_only(*a)[1], "inputs and labels"),
    "whole tokens": (1, lambda t, n, p: (t, t), "inputs must have shape"),
    "the prompt counts": (2, lambda m, t, n, p: _log_probability(m, t, 1, p), "prompt counts too"),
    "the first token left out": (2, lambda *a: _log_probability(*a, first=0), "last token asks"),
    "the padding counts": (2, lambda *a: _log_probability(*a, padding=True), "padding counts too"),
    "no softmax": (2, lambda *a: _log_probability(*a, softmax=False), "sums of logits"),
    "no shift": (2, _not_shifted, "the answer to itself"),
    "the mean": (2, _mean, "this is the mean"),
    "probabilities": (2, _sum_of_probabilities, "sums of probabilities"),
    "minus": (2, lambda *a: -_log_probability(*a), "behind a prompt of 1, tokens [1, 4, 3, 6"),
    "one number": (2, lambda *a: _log_probability(*a).sum(), "must have shape"),
    "all that agree": (3, lambda *a: _accepted(*a, until=False), "stop at the first"),
    "shifted too far": (3, lambda *a: _accepted(*a, first=0), "answer to the one before"),
    "one too many": (
        3,
        lambda m, t, d: min(_accepted(m, t, d) + 1, d.shape[1]),
        "first wrong token is accepted",
    ),
    "a call for each token": (3, _many_calls, "called 2 times"),
    "greedy search": (3, _greedy, "called 5 times"),
    "a tensor": (3, lambda *a: torch.tensor(_accepted(*a)), "must be an int"),
    "always all": (3, lambda m, t, d: (m(t), d.shape[1])[1], "whatever it says"),
    "always none": (3, lambda m, t, d: (m(t), 0)[1], "nothing is ever accepted"),
    "every other": (3, lambda m, t, d: (m(t), 2)[1], "0 must be accepted, got 2"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
