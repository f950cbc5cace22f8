"""What a computation costs, counted: operations, bytes kept for the backward pass, depth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, UntypedStorage
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

# Nodes of the autograd graph that multiply matrices, and how many products each makes in a row.
PRODUCTS = {
    "AddbmmBackward0": 1,
    "AddmmBackward0": 1,
    "AddmvBackward0": 1,
    "BaddbmmBackward0": 1,
    "BmmBackward0": 1,
    "ConvolutionBackward0": 1,
    "DotBackward0": 1,
    "MmBackward0": 1,
    "MvBackward0": 1,
    "ScaledDotProductFlashAttentionForCpuBackward0": 2,
}


def flops(call: Callable[[], Any]) -> int:
    """Count the floating-point operations of the matrix products in a call, two a multiply-add.

    The counter sees plain products and convolutions. On a CPU it does not see inside fused
    attention and ``nn.LSTM``, and counts nothing for them. On the device ``meta``, where tensors
    have shapes and no numbers, attention runs as plain products and is counted.

    Args:
        call: What is to be counted; called once.

    Returns:
        The number of operations.

    Taught in :doc:`/notebooks/23_what_attention_costs`.
    """
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def saved_bytes(call: Callable[[], Any], *, besides: Iterable[Tensor] = ()) -> int:
    """Count the bytes that a call keeps for its backward pass.

    Tensors that share their memory are counted once. All that is put away counts, also where the
    call drops the result.

    Args:
        call: What is to be counted; called once, with gradients recorded.
        besides: Tensors that are there anyway and are left out, such as a module's parameters.

    Returns:
        The number of bytes.

    Taught in :doc:`/notebooks/23_what_attention_costs`.
    """
    there = {tensor.untyped_storage().data_ptr() for tensor in besides}
    kept: dict[int, UntypedStorage] = {}  # holding the memory keeps its address from being reused

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage
        return tensor.detach()  # an output that its own graph keeps would never be freed

    with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
        call()
    return sum(kept[at].nbytes() for at in kept.keys() - there)


def products_in_a_row(output: Tensor) -> int:
    """Count the matrix products that must wait for one another, on the longest way to an output.

    Products that do not need each other's results count once. The ways are read off the graph that
    autograd records. On a CPU, fused attention counts two; the kernel of ``nn.LSTM`` and those of
    accelerators hide their products, which are not counted.

    Args:
        output: What was computed, with gradients recorded.

    Returns:
        The number of products; 0 when there is no graph.

    Taught in :doc:`/notebooks/23_what_attention_costs`.
    """
    if output.grad_fn is None:
        return 0
    longest: dict[Any, int] = {}  # for each node, the products on the longest way up to it
    waiting = [output.grad_fn]
    while waiting:
        node = waiting[-1]
        earlier = [other for other, _ in node.next_functions if other is not None]
        unknown = [other for other in earlier if other not in longest]
        if unknown:
            waiting += unknown
            continue
        waiting.pop()
        before = max((longest[other] for other in earlier), default=0)
        longest[node] = before + PRODUCTS.get(node.name(), 0)
    return longest[output.grad_fn]


def power_law(x: Sequence[float], y: Sequence[float]) -> float:
    r"""Fit the exponent of a power law: the slope of a straight line through the logarithms.

    .. math:: y \approx c\, x^a, \qquad \log y \approx a \log x + \log c

    Args:
        x: Where it was measured; at least two different values, all above 0.
        y: What was measured there, above 0.

    Returns:
        The exponent a, by least squares.

    Raises:
        ValueError: If there are not as many values of one as of the other, fewer than two
            different x, or a value is not above 0 and finite.

    Taught in :doc:`/notebooks/23_what_attention_costs`.
    """
    if len(x) != len(y):
        raise ValueError(f"y must have {len(x)} values, one for each x, got {len(y)}")
    if len(set(x)) < 2:
        raise ValueError(f"x must have at least two different values, got {list(x)}")
    for name, values in (("x", x), ("y", y)):
        wrong = [value for value in values if not 0 < value < math.inf]
        if wrong:
            raise ValueError(f"{name} must be above 0 and finite, got {wrong[0]}")
    return float(np.polyfit(np.log(x), np.log(y), deg=1)[0])
