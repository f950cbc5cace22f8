"""An IPython extension that watches a chapter's claims while it runs.

Where ``CLAIMS_REPORT`` names a file, each claim's outcome is written there and the chapter goes on,
whatever came out. Elsewhere a claim that does not hold stops the chapter, and the error says what
was found. A kernel loads it with ``--ext=claim_hook``.
"""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import Any

from claim_syntax import claim_nodes
from IPython.core.interactiveshell import InteractiveShell

NAME = "__claims__"  # of the watcher, among the chapter's own names
LONGEST_VALUE = 200  # characters


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Rewrite every cell that the shell runs from now on."""
    report = os.environ.get("CLAIMS_REPORT")
    watcher = Watcher(Path(report) if report else None)
    watcher.introduce()
    shell.user_ns[NAME] = watcher
    shell.user_ns_hidden[NAME] = watcher
    shell.ast_transformers.append(Rewriter())
    shell.events.register("pre_run_cell", watcher.begin_cell)
    shell.events.register("post_run_cell", watcher.end_cell)


class Watcher:
    """Keeps the outcomes of a cell's claims, or raises what does not hold.

    Args:
        report: The file to write to, a line for each cell; with ``None`` claims that do not hold
            are raised.
    """

    def __init__(self, report: Path | None) -> None:
        self.report = report
        self.source = ""
        self.outcomes: dict[int, str] = {}  # number of the claim: what was found, empty if it held

    def introduce(self) -> None:
        """Write what the chapter runs on."""
        if self.report is not None:
            import torch

            instructions = torch.backends.cpu.get_cpu_capability()
            self._write({"instructions": instructions, "torch": torch.__version__})

    def begin_cell(self, info: Any) -> None:
        """Note the cell's source, which names the cell in the report."""
        self.source, self.outcomes = info.raw_cell, {}

    def end_cell(self, result: Any) -> None:
        """Write the cell's outcomes."""
        error = result.error_before_exec or result.error_in_exec
        message = "" if error is None else f"{type(error).__name__}: {error}"
        self._write({"source": self.source, "outcomes": self.outcomes, "error": message})

    def _write(self, line: dict[str, Any]) -> None:
        if self.report is not None:
            with self.report.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    def held(self, number: int) -> None:
        """Note that a claim held, this time."""
        self.outcomes.setdefault(number, "")

    def failed(
        self, number: int, text: str, error: AssertionError, names: dict[str, object]
    ) -> None:
        """Note what was found instead, or raise it."""
        found = str(error).strip() or "; ".join(values_in(text, names)) or "False"
        if self.report is None:
            raise AssertionError(f"the claim\n    {text}\ndoes not hold: {found}") from None
        self.outcomes[number] = found


class Rewriter(ast.NodeTransformer):
    """Hands the outcome of each claim to the watcher."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        """Rewrite a cell."""
        self.numbers = {id(claim): number for number, claim in enumerate(claim_nodes(node))}
        return self.generic_visit(node)  # type: ignore[return-value]

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        """Rewrite ``assert``."""
        return self._watched(node)

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        """Rewrite ``assert_close``."""
        return self._watched(node)

    def _watched(self, node: ast.stmt) -> ast.stmt:
        number = self.numbers.get(id(node))
        if number is None:
            return node
        text = " ".join(ast.unparse(node).split())
        (wrapped,) = ast.parse(
            f"try: ...\n"
            f"except AssertionError as error_:\n"
            f"    {NAME}.failed({number}, {text!r}, error_, {{**globals(), **locals()}})\n"
            f"else: {NAME}.held({number})"
        ).body
        assert isinstance(wrapped, ast.Try)
        wrapped.body = [node]
        for inner in ast.walk(wrapped):
            if inner is not node and "lineno" in inner._attributes and not _inside(inner, node):
                ast.copy_location(inner, node)
        return wrapped


def _inside(inner: ast.AST, outer: ast.AST) -> bool:
    return any(inner is part for part in ast.walk(outer))


def values_in(text: str, names: dict[str, object]) -> list[str]:
    """Give the values of the two sides of each comparison in a claim.

    They are computed again, so this is for claims without side effects.
    """
    (statement,) = ast.parse(text).body
    test = statement.test if isinstance(statement, ast.Assert) else statement
    found: dict[str, str] = {}
    for node in ast.walk(test):
        if not isinstance(node, ast.Compare):
            continue
        for side in (node.left, *node.comparators):
            if isinstance(side, ast.Constant):
                continue
            source = ast.unparse(side)
            try:
                value = " ".join(repr(eval(source, names)).split())
            except Exception:  # a name of an inner scope
                continue
            found[source] = value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + " ..."
    return [f"{source} is {value}" for source, value in found.items()]
