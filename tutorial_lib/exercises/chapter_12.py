"""Checks for chapter 12, multi-head attention."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tutorial_lib.attention import MultiheadAttention
from tutorial_lib.exercises.checker import Checker, ask, explain, require_shape

check = Checker(12)


@check.exercise(1, hint="Four matrices; two of them read a width of their own. Four biases.")
def parameters_are_counted(parameter_count: Callable) -> None:
    """Compare with modules of equal widths and of three different ones."""
    for embed_dim, kdim, vdim in [(8, 8, 8), (12, 7, 9), (16, 3, 32)]:
        module = MultiheadAttention(embed_dim, 4, kdim=kdim, vdim=vdim)
        expected = sum(p.numel() for p in module.parameters())
        got = parameter_count(embed_dim, kdim, vdim)
        assert isinstance(got, int), f"the count must be an int, got {type(got).__name__}"
        biases = 4 * embed_dim
        explain(
            got,
            expected,
            {
                "the weights are right, and the four biases are missing": expected - biases,
                "keys and values are counted as wide as the queries": 4 * embed_dim**2 + biases,
                "a bias is as wide as what comes out of its projection, not as what goes in": (
                    expected - biases + 2 * embed_dim + kdim + vdim
                ),
                "the output projection is missing": expected - embed_dim**2 - embed_dim,
            },
            otherwise=(
                f"embed_dim={embed_dim}, kdim={kdim}, vdim={vdim} has {expected} parameters, "
                f"got {got}"
            ),
            tolerance=0.0,
        )


@check.exercise(2, hint="Undo the split: first the transpose, then join the last two axes.")
def heads_are_merged(merge: Callable) -> None:
    """Split with the package's axes, merge, and expect the same tensor."""
    for batch, heads, length, head_dim in [(2, 3, 5, 4), (1, 4, 4, 4)]:
        tokens = _draw(batch, length, heads * head_dim)
        split = tokens.unflatten(-1, (heads, head_dim)).transpose(1, 2)
        merged = ask(merge, split)
        if isinstance(merged, Tensor):
            assert merged.shape != (batch, length, heads, head_dim), (
                "the axes are in order, and the last two must still be joined into one"
            )
        require_shape(merged, tuple(tokens.shape), "the result")
        explain(
            merged,
            tokens,
            {
                "the shape is right, but tokens and heads are mixed: reshape alone moves no axis": (
                    split.reshape(tokens.shape)
                ),
                "the heads are interleaved: join (heads, head_dim), in this order": (
                    split.permute(0, 2, 3, 1).flatten(start_dim=2)
                ),
            },
            otherwise="merging does not undo the split",
        )


@check.exercise(3, hint="Give head, kind (q, k, v) and row an axis each, and swap the first two.")
def stack_is_reordered(restack: Callable) -> None:
    """Build both stacks from the same nine or more blocks."""
    for heads, head_dim, width in [(4, 2, 5), (3, 4, 12)]:
        blocks = _draw(heads, 3, head_dim, width)  # (head, kind, row, width)
        by_head = blocks.flatten(0, 2)
        by_kind = blocks.transpose(0, 1).flatten(0, 2)
        result = ask(restack, by_head, heads)
        require_shape(result, tuple(by_kind.shape), "the result")
        confused = by_head.unflatten(0, (3, heads, head_dim)).transpose(0, 1).flatten(0, 2)
        explain(
            result,
            by_kind,
            {
                "the rows are still in the order of the heads": by_head,
                "this is the way back: cut the rows into heads first, then into q, k and v": (
                    confused
                ),
                "the rows of the heads are interleaved: a head's rows stay together": (
                    blocks.permute(1, 2, 0, 3).flatten(0, 2)
                ),
            },
            otherwise="a row is in the wrong place",
        )


@check.exercise(4, hint="Head i writes through head_dim columns of out_proj.weight, and no others.")
def head_is_silenced(without_head: Callable) -> None:
    """Compare with the sum over the other heads, and see that the module is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12)
        module = MultiheadAttention(12, 3).double()
        for projection in (module.q_proj, module.k_proj, module.v_proj, module.out_proj):
            nn.init.normal_(projection.bias)
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    x = _draw(2, 5, 12)
    whole, weights = module(x, need_weights=True)
    heads = weights @ module.v_proj(x).unflatten(-1, (3, -1)).transpose(1, 2)
    bias, weight = module.out_proj.bias, module.out_proj.weight.unflatten(-1, (3, -1))
    parts = [heads[:, i] @ weight[:, i].T for i in range(3)]
    for head in (1, 2, 0):  # not 0 first: a slice that starts at -1 would silence nothing
        got = without_head(module, x, head)
        require_shape(got, (2, 5, 12), "the output")
        changed = [n for n, weight in module.state_dict().items() if not weight.equal(before[n])]
        assert not changed, f"the module is changed: {', '.join(changed)}; work on a copy"
        right = whole - parts[head]
        explain(
            got,
            right,
            {
                "nothing is silenced: this is the output of all heads": whole,
                "the bias of out_proj is missing": right - bias,
                f"this is what head {head} adds, not what the others leave": parts[head],
                f"this is what head {head} adds, and the bias: the others are silenced": (
                    parts[head] + bias
                ),
                f"this is the output without head {head - 1}: heads count from 0": (
                    whole - parts[head - 1]
                ),
                "rows of out_proj.weight are set to zero: a head writes through columns": (
                    _with_zero_rows(module, "out_proj", x, head)
                ),
                "rows of q_proj.weight are set to zero: a head without them still attends": (
                    _with_zero_rows(module, "q_proj", x, head)
                ),
                "rows of v_proj.weight are set to zero, and the bias of the values is left": (
                    _with_zero_rows(module, "v_proj", x, head)
                ),
            },
            otherwise=f"the output without head {head} is wrong",
            tolerance=1e-9,
        )


def _with_zero_rows(module: MultiheadAttention, name: str, x: Tensor, head: int) -> Tensor:
    silenced = copy.deepcopy(module)
    silenced.get_parameter(f"{name}.weight").data[4 * head : 4 * head + 4] = 0.0
    return silenced(x)[0]


def _draw(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(12)
    return torch.randn(shape, dtype=torch.float64, generator=generator)
