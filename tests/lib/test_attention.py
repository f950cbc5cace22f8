"""Attention equals PyTorch's, keeps its promises for every shape, and survives half precision."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from reference import (
    CROSS_MASKS,
    SELF_MASKS,
    TOLERANCE,
    MaskCase,
    assert_all_close,
    gradients,
    mask_case,
    randomized,
    relative_positions,
)
from torch import nn
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaAttention

from tutorial_lib.attention import (
    MultiheadAttention,
    attention_weights,
    scaled_dot_product_attention,
)
from tutorial_lib.cache import KVCache, MemoryCache
from tutorial_lib.interop import from_torch
from tutorial_lib.interop.torch_masks import to_torch_mask
from tutorial_lib.masks import align_mask, causal_mask, padding_mask
from tutorial_lib.relative_positions import RotaryEmbedding, alibi_bias

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
HALF = {torch.bfloat16: 3e-2, torch.float16: 4e-3}  # a few units in the last place of each
RELATIVE = ["rotary", "alibi"]
seeds = st.integers(0, 2**31)
sizes = st.integers(1, 6)


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def draw_mask(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.5


# ---- worked by hand -----------------------------------------------------------------------------

QUERY = [[0.3367, 0.1288], [0.2345, 0.2303], [-1.1229, -0.1863]]
KEY = [[2.2082, -0.6380], [0.4617, 0.2674], [0.5349, 0.8094]]
VALUE = [[1.1103, -1.6898], [-0.9890, 0.9580], [1.3221, 0.8172]]
WEIGHTS = [[0.4028, 0.2886, 0.3086], [0.3538, 0.3069, 0.3393], [0.1303, 0.4630, 0.4067]]
OUTPUT = [[0.5698, -0.1520], [0.5379, -0.0265], [0.2246, 0.5556]]


def test_the_printed_numbers_give_the_printed_attention():
    query, key, value = (torch.tensor(rows, dtype=torch.float64) for rows in (QUERY, KEY, VALUE))
    output, weights = scaled_dot_product_attention(query, key, value)
    # The inputs are rounded to four decimals too, so the last one may differ by one.
    torch.testing.assert_close(weights, torch.tensor(WEIGHTS).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(output, torch.tensor(OUTPUT).double(), atol=1e-4, rtol=0)


def test_the_draws_of_seed_42_give_the_printed_numbers_to_four_decimals():
    torch.manual_seed(42)
    query, key, value = (torch.randn(3, 2) for _ in range(3))
    output, weights = scaled_dot_product_attention(query, key, value)
    expected = (QUERY, KEY, VALUE, WEIGHTS, OUTPUT)
    for tensor, rows in zip((query, key, value, weights, output), expected, strict=True):
        torch.testing.assert_close(tensor, torch.tensor(rows), atol=5.1e-5, rtol=0)


# ---- equal to PyTorch ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SELF_MASKS)
def test_scaled_dot_product_attention_equals_torch(kind, record_equality):
    batch, heads, length = 3, 2, 5
    mask = mask_case(kind, batch=batch, heads=heads, query=length, key=length).ours
    shapes = (batch, heads, length, 4), (batch, heads, length, 4), (batch, heads, length, 6)
    upstream = draw(batch, heads, length, 6, seed=9)
    results = []
    for theirs in (False, True):
        inputs = [draw(*shape, seed=i).requires_grad_() for i, shape in enumerate(shapes)]
        if theirs:
            aligned = mask[:, None] if kind == "3-D" else mask
            output = F.scaled_dot_product_attention(*inputs, attn_mask=aligned)
        else:
            output, _ = scaled_dot_product_attention(*inputs, attn_mask=mask)
        output.backward(upstream)
        grads = {f"d{name}": x.grad for name, x in zip("qkv", inputs, strict=True)}
        results.append({"output": output} | grads)
    largest = assert_all_close(*results)
    record_equality(module="scaled_dot_product_attention", mask=kind, largest=largest)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("heads", [1, 3])  # three heads are as many as there are sequences
@pytest.mark.parametrize("kind", SELF_MASKS)
def test_self_attention_equals_torch(kind, heads, bias, record_equality):
    batch, length = 3, 5
    theirs = randomized(nn.MultiheadAttention(12, heads, bias=bias, batch_first=True).double())
    mask = mask_case(kind, batch=batch, heads=heads, query=length, key=length)
    inputs = {"query": draw(batch, length, 12)}
    largest = compare_with_torch(theirs, inputs, mask)
    record_equality(module="MultiheadAttention", mask=kind, largest=largest)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("widths", [{}, {"kdim": 7}, {"vdim": 9}, {"kdim": 7, "vdim": 9}])
@pytest.mark.parametrize("kind", CROSS_MASKS)
def test_cross_attention_equals_torch(kind, widths, bias, record_equality):
    batch, query, key, heads = 2, 4, 6, 2
    theirs = nn.MultiheadAttention(8, heads, bias=bias, batch_first=True, **widths).double()
    inputs = {
        "query": draw(batch, query, 8, seed=1),
        "key": draw(batch, key, widths.get("kdim", 8), seed=2),
        "value": draw(batch, key, widths.get("vdim", 8), seed=3),
    }
    mask = mask_case(kind, batch=batch, heads=heads, query=query, key=key)
    largest = compare_with_torch(randomized(theirs), inputs, mask)
    record_equality(module="MultiheadAttention, cross", mask=kind, largest=largest)


def compare_with_torch(theirs, inputs, mask):
    """Compare outputs, weights and all gradients; also those of the path without weights."""
    results = [
        run_ours(from_torch(theirs), inputs, mask.ours),
        run_theirs(theirs, inputs, mask),
    ]
    largest = assert_all_close(*results)
    # Without weights the loss has no weights in it, so the explicit path is run anew.
    fused = run_ours(from_torch(theirs), inputs, mask.ours, need_weights=False)
    explicit = run_ours(from_torch(theirs), inputs, mask.ours, loss_on_weights=False)
    del explicit["weights"]
    return max(largest, assert_all_close(fused, explicit))


def run_ours(module, inputs, mask, *, need_weights=True, loss_on_weights=True, is_causal=False):
    inputs = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    output, weights = module(
        **inputs, attn_mask=mask, is_causal=is_causal, need_weights=need_weights
    )
    assert (weights is not None) == need_weights
    return collect(module, inputs, output, weights, loss_on_weights)


def run_theirs(module, inputs, mask):
    inputs = {name: x.clone().requires_grad_() for name, x in inputs.items()}
    query = inputs["query"]
    output, weights = module(
        query,
        inputs.get("key", query),
        inputs.get("value", query),
        attn_mask=mask.attn_mask,
        key_padding_mask=mask.key_padding_mask,
        average_attn_weights=False,
    )
    return collect(module, inputs, output, weights, True)


def collect(module, inputs, output, weights, loss_on_weights):
    loss = (output * draw(*output.shape, seed=4)).sum()
    if weights is not None and loss_on_weights:
        loss = loss + (weights * draw(*weights.shape, seed=5)).sum()
    module.zero_grad()
    loss.backward()
    results = {"output": output.detach()} | gradients(module)
    if weights is not None:
        results["weights"] = weights.detach()
    return results | {f"d{name}": x.grad for name, x in inputs.items()}


@pytest.mark.parametrize("name", ["causal", "is_causal"])
def test_is_causal_equals_the_causal_mask_and_torch(name, record_equality):
    theirs = randomized(nn.MultiheadAttention(8, 2, batch_first=True).double())
    ours, x = from_torch(theirs), draw(3, 5, 8)
    hidden = torch.ones(5, 5).triu(1).bool()
    expected, maps = theirs(x, x, x, attn_mask=hidden, average_attn_weights=False)
    settings = {"is_causal": True} if name == "is_causal" else {"attn_mask": causal_mask(5)}
    output, weights = ours(x, need_weights=True, **settings)
    largest = max(
        assert_all_close({"o": output, "w": weights}, {"o": expected, "w": maps}),
        assert_all_close({"o": ours(x, **settings)[0]}, {"o": expected}),
    )
    record_equality(module="MultiheadAttention", mask=name, largest=largest)


@pytest.mark.parametrize("kind", SELF_MASKS)
@pytest.mark.parametrize("need_weights", [False, True])
def test_is_causal_adds_to_the_mask(kind, need_weights):
    module = randomized(MultiheadAttention(6, 3).double())
    x = draw(3, 5, 6)  # as many heads as sequences
    mask = mask_case(kind, batch=3, heads=3, query=5, key=5).ours
    both = torch.ones(3, 3, 5, 5).bool()
    if mask is not None:
        both &= mask[:, None] if mask.ndim == 3 else mask
    both &= causal_mask(5)
    output, _ = module(x, attn_mask=mask, is_causal=True, need_weights=need_weights)
    expected, _ = module(x, attn_mask=both, need_weights=need_weights)
    torch.testing.assert_close(output, expected, **TOLERANCE)


def test_key_defaults_to_the_query_and_value_to_the_key():
    module = randomized(MultiheadAttention(6, 2).double())
    x, memory = draw(2, 4, 6), draw(2, 3, 6, seed=1)
    torch.testing.assert_close(module(x)[0], module(x, x, x)[0], atol=0, rtol=0)
    torch.testing.assert_close(module(x, memory)[0], module(x, memory, memory)[0], atol=0, rtol=0)


# ---- scores that depend on the distance ---------------------------------------------------------


def aligned_or_free(mask, shape):
    """Write a mask, or none, for every score."""
    return (torch.ones(1, 1).bool() if mask is None else align_mask(mask, shape)).expand(shape)


@pytest.mark.parametrize("axes", [2, 3, 4])
@pytest.mark.parametrize("kind", SELF_MASKS)
def test_a_bias_on_the_scores_equals_torchs_mask_of_floats(kind, axes, record_equality):
    shape = (3, 2, 5, 5)
    mask = mask_case(kind, batch=3, heads=2, query=5, key=5).ours
    results = []
    for theirs in (False, True):
        inputs = [draw(3, 2, 5, 4, seed=i).requires_grad_() for i in range(3)]
        query, key, value = inputs
        bias = draw(*shape[-axes:], seed=3).requires_grad_()
        if theirs:
            hidden = ~aligned_or_free(mask, shape)
            floats = bias.expand(shape).masked_fill(hidden, -math.inf)
            output = F.scaled_dot_product_attention(query, key, value, attn_mask=floats)
        else:
            output = attention_weights(query, key, mask, score_bias=bias) @ value
        output.backward(draw(3, 2, 5, 4, seed=9))
        grads = {f"d{name}": x.grad for name, x in zip("qkvb", [*inputs, bias], strict=True)}
        results.append({"output": output} | grads)
    largest = assert_all_close(*results)
    record_equality(module="attention_weights, score_bias", mask=kind, largest=largest)


@pytest.mark.parametrize("heads", [2, 4])
@pytest.mark.parametrize("kind", SELF_MASKS)
def test_alibi_equals_torch_with_a_mask_of_floats(kind, heads, record_equality):
    theirs = randomized(nn.MultiheadAttention(8, heads, batch_first=True).double())
    mask = mask_case(kind, batch=3, heads=heads, query=5, key=5).ours
    hidden = to_torch_mask(aligned_or_free(mask, (3, heads, 5, 5)), (3, heads, 5, 5))
    slope = torch.tensor([2.0 ** (-8 * h / heads) for h in range(1, heads + 1)]).double()
    position = torch.arange(5)
    bias = -slope[:, None, None] * (position[:, None] - position).abs()
    floats = bias.repeat(3, 1, 1).masked_fill(hidden, -math.inf)
    ours = MultiheadAttention(8, heads, position_bias=partial(alibi_bias, heads)).double()
    ours.load_state_dict(from_torch(theirs).state_dict())
    inputs = {"query": draw(3, 5, 8)}
    largest = assert_all_close(
        run_ours(ours, inputs, mask), run_theirs(theirs, inputs, MaskCase(mask, floats))
    )
    record_equality(module="MultiheadAttention, alibi", mask=kind, largest=largest)


def in_our_names(llamas):
    return {name.replace("o_proj", "out_proj"): tensor for name, tensor in llamas.items()}


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("kind", SELF_MASKS)
def test_rotary_attention_equals_llamas(kind, heads, record_equality):
    config = LlamaConfig(
        hidden_size=12, num_attention_heads=heads, attention_bias=True, attn_implementation="sdpa"
    )
    theirs = randomized(LlamaAttention(config, layer_idx=0).double())
    rotation = RotaryEmbedding(12 // heads)
    ours = MultiheadAttention(12, heads, rotation=rotation).double()
    ours.load_state_dict(in_our_names(theirs.state_dict()))
    mask = mask_case(kind, batch=3, heads=heads, query=5, key=5).ours
    # Llama is handed our tables; that they are its own is shown in test_positions.py.
    settings = {
        "position_embeddings": (rotation.cos[None, :5], rotation.sin[None, :5]),
        "attention_mask": aligned_or_free(mask, (3, heads, 5, 5)),
    }
    x, y = (draw(3, 5, 12).requires_grad_() for _ in range(2))
    outputs = ours(x, attn_mask=mask)[0], theirs(y, **settings)[0]
    for output in outputs:
        output.backward(draw(3, 5, 12, seed=4))
    largest = assert_all_close(
        {"output": outputs[0], "dx": x.grad} | gradients(ours),
        {"output": outputs[1], "dx": y.grad} | in_our_names(gradients(theirs)),
    )
    record_equality(module="MultiheadAttention, rotary", mask=kind, largest=largest)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("relative", RELATIVE)
@pytest.mark.parametrize("kind", SELF_MASKS)
def test_both_paths_agree_on_relative_positions(kind, relative, is_causal):
    module = MultiheadAttention(12, 3, **relative_positions(relative, 12, 3))
    module = randomized(module.double())
    mask = mask_case(kind, batch=3, heads=3, query=5, key=5).ours  # as many heads as sequences
    inputs, settings = {"query": draw(3, 5, 12)}, {"is_causal": is_causal}
    fused = run_ours(module, inputs, mask, need_weights=False, **settings)
    explicit = run_ours(module, inputs, mask, loss_on_weights=False, **settings)
    weights = explicit.pop("weights")
    assert_all_close(fused, explicit)
    if is_causal:
        assert (weights.triu(1) == 0).all()


@pytest.mark.parametrize("relative", RELATIVE)
@given(length=st.integers(2, 6), seed=seeds)
def test_a_text_read_backwards_is_the_same_to_alibi_and_another_to_rotation(relative, length, seed):
    module = MultiheadAttention(8, 2, **relative_positions(relative, 8, 2)).double()
    randomized(module, seed=seed % 1000)
    x = draw(2, length, 8, seed=seed)
    output, backwards = module(x)[0], module(x.flip(1))[0].flip(1)
    assert torch.allclose(backwards, output) == (relative == "alibi")


@pytest.mark.parametrize("relative", RELATIVE)
@given(length=st.integers(3, 6), seed=seeds)
def test_with_relative_positions_the_order_of_the_tokens_counts(relative, length, seed):
    module = MultiheadAttention(8, 2, **relative_positions(relative, 8, 2)).double()
    randomized(module, seed=seed % 1000)
    x = draw(2, length, 8, seed=seed)
    assert not torch.allclose(module(x.roll(1, dims=1))[0].roll(-1, dims=1), module(x)[0])


@pytest.mark.parametrize("relative", RELATIVE)
def test_relative_positions_add_nothing_to_the_state_dict(relative):
    module = MultiheadAttention(8, 2, **relative_positions(relative, 8, 2))
    assert module.state_dict().keys() == MultiheadAttention(8, 2).state_dict().keys()


# ---- with a cache -------------------------------------------------------------------------------


def masks_for(length: int, *, seed: int) -> st.SearchStrategy:
    """Draw a mask over three sequences and two heads; rows may be empty."""
    lengths = torch.randint(length + 1, (3,), generator=torch.Generator().manual_seed(seed))
    masks = {
        "none": None,
        "padding": padding_mask(lengths, length),
        "left padding": padding_mask(lengths, length, side="left"),
        "4-D": draw_mask(3, 2, length, length, seed=seed),
    }
    return st.sampled_from(sorted(masks)).map(masks.get)


@pytest.mark.parametrize("relative", [None, *RELATIVE])
@given(data=st.data(), length=st.integers(1, 7), need_weights=st.booleans(), seed=seeds)
def test_tokens_fed_in_parts_attend_as_the_whole(relative, data, length, need_weights, seed):
    ends = data.draw(st.sets(st.integers(1, length)), label="ends") | {length}
    mask = data.draw(masks_for(length, seed=seed), label="mask")
    module = MultiheadAttention(8, 2, **relative_positions(relative, 8, 2)).double()
    randomized(module, seed=seed % 1000)
    x = draw(3, length, 8, seed=seed)
    cache = KVCache(
        num_layers=1, batch_size=3, num_heads=2, head_dim=4, capacity=length, dtype=x.dtype
    )
    with torch.no_grad():
        whole, weights = module(x, attn_mask=mask, is_causal=True, need_weights=True)
        start = 0
        for end in sorted(ends):
            rows = slice(start if mask is not None and mask.shape[2] > 1 else 0, end)
            part, part_weights = module(
                x[:, start:end],
                attn_mask=None if mask is None else mask[:, :, rows, :end],
                is_causal=True,
                need_weights=need_weights,
                cache=cache.tokens(0),
            )
            cache.advance(end - start)
            torch.testing.assert_close(part, whole[:, start:end], **TOLERANCE)
            if need_weights:
                seen = weights[:, :, start:end, :end]
                torch.testing.assert_close(part_weights, seen, **TOLERANCE)
            start = end


@pytest.mark.parametrize("need_weights", [False, True])
def test_keys_and_values_of_a_memory_are_computed_once(need_weights):
    module = randomized(MultiheadAttention(8, 2, kdim=5, vdim=6).double())
    memory, values = draw(2, 4, 5), draw(2, 4, 6, seed=1)
    mask = padding_mask(torch.tensor([4, 2]))
    settings = {"attn_mask": mask, "need_weights": need_weights}
    steps = [draw(2, length, 8, seed=length) for length in (1, 3, 1)]
    expected = [module(x, memory, values, **settings)[0] for x in steps]
    calls: list[str] = []
    for name in ("k_proj", "v_proj"):
        module.get_submodule(name).register_forward_hook(lambda *_, name=name: calls.append(name))
    cache = MemoryCache()
    with torch.no_grad():
        outputs = [module(x, memory, values, cache=cache, **settings)[0] for x in steps]
    assert calls == ["k_proj", "v_proj"]
    for output, uncached in zip(outputs, expected, strict=True):
        torch.testing.assert_close(output, uncached, **TOLERANCE)


# ---- properties ---------------------------------------------------------------------------------


@given(query=sizes, key=sizes, width=sizes, seed=seeds)
def test_the_output_lies_among_the_values(query, key, width, seed):
    q, k, v = (
        draw(query, width, seed=seed),
        draw(key, width, seed=seed + 1),
        draw(key, 3, seed=seed),
    )
    output, _ = scaled_dot_product_attention(q, k, v)
    assert (output <= v.max(dim=0).values + 1e-12).all()
    assert (output >= v.min(dim=0).values - 1e-12).all()


@given(batch=sizes, length=sizes, heads=st.integers(1, 3), seed=seeds)
def test_attention_follows_a_permutation_of_its_tokens(batch, length, heads, seed):
    module = randomized(MultiheadAttention(6, heads).double(), seed=seed % 1000)
    x = draw(batch, length, 6, seed=seed)
    order = torch.randperm(length, generator=torch.Generator().manual_seed(seed))
    output, weights = module(x, need_weights=True)
    moved, moved_weights = module(x[:, order], need_weights=True)
    torch.testing.assert_close(moved, output[:, order], **TOLERANCE)
    torch.testing.assert_close(moved_weights, weights[:, :, order][..., order], **TOLERANCE)


@given(
    length=st.integers(2, 7),
    data=st.data(),
    need_weights=st.booleans(),
    as_mask=st.booleans(),
    seed=seeds,
)
def test_future_tokens_do_not_change_earlier_outputs(length, data, need_weights, as_mask, seed):
    now = data.draw(st.integers(1, length - 1))
    module = randomized(MultiheadAttention(6, 2).double(), seed=seed % 1000)
    settings = {"attn_mask": causal_mask(length)} if as_mask else {"is_causal": True}
    x = draw(2, length, 6, seed=seed)
    changed = x.clone()
    changed[:, now:] = draw(2, length - now, 6, seed=seed + 1)
    before, _ = module(x, need_weights=need_weights, **settings)
    after, _ = module(changed, need_weights=need_weights, **settings)
    torch.testing.assert_close(after[:, :now], before[:, :now], **TOLERANCE)
    assert not torch.allclose(after[:, now:], before[:, now:])


@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4), explicit=st.booleans())
def test_padding_does_not_change_real_tokens(lengths, explicit):
    module = randomized(MultiheadAttention(6, 2).double())
    x = draw(len(lengths), 6, 6)
    mask = padding_mask(torch.tensor(lengths), 6)
    padded, _ = module(x, attn_mask=mask, need_weights=explicit)
    for row, length in enumerate(lengths):
        alone, _ = module(x[row : row + 1, :length], need_weights=explicit)
        torch.testing.assert_close(padded[row : row + 1, :length], alone, **TOLERANCE)


def test_forward_stores_nothing_on_the_module():
    module = MultiheadAttention(8, 2)
    before = [set(vars(part)) for part in module.modules()]
    module(torch.randn(2, 3, 8), need_weights=True)
    assert [set(vars(part)) for part in module.modules()] == before
    assert not list(module.buffers())


def test_the_state_dict_goes_round():
    module, other = MultiheadAttention(8, 2, kdim=3), MultiheadAttention(8, 2, kdim=3)
    other.load_state_dict(module.state_dict())
    x, memory, values = torch.randn(2, 3, 8), torch.randn(2, 4, 3), torch.randn(2, 4, 8)
    ours, theirs = module(x, memory, values)[0], other(x, memory, values)[0]
    torch.testing.assert_close(ours, theirs, atol=0, rtol=0)


def test_weights_start_xavier_uniform_and_biases_at_zero():
    module = MultiheadAttention(64, 4, kdim=16)
    for projection in (module.q_proj, module.k_proj, module.v_proj, module.out_proj):
        bound = math.sqrt(6 / (projection.in_features + projection.out_features))
        reached = projection.weight.abs().max()
        assert 0.9 * bound < reached <= bound
        assert (projection.bias == 0).all()


# ---- dropout ------------------------------------------------------------------------------------


@pytest.mark.parametrize("explicit", [True, False])
def test_dropout_acts_on_the_weights_while_training_only(explicit):
    module = randomized(MultiheadAttention(8, 2, dropout=0.5).double())
    x = draw(2, 6, 8)
    quiet = MultiheadAttention(8, 2).double()
    quiet.load_state_dict(module.state_dict())
    expected, _ = quiet(x, need_weights=explicit)
    assert not torch.allclose(module(x, need_weights=explicit)[0], expected)
    output, _ = module.eval()(x, need_weights=explicit)
    torch.testing.assert_close(output, expected, **TOLERANCE)


def test_the_returned_weights_are_those_before_dropout():
    module = randomized(MultiheadAttention(8, 2, dropout=0.5).double())
    weights = module(draw(2, 6, 8), need_weights=True)[1]
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 6).double(), **TOLERANCE)


# ---- half precision and empty rows --------------------------------------------------------------


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("kind", SELF_MASKS)
@pytest.mark.parametrize("dtype", HALF)
def test_half_precision_is_finite_and_close_to_float64(dtype, kind, explicit):
    batch, heads, length = 2, 2, 6
    mask = mask_case(kind, batch=batch, heads=heads, query=length, key=length).ours
    module = from_torch(nn.MultiheadAttention(16, heads, batch_first=True)).to(dtype)
    x = draw(batch, length, 16, dtype=dtype)
    output, _ = module(x, attn_mask=mask, need_weights=explicit)
    expected, _ = module.double()(x.double(), attn_mask=mask, need_weights=explicit)
    assert output.dtype == dtype
    torch.testing.assert_close(output.double(), expected, atol=HALF[dtype], rtol=HALF[dtype])


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("relative", RELATIVE)
@pytest.mark.parametrize("kind", SELF_MASKS)
@pytest.mark.parametrize("dtype", HALF)
def test_relative_positions_are_finite_in_half_precision_and_close_to_float64(
    dtype, kind, relative, explicit
):
    batch, heads, length = 2, 2, 6
    mask = mask_case(kind, batch=batch, heads=heads, query=length, key=length).ours
    torch.manual_seed(0)
    module = MultiheadAttention(16, heads, **relative_positions(relative, 16, heads)).to(dtype)
    x = draw(batch, length, 16, dtype=dtype)
    output, _ = module(x, attn_mask=mask, need_weights=explicit)
    expected, _ = module.double()(x.double(), attn_mask=mask, need_weights=explicit)
    assert output.dtype == dtype
    torch.testing.assert_close(output.double(), expected, atol=HALF[dtype], rtol=HALF[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_query_without_keys_gets_exact_zeros(dtype):
    inputs = [draw(2, 3, 4, seed=i, dtype=dtype).requires_grad_() for i in range(3)]
    mask = torch.ones(2, 3, 3).bool()
    mask[0, 1] = False
    mask[1] = False
    output, weights = scaled_dot_product_attention(*inputs, attn_mask=mask)
    for tensor in (output, weights):
        assert (tensor[0, 1] == 0).all()
        assert (tensor[1] == 0).all()
        assert (tensor[0, [0, 2]] != 0).all()
    (output.sum() + (weights * draw(2, 3, 3, dtype=dtype)).sum()).backward()
    query, key, value = (tensor.grad for tensor in inputs)
    assert all(gradient.isfinite().all() for gradient in (query, key, value))
    assert (query[0, 1] == 0).all()
    assert (query[0, [0, 2]] != 0).any()
    assert all((gradient[1] == 0).all() for gradient in (query, key, value))


def test_no_nan_appears_and_is_hidden_on_the_way_back():
    x = draw(2, 3, 4).requires_grad_()
    mask = padding_mask(torch.tensor([3, 0]))[:, 0]
    output, _ = scaled_dot_product_attention(x, x, x, mask)
    with pytest.warns(UserWarning, match="Anomaly Detection"), torch.autograd.detect_anomaly():
        output.sum().backward()  # raises where a step of the way gives NaN


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_token_without_keys_gets_the_output_bias_and_a_zero_gradient(dtype, explicit):
    module = randomized(MultiheadAttention(8, 2)).to(dtype)
    seen = []
    module.out_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    query = draw(2, 3, 8, dtype=dtype).requires_grad_()
    memory = draw(2, 5, 8, seed=1, dtype=dtype).requires_grad_()
    mask = torch.ones(2, 3, 5).bool()
    mask[0, 1] = False
    mask[1] = False
    output, weights = module(query, memory, attn_mask=mask, need_weights=explicit)
    (attended,) = seen
    for rows in (attended[0, 1], attended[1]):
        assert (rows == 0).all()
    assert (output[1] == module.out_proj.bias).all()
    if explicit:
        assert (weights[0, :, 1] == 0).all()
        assert (weights[1] == 0).all()
    output.sum().backward()
    for tensor in (query, memory, *module.parameters()):
        assert tensor.grad.isfinite().all()
    assert (query.grad[0, 1] == 0).all()
    assert (query.grad[1] == 0).all()
    assert (memory.grad[1] == 0).all()
    assert (memory.grad[0] != 0).any()


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("relative", RELATIVE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_token_without_keys_gets_the_output_bias_also_with_relative_positions(
    dtype, relative, is_causal, explicit
):
    module = MultiheadAttention(8, 2, **relative_positions(relative, 8, 2))
    module = randomized(module).to(dtype)
    seen = []
    module.out_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    x = draw(2, 3, 8, dtype=dtype).requires_grad_()
    mask = torch.ones(2, 3, 3).bool()
    mask[0, 1] = False
    mask[1] = False
    output, weights = module(x, attn_mask=mask, is_causal=is_causal, need_weights=explicit)
    (attended,) = seen
    for rows in (attended[0, 1], attended[1]):
        assert (rows == 0).all()
    assert (output[0, 1] == module.out_proj.bias).all()
    if explicit:
        assert (weights[0, :, 1] == 0).all()
        assert (weights[1] == 0).all()
    output.sum().backward()
    for tensor in (x, *module.parameters()):
        assert tensor.grad.isfinite().all()
    assert (x.grad[1] == 0).all()
    assert (x.grad[0] != 0).any()


@pytest.mark.parametrize("relative", [None, *RELATIVE])
@pytest.mark.parametrize("dtype", DTYPES)
def test_both_paths_agree_also_where_rows_are_empty(dtype, relative):
    module = MultiheadAttention(8, 2, **relative_positions(relative, 8, 2))
    module = randomized(module).to(dtype)
    mask = draw_mask(2, 2, 4, 4, seed=3)
    mask[0, 0, 2] = False  # a row that is empty in one head only
    results = []
    for explicit in (True, False):
        x = draw(2, 4, 8, dtype=dtype).requires_grad_()
        output, _ = module(x, attn_mask=mask, need_weights=explicit)
        output.sum().backward()
        results.append((output.detach().double(), x.grad.double()))
    tolerance = {**HALF, torch.float32: 1e-5, torch.float64: 1e-10}[dtype]
    for explicit, fused in zip(*results, strict=True):
        scale = float(explicit.abs().max())
        torch.testing.assert_close(fused, explicit, atol=tolerance * scale, rtol=tolerance)


# ---- wrong input --------------------------------------------------------------------------------

FLOAT_MASK = torch.zeros(3, 3)
BAD_MASKS = [
    (FLOAT_MASK, TypeError, r"attn_mask must be boolean.*got torch\.float32"),
    (FLOAT_MASK.bool().tolist(), TypeError, "attn_mask must be boolean.*got list"),
    (torch.ones(3).bool(), ValueError, r"attn_mask must broadcast.*got \(3,\)"),
    (torch.ones(2, 3).bool(), ValueError, r"attn_mask must broadcast.*got \(2, 3\)"),
    (torch.ones(5, 3, 3).bool(), ValueError, r"attn_mask must broadcast.*got \(5, 3, 3\)"),
    (torch.ones(2, 5, 3, 3).bool(), ValueError, r"attn_mask must.*got \(2, 5, 3, 3\)"),
]


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("query", "key", "says"),
    [
        ((4,), (3, 4), r"query must have shape \(\.\.\., query, head_dim\), got \(4,\)"),
        ((2, 4), (4,), r"key must have shape \(key, 4\) to fit query \(2, 4\), got \(4,\)"),
        ((2, 4), (3, 5), r"key must have shape \(key, 4\).*got \(3, 5\)"),
        ((2, 3, 4), (5, 3, 4), r"key must have shape \(2, key, 4\).*got \(5, 3, 4\)"),
        ((2, 3, 4), (3, 4), r"key must have shape \(2, key, 4\).*got \(3, 4\)"),
    ],
)
def test_queries_and_keys_that_do_not_fit_are_refused(query, key, says):
    with pytest.raises(ValueError, match=says):
        attention_weights(torch.zeros(query), torch.zeros(key))
    with pytest.raises(ValueError, match=says):
        scaled_dot_product_attention(torch.zeros(query), torch.zeros(key), torch.zeros(key))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("value", [(4, 4), (2, 3, 4), (3,)])
def test_values_that_do_not_fit_the_keys_are_refused(value):
    with pytest.raises(ValueError, match=r"value must have one row for each key.*\(3, 4\), got"):
        scaled_dot_product_attention(torch.zeros(2, 4), torch.zeros(3, 4), torch.zeros(value))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(("mask", "error", "says"), BAD_MASKS)
def test_a_mask_that_does_not_fit_is_refused(mask, error, says):
    x = torch.zeros(2, 2, 3, 4)
    with pytest.raises(error, match=says):
        attention_weights(x, x, mask)
    with pytest.raises(error, match=says):
        scaled_dot_product_attention(x, x, x, mask)
    module = MultiheadAttention(4, 2)
    for explicit in (True, False):
        for causal in (True, False):
            with pytest.raises(error, match=says):
                module(x[0], attn_mask=mask, need_weights=explicit, is_causal=causal)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", ["embed_dim", "num_heads", "kdim", "vdim"])
@pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (-4, ValueError, "must be at least 1, got -4"),
        (4.0, TypeError, "must be an integer, got float"),
        (True, TypeError, "must be an integer, got bool"),
    ],
)
def test_wrong_sizes_are_refused(name, size, error, says):
    with pytest.raises(error, match=f"{name} {says}"):
        MultiheadAttention(**{"embed_dim": 8, "num_heads": 2, name: size})


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="num_heads must divide embed_dim=8, got 3"):
        MultiheadAttention(8, 3)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, math.nan])
def test_a_dropout_outside_0_1_is_refused(dropout):
    with pytest.raises(ValueError, match=f"dropout must be at least 0 and below 1, got {dropout}"):
        MultiheadAttention(8, 2, dropout=dropout)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("shapes", "says"),
    [
        (((2, 8), None, None), r"query must have shape \(batch, length, 8\), got \(2, 8\)"),
        (((2, 3, 7), None, None), r"query must have shape \(batch, length, 8\), got \(2, 3, 7\)"),
        (((2, 3, 8), None, None), r"key must have shape \(batch, length, 5\), got \(2, 3, 8\)"),
        (((2, 3, 8), (2, 4, 5), None), r"value must have shape \(batch, length, 6\), got"),
        (((2, 3, 8), (3, 4, 5), (3, 4, 6)), "key must have batch 2 like query, got 3"),
        (((2, 3, 8), (2, 4, 5), (2, 3, 6)), r"value must have one row for each key.*\(2, 3, 6\)"),
        (((2, 3, 8), (2, 4, 5), (1, 4, 6)), r"value must have one row for each key.*\(1, 4, 6\)"),
    ],
)
def test_inputs_that_do_not_fit_the_module_are_refused(shapes, says):
    module = MultiheadAttention(8, 2, kdim=5, vdim=6)
    inputs = (None if shape is None else torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=says):
        module(*inputs)


@pytest.mark.parametrize("explicit", [True, False])
def test_is_causal_is_refused_where_queries_and_keys_differ_in_number(explicit):
    module = MultiheadAttention(8, 2)
    with pytest.raises(ValueError, match=r"is_causal needs.*got 4 keys for 3 queries"):
        module(torch.zeros(2, 3, 8), torch.zeros(2, 4, 8), is_causal=True, need_weights=explicit)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize(
    "wrong", [[[0.0] * 4] * 3, torch.zeros(3, 4).long(), torch.zeros(3, 4).double()]
)
def test_inputs_that_are_not_tensors_of_one_float_type_are_refused(wrong, position):
    inputs: list = [torch.zeros(3, 4)] * 3
    inputs[position] = wrong
    with pytest.raises(TypeError, match=r"^(query|key|value) must be "):
        scaled_dot_product_attention(*inputs)
    if position < 2:
        with pytest.raises(TypeError, match=r"^(query|key) must be "):
            attention_weights(*inputs[:2])


@pytest.mark.usefixtures("unchecked_shapes")
def test_the_module_refuses_what_is_not_a_tensor():
    x, module = torch.zeros(2, 3, 8), MultiheadAttention(8, 2)
    for inputs, name in ((([0.0],), "query"), ((x, [0.0]), "key"), ((x, x, [0.0]), "value")):
        with pytest.raises(TypeError, match=f"^{name} must be a tensor, got list$"):
            module(*inputs)


@pytest.mark.parametrize("relative", ["rotary", "alibi"])
def test_relative_positions_are_of_one_sequence(relative):
    attention = MultiheadAttention(8, 2, **relative_positions(relative, 8, 2))
    with pytest.raises(ValueError, match="key must be left out with rotation or position_bias"):
        attention(torch.zeros(2, 3, 8), torch.zeros(2, 3, 8))


@torch.no_grad()
def test_a_cache_of_another_batch_is_refused():
    attention, memory = MultiheadAttention(8, 2), MemoryCache()
    attention(torch.zeros(2, 3, 8), torch.zeros(2, 4, 8), cache=memory)
    with pytest.raises(ValueError, match="cache must have batch 1 like query, got 2"):
        attention(torch.zeros(1, 3, 8), cache=memory)
