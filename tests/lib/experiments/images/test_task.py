"""The classifier learns to choose, and logs the numbers of all inputs."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lightning_runs import Recorder, fit_and_save, make_trainer
from small_tasks import SMALL

from tutorial_lib.experiments.images.convnet import ConvNet
from tutorial_lib.experiments.odd_one_out.data import OddOneOutDataModule

IMAGES, SETS = SMALL["images"], SMALL["odd_one_out"]


def make_sets():
    sizes = {"train_size": 40 * 32, "val_size": 50, "test_size": 210, "batch_size": 32}
    return OddOneOutDataModule(set_size=4, max_shift=0.0, **sizes)


@pytest.fixture(
    scope="module",
    params=[(IMAGES, IMAGES.make_data, 16, 0.4), (SETS, make_sets, 40, 0.7)],
    ids=["images", "sets"],
)
def trained(request, tmp_path_factory):
    """Train each once: the task, its data, its record, and what it should reach."""
    small, make_data, steps, reached = request.param
    task, data = small.task(warmup_steps=5), make_data()
    record, _ = fit_and_save(tmp_path_factory.mktemp("trained"), task, data, max_epochs=3)
    assert len(record.losses) == 3 * steps
    return task, data, record, reached


def test_training_learns_to_choose(trained, tmp_path):
    task, data, record, reached = trained
    assert record.losses[-1] < 0.7 * record.losses[0]
    (metrics,) = make_trainer(tmp_path).test(task, data, verbose=False)
    # Guessing gives one in ten digits, and one in four places.
    assert metrics["test_accuracy"] > reached


def test_the_logged_numbers_are_those_of_all_inputs(trained, tmp_path):
    task, data, *_ = trained
    for stage, prefix, split in (("validate", "val", 1), ("test", "test", 2)):
        (metrics,) = getattr(make_trainer(tmp_path), stage)(task, data, verbose=False)
        rows = data.splits[split]
        inputs, right = map(torch.stack, zip(*(rows[i] for i in range(len(rows))), strict=True))
        with torch.no_grad():
            scores = task.eval()(inputs)
        # The last batch is short: a mean over batches would differ.
        assert len(rows) % data.batch_size
        loss = F.cross_entropy(scores, right)
        accuracy = (scores.argmax(dim=-1) == right).float().mean()
        assert set(metrics) == {f"{prefix}_loss", f"{prefix}_accuracy"}
        assert metrics[f"{prefix}_loss"] == pytest.approx(float(loss), abs=1e-5)
        assert metrics[f"{prefix}_accuracy"] == pytest.approx(float(accuracy), abs=1e-6)


@pytest.mark.parametrize(
    ("small", "shape"), [(IMAGES, (7, 1, 8, 8)), (SETS, (7, 4, 1, 8, 8))], ids=["images", "sets"]
)
def test_the_loss_is_the_cross_entropy_of_every_input(small, shape):
    task = small.task().eval()
    inputs, right = torch.rand(shape), torch.tensor([0, 1, 2, 3, 3, 2, 1])
    scores = task.network(inputs)
    expected = (scores.logsumexp(-1) - scores[torch.arange(7), right]).mean()
    means = task.means((inputs, right))
    torch.testing.assert_close(task.loss((inputs, right)), expected)
    torch.testing.assert_close(means["loss"], (expected, 7))
    accuracy = int((scores.argmax(-1) == right).sum()) / 7
    assert means["accuracy"] == (pytest.approx(accuracy), 7)


def test_any_network_for_images_is_trained(tmp_path):
    network = ConvNet(image_size=8, num_channels=1, num_classes=10)
    task, record = IMAGES.task(network=network), Recorder()
    make_trainer(tmp_path, record, max_epochs=1).fit(task, IMAGES.make_data())
    assert record.losses[-1] < record.losses[0]
