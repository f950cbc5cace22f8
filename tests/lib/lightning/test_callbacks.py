"""What the callbacks keep is what was there, and they leave the training as it was."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from lightning_runs import make_trainer

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.experiments.reverse.data import ReverseDataModule
from tutorial_lib.experiments.reverse.task import SequenceTagger
from tutorial_lib.lightning.callbacks import AttentionHistory, TrainingRecord
from tutorial_lib.tagger import TaggerNetwork

INPUTS = F.one_hot(torch.tensor([[0, 1, 2], [3, 3, 0]]), 4).float()


def maps_of(module):
    return attention_maps(module.network, INPUTS)


def make_tagger(seed=0):
    torch.manual_seed(seed)
    sizes = {"input_dim": 4, "num_classes": 4, "embed_dim": 8, "num_heads": 2, "num_layers": 2}
    network = TaggerNetwork(**sizes, dropout=0.3)
    return SequenceTagger(network, num_categories=4, learning_rate=0.01, warmup_steps=0)


def fit(tagger, *callbacks, ckpt_path=None, **options):
    sizes = {"num_categories": 4, "length": 3, "train_size": 32, "val_size": 2, "test_size": 2}
    trainer = make_trainer(None, *callbacks, **{"max_steps": 7, "limit_val_batches": 0} | options)
    data = ReverseDataModule(**sizes, batch_size=8)
    trainer.fit(tagger, data, ckpt_path=ckpt_path, weights_only=True)
    return trainer


class Everything(pl.Callback):
    """Note losses, weights and modes, in whatever way the callback under test leaves them."""

    def __init__(self):
        self.losses, self.weights, self.modes = [], [], []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.modes.append([part.training for part in pl_module.modules()])
        self.weights.append({name: w.clone() for name, w in pl_module.state_dict().items()})

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(outputs["loss"].item())


class Given(pl.LightningModule):
    """Log what is handed over: the batches' values, and in the end the number of validations."""

    def __init__(self, returns=True):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.returns, self.count = returns, 0

    def training_step(self, batch, batch_idx):
        self.log("train_mean", batch.mean())
        return batch.mean() + 0 * self.weight if self.returns else None

    def validation_step(self, batch, batch_idx):
        self.log("val_mean", batch.mean() + self.current_epoch)

    def on_validation_epoch_end(self):
        self.count += 1
        self.log("val_count", float(self.count))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def fit_given(module, *callbacks):
    rows = torch.utils.data.DataLoader([1.0, 2.0, 6.0], batch_size=2)
    trainer = make_trainer(None, *callbacks, max_epochs=2)
    trainer.fit(module, rows, rows)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_the_record_holds_every_loss_and_every_validation_but_the_check_before():
    record = TrainingRecord()
    fit_given(Given(), record)
    assert record.losses == [1.5, 6.0] * 2
    # A mean over the rows; the check before the training was the first to be counted.
    assert record.validated == {"val_mean": [3.0, 4.0], "val_count": [2.0, 3.0]}


@pytest.mark.filterwarnings(
    "ignore:.*does not have many workers", "ignore:`training_step` returned"
)
def test_the_record_leaves_out_what_returns_no_loss():
    record = TrainingRecord(prefix="val_c")
    fit_given(Given(returns=False), record)
    assert record.losses == []
    assert record.validated == {"val_count": [2.0, 3.0]}


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_prefix_that_is_no_string_is_refused():
    with pytest.raises(TypeError, match=r"^prefix must be a string, got int"):
        TrainingRecord(prefix=3)


def test_it_looks_before_every_few_steps_and_at_the_end():
    history = AttentionHistory(maps_of, every=3)
    fit(make_tagger(), history)
    assert history.steps == [0, 3, 6, 7]
    assert [[tuple(layer.shape) for layer in maps] for maps in history.maps] == [
        [(2, 2, 3, 3)] * 2
    ] * 4
    assert history.layer(1).shape == (4, 2, 2, 3, 3)
    assert history.layer(-1).equal(history.layer(1))
    assert not history.layer(0).equal(history.layer(1))


def test_a_last_step_that_is_looked_at_anyway_is_looked_at_once():
    history = AttentionHistory(maps_of, every=3)
    fit(make_tagger(), history, max_steps=6)
    assert history.steps == [0, 3, 6]


def test_the_maps_are_those_of_the_weights_at_that_step_without_dropout():
    history, everything = AttentionHistory(maps_of, every=2), Everything()
    tagger = make_tagger()
    fit(tagger, history, everything)
    weights = [*everything.weights, tagger.state_dict()]  # before each step, and after the last
    twin = make_tagger(1).eval()
    for step, maps in zip(history.steps, history.maps, strict=True):
        twin.load_state_dict(weights[step])
        for got, expected in zip(maps, maps_of(twin), strict=True):
            assert got.equal(expected)
    assert not history.maps[0][0].equal(history.maps[-1][0])


def test_training_goes_on_as_if_nobody_had_looked():
    runs = []
    for callbacks in ([], [AttentionHistory(maps_of, every=1)]):
        tagger, everything = make_tagger(), Everything()
        fit(tagger, *callbacks, everything)
        runs.append((everything.losses, list(tagger.state_dict().values())))
    assert runs[0][0] == runs[1][0]  # with dropout: the draws are the same too
    for theirs, ours in zip(runs[0][1], runs[1][1], strict=True):
        assert ours.equal(theirs)


def test_every_part_comes_back_in_the_mode_it_was_in():
    class Freeze(pl.Callback):
        def on_train_start(self, trainer, pl_module):
            pl_module.network.encoder.eval()

    tagger, everything, seen = make_tagger(), Everything(), []

    def look(module):
        seen.append((module.training, torch.is_grad_enabled()))
        return maps_of(module)

    fit(tagger, Freeze(), AttentionHistory(look, every=1), everything)
    assert seen == [(False, False)] * 8
    frozen = {id(part) for part in tagger.network.encoder.modules()}
    expected = [id(part) not in frozen for part in tagger.modules()]
    assert everything.modes == [expected] * 7


def test_the_mode_comes_back_even_if_the_look_fails():
    def look(module):
        raise KeyError("no such layer")

    tagger = make_tagger()
    with pytest.raises(KeyError, match="no such layer"):
        AttentionHistory(look, every=1)._look(0, tagger)
    assert tagger.training


def test_accumulated_batches_count_as_the_step_they_make():
    history = AttentionHistory(maps_of, every=2)
    trainer = fit(make_tagger(), history, max_steps=4, accumulate_grad_batches=2)
    assert history.steps == [0, 2, 4]
    assert trainer.global_step == 4


def test_what_was_seen_is_not_changed_by_what_follows():
    buffer = torch.ones(1, 1, 2, 2)

    def look(module):
        buffer.add_(1)
        return [buffer]

    history = AttentionHistory(look, every=1)
    fit(make_tagger(), history, max_steps=2)
    assert [int(maps[0].mean()) for maps in history.maps] == [2, 3, 4]


class SaveAndStop(pl.Callback):
    """Save a checkpoint after four steps, and end the run as if it had been killed."""

    def __init__(self, path):
        self.path = path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 4:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True


def test_a_resumed_run_goes_on_with_the_history(tmp_path):
    whole, first, second = (AttentionHistory(maps_of, every=2) for _ in range(3))
    path = tmp_path / "half.ckpt"
    fit(make_tagger(), whole, max_steps=6)
    fit(make_tagger(), first, SaveAndStop(path), max_steps=6)
    fit(make_tagger(1), second, max_steps=6, ckpt_path=path)
    assert first.steps == [0, 2, 4]
    assert second.steps == whole.steps == [0, 2, 4, 6]
    assert second.layer(0)[:3].equal(whole.layer(0)[:3])


def test_a_new_run_begins_a_new_history():
    history, fresh = (AttentionHistory(maps_of, every=2) for _ in range(2))
    fit(make_tagger(1), history, max_steps=5)
    fit(make_tagger(), history, max_steps=3)
    fit(make_tagger(), fresh, max_steps=3)
    assert history.steps == fresh.steps == [0, 2, 3]
    assert history.layer(0).equal(fresh.layer(0))


def test_a_run_resumed_from_an_earlier_step_forgets_the_later_looks(tmp_path):
    history, path = AttentionHistory(maps_of, every=3), tmp_path / "half.ckpt"
    fit(make_tagger(), SaveAndStop(path), max_steps=6)  # its checkpoint has no history
    fit(make_tagger(), history, max_steps=6)
    before, steps = history.layer(0)[1], list(history.steps)
    fit(make_tagger(1), history, max_steps=6, ckpt_path=path)
    assert steps == [0, 3, 6]
    assert history.steps == [0, 3, 4, 6]
    assert history.maps[1][0].equal(before)
    assert not history.maps[3][0].equal(before)


def test_there_is_nothing_to_stack_before_training():
    with pytest.raises(RuntimeError, match="there is no map yet: train first"):
        AttentionHistory(maps_of, every=1).layer(0)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"look": 3}, TypeError, "look must be a function of the module, got int"),
        ({"every": 0}, ValueError, "every must be at least 1, got 0"),
        ({"every": 2.0}, TypeError, "every must be an integer, got float"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, says):
    with pytest.raises(error, match=f"^{says}"):
        AttentionHistory(**{"look": maps_of, "every": 1, **arguments})


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("seen", "error", "says"),
    [
        ([], ValueError, "look must return at least one map, got none"),
        ([None], TypeError, "look must return tensors, one a layer, got NoneType"),
        (
            torch.rand(2, 3, 3),
            ValueError,
            r"look must return maps of shape \(batch, heads, query, key\), got \(3, 3\)",
        ),
    ],
)
def test_what_is_no_map_is_refused(seen, error, says):
    with pytest.raises(error, match=f"^{says}"):
        AttentionHistory(lambda module: seen, every=1)._look(0, make_tagger())
