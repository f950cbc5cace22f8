"""Which statements of a chapter are its claims.

A claim is a check that stands in a cell itself: an ``assert``, or a call of
``torch.testing.assert_close``. A check inside a function or a class is part of a helper, and one in
the body of a ``try`` may be there to fail.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

OWN_SEED = "# for this seed"  # behind a claim that speaks of exact numbers of the chapter's seed
CHECKING_CALLS = {"assert_close", "testing.assert_close", "torch.testing.assert_close"}


@dataclass(frozen=True)
class Claim:
    """One check of a cell.

    Args:
        text: Its source, on one line.
        own_seed: Whether it speaks of the seed that the chapter sets, and of no other.
    """

    text: str
    own_seed: bool


def claims_of(source: str) -> list[Claim]:
    """List the claims of a cell's source, in the order in which they stand there."""
    lines = without_magics(source).splitlines()
    return [
        Claim(
            " ".join(ast.unparse(node).split()),
            any(OWN_SEED in line for line in lines[node.lineno - 1 : node.end_lineno]),
        )
        for node in claim_nodes(ast.parse("\n".join(lines)))
    ]


def claim_nodes(tree: ast.AST) -> Iterator[ast.stmt]:
    """Walk to the claims under a node."""
    children = list(ast.iter_child_nodes(tree))
    if isinstance(tree, ast.Try) and tree.handlers:
        children = [child for child in children if child not in tree.body]
    for node in children:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if isinstance(node, ast.Assert | ast.Expr) and _is_claim(node):
            yield node
        else:
            yield from claim_nodes(node)


def without_magics(source: str) -> str:
    """Empty the lines that only IPython understands, and keep the numbers of the others."""
    lines = source.splitlines()
    return "\n".join("" if line.lstrip().startswith("%") else line for line in lines)


def _is_claim(node: ast.Assert | ast.Expr) -> bool:
    if isinstance(node, ast.Assert):
        return True
    return isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in CHECKING_CALLS
