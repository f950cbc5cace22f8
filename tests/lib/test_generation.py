"""Greedy search and sampling equal what can be worked by hand or counted out."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import TOLERANCE
from writing_models import (
    CHAIN,
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
from tutorial_lib.generation import filter_logits, greedy_search, sample

# ---- greedy search ------------------------------------------------------------------------------


def test_greedy_search_takes_the_most_probable_token_each_time():
    tokens = greedy_search(CHAIN, torch.tensor([[0], [2]]), max_new_tokens=4, **NO_CACHE)
    assert tokens.tolist() == [[0, 1, 2, 3, 3], [2, 3, 3, 3, 3]]
    assert tokens.dtype == torch.int64
    one = greedy_search(CHAIN, torch.tensor([[3, 0]]), max_new_tokens=1, **NO_CACHE)
    assert one.tolist() == [[3, 0, 1]]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"stop_token": 3}, [[0, 1, 2, 3], [2, 3, 3, 3], [4, 3, 3, 3]]),
        ({"stop_token": 3, "pad_token": 0}, [[0, 1, 2, 3], [2, 3, 0, 0], [4, 3, 0, 0]]),
        ({"stop_token": 3, "pad_token": 4}, [[0, 1, 2, 3], [2, 3, 4, 4], [4, 3, 4, 4]]),
        (
            {"stop_token": 2, "pad_token": 4},
            [[0, 1, 2, 4, 4, 4], [2, 3, 3, 3, 3, 3], [4, 3, 3, 3, 3, 3]],
        ),
        ({"pad_token": 4}, [[0, 1, 2, 3, 3, 3], [2, 3, 3, 3, 3, 3], [4, 3, 3, 3, 3, 3]]),
    ],
)
def test_a_row_ends_with_its_stop_token_and_the_result_with_the_longest_row(settings, expected):
    prompt = torch.tensor([[0], [2], [4]])
    tokens = greedy_search(CHAIN, prompt, max_new_tokens=5, **settings, **NO_CACHE)
    assert tokens.tolist() == expected


def test_token_0_may_be_the_stop_token():
    back = Table([0.1, 0.9, 0.0], [0.1, 0.0, 0.9], [0.9, 0.1, 0.0])  # 0 -> 1 -> 2 -> 0
    prompt = torch.tensor([[1], [2]])
    tokens = greedy_search(back, prompt, max_new_tokens=4, stop_token=0, pad_token=2, **NO_CACHE)
    assert tokens.tolist() == [[1, 2, 0], [2, 0, 2]]


def test_a_stop_token_in_the_prompt_does_not_end_it():
    prompt = torch.tensor([[3, 0], [0, 3]])
    for search in (greedy_search, functools.partial(sample, top_k=1)):
        tokens = search(CHAIN, prompt, max_new_tokens=4, stop_token=3, pad_token=4, **NO_CACHE)
        assert tokens.tolist() == [[3, 0, 1, 2, 3], [0, 3, 3, 4, 4]]


def test_the_prompt_is_left_as_it_was():
    prompt = torch.tensor([[0], [2]])
    greedy_search(CHAIN, prompt, max_new_tokens=3, **NO_CACHE)
    beam_search(CHAIN, prompt, num_beams=2, max_new_tokens=3, **NO_CACHE)
    assert prompt.tolist() == [[0], [2]]


@pytest.mark.parametrize(
    ("stop_token", "steps"), [(None, 5), (3, 3), (1, 5)], ids=["never", "all", "some"]
)
def test_the_callback_is_told_every_step_that_is_done(stop_token, steps):
    prompt, told = torch.tensor([[0], [2]]), []
    settings = {"max_new_tokens": 5, "stop_token": stop_token, **NO_CACHE}
    searches = (greedy_search, functools.partial(sample, top_k=1))
    searches += (functools.partial(beam_search, num_beams=1),)
    for search in searches:
        told.clear()
        search(CHAIN, prompt, on_step=lambda *step: told.append(step), **settings)
        assert told == [(step, 5) for step in range(1, steps + 1)]


@pytest.mark.parametrize("positions", POSITIONS)
@few_examples
@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    stop_token=st.sampled_from([None, 0, 3]),
    seed=st.integers(0, 50),
)
def test_greedy_search_is_the_same_with_cache_without_and_row_by_row(
    positions, lengths, stop_token, seed
):
    model = language_model(seed, positions=positions)
    rows = [draw(n, seed=seed + i) for i, n in enumerate(lengths)]
    prompt, padding = flush_right(rows)
    settings = {"max_new_tokens": 5, "stop_token": stop_token, "pad_token": 5}
    cached = greedy_search(model, prompt, left_padding=padding, **settings)
    whole = greedy_search(model, prompt, left_padding=padding, **settings, **NO_CACHE)
    assert cached.equal(whole)
    written = []
    for row, together in zip(rows, cached, strict=True):
        (alone,) = greedy_search(model, row[None], **settings)
        written.append(without_filler(alone, len(row), stop_token))
        assert without_filler(together, max(lengths), stop_token) == written[-1]
        assert set(together[max(lengths) + len(written[-1]) :].tolist()) <= {5}
    assert cached.shape[1] == max(lengths) + max(map(len, written))


def test_greedy_search_writes_the_argmax_of_the_whole_sequences_logits():
    model, prompt = language_model(num_layers=2), draw(2, 3)
    tokens = greedy_search(model, prompt, max_new_tokens=6)
    assert model(tokens)[:, 2:-1].argmax(dim=-1).equal(tokens[:, 3:])
    assert len(set(tokens[:, 3:].flatten().tolist())) > 1  # no constant


@few_examples
@given(seed=st.integers(0, 50), stop_token=st.sampled_from([None, 2]))
def test_greedy_search_decodes_a_target_with_cache_and_without(seed, stop_token):
    model = seq2seq_model(seed)
    src = torch.tensor([[1, 2, 3, 4], [5, 6, 0, 0]])
    prompt = torch.ones(2, 1).long()
    settings = {"max_new_tokens": 5, "stop_token": stop_token}
    cached = greedy_search(model.given(src), prompt, **settings)
    assert cached.equal(greedy_search(model.given(src), prompt, **settings, **NO_CACHE))
    logits = model(src, cached)
    for row in range(2):
        written = without_filler(cached[row], 1, stop_token)
        assert logits[row].argmax(dim=-1)[: len(written)].tolist() == written
        length = (src[row] != 0).sum()
        alone = greedy_search(model.given(src[row : row + 1, :length]), prompt[:1], **settings)
        assert without_filler(alone[0], 1, stop_token) == written


def test_no_gradients_are_recorded():
    model, prompt = language_model(), draw(2, 3)
    scores = beam_search(model, prompt, num_beams=2, max_new_tokens=2, **NO_CACHE).scores
    assert not scores.requires_grad
    greedy_search(model, prompt, max_new_tokens=2)  # the cache takes nothing with gradients
    sample(model, prompt, max_new_tokens=2)


# ---- what is drawn ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.1, 0.2, 0.3, 0.4]),
        ({"temperature": 0.5}, [1 / 30, 4 / 30, 9 / 30, 16 / 30]),
        ({"temperature": 1e9}, [0.25] * 4),
        ({"top_k": 2}, [0, 0, 3 / 7, 4 / 7]),
        ({"top_p": 0.8}, [0, 2 / 9, 3 / 9, 4 / 9]),
        ({"top_p": 0.65}, [0, 0, 3 / 7, 4 / 7]),
        ({"temperature": 0.5, "top_k": 3, "top_p": 0.6}, [0, 0, 9 / 25, 16 / 25]),
    ],
)
def test_tokens_are_drawn_as_often_as_the_filtered_distribution_says(settings, expected):
    model, draws = Table(*[[0.1, 0.2, 0.3, 0.4]] * 4), 10_000
    prompt, generator = torch.zeros(draws, 1).long(), torch.Generator().manual_seed(0)
    tokens = sample(model, prompt, max_new_tokens=2, generator=generator, **settings, **NO_CACHE)[
        :, 1:
    ]
    expected = torch.tensor(expected).double()
    for step in range(2):
        counted = tokens[:, step].bincount(minlength=4)
        assert (counted[expected == 0] == 0).all()
        wanted = draws * expected[expected > 0]
        chi_square = ((counted[expected > 0] - wanted) ** 2 / wanted).sum()
        assert chi_square < 16.3  # a fair draw of four tokens passes in 999 of 1000 cases
    # The second token does not know the first.
    both = (tokens[:, 0] * 4 + tokens[:, 1]).bincount(minlength=16).view(4, 4) / draws
    torch.testing.assert_close(both.double(), torch.outer(expected, expected), atol=0.02, rtol=0)


def test_the_draw_is_that_of_the_generator_and_of_nothing_else():
    model, prompt = language_model(), draw(4, 2)

    def drawn(seed, **settings):
        generator = torch.Generator().manual_seed(seed)
        return sample(model, prompt, max_new_tokens=8, generator=generator, **settings)

    torch.manual_seed(1)
    tokens, state = drawn(3), torch.get_rng_state()
    torch.manual_seed(2)
    assert drawn(3).equal(tokens)
    torch.manual_seed(1)
    assert torch.get_rng_state().equal(state)  # the global generator was left alone
    assert not drawn(4).equal(tokens)
    assert drawn(3, **NO_CACHE).equal(tokens)


def test_without_a_generator_the_global_one_draws():
    model, prompt, drawn = language_model(), draw(4, 2), []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        drawn.append(sample(model, prompt, max_new_tokens=8))
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])


@pytest.mark.parametrize("settings", [{"temperature": 1e-6}, {"top_k": 1}, {"top_p": 1e-9}])
@few_examples
@given(seed=st.integers(0, 50), stop_token=st.sampled_from([None, 2]))
def test_the_sharpest_settings_are_greedy_search(settings, seed, stop_token):
    model, prompt = language_model(seed), draw(3, 2, seed=seed)
    ends = {"max_new_tokens": 5, "stop_token": stop_token, "pad_token": 1}
    expected = greedy_search(model, prompt, **ends)
    assert sample(model, prompt, **ends, **settings).equal(expected)


def test_sampled_rows_end_with_their_stop_token_and_stay_padded():
    model, prompt = language_model(vocab_size=4), draw(20, 2, vocab_size=4)
    generator = torch.Generator().manual_seed(0)
    tokens = sample(model, prompt, max_new_tokens=9, stop_token=3, pad_token=0, generator=generator)
    ended = tokens[:, 2:] == 3
    assert ended.any(dim=1).sum() > 2
    assert ended.sum(dim=1).max() == 1
    for row in tokens:
        written = without_filler(row, 2, 3)
        assert (row[2 + len(written) :] == 0).all()


def test_sampling_counts_the_positions_of_padded_rows_from_their_first_token():
    # Two identical rows, one behind padding, drawn by one token a time with top-k of 1.
    model = language_model(num_layers=2)
    prompt = torch.tensor([[0, 0, 1, 2], [3, 4, 1, 2]])
    padding = torch.tensor([2, 2])
    tokens = sample(model, prompt, max_new_tokens=4, top_k=1, left_padding=padding)
    alone = sample(model, prompt[:1, 2:], max_new_tokens=4, top_k=1)
    assert tokens[:, 4:].equal(alone[:, 2:].expand(2, -1))


# ---- the filter ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, [0, 1, 2, 3]),
        ({"top_k": 1}, [3]),
        ({"top_k": 3}, [1, 2, 3]),
        ({"top_k": 9}, [0, 1, 2, 3]),
        ({"top_p": 0.001}, [3]),
        ({"top_p": 0.49}, [3]),
        ({"top_p": 0.51}, [1, 3]),
        ({"top_p": 0.79}, [1, 3]),
        ({"top_p": 0.81}, [1, 2, 3]),
        ({"top_p": 1.0}, [0, 1, 2, 3]),
        ({"top_k": 2, "top_p": 0.6}, [3]),  # 5/8 of what the two hold
        ({"top_k": 2, "top_p": 0.64}, [1, 3]),
        ({"temperature": 0.5, "top_p": 0.64}, [3]),  # 25/39
        ({"temperature": 2.0, "top_p": 0.49}, [1, 3]),
    ],
)
def test_the_filter_keeps_the_tokens_worked_by_hand(settings, kept):
    logits = torch.tensor([0.05, 0.3, 0.15, 0.5], dtype=torch.float64).log()
    filtered = filter_logits(logits, **settings)
    assert filtered.isfinite().nonzero()[:, 0].tolist() == kept
    expected = logits / settings.get("temperature", 1.0)
    torch.testing.assert_close(filtered[kept], expected[kept], **TOLERANCE)
    assert (filtered[~filtered.isfinite()] == -math.inf).all()


def test_tokens_that_tie_with_the_last_of_top_k_stay():
    logits = torch.tensor([[1.0, 2.0, 2.0, 3.0]])
    assert filter_logits(logits, top_k=2).tolist() == [[-math.inf, 2.0, 2.0, 3.0]]
    assert filter_logits(torch.zeros(3), top_k=1).tolist() == [0, 0, 0]


def test_of_tokens_that_tie_top_p_keeps_the_first():
    logits = torch.zeros(4)
    assert filter_logits(logits, top_p=0.5).tolist() == [0, 0, -math.inf, -math.inf]


@given(
    shape=st.lists(st.integers(1, 4), min_size=0, max_size=2),
    vocab_size=st.integers(1, 9),
    p=st.floats(0.01, 1.0),
    seed=st.integers(0, 1000),
)
def test_top_p_keeps_the_fewest_tokens_that_hold_p(shape, vocab_size, p, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(*shape, vocab_size, generator=generator, dtype=torch.float64)
    filtered = filter_logits(logits, top_p=p)
    assert filtered.shape == logits.shape
    pairs = zip(logits.view(-1, vocab_size), filtered.view(-1, vocab_size), strict=True)
    for before, after in pairs:
        probability, kept = before.softmax(dim=-1), after.isfinite()
        held = probability[kept]
        assert after[kept].equal(before[kept])
        assert held.sum() >= p - 1e-12
        assert held.sum() - held.min() < p  # without the least of them it is too little
        assert kept.all() or held.min() >= probability[~kept].max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("p", [0.9, 1.0])
def test_top_p_holds_p_of_a_large_vocabulary_in_every_float_type(p, dtype):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 50_000, generator=generator).to(dtype)
    probability = logits.double().softmax(dim=-1)
    kept = filter_logits(logits, top_p=p).isfinite()
    held = (probability * kept).sum(dim=-1)
    assert held.min() >= p - 1e-9
    assert (held - p).max() <= probability.max()
    assert kept.all() == (p == 1.0)


def test_the_logits_are_left_as_they_were():
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    filter_logits(logits, temperature=0.5, top_k=2, top_p=0.1)
    assert logits.tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("top_k", [None, 1, 7, 100])
@pytest.mark.parametrize("top_p", [None, 0.01, 0.5, 0.95])
def test_the_filter_equals_hugging_faces(temperature, top_k, top_p, record_property):
    from transformers.generation import logits_process

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20, 50, generator=generator, dtype=torch.float64)
    theirs = logits_process.TemperatureLogitsWarper(temperature)(None, logits)
    if top_k is not None:
        theirs = logits_process.TopKLogitsWarper(top_k)(None, theirs)
    if top_p is not None:
        theirs = logits_process.TopPLogitsWarper(top_p)(None, theirs)
    ours = filter_logits(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    assert ours.isfinite().equal(theirs.isfinite())
    kept = ours.isfinite()
    torch.testing.assert_close(ours[kept], theirs[kept], **TOLERANCE)
    record_property("largest_difference", float((ours[kept] - theirs[kept]).abs().max()))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("whole", [np.int64, torch.tensor], ids=["numpy", "torch"])
def test_tokens_may_be_integers_of_numpy_or_torch(whole):
    prompt = torch.tensor([[0], [2], [4]])
    settings = {"stop_token": whole(3), "pad_token": whole(0)}
    for search in (greedy_search, functools.partial(sample, top_k=1)):
        tokens = search(CHAIN, prompt, max_new_tokens=5, **settings, **NO_CACHE)
        assert tokens.tolist() == [[0, 1, 2, 3], [2, 3, 0, 0], [4, 3, 0, 0]]


# ---- what is refused ----------------------------------------------------------------------------

searches = pytest.mark.parametrize(
    "search",
    [greedy_search, sample, functools.partial(beam_search, num_beams=2)],
    ids=["greedy", "sample", "beam"],
)


@pytest.mark.usefixtures("unchecked_shapes")
@searches
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"max_new_tokens": 0}, ValueError, "max_new_tokens must be at least 1, got 0"),
        ({"prompt": draw(2, 2).float()}, TypeError, "prompt must be a tensor of int64"),
        ({"prompt": [[1, 2]]}, TypeError, "prompt must be a tensor of int64, got list"),
        ({"prompt": draw(2)}, ValueError, r"prompt must have shape \(batch, length\)"),
        ({"prompt": draw(2, 0)}, ValueError, r"prompt must have shape \(batch, length\)"),
        ({"prompt": torch.tensor([[7, 0]])}, ValueError, r"tokens must lie in 0\.\.5, got 0\.\.7"),
        ({"left_padding": torch.tensor([2, 0])}, ValueError, "left_padding must be at most"),
    ],
)
def test_prompts_and_lengths_that_do_not_fit_are_refused(search, wrong, error, says):
    right = {"model": language_model(), "prompt": draw(2, 2), "max_new_tokens": 2}
    search(**right)
    with pytest.raises(error, match=f"^{says}"):
        search(**(right | wrong))


@searches
@pytest.mark.parametrize(
    ("settings", "named"),
    [({"max_new_tokens": 2, "stop": 3}, "'stop'"), ({"stop_token": 3}, "'max_new_tokens'")],
    ids=["unknown", "missing"],
)
def test_an_unknown_setting_is_named_and_so_is_a_missing_one(search, settings, named):
    with pytest.raises(TypeError, match=f"argument:? {named}$"):
        search(language_model(), draw(2, 2), **settings)


@searches
def test_a_model_in_training_mode_is_refused(search):
    model = language_model.__wrapped__().train()
    target = seq2seq_model.__wrapped__().train().given(torch.ones(1, 2).long())
    for training in (model, target):
        with pytest.raises(ValueError, match="model must be in evaluation mode"):
            search(training, draw(1, 2), max_new_tokens=2)


@searches
def test_writing_beyond_the_last_position_is_refused(search):
    model = language_model()
    assert search(model, draw(1, 15), max_new_tokens=2)[0].shape[-1] == 17  # the last is not read
    with pytest.raises(ValueError, match="max_len=16"):
        search(model, draw(1, 15), max_new_tokens=3)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"temperature": 0.0}, ValueError, r"temperature must be above 0 and finite, got 0\.0"),
        ({"temperature": math.inf}, ValueError, "temperature must be above 0 and finite, got inf"),
        ({"temperature": "hot"}, TypeError, "temperature must be a number, got str"),
        ({"top_k": 0}, ValueError, "top_k must be at least 1, got 0"),
        ({"top_k": 2.0}, TypeError, "top_k must be an integer, got float"),
        ({"top_p": 0.0}, ValueError, r"top_p must be above 0 .*got 0\.0"),
        ({"top_p": 1.5}, ValueError, r"top_p must be above 0 and at most 1, got 1\.5"),
        ({"top_p": "most"}, TypeError, "top_p must be a number, got str"),
    ],
)
def test_wrong_filters_are_refused(wrong, error, says):
    with pytest.raises(error, match=f"^{says}"):
        filter_logits(torch.zeros(3), **wrong)
    with pytest.raises(error, match=f"^{says}"):
        sample(language_model(), draw(1, 2), max_new_tokens=2, **wrong)


@pytest.mark.usefixtures("unchecked_shapes")
def test_logits_that_are_no_floats_are_refused():
    with pytest.raises(TypeError, match=r"logits must be a tensor of floats, got torch\.int64"):
        filter_logits(torch.zeros(3).long())


@pytest.mark.parametrize("write", [greedy_search, sample])
def test_what_was_written_can_be_trained_on(write):
    model = language_model()
    written = write(model, draw(2, 3), max_new_tokens=2)
    model(written).sum().backward()
    assert model.embedding.table.weight.grad is not None
