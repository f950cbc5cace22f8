"""The task trains either network by the markers alone, and logs SciPy's tau."""

from __future__ import annotations

import pytest
import torch
from lightning_runs import make_trainer
from scipy.stats import kendalltau
from small_tasks import SMALL

KINDS = [SMALL["ordering"], SMALL["ordering, ours"]]


@pytest.fixture(scope="module")
def data():
    module = KINDS[0].make_data()
    module.setup("fit")
    return module


@pytest.mark.parametrize("kind", KINDS, ids=["theirs", "ours"])
def test_steps_on_one_batch_lower_its_loss(kind, data):
    task, batch = kind.task(), next(iter(data.train_dataloader()))
    optimizer, losses = torch.optim.Adam(task.parameters(), lr=5e-3), []
    for _ in range(40):
        loss = task.loss(batch)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    assert losses[-1] < 0.3  # guessing 0 everywhere has a loss of about 0.5


@pytest.mark.parametrize("kind", KINDS, ids=["theirs", "ours"])
def test_the_logged_numbers_are_those_of_all_stories(kind, data, tmp_path):
    task = kind.task()
    make_trainer(tmp_path, max_steps=20, limit_val_batches=0).fit(task, data)
    (metrics,) = make_trainer(tmp_path).test(task, data, verbose=False)
    errors, taus, exact = [], [], []
    for batch in data.test_dataloader():
        with torch.no_grad():
            scores = task(**batch)
        for row, labels in zip(scores, batch["labels"], strict=True):
            marked = labels != -100
            row, labels = row[marked], labels[marked]
            errors += (row - labels).square().tolist()
            taus.append(kendalltau(row, labels).statistic)
            exact.append(row.argsort().equal(labels.argsort()))
    assert set(metrics) == {"test_loss", "test_tau", "test_exact"}
    assert metrics["test_loss"] == pytest.approx(sum(errors) / len(errors), abs=1e-5)
    assert metrics["test_tau"] == pytest.approx(sum(taus) / 21, abs=1e-5)
    assert metrics["test_exact"] == pytest.approx(sum(exact) / 21, abs=1e-6)


def test_labels_do_not_reach_the_network(data):
    task, batch = KINDS[0].task().eval(), next(iter(data.val_dataloader()))
    changed = batch | {"labels": torch.zeros_like(batch["labels"])}
    assert task(**batch).shape == batch["labels"].shape
    assert task(**batch).equal(task(**changed))
