"""Greedy search, sampling and beam search equal what can be worked by hand or counted out."""

from __future__ import annotations

import functools
import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import TOLERANCE, randomized

from tutorial_lib.generation import beam_search, filter_logits, greedy_search, sample
from tutorial_lib.language_model import TransformerLanguageModel
from tutorial_lib.seq2seq import Seq2SeqTransformer

POSITIONS = ("learned", "sinusoidal", "rotary", "alibi")
NO_CACHE = {"use_cache": False}

few_examples = settings(max_examples=6)  # each is some dozens of forward passes


class Table:
    """A model whose next token depends on the last one alone, by a table of probabilities."""

    training = False

    def __init__(self, *rows: list[float]) -> None:
        self.log_p = torch.tensor(rows, dtype=torch.float64).log()

    def __call__(self, tokens, *, cache=None):
        assert cache is None
        return self.log_p[tokens]

    def make_cache(self, batch_size, capacity):
        raise AssertionError("no cache is wanted")


def talkative(model, seed):
    """Draw the parameters; with a bias of about 1 the same token would win at every step."""
    randomized(model, seed=seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    return model.eval()


@functools.cache
def language_model(seed=0, *, vocab_size=6, positions="learned", num_layers=1):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # the tables of sines, too
    try:
        model = TransformerLanguageModel(
            vocab_size=vocab_size,
            embed_dim=8,
            num_heads=2,
            num_layers=num_layers,
            dim_feedforward=8,
            max_len=16,
            positions=positions,
            tie_weights=False,
        )
    finally:
        torch.set_default_dtype(before)
    return talkative(model, seed)


@functools.cache
def seq2seq_model(seed=0, *, vocab_size=6):
    model = Seq2SeqTransformer(
        src_vocab_size=7,
        tgt_vocab_size=vocab_size,
        pad_token=0,
        embed_dim=8,
        num_heads=2,
        num_layers=1,
        dim_feedforward=8,
        max_len=16,
    )
    return talkative(model.double(), seed)


def draw(*shape, vocab_size=6, seed=0):
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def flush_right(rows):
    """Put prompts of several lengths into one batch, behind padding that looks like tokens."""
    longest = max(len(row) for row in rows)
    padding = torch.tensor([longest - len(row) for row in rows])
    tokens = draw(len(rows), longest, seed=99)
    for row, prompt in zip(tokens, rows, strict=True):
        row[longest - len(prompt) :] = prompt
    return tokens, padding


def without_filler(tokens, given_length, stop_token):
    """Cut what follows the first stop token behind the prompt."""
    written = tokens[given_length:].tolist()
    if stop_token in written:
        written = written[: written.index(stop_token) + 1]
    return written


# 0 -> 1 -> 2 -> 3 -> 3; 4 -> 3
CHAIN = Table(
    [0.1, 0.6, 0.1, 0.1, 0.1],
    [0.1, 0.1, 0.6, 0.1, 0.1],
    [0.1, 0.1, 0.1, 0.6, 0.1],
    [0.1, 0.1, 0.1, 0.6, 0.1],
    [0.1, 0.1, 0.1, 0.6, 0.1],
)


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


@pytest.mark.parametrize("write", [greedy_search, sample])
def test_what_was_written_can_be_trained_on(write):
    model = language_model()
    written = write(model, draw(2, 3), max_new_tokens=2)
    model(written).sum().backward()
    assert model.embedding.table.weight.grad is not None
