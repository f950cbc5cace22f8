"""What every test runs under: shapes checked as the code runs, and examples drawn the same."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import jaxtyping
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")  # figures are drawn into memory

# Every module of the package that is imported from here on checks its signatures when called.
jaxtyping.install_import_hook("tutorial_lib", "shape_checker.typechecked")

hypothesis.settings.register_profile("book", derandomize=True, deadline=None, max_examples=20)
hypothesis.settings.load_profile("book")


@pytest.fixture
def unchecked_shapes() -> Iterator[None]:
    """Leave wrong input to the package's own checks, as for a reader."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
