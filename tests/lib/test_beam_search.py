"""Beam search equals what can be worked by hand or counted out."""

from __future__ import annotations

import functools
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import TOLERANCE
from writing_models import (
    NO_CACHE,
    POSITIONS,
    Table,
    draw,
    few_examples,
    flush_right,
    language_model,
    seq2seq_model,
    without_filler,
)

from tutorial_lib.beam_search import beam_search
from tutorial_lib.generation import greedy_search

# ---- beam search by hand ------------------------------------------------------------------------

# Greedy search follows 0 -> 0; the best two tokens are 1 and then the stop token 2.
GARDEN = Table([0.5, 0.4, 0.1], [0.06, 0.04, 0.9], [1 / 3, 1 / 3, 1 / 3])


def search_garden(**settings):
    settings = {"num_beams": 2, "max_new_tokens": 2, "stop_token": 2} | settings
    tokens, scores = beam_search(GARDEN, torch.tensor([[0]]), **settings, **NO_CACHE)
    return tokens[0].tolist(), scores[0].tolist()


def test_two_beams_find_what_greedy_search_misses():
    greedy = greedy_search(GARDEN, torch.tensor([[0]]), max_new_tokens=2, **NO_CACHE)
    assert greedy.tolist() == [[0, 0, 0]]  # probability 0.5 * 0.5
    tokens, scores = search_garden()
    assert tokens == [[0, 1, 2], [0, 0, 0]]
    assert scores == pytest.approx([math.log(0.4 * 0.9), math.log(0.5 * 0.5)], abs=1e-12)


def test_a_finished_hypothesis_keeps_its_place_and_its_score():
    tokens, scores = search_garden(num_beams=3, max_new_tokens=4, pad_token=0)
    assert tokens == [[0, 1, 2, 0, 0], [0, 0, 1, 2, 0], [0, 0, 0, 0, 0]]
    wanted = [math.log(0.4 * 0.9), math.log(0.5 * 0.4 * 0.9), math.log(0.5**4)]
    assert scores == pytest.approx(wanted, abs=1e-12)


def test_the_length_penalty_is_that_of_the_paper():
    tokens, scores = search_garden(num_beams=3, max_new_tokens=3, length_penalty=0.5)
    assert tokens == [[0, 1, 2, 2], [0, 0, 1, 2], [0, 0, 0, 0]]
    wanted = [
        math.log(0.4 * 0.9) / (7 / 6) ** 0.5,  # the stop token counts, its padding does not
        math.log(0.5 * 0.4 * 0.9) / (8 / 6) ** 0.5,
        math.log(0.5**3) / (8 / 6) ** 0.5,
    ]
    assert scores == pytest.approx(wanted, abs=1e-12)


def test_a_length_penalty_lets_a_longer_hypothesis_overtake():
    # Token 0 follows itself with probability 0.9; the stop token ends at once with 0.2.
    model = Table([0.8, 0.2], [0.5, 0.5])
    settings = {"num_beams": 2, "max_new_tokens": 8, "stop_token": 1}
    prompt = torch.tensor([[0]])
    short = beam_search(model, prompt, **settings, **NO_CACHE)
    assert short.tokens[0].tolist() == [[0, 1] + [1] * 7, [0] * 9]
    long = beam_search(model, prompt, length_penalty=2.0, **settings, **NO_CACHE)
    assert long.tokens[0, 0].tolist() == [0] * 9
    assert float(long.scores[0, 0]) == pytest.approx(8 * math.log(0.8) / (13 / 6) ** 2)


def test_the_search_ends_when_every_hypothesis_has():
    told = []
    sure = Table([0.0, 0.5, 0.5, 0.0], [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0], [0.25] * 4)
    tokens, scores = beam_search(
        sure,
        torch.tensor([[0]]),
        num_beams=4,
        max_new_tokens=6,
        stop_token=3,
        on_step=lambda *step: told.append(step),
        **NO_CACHE,
    )
    assert sorted(tokens[0, :2].tolist()) == [[0, 1, 3], [0, 2, 3]]
    assert scores[0].tolist() == pytest.approx([math.log(0.5)] * 2 + [-math.inf] * 2)
    assert told == [(1, 6), (2, 6)]


# ---- beam search against all sequences ----------------------------------------------------------


def every_sequence(log_p_of, vocab_size, max_new_tokens, stop_token, length_penalty):
    """List all hypotheses and their scores, best first.

    ``log_p_of`` maps all continuations, (number, max_new_tokens), to the log-probabilities of
    their tokens.
    """
    written = torch.tensor(list(itertools.product(range(vocab_size), repeat=max_new_tokens)))
    log_p = log_p_of(written)
    found = {}
    for tokens, each in zip(written.tolist(), log_p.tolist(), strict=True):
        length = tokens.index(stop_token) + 1 if stop_token in tokens else max_new_tokens
        score = sum(each[:length]) / ((5 + length) / 6) ** length_penalty
        found[tuple(tokens[:length])] = score
    return sorted(found.items(), key=lambda item: -item[1])


@torch.no_grad()
def log_p_after(model, prompt, written):
    """Score continuations of one prompt, whole and without a cache."""
    tokens = torch.cat([prompt.expand(len(written), -1), written], dim=1)
    log_p = model(tokens[:, :-1])[:, prompt.shape[-1] - 1 :].log_softmax(dim=-1)
    return log_p.gather(-1, written[..., None])[..., 0]


def assert_equal_to_all_sequences(beams, expected, *, given_length, stop_token):
    tokens, scores = beams
    alive = [score for score in scores.tolist() if score > -math.inf]
    assert len(alive) == len(expected)
    torch.testing.assert_close(
        torch.tensor(alive), torch.tensor([score for _, score in expected]), atol=1e-9, rtol=1e-9
    )
    for row, (wanted, _) in zip(tokens, expected, strict=False):
        assert tuple(without_filler(row, given_length, stop_token)) == wanted


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 3.0])
@pytest.mark.parametrize("stop_token", [None, 0, 2])
@pytest.mark.parametrize(("vocab_size", "max_new_tokens"), [(3, 4), (4, 3)])
def test_enough_beams_find_every_sequence(vocab_size, max_new_tokens, stop_token, length_penalty):
    for seed in range(2):
        model = language_model(seed, vocab_size=vocab_size)
        prompt = draw(1, 2, vocab_size=vocab_size, seed=seed)
        expected = every_sequence(
            functools.partial(log_p_after, model, prompt),
            vocab_size,
            max_new_tokens,
            stop_token,
            length_penalty,
        )
        tokens, scores = beam_search(
            model,
            prompt,
            num_beams=vocab_size**max_new_tokens,
            max_new_tokens=max_new_tokens,
            stop_token=stop_token,
            length_penalty=length_penalty,
        )
        # With a stop token there are fewer sequences than beams: the rest are at -inf.
        assert (len(expected) < len(scores[0])) == (stop_token is not None)
        assert_equal_to_all_sequences(
            (tokens[0], scores[0]), expected, given_length=2, stop_token=stop_token
        )


def test_enough_beams_find_every_target():
    model, src = seq2seq_model(vocab_size=3), torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]])
    prompt = torch.ones(2, 1).long()
    settings = {"max_new_tokens": 3, "stop_token": 2, "length_penalty": 0.6}
    tokens, scores = beam_search(model.given(src), prompt, num_beams=27, **settings)
    for row in range(2):
        expected = every_sequence(
            functools.partial(log_p_after, model.given(src[row : row + 1]), prompt[:1]),
            3,
            *settings.values(),
        )
        assert_equal_to_all_sequences(
            (tokens[row], scores[row]), expected, given_length=1, stop_token=2
        )


# ---- beam search, its properties ----------------------------------------------------------------

drawn_search = given(
    num_beams=st.integers(1, 5),
    stop_token=st.sampled_from([None, 0, 3]),
    length_penalty=st.sampled_from([0.0, 0.6, 2.0]),
    seed=st.integers(0, 50),
)


@few_examples
@given(
    stop_token=st.sampled_from([None, 0, 3]),
    length_penalty=st.floats(0.0, 5.0),
    lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    seed=st.integers(0, 50),
)
def test_one_beam_is_greedy_search(stop_token, length_penalty, lengths, seed):
    model = language_model(seed)
    prompt, padding = flush_right([draw(n, seed=seed + i) for i, n in enumerate(lengths)])
    settings = {"max_new_tokens": 5, "stop_token": stop_token, "pad_token": 5}
    settings |= {"left_padding": padding}
    tokens, scores = beam_search(
        model, prompt, num_beams=1, length_penalty=length_penalty, **settings
    )
    assert tokens[:, 0].equal(greedy_search(model, prompt, **settings))
    assert scores.shape == (len(lengths), 1)


@few_examples
@drawn_search
def test_scores_are_sorted_and_those_of_the_tokens(num_beams, stop_token, length_penalty, seed):
    model, prompt = language_model(seed), draw(2, 3, seed=seed)
    tokens, scores = beam_search(
        model,
        prompt,
        num_beams=num_beams,
        max_new_tokens=4,
        stop_token=stop_token,
        length_penalty=length_penalty,
        pad_token=5,
    )
    assert tokens.shape[:2] == scores.shape == (2, num_beams)
    assert (scores.diff(dim=1) <= 0).all()
    for row, (hypotheses, score) in enumerate(zip(tokens, scores, strict=True)):
        assert hypotheses[:, :3].equal(prompt[row].expand(num_beams, -1))
        assert len(set(map(tuple, hypotheses.tolist()))) == num_beams
        log_p = log_p_after(model, prompt[row : row + 1], hypotheses[:, 3:])
        for beam in range(num_beams):
            length = len(without_filler(hypotheses[beam], 3, stop_token))
            wanted = log_p[beam, :length].sum() / ((5 + length) / 6) ** length_penalty
            torch.testing.assert_close(score[beam], wanted, **TOLERANCE)
            assert (hypotheses[beam, 3 + length :] == 5).all()


@few_examples
@drawn_search
def test_beam_search_is_the_same_with_cache_without_and_row_by_row(
    num_beams, stop_token, length_penalty, seed
):
    model = language_model(seed, positions=POSITIONS[seed % 4])
    rows = [draw(n, seed=seed + n) for n in (3, 1, 4)]
    prompt, padding = flush_right(rows)
    settings = {
        "num_beams": num_beams,
        "max_new_tokens": 4,
        "stop_token": stop_token,
        "length_penalty": length_penalty,
    }
    cached = beam_search(model, prompt, left_padding=padding, **settings)
    whole = beam_search(model, prompt, left_padding=padding, **settings, **NO_CACHE)
    assert cached.tokens.equal(whole.tokens)
    torch.testing.assert_close(cached.scores, whole.scores, **TOLERANCE)
    for i, row in enumerate(rows):
        alone = beam_search(model, row[None], **settings)
        torch.testing.assert_close(cached.scores[i], alone.scores[0], **TOLERANCE)
        for one, other in zip(cached.tokens[i], alone.tokens[0], strict=True):
            written = without_filler(other, len(row), stop_token)
            assert without_filler(one, prompt.shape[1], stop_token) == written


@few_examples
@drawn_search
def test_beams_of_a_target_are_the_same_with_cache_without_and_source_by_source(
    num_beams, stop_token, length_penalty, seed
):
    model, prompt = seq2seq_model(seed), torch.ones(2, 1).long()
    src = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]])
    settings = {
        "num_beams": num_beams,
        "max_new_tokens": 4,
        "stop_token": stop_token,
        "length_penalty": length_penalty,
    }
    cached = beam_search(model.given(src), prompt, **settings)
    whole = beam_search(model.given(src), prompt, **settings, **NO_CACHE)
    assert cached.tokens.equal(whole.tokens)
    torch.testing.assert_close(cached.scores, whole.scores, **TOLERANCE)
    for row, length in enumerate((4, 2)):
        alone = beam_search(model.given(src[row : row + 1, :length]), prompt[:1], **settings)
        torch.testing.assert_close(cached.scores[row], alone.scores[0], **TOLERANCE)
        for one, other in zip(cached.tokens[row], alone.tokens[0], strict=True):
            assert without_filler(one, 1, stop_token) == without_filler(other, 1, stop_token)


@few_examples
@given(num_beams=st.integers(1, 5), steps=st.integers(1, 4), seed=st.integers(0, 50))
def test_a_finished_best_hypothesis_stays_the_best(num_beams, steps, seed):
    # Log-probabilities only fall: nothing unfinished overtakes without a length penalty.
    model, prompt = language_model(seed, vocab_size=3), draw(2, 2, vocab_size=3, seed=seed)
    settings = {"num_beams": num_beams, "stop_token": 1, "pad_token": 0}
    early = beam_search(model, prompt, max_new_tokens=steps, **settings)
    late = beam_search(model, prompt, max_new_tokens=steps + 3, **settings)
    for row in range(2):
        best = early.tokens[row, 0]
        if 1 in best[2:]:
            assert without_filler(late.tokens[row, 0], 2, 1) == without_filler(best, 2, 1)
            torch.testing.assert_close(late.scores[row, 0], early.scores[row, 0], **TOLERANCE)


@few_examples
@given(seed=st.integers(0, 50))
def test_all_beams_find_at_least_what_fewer_find(seed):
    model, prompt = language_model(seed, vocab_size=3), draw(1, 2, vocab_size=3, seed=seed)
    best = [
        float(beam_search(model, prompt, num_beams=n, max_new_tokens=3).scores[0, 0])
        for n in (1, 2, 27)
    ]
    assert max(best) == pytest.approx(best[-1], abs=1e-12)


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"num_beams": 0}, ValueError, "num_beams must be at least 1, got 0"),
        ({"num_beams": 2.0}, TypeError, "num_beams must be an integer, got float"),
        ({"length_penalty": -1.0}, ValueError, r"length_penalty must be .*got -1\.0"),
        ({"length_penalty": math.nan}, ValueError, "length_penalty must be .*got nan"),
        ({"length_penalty": "long"}, TypeError, "length_penalty must be a number, got str"),
    ],
)
def test_wrong_beams_are_refused(wrong, error, says):
    right = {"num_beams": 2, "max_new_tokens": 2}
    with pytest.raises(error, match=f"^{says}"):
        beam_search(language_model(), draw(1, 2), **(right | wrong))
