"""Decode with our cache, without it, and with x-transformers' cache: tokens per CPU second.

Usage::

    pip install -r benchmarks/requirements.txt    # for x-transformers; left out when missing
    python benchmarks/decoding.py [--length 1024] [--batch 1] [--rounds 3]

All models have the same sizes (width 256, four layers, eight heads, 256 tokens) and write a batch
of sequences from one token on, greedily. x-transformers runs twice: with heads as wide as ours,
32, and as it comes, with heads of 64. They take turns in one process; the ratios are those of the
medians. Without a cache the sequences are written once, since it takes long.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from tutorial_lib.generation import greedy_search
from tutorial_lib.language_model import TransformerLanguageModel

VOCAB, WIDTH, LAYERS, HEADS = 256, 256, 4, 8
Decode = Callable[[int], object]


def main() -> None:
    """Print tokens per CPU second, and ratios of ours to the others."""
    parser = argparse.ArgumentParser(description="Tokens per CPU second, decoded three ways")
    parser.add_argument("--length", type=int, default=1024, help="tokens to write")
    parser.add_argument("--batch", type=int, default=1, help="sequences at once")
    parser.add_argument("--rounds", type=int, default=3, help="turns of the cached decoders")
    options = parser.parse_args()

    torch.manual_seed(0)
    cached: dict[str, Decode] = {"ours, cached": _ours(options, use_cache=True)}
    if importlib.util.find_spec("x_transformers") is None:
        print("x-transformers is not installed: left out", file=sys.stderr)
    else:
        cached["x-transformers, heads of 32"] = _x_transformers(options, head_dim=32)
        cached["x-transformers, heads of 64"] = _x_transformers(options, head_dim=64)
    for decode in cached.values():  # warm up
        decode(8)
    rates: dict[str, list[float]] = {name: [] for name in cached}
    for done in range(options.rounds):
        for name, decode in cached.items():
            rates[name].append(_rate(decode, options))
        print(f"round {done + 1} of {options.rounds} done", file=sys.stderr)
    rates["ours, uncached"] = [_rate(_ours(options, use_cache=False), options)]

    ours = statistics.median(rates["ours, cached"])
    print(f"{torch.get_num_threads()} threads, batch {options.batch}, length {options.length}")
    for name, values in rates.items():
        rate = statistics.median(values)
        print(
            f"{name:<29}{rate:>8.1f} tokens per CPU second   ours is {ours / rate:>5.1f} times it"
        )


def _ours(options: argparse.Namespace, *, use_cache: bool) -> Decode:
    model = TransformerLanguageModel(
        vocab_size=VOCAB,
        embed_dim=WIDTH,
        num_heads=HEADS,
        num_layers=LAYERS,
        max_len=options.length + 1,
    ).eval()
    start = torch.zeros(options.batch, 1, dtype=torch.int64)
    return lambda count: greedy_search(model, start, max_new_tokens=count, use_cache=use_cache)


def _x_transformers(options: argparse.Namespace, *, head_dim: int) -> Decode:
    from x_transformers import (  # type: ignore[import-not-found]
        AutoregressiveWrapper,
        Decoder,
        TransformerWrapper,
    )

    layers = Decoder(dim=WIDTH, depth=LAYERS, heads=HEADS, attn_dim_head=head_dim)
    network: nn.Module = TransformerWrapper(
        num_tokens=VOCAB, max_seq_len=options.length + 1, attn_layers=layers
    )
    model = AutoregressiveWrapper(network).eval()
    start = torch.zeros(options.batch, 1, dtype=torch.int64)
    return lambda count: model.generate(start, count, temperature=0.0, cache_kv=True)


def _rate(decode: Decode, options: argparse.Namespace) -> float:
    started = time.process_time()
    decode(options.length)
    return options.batch * options.length / (time.process_time() - started)


if __name__ == "__main__":
    main()
