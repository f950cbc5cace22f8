"""What generation feeds a model: only what is new where there is a cache, all of it where not."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib.cache import KVCache
from tutorial_lib.next_token import Follower, require_prompt, with_room


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
LONGER = torch.tensor([[1, 2, 5], [3, 4, 6]])


def test_with_a_cache_only_new_tokens_are_fed():
    model = Diary()
    follow = Follower(model, 2, 7, None, use_cache=True)
    assert model.made == [(2, 7, {})]
    assert follow(PROMPT).argmax(dim=-1).tolist() == [3, 5]
    assert follow(LONGER).argmax(dim=-1).tolist() == [6, 7]
    assert model.fed == [([[1, 2], [3, 4]], {}), ([[5], [6]], {})]


def test_without_a_cache_all_tokens_are_fed_and_none_is_made():
    model = Diary()
    follow = Follower(model, 2, 7, None, use_cache=False)
    assert follow(PROMPT).argmax(dim=-1).tolist() == [3, 5]
    assert follow(LONGER).argmax(dim=-1).tolist() == [6, 7]
    assert model.fed == [(PROMPT.tolist(), {}), (LONGER.tolist(), {})]
    assert model.made == []


def test_a_model_that_makes_no_cache_is_told_so():
    def model(tokens):
        return torch.eye(10).roll(1, dims=1)[tokens]

    follow = Follower(model, 2, 7, None, use_cache=False)
    assert follow(PROMPT).argmax(dim=-1).tolist() == [3, 5]
    with pytest.raises(TypeError, match="function has not: pass use_cache=False"):
        Follower(model, 2, 7, None, use_cache=True)


def test_left_padding_is_told_once_to_a_cache_and_at_every_call_without():
    padding = torch.tensor([0, 1])
    cached, whole = Diary(), Diary()
    follow = Follower(cached, 2, 7, padding, use_cache=True)
    follow(PROMPT)
    assert cached.made == [(2, 7, {"left_padding": padding})]
    assert [named for _, named in cached.fed] == [{}]
    follow = Follower(whole, 2, 7, padding, use_cache=False)
    follow(PROMPT)
    follow(LONGER)
    assert [named for _, named in whole.fed] == [{"left_padding": padding}] * 2


def test_reordered_rows_take_their_padding_along():
    padding, rows = torch.tensor([0, 1, 2]), torch.tensor([2, 0, 0])
    cached = Follower(Diary(), 3, 7, padding, use_cache=True)
    cached.reorder(rows)
    assert cached.cache.left_padding.tolist() == [2, 0, 0]
    model = Diary()
    whole = Follower(model, 3, 7, padding, use_cache=False)
    whole.reorder(rows)
    whole(torch.zeros(3, 4).long())
    assert model.fed[0][1]["left_padding"].tolist() == [2, 0, 0]
    assert padding.tolist() == [0, 1, 2]  # the caller's own stays
    plain = Follower(Diary(), 3, 7, None, use_cache=False)
    plain.reorder(rows)
    assert plain.padding == {}


@pytest.mark.parametrize(
    ("stop_token", "pad_token", "filler"),
    [(None, None, 0), (5, None, 5), (5, 7, 7), (5, 0, 0), (0, None, 0), (None, 7, 7)],
)
def test_the_room_is_filled_with_padding_or_stop_or_zero(stop_token, pad_token, filler):
    tokens = with_room(PROMPT, 2, stop_token, pad_token)
    assert tokens.tolist() == [[1, 2, filler, filler], [3, 4, filler, filler]]
    assert tokens.dtype == torch.int64


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"max_new_tokens": 0}, ValueError, "max_new_tokens must be at least 1, got 0"),
        ({"max_new_tokens": 2.0}, TypeError, "max_new_tokens must be an integer, got float"),
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
    require_prompt(**right)
    require_prompt(**(right | {"left_padding": torch.tensor([0, 1])}))
    with pytest.raises(error, match=f"^{says}"):
        require_prompt(**(right | wrong))


def test_a_model_in_training_mode_is_refused_and_one_without_modes_is_not():
    model = Diary()
    model.training = True
    with pytest.raises(ValueError, match=r"model must be in evaluation mode: call eval\(\) first"):
        require_prompt(model, PROMPT, 1, None)
    del model.training
    require_prompt(model, PROMPT, 1, None)
