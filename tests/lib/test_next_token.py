"""A draft feeds a model only what is new where there is a cache, and writes behind the prompts."""

from __future__ import annotations

import math

import pytest
import torch

from tutorial_lib.cache import KVCache
from tutorial_lib.next_token import Draft


class Diary:
    """A model that notes what it is fed; token t is followed by t + 1."""

    def __init__(self, vocab_size: int = 10) -> None:
        self.training = False
        self.rows = torch.eye(vocab_size).roll(1, dims=1)
        self.fed: list[tuple[list[list[int]], dict]] = []
        self.made: list[tuple] = []

    def __call__(self, tokens, *, cache=None, **named):
        self.fed.append((tokens.tolist(), named))
        if cache is not None:
            cache.advance(tokens.shape[1])
        return self.rows[tokens]

    def make_cache(self, batch_size, capacity, **named):
        self.made.append((batch_size, capacity, named))
        return KVCache(
            num_layers=1,
            batch_size=batch_size,
            num_heads=1,
            head_dim=1,
            capacity=capacity,
            left_padding=named.get("left_padding"),
        )


PROMPT = torch.tensor([[1, 2], [3, 4]])


def write(draft, steps):
    """Write the most probable tokens."""
    for _ in range(steps):
        draft.append(draft.score().argmax(dim=-1))


def test_with_a_cache_only_new_tokens_are_fed():
    model = Diary()
    draft = Draft(model, PROMPT, max_new_tokens=6)
    assert model.made == [(2, 7, {})]  # the last token is not read
    write(draft, 2)
    assert draft.written.tolist() == [[1, 2, 3, 4], [3, 4, 5, 6]]
    assert model.fed == [([[1, 2], [3, 4]], {}), ([[3], [5]], {})]


def test_without_a_cache_all_tokens_are_fed_and_none_is_made():
    model = Diary()
    draft = Draft(model, PROMPT, max_new_tokens=6, use_cache=False)
    write(draft, 2)
    assert draft.written.tolist() == [[1, 2, 3, 4], [3, 4, 5, 6]]
    assert model.fed == [(PROMPT.tolist(), {}), ([[1, 2, 3], [3, 4, 5]], {})]
    assert model.made == []


def test_a_model_that_makes_no_cache_is_told_so():
    def model(tokens):
        return torch.eye(10).roll(1, dims=1)[tokens]

    draft = Draft(model, PROMPT, max_new_tokens=6, use_cache=False)
    assert draft.score().argmax(dim=-1).tolist() == [3, 5]
    with pytest.raises(TypeError, match="function has not: pass use_cache=False"):
        Draft(model, PROMPT, max_new_tokens=6)


def test_left_padding_is_told_once_to_a_cache_and_at_every_call_without():
    padding = torch.tensor([0, 1])
    cached, whole = Diary(), Diary()
    write(Draft(cached, PROMPT, max_new_tokens=6, left_padding=padding), 2)
    ((*sizes, named),) = cached.made
    assert sizes == [2, 7]
    assert named["left_padding"].equal(padding)
    assert [named for _, named in cached.fed] == [{}] * 2
    write(Draft(whole, PROMPT, max_new_tokens=6, left_padding=padding, use_cache=False), 2)
    assert len(whole.fed) == 2
    assert all(named["left_padding"].equal(padding) for _, named in whole.fed)


def test_copies_of_a_prompt_stand_one_after_the_other_and_so_does_their_padding():
    model, padding = Diary(), torch.tensor([0, 1])
    draft = Draft(model, PROMPT, copies=3, max_new_tokens=1, left_padding=padding)
    assert draft.written.tolist() == [[1, 2]] * 3 + [[3, 4]] * 3
    assert draft.ended.tolist() == [False] * 6
    ((rows, _, named),) = model.made
    assert rows == 6
    assert named["left_padding"].tolist() == [0, 0, 0, 1, 1, 1]


def test_reordered_rows_take_their_padding_along():
    prompt, padding = torch.arange(9).view(3, 3), torch.tensor([0, 1, 2])
    settings, rows = {"max_new_tokens": 4, "left_padding": padding}, torch.tensor([2, 0, 0])
    cached = Draft(Diary(), prompt, **settings)
    cached.reorder(rows)
    assert cached.cache.left_padding.tolist() == [2, 0, 0]
    model = Diary()
    whole = Draft(model, prompt, **settings, use_cache=False)
    whole.reorder(rows)
    whole.score()
    assert model.fed[0][1]["left_padding"].tolist() == [2, 0, 0]
    assert padding.tolist() == [0, 1, 2]  # the caller's own stays
    plain = Draft(model, prompt, max_new_tokens=4, use_cache=False)
    plain.reorder(rows)
    plain.score()
    assert model.fed[1] == (prompt[rows].tolist(), {})


def test_reordered_rows_take_what_they_wrote_and_their_end_along():
    draft = Draft(Diary(), PROMPT, max_new_tokens=3, stop_token=5, pad_token=0, use_cache=False)
    draft.append(torch.tensor([7, 5]))
    draft.reorder(torch.tensor([1, 1]))
    assert draft.written.tolist() == [[3, 4, 5]] * 2
    draft.append(torch.tensor([8, 9]))
    assert draft.written.tolist() == [[3, 4, 5, 0]] * 2


def test_a_draft_has_room_for_the_new_tokens_and_tells_every_step():
    told = []
    draft = Draft(Diary(), PROMPT, max_new_tokens=2, on_step=lambda *step: told.append(step))
    assert draft.has_room
    write(draft, 1)
    assert draft.has_room
    write(draft, 1)
    assert not draft.has_room
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("stop_token", "pad_token", "filler"),
    [(None, None, 0), (5, None, 5), (5, 7, 7), (5, 0, 0), (0, None, 0), (None, 7, 7)],
)
def test_the_room_is_filled_with_padding_or_stop_or_zero(stop_token, pad_token, filler):
    draft = Draft(Diary(), PROMPT, max_new_tokens=2, stop_token=stop_token, pad_token=pad_token)
    assert draft.tokens.tolist() == [[1, 2, filler, filler], [3, 4, filler, filler]]
    assert draft.tokens.dtype == torch.int64


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"max_new_tokens": 0}, ValueError, "max_new_tokens must be at least 1, got 0"),
        ({"max_new_tokens": 2.0}, TypeError, "max_new_tokens must be an integer, got float"),
        ({"stop_token": -1}, ValueError, "stop_token must be at least 0, got -1"),
        ({"pad_token": 1.0}, TypeError, "pad_token must be an integer, got float"),
        ({"prompt": [[1, 2]]}, TypeError, "prompt must be a tensor of int64, got list"),
        ({"prompt": PROMPT.float()}, TypeError, r"prompt must be .* int64, got torch\.float32"),
        ({"prompt": PROMPT.int()}, TypeError, r"prompt must be .* int64, got torch\.int32"),
        ({"prompt": PROMPT[0]}, ValueError, r"prompt must have shape .* got \(2,\)"),
        ({"prompt": PROMPT[None]}, ValueError, r"prompt must have shape .* got \(1, 2, 2\)"),
        ({"prompt": PROMPT[:, :0]}, ValueError, r"prompt must have .* a token a row, got \(2, 0\)"),
        ({"prompt": PROMPT[:0]}, ValueError, r"prompt must have shape .* got \(0, 2\)"),
        ({"left_padding": [0, 1]}, TypeError, "left_padding must be a tensor of int64, got list"),
        ({"left_padding": torch.tensor([1])}, ValueError, r"left_padding must have shape \(2,\)"),
        ({"left_padding": torch.tensor([0, -1])}, ValueError, "left_padding must be at least 0"),
        (
            {"left_padding": torch.tensor([0, 2])},
            ValueError,
            "left_padding must be at most 1, got 2",
        ),
    ],
)
def test_what_cannot_be_decoded_is_refused(wrong, error, says):
    right = {"model": Diary(), "prompt": PROMPT, "max_new_tokens": 1, "left_padding": None}
    Draft(**right)
    Draft(**(right | {"left_padding": torch.tensor([0, 1])}))
    with pytest.raises(error, match=f"^{says}"):
        Draft(**(right | wrong))


def test_a_model_in_training_mode_is_refused_and_one_without_modes_is_not():
    model = Diary()
    model.training = True
    with pytest.raises(ValueError, match=r"model must be in evaluation mode: call eval\(\) first"):
        Draft(model, PROMPT, max_new_tokens=1)
    del model.training
    Draft(model, PROMPT, max_new_tokens=1)


def test_logits_that_are_no_numbers_are_refused():
    def broken(tokens):
        return torch.full((*tokens.shape, 3), math.nan if tokens.shape[1] > 3 else 0.0)

    draft = Draft(broken, torch.tensor([[1, 2, 0]]), max_new_tokens=5, use_cache=False)
    draft.append(draft.score().argmax(dim=-1))
    with pytest.raises(ValueError, match="model must give numbers as logits, got NaN for token 4"):
        draft.score()


def test_padding_that_is_no_token_of_the_model_is_refused():
    prompt = torch.tensor([[1, 2]])
    for pad_token in (3, 99):
        options = {"max_new_tokens": 1, "use_cache": False, "pad_token": pad_token}
        draft = Draft(lambda tokens: torch.zeros(*tokens.shape, 3), prompt, **options)
        with pytest.raises(ValueError, match=rf"pad_token must lie in 0\.\.2, got {pad_token}"):
            draft.score()
