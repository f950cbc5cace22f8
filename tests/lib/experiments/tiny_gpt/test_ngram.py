"""Kneser-Ney: equal to counts by hand, sums to one, and scores a text in one pass."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.experiments.tiny_gpt.ngram import KneserNey
from tutorial_lib.generation import sample

STREAMS = st.lists(st.integers(0, 4), min_size=6, max_size=60)


def by_hand(text, vocab_size, order, num_discounts):
    """Count with dictionaries, straight from the formula."""

    def counts(k):
        if k == order:
            return Counter(tuple(text[i : i + k]) for i in range(len(text) - k + 1))
        left = {(text[i - 1] if i else None, *text[i : i + k]) for i in range(len(text) - k + 1)}
        return Counter(gram[1:] for gram in left)

    def discount(count, table):
        n = Counter(table.values())
        j = min(count, num_discounts)
        if not n[1] or not n[j]:
            return 0.5
        found = j - (j + 1) * n[1] / (n[1] + 2 * n[2]) * n[j + 1] / n[j]
        return found if 0 < found < j else 0.5

    def p(word, context):
        k = len(context) + 1
        lower = p(word, context[1:]) if context else 1 / vocab_size
        table = counts(k)
        behind = {gram: c for gram, c in table.items() if gram[:-1] == context}
        if not behind:
            return lower
        count = table[(*context, word)]
        kept = count - discount(count, table) if count else 0
        freed = sum(discount(c, table) for c in behind.values())
        return (kept + freed * lower) / sum(behind.values())

    return p


def test_a_bigram_worked_out_on_paper():
    # "abab": pairs ab twice, ba once; a follows the beginning and b, b follows a.
    model = KneserNey(torch.tensor([0, 1, 0, 1]), vocab_size=2, order=2, num_discounts=1)
    # Unigrams: a has two left neighbours, b one. n1 = 1, n2 = 1, D = 1/3.
    a, b = (2 - 1 / 3 + 2 / 3 / 2) / 3, (1 - 1 / 3 + 2 / 3 / 2) / 3
    # Pairs: counts 2 and 1, D = 1/3. Behind a: ab twice. Behind b: ba once.
    rows = [[(1 / 3 * a) / 2, (2 - 1 / 3 + 1 / 3 * b) / 2], [(1 - 1 / 3 + 1 / 3 * a), 1 / 3 * b]]
    found = model(torch.tensor([[0, 1]])).exp()[0]
    torch.testing.assert_close(found, torch.tensor(rows, dtype=torch.float64))


@given(text=STREAMS, order=st.integers(1, 4), num_discounts=st.integers(1, 3))
def test_probabilities_are_those_of_counts_by_hand(text, order, num_discounts):
    model = KneserNey(torch.tensor(text), vocab_size=5, order=order, num_discounts=num_discounts)
    p = by_hand(text, 5, order, num_discounts)
    probed = [*text[:4], 4, 4, 0]
    found = model(torch.tensor([probed])).exp()[0]
    for place, word in product(range(len(probed)), range(5)):
        context = tuple(probed[max(0, place + 2 - order) : place + 1]) if order > 1 else ()
        assert found[place, word].item() == pytest.approx(p(word, context))


@given(text=STREAMS, order=st.integers(1, 6), num_discounts=st.integers(1, 4), probe=STREAMS)
def test_probabilities_sum_to_one_after_every_context(text, order, num_discounts, probe):
    model = KneserNey(torch.tensor(text), vocab_size=7, order=order, num_discounts=num_discounts)
    p = model(torch.tensor([probe])).exp()
    assert p.min() > 0
    torch.testing.assert_close(p.sum(-1), torch.ones_like(p[..., 0]))


@given(text=STREAMS, order=st.integers(1, 5), probe=STREAMS)
def test_a_text_is_scored_as_token_by_token(text, order, probe):
    model, probe = KneserNey(torch.tensor(text), vocab_size=5, order=order), torch.tensor(probe)
    each = -model(probe[None, :-1])[0].gather(-1, probe[1:, None])[:, 0]
    torch.testing.assert_close(model.token_losses(probe), each)


def test_without_context_only_the_unigram_counts():
    model = KneserNey(torch.tensor([0, 0, 0, 1, 1, 2]), vocab_size=4, order=1, num_discounts=1)
    # Counts 3, 2, 1, 0: n1 = n2 = 1, D = 1/3, of which 1 is spread over four tokens.
    expected = torch.tensor([3 - 1 / 3 + 1 / 4, 2 - 1 / 12, 1 - 1 / 12, 1 / 4]) / 6
    torch.testing.assert_close(model(torch.tensor([[3]])).exp()[0, 0], expected.double())


def test_matched_counts_the_context_that_is_known():
    model = KneserNey(torch.tensor([0, 1, 2, 0, 1, 3]), vocab_size=5, order=4)
    assert model.matched(torch.tensor([0, 1, 2, 4, 0, 1])).tolist() == [1, 2, 3, 0, 1]
    assert model.matched(torch.tensor([1, 3, 0])).tolist() == [1, 0]  # nothing follows 3


def test_a_longer_context_helps_on_a_text_that_needs_it():
    pattern = torch.tensor([0, 0, 1, 0, 2] * 40)
    losses = [
        KneserNey(pattern, vocab_size=3, order=order).token_losses(pattern).mean().item()
        for order in (1, 2, 3)
    ]
    assert losses[0] > losses[1] > losses[2]


def test_it_can_be_decoded_from_like_a_network():
    model = KneserNey(torch.tensor([0, 1, 2] * 30), vocab_size=3, order=2)
    generator = torch.Generator().manual_seed(0)
    written = sample(
        model,
        torch.tensor([[0]]),
        max_new_tokens=5,
        temperature=0.1,
        generator=generator,
        use_cache=False,
    )
    assert written.tolist() == [[0, 1, 2, 0, 1, 2]]


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"order": 0}, ValueError, "order must be at least 1, got 0"),
        ({"order": 9}, ValueError, "tokens must be at least order=9, got 4"),
        ({"vocab_size": 2.0}, TypeError, "vocab_size must be an integer"),
        ({"num_discounts": 0}, ValueError, "num_discounts must be at least 1"),
        ({"tokens": [0, 1]}, TypeError, "tokens must be a tensor of int64, got list"),
        ({"tokens": torch.tensor([[0, 1]])}, ValueError, r"one axis, got shape \(1, 2\)"),
        ({"tokens": torch.tensor([0, 5])}, ValueError, r"must lie in 0\.\.2, got 0\.\.5"),
        ({"tokens": torch.tensor([0, -1])}, ValueError, r"must lie in 0\.\.2, got -1\.\.0"),
    ],
)
def test_wrong_input_is_refused(wrong, error, says):
    settings = {"tokens": torch.tensor([0, 1, 2, 0]), "vocab_size": 3, "order": 2} | wrong
    with pytest.raises(error, match=says):
        KneserNey(settings.pop("tokens"), **settings)


def test_a_text_needs_a_token_to_predict_and_known_numbers():
    model = KneserNey(torch.tensor([0, 1, 2, 0]), vocab_size=3, order=2)
    with pytest.raises(ValueError, match="tokens must be at least 2, got 1"):
        model.token_losses(torch.tensor([0]))
    with pytest.raises(ValueError, match=r"must lie in 0\.\.2"):
        model.token_losses(torch.tensor([0, 3]))
