"""The checks of chapter 13 take the right answers, and name what is wrong with others."""

from __future__ import annotations

import math

import pytest
import torch

from tutorial_lib.exercises.chapter_13 import check
from tutorial_lib.masks import causal_mask


def _packed_mask(documents):
    same = documents[:, None, :, None] == documents[:, None, None, :]
    return same & causal_mask(documents.shape[1])


def _to_bias(mask, dtype):
    return torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, -math.inf)


def _to_bias_by_where(mask, dtype):
    return torch.where(mask, 0.0, -math.inf).to(dtype)


def _real(x, lengths):
    return torch.arange(x.shape[1]) < lengths[:, None]


def _padding_leaks(model, x, lengths, *, filler=None, everywhere=False, sequences=slice(None)):
    real = _real(x, lengths)
    other = 10 * torch.randn_like(x) if filler is None else torch.full_like(x, filler)
    changed = torch.where(real[..., None], x, other)
    difference = (model(changed, lengths) - model(x, lengths)).abs()
    kept = torch.ones_like(real) if everywhere else real
    return not difference[sequences][kept[sequences]].lt(1e-6).all().item()


def _padding_leaks_one_by_one(model, x, lengths):
    pairs = zip(x.split(1), lengths.split(1), strict=True)
    return any(_padding_leaks(model, row, length) for row, length in pairs)


def _padding_leaks_by_gradient(model, x, lengths):
    leaf, real = x.clone().requires_grad_(), _real(x, lengths)
    output = model(leaf, lengths)
    (gradient,) = torch.autograd.grad((output * torch.randn_like(x))[real].sum(), leaf)
    return bool(gradient[~real].abs().gt(1e-9).any())


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        (1, _packed_mask),
        (2, _to_bias),
        (2, _to_bias_by_where),
        (2, lambda mask, dtype: mask.to(dtype).log()),
        (3, _padding_leaks),
        (3, _padding_leaks_one_by_one),
        (3, _padding_leaks_by_gradient),
    ],
)
def test_the_right_answer_passes(number, answer):
    assert check.problem(number, answer) is None


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_stub_does_not_pass(number):
    assert "None" in check.problem(number, lambda *args: None)


def _same_document(documents):
    return (documents[:, :, None] == documents[:, None])[:, None]


def _changes_x(model, x, lengths):
    before = model(x, lengths)
    real = _real(x, lengths)
    x[~real] = 1.0
    return not torch.allclose(model(x, lengths)[real], before[real])


def _only_the_last_column(model, x, lengths):
    changed, real = x.clone(), _real(x, lengths)
    changed[:, -1] = torch.where(real[:, -1:], x[:, -1], 5.0)
    return not torch.allclose(model(changed, lengths)[real], model(x, lengths)[real])


def _finite_bias(number):
    return lambda mask, dtype: torch.where(mask, 0.0, number(dtype)).to(dtype)


def _reads_the_first_document_everywhere(documents):
    return _packed_mask(documents[:1].expand_as(documents))


def _changes_real_tokens(model, x, lengths):
    changed = torch.where(_real(x, lengths)[..., None], torch.randn_like(x), x)
    return not torch.allclose(model(changed, lengths), model(x, lengths))


WRONG = {
    "not causal": (1, _same_document, "the causal part is missing"),
    "causal only": (
        1,
        lambda d: causal_mask(d.shape[1]).expand(len(d), 1, -1, -1),
        "earlier tokens of other documents",
    ),
    "without itself": (1, lambda d: _same_document(d) & ~causal_mask(d.shape[1]).mT, "j <= i"),
    "turned round": (1, lambda d: ~_packed_mask(d), "the mask is turned round"),
    "queries and keys swapped": (1, lambda d: _packed_mask(d).mT, "queries and keys are swapped"),
    "or": (1, lambda d: _same_document(d) | causal_mask(d.shape[1]), "both are needed, with &"),
    "unequal": (1, lambda d: ~_same_document(d) & causal_mask(d.shape[1]), "== is needed"),
    "one sequence's documents": (1, _reads_the_first_document_everywhere, "query 1 and key 0"),
    "three axes": (1, lambda d: _packed_mask(d)[:, 0], "the axis of the heads is missing"),
    "two axes": (1, lambda d: _packed_mask(d)[0, 0], "must have shape (2, 1, 5, 5)"),
    "not boolean": (1, lambda d: _packed_mask(d).float(), "must be boolean"),
    "-1e9": (2, _finite_bias(lambda dtype: -1e9), "-1e+09 stands where"),
    "lowest number": (2, _finite_bias(lambda dtype: torch.finfo(dtype).min), "blocks nothing"),
    "times infinity": (2, lambda m, t: (1 - m.to(t)) * -math.inf, "holds NaN"),
    "turned round, to add": (2, lambda m, t: _to_bias(~m, t), "the mask is turned round"),
    "ones and zeros": (2, lambda m, t: m.to(t), "ones and zeros"),
    "zeros": (2, lambda m, t: torch.zeros(m.shape, dtype=t), "0 is added where a query may not"),
    "plus infinity": (2, lambda m, t: -_to_bias(m, t), "minus infinity that blocks"),
    "one where allowed": (2, lambda m, t: _to_bias(m, t) + 1, "must be 0 where"),
    "always float32": (2, lambda m, t: _to_bias(m, torch.float32), "torch.float16"),
    "always two axes": (
        2,
        lambda m, t: _to_bias(m, t).flatten(0, -2),
        "a mask with four axes must have shape",
    ),
    "the opposite": (3, lambda *a: not _padding_leaks(*a), "the opposite every time"),
    "zeros as filler": (
        3,
        lambda *a: _padding_leaks(*a, filler=0.0),
        "zeros the answer must be True, got False: the padding was the same in every call",
    ),
    "real tokens changed": (3, _changes_real_tokens, "real tokens were changed"),
    "always True": (3, lambda model, x, n: True, "its padding mask the answer must be False"),
    "always False": (3, lambda model, x, n: False, "without a mask the answer must be True"),
    "NaN as filler": (3, lambda *a: _padding_leaks(*a, filler=math.nan), "zero times NaN is NaN"),
    "outputs at padding too": (
        3,
        lambda *a: _padding_leaks(*a, everywhere=True),
        "only outputs at real tokens count",
    ),
    "only the first two sequences": (
        3,
        lambda *a: _padding_leaks(*a, sequences=slice(2)),
        "missing for the last sequence",
    ),
    "only the last column": (
        3,
        _only_the_last_column,
        "right neighbour too the answer must be True",
    ),
    "x is changed": (3, _changes_x, "was changed: work on a copy"),
    "a tensor": (3, lambda model, x, n: torch.tensor(True), "True or False"),
}


@pytest.mark.parametrize(("number", "answer", "says"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(number, answer, says):
    assert says in check.problem(number, answer)
