"""A network's weights as text, small enough to travel in a page."""

from __future__ import annotations

import base64
from typing import Any

import torch
from torch import nn


def pack(module: nn.Module, kind: str = "float16") -> dict[str, Any]:
    """Write down what a network has learned.

    Args:
        module: The network.
        kind: How each number is kept, "float32" or "float16": three digits, and half as large.

    Returns:
        The shapes by name, and all numbers one after the other, in base64.

    Raises:
        ValueError: If ``kind`` is not known, or a weight has more than two axes or is not finite
            in this kind.
    """
    if kind not in ("float16", "float32"):
        raise ValueError(f"kind must be 'float16' or 'float32', got {kind!r}")
    weights = {name: tensor.detach().cpu() for name, tensor in module.state_dict().items()}
    for name, tensor in weights.items():
        if tensor.ndim not in (1, 2):
            raise ValueError(f"{name} must have one axis or two, got {tuple(tensor.shape)}")
    flat = torch.cat([tensor.flatten() for tensor in weights.values()])
    numbers = flat.to(getattr(torch, kind))
    if not numbers.isfinite().all():
        raise ValueError(f"the weights must be finite in {kind}, the largest is {flat.abs().max()}")
    values = base64.b64encode(
        numbers.numpy().astype(numbers.numpy().dtype.newbyteorder("<")).tobytes()
    )
    shapes = {name: list(tensor.shape) for name, tensor in weights.items()}
    return {"shapes": shapes, "values": values.decode("ascii"), "kind": kind}
