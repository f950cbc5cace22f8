"""PyTorch's modules as the reference: masks in both conventions, gradients under our names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from tutorial_lib.masks import causal_mask, combine_masks, padding_mask

Module = TypeVar("Module", bound=nn.Module)

TOLERANCE: dict[str, Any] = {"atol": 1e-10, "rtol": 1e-10}


@dataclass(frozen=True)
class MaskCase:
    """One restriction, as we say it and as ``nn.MultiheadAttention`` does.

    Args:
        ours: True where a query may attend.
        attn_mask: PyTorch's: True where it may not; 3-D is (batch * heads, query, key).
        key_padding_mask: PyTorch's: (batch, key), True at padding.
    """

    ours: Tensor | None
    attn_mask: Tensor | None = None
    key_padding_mask: Tensor | None = None


SELF_MASKS = ("none", "causal", "padding", "combined", "2-D", "3-D", "4-D")
CROSS_MASKS = ("none", "padding", "2-D", "3-D", "4-D")


def mask_case(kind: str, *, batch: int, heads: int, query: int, key: int) -> MaskCase:
    """Make a mask in which no query is left without a key, where PyTorch would answer NaN."""
    generator = torch.Generator().manual_seed(7)
    lengths = torch.randint(1, key, (batch,), generator=generator)
    is_padding = torch.arange(key) >= lengths[:, None]

    def some(*shape: int) -> Tensor:
        allowed = torch.rand(*shape, generator=generator) < 0.5
        allowed[..., 0] = True
        return allowed

    if kind == "none":
        return MaskCase(None)
    if kind == "causal":
        return MaskCase(causal_mask(key), attn_mask=torch.ones(key, key).triu(1).bool())
    if kind == "padding":
        return MaskCase(padding_mask(lengths, key), key_padding_mask=is_padding)
    if kind == "combined":
        ours = combine_masks(causal_mask(key), padding_mask(lengths, key))
        return MaskCase(ours, torch.ones(key, key).triu(1).bool(), is_padding)
    if kind == "2-D":
        ours = some(query, key)
        return MaskCase(ours, attn_mask=~ours)
    if kind == "3-D":
        ours = some(batch, query, key)
        return MaskCase(ours, attn_mask=~ours.repeat_interleave(heads, dim=0))
    if kind == "4-D":
        ours = some(batch, heads, query, key)
        return MaskCase(ours, attn_mask=~ours.flatten(0, 1))
    raise ValueError(kind)


def randomized(module: Module, *, seed: int = 0) -> Module:
    """Draw every parameter, so that no bias is 0, no norm the identity, no layer like another."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(0.4 * drawn + (parameter.ndim == 1))
    return module


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """Collect the gradients of a module, PyTorch's under the names that ours have."""
    found = {}
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
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
