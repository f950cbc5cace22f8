"""A model given a memory is its parts, reads the memory once, and takes several rows a source."""

from __future__ import annotations

import pytest
import torch
from reference import TOLERANCE, randomized
from torch import nn

from tutorial_lib.conditional_model import ConditionalModel
from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.embedding import TokenEmbedding
from tutorial_lib.positions import LearnedPositionalEmbedding, SinusoidalPositionalEncoding

MASKS = {"all": None, "masked": torch.tensor([[1, 1, 1], [1, 0, 0]]).bool()[:, None, None, :]}
each_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)


def make(mask=None, kind=SinusoidalPositionalEncoding):
    decoder = TransformerDecoder(num_layers=2, embed_dim=8, num_heads=2, dim_feedforward=8)
    parts = [TokenEmbedding(9, 8), kind(8, max_len=6), decoder]
    randomized(nn.ModuleList(parts).double(), seed=0).eval()
    memory = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(1)).double()
    return ConditionalModel(*parts, memory, mask)


def draw(*shape, seed=0):
    return torch.randint(9, shape, generator=torch.Generator().manual_seed(seed))


@each_mask
@pytest.mark.parametrize("kind", [SinusoidalPositionalEncoding, LearnedPositionalEmbedding])
def test_it_is_the_table_the_positions_the_decoder_and_the_table_again(kind, mask):
    model, tokens = make(mask, kind), draw(2, 5)
    x = model.positions(model.embedding(tokens))
    x = model.decoder(x, model.memory, memory_mask=mask, is_causal=True)
    expected = x @ model.embedding.table.weight.T
    torch.testing.assert_close(model(tokens), expected, **TOLERANCE)


@each_mask
def test_the_rows_of_a_source_stand_one_after_the_other(mask):
    model, tokens = make(mask), draw(6, 5)
    together = model(tokens)
    for row in range(6):
        source = slice(row // 3, row // 3 + 1)
        its_mask = None if mask is None else mask[source]
        parts = (model.embedding, model.positions, model.decoder)
        alone = ConditionalModel(*parts, model.memory[source], its_mask)(tokens[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, **TOLERANCE)


@each_mask
@pytest.mark.parametrize("beams", [1, 3])
@torch.no_grad()
def test_a_cache_changes_no_logits_and_is_handed_the_memory_once(mask, beams):
    model, tokens, handed = make(mask), draw(2 * beams, 6), []
    expected = model(tokens)
    model.decoder.register_forward_pre_hook(lambda _, args: handed.append(args[1] is not None))
    cache = model.make_cache(2 * beams, 6)
    pieces = [model(piece, cache=cache) for piece in tokens.split([2, 1, 3], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), expected, **TOLERANCE)
    assert handed == [True, False, False]


def test_it_trains_while_its_decoder_does():
    model = make()
    assert not model.training
    model.decoder.train()
    assert model.training


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("tokens", "error", "says"),
    [
        (draw(3, 4), ValueError, "tokens must have a multiple of 2 rows, one source each, got 3"),
        (draw(1, 4), ValueError, "tokens must have a multiple of 2 rows, one source each, got 1"),
        (draw(2), ValueError, r"tokens must have shape \(batch, length\), got \(2,\)"),
        (draw(2, 3).double(), TypeError, r"tokens must be a tensor of integers, got torch\.float"),
        (draw(2, 7), ValueError, "positions must lie in .*max_len=6"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(tokens, error, says):
    with pytest.raises(error, match=says):
        make()(tokens)
