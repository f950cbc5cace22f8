"""The task learns, and logs exact losses and bits."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from lightning_runs import fit_and_save, make_trainer
from small_tasks import SMALL


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train once: the task, its data and its record."""
    task, data = SMALL["tiny_gpt"].task(), SMALL["tiny_gpt"].make_data()
    folder = tmp_path_factory.mktemp("trained")
    record, _ = fit_and_save(folder, task, data, max_steps=40, limit_val_batches=0)
    return task, data, record


def test_training_lowers_the_loss(trained):
    *_, record = trained
    assert len(record.losses) == 40
    assert record.losses[-1] < 0.6 * record.losses[0]


def test_the_logged_numbers_are_those_of_the_whole_text(trained, tmp_path):
    task, data, _ = trained
    task.eval()
    for stage, split in (("validate", 1), ("test", 2)):
        (metrics,) = getattr(make_trainer(tmp_path), stage)(task, data, verbose=False)
        tokens, labels, _ = data.splits[split].tensors
        with torch.no_grad():
            losses = F.cross_entropy(task(tokens).transpose(1, 2), labels, reduction="none")
        prefix = {"validate": "val", "test": "test"}[stage]
        count, length = int((labels != -100).sum()), len(data.texts[split])
        # The last row is filled up, and the last batch is short: a mean of means would differ.
        assert set(metrics) == {f"{prefix}_loss", f"{prefix}_bits_per_character"}
        assert metrics[f"{prefix}_loss"] == pytest.approx(float(losses.sum()) / count, abs=1e-5)
        bits = float(losses.sum()) / math.log(2) / length
        assert metrics[f"{prefix}_bits_per_character"] == pytest.approx(bits, abs=1e-5)
