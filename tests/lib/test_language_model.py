"""The language model equals its parts, with and without cache, and does not look at padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import TOLERANCE, assert_all_close, randomized

from tutorial_lib.language_model import TransformerLanguageModel
from tutorial_lib.positions import sinusoidal_encoding

POSITIONS = ("learned", "sinusoidal", "rotary", "alibi")
SIZES: dict[str, Any] = {
    "vocab_size": 11,
    "embed_dim": 8,
    "num_heads": 2,
    "num_layers": 2,
    "max_len": 24,
}

few_examples = settings(max_examples=8)  # for each kind of positions
every_kind_of_positions = pytest.mark.parametrize("positions", POSITIONS)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(SIZES["vocab_size"], shape, generator=generator)


def make(*, seed: int = 0, **settings) -> TransformerLanguageModel:
    """Make a model whose tables of sines are in float64 as well, which ``double`` cannot do."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        model = TransformerLanguageModel(**(SIZES | settings))
    finally:
        torch.set_default_dtype(before)
    return randomized(model, seed=seed).eval()


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def in_pieces(model, tokens, sizes, left_padding=None):
    """Feed a cache piece by piece, and return all logits."""
    cache = model.make_cache(*tokens.shape, left_padding=left_padding)
    logits = []
    for piece in tokens.split(sizes, dim=1):
        logits.append(model(piece, cache=cache))
        assert cache.length == sum(part.shape[1] for part in logits)
    return torch.cat(logits, dim=1)


def flush_right(rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Put sequences of several lengths into one batch, behind padding that looks like tokens."""
    longest = max(len(row) for row in rows)
    padding = torch.tensor([longest - len(row) for row in rows])
    tokens = draw(len(rows), longest, seed=99)
    for row, sequence in zip(tokens, rows, strict=True):
        row[longest - len(sequence) :] = sequence
    return tokens, padding


# ---- its parts ----------------------------------------------------------------------------------


@every_kind_of_positions
def test_forward_is_embedding_positions_decoder_logits(positions):
    model, tokens = make(positions=positions), draw(2, 5)
    table = model.embedding.table.weight
    x = 8**0.5 * table[tokens]
    if positions == "learned":
        x = x + model.positions.weight[:5]
    if positions == "sinusoidal":
        x = x + sinusoidal_encoding(5, 8)
    expected = model.decoder(x, is_causal=True) @ table.T
    atol = 1e-6 if positions == "sinusoidal" else 1e-10  # our table above is in float32
    torch.testing.assert_close(model(tokens), expected, atol=atol, rtol=atol)
    assert model(tokens).shape == (2, 5, 11)


def test_the_settings_reach_the_decoder():
    model = TransformerLanguageModel(
        norm_first=False, activation="relu", dropout=0.25, dim_feedforward=5, **SIZES
    )
    assert len(model.decoder.layers) == 2
    for layer in model.decoder.layers:
        assert not layer.norm_first
        assert layer.cross_attn is None
        assert layer.self_attn.num_heads == 2
        assert layer.feed_forward.linear1.out_features == 5
        assert layer.dropout.p == layer.self_attn.dropout == 0.25
    assert model.dropout.p == 0.25
    assert model.decoder.norm is None
    assert TransformerLanguageModel(**SIZES).decoder.norm is not None
    assert (
        TransformerLanguageModel(**SIZES).decoder.layers[0].feed_forward.linear1.out_features == 32
    )


@every_kind_of_positions
def test_only_dropout_tells_training_from_evaluation(positions):
    tokens = draw(2, 5)
    still, dropping = (make(positions=positions, dropout=p) for p in (0.0, 0.5))
    torch.testing.assert_close(still.train()(tokens), dropping(tokens), **TOLERANCE)
    assert not torch.allclose(dropping.train()(tokens), still(tokens), atol=1e-3)


def test_the_embedded_tokens_are_dropped_as_well():
    model, tokens = make(), draw(2, 5)
    expected = model(tokens)
    model.train().dropout.p = 0.5  # the decoder's own stay at 0
    assert not torch.allclose(model(tokens), expected, atol=1e-3)


def test_gpt2_small_has_124439808_parameters():
    with torch.device("meta"):  # sizes only, no memory
        model = TransformerLanguageModel(
            vocab_size=50257, embed_dim=768, num_heads=12, num_layers=12, max_len=1024
        )
    assert count(model) == 124_439_808


@pytest.mark.parametrize(("positions", "extra"), [("learned", 24 * 8), ("rotary", 0)])
@pytest.mark.parametrize("tied", [True, False])
def test_the_parameters_are_those_counted_by_hand(positions, extra, tied):
    model = make(positions=positions, tie_weights=tied)
    attention, feed_forward, norms = 4 * (8 * 8 + 8), 8 * 32 + 32 + 32 * 8 + 8, 2 * 2 * 8
    expected = 11 * 8 + extra + 2 * (attention + feed_forward + norms) + 2 * 8
    assert count(model) == expected + (0 if tied else 11 * 8)


# ---- tied weights -------------------------------------------------------------------------------


def test_tied_logits_are_made_with_the_embeddings_own_parameter():
    model = make()
    assert model.head is None
    shapes = [name for name, weight in model.named_parameters() if weight.shape == (11, 8)]
    assert shapes == ["embedding.table.weight"]
    untied = make(tie_weights=False)
    assert untied.head.weight is not untied.embedding.table.weight
    assert untied.head.bias is None


def test_a_tied_table_collects_the_gradients_of_both_uses():
    tied, untied, tokens = make(), make(tie_weights=False), draw(2, 5)
    untied.load_state_dict(tied.state_dict(), strict=False)
    with torch.no_grad():
        untied.head.weight.copy_(tied.embedding.table.weight)
    labels = draw(2, 5, seed=1)
    for model in (tied, untied):
        logits = model(tokens)
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()).backward()
    read, written = untied.embedding.table.weight.grad, untied.head.weight.grad
    torch.testing.assert_close(tied.embedding.table.weight.grad, read + written, **TOLERANCE)
    assert read.abs().max() > 1e-3
    assert written.abs().max() > 1e-3


# ---- order --------------------------------------------------------------------------------------


@every_kind_of_positions
@few_examples
@given(length=st.integers(1, 7), place=st.integers(0, 6), seed=st.integers(0, 1000))
def test_a_token_changes_no_earlier_logits(positions, length, place, seed):
    place = min(place, length - 1)
    model, tokens = make(positions=positions, seed=seed), draw(2, length, seed=seed)
    other = tokens.clone()
    other[:, place:] = (other[:, place:] + 1) % 11
    one, two = model(tokens), model(other)
    torch.testing.assert_close(one[:, :place], two[:, :place], **TOLERANCE)
    assert (one[:, place] - two[:, place]).abs().amax(dim=-1).min() > 1e-6


@every_kind_of_positions
def test_the_order_of_the_earlier_tokens_is_seen(positions):
    # One layer: without positions its last query would see a bag of tokens.
    model, tokens = make(positions=positions, num_layers=1), torch.tensor([[3, 1, 4, 5]])
    swapped = torch.tensor([[4, 1, 3, 5]])
    assert not torch.allclose(model(tokens)[:, -1], model(swapped)[:, -1], atol=1e-4)


# ---- the cache ----------------------------------------------------------------------------------


@every_kind_of_positions
@few_examples
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    batch=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_the_cache_changes_no_logits_however_the_tokens_are_cut(positions, sizes, batch, seed):
    model, tokens = make(positions=positions, seed=seed), draw(batch, sum(sizes), seed=seed)
    torch.testing.assert_close(in_pieces(model, tokens, sizes), model(tokens), **TOLERANCE)


@every_kind_of_positions
def test_token_by_token_the_cached_logits_are_those_of_the_whole(positions, record_equality):
    largest = 0.0
    for other in ({}, {"norm_first": False, "tie_weights": False}, {"num_heads": 4}):
        model, tokens = make(positions=positions, **other), draw(2, 20)
        found = assert_all_close({"": in_pieces(model, tokens, 1)}, {"": model(tokens)})
        largest = max(largest, found)
    record_equality(module="KVCache", mask=f"{positions} positions", largest=largest)


def test_a_cache_goes_on_where_it_stood_after_a_refused_step():
    model, tokens = make(), draw(1, 5)
    with torch.no_grad():
        cache = model.make_cache(1, 5)
        model(tokens[:, :4], cache=cache)
        with pytest.raises(ValueError, match="cache has capacity=5: 4 positions are filled, and 2"):
            model(tokens[:, :2], cache=cache)
        last = model(tokens[:, 4:], cache=cache)
    torch.testing.assert_close(last, model(tokens)[:, 4:], **TOLERANCE)


def test_a_cache_is_of_the_models_sizes_and_float_type():
    model = make()
    cache = model.make_cache(3, 7, left_padding=torch.tensor([0, 1, 2]))
    assert cache.keys.shape == cache.values.shape == (2, 3, 2, 7, 4)
    assert cache.keys.dtype == torch.float64
    assert (cache.capacity, cache.length) == (7, 0)
    assert model.bfloat16().make_cache(1, 2).keys.dtype == torch.bfloat16


# ---- padding on the left ------------------------------------------------------------------------


@every_kind_of_positions
@few_examples
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    sizes=st.lists(st.integers(1, 3), min_size=6, max_size=6),
    seed=st.integers(0, 1000),
)
def test_a_row_behind_padding_equals_the_row_alone(positions, lengths, sizes, seed):
    model = make(positions=positions, seed=seed)
    rows = [draw(n, seed=seed + i) for i, n in enumerate(lengths)]
    tokens, padding = flush_right(rows)
    whole = model(tokens, left_padding=padding)
    cut = torch.tensor(sizes).cumsum(0).tolist()
    ends = [end for end in cut if end < max(lengths)]
    pieces = [b - a for a, b in zip([0, *ends], [*ends, max(lengths)], strict=True)]
    cached = in_pieces(model, tokens, pieces, left_padding=padding)
    assert whole.isfinite().all()
    assert cached.isfinite().all()
    for i, row in enumerate(rows):
        alone = model(row[None])[0]
        torch.testing.assert_close(whole[i, padding[i] :], alone, **TOLERANCE)
        torch.testing.assert_close(cached[i, padding[i] :], alone, **TOLERANCE)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_positions_are_counted_from_the_first_real_token(positions):
    model = make(positions=positions, max_len=3)
    tokens, padding = flush_right([draw(3), draw(2), draw(1)])
    tokens = torch.cat([draw(3, 4), tokens], dim=1)  # 7 columns, 3 positions
    assert model(tokens, left_padding=padding + 4).isfinite().all()
    with pytest.raises(ValueError, match=r"max_len=3"):
        model(tokens, left_padding=padding + 3)


@every_kind_of_positions
def test_padding_gets_no_gradient(positions):
    model = make(positions=positions, tie_weights=False)
    tokens = torch.tensor([[1, 2, 3, 4], [10, 10, 3, 4]])  # 10 is the padding
    logits = model(tokens, left_padding=torch.tensor([0, 2]))
    (logits[0].square().sum() + logits[1, 2:].square().sum()).backward()
    gradient = model.embedding.table.weight.grad
    assert (gradient[10] == 0).all()
    assert (gradient[1:5].abs().amax(dim=1) > 1e-3).all()
    assert all(p.grad.isfinite().all() for p in model.parameters())


# ---- float types and files ----------------------------------------------------------------------


@every_kind_of_positions
def test_it_works_in_bfloat16(positions):
    model = make(positions=positions)
    tokens, padding = flush_right([draw(6), draw(4)])
    exact = model(tokens, left_padding=padding)
    rounded = model.bfloat16()
    for logits in (
        rounded(tokens, left_padding=padding),
        in_pieces(rounded, tokens, 2, left_padding=padding),
    ):
        assert logits.dtype == torch.bfloat16
        real = torch.arange(6) >= padding[:, None]
        error = (logits.double() - exact)[real].abs().mean() / exact[real].abs().mean()
        assert error < 0.05  # bfloat16 has 8 bits: each rounding is up to 0.4 %


@every_kind_of_positions
@pytest.mark.parametrize("tied", [True, False])
def test_the_state_dict_goes_round(positions, tied):
    model = make(positions=positions, tie_weights=tied)
    other = make(positions=positions, tie_weights=tied, seed=1)
    state, tokens = model.state_dict(), draw(2, 5)
    assert not torch.allclose(model(tokens), other(tokens), atol=1e-3)
    other.load_state_dict(state)
    torch.testing.assert_close(model(tokens), other(tokens), atol=0, rtol=0)
    assert ("positions.weight" in state) == (positions == "learned")
    assert ("head.weight" in state) == (not tied)
    assert set(state) == {name for name, _ in model.named_parameters()}  # tables are not stored


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", [*SIZES, "dim_feedforward"])
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (8.0, TypeError, "must be an integer, got float"),
    ],
)
def test_wrong_sizes_are_refused(name, size, error, says):
    for positions in POSITIONS:
        with pytest.raises(error, match=f"^{name} {says}"):
            TransformerLanguageModel(positions=positions, **(SIZES | {name: size}))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"positions": "none"}, "positions must be 'learned', 'sinusoidal', 'rotary' or 'alibi'"),
        ({"positions": None}, "positions must be .* got None"),
        ({"num_heads": 3}, "num_heads must divide embed_dim=8, got 3"),
        ({"num_heads": 8, "positions": "rotary"}, "head_dim must be even, got 1"),
        ({"activation": "tanh"}, "activation must be"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1\.0"),
    ],
)
def test_wrong_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        TransformerLanguageModel(**(SIZES | wrong))


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_a_sequence_too_long_for_the_positions_is_refused(positions):
    model = make(positions=positions, max_len=5)
    assert model(draw(1, 5)).shape == (1, 5, 11)
    with pytest.raises(ValueError, match=r"positions must lie in 0\.\.4 \(max_len=5\), got 0\.\.5"):
        model(draw(1, 6))
    with torch.no_grad():
        cache = model.make_cache(1, 9)
        model(draw(1, 4), cache=cache)
        with pytest.raises(ValueError, match=r"\(max_len=5\), got 4\.\.5"):
            model(draw(1, 2), cache=cache)


@pytest.mark.parametrize("positions", ["rotary", "alibi"])
def test_relative_positions_go_beyond_max_len(positions):
    assert make(positions=positions, max_len=2)(draw(1, 6)).shape == (1, 6, 11)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("tokens", "error", "says"),
    [
        (torch.tensor([[0, 11]]), ValueError, r"tokens must lie in 0\.\.10, got 0\.\.11"),
        (torch.tensor([[-1, 0]]), ValueError, r"tokens must lie in 0\.\.10, got -1\.\.0"),
        (torch.zeros(1, 2), TypeError, r"tokens must be a tensor of integers, got torch\.float32"),
        (torch.zeros(1, 2).bool(), TypeError, r"tokens must be .* integers, got torch\.bool"),
        (torch.zeros(1, 2, 3).long(), ValueError, r"tokens must have shape .* got \(1, 2, 3\)"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(tokens, error, says):
    for positions in POSITIONS:
        with pytest.raises(error, match=says):
            make(positions=positions)(tokens)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("tokens", "error", "says"),
    [
        (torch.zeros(3).long(), ValueError, r"tokens must have shape .* got \(3,\)"),
        ([[0, 1]], TypeError, "tokens must be a tensor of integers, got list"),
    ],
)
def test_what_is_no_batch_of_tokens_is_refused(tokens, error, says):
    with pytest.raises(error, match=says):
        make()(tokens)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("padding", "error", "says"),
    [
        ([1, 0], TypeError, "left_padding must be a tensor of int64, got list"),
        (torch.ones(2), TypeError, "left_padding must be a tensor of int64, got torch.float32"),
        (torch.tensor([1]), ValueError, r"left_padding must have shape \(2,\), got \(1,\)"),
        (torch.tensor([0, -1]), ValueError, "left_padding must be at least 0, got -1"),
    ],
)
def test_left_padding_that_does_not_fit_is_refused(padding, error, says):
    model = make()
    with pytest.raises(error, match=says):
        model(draw(2, 3), left_padding=padding)
    with pytest.raises(error, match=says):
        model.make_cache(2, 3, left_padding=padding)


def test_left_padding_is_told_to_the_cache_or_to_the_call():
    model, padding = make(), torch.tensor([0, 1])
    with torch.no_grad():
        for told in (None, padding):
            cache = model.make_cache(2, 3, left_padding=told)
            with pytest.raises(ValueError, match="left_padding must be left out with a cache"):
                model(draw(2, 3), left_padding=padding.clone(), cache=cache)


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_cache_that_does_not_fit_is_refused():
    model, tokens = make(), draw(2, 3)
    with pytest.raises(RuntimeError, match="cache keeps no gradients"):
        model(tokens, cache=model.make_cache(2, 3))
    with torch.no_grad():
        with pytest.raises(ValueError, match="cache must have batch 2 like x, got 1"):
            model(tokens, cache=model.make_cache(1, 3))
        with pytest.raises(ValueError, match="cache must have num_layers=2, got 1"):
            model(tokens, cache=make(num_layers=1).make_cache(2, 3))
        with pytest.raises(TypeError, match=r"cache must be of torch\.float64.*torch\.float32"):
            model(tokens, cache=TransformerLanguageModel(**SIZES).make_cache(2, 3))
        with pytest.raises(ValueError, match="cache has capacity=2"):
            model(tokens, cache=model.make_cache(2, 2))
    for sizes in [(0, 1), (1, 0)]:
        with pytest.raises(ValueError, match="must be at least 1, got 0"):
            model.make_cache(*sizes)
