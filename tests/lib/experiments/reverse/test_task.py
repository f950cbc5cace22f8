"""The tagger learns to reverse, and logs the numbers of all sequences."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lightning_runs import fit_and_save, make_trainer
from small_tasks import SMALL

from tutorial_lib.experiments.reverse.task import SequenceTagger

make_tagger, make_data = SMALL["reverse"].task, SMALL["reverse"].make_data


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train once: the tagger, its data and its record."""
    tagger, data = make_tagger(), make_data()
    record, _ = fit_and_save(tmp_path_factory.mktemp("trained"), tagger, data, max_epochs=4)
    return tagger, data, record


def test_training_learns_to_reverse(trained, tmp_path):
    tagger, data, record = trained
    assert len(record.losses) == 4 * 16
    assert record.losses[-1] < 0.5 * record.losses[0]
    (metrics,) = make_trainer(tmp_path).test(tagger, data, verbose=False)
    assert metrics["test_accuracy"] > 0.6  # guessing gives 0.25
    assert metrics["test_loss"] < 1.0  # guessing gives ln 4 = 1.39


def test_the_logged_numbers_are_those_of_all_sequences(trained, tmp_path):
    tagger, data, _ = trained
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
    tokens, labels = torch.randint(4, (2, 5, 3)).unbind()
    means = tagger.means((tokens, labels))
    chosen = tagger(tokens).log_softmax(dim=-1).gather(-1, labels[..., None])
    torch.testing.assert_close(tagger.loss((tokens, labels)), -chosen.mean())
    torch.testing.assert_close(means["loss"], (-chosen.mean(), 5))
    right = (tagger(tokens).argmax(-1) == labels).sum()
    assert means["accuracy"] == (pytest.approx(int(right) / 15), 5)


def test_tokens_reach_the_network_one_hot_and_in_its_float_type():
    tagger = make_tagger()
    tokens = torch.tensor([[0, 3], [2, 1]])
    assert tagger.one_hot(tokens).dtype == torch.float32
    assert tagger.one_hot(tokens)[0].tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]
    torch.testing.assert_close(tagger(tokens), tagger.network(tagger.one_hot(tokens)))
    assert tagger.double()(tokens).dtype == torch.float64


@pytest.mark.usefixtures("unchecked_shapes")
def test_no_categories_are_refused():
    with pytest.raises(ValueError, match="num_categories must be at least 1, got 0"):
        make_tagger(num_categories=0)


@pytest.mark.parametrize("tokens", [[[0, 5]], [[-1, 0]]])
def test_a_token_out_of_range_is_refused(tokens):
    tagger = SequenceTagger(torch.nn.Identity(), num_categories=3)
    with pytest.raises(ValueError, match=r"tokens must lie in 0\.\.2, got"):
        tagger.one_hot(torch.tensor(tokens))
