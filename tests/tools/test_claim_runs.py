"""A chapter is run to its end on other machines, and every claim is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from claim_runs import NOT_REACHED, RUNS_TO_ITS_END, SOLUTIONS_PASS, Run, Variant, run_notebook
from nbformat import v4

CELLS = [
    """import _random
import random
import subprocess
import sys

import numpy as np
import torch

torch.set_num_threads(1)
drawn = [torch.Generator().manual_seed(1).initial_seed()]
torch.manual_seed(1)
drawn.append(torch.initial_seed())""",
    "assert drawn == [1, 1]  # for this seed",
    """same = [random.Random(1).random(), np.random.default_rng(1).random()]
moved = [_random.Random(3001).random(), np.random.Generator(np.random.PCG64(3001)).random()]
assert same == moved
random.seed(1)
assert random.random() == moved[0]
assert torch.get_num_threads() == 2""",
    """code = "import torch; print(torch.Generator().manual_seed(1).initial_seed())"
child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
assert int(child.stdout) == 3001""",
    "for k in range(3):\n    assert k < 2",
    "torch.testing.assert_close(torch.ones(1), torch.zeros(1))",
    "assert drawn\nraise KeyError('gone')\nassert drawn",
    "assert len(drawn) == 2",
]


def run(variant: Variant, folder: Path) -> Run:
    cells = [v4.new_code_cell(source) for source in CELLS]
    for words in ("Exercise 11.1: correct.", "Exercise 11.2: not yet, no."):
        cell = v4.new_code_cell(f"print({words!r})", metadata={"tags": ["solution"]})
        cells.append(cell)
    return run_notebook(v4.new_notebook(cells=cells), folder, variant)


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Run:
    variant = Variant.parse("sse+threads=2+shift=3000")
    return run(variant, tmp_path_factory.mktemp("chapter"))


def found_of(run: Run) -> dict[str, str]:
    return {outcome.claim.text: outcome.found for outcome in run.outcomes}


def test_seeds_and_threads_are_those_of_the_variant(moved: Run) -> None:
    found = found_of(moved)
    for text in (
        "assert same == moved",
        "assert random.random() == moved[0]",
        "assert torch.get_num_threads() == 2",
        "assert int(child.stdout) == 3001",
    ):
        assert found[text] == ""
    assert found["assert drawn == [1, 1]"] == "drawn is [3001, 3001]; [1, 1] is [1, 1]"


def test_the_run_says_what_it_ran_on(moved: Run) -> None:
    import torch

    assert moved.instructions == "DEFAULT"
    assert moved.torch == torch.__version__


def test_a_claim_that_fails_once_has_failed_and_the_chapter_goes_on(moved: Run) -> None:
    found = found_of(moved)
    assert found["assert k < 2"] == "k is 2"
    assert (
        "Tensor-likes are not close"
        in found["torch.testing.assert_close(torch.ones(1), torch.zeros(1))"]
    )
    assert found["assert len(drawn) == 2"] == ""


def test_errors_and_refused_solutions_are_claims_of_the_chapter(moved: Run) -> None:
    found = found_of(moved)
    assert found[RUNS_TO_ITS_END] == "cell 7: KeyError: 'gone'"
    assert found[SOLUTIONS_PASS] == "cell 10: Exercise 11.2: not yet, no."
    assert [o.found for o in moved.outcomes if o.cell == 7] == ["", NOT_REACHED]


def test_a_variant_is_written_as_it_is_read() -> None:
    for text in ("plain", "sse", "avx2+threads=4", "shift=1000", "sse+threads=2+shift=3000"):
        assert str(Variant.parse(text)) == text
    with pytest.raises(ValueError, match="'mmx' is unknown"):
        Variant.parse("sse+mmx")
