"""Checks for chapter 22, the decoder and generation."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from tutorial_lib.cache import KVCache
from tutorial_lib.exercises.checker import Checker, explain, require_shape
from tutorial_lib.generation import greedy_search
from tutorial_lib.language_model import TransformerLanguageModel

check = Checker(22)

PAD = 0


@check.exercise(1, hint="The label at place i is token i + 1: is that one part of the question?")
def only_the_answer_is_learned(answer_only: Callable) -> None:
    """Compare with labels written by hand, for questions of several lengths."""
    tokens = torch.tensor([[3, 4, 5, 6, 7, 8], [3, 4, 5, 6, 7, 8], [9, 3, 4, 5, 2, 0]])
    lengths = torch.tensor([1, 4, 3])
    right = torch.tensor([[4, 5, 6, 7, 8], [0, 0, 0, 7, 8], [0, 0, 5, 2, 0]])
    given = tokens.clone()
    answer = answer_only(given, lengths, PAD)
    is_pair = isinstance(answer, tuple | list) and len(answer) == 2
    assert is_pair, "inputs and labels must be returned"
    inputs, labels = cast(tuple[Tensor, Tensor], answer)
    require_shape(inputs, (3, 5), "inputs")
    require_shape(labels, (3, 5), "labels")
    assert given.equal(tokens), "tokens were changed: a slice shares its memory with them"
    assert inputs.equal(tokens[:, :-1]), "inputs must be the tokens without the last, all of them"
    for row, length in enumerate(lengths.tolist()):
        otherwise = (
            f"for tokens {tokens[row].tolist()} with a question of {length} the labels must be "
            f"{right[row].tolist()}, got {labels[row].tolist()}"
        )
        explain(labels[row], right[row], _wrong_labels(tokens[row], length), otherwise=otherwise)
    unpadded = answer_only(tokens, lengths, 11)[1]
    assert unpadded[1, 0] == 11, "the labels that do not count must be pad_token, whatever it is"


@check.exercise(2, hint="shifted(tokens) gives each question and its answer; gather picks a score.")
def scores_are_sums_of_log_probabilities(log_probability: Callable) -> None:
    """Ask the model for one token at a time, behind prompts of two lengths."""
    model = _CountingModel(seed=22)
    tokens = torch.tensor([[1, 4, 3, 6, 5, 2], [1, 4, 3, 2, 0, 0], [1, 4, 3, 4, 2, 0]])
    for length in (1, 3):
        with torch.no_grad():
            got = log_probability(model, tokens, length, PAD)
            expected = [_score(model, row[row != PAD], length) for row in tokens]
            wrong = _wrong_scores(model, tokens, length)
        require_shape(got, (3,), "the result")
        for row, (score, right) in enumerate(zip(got, expected, strict=True)):
            otherwise = (
                f"behind a prompt of {length}, tokens {tokens[row].tolist()} have the "
                f"log-probability {right:.4f}, got {score:.4f}"
            )
            likely = {why: scores[row] for why, scores in wrong.items()}
            explain(score, right, likely, otherwise=otherwise)


@check.exercise(3, hint="The model's answer to the last token of the text is checked first.")
def draft_is_checked_in_one_pass(accepted: Callable) -> None:
    """Offer drafts that are right up to each token, and right again behind a wrong one."""
    model = _CountingModel(seed=22)
    tokens = torch.tensor([[1, 5, 4, 6]])
    written = greedy_search(model, tokens, max_new_tokens=5, use_cache=False)[:, 4:]
    drafts = written.repeat(6, 1)
    for right in range(5):
        drafts[right, right] = (drafts[right, right] + 1) % 7
    counts, otherwise = [], ""
    for right, draft in enumerate(drafts.split(1)):
        model.calls = 0
        with torch.no_grad():
            got = accepted(model, tokens, draft)
        assert isinstance(got, int), f"the answer must be an int, got {type(got).__name__}"
        assert model.calls == 1, f"the model must be called once, it was called {model.calls} times"
        counts.append(got)
        if got != right:
            otherwise = otherwise or (
                f"greedy search writes {written[0].tolist()}: of the draft {draft[0].tolist()} "
                f"{right} must be accepted, got {got}"
            )
    wrong = _wrong_counts(model, tokens, drafts)
    explain(torch.tensor(counts), torch.arange(6), wrong, otherwise=otherwise)


def _wrong_labels(tokens: Tensor, length: int) -> dict[str, Tensor]:
    labels, place = tokens[1:], torch.arange(1, len(tokens))
    return {
        "these are the inputs: a label is the token that follows": tokens[:-1],
        "these are the inputs, masked: a label is the token that follows": (
            tokens[:-1].masked_fill(place - 1 < length, PAD)
        ),
        "the question is learned too: its labels must be pad_token": labels,
        "it is the answer that is left out, and the question that is learned": (
            labels.masked_fill(place >= length, PAD)
        ),
        "the first token of the answer is left out: label i is token i + 1": (
            labels.masked_fill(place - 1 < length, PAD)
        ),
        "the last token of the question is learned: label i is token i + 1": (
            labels.masked_fill(place + 1 < length, PAD)
        ),
    }


def _wrong_scores(model: _CountingModel, tokens: Tensor, length: int) -> dict[str, Tensor]:
    logits, labels = model(tokens), tokens[:, 1:]
    log_p = logits.log_softmax(dim=-1)

    def pick(scores: Tensor, answers: Tensor) -> Tensor:
        return scores.gather(-1, answers[..., None])[..., 0]

    each, real = pick(log_p[:, :-1], labels), labels != PAD
    behind = real & (torch.arange(1, tokens.shape[1]) >= length)
    to_itself = pick(log_p, tokens).masked_fill(tokens == PAD, 0.0)
    return {
        "the prompt counts too: only what stands behind it is scored": (each * real).sum(dim=1),
        "the first token behind the prompt is missing: the prompt's last token asks for it": (
            (each * behind)[:, length:].sum(dim=1)
        ),
        "the padding counts too: it was not written": each[:, length - 1 :].sum(dim=1),
        "these are sums of logits: take log_softmax first": (
            (pick(logits[:, :-1], labels) * behind).sum(dim=1)
        ),
        "each token was scored by the answer to itself: shift by one": (
            to_itself[:, length:].sum(dim=1)
        ),
        "this is the mean: the score is the sum": (each * behind).sum(dim=1) / behind.sum(dim=1),
        "these are sums of probabilities: add their logarithms": ((each.exp() * behind).sum(dim=1)),
    }


def _wrong_counts(model: _CountingModel, tokens: Tensor, drafts: Tensor) -> dict[str, Tensor]:
    length, right = tokens.shape[1], torch.arange(len(drafts))
    with torch.no_grad():
        both = torch.cat([tokens.expand(len(drafts), -1), drafts], dim=1)
        answers = model(both).argmax(dim=-1)
    same = (answers[:, length - 1 : -1] == drafts).long()
    return {
        "every token that agrees is counted: stop at the first that does not": same.sum(dim=1),
        "nothing is ever accepted: compare each token with the model's answer to the one before": (
            torch.zeros_like(right)
        ),
        "the whole draft is accepted, whatever it says": torch.full_like(right, drafts.shape[1]),
        "the first wrong token is accepted too": (right + 1).clamp(max=drafts.shape[1]),
    }


class _CountingModel:
    """A language model with sharp opinions, which counts how often it is asked."""

    training = False

    def __init__(self, *, seed: int) -> None:
        self.calls = 0
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = TransformerLanguageModel(
                vocab_size=7, embed_dim=8, num_heads=2, num_layers=1, tie_weights=False
            )
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    torch.nn.init.normal_(parameter)
        self.model = model.double().eval()

    def __call__(self, tokens: Tensor, *, cache: KVCache | None = None) -> Tensor:
        self.calls += 1
        return self.model(tokens, cache=cache)

    def make_cache(self, batch_size: int, capacity: int) -> KVCache:
        return self.model.make_cache(batch_size, capacity)


def _score(model: _CountingModel, tokens: Tensor, prompt_length: int) -> Tensor:
    steps = [
        model(tokens[None, :end]).log_softmax(dim=-1)[0, -1, tokens[end]]
        for end in range(prompt_length, len(tokens))
    ]
    return torch.stack(steps).sum()
