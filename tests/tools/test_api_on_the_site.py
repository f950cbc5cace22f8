"""Tests for tools/api_on_the_site.py."""

from __future__ import annotations

from pathlib import Path

from api_on_the_site import named_modules, with_modules
from chapters import PACKAGE, ROOT

PAGE = (ROOT / "book" / "api.md").read_text("utf-8")


def test_every_module_has_one_section() -> None:
    paths = [path.relative_to(ROOT / PACKAGE) for path in (ROOT / PACKAGE).rglob("[!_]*.py")]
    # `interop` shows what its modules make of models; the masks are called by their module.
    hidden = {Path("interop", f"{name}.py") for name in ("filling", "huggingface", "torch_nn")}
    shown = [p for p in paths if p not in hidden and not p.name.startswith("chapter_")]
    expected = [".".join(path.with_suffix("").parts) for path in shown]
    assert sorted(named_modules(PAGE)) == sorted([*expected, "interop"])


def test_a_section_says_who_imports_the_module(tmp_path: Path) -> None:
    page = with_modules("# T\n\n```{api}\nattention\nleft_padding\nplotting\n```\n\nEnd\n")
    attention, padding, plotting = page.split("### ")[1:]
    assert attention.startswith("Attention\n\n{mod}`tutorial_lib.attention`. Imported in ")
    assert "first in {doc}`/notebooks/11_scaled_dot_product_attention`." in attention
    assert ".. automodule:: tutorial_lib.attention\n   :members:\n" in attention
    assert "Imported by {mod}`tutorial_lib.cache`, " in padding
    assert "Imported in 22 chapters" in plotting
    assert page.endswith("End\n")


def test_a_folder_is_a_section_with_its_modules() -> None:
    page = with_modules("```{api}\nexperiments/reverse/\n```\n")
    assert page.startswith("### Reverse\n\nChapter 41: reverse a sequence.\n\n#### Reverse: data\n")
    assert "Imported in {doc}`/notebooks/41_reverse_a_sequence`" in page or "first in" in page
