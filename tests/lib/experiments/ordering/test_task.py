"""The task trains either network by the markers alone, and logs SciPy's tau."""

from __future__ import annotations

import pytest
import torch
from lightning_runs import assert_holds_no_module, fit_and_save, make_trainer
from scipy.stats import kendalltau

from tutorial_lib.experiments.ordering.data import OrderingDataModule
from tutorial_lib.experiments.ordering.network import EncoderScorer, hugging_face_scorer
from tutorial_lib.experiments.ordering.ranking import rank_loss
from tutorial_lib.experiments.ordering.task import SentenceOrderingTask

SIZES = {"vocab_size": 128, "embed_dim": 16, "num_heads": 2}


def make_task(kind=hugging_face_scorer, seed=0, **settings):
    torch.manual_seed(seed)
    return SentenceOrderingTask(kind(**SIZES), **({"warmup_steps": 3} | settings))


@pytest.fixture(scope="module")
def data():
    module = OrderingDataModule(train_size=320, val_size=20, test_size=21, batch_size=16)
    module.setup("fit")
    return module


@pytest.fixture(scope="module", params=[hugging_face_scorer, EncoderScorer])
def trained(request, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    task = make_task(request.param)
    _, path = fit_and_save(folder, task, data, max_steps=60)
    return request.param, task.eval(), path


@pytest.mark.parametrize("kind", [hugging_face_scorer, EncoderScorer])
def test_steps_on_one_batch_lower_its_loss(kind, data):
    task, batch = make_task(kind), next(iter(data.train_dataloader()))
    optimizer, losses = torch.optim.Adam(task.parameters(), lr=5e-3), []
    for _ in range(40):
        loss = rank_loss(task(**batch), batch["labels"])
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]
    assert losses[-1] < 0.3  # guessing 0 everywhere has a loss of about 0.5


def test_the_training_loss_is_that_of_the_markers(data, tmp_path):
    task, trainer = make_task(warmup_steps=0), make_trainer(tmp_path, max_steps=1)
    batch = next(iter(data.train_dataloader()))  # the one that will come first
    expected = float(rank_loss(task(**batch), batch["labels"]).detach())
    trainer.fit(task, data)
    assert float(trainer.callback_metrics["train_loss"]) == pytest.approx(expected, abs=1e-5)


def test_the_logged_numbers_are_those_of_all_stories(trained, data, tmp_path):
    _, task, *_ = trained
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
    task, batch = make_task(), next(iter(data.val_dataloader()))
    changed = batch | {"labels": torch.zeros_like(batch["labels"])}
    assert task(**batch).shape == batch["labels"].shape
    assert task(**batch).equal(task(**changed))


def test_what_is_logged_has_the_names_that_are_told(data, tmp_path):
    task, trainer = make_task(), make_trainer(tmp_path, max_epochs=1)
    trainer.fit(task, data)
    assert set(trainer.callback_metrics) == {"train_loss", "val_loss", "val_tau", "val_exact"}


def test_the_task_comes_back_from_its_checkpoint(trained, data):
    kind, task, path = trained
    torch.manual_seed(1)
    again = SentenceOrderingTask.load_from_checkpoint(
        path, network=kind(**SIZES), weights_only=True
    )
    batch = next(iter(data.test_dataloader()))
    with torch.no_grad():
        assert again.eval()(**batch).equal(task(**batch))
    assert dict(again.hparams) == {
        "learning_rate": 8e-3,
        "warmup_steps": 3,
        "weight_decay": 0.0,
    }
    assert_holds_no_module(path)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"network": "bert"}, TypeError, "network must be an nn.Module, got str"),
        ({"learning_rate": 0.0}, ValueError, "learning_rate must be above 0"),
        ({"warmup_steps": -1}, ValueError, "warmup_steps must be at least 0, got -1"),
        ({"weight_decay": -0.1}, ValueError, "weight_decay must be at least 0"),
    ],
)
def test_wrong_settings_are_refused(wrong, error, says):
    with pytest.raises(error, match=says):
        SentenceOrderingTask(**({"network": torch.nn.Linear(2, 2)} | wrong))
