"""The tagger trains with Lightning, logs what it says, and comes back from its checkpoint."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lightning_runs import Recorder, assert_holds_no_module, fit_and_save, make_trainer

from tutorial_lib.experiments.reverse.data import ReverseDataModule
from tutorial_lib.experiments.reverse.task import SequenceTagger
from tutorial_lib.schedules import cosine_with_warmup
from tutorial_lib.tagger import TaggerNetwork

CATEGORIES = 4


def make_network(seed=0):
    torch.manual_seed(seed)
    return TaggerNetwork(input_dim=CATEGORIES, num_classes=CATEGORIES, embed_dim=16)


def make_tagger(**settings):
    settings = {"num_categories": CATEGORIES, "learning_rate": 1e-2, "warmup_steps": 3} | settings
    return SequenceTagger(make_network(), **settings)


def make_data():
    return ReverseDataModule(
        num_categories=CATEGORIES,
        length=3,
        train_size=256,
        val_size=20,
        test_size=21,
        batch_size=16,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train once: the tagger, its data, its record and its checkpoint."""
    folder = tmp_path_factory.mktemp("trained")
    tagger, data = make_tagger(), make_data()
    record, path = fit_and_save(folder, tagger, data, max_epochs=4)
    return tagger, data, record, path


def test_training_learns_to_reverse(trained, tmp_path):
    tagger, data, record, _ = trained
    assert len(record.losses) == 4 * 16
    assert record.losses[-1] < 0.5 * record.losses[0]
    (metrics,) = make_trainer(tmp_path).test(tagger, data, verbose=False)
    assert metrics["test_accuracy"] > 0.6  # guessing gives 0.25
    assert metrics["test_loss"] < 1.0  # guessing gives ln 4 = 1.39


def test_the_rate_follows_the_schedule_to_the_last_step_of_the_trainer(trained):
    _, _, record, _ = trained
    settings = {"warmup_steps": 3, "total_steps": 64}
    expected = [1e-2 * cosine_with_warmup(step, **settings) for step in range(64)]
    assert record.rates == pytest.approx(expected, abs=1e-12)
    assert max(record.rates) == record.rates[3] == 1e-2


def test_the_logged_numbers_are_those_of_all_sequences(trained, tmp_path):
    tagger, data, _, _ = trained
    for stage, split in (("validate", 1), ("test", 2)):
        (metrics,) = getattr(make_trainer(tmp_path), stage)(tagger, data, verbose=False)
        tokens, labels = data.splits[split].tensors
        with torch.no_grad():
            logits = tagger.eval()(tokens)
        prefix = {"validate": "val", "test": "test"}[stage]
        # The last batch is short: a mean over batches would differ.
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        accuracy = (logits.argmax(dim=-1) == labels).float().mean()
        assert set(metrics) == {f"{prefix}_loss", f"{prefix}_accuracy"}
        assert metrics[f"{prefix}_loss"] == pytest.approx(float(loss), abs=1e-5)
        assert metrics[f"{prefix}_accuracy"] == pytest.approx(float(accuracy), abs=1e-6)


def test_the_training_loss_is_the_cross_entropy_of_every_token():
    tagger = make_tagger()
    tokens, labels = torch.randint(CATEGORIES, (2, 5, 3)).unbind()
    loss, accuracy = tagger._loss_and_accuracy((tokens, labels))
    chosen = tagger(tokens).log_softmax(dim=-1).gather(-1, labels[..., None])
    torch.testing.assert_close(loss, -chosen.mean())
    right = (tagger(tokens).argmax(-1) == labels).sum()
    assert float(accuracy) == pytest.approx(int(right) / 15)


def test_tokens_reach_the_network_one_hot_and_in_its_float_type():
    tagger = make_tagger()
    tokens = torch.tensor([[0, 3], [2, 1]])
    assert tagger.one_hot(tokens).dtype == torch.float32
    assert tagger.one_hot(tokens)[0].tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    torch.testing.assert_close(tagger(tokens), tagger.network(tagger.one_hot(tokens)))
    assert tagger.double()(tokens).dtype == torch.float64


def test_the_tagger_comes_back_from_its_checkpoint(trained):
    tagger, data, _, path = trained
    again = SequenceTagger.load_from_checkpoint(path, network=make_network(1), weights_only=True)
    tokens = data.splits[2].tensors[0]
    with torch.no_grad():
        assert again.eval()(tokens).equal(tagger.eval()(tokens))
        assert not make_tagger().eval()(tokens).equal(tagger(tokens))
    assert dict(again.hparams) == {
        "num_categories": CATEGORIES,
        "learning_rate": 1e-2,
        "warmup_steps": 3,
    }


def test_the_checkpoint_holds_no_pickled_module(trained):
    *_, path = trained
    assert_holds_no_module(path)


def test_training_can_be_resumed_from_the_checkpoint(trained, tmp_path):
    *_, path = trained
    record, tagger = Recorder(), make_tagger()
    make_trainer(tmp_path, record, max_epochs=5).fit(tagger, make_data(), ckpt_path=path)
    assert len(record.losses) == 16


def test_the_optimizer_is_adam_over_all_parameters(tmp_path):
    tagger, trainer = make_tagger(), make_trainer(tmp_path, max_epochs=1)
    trainer.fit(tagger, make_data())
    (optimizer,) = trainer.optimizers
    assert type(optimizer) is torch.optim.Adam
    (group,) = optimizer.param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in tagger.parameters()}
    assert group["initial_lr"] == 1e-2


def test_the_same_seed_trains_the_same_network(tmp_path):
    states = []
    for _ in range(2):
        tagger = make_tagger()
        make_trainer(tmp_path, max_epochs=1).fit(tagger, make_data())
        states.append(tagger.state_dict())
    assert all(value.equal(states[1][name]) for name, value in states[0].items())


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"network": "x"}, TypeError, "network must be an nn.Module, got str"),
        ({"num_categories": 0}, ValueError, "num_categories must be at least 1, got 0"),
        ({"learning_rate": -1.0}, ValueError, "learning_rate must be above 0"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate must be a number, got str"),
        ({"warmup_steps": -5}, ValueError, "warmup_steps must be at least 0, got -5"),
        ({"warmup_steps": 1.5}, TypeError, "warmup_steps must be an integer, got float"),
    ],
)
def test_wrong_settings_are_refused(settings, error, says):
    with pytest.raises(error, match=says):
        SequenceTagger(**{"network": torch.nn.Identity(), "num_categories": 3, **settings})


@pytest.mark.parametrize("tokens", [[[0, 5]], [[-1, 0]]])
def test_a_token_out_of_range_is_refused(tokens):
    tagger = SequenceTagger(torch.nn.Identity(), num_categories=3)
    with pytest.raises(ValueError, match=r"tokens must lie in 0\.\.2, got"):
        tagger.one_hot(torch.tensor(tokens))
