"""Checks for chapter 52, the pitfalls: the reader's tests meet sound and faulty code."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.exercises.checker import Checker
from tutorial_lib.masks import causal_mask
from tutorial_lib.schedules import cosine_with_warmup
from tutorial_lib.teacher_forcing import shifted

check = Checker(52)

Split = Callable[[Tensor], tuple[Tensor, Tensor]]


@check.exercise(1, hint="What does the beginning of a sequence give alone, in train() and eval()?")
def future_is_found(sees_the_future: Callable) -> None:
    """Try models that see the future in different ways, and models that do not."""
    x = torch.randn(3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(52))
    for training in (True, False):
        for model, leaks, name in _decoders():
            _require(sees_the_future(model.train(training), x.clone()), leaks, name)


@check.exercise(2, hint="Look at step 0, at the peak, past the last step, and at warmup_steps=0.")
def unsound_schedules_are_found(is_sound: Callable) -> None:
    """Try schedules that break at different ends, and schedules that do not."""
    for schedule, sound, name in _schedules():
        _require(is_sound(schedule), sound, name)


@check.exercise(3, hint="Call split on tokens that all differ; keep a clone to compare with.")
def wrong_shifts_are_found(is_shifted: Callable) -> None:
    """Try splits that shift wrongly, and the right one."""
    for split, right, name in _splits():
        _require(is_shifted(split), right, name)


def _require(got: object, needed: bool, name: str) -> None:
    assert isinstance(got, bool), f"the answer must be True or False, got {got!r}"
    assert got == needed, f"for {name} the answer must be {needed}, got {got}"


class _Decoder(nn.Module):
    """Run a decoder as a function says."""

    def __init__(self, run: Callable[[_Decoder, Tensor], Tensor]) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(52)
            self.decoder = TransformerDecoder(
                num_layers=2,
                embed_dim=8,
                num_heads=2,
                dim_feedforward=16,
                cross_attention=False,
            ).double()
        self.run = run

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def _last_layer_without_mask(model: _Decoder, x: Tensor) -> Tensor:
    first, last = model.decoder.layers
    return last(first(x, is_causal=True))


def _only_one_example_leaks(model: _Decoder, x: Tensor, *, example: int) -> Tensor:
    mask = causal_mask(x.shape[1]).repeat(len(x), 1, 1)  # (batch, query, key)
    mask[example] = True
    return model.decoder(x, attn_mask=mask)


def _next_token_seen(model: _Decoder, x: Tensor) -> Tensor:
    length = x.shape[1]
    return model.decoder(x, attn_mask=torch.ones(length, length, dtype=torch.bool).tril(1))


def _decoders() -> Iterator[tuple[nn.Module, bool, str]]:
    yield _Decoder(lambda m, x: m.decoder(x, is_causal=True)), False, "a causal decoder"
    yield _Decoder(lambda m, x: m.decoder(x)), True, "a decoder without mask"
    training = _Decoder(lambda m, x: m.decoder(x, is_causal=m.training))
    yield training, True, "a mask that is there only while training"
    evaluation = _Decoder(lambda m, x: m.decoder(x, is_causal=not m.training))
    yield evaluation, True, "a mask that is there only in evaluation mode"
    yield _Decoder(_next_token_seen), True, "a mask that shows one token too many"
    yield _Decoder(_last_layer_without_mask), True, "a mask that the last layer does not get"
    for example, which in [(0, "first"), (-1, "last")]:
        one = _Decoder(partial(_only_one_example_leaks, example=example))
        yield one, True, f"a mask that the {which} example does not get"
    yield _Decoder(lambda m, x: x.cumsum(dim=1)), False, "a running sum"


def _schedules() -> Iterator[tuple[Callable[..., float], bool, str]]:
    def line(step: int, warmup_steps: int) -> float:
        return min(1.0, (step + 1) / (warmup_steps + 1))

    def constant(step: int, *, warmup_steps: int, total_steps: int) -> float:
        return line(step, warmup_steps)

    def linear(step: int, *, warmup_steps: int, total_steps: int) -> float:
        fall = max(0.0, (total_steps - step) / (total_steps - warmup_steps))
        return line(step, warmup_steps) if step < warmup_steps else fall

    def from_zero(step: int, *, warmup_steps: int, total_steps: int) -> float:
        if step < warmup_steps:
            return step / warmup_steps
        return cosine_with_warmup(step, warmup_steps=warmup_steps, total_steps=total_steps)

    def below_the_peak(step: int, *, warmup_steps: int, total_steps: int) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / total_steps)))
        return line(step, warmup_steps) * cosine

    def rises_again(step: int, *, warmup_steps: int, total_steps: int) -> float:
        progress = (step - warmup_steps) / (total_steps - warmup_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return line(step, warmup_steps) if step < warmup_steps else cosine

    def goes_below_zero(step: int, *, warmup_steps: int, total_steps: int) -> float:
        fall = (total_steps - step) / (total_steps - warmup_steps)
        return line(step, warmup_steps) if step < warmup_steps else fall

    def needs_a_warmup(step: int, *, warmup_steps: int, total_steps: int) -> float:
        rise = (step + 1) / warmup_steps
        return min(1.0, rise, linear(step, warmup_steps=warmup_steps, total_steps=total_steps))

    def above_one(step: int, *, warmup_steps: int, total_steps: int) -> float:
        return 2.0 * linear(step, warmup_steps=warmup_steps, total_steps=total_steps)

    yield cosine_with_warmup, True, "the package's cosine"
    yield constant, True, "a warm-up, then a constant rate"
    yield linear, True, "a fall in a line that stays at 0"
    yield from_zero, False, "a first step of 0"
    yield below_the_peak, False, "a peak below 1"
    yield rises_again, False, "a cosine that rises again past the end"
    yield goes_below_zero, False, "a line that goes below 0 past the end"
    yield needs_a_warmup, False, "a division by zero without warm-up"
    yield above_one, False, "a peak of 2"


def _splits() -> Iterator[tuple[Split, bool, str]]:
    def in_place(tokens: Tensor) -> tuple[Tensor, Tensor]:
        tokens[:, -1] = 0
        return shifted(tokens)

    def first_row_only(tokens: Tensor) -> tuple[Tensor, Tensor]:
        labels = tokens[:, :-1].clone()
        labels[0] = tokens[0, 1:]
        return tokens[:, :-1], labels

    yield cast(Split, shifted), True, "the package's function"
    yield lambda t: (t[:, :-1].clone(), t[:, 1:].clone()), True, "one that returns copies"
    yield lambda t: (t[:, :-1], t[:, :-1]), False, "labels that are not shifted"
    yield lambda t: (t[:, 1:], t[:, :-1]), False, "labels that are the token before"
    yield lambda t: (t[:, :-2], t[:, 2:]), False, "labels that are two tokens on"
    yield lambda t: (t, t.roll(-1, dims=1)), False, "a roll, whose last label is the start token"
    yield lambda t: (t[:-1], t[1:]), False, "a shift along the batch"
    yield first_row_only, False, "labels that are shifted in the first row only"
    yield in_place, False, "one that changes the tokens"
