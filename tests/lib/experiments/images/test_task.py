"""The classifier trains with Lightning, logs what it says, and comes back from its checkpoint."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lightning_runs import Recorder, assert_holds_no_module, fit_and_save, make_trainer

from tutorial_lib.experiments.images.convnet import ConvNet
from tutorial_lib.experiments.images.data import DigitDataModule
from tutorial_lib.experiments.images.network import VisionTransformer
from tutorial_lib.experiments.images.task import Classifier
from tutorial_lib.experiments.odd_one_out.data import OddOneOutDataModule
from tutorial_lib.experiments.odd_one_out.image_embedding import ConvEmbedding
from tutorial_lib.experiments.odd_one_out.network import SetNetwork
from tutorial_lib.schedules import cosine_with_warmup

SIZES = {"image_size": 8, "num_channels": 1, "num_classes": 10}


def make_image_network(seed=0):
    torch.manual_seed(seed)
    return VisionTransformer(
        patch_size=2, embed_dim=16, num_heads=4, num_layers=1, position_std=0.1, **SIZES
    )


def make_set_network(seed=0):
    torch.manual_seed(seed)
    embedding = ConvEmbedding(image_size=8, num_channels=1, embed_dim=32, width=8)
    return SetNetwork(embedding, input_dim=32, embed_dim=32, num_heads=2)


def make_sets():
    sizes = {"train_size": 40 * 32, "val_size": 50, "test_size": 210, "batch_size": 32}
    return OddOneOutDataModule(set_size=4, max_shift=0.0, **sizes)


def make_digits():
    return DigitDataModule(batch_size=64)


def make_task(network=None, **settings):
    settings = {"learning_rate": 1e-2, "warmup_steps": 5, "weight_decay": 0.1} | settings
    return Classifier(make_image_network() if network is None else network, **settings)


@pytest.fixture(
    scope="module",
    params=[(make_image_network, make_digits, 1e-2, 16), (make_set_network, make_sets, 5e-3, 40)],
    ids=["images", "sets"],
)
def trained(request, tmp_path_factory):
    """Train each once: what it was made of, the task, its data, its record and its checkpoint."""
    make_network, make_data, rate, steps = request.param
    task, data = make_task(make_network(), learning_rate=rate), make_data()
    folder = tmp_path_factory.mktemp("trained")
    record, path = fit_and_save(folder, task, data, max_epochs=3)
    assert len(record.losses) == 3 * steps
    return request.param, task, data, record, path


def test_training_learns_to_choose(trained, tmp_path):
    (make_network, *_), task, data, record, _ = trained
    assert record.losses[-1] < 0.7 * record.losses[0]
    (metrics,) = make_trainer(tmp_path).test(task, data, verbose=False)
    # Guessing gives one in ten digits, and one in four places.
    assert metrics["test_accuracy"] > (0.4 if make_network is make_image_network else 0.7)


def test_the_rate_follows_the_schedule_to_the_last_step_of_the_trainer(trained):
    (_, _, rate, steps), _, _, record, _ = trained
    settings = {"warmup_steps": 5, "total_steps": 3 * steps}
    expected = [rate * cosine_with_warmup(step, **settings) for step in range(3 * steps)]
    assert record.rates == pytest.approx(expected, abs=1e-12)
    assert max(record.rates) == record.rates[5] == rate


def test_the_logged_numbers_are_those_of_all_inputs(trained, tmp_path):
    _, task, data, *_ = trained
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


@pytest.mark.parametrize("make_network", [make_image_network, make_set_network])
def test_the_training_loss_is_the_cross_entropy_of_every_input(make_network):
    task = make_task(make_network()).eval()
    shape = (7, 1, 8, 8) if make_network is make_image_network else (7, 4, 1, 8, 8)
    inputs, right = torch.rand(shape), torch.tensor([0, 1, 2, 3, 3, 2, 1])
    loss, accuracy = task._loss_and_accuracy((inputs, right))
    scores = task.network(inputs)
    expected = (scores.logsumexp(-1) - scores[torch.arange(7), right]).mean()
    torch.testing.assert_close(loss, expected)
    assert float(accuracy) == pytest.approx(int((scores.argmax(-1) == right).sum()) / 7)


def test_any_network_for_images_is_trained(tmp_path):
    task, record = make_task(ConvNet(**SIZES)), Recorder()
    make_trainer(tmp_path, record, max_epochs=1).fit(task, make_digits())
    assert record.losses[-1] < record.losses[0]


@pytest.mark.parametrize(("decay", "kind"), [(0.0, torch.optim.Adam), (0.1, torch.optim.AdamW)])
def test_the_optimizer_trains_all_parameters(decay, kind, tmp_path):
    task = make_task(weight_decay=decay, warmup_steps=1)
    trainer = make_trainer(tmp_path, max_steps=2)
    trainer.fit(task, make_digits())
    (optimizer,) = trainer.optimizers
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in task.parameters()}
    assert group["weight_decay"] == decay


def test_the_task_comes_back_from_its_checkpoint(trained):
    (make_network, _, rate, _), task, data, _, path = trained
    again = Classifier.load_from_checkpoint(path, network=make_network(1), weights_only=True)
    inputs = torch.stack([data.splits[2][i][0] for i in range(20)])
    with torch.no_grad():
        assert again.eval()(inputs).equal(task.eval()(inputs))
        assert not make_network().eval()(inputs).equal(task(inputs))
    assert dict(again.hparams) == {"learning_rate": rate, "warmup_steps": 5, "weight_decay": 0.1}
    assert_holds_no_module(path)


def test_training_can_be_resumed_from_the_checkpoint(trained, tmp_path):
    (make_network, make_data, _, steps), *_, path = trained
    record, task = Recorder(), make_task(make_network())
    make_trainer(tmp_path, record, max_epochs=4).fit(task, make_data(), ckpt_path=path)
    assert len(record.losses) == steps


def test_the_same_seed_trains_the_same_network(trained, tmp_path):
    (make_network, make_data, rate, _), trained_task, *_ = trained
    task = make_task(make_network(), learning_rate=rate)
    make_trainer(tmp_path, max_epochs=3).fit(task, make_data())
    expected = trained_task.state_dict()
    assert all(value.equal(expected[name]) for name, value in task.state_dict().items())


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"network": "x"}, TypeError, "network must be an nn.Module, got str"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be above 0"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number, got str"),
        ({"warmup_steps": -5}, ValueError, "warmup_steps must be at least 0, got -5"),
        ({"warmup_steps": 1.5}, TypeError, "warmup_steps must be an integer, got float"),
        ({"weight_decay": -0.1}, ValueError, r"weight_decay must be at least 0 .* got -0\.1"),
    ],
)
def test_wrong_settings_are_refused(wrong, error, says):
    with pytest.raises(error, match=f"^{says}"):
        Classifier(**({"network": torch.nn.Identity()} | wrong))
