"""The captioning task steps each part at its own rate, and freezes."""

from __future__ import annotations

import functools

import pytest
import torch
from lightning_runs import fit_and_save, make_trainer
from small_tasks import SMALL
from torch import nn

from tutorial_lib.cache import KVCache
from tutorial_lib.experiments.captions.image_encoders import ConvEncoder
from tutorial_lib.experiments.captions.task import CaptioningTask
from tutorial_lib.schedules import cosine_with_warmup

SMALL_TASK = SMALL["captions"]
make_task, make_data = SMALL_TASK.task, SMALL_TASK.make_data


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train once: the task, its data and its record."""
    task, data = make_task(), make_data()
    record, _ = fit_and_save(tmp_path_factory.mktemp("trained"), task, data, max_epochs=2)
    return task, data, record


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(module, before):
    return {name for name, value in module.state_dict().items() if not value.equal(before[name])}


def step(task, optimizer, batch):
    optimizer.zero_grad()
    task.loss(batch).backward()
    optimizer.step()


def test_training_lowers_the_loss(trained):
    *_, record = trained
    assert len(record.losses) == 2 * 16
    assert record.losses[-1] < 0.6 * record.losses[0]


def test_both_rates_follow_the_schedule_a_tenth_apart(trained):
    *_, record = trained
    factors = [cosine_with_warmup(s, warmup_steps=3, total_steps=32) for s in range(32)]
    assert [rates[1] for rates in record.group_rates] == pytest.approx([1e-2 * f for f in factors])
    assert [rates[0] for rates in record.group_rates] == pytest.approx([1e-3 * f for f in factors])


def test_every_parameter_is_in_the_group_of_its_part():
    task = make_task(learning_rate=0.02, encoder_factor=0.25)
    encoder, decoder = task.parameter_groups()
    assert (encoder["name"], encoder["lr"]) == ("encoder", pytest.approx(0.005))
    assert (decoder["name"], decoder["lr"]) == ("decoder", 0.02)
    both = [id(parameter) for group in (encoder, decoder) for parameter in group["params"]]
    assert len(both) == len(set(both))
    assert set(both) == {id(parameter) for parameter in task.parameters()}
    assert {id(p) for p in encoder["params"]} == {id(p) for p in task.network.encoder.parameters()}


def test_the_first_step_of_adam_moves_each_part_by_its_rate():
    task, data = make_task(), make_data()
    data.setup("fit")
    before = state(task.network)
    step(task, torch.optim.Adam(task.parameter_groups()), next(iter(data.train_dataloader())))
    largest = {"encoder": 0.0, "decoder": 0.0}
    for name, value in task.network.state_dict().items():
        part = name.split(".")[0]
        largest[part] = max(largest[part], float((value - before[name]).abs().max()))
    assert largest["encoder"] == pytest.approx(1e-3, rel=1e-2)
    assert largest["decoder"] == pytest.approx(1e-2, rel=1e-2)


def test_a_frozen_encoder_stays_as_it_is_while_the_decoder_is_trained(tmp_path):
    task = make_task(encoder=ConvEncoder(embed_dim=16, dropout=0.5), freeze_encoder=True)
    encoder, decoder = state(task.network.encoder), state(task.network.decoder)
    with pytest.warns(UserWarning, match="in eval mode at the start of training"):
        make_trainer(tmp_path, max_epochs=1).fit(task, make_data())
    assert not moved(task.network.encoder, encoder)  # with the statistics of BatchNorm
    assert moved(task.network.decoder, decoder)
    assert task.training
    assert not any(module.training for module in task.network.encoder.modules())


def test_freezing_by_gradients_alone_would_move_the_statistics_of_batch_norm():
    task, data = make_task(encoder=ConvEncoder(embed_dim=16)), make_data()
    data.setup("fit")
    task.network.encoder.requires_grad_(False)
    before = state(task.network.encoder)
    step(task, torch.optim.Adam(task.parameter_groups()), next(iter(data.train_dataloader())))
    names = moved(task.network.encoder, before)
    assert names == {
        f"layers.{layer}.{name}"
        for layer in (1, 4)
        for name in ("running_mean", "running_var", "num_batches_tracked")
    }


def test_an_encoder_can_be_unfrozen_in_mid_training():
    task, data = make_task(freeze_encoder=True), make_data()
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    optimizer = torch.optim.Adam(task.parameter_groups())
    encoder, decoder = task.network.encoder, task.network.decoder
    before = state(encoder)
    step(task, optimizer, batch)
    assert not moved(encoder, before)
    assert not any(parameter in optimizer.state for parameter in encoder.parameters())
    task.set_encoder_frozen(False)
    assert all(module.training for module in task.modules())
    step(task, optimizer, batch)
    assert moved(encoder, before) == set(dict(encoder.named_parameters()))
    steps = [
        {int(optimizer.state[p]["step"]) for p in part.parameters()} for part in (encoder, decoder)
    ]
    assert steps == [{1}, {2}]


def test_evaluation_mode_is_left_for_what_is_not_frozen_only():
    task = make_task(freeze_encoder=True).eval()
    task.set_encoder_frozen(False)
    assert not any(module.training for module in task.modules())
    task.train()
    assert all(module.training for module in task.modules())


def test_validation_logs_the_numbers_of_all_captions(trained, tmp_path):
    task, data, *_ = trained
    (metrics,) = make_trainer(tmp_path).validate(task, data, verbose=False)
    images, captions = data.splits[1].tensors
    with torch.no_grad():
        logits, labels = task.eval()(images, captions[:, :-1]), captions[:, 1:]
    real = labels != 0
    loss = nn.functional.cross_entropy(logits[real], labels[real])
    accuracy = (logits.argmax(dim=-1) == labels)[real].float().mean()
    assert set(metrics) == {"val_loss", "val_accuracy"}
    assert metrics["val_loss"] == pytest.approx(float(loss), abs=1e-5)
    assert metrics["val_accuracy"] == pytest.approx(float(accuracy), abs=1e-6)


class Answers(nn.Module):
    """A decoder that knows some captions by heart: the first place of the memory is the number."""

    def __init__(self, captions):
        super().__init__()
        self.captions = captions
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, tokens, memory, *, cache=None):
        rows = self.captions[memory[:, 0, 0].long()]
        start = 0 if cache is None else cache.length
        labels = rows[:, start + 1 : start + 1 + tokens.shape[1]]
        if cache is not None:
            cache.advance(tokens.shape[1])
        return 9.0 * nn.functional.one_hot(labels, 18) + self.weight

    def given(self, memory):
        model = functools.partial(self, memory=memory)
        model.make_cache = self.make_cache
        return model

    def make_cache(self, batch_size, capacity):
        sizes = {"num_layers": 1, "num_heads": 1, "head_dim": 1}
        return KVCache(**sizes, batch_size=batch_size, capacity=capacity)


def test_exact_match_is_the_share_of_captions_without_a_mistake(tmp_path):
    data = make_data()
    data.setup("test")
    images, captions = data.splits[2].tensors
    images[:, 0, 0, 0] = torch.arange(21.0)  # so that the encoder below can tell the number
    known = captions.clone()
    known[5, 4] = 3  # one wrong word in one caption, and in another
    known[9, 1] = 3
    task = CaptioningTask(nn.Flatten(2), Answers(known))
    (metrics,) = make_trainer(tmp_path).test(task, data, verbose=False)
    assert set(metrics) == {"test_exact_match"}
    assert metrics["test_exact_match"] == pytest.approx(19 / 21, abs=1e-6)


def test_generating_writes_captions_and_keeps_the_mode(trained):
    task, data, *_ = trained
    images = data.splits[2].tensors[0][:4]
    for mode in (True, False):
        task.train(mode)
        written = task.generate(images, max_new_tokens=10)
        assert written[:, 0].eq(1).all()
        assert written.shape[1] <= 11
        assert all(module.training == mode for module in task.modules())


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"encoder": "x"}, TypeError, "encoder must be an nn.Module, got str"),
        ({"decoder": None}, TypeError, "decoder must be an nn.Module, got NoneType"),
        ({"pad_token": -1}, ValueError, "pad_token must be at least 0, got -1"),
        ({"end_token": 1}, ValueError, "pad_token, start_token and end_token must differ"),
        ({"encoder_factor": -0.1}, ValueError, "encoder_factor must be above 0"),
        ({"encoder_factor": "slow"}, TypeError, "encoder_factor must be a number, got str"),
    ],
)
def test_wrong_settings_are_refused(wrong, error, says):
    with pytest.raises(error, match=f"^{says}"):
        make_task(**wrong)
