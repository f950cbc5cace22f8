"""Time our blocks against torch.nn's, turn about in one process; print ratios, not seconds.

Usage::

    python benchmarks/against_torch.py

A ratio below 1 means that ours is faster. Each is the median over rounds of ours / theirs, with
the quartiles beside it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tutorial_lib.interop import from_torch

ROUNDS = 30


def main() -> None:
    """Print a table: block, mode, sizes, ratio."""
    torch.manual_seed(0)
    print(f"{'block':<10} {'mode':<9} {'batch':>5} {'length':>6} {'width':>5}  ours / theirs")
    for batch, length, width in ((128, 16, 32), (16, 64, 128), (4, 512, 256)):
        attention = nn.MultiheadAttention(width, width // 32, batch_first=True)
        layer = nn.TransformerEncoderLayer(width, width // 32, 4 * width, 0.0, batch_first=True)
        encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        x = torch.randn(batch, length, width)
        blocks: dict[str, tuple[nn.Module, Callable[[nn.Module, Tensor], Tensor]]] = {
            "attention": (attention, _attend),
            "encoder": (encoder, lambda module, x: module(x)),
        }
        for name, (theirs, call) in blocks.items():
            for mode in ("training", "inference"):
                theirs.train(mode == "training")
                ratios = _ratios(from_torch(theirs), theirs, call, x)
                low, middle, high = statistics.quantiles(ratios, n=4)
                sizes = f"{batch:>5} {length:>6} {width:>5}"
                print(f"{name:<10} {mode:<9} {sizes}  {middle:.2f} ({low:.2f} to {high:.2f})")


def _attend(module: nn.Module, x: Tensor) -> Tensor:
    theirs = isinstance(module, nn.MultiheadAttention)
    return module(x, x, x, need_weights=False)[0] if theirs else module(x)[0]


def _ratios(
    ours: nn.Module, theirs: nn.Module, call: Callable[[nn.Module, Tensor], Tensor], x: Tensor
) -> list[float]:
    step = _train if theirs.training else _infer
    for module in (ours, theirs):  # warm up
        step(module, call, x)
    return [_seconds(step, ours, call, x) / _seconds(step, theirs, call, x) for _ in range(ROUNDS)]


def _train(module: nn.Module, call: Callable[[nn.Module, Tensor], Tensor], x: Tensor) -> None:
    module.zero_grad()
    call(module, x).sum().backward()


@torch.inference_mode()
def _infer(module: nn.Module, call: Callable[[nn.Module, Tensor], Tensor], x: Tensor) -> None:
    call(module, x)


def _seconds(step: Callable[..., None], *arguments: object) -> float:
    started = time.perf_counter()
    step(*arguments)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
