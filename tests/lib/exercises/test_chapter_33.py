"""The checks of chapter 33 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import pytest
import torch

from tutorial_lib.exercises.chapter_33 import check


def _masks_for(src, tgt, pad_token, **changes):
    padding = src == pad_token
    later = torch.ones(tgt.shape[1], tgt.shape[1], dtype=torch.bool).triu(1)
    masks = {
        "tgt_mask": later,
        "src_key_padding_mask": padding,
        "memory_key_padding_mask": padding,
    }
    masks |= {name: change(masks.get(name)) for name, change in changes.items()}
    return {name: mask for name, mask in masks.items() if mask is not None}


def _masks_with_the_target_padding(src, tgt, pad_token):
    return _masks_for(src, tgt, pad_token, tgt_key_padding_mask=lambda _: tgt == pad_token)


def _padding_as_src_mask(src, tgt, pad_token):
    masks = _masks_for(src, tgt, pad_token)
    masks["src_mask"] = masks.pop("src_key_padding_mask")
    return masks


def _well_padded(tokens, pad_token):
    real = tokens != pad_token
    return real[:, 0] & ~(~real[:, :-1] & real[:, 1:]).any(dim=1)


def _well_padded_by_counting(tokens, pad_token):
    real = tokens != pad_token
    lengths = real.sum(dim=1)
    expected = torch.arange(tokens.shape[1]) < lengths[:, None]
    return (real == expected).all(dim=1) & (lengths > 0)


def _sees_the_future(network, src, tgt):
    logits = network(src, tgt)
    for position in range(1, tgt.shape[1]):
        changed = tgt.clone()
        changed[:, position] = (tgt[:, position] + 1) % 11
        if not torch.allclose(network(src, changed)[:, :position], logits[:, :position]):
            return True
    return False


def _sees_the_future_by_cutting(network, src, tgt):
    logits = network(src, tgt)
    for end in range(1, tgt.shape[1]):
        later = tgt.clone()
        later[:, end:] = (tgt[:, end:] + 3) % 11
        if not torch.allclose(network(src, later)[:, :end], logits[:, :end]):
            return True
    return False


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, _masks_for),
        (1, _masks_with_the_target_padding),
        (2, _well_padded),
        (2, _well_padded_by_counting),
        (3, _sees_the_future),
        (3, _sees_the_future_by_cutting),
    ],
)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_stub_does_not_pass(number):
    assert "None" in check.problem(number, lambda *args: None)


def _changed(**changes):
    return lambda *args: _masks_for(*args, **changes)


def _only_the_last_token(network, src, tgt):
    changed = tgt.clone()
    changed[:, -1] = (tgt[:, -1] + 1) % 11
    return not torch.allclose(network(src, changed)[:, :-1], network(src, tgt)[:, :-1])


def _only_one_cut(network, src, tgt):
    changed = torch.cat([tgt[:, :3], (tgt[:, 3:] + 1) % 11], dim=1)
    return not torch.allclose(network(src, changed)[:, :3], network(src, tgt)[:, :3])


def _only_the_first_example(network, src, tgt):
    return _sees_the_future(lambda s, t: network(s, t)[:1], src, tgt)


def _one_position_too_many(network, src, tgt):
    changed = torch.cat([tgt[:, :3], (tgt[:, 3:] + 1) % 11], dim=1)
    return not torch.allclose(network(src, changed)[:, :4], network(src, tgt)[:, :4])


def _any_change_at_all(network, src, tgt):
    changed = (tgt + 1) % 11
    return not torch.allclose(network(src, changed), network(src, tgt))


WRONG = {
    "no causal mask": (1, _changed(tgt_mask=lambda m: None), "sees a later one"),
    "causal mask inverted": (1, _changed(tgt_mask=lambda m: ~m), "tgt_mask is inverted"),
    "causal mask transposed": (1, _changed(tgt_mask=lambda m: m.mT), "tgt_mask is transposed"),
    "something more is blocked": (
        1,
        _changed(tgt_mask=lambda m: m | (torch.arange(5) == 0)),
        "something is blocked",
    ),
    "causal mask of floats": (1, _changed(tgt_mask=lambda m: m.float()), "torch.float32"),
    "a query does not see itself": (
        1,
        _changed(tgt_mask=lambda m: m | torch.eye(len(m), dtype=torch.bool)),
        "tgt_mask blocks the diagonal",
    ),
    "no memory mask": (1, _changed(memory_key_padding_mask=lambda m: None), "cross-attention"),
    "no source mask": (1, _changed(src_key_padding_mask=lambda m: None), "the encoder reads"),
    "padding inverted": (
        1,
        _changed(src_key_padding_mask=lambda m: ~m, memory_key_padding_mask=lambda m: ~m),
        "src_key_padding_mask is inverted: True blocks",
    ),
    "only the memory's padding inverted": (
        1,
        _changed(memory_key_padding_mask=lambda m: ~m),
        "memory_key_padding_mask is inverted: True blocks",
    ),
    "the padding is always 0": (
        1,
        lambda s, t, p: _masks_for(s, t, 0),
        "takes 0 for the padding, whatever pad_token is",
    ),
    "padding as src_mask": (1, _padding_as_src_mask, "src_mask takes (query, key)"),
    "the target's padding for the memory": (
        1,
        lambda s, t, p: _masks_for(s, t, p, memory_key_padding_mask=lambda _: t == p),
        "memory_key_padding_mask is the target's",
    ),
    "a list": (1, lambda *args: list(_masks_for(*args).values()), "dictionary"),
    "inverted": (2, lambda t, p: ~_well_padded(t, p), "the answer is inverted"),
    "always False": (2, lambda t, p: _well_padded(t, p) & False, "whatever the other rows are"),
    "only the last token": (2, lambda t, p: t[:, 0] != p, "between real tokens"),
    "only neighbours": (
        2,
        lambda t, p: ~((t[:, :-1] == p) & (t[:, 1:] != p)).any(dim=1),
        "padding only",
    ),
    "padding is always 0": (2, lambda t, p: _well_padded(t, 0), "0 is taken for the padding"),
    "no padding allowed": (2, lambda t, p: (t != p).all(dim=1), "padding at its end"),
    "one answer for all": (2, lambda t, p: _well_padded(t, p).all(), "must have shape"),
    "numbers": (2, lambda t, p: _well_padded(t, p).float(), "boolean"),
    "never a leak": (3, lambda *args: False, "without a causal mask the answer must be True"),
    "always True": (3, lambda *args: True, "a causal network the answer must be False"),
    "only the last token changed": (3, _only_the_last_token, "to change the last token"),
    "only one cut": (3, _only_one_cut, "to cut at one place"),
    "only the first example": (3, _only_the_first_example, "compare all examples"),
    "any change at all": (3, _any_change_at_all, "a position may see its own token"),
    "its own position, too": (3, _one_position_too_many, "a position may see its own token"),
    "a tensor": (3, lambda *args: torch.tensor(_sees_the_future(*args)), "put bool() around it"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
