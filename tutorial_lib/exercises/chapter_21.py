"""Checks for chapter 21, the encoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.encoder import TransformerEncoder
from tutorial_lib.exercises.checker import Checker, is_close, require_shape
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
        assert got == expected, (
            f"num_layers={num_layers}, embed_dim={embed_dim}, dim_feedforward={dim_feedforward}, "
            f"norm_first={norm_first} make {expected} parameters, got {got}"
        )


@check.exercise(2, hint="x.square().mean(dim=-1, keepdim=True) is each token's mean square.")
def rms_norm_is_that_of_torch(rms_norm: Callable) -> None:
    """Compare with torch's, also for tokens so small that the place of eps shows."""
    generator = torch.Generator().manual_seed(21)
    x = 2 + torch.randn(2, 3, 8, dtype=torch.float64, generator=generator)
    weight = torch.rand(8, dtype=torch.float64, generator=generator) + 0.5
    expected = F.rms_norm(x, (8,), weight, 1e-6)
    got = rms_norm(x, weight, 1e-6)
    require_shape(got, (2, 3, 8), "the result")
    assert not is_close(got, weight * F.layer_norm(x, (8,), eps=1e-6)), "no mean is subtracted here"
    assert not is_close(got, F.rms_norm(x, (8,), eps=1e-6)), "the weight is missing"
    assert is_close(got, expected), "the result is not x over the root of each token's mean square"
    small = rms_norm(1e-3 * x, weight, 1e-6)
    expected = F.rms_norm(1e-3 * x, (8,), weight, 1e-6)
    assert is_close(small, expected), "eps must be added to the mean square, inside the root"


@check.exercise(3, hint="Compare what an example gives alone with what it gives in the batch.")
def mixing_is_found(mixes_examples: Callable) -> None:
    """Try layers that mix in different ways, and layers that do not mix."""
    for module, mixes, name in _layers_that_mix_or_not():
        x = torch.randn(3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(21))
        got = mixes_examples(module, x)
        assert isinstance(got, bool), f"the answer must be True or False, got {got!r}"
        assert got == mixes, f"for {name} the answer must be {mixes}, got {got}"


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
            require_shape(got, (3, 2, 6, 6), where)
            blocked = padding[:, None, None].expand_as(got)
            assert got[blocked].eq(0).all(), f"{where} gives weight to padding"
            assert is_close(got, right), f"{where} is not the one that the model uses"


class _Mixer(nn.Module):
    """Add to the tokens a function of the batch."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return x + self.function(x)


def _layers_that_mix_or_not() -> list[tuple[nn.Module, bool, str]]:
    with torch.random.fork_rng():
        torch.manual_seed(21)
        sizes = {"d_model": 8, "nhead": 2, "dim_feedforward": 16, "dropout": 0.0}
        layers = [
            nn.TransformerEncoderLayer(**sizes, batch_first=flag, dtype=torch.float64)
            for flag in (False, True)
        ]
    over_the_batch = _Mixer(lambda x: (x - x.mean(dim=(0, 1))) / x.std(dim=(0, 1)))
    last_to_first = _Mixer(lambda x: F.pad(x[-1:], (0, 0, 0, 0, 0, len(x) - 1)) * (len(x) > 1))
    within = _Mixer(lambda x: x.mean(dim=1, keepdim=True))
    return [
        (layers[0], True, "torch's encoder layer without batch_first"),
        (layers[1], False, "torch's encoder layer with batch_first"),
        (over_the_batch, True, "a norm over the batch"),
        (last_to_first, True, "a layer that adds the last example to the first"),
        (within, False, "a layer that adds each sequence's mean token"),
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
