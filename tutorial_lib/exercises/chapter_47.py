"""Checks for chapter 47, real weights."""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor

from tutorial_lib.exercises.checker import Checker, ask, explain, require_shape
from tutorial_lib.masked_language_model import MaskedLanguageModel

check = Checker(47)


@check.exercise(1, hint="Cut along the second axis, then turn each piece around.")
def unpack_gives_three_linear_weights(unpack: Callable) -> None:
    """Map vectors with the packed weight and with the three pieces."""
    for width in (2, 6):
        packed = _drawn(width, 3 * width)
        pieces = ask(unpack, packed)
        came = f"a tensor, {tuple(pieces.shape)}" if isinstance(pieces, Tensor) else repr(pieces)
        assert isinstance(pieces, (tuple, list)), f"a tuple is needed, got {came}"
        assert len(pieces) == 3, f"three weights are needed, got {len(pieces)}"
        names = "query", "key", "value"
        whole = dict(zip(names, packed.chunk(3, dim=1), strict=True))  # (in, out)
        reshaped = packed.reshape(3, width, width)
        strided = packed.reshape(width, width, 3).unbind(dim=2)
        for at, (name, piece) in enumerate(zip(names, pieces, strict=True)):
            require_shape(piece, (width, width), f"the weight of the {name}")
            mistakes = {
                f"the weight of the {name} is (in, out): nn.Linear keeps (out, in)": whole[name],
                "the weight is reshaped, which mixes query, key and value: cut its columns": (
                    reshaped[at]
                ),
                "the weight is reshaped and turned around: cut its columns instead": reshaped[at].T,
                "every third column is taken: query, key and value are three blocks": (
                    strided[at].T
                ),
                "every third column is taken, and not turned around": strided[at],
            }
            for other in names:
                mistakes[f"the weight of the {name} is another one's: the {other}'s"] = whole[
                    other
                ].T
            otherwise = f"the weight of the {name} does not give x @ W of its block"
            explain(piece, whole[name].T, mistakes, otherwise=otherwise)


@check.exercise(
    2, hint="Inside the tangent the root of 2/pi multiplies the whole bracket, x and the cube."
)
def gelu_tanh_is_gpt2s(gelu_tanh: Callable) -> None:
    """Compare with PyTorch's, which has both forms."""
    for x in (torch.linspace(-5, 5, 101, dtype=torch.float64), _drawn(3, 4)):
        y = ask(gelu_tanh, x)
        require_shape(y, tuple(x.shape), "the answer")
        right = F.gelu(x, approximate="tanh")
        root, cube = (2 / torch.pi) ** 0.5, 0.044715 * x**3

        def gate(inner: Tensor, x: Tensor = x) -> Tensor:
            return x / 2 * (1 + inner.tanh())

        explain(
            y,
            right,
            {
                "this is the exact GELU, not its tanh form": F.gelu(x),
                "the cube is missing": gate(root * x),
                "the root of 2/pi multiplies x alone: it multiplies the cube too": (
                    gate(root * x + cube)
                ),
                "the root of 2/pi multiplies the cube alone: it multiplies x too": (
                    gate(x + root * cube)
                ),
                "the root of 2/pi is missing": gate(x + cube),
                "2/pi has no root": gate(2 / torch.pi * (x + cube)),
                "the root is of 2 alone: it is that of 2/pi": gate(2**0.5 / torch.pi * (x + cube)),
                "the power is 2: it is 3": gate(root * (x + 0.044715 * x**2)),
                "0.044715 multiplies x too": gate(root * 0.044715 * (x + x**3)),
                "the half is missing: the values are twice too large": 2 * right,
                "the factor x is missing": gate(root * (x + cube), torch.ones_like(x)),
                "the factor x / 2 is missing": gate(root * (x + cube), torch.full_like(x, 2.0)),
                "the 1 beside the tangent is missing": x / 2 * (root * (x + cube)).tanh(),
                "this is the form with a sigmoid, x sigmoid(1.702 x)": x * (1.702 * x).sigmoid(),
                "this is SiLU, x sigmoid(x)": F.silu(x),
            },
            otherwise=f"the values differ from GPT-2's, by up to {(y - right).abs().max():.2g}",
        )


@check.exercise(
    3, hint="Three tables, a norm, 12 d^2 + 13 d a layer, a map, a norm, a bias for each token."
)
def bert_count_is_that_of_the_model(bert_count: Callable) -> None:
    """Compare with models of several sizes, and with the published one.

    Every mistake must explain all the counts.
    """
    cases = [(11, 6, 2, 8, 1), (20, 9, 3, 12, 4), (30522, 512, 2, 768, 12)]
    found, right = [], []
    for sizes in cases:
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
        found.append(bert_count(*sizes))
        right.append(sum(parameter.numel() for parameter in model.parameters()))

    def if_off_by(off: Callable[[int, int, int, int, int], int]) -> list[int]:
        return [n + off(*sizes) for n, sizes in zip(right, cases, strict=True)]

    first = next((at for at, n in enumerate(right) if found[at] != n), 0)
    so = f"for {cases[first]} there are {right[first]:,}, got {found[first]!r}"
    explain(
        found,
        right,
        {
            f"the tokens' table counts once: {so}": if_off_by(lambda v, p, s, d, n: v * d),
            f"the tokens' table is missing: {so}": if_off_by(lambda v, p, s, d, n: -v * d),
            f"the positions' table is missing: {so}": if_off_by(lambda v, p, s, d, n: -p * d),
            f"the segments' table is missing: {so}": if_off_by(lambda v, p, s, d, n: -s * d),
            f"one norm is missing, before the layers or in the head: {so}": (
                if_off_by(lambda v, p, s, d, n: -2 * d)
            ),
            f"two norms are missing, before the layers and in the head: {so}": (
                if_off_by(lambda v, p, s, d, n: -4 * d)
            ),
            f"the norm at the end is one too many, post-norm has none: {so}": (
                if_off_by(lambda v, p, s, d, n: 2 * d)
            ),
            f"the head's bias for each token is missing: {so}": (
                if_off_by(lambda v, p, s, d, n: -v)
            ),
            f"the head's map is missing: {so}": if_off_by(lambda v, p, s, d, n: -d * d - d),
            f"the bias of the head's map is missing: {so}": if_off_by(lambda v, p, s, d, n: -d),
            f"the head is missing, a map, a norm and a bias: {so}": (
                if_off_by(lambda v, p, s, d, n: -d * d - 3 * d - v)
            ),
            f"there is no pooler here: {so}": if_off_by(lambda v, p, s, d, n: d * d + d),
            f"the layers lack their biases and norms: {so}": (
                if_off_by(lambda v, p, s, d, n: -13 * d * n)
            ),
            f"the layers lack their norms: {so}": if_off_by(lambda v, p, s, d, n: -4 * d * n),
            f"one layer is counted, whatever their number: {so}": (
                if_off_by(lambda v, p, s, d, n: (1 - n) * (12 * d * d + 13 * d))
            ),
        },
        otherwise=so,
    )


@check.exercise(4, hint="Eight bytes hold the length of the header, little end first; it is JSON.")
def shapes_in_reads_the_header(shapes_in: Callable) -> None:
    """Write files and have them read."""
    small = {"a.weight": torch.zeros(3, 4), "scalar": torch.ones(()), "b": torch.zeros(2)}
    large = {f"layers.{i}.weight": torch.zeros(i, 2) for i in range(1, 9)}  # a header above 255
    for tensors, metadata in [(small, None), (small, {"format": "pt"}), (large, None)]:
        raw = save(tensors, metadata=metadata)
        right = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        got = shapes_in(raw)
        assert isinstance(got, dict), f"a dictionary is needed, got {type(got).__name__}"
        assert "__metadata__" not in got, "__metadata__ is no tensor"
        header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
        header.pop("__metadata__", None)
        explain(
            got,
            right,
            {
                "the shapes are lists, as JSON has them: make them tuples": {
                    name: list(shape) for name, shape in right.items()
                },
                "these are the whole entries: the shape is one of their fields": header,
                "these are the places in the file, not the shapes": {
                    name: tuple(entry["data_offsets"]) for name, entry in header.items()
                },
                "these are the places in the file as a list, not the shapes": {
                    name: entry["data_offsets"] for name, entry in header.items()
                },
                "these are the types, not the shapes": {
                    name: entry["dtype"] for name, entry in header.items()
                },
                "these are the numbers of elements, not the shapes": {
                    name: tensor.numel() for name, tensor in tensors.items()
                },
                "a tensor without axes has the shape (): it is left out": {
                    name: shape for name, shape in right.items() if shape
                },
            },
            otherwise=f"the file holds {right}, got {got}",
        )


def _drawn(rows: int, columns: int) -> Tensor:
    generator = torch.Generator().manual_seed(10 * rows + columns)
    return torch.randn(rows, columns, dtype=torch.float64, generator=generator)
