"""Processes that are started together know of each other, and never hang."""

from __future__ import annotations

import os

import pytest

from tutorial_lib.lightning.processes import run_together

ASK = "import os; print(*(os.environ[name] for name in ('RANK', 'WORLD_SIZE', 'MASTER_PORT')))"
MEET = """
import os
import torch
from torch import distributed
distributed.init_process_group("gloo")
number = torch.tensor([1.0 + distributed.get_rank()])
distributed.all_reduce(number)
print(number.item(), torch.get_num_threads())
distributed.destroy_process_group()
"""


def test_each_knows_its_number_and_where_they_meet():
    one, two = (said.split() for said in run_together("-c", ASK))
    assert (one[:2], two[:2]) == (["0", "2"], ["1", "2"])
    assert one[2] == two[2]
    assert run_together("-c", ASK, processes=1)[0].startswith("0 1 ")


def test_they_add_up_over_gloo_on_one_thread_each():
    assert run_together("-c", MEET) == ["3.0 1\n"] * 2


def test_the_environment_is_passed_on(monkeypatch):
    monkeypatch.setenv("BOOK_TEST", "here")
    assert run_together("-c", "import os; print(os.environ['BOOK_TEST'])") == ["here\n"] * 2
    assert "RANK" not in os.environ


def test_one_that_fails_is_named_and_ends_the_others():
    failing = "import os, time; 1 / int(os.environ['RANK'] == '0'); time.sleep(1000)"
    with pytest.raises(RuntimeError, match=r"(?s)^process 1 of 2 ended with.*ZeroDivisionError"):
        run_together("-c", failing)


def test_what_hangs_is_ended():
    hanging = "import time; print(1 / 3, flush=True); time.sleep(1000)"
    with pytest.raises(RuntimeError, match=r"^process 0 of 2 was still running after 0.5 seconds"):
        run_together("-c", hanging, timeout=0.5)


@pytest.mark.usefixtures("unchecked_shapes")
def test_no_process_is_refused():
    with pytest.raises(ValueError, match=r"^processes must be at least 1, got 0"):
        run_together("-c", "pass", processes=0)
    with pytest.raises(TypeError, match=r"^processes must be an integer, got str"):
        run_together("-c", "pass", processes="two")
