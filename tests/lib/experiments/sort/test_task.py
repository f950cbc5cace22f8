"""The task trains by teacher forcing, and is judged by what it writes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from lightning_runs import Recorder, fit_and_save, make_trainer
from small_tasks import SMALL
from torch import Tensor, nn

from tutorial_lib.beam_search import beam_search
from tutorial_lib.experiments.sort.data import PairDataModule
from tutorial_lib.teacher_forcing import END, PAD, START

SYMBOLS = 3
make_task = SMALL["sort"].task


def make_data(**settings):
    return PairDataModule(**(dict(SMALL["sort"].make_data().hparams) | settings))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train once: the task, its data and its record."""
    task, data = make_task(), make_data()
    record, _ = fit_and_save(tmp_path_factory.mktemp("trained"), task, data, max_epochs=2)
    return task, data, record


class CopyMachine(nn.Module):
    """A network that copies its source, but never more than ``memory`` symbols."""

    def __init__(self, memory: int = 99) -> None:
        super().__init__()
        self.memory = memory
        self.weight = nn.Parameter(torch.zeros(()))  # so that there is something to train

    def given(self, src: Tensor) -> Copies:
        return Copies(self, src)

    def forward(self, src: Tensor, tgt: Tensor) -> Tensor:
        return self.given(src)(tgt)


@dataclass
class Copies:
    """What the machine says for given sources: symbols, END, and END again."""

    machine: CopyMachine
    src: Tensor

    @property
    def training(self) -> bool:
        return self.machine.training

    def __call__(self, tokens, *, cache=None):
        assert cache is None
        symbols = self.src[:, : self.machine.memory]
        answer = F.pad(symbols.masked_fill(symbols == PAD, END), (0, tokens.shape[1]), value=END)
        sure = 50.0 * F.one_hot(answer[:, : tokens.shape[1]], 3 + SYMBOLS)
        return sure + self.machine.weight

    def make_cache(self, batch_size, capacity):
        raise AssertionError("no cache is wanted")


# ---- training -----------------------------------------------------------------------------------


def test_training_lowers_the_loss(trained):
    *_, record = trained
    assert len(record.losses) == 2 * 16
    assert record.losses[-1] < 0.75 * record.losses[0]


def test_two_steps_on_one_batch_lower_its_loss():
    task, data = make_task(), make_data()
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    optimizer, losses = torch.optim.Adam(task.parameters(), lr=1e-3), []
    for _ in range(3):
        loss = task.loss(batch)
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[2] < losses[1] < losses[0]


def test_loss_and_accuracy_are_those_of_the_labels_that_are_no_padding():
    task = make_task()
    src = torch.tensor([[3, 4, 5], [5, PAD, PAD]])
    tgt = torch.tensor([[START, 3, 4, 5, END], [START, 5, END, PAD, PAD]])
    logits = task(src, tgt[:, :-1])
    log_p = logits.log_softmax(dim=-1)
    real = [(0, 0, 3), (0, 1, 4), (0, 2, 5), (0, 3, END), (1, 0, 5), (1, 1, END)]
    expected = -sum(log_p[place] for place in real) / 6
    right = sum(int(logits[row, i].argmax()) == token for row, i, token in real) / 6
    means = task.means((src, tgt))
    torch.testing.assert_close(task.loss((src, tgt)), expected)
    torch.testing.assert_close(means["loss"], (expected, 6))
    assert means["accuracy"] == (pytest.approx(right), 6)


def test_label_smoothing_counts_in_training_alone(tmp_path):
    seen = {}
    for smoothing in (0.0, 0.5):
        record = Recorder()
        task = make_task(network=CopyMachine(), label_smoothing=smoothing, warmup_steps=0)
        trainer = make_trainer(tmp_path, record, max_epochs=1)
        trainer.fit(task, make_data(train_size=16))
        seen[smoothing] = record.losses[0], float(trainer.callback_metrics["val_loss"])
    # Wrong tokens stand 50 below the right one; 5 of 6 get a share of half the target.
    assert seen[0.0] == pytest.approx((0.0, 0.0), abs=1e-6)
    assert seen[0.5] == pytest.approx((0.5 * 50 * 5 / 6, 0.0), abs=1e-4)


# ---- what is logged -----------------------------------------------------------------------------


def test_validation_logs_the_numbers_of_all_sequences(trained, tmp_path):
    task, data, *_ = trained
    (metrics,) = make_trainer(tmp_path).validate(task, data, verbose=False)
    src, tgt = data.splits[1].tensors
    with torch.no_grad():
        logits, labels = task.eval()(src, tgt[:, :-1]), tgt[:, 1:]
    # The last batch is short: a mean over batches would differ.
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
    accuracy = (logits.argmax(dim=-1) == labels).float().mean()
    assert metrics["val_loss"] == pytest.approx(float(loss), abs=1e-5)
    assert metrics["val_accuracy"] == pytest.approx(float(accuracy), abs=1e-6)


def test_every_token_counts_the_same_in_batches_of_short_and_long_targets(tmp_path):
    # What the machine forgets is the end of the long sequences.
    data = make_data(min_length=1, val_size=20, batch_size=3)
    task = make_task(network=CopyMachine(memory=1), use_cache=False)
    (metrics,) = make_trainer(tmp_path).validate(task, data, verbose=False)
    src, tgt = data.splits[1].tensors
    labels = tgt[:, 1:]
    right = (task(src, tgt[:, :-1]).argmax(dim=-1) == labels)[labels != PAD]
    assert right.float().mean() < 0.9
    assert metrics["val_accuracy"] == pytest.approx(float(right.float().mean()), abs=1e-6)


@pytest.mark.parametrize("memory", [99, 2, 0])
def test_exact_match_is_the_share_of_the_targets_without_a_mistake(memory, tmp_path):
    data = make_data(min_length=1)
    task = make_task(network=CopyMachine(memory), use_cache=False)
    (metrics,) = make_trainer(tmp_path).test(task, data, verbose=False)
    lengths = (data.splits[2].tensors[0] != PAD).sum(dim=1)
    share = float((lengths <= memory).float().mean())
    assert share == {99: 1, 0: 0}.get(memory, share)
    assert 0 < share < 1 or memory != 2
    assert metrics["test_exact_match"] == pytest.approx(share, abs=1e-6)


def test_exact_match_reads_no_target(tmp_path):
    # The right answers of another task: copies are no reversals, but for palindromes.
    data = make_data(min_length=1, task="reverse")
    task = make_task(network=CopyMachine(), use_cache=False)
    (metrics,) = make_trainer(tmp_path).test(task, data, verbose=False)
    src, tgt = data.splits[2].tensors
    palindromes = sum(
        [token for token in source if token >= 3] == [token for token in target if token >= 3]
        for source, target in zip(src.tolist(), tgt.tolist(), strict=True)
    )
    assert 0 < palindromes < 21
    assert metrics["test_exact_match"] == pytest.approx(palindromes / 21, abs=1e-6)


# ---- what is written ----------------------------------------------------------------------------


def test_targets_are_written_from_start_to_end_and_padded():
    task = make_task(network=CopyMachine(), use_cache=False)
    src = torch.tensor([[3, 4, 5], [5, PAD, PAD]])
    written = task.generate(src, max_new_tokens=9)
    assert written.tolist() == [[START, 3, 4, 5, END], [START, 5, END, PAD, PAD]]
    assert task.generate(src, max_new_tokens=2).tolist() == [[START, 3, 4], [START, 5, END]]
    assert not written.requires_grad


def test_the_cache_writes_the_same_targets(trained):
    task, data, *_ = trained
    src = data.splits[2].tensors[0]
    plain = make_task(network=task.network, use_cache=False)
    assert task.generate(src, max_new_tokens=5).equal(plain.generate(src, max_new_tokens=5))


def test_beams_write_what_beam_search_finds(trained):
    task, data, *_ = trained
    src = data.splits[2].tensors[0]
    task.network.eval()
    prompt = src.new_full((len(src), 1), START)
    options = {"max_new_tokens": 5, "stop_token": END, "pad_token": PAD}
    for num_beams, penalty in ((2, 0.0), (3, 1.0)):
        settings = {"num_beams": num_beams, "length_penalty": penalty}
        expected = beam_search(task.network.given(src), prompt, **settings, **options).tokens[:, 0]
        assert task.generate(src, max_new_tokens=5, **settings).equal(expected)
    one = task.generate(src, max_new_tokens=5, num_beams=1)
    assert one.equal(task.generate(src, max_new_tokens=5))
    with pytest.raises(ValueError, match=r"^num_beams must be at least 1, got 0"):
        task.generate(src, max_new_tokens=5, num_beams=0)


@pytest.mark.parametrize("mode", [True, False])
def test_generating_puts_the_network_back_into_the_mode_it_was_in(mode):
    task = make_task().train(mode)
    task.generate(torch.tensor([[3, 4]]), max_new_tokens=2)
    assert all(module.training == mode for module in task.network.modules())
    with pytest.raises(ValueError, match=r"tokens must lie in 0\.\.5"):
        task.generate(torch.tensor([[3, 99]]), max_new_tokens=2)
    assert all(module.training == mode for module in task.network.modules())


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"pad_token": -1}, ValueError, "pad_token must be at least 0, got -1"),
        (
            {"end_token": 1},
            ValueError,
            "pad_token, start_token and end_token must differ, got 0, 1",
        ),
        ({"label_smoothing": 1.0}, ValueError, r"label_smoothing must be .* got 1\.0"),
    ],
)
def test_wrong_settings_are_refused(wrong, error, says):
    with pytest.raises(error, match=f"^{says}"):
        make_task(**wrong)


@pytest.mark.usefixtures("unchecked_shapes")
def test_wrong_numbers_of_tokens_are_refused():
    for number, error in ((0, ValueError), (2.0, TypeError)):
        with pytest.raises(error, match=r"^max_new_tokens must be"):
            make_task().generate(torch.tensor([[3]]), max_new_tokens=number)
