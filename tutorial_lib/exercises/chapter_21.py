"""Checks for chapter 21, the encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.encoder import TransformerEncoder
from tutorial_lib.exercises.checker import Checker, explain, require_shape
from tutorial_lib.interop import from_torch

check = Checker(21)


@check.exercise(1, hint="One layer has the size of the formula; a LayerNorm has 2 * embed_dim.")
def encoder_size_is_that_of_the_module(encoder_size: Callable) -> None:
    """Compare with the parameters of real stacks, in both orders."""
    for sizes in [(1, 32, 64, False), (3, 8, 24, False), (3, 8, 24, True), (2, 16, 16, True)]:
        num_layers, embed_dim, dim_feedforward, norm_first = sizes
        stack = TransformerEncoder(
            num_layers=num_layers,
            embed_dim=embed_dim,
            num_heads=2,
            dim_feedforward=dim_feedforward,
            norm_first=norm_first,
        )
        expected = sum(parameter.numel() for parameter in stack.parameters())
        got = encoder_size(*sizes)
        otherwise = (
            f"num_layers={num_layers}, embed_dim={embed_dim}, dim_feedforward={dim_feedforward}, "
            f"norm_first={norm_first} make {expected} parameters, got {got}"
        )
        assert isinstance(got, int | float), otherwise
        explain(got, expected, _wrong_sizes(expected, *sizes), otherwise=otherwise, tolerance=1e-9)


@check.exercise(2, hint="x.square().mean(dim=-1, keepdim=True) is each token's mean square.")
def rms_norm_is_that_of_torch(rms_norm: Callable) -> None:
    """Compare with torch's, also for tokens so small that the place of eps shows."""
    generator = torch.Generator().manual_seed(21)
    x = 2 + torch.randn(2, 3, 8, dtype=torch.float64, generator=generator)
    weight = torch.rand(8, dtype=torch.float64, generator=generator) + 0.5
    expected = F.rms_norm(x, (8,), weight, 1e-6)
    got = rms_norm(x, weight, 1e-6)
    require_shape(got, (2, 3, 8), "the result")
    root = x.square().mean(dim=-1, keepdim=True).sqrt()
    wrong = {
        "the mean is subtracted: RMSNorm subtracts no mean": weight
        * F.layer_norm(x, (8,), eps=1e-6),
        "the weight is missing": x / root,
        "one mean square serves a whole sequence: each token needs its own, over the last axis": (
            weight * x / x.square().mean(dim=(1, 2), keepdim=True).sqrt()
        ),
        "one mean square serves the whole batch: each token needs its own, over the last axis": (
            weight * x / x.square().mean().sqrt()
        ),
        "the squares are summed: take their mean": weight * F.normalize(x, dim=-1),
        "the root is missing: divide by the root of the mean square": weight * x / root.square(),
    }
    otherwise = "the result is not x over the root of each token's mean square, times the weight"
    explain(got, expected, wrong, otherwise=otherwise)

    x = 1e-3 * x
    root = x.square().mean(dim=-1, keepdim=True).sqrt()
    wrong = {
        "eps is missing: add it to the mean square": weight * x / root,
        "eps is added to the root: add it to the mean square, inside the root": (
            weight * x / (root + 1e-6)
        ),
    }
    expected = F.rms_norm(x, (8,), weight, 1e-6)
    otherwise = "for tiny tokens it is another number: add eps to the mean square, inside the root"
    explain(rms_norm(x, weight, 1e-6), expected, wrong, otherwise=otherwise)


@check.exercise(3, hint="Compare what an example gives alone with what it gives in the batch.")
def mixing_is_found(mixes_examples: Callable) -> None:
    """Try layers that mix in different ways, and layers that do not mix."""
    for module, mixes, name, advice in _layers_that_mix_or_not():
        x = torch.randn(3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(21))
        got = mixes_examples(module, x)
        assert isinstance(got, bool), f"the answer must be True or False, got {got!r}"
        assert got == mixes, f"for {name} the answer must be {mixes}, got {got}: {advice}"


@check.exercise(4, hint="What does pre-norm's attention see, and what does the next layer need?")
def maps_are_those_of_the_model(maps_of: Callable) -> None:
    """Compare with the maps of our twin, in both orders, with padding."""
    padding = torch.arange(6) >= torch.tensor([[6], [4], [2]])  # (batch, length)
    for norm_first in (False, True):
        encoder = _torch_encoder(norm_first=norm_first)
        x = torch.randn(3, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(21))
        twin = from_torch(encoder)
        expected = attention_maps(twin, x, ~padding[:, None, None])
        maps = maps_of(encoder, x, padding)
        assert isinstance(maps, list), f"a list is needed, got {type(maps).__name__}"
        assert len(maps) == 3, f"a map for each of the 3 layers is needed, got {len(maps)}"
        for number, (got, right) in enumerate(zip(maps, expected, strict=True), start=1):
            where = f"with norm_first={norm_first}, the map of layer {number}"
            averaged = isinstance(got, Tensor) and got.shape == (3, 6, 6)
            assert not averaged, f"{where} is averaged over the heads: average_attn_weights=False"
            require_shape(got, (3, 2, 6, 6), where)
            blocked = padding[:, None, None].expand_as(got)
            if not got[blocked].eq(0).all():
                upside_down = got[~blocked].eq(0).any()
                how = "the padding alone: True is what is ignored" if upside_down else "padding"
                raise AssertionError(f"{where} gives weight to {how}")
            wrong = {
                f"{where} is not the one that the model uses: {why}": mistake[number - 1]
                for why, mistake in _wrong_maps(encoder, x, padding).items()
            }
            otherwise = f"{where} is not the one that the model uses"
            explain(got, right, wrong, otherwise=otherwise)


def _wrong_sizes(
    right: int, num_layers: int, embed_dim: int, dim_feedforward: int, norm_first: bool
) -> dict[str, float]:
    biases, norm = 5 * embed_dim + dim_feedforward, 2 * embed_dim
    last = norm if norm_first else 0
    return {
        "the biases are missing: a linear map has one for each number that it gives": (
            right - num_layers * biases
        ),
        "the two norms of each layer are missing": right - num_layers * 2 * norm,
        "a norm has a weight and a bias, 2 * embed_dim numbers": (
            right - num_layers * norm - last / 2
        ),
        "a pre-norm stack has one more norm at its end": right - last,
        "a post-norm stack has no norm at its end": right + norm - last,
        "the last norm stands once, at the end of the stack, not in every layer": (
            right + (num_layers - 1) * last
        ),
        "that is one layer: there are num_layers of them": (right - last) / num_layers + last,
    }


def _wrong_maps(encoder: nn.TransformerEncoder, x: Tensor, padding: Tensor) -> dict[str, list]:
    layers = cast("list[nn.TransformerEncoderLayer]", list(encoder.layers))

    def maps(*, norm: bool, masked: bool, steps: bool) -> list[Tensor]:
        found, stream = [], x
        for layer in layers:
            seen = layer.norm1(stream) if norm else stream
            options = {"key_padding_mask": padding, "average_attn_weights": False}
            found.append(layer.self_attn(seen, seen, seen, **options)[1])
            if steps:
                stream = layer(stream, src_key_padding_mask=padding if masked else None)
        return found

    first = layers[0].norm_first
    misplaced = "attention sees norm1(x) here" if first else "attention sees x here, not norm1(x)"
    return {
        misplaced: maps(norm=not first, masked=True, steps=True),
        "the layer that makes the next input needs the padding too": (
            maps(norm=first, masked=False, steps=True)
        ),
        "every layer was given the input of the first": (
            maps(norm=first, masked=True, steps=False)
        ),
    }


class _Mixer(nn.Module):
    """Add to the tokens a function of the batch."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return x + self.function(x)


def _first_to_second(x: Tensor) -> Tensor:
    added = torch.zeros_like(x)
    added[1:2] = x[:1] if len(x) > 1 else x[:0]
    return added


def _last_to_first(x: Tensor) -> Tensor:
    added = torch.zeros_like(x)
    added[:1] = x[-1:] if len(x) > 1 else 0.0
    return added


def _normed_over_the_batch(x: Tensor) -> Tensor:
    return (x - x.mean(dim=(0, 1))) / x.std(dim=(0, 1))


def _layers_that_mix_or_not() -> list[tuple[nn.Module, bool, str, str]]:
    with torch.random.fork_rng():
        torch.manual_seed(21)
        sizes = {"d_model": 8, "nhead": 2, "dim_feedforward": 16, "dropout": 0.0}
        layers = [
            nn.TransformerEncoderLayer(**sizes, batch_first=flag, dtype=torch.float64)
            for flag in (False, True)
        ]
    within = _Mixer(lambda x: x.mean(dim=1, keepdim=True))
    sums = _Mixer(lambda x: x.cumsum(dim=0) - x)
    kept = "no example depends on another there, only tokens of one example on each other"
    found = "look at every output of the examples that you did not change; it may end in a norm"
    return [
        (layers[0], True, "torch's encoder layer without batch_first", found),
        (layers[1], False, "torch's encoder layer with batch_first", kept),
        (_Mixer(_normed_over_the_batch), True, "a norm over the batch", found),
        (within, False, "a layer that adds each sequence's mean token", kept),
        (
            _Mixer(_last_to_first),
            True,
            "a layer that adds the last example to the first",
            "look at the first example too, and change others than the first",
        ),
        (
            sums,
            True,
            "a layer that adds to each example those before it",
            "the first example is alone there, so look at the others too",
        ),
        (
            _Mixer(_first_to_second),
            True,
            "a layer that adds the first example to the second",
            "the first and the last are alone there, so look at every example",
        ),
    ]


def _torch_encoder(*, norm_first: bool) -> nn.TransformerEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(21)
        layer = nn.TransformerEncoderLayer(
            8, 2, 16, dropout=0.0, batch_first=True, norm_first=norm_first, dtype=torch.float64
        )
        encoder = nn.TransformerEncoder(layer, num_layers=3, enable_nested_tensor=False)
        for parameter in encoder.parameters():
            nn.init.normal_(parameter, std=0.5)
    return encoder
