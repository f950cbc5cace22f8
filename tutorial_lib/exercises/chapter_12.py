"""Checks for chapter 12, multi-head attention."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tutorial_lib.attention import MultiheadAttention
from tutorial_lib.exercises.checker import Checker, is_close, require_shape

check = Checker(12)


@check.exercise(1, hint="Four matrices; two of them read a width of their own. Four biases.")
def parameters_are_counted(parameter_count: Callable) -> None:
    """Compare with modules of equal widths and of three different ones."""
    for embed_dim, kdim, vdim in [(8, 8, 8), (12, 7, 9), (16, 3, 32)]:
        module = MultiheadAttention(embed_dim, 4, kdim=kdim, vdim=vdim)
        expected = sum(p.numel() for p in module.parameters())
        got = parameter_count(embed_dim, kdim, vdim)
        assert isinstance(got, int), f"the count must be an int, got {type(got).__name__}"
        weights = expected - 4 * embed_dim
        assert got != weights, "the weights are right, and the four biases are missing"
        assert got == expected, (
            f"embed_dim={embed_dim}, kdim={kdim}, vdim={vdim} has {expected} parameters, got {got}"
        )


@check.exercise(2, hint="Undo the split: first the transpose, then join the last two axes.")
def heads_are_merged(merge: Callable) -> None:
    """Split with the package's axes, merge, and expect the same tensor."""
    for batch, heads, length, head_dim in [(2, 3, 5, 4), (1, 4, 4, 4)]:
        tokens = _draw(batch, length, heads * head_dim)
        split = tokens.unflatten(-1, (heads, head_dim)).transpose(1, 2)
        merged = merge(split)
        require_shape(merged, tuple(tokens.shape), "the result")
        assert not merged.equal(split.reshape(tokens.shape)), (
            "the shape is right, but tokens and heads are mixed: reshape alone moves no axis"
        )
        assert merged.equal(tokens), "merging does not undo the split"


@check.exercise(3, hint="Give head, kind (q, k, v) and row an axis each, and swap the first two.")
def stack_is_reordered(restack: Callable) -> None:
    """Build both stacks from the same twelve or more blocks."""
    for heads, head_dim, width in [(4, 2, 5), (3, 4, 12)]:
        blocks = _draw(heads, 3, head_dim, width)
        by_head = torch.cat([block for head in blocks for block in head])
        by_kind = torch.cat([blocks[:, kind].flatten(0, 1) for kind in range(3)])
        result = restack(by_head.clone(), heads)
        require_shape(result, tuple(by_kind.shape), "the result")
        assert not result.equal(by_head), "the rows are still in the order of the heads"
        assert result.equal(by_kind), "a row is in the wrong place"


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
    _, weights = module(x, need_weights=True)
    heads = weights @ module.v_proj(x).unflatten(-1, (3, -1)).transpose(1, 2)
    for head in range(3):
        others = heads.clone()
        others[:, head] = 0.0
        expected = module.out_proj(others.transpose(1, 2).flatten(start_dim=2))
        got = without_head(module, x, head)
        require_shape(got, (2, 5, 12), "the output")
        changed = [n for n, weight in module.state_dict().items() if not weight.equal(before[n])]
        assert not changed, f"the module is changed: {', '.join(changed)}; work on a copy"
        assert not is_close(got, expected - module.out_proj.bias, 1e-9), (
            "the bias of out_proj is missing"
        )
        assert is_close(got, expected, 1e-9), f"the output without head {head} is wrong"


def _draw(*shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(12)
    return torch.randn(shape, dtype=torch.float64, generator=generator)
