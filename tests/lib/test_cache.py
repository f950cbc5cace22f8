"""A cache holds what was seen: no step is lost, none is half taken, and rows may change places."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import SIZES, TOLERANCE, draw, randomized, relative_positions
from torch import Tensor

from tutorial_lib.beam_search import beam_search
from tutorial_lib.cache import KVCache, MemoryCache, TokenCache
from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.generation import greedy_search
from tutorial_lib.language_model import TransformerLanguageModel
from tutorial_lib.seq2seq import Seq2SeqTransformer

CACHE: dict[str, Any] = {
    "num_layers": 3,
    "batch_size": 2,
    "num_heads": 2,
    "head_dim": 4,
    "capacity": 5,
}
EXACT: dict[str, Any] = {"atol": 0, "rtol": 0}


def make_cache(**settings: Any) -> KVCache:
    return KVCache(**({"dtype": torch.float64} | CACHE | settings))


def projected(length: int, *, seed: int = 0, batch: int = 2) -> tuple[Tensor, Tensor]:
    """Draw keys and values of new tokens."""
    return draw(batch, 2, length, 4, seed=seed), draw(batch, 2, length, 4, seed=seed + 1)


def make_decoder(**settings: Any) -> TransformerDecoder:
    return randomized(TransformerDecoder(num_layers=3, **(SIZES | settings)).double().eval())


# ---- the room for the tokens --------------------------------------------------------------------


@given(lengths=st.lists(st.integers(1, 3), min_size=1, max_size=5), spare=st.integers(0, 2))
def test_keys_and_values_stand_one_behind_the_other_in_the_room_of_their_layer(lengths, spare):
    cache = make_cache(capacity=sum(lengths) + spare)
    rooms = cache.keys.data_ptr(), cache.values.data_ptr()
    steps = [
        [projected(n, seed=10 * i + layer) for layer in range(3)] for i, n in enumerate(lengths)
    ]
    for step, length in enumerate(lengths):
        before = cache.length
        for layer in range(3):
            seen = cache.tokens(layer).extend(lambda step=step, layer=layer: steps[step][layer])
            for part, tensor in enumerate(seen):
                expected = [steps[i][layer][part] for i in range(step + 1)]
                torch.testing.assert_close(tensor, torch.cat(expected, dim=2), **EXACT)
            assert cache.length == before  # counted once all layers have written
        cache.advance(length)
    assert cache.length == sum(lengths)
    assert (cache.keys.data_ptr(), cache.values.data_ptr()) == rooms


def test_what_is_returned_is_a_view_of_the_room_and_no_copy():
    cache = make_cache()
    key, value = cache.tokens(1).extend(lambda: projected(2))
    assert key.data_ptr() == cache.keys[1].data_ptr()
    assert value.data_ptr() == cache.values[1].data_ptr()


def test_the_last_position_is_filled_and_a_full_cache_says_what_it_holds_and_what_came():
    cache = make_cache(capacity=5)
    cache.tokens(0).extend(lambda: projected(3))
    cache.advance(3)
    held = cache.keys.clone()
    says = "cache has capacity=5: 3 positions are filled, and 3 more came"
    with pytest.raises(ValueError, match=says):
        cache.tokens(0).extend(lambda: projected(3))
    torch.testing.assert_close(cache.keys[0, :, :, :3], held[0, :, :, :3], **EXACT)
    assert cache.tokens(0).extend(lambda: projected(2))[0].shape[2] == 5
    with pytest.raises(
        ValueError, match="cache has capacity=5: 0 positions are filled, and 6 more"
    ):
        make_cache().tokens(0).extend(lambda: projected(6))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("new", "error", "says"),
    [
        (projected(1, batch=3), ValueError, "cache must have batch 3 like x, got 2"),
        (projected(1, batch=1), ValueError, "cache must have batch 1 like x, got 2"),
        (
            [x.float() for x in projected(1)],
            TypeError,
            r"cache must be of torch\.float32 like the keys, got torch\.float64",
        ),
    ],
)
def test_keys_that_do_not_fit_the_cache_are_refused(new, error, says):
    with pytest.raises(error, match=says):
        make_cache().tokens(0).extend(lambda: new)


@pytest.mark.parametrize("part", [0, 1])
def test_gradients_are_not_kept(part):
    new = projected(1)
    new[part].requires_grad_()
    with pytest.raises(
        RuntimeError, match=r"cache keeps no gradients: decode under torch\.no_grad"
    ):
        make_cache().tokens(0).extend(lambda: new)


def test_the_room_has_the_float_type_and_the_device_that_are_named():
    cache = KVCache(**CACHE)
    assert cache.keys.shape == cache.values.shape == (3, 2, 2, 5, 4)
    assert cache.keys.dtype == cache.values.dtype == torch.float32
    assert (cache.capacity, cache.length, cache.left_padding) == (5, 0, None)
    half = KVCache(**CACHE, dtype=torch.float16, device=torch.device("meta"))
    assert half.keys.dtype == half.values.dtype == torch.float16
    assert half.keys.device.type == half.values.device.type == "meta"


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", CACHE)
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (2.0, TypeError, "must be an integer, got float"),
        (True, TypeError, "must be an integer, got bool"),
    ],
)
def test_wrong_sizes_are_refused(name, size, error, says):
    with pytest.raises(error, match=f"{name} {says}"):
        make_cache(**{name: size})


@pytest.mark.usefixtures("unchecked_shapes")
def test_left_padding_is_one_number_for_each_sequence():
    padding = torch.tensor([0, 2])
    assert make_cache(left_padding=padding).left_padding.equal(padding)
    with pytest.raises(ValueError, match=r"left_padding must have shape \(2,\), got \(3,\)"):
        make_cache(left_padding=torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="left_padding must be at least 0, got -1"):
        make_cache(left_padding=torch.tensor([0, -1]))


# ---- the memory ---------------------------------------------------------------------------------


def test_a_memory_is_projected_once_and_stands_at_positions_of_its_own():
    cache, made = MemoryCache(), []

    def project() -> tuple[Tensor, Tensor]:
        made.append(projected(3))
        return made[-1]

    assert [cache.extend(project) is made[0] for _ in range(3)] == [True] * 3
    assert len(made) == 1
    assert cache.start == 0


def test_a_projection_that_fails_leaves_the_memory_unknown():
    cache = MemoryCache()
    with pytest.raises(KeyboardInterrupt):
        cache.extend(interrupt)
    key, _ = projected(3)
    assert cache.extend(lambda: (key, key))[0] is key


def test_every_layer_has_a_memory_of_its_own():
    cache = make_cache()
    assert len({id(memory) for memory in cache.memory}) == 3


# ---- steps of a decoder -------------------------------------------------------------------------


def interrupt(*_: object) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("relative", [None, "rotary", "alibi"])
@pytest.mark.parametrize("part", ["self_attn", "cross_attn", "feed_forward", "norm3"])
@pytest.mark.parametrize("filled", [0, 2])
@torch.no_grad()
def test_an_interrupted_step_leaves_the_cache_as_it_was(filled, part, relative):
    decoder = make_decoder(**relative_positions(relative))
    x, memory = draw(2, 5, 8), draw(2, 4, 8, seed=1)
    expected = decoder(x, memory, is_causal=True)
    cache = decoder.make_cache(2, 5)
    found = [decoder(x[:, :filled], memory, is_causal=True, cache=cache)] if filled else []
    # The second layer breaks off after this part: it has written its keys, the third has not.
    handle = decoder.layers[1].get_submodule(part).register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        decoder(draw(2, 3, 8, seed=9), memory, is_causal=True, cache=cache)  # other tokens
    handle.remove()
    assert cache.length == filled
    found += [
        decoder(token, memory, is_causal=True, cache=cache)
        for token in x[:, filled:].split(1, dim=1)
    ]
    torch.testing.assert_close(torch.cat(found, dim=1), expected, **TOLERANCE)


@torch.no_grad()
def test_a_memory_is_read_by_every_layer_at_the_first_step_alone():
    decoder, calls = make_decoder(), []
    for index, layer in enumerate(decoder.layers):
        layer.cross_attn.k_proj.register_forward_hook(lambda *_, index=index: calls.append(index))
    cache, x, memory = decoder.make_cache(2, 5), draw(2, 5, 8), draw(2, 4, 8, seed=1)
    for token in x.split(1, dim=1):
        decoder(token, memory, is_causal=True, cache=cache)
    assert calls == [0, 1, 2]


# ---- rows that change places --------------------------------------------------------------------


@given(
    rows=st.lists(st.integers(0, 2), min_size=3, max_size=3),
    more=st.lists(st.integers(0, 2), min_size=3, max_size=3),
    relative=st.sampled_from([None, "rotary", "alibi"]),
    filled=st.integers(1, 3),
)
@torch.no_grad()
def test_after_reordering_every_row_goes_on_from_what_another_has_seen(
    rows, more, relative, filled
):
    decoder = make_decoder(**relative_positions(relative))
    x, memory = draw(3, 6, 8), draw(3, 4, 8, seed=1)
    cache = decoder.make_cache(3, 6)
    decoder(x[:, :filled], memory, is_causal=True, cache=cache)
    cache.reorder(torch.tensor(rows))
    seen, sources = x[rows, :filled], memory[rows]
    for order in (more, list(range(3))):
        step = draw(3, 1, 8, seed=seen.shape[1])
        seen = torch.cat([seen, step], dim=1)
        output = decoder(step, is_causal=True, cache=cache)
        expected = decoder(seen, sources, is_causal=True)[:, -1:]
        torch.testing.assert_close(output, expected, **TOLERANCE)
        cache.reorder(torch.tensor(order))
        seen, sources = seen[order], sources[order]


def test_reordering_takes_the_padding_along_and_allocates_no_new_room():
    cache = make_cache(left_padding=torch.tensor([0, 3]))
    rooms = cache.keys.data_ptr(), cache.values.data_ptr()
    for layer in range(3):
        cache.tokens(layer).extend(lambda: projected(4))
    cache.advance(4)
    key, value = cache.keys[:, :, :, :4].clone(), cache.values[:, :, :, :4].clone()
    cache.reorder(torch.tensor([1, 1]))
    assert cache.left_padding.tolist() == [3, 3]
    assert (cache.keys.data_ptr(), cache.values.data_ptr()) == rooms
    for row in range(2):
        torch.testing.assert_close(cache.keys[:, row, :, :4], key[:, 1], **EXACT)
        torch.testing.assert_close(cache.values[:, row, :, :4], value[:, 1], **EXACT)
    assert cache.length == 4


def test_reordering_before_the_first_step_is_harmless():
    cache = make_cache()
    cache.reorder(torch.tensor([1, 0]))
    assert cache.length == 0
    assert all(memory.projected is None for memory in cache.memory)


def test_one_layers_room_may_be_used_alone():
    room = TokenCache(torch.empty(2, 2, 3, 4).double(), torch.empty(2, 2, 3, 4).double(), 0)
    new = projected(3)
    for found, expected in zip(room.extend(lambda: new), new, strict=True):
        torch.testing.assert_close(found, expected, **EXACT)


def test_keys_of_other_heads_are_refused():
    cache = make_cache()
    with pytest.raises(ValueError, match="cache must have 1 heads of width 8 like the keys, got 2"):
        cache.tokens(0).extend(lambda: (draw(2, 1, 1, 8), draw(2, 1, 1, 8)))


def test_the_memory_of_a_first_step_that_failed_is_forgotten():
    decoder, x = make_decoder(), draw(2, 3, 8)
    wrong, memory = draw(2, 4, 8, seed=1), draw(2, 4, 8, seed=2)
    cache = decoder.make_cache(2, 3)

    def interrupt(module, inputs, output):
        raise KeyboardInterrupt

    handle = decoder.layers[1].register_forward_hook(interrupt)
    with torch.no_grad(), pytest.raises(KeyboardInterrupt):
        decoder(x, wrong, is_causal=True, cache=cache)
    handle.remove()
    with torch.no_grad():
        cached = decoder(x, memory, is_causal=True, cache=cache)
        torch.testing.assert_close(cached, decoder(x, memory, is_causal=True), **TOLERANCE)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("rows", "error", "says"),
    [
        ([0, 1], TypeError, "rows must be a tensor of int64, got list"),
        (torch.tensor([0.0, 1.0]), TypeError, r"rows must be a tensor of int64, got torch\.float"),
        (torch.tensor([0]), ValueError, r"rows must hold 2 numbers from 0 to 1, got \[0\]"),
        (torch.tensor([0, -1]), ValueError, r"rows must hold 2 numbers .* got \[0, -1\]"),
        (torch.tensor([0, 7]), ValueError, r"rows must hold 2 numbers .* got \[0, 7\]"),
    ],
)
def test_rows_that_are_not_there_are_refused(rows, error, says):
    with pytest.raises(error, match=says):
        make_cache().reorder(rows)


def test_a_memory_with_gradients_is_refused():
    decoder = make_decoder()
    cache = decoder.make_cache(2, 3)
    with pytest.raises(RuntimeError, match="cache keeps no gradients"):
        decoder.layers[0].cross_attn(draw(2, 3, 8), draw(2, 4, 8), cache=cache.memory[0])


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary", "alibi"])
@torch.no_grad()
def test_under_autocast_the_cache_is_of_the_type_that_the_keys_are(positions):
    torch.manual_seed(0)
    sizes = {"vocab_size": 9, "embed_dim": 16, "num_heads": 2, "num_layers": 2}
    model = TransformerLanguageModel(**sizes, positions=positions).eval()
    tokens = torch.tensor([[1, 2, 3, 4, 5], [8, 7, 6, 5, 4]])
    with torch.autocast("cpu", torch.bfloat16):
        cache = model.make_cache(2, 5)
        parts = [model(part, cache=cache) for part in tokens.split(2, dim=1)]
        expected = model(tokens)
        greedy_search(model, tokens, max_new_tokens=3, left_padding=torch.tensor([0, 2]))
    assert cache.keys.dtype == torch.bfloat16
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, atol=0.1, rtol=0.02)
    assert model.make_cache(2, 5).keys.dtype == torch.float32


def test_under_autocast_beams_are_followed_with_a_cache():
    torch.manual_seed(0)
    sizes = {"src_vocab_size": 9, "embed_dim": 16, "num_heads": 2, "num_layers": 1}
    model = Seq2SeqTransformer(**sizes, pad_token=0).eval()
    with torch.autocast("cpu", torch.bfloat16):
        given = model.given(torch.tensor([[3, 4, 5]]))
        beams = beam_search(given, torch.tensor([[1]]), num_beams=2, max_new_tokens=4)
    assert beams.tokens.shape == (1, 2, 5)
    assert beams.scores.isfinite().all()
