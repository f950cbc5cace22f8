"""The sequence-to-sequence model equals its parts, reads the source once, and no padding."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import TOLERANCE, assert_all_close, randomized

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.masks import causal_mask
from tutorial_lib.seq2seq import Seq2SeqTransformer

PAD = 0
SIZES: dict[str, Any] = {
    "src_vocab_size": 9,
    "pad_token": PAD,
    "embed_dim": 8,
    "num_heads": 2,
    "num_layers": 2,
    "max_len": 12,
}

few_examples = settings(max_examples=10)  # each is up to ten forward passes


def draw(*shape: int, vocab_size: int = 9, seed: int = 0) -> torch.Tensor:
    """Draw tokens that are no padding."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, vocab_size, shape, generator=generator)


def make(*, seed: int = 0, **settings) -> Seq2SeqTransformer:
    return randomized(Seq2SeqTransformer(**(SIZES | settings)).double(), seed=seed).eval()


def padded(rows: list[torch.Tensor], length: int) -> torch.Tensor:
    """Put sequences of several lengths into one batch, padded on the right."""
    tokens = torch.full((len(rows), length), PAD)
    for row, sequence in zip(tokens, rows, strict=True):
        row[: len(sequence)] = sequence
    return tokens


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class Calls:
    """Count how often a module runs."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.number = 0
        module.register_forward_hook(self._count)

    def _count(self, *_) -> None:
        self.number += 1


# ---- its parts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("tgt_vocab_size", [None, 6])
def test_forward_is_embedding_encoder_decoder_logits(tgt_vocab_size, norm_first):
    model = make(tgt_vocab_size=tgt_vocab_size, norm_first=norm_first)
    src, tgt = padded([draw(5), draw(3)], 5), draw(2, 4, vocab_size=6)
    src_table, tgt_table = model.src_embedding.table.weight, model.tgt_embedding.table.weight
    real = (src != PAD)[:, None, None, :]
    code = model.positions.encoding
    memory = model.transformer.encoder(8**0.5 * src_table[src] + code[:5], real)
    decoded = model.transformer.decoder(
        8**0.5 * tgt_table[tgt] + code[:4],
        memory,
        attn_mask=causal_mask(4),
        memory_mask=real,
    )
    torch.testing.assert_close(model(src, tgt), decoded @ tgt_table.T, **TOLERANCE)
    assert model(src, tgt).shape == (2, 4, tgt_vocab_size or 9)


def test_one_vocabulary_has_one_table_and_two_have_two():
    shared, separate = make(), make(tgt_vocab_size=6)
    assert shared.tgt_embedding is shared.src_embedding
    assert separate.src_embedding.table.weight.shape == (9, 8)
    assert separate.tgt_embedding.table.weight.shape == (6, 8)
    assert count(separate) == count(shared) + 6 * 8
    same_size = make(tgt_vocab_size=9)  # as large, and still another table
    assert same_size.tgt_embedding is not same_size.src_embedding


def test_the_papers_base_model_has_the_parameters_counted_by_hand():
    with torch.device("meta"):  # sizes only, no memory
        model = Seq2SeqTransformer(
            src_vocab_size=37000, pad_token=0, embed_dim=512, num_heads=8, num_layers=6
        )
    attention, feed_forward, norm = 4 * (512**2 + 512), 2 * 512 * 2048 + 2048 + 512, 2 * 512
    encoder_layer, decoder_layer = (
        attention + feed_forward + 2 * norm,
        2 * attention + feed_forward + 3 * norm,
    )
    assert count(model) == 37000 * 512 + 6 * (encoder_layer + decoder_layer) == 63_082_496


def test_the_settings_reach_both_stacks():
    model = Seq2SeqTransformer(
        norm_first=True, activation="gelu", dropout=0.25, dim_feedforward=5, **SIZES
    )
    for stack in (model.transformer.encoder, model.transformer.decoder):
        assert len(stack.layers) == 2
        assert stack.norm is not None
        for layer in stack.layers:
            assert layer.norm_first
            assert layer.self_attn.num_heads == 2
            assert layer.feed_forward.linear1.out_features == 5
            assert layer.dropout.p == 0.25
    assert model.positions.dropout.p == 0.25
    assert model.positions.encoding.shape == (12, 8)
    plain = Seq2SeqTransformer(**SIZES)
    assert plain.transformer.decoder.norm is None
    assert plain.transformer.decoder.layers[0].feed_forward.linear1.out_features == 32


def test_every_parameter_gets_a_gradient():
    model = make(tgt_vocab_size=6)
    model(draw(2, 5), draw(2, 4, vocab_size=6)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert name.endswith("k_proj.bias") or parameter.grad.abs().max() > 0, name


def test_the_state_dict_goes_round():
    model, other = make(tgt_vocab_size=6), make(tgt_vocab_size=6, seed=1)
    src, tgt = draw(2, 5), draw(2, 4, vocab_size=6)
    assert not torch.allclose(model(src, tgt), other(src, tgt), atol=1e-3)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(src, tgt), other(src, tgt), atol=0, rtol=0)


# ---- padding and order --------------------------------------------------------------------------


@few_examples
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    more=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_padding_of_the_source_changes_nothing(lengths, more, seed):
    model = make(seed=seed)
    rows = [draw(n, seed=seed + i) for i, n in enumerate(lengths)]
    tgt = draw(len(rows), 4, seed=seed)
    together = model(padded(rows, max(lengths) + more), tgt)
    for i, row in enumerate(rows):
        torch.testing.assert_close(
            together[i : i + 1], model(row[None], tgt[i : i + 1]), **TOLERANCE
        )


@few_examples
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    more=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_padding_of_the_target_changes_no_real_position(lengths, more, seed):
    model, src = make(seed=seed), draw(len(lengths), 5, seed=seed)
    rows = [draw(n, seed=seed + i) for i, n in enumerate(lengths)]
    together = model(src, padded(rows, max(lengths) + more))
    for i, row in enumerate(rows):
        alone = model(src[i : i + 1], row[None])
        torch.testing.assert_close(together[i : i + 1, : len(row)], alone, **TOLERANCE)


@pytest.mark.parametrize("place", range(4))
def test_a_target_token_changes_no_earlier_logits(place):
    model, src, tgt = make(), draw(2, 5), draw(2, 4)
    other = tgt.clone()
    other[:, place] = tgt[:, place] % 8 + 1
    one, two = model(src, tgt), model(src, other)
    torch.testing.assert_close(one[:, :place], two[:, :place], **TOLERANCE)
    assert (one[:, place] - two[:, place]).abs().amax(dim=-1).min() > 1e-6


def test_every_real_source_token_and_its_place_count():
    model, src, tgt = make(), torch.tensor([[1, 2, 3, PAD]]), draw(1, 2)
    logits = model(src, tgt)
    for other in ([4, 2, 3, PAD], [1, 2, 4, PAD], [3, 2, 1, PAD], [1, 2, PAD, 3], [1, 2, 3, 4]):
        assert not torch.allclose(model(torch.tensor([other]), tgt), logits, atol=1e-4)


# ---- one source, many targets -------------------------------------------------------------------


def test_a_source_is_encoded_once_for_any_number_of_targets():
    model, src = make(), padded([draw(5), draw(3)], 5)
    calls = Calls(model.transformer.encoder)
    target = model.given(src)
    for length in (1, 2, 6):
        tgt = draw(2, length)
        expected = target(tgt)
        assert calls.number == 1
        torch.testing.assert_close(expected, model(src, tgt), atol=0, rtol=0)
        assert calls.number == 2
        calls.number = 1


@few_examples
@given(sources=st.integers(1, 3), beams=st.integers(1, 3), seed=st.integers(0, 1000))
def test_several_rows_a_source_equal_each_row_on_its_own(sources, beams, seed):
    model = make(seed=seed)
    src = padded([draw(2 + i, seed=seed + i) for i in range(sources)], 5)
    tgt = draw(sources * beams, 3, seed=seed)
    together = model.given(src)(tgt)
    for row in range(len(tgt)):
        source = row // beams
        alone = model(src[source : source + 1], tgt[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, **TOLERANCE)


def test_the_target_model_knows_whether_the_model_trains():
    model = make()
    target = model.given(draw(1, 3))
    assert not target.training
    model.train()
    assert target.training


# ---- the cache ----------------------------------------------------------------------------------


@torch.no_grad()
def in_pieces(target, tgt, sizes, capacity=None):
    """Feed a cache piece by piece, and return all logits."""
    cache = target.make_cache(len(tgt), capacity or tgt.shape[1])
    return torch.cat([target(piece, cache=cache) for piece in tgt.split(sizes, dim=1)], dim=1)


@few_examples
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    sources=st.integers(1, 3),
    beams=st.integers(1, 2),
    seed=st.integers(0, 1000),
)
def test_the_cache_changes_no_logits_however_the_target_is_cut(sizes, sources, beams, seed):
    target = make(seed=seed).given(padded([draw(2 + i) for i in range(sources)], 5))
    tgt = draw(sources * beams, sum(sizes), seed=seed)
    torch.testing.assert_close(in_pieces(target, tgt, sizes), target(tgt), **TOLERANCE)


def test_token_by_token_the_cached_logits_are_those_of_the_whole(record_equality):
    largest = 0.0
    for other in ({}, {"norm_first": True, "activation": "gelu"}, {"tgt_vocab_size": 9}):
        model, tgt = make(**other), draw(2, 12)
        cached = in_pieces(model.given(padded([draw(5), draw(3)], 5)), tgt, 1, capacity=20)
        expected = model(padded([draw(5), draw(3)], 5), tgt)
        largest = max(largest, assert_all_close({"": cached}, {"": expected}))
    record_equality(module="KVCache", mask="with a source", largest=largest)


def test_the_memorys_keys_and_values_are_computed_once():
    model = make()
    layers = model.transformer.decoder.layers
    memory = [Calls(part) for layer in layers for part in _keys_and_values(layer.cross_attn)]
    tokens = [Calls(part) for layer in layers for part in _keys_and_values(layer.self_attn)]
    in_pieces(model.given(draw(2, 5)), draw(2, 6), 1)
    assert [calls.number for calls in memory] == [1] * 4
    assert [calls.number for calls in tokens] == [6] * 4


def _keys_and_values(attention):
    return attention.k_proj, attention.v_proj


def test_it_works_in_bfloat16():
    model, src, tgt = make(), padded([draw(5), draw(3)], 5), draw(2, 4)
    exact = model(src, tgt)
    target = model.bfloat16().given(src)
    for logits in (target(tgt), in_pieces(target, tgt, 1)):
        assert logits.dtype == torch.bfloat16
        assert (logits.double() - exact).abs().mean() < 0.05 * exact.abs().mean()


# ---- attention maps -----------------------------------------------------------------------------


@pytest.mark.parametrize("norm_first", [True, False])
def test_the_maps_have_a_row_for_each_query_and_nothing_at_padding(norm_first):
    model = make(norm_first=norm_first)
    src, tgt = padded([draw(5), draw(3)], 5), padded([draw(4), draw(2)], 4)
    to_source = attention_maps(model, src, tgt, of="encoder.")
    to_target = attention_maps(model, src, tgt, of="decoder.layers.0.self_attn")
    to_memory = attention_maps(model, src, tgt, of="cross_attn")
    assert [weights.shape for weights in to_source] == [(2, 2, 5, 5)] * 2
    assert [weights.shape for weights in to_target] == [(2, 2, 4, 4)]
    assert [weights.shape for weights in to_memory] == [(2, 2, 4, 5)] * 2
    for weights in to_source + to_target + to_memory:
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:3]).double())
    for weights in to_source + to_memory:
        assert (weights[1, :, :, 3:] == 0).all()
        assert (weights[0] > 0).all()
        assert (weights[1, :, :, :3] > 0).all()
    for weights in to_target:
        assert (weights.triu(1) == 0).all()
        assert (weights[:, :, torch.ones(4, 4).tril().bool()] > 0).all()


def test_the_maps_are_those_of_the_logits():
    model, src, tgt = make(num_layers=1), padded([draw(5), draw(3)], 5), draw(2, 4)
    layer = model.transformer.decoder.layers[0]
    seen = {}
    for name in ("self_attn", "cross_attn"):
        getattr(layer, name).register_forward_hook(
            lambda module, args, kwargs, output, name=name: seen.update({name: (args, output[0])}),
            with_kwargs=True,
        )
    model(src, tgt)
    inside = dict(seen)
    for name in ("self_attn", "cross_attn"):
        (weights,) = attention_maps(model, src, tgt, of=f"decoder.layers.0.{name}")
        attention, (args, output) = getattr(layer, name), inside[name]
        values = attention.v_proj(args[1] if len(args) > 1 else args[0])
        heads = weights @ values.unflatten(-1, (2, 4)).transpose(1, 2)
        merged = attention.out_proj(heads.transpose(1, 2).flatten(2))
        torch.testing.assert_close(merged, output, **TOLERANCE)


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("src_vocab_size", "vocab_size"),
        ("tgt_vocab_size", "vocab_size"),
        ("embed_dim", "embed_dim"),
        ("num_heads", "num_heads"),
        ("num_layers", "layers"),
        ("dim_feedforward", "dim_feedforward"),
        ("max_len", "max_len"),
    ],
)
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (8.0, TypeError, "must be an integer, got float"),
    ],
)
def test_wrong_sizes_are_refused(name, named, size, error, says):
    with pytest.raises(error, match=f"{named} {says}"):
        Seq2SeqTransformer(**(SIZES | {name: size}))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"num_heads": 3}, "num_heads must divide embed_dim=8, got 3"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1\.0"),
        ({"pad_token": 9}, r"pad_token must lie in 0\.\.8, got 9"),
        ({"tgt_vocab_size": 5, "pad_token": 5}, r"pad_token must lie in 0\.\.4, got 5"),
    ],
)
def test_wrong_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Seq2SeqTransformer(**(SIZES | wrong))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("tokens", "error", "says"),
    [
        (torch.tensor([[1, 9], [1, 1]]), ValueError, r"tokens must lie in 0\.\.8, got 1\.\.9"),
        (torch.tensor([[1, -1], [1, 1]]), ValueError, r"tokens must lie in 0\.\.8, got -1\.\.1"),
        (torch.ones(2, 3), TypeError, r" must be a tensor of integers, got torch\.float32"),
        (draw(2, 3, 2), ValueError, r" must have shape \(batch, length\), got \(2, 3, 2\)"),
        (draw(2, 13), ValueError, r"max_len=12"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(tokens, error, says):
    model, right = make(), draw(2, 3)
    for call in (model, partial(attention_maps, model)):
        for src, tgt in ((tokens, right), (right, tokens)):
            with pytest.raises(error, match=says):
                call(src, tgt)
    with pytest.raises(error, match=says):
        model.given(tokens)
    with pytest.raises(error, match=says):
        model.given(right)(tokens)


@pytest.mark.usefixtures("unchecked_shapes")
def test_rows_that_are_no_multiple_of_the_sources_are_refused():
    target = make().given(draw(2, 3))
    for rows in (1, 3):
        with pytest.raises(
            ValueError, match=f"tokens must have a multiple of 2 rows, one source each, got {rows}"
        ):
            target(draw(rows, 4))
    with pytest.raises(ValueError, match=r"must have batch . like [a-z]+, got "):
        attention_maps(make(), draw(2, 3), draw(3, 4))


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_source_and_a_target_batch_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"tgt must have batch 2 like src, got 4"):
        make()(draw(2, 3), draw(4, 3))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("tokens", "error", "says"),
    [
        (draw(2), ValueError, r"tokens must have shape .* got \(2,\)"),
        ([[1, 2], [3, 4]], TypeError, "tokens must be a tensor of integers, got list"),
    ],
)
def test_what_is_no_batch_of_target_tokens_is_refused(tokens, error, says):
    with pytest.raises(error, match=says):
        make().given(draw(2, 3))(tokens)


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_cache_that_does_not_fit_is_refused():
    target, tgt = make().given(draw(2, 3)), draw(2, 4)
    with pytest.raises(RuntimeError, match="cache keeps no gradients"):
        target(tgt, cache=target.make_cache(2, 4))
    with torch.no_grad():
        with pytest.raises(ValueError, match="cache must have batch 2 like x, got 1"):
            target(tgt, cache=target.make_cache(1, 4))
        with pytest.raises(ValueError, match="cache has capacity=3"):
            target(tgt, cache=target.make_cache(2, 3))
        with pytest.raises(ValueError, match="cache must have num_layers=2, got 1"):
            target(tgt, cache=make(num_layers=1).given(draw(2, 3)).make_cache(2, 4))
