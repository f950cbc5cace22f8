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
    says = {True: "that every model sees the future", False: "that no model sees the future"}
    _require(
        [
            (_verdict(sees_the_future(model.train(training), x.clone())), leaks, name, advice)
            for training in (True, False)
            for model, leaks, name, advice in _decoders()
        ],
        says,
    )


@check.exercise(2, hint="Look at step 0, at the peak, past the last step, and at warmup_steps=0.")
def unsound_schedules_are_found(is_sound: Callable) -> None:
    """Try schedules that break at different ends, and schedules that do not."""
    says = {True: "that every schedule is sound", False: "that no schedule is sound"}
    verdicts = [
        (_verdict(is_sound(schedule)), sound, name, advice)
        for schedule, sound, name, advice in _schedules()
    ]
    _require(verdicts, says)


@check.exercise(3, hint="Call split on tokens that all differ; keep a clone to compare with.")
def wrong_shifts_are_found(is_shifted: Callable) -> None:
    """Try splits that shift wrongly, and the right one."""
    says = {True: "that every split is right", False: "that no split is right"}
    verdicts = [
        (_verdict(is_shifted(split)), right, name, advice)
        for split, right, name, advice in _splits()
    ]
    _require(verdicts, says)


def _verdict(got: object) -> bool:
    assert isinstance(got, bool), f"the answer must be True or False, got {got!r}"
    return got


def _require(verdicts: list[tuple[bool, bool, str, str]], says: dict[bool, str]) -> None:
    """Raise unless a reader's test is right about everything.

    Args:
        verdicts: What it said, what is needed, of what, and what it should look at.
        says: What a test says that always gives True, or always False.
    """
    got = [verdict for verdict, _, _, _ in verdicts]
    needed = [need for _, need, _, _ in verdicts]
    if got == needed:
        return
    assert len(set(got)) > 1, f"your test says {says[got[0]]}: it gives {got[0]} for all of them"
    assert got != [not need for need in needed], "your test gives True for False, False for True"
    found, need, name, advice = next(row for row in verdicts if row[0] != row[1])
    raise AssertionError(f"for {name} the answer must be {need}, got {found}: {advice}")


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


def _first_sees_the_last(model: _Decoder, x: Tensor) -> Tensor:
    return torch.cat([x[:, :1] + x[:, -1:], x[:, 1:]], dim=1)


def _decoders() -> Iterator[tuple[nn.Module, bool, str, str]]:
    """Give models, whether they see the future, what they are, and what finds it."""
    rounding = "rounding differs a little, so compare with a tolerance"
    modes = "look in train() and in eval(), whatever mode the model comes in"
    yield _Decoder(lambda m, x: m.decoder(x, is_causal=True)), False, "a causal decoder", rounding
    bare = _Decoder(lambda m, x: m.decoder(x))
    yield bare, True, "a decoder without mask", "change later tokens, look at earlier outputs"
    training = _Decoder(lambda m, x: m.decoder(x, is_causal=m.training))
    yield training, True, "a mask that is there only while training", modes
    evaluation = _Decoder(lambda m, x: m.decoder(x, is_causal=not m.training))
    yield evaluation, True, "a mask that is there only in evaluation mode", modes
    one_more = "a mask that shows one token too many"
    yield _Decoder(_next_token_seen), True, one_more, "change the very next token too"
    last = "a mask that the last layer does not get"
    yield _Decoder(_last_layer_without_mask), True, last, "compare what the whole model gives"
    far = "a first output that sees the last token"
    yield _Decoder(_first_sees_the_last), True, far, "change all later tokens, not only the next"
    for example, which in [(0, "first"), (-1, "last")]:
        one = _Decoder(partial(_only_one_example_leaks, example=example))
        name = f"a mask that the {which} example does not get"
        yield one, True, name, "compare the outputs of all examples of the batch"
    yield _Decoder(lambda m, x: x.cumsum(dim=1)), False, "a running sum", rounding


def _schedules() -> Iterator[tuple[Callable[..., float], bool, str, str]]:
    """Give schedules, whether they are sound, what they are, and what finds the fault."""

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

    def rises_on_the_way(step: int, *, warmup_steps: int, total_steps: int) -> float:
        middle = (warmup_steps + total_steps) // 2
        if step < warmup_steps:
            return line(step, warmup_steps)
        return 0.5 if warmup_steps < step < middle else float(step in (warmup_steps, middle))

    def shape(name: str) -> str:
        return f"{name} is sound: only what the task lists is required"

    yield cosine_with_warmup, True, "the package's cosine", shape("it")
    yield constant, True, "a warm-up, then a constant rate", shape("a rate that stays")
    yield linear, True, "a fall in a line that stays at 0", shape("a line")
    yield from_zero, False, "a first step of 0", "look at step 0, with a warm-up"
    yield below_the_peak, False, "a peak below 1", "the largest factor must be exactly 1"
    yield rises_again, False, "a cosine that rises again past the end", "go on past total_steps"
    past = "go on past total_steps, and look for factors below 0"
    yield goes_below_zero, False, "a line that goes below 0 past the end", past
    way = "compare each step behind the peak with the one before, not only the ends"
    yield rises_on_the_way, False, "a factor that rises to 1 again on the way down", way
    division = "try warmup_steps=0, and count an error as not sound"
    yield needs_a_warmup, False, "a division by zero without warm-up", division
    yield above_one, False, "a peak of 2", "the largest factor must be exactly 1"


def _splits() -> Iterator[tuple[Split, bool, str, str]]:
    """Give splits, whether they are right, what they are, and what finds the fault."""

    def in_place(tokens: Tensor) -> tuple[Tensor, Tensor]:
        tokens[:, -1] = 0
        return shifted(tokens)

    def first_row_only(tokens: Tensor) -> tuple[Tensor, Tensor]:
        labels = tokens[:, :-1].clone()
        labels[0] = tokens[0, 1:]
        return tokens[:, :-1], labels

    def last_label_lost(tokens: Tensor) -> tuple[Tensor, Tensor]:
        labels = tokens[:, 1:].clone()
        labels[:, -1] = tokens[:, 1]
        return tokens[:, :-1], labels

    values, differ = "compare the values too", "use tokens that all differ"
    own = "compare what is read with tokens[:, :-1], too"
    yield cast(Split, shifted), True, "the package's function", values
    copies = "compare values, not identity or memory"
    yield lambda t: (t[:, :-1].clone(), t[:, 1:].clone()), True, "one that returns copies", copies
    yield lambda t: (t[:, :-1], t[:, :-1]), False, "labels that are not shifted", differ
    yield lambda t: (t[:, 1:], t[:, :-1]), False, "labels that are the token before", values
    yield lambda t: (t[:, 1:], t[:, 1:]), False, "a decoder that reads what it should say", own
    yield lambda t: (t[:, 1:-1], t[:, 2:]), False, "a start token that is never read", own
    yield lambda t: (t[:, :-2], t[:, 2:]), False, "labels that are two tokens on", values
    roll = "a roll, whose last label is the start token"
    yield lambda t: (t, t.roll(-1, dims=1)), False, roll, "compare every place, the last too"
    yield lambda t: (t[:-1], t[1:]), False, "a shift along the batch", "use several examples"
    yield first_row_only, False, "labels that are shifted in the first row only", "look at all rows"
    lost = "labels whose last one is another token"
    yield last_label_lost, False, lost, "compare every place, the last too"
    before = "compare tokens with a clone that you made before the call"
    yield in_place, False, "one that changes the tokens", before
