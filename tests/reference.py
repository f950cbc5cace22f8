"""PyTorch's modules as the reference: masks in both conventions, gradients under our names."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn

from tutorial_lib.interop import from_torch
from tutorial_lib.masks import (
    causal_mask,
    combine_masks,
    padding_mask,
    prefix_mask,
    sliding_window_mask,
)
from tutorial_lib.relative_positions import RotaryEmbedding, alibi_bias

Module = TypeVar("Module", bound=nn.Module)
Masks = tuple[dict[str, Any], dict[str, Any]]  # arguments for ours, and for PyTorch's

TOLERANCE: dict[str, Any] = {"atol": 1e-10, "rtol": 1e-10}


# ---- what the layers and stacks are tested with -------------------------------------------------

SIZES: dict[str, Any] = {"embed_dim": 8, "num_heads": 2, "dim_feedforward": 12}
# An epsilon of its own shows a norm that was built with another.
TORCH_SETTINGS: dict[str, Any] = {"dropout": 0.0, "batch_first": True, "layer_norm_eps": 1e-2}

norm_orders = pytest.mark.parametrize("norm_first", [True, False], ids=["pre-norm", "post-norm"])
float_types = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
wrong_sizes = pytest.mark.parametrize(
    ("size", "error", "says"),
    [
        (0, ValueError, "must be at least 1, got 0"),
        (8.0, TypeError, "must be an integer, got float"),
        (True, TypeError, "must be an integer, got bool"),
    ],
)
wrong_settings = pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"num_heads": 3}, "num_heads must divide embed_dim=8, got 3"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1\.0"),
        ({"dropout": -0.5}, r"dropout must be at least 0 and below 1, got -0\.5"),
        (
            {"activation": "tanh"},
            r"activation must be one of \['gelu', 'gelu_tanh', 'relu'\], got 'tanh'",
        ),
        (
            {"activation": ["relu"]},
            r"activation must be one of \['gelu', 'gelu_tanh', 'relu'\], got \[",
        ),
        ({"layer_norm_eps": 0.0}, r"layer_norm_eps must be above 0 and finite, got 0\.0"),
        ({"layer_norm_eps": -1e-5}, r"layer_norm_eps must be above 0 and finite, got -1e-05"),
    ],
)


def every_setting(test):
    """Run a test in both norm orders, with both activations, with and without bias."""
    for mark in (
        norm_orders,
        pytest.mark.parametrize("activation", ["relu", "gelu"]),
        pytest.mark.parametrize("bias", [True, False]),
    ):
        test = mark(test)
    return test


def setting_name(activation: str, bias: bool) -> str:
    """Name a setting in the table of equality."""
    return f"{activation}, {'with' if bias else 'without'} bias"


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Draw standard normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def randomized(module: Module, *, seed: int = 0) -> Module:
    """Draw every parameter, so that no bias is 0, no norm the identity, no layer like another."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(0.4 * drawn + (parameter.ndim == 1))
    return module


def torch_transformer(**settings: Any) -> nn.Transformer:
    """Build PyTorch's Transformer, two layers and three, over its advice on nested tensors."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="enable_nested_tensor is True")
        return nn.Transformer(8, 2, 2, 3, 12, **(TORCH_SETTINGS | settings))


# ---- masks in both conventions ------------------------------------------------------------------


@dataclass(frozen=True)
class MaskCase:
    """One restriction, as we say it and as ``nn.MultiheadAttention`` does.

    Args:
        ours: True where a query may attend.
        attn_mask: PyTorch's: True where it may not; 3-D is (batch * heads, query, key).
        key_padding_mask: PyTorch's: (batch, key), True at padding.
        is_causal: Whether ours is told to be causal as well. To PyTorch it is a hint only.
    """

    ours: Tensor | None
    attn_mask: Tensor | None = None
    key_padding_mask: Tensor | None = None
    is_causal: bool = False


CROSS_MASKS = ("none", "padding", "2-D", "3-D", "4-D")
SELF_MASKS = (*CROSS_MASKS, "causal", "combined", "window", "prefix")
DECODER_MASKS = (*SELF_MASKS, "is_causal", "is_causal and padding")


def mask_case(kind: str, *, batch: int, heads: int, query: int, key: int) -> MaskCase:
    """Make a mask in which no query is left without a key, where PyTorch would answer NaN."""
    generator = torch.Generator().manual_seed(7)
    lengths = torch.randint(1, key, (batch,), generator=generator)
    is_padding = torch.arange(key) >= lengths[:, None]
    is_future = torch.ones(key, key).triu(1).bool()

    def some(*shape: int) -> Tensor:
        allowed = torch.rand(*shape, generator=generator) < 0.5
        allowed[..., 0] = True
        return allowed

    if kind == "none":
        return MaskCase(None)
    if kind == "causal":
        return MaskCase(causal_mask(key), is_future)
    if kind == "is_causal":
        return MaskCase(None, is_future, is_causal=True)
    if kind == "padding":
        return MaskCase(padding_mask(lengths, key), key_padding_mask=is_padding)
    if kind == "combined":
        ours = combine_masks(causal_mask(key), padding_mask(lengths, key))
        return MaskCase(ours, is_future, is_padding)
    if kind == "is_causal and padding":
        return MaskCase(padding_mask(lengths, key), is_future, is_padding, is_causal=True)
    if kind == "window":
        is_far = torch.ones(key, key).triu(2) + torch.ones(key, key).tril(-2)
        return MaskCase(sliding_window_mask(key, 2), is_far.bool())
    if kind == "prefix":
        blocked = is_future & (torch.arange(key) >= lengths[:, None, None])
        return MaskCase(prefix_mask(lengths, key), blocked.repeat_interleave(heads, dim=0))
    if kind == "2-D":
        ours = some(query, key)
        return MaskCase(ours, ~ours)
    if kind == "3-D":
        ours = some(batch, query, key)
        return MaskCase(ours, ~ours.repeat_interleave(heads, dim=0))
    if kind == "4-D":
        ours = some(batch, heads, query, key)
        return MaskCase(ours, ~ours.flatten(0, 1))
    raise ValueError(kind)


# A decoder's tokens, and its memory of another length.
DECODER_INPUTS = [draw(3, 5, 8), draw(3, 4, 8, seed=1)]

each_decoder_mask = pytest.mark.parametrize(
    ("mask", "tokens", "memory"),
    [(kind, kind, "none") for kind in DECODER_MASKS]
    + [(f"memory: {kind}", "combined", kind) for kind in CROSS_MASKS if kind != "none"],
)


def decoder_masks(tokens: str, memory: str) -> Masks:
    """Mask a decoder's inputs, as our decoder takes it and as PyTorch's does."""
    own = mask_case(tokens, batch=3, heads=2, query=5, key=5)
    cross = mask_case(memory, batch=3, heads=2, query=5, key=4)
    ours = {"attn_mask": own.ours, "is_causal": own.is_causal, "memory_mask": cross.ours}
    theirs = {
        "tgt_mask": own.attn_mask,
        "tgt_key_padding_mask": own.key_padding_mask,
        "tgt_is_causal": own.is_causal,
        "memory_mask": cross.attn_mask,
        "memory_key_padding_mask": cross.key_padding_mask,
    }
    return ours, theirs


# ---- comparing ----------------------------------------------------------------------------------


def results(module: nn.Module, inputs: Sequence[Tensor], **masks: Any) -> dict[str, Tensor]:
    """Collect the output and the gradients of a module."""
    inputs = [x.clone().requires_grad_() for x in inputs]
    output = module(*inputs, **masks)
    module.zero_grad()
    output.backward(draw(*output.shape, seed=4))
    found = {"output": output.detach()} | gradients(module)
    for index, x in enumerate(inputs):
        assert x.grad is not None, f"input {index} has no gradient"
        found[f"gradient of input {index}"] = x.grad
    return found


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """Collect the gradients of a module, PyTorch's under the names that ours have."""
    found = {}
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        name = name.replace("multihead_attn", "cross_attn")
        stem, _, last = name.rpartition(".")
        prefix = f"{stem}." if stem else ""
        if last.startswith("in_proj_"):
            for part, gradient in zip("qkv", parameter.grad.chunk(3), strict=True):
                found[f"{prefix}{part}_proj.{last.removeprefix('in_proj_')}"] = gradient
        elif last.endswith("_proj_weight"):
            found[prefix + last.replace("_weight", ".weight")] = parameter.grad
        elif stem.endswith(("linear1", "linear2")) and "feed_forward" not in stem:
            found[name.replace("linear", "feed_forward.linear")] = parameter.grad
        else:
            found[name] = parameter.grad
    return found


def assert_all_close(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """Compare tensors by name, and return the largest absolute difference of all."""
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(
            tensor, theirs[name], **TOLERANCE, msg=lambda text, name=name: f"{name}: {text}"
        )
    return max(float((ours[name] - theirs[name]).detach().abs().max()) for name in ours)


def compare_twin(
    theirs: nn.Module,
    inputs: Sequence[Tensor],
    masks: Masks = ({}, {}),
    *,
    is_padding: Tensor | None = None,
) -> float:
    """Compare PyTorch's module and our twin: output and gradients, then output in evaluation.

    Args:
        theirs: PyTorch's module, in training mode; left in evaluation.
        inputs: What both are called with.
        masks: The masks, as ours takes them and as PyTorch's does.
        is_padding: Where evaluation is not compared, for there PyTorch's encoder may say 0.

    Returns:
        The largest absolute difference.
    """
    ours_masks, torch_masks = masks
    largest = assert_all_close(
        results(from_torch(theirs), inputs, **ours_masks), results(theirs, inputs, **torch_masks)
    )
    theirs.eval()
    with torch.no_grad():  # here PyTorch takes paths of its own
        outputs = [from_torch(theirs)(*inputs, **ours_masks), theirs(*inputs, **torch_masks)]
    if is_padding is not None:
        outputs = [output[~is_padding] for output in outputs]
    return max(largest, assert_all_close(*({"in evaluation": output} for output in outputs)))


def snapshot(module: nn.Module) -> dict[str, dict[str, int]]:
    """Note which objects a module and its parts hold, to see that a call stores nothing."""
    return {
        name: {key: id(value) for key, value in vars(part).items()}
        for name, part in module.named_modules()
    }


def relative_positions(kind: str | None, embed_dim: int = 8, num_heads: int = 2) -> dict[str, Any]:
    """Give the setting that tells an attention of these sizes its positions."""
    if kind == "rotary":
        return {"rotation": RotaryEmbedding(embed_dim // num_heads)}
    return {} if kind is None else {"position_bias": partial(alibi_bias, num_heads)}


@contextmanager
def float64() -> Iterator[None]:
    """Make new tensors float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
