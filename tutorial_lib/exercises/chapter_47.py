"""Checks for chapter 47, real weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, is_close, require_shape
from tutorial_lib.masked_language_model import MaskedLanguageModel

check = Checker(47)


@check.exercise(1, hint="Cut along the second axis, then turn each piece around.")
def unpack_gives_three_linear_weights(unpack: Callable) -> None:
    """Map vectors with the packed weight and with the three pieces."""
    for width in (2, 6):
        packed = _drawn(width, 3 * width)
        pieces = unpack(packed.clone())
        assert isinstance(pieces, (tuple, list)), f"a tuple is needed, got {pieces!r}"
        assert len(pieces) == 3, f"three weights are needed, got {len(pieces)}"
        x = _drawn(5, width)
        wanted = (x @ packed).chunk(3, dim=1)
        for name, piece, expected in zip(("query", "key", "value"), pieces, wanted, strict=True):
            require_shape(piece, (width, width), f"the weight of the {name}")
            assert not is_close(x @ piece, expected), (
                f"the weight of the {name} is (in, out): nn.Linear keeps (out, in)"
            )
            assert is_close(F.linear(x, piece), expected), f"the {name} is another one's"


@check.exercise(
    2, hint="Inside the tangent the root of 2/pi multiplies the whole bracket, x and the cube."
)
def gelu_tanh_is_gpt2s(gelu_tanh: Callable) -> None:
    """Compare with PyTorch's, which has both forms."""
    x = torch.linspace(-5, 5, 101, dtype=torch.float64)
    y = gelu_tanh(x.clone())
    require_shape(y, (101,), "the answer")
    exact, wanted = F.gelu(x), F.gelu(x, approximate="tanh")
    assert not is_close(y, exact, 1e-9), "this is the exact GELU, not its tanh form"
    assert is_close(y, wanted, 1e-9), "the values differ from GPT-2's"


@check.exercise(
    3, hint="Three tables, a norm, 12 d^2 + 13 d a layer, a map, a norm, a bias for each token."
)
def bert_count_is_that_of_the_model(bert_count: Callable) -> None:
    """Compare with models of several sizes, and with the published one."""
    for sizes in ((11, 6, 2, 8, 1), (20, 9, 3, 12, 4), (30522, 512, 2, 768, 12)):
        vocab, positions, segments, width, layers = sizes
        with torch.device("meta"):
            model = MaskedLanguageModel(
                vocab_size=vocab,
                max_len=positions,
                num_segments=segments,
                embed_dim=width,
                num_layers=layers,
                num_heads=1,
            )
        wanted = sum(parameter.numel() for parameter in model.parameters())
        got = bert_count(*sizes)
        assert got != wanted + vocab * width, "the tokens' table counts once"
        assert got == wanted, f"for {sizes} there are {wanted:,}, got {got!r}"


@check.exercise(4, hint="Eight bytes hold the length of the header, little end first; it is JSON.")
def shapes_in_reads_the_header(shapes_in: Callable) -> None:
    """Write files and have them read."""
    tensors = {"a.weight": torch.zeros(3, 4), "scalar": torch.ones(()), "b": torch.zeros(2)}
    for metadata in (None, {"format": "pt"}):
        raw = save(tensors, metadata=metadata)
        wanted = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        got = shapes_in(raw)
        assert isinstance(got, dict), f"a dictionary is needed, got {type(got).__name__}"
        assert "__metadata__" not in got, "__metadata__ is no tensor"
        assert got == wanted, f"the file holds {wanted}, got {got}"


def _drawn(rows: int, columns: int) -> Tensor:
    generator = torch.Generator().manual_seed(10 * rows + columns)
    return torch.randn(rows, columns, dtype=torch.float64, generator=generator)
