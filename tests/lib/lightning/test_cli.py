"""The command line runs every config; runs are reproduced, resumed, and spread over processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
import yaml
from lightning_runs import QUIET, read_config, small_splits

from tutorial_lib.lightning.cli import (
    BookCLI,
    config_names,
    config_path,
    find_configs,
    main,
    newest_checkpoint,
)
from tutorial_lib.lightning.processes import run_together

ROOT = Path(__file__).resolve().parents[3]
# The reversal in small: 20 batches an epoch, two kinds of random numbers.
SMALL = [
    "fit",
    "--config=reverse",
    *QUIET,
    "--model.init_args.network.init_args.embed_dim=8",
    "--model.init_args.network.init_args.dropout=0.1",
    "--model.init_args.warmup_steps=5",
    "--data.init_args.length=4",
    "--data.init_args.train_size=320",
    "--data.init_args.val_size=64",
    "--data.init_args.test_size=64",
    "--data.init_args.batch_size=16",
    "--trainer.max_steps=30",
    "--trainer.val_check_interval=10",
    "--resume.every_n_train_steps=2",
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Run in a folder of its own, on one thread."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)  # for the processes it starts
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def weights(checkpoint):
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def assert_equal(one, other, **tolerance):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], **({"rtol": 0, "atol": 0} | tolerance))


def last_of(root="runs/reverse", version=0):
    return Path(root) / "lightning_logs" / f"version_{version}" / "last.ckpt"


class StopAfterOneBatch(pl.Callback):
    def on_train_batch_end(self, trainer, *_):
        trainer.should_stop = True


@pytest.mark.parametrize("name", config_names())
def test_every_config_trains_validates_and_tests(name, monkeypatch):
    seen = {}

    def before_fit(cli):
        cli.trainer.callbacks.append(StopAfterOneBatch())

    def after_fit(cli):
        seen["batches"] = cli.trainer.fit_loop.total_batch_idx + 1
        seen["validated"] = dict(cli.trainer.callback_metrics)
        seen["tested"] = cli.trainer.test(cli.model, cli.datamodule, verbose=False)[0]

    monkeypatch.setattr(BookCLI, "before_fit", before_fit, raising=False)
    monkeypatch.setattr(BookCLI, "after_fit", after_fit, raising=False)
    limits = [f"--trainer.{loop}=1" for loop in ("limit_val_batches", "limit_test_batches")]
    limits += ["--trainer.val_check_interval=1", "--trainer.num_sanity_val_steps=0"]
    assert main(["fit", f"--config={name}", *QUIET, *limits, *small_splits(read_config(name))]) == 0
    assert seen["batches"] == 1
    assert any(metric.startswith("val_") for metric in seen["validated"])
    assert any(metric.startswith("test_") for metric in seen["tested"])


@pytest.mark.parametrize("name", config_names())
def test_every_config_says_what_it_is_and_where_it_runs(name):
    text = config_path(name).read_text("utf-8")
    assert text.startswith("# Chapter ")
    config = yaml.safe_load(text)
    assert config.keys() >= {"seed_everything", "model", "data", "trainer"}
    assert isinstance(config["seed_everything"], int)
    for part in ("model", "data"):
        assert config[part]["class_path"].startswith("tutorial_lib.")
    trainer = config["trainer"]
    assert trainer["default_root_dir"] == f"runs/{name}"
    assert (trainer["accelerator"], trainer["devices"]) == ("auto", 1)


def test_configs_are_files_or_names():
    path = str(config_path("reverse"))
    for given in (["--config", "reverse"], ["-c", path]):
        assert find_configs(["fit", *given, "--a", "reverse"]) == [
            "fit",
            given[0],
            path,
            "--a",
            "reverse",
        ]
    assert find_configs(["fit", "--config=sort"]) == ["fit", f"--config={config_path('sort')}"]
    assert find_configs(["--config"]) == ["--config"]


def test_the_printed_config_has_every_setting(capsys):
    with pytest.raises(SystemExit) as ended:
        main([*SMALL, "--print_config"])
    assert ended.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    network = printed["model"]["init_args"]["network"]["init_args"]
    assert (network["embed_dim"], network["num_heads"], network["norm_first"]) == (8, 1, False)
    assert printed["resume"] == {"every_n_train_steps": 2, "dirpath": None}
    assert printed["trainer"]["max_steps"] == 30


def test_a_run_is_reproduced_from_its_saved_config_and_tested(capsys):
    assert main(SMALL) == 0
    saved = last_of().with_name("config.yaml")
    assert main(["fit", f"--config={saved}", "--trainer.default_root_dir=again"]) == 0
    assert_equal(weights(last_of("again")), weights(last_of()))
    assert main(["fit", f"--config={saved}", "--seed_everything=43"]) == 0
    network = "network.input_net.weight"
    assert not weights(last_of(version=1))[network].equal(weights(last_of())[network])

    capsys.readouterr()
    for command, metric in (("test", "test_accuracy"), ("validate", "val_accuracy")):
        flags = [f"--config={saved}", f"--ckpt_path={last_of()}"]
        assert main([command, *flags]) == 0
        assert metric in capsys.readouterr().out


def test_last_is_the_newest_checkpoint(tmp_path):
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    assert newest_checkpoint(folders) is None
    for age, folder in enumerate(folders[:2]):
        (folder / "last.ckpt").touch()
        os.utime(folder / "last.ckpt", (1000 - age, 1000 - age))
    assert newest_checkpoint(folders) == tmp_path / "a" / "last.ckpt"


def test_without_a_checkpoint_training_starts_afresh(capsys):
    assert main([*SMALL, "--trainer.max_steps=6", "--ckpt_path=last"]) == 0
    assert "There is no last.ckpt under runs/reverse: training starts afresh." in (
        capsys.readouterr().err
    )
    elsewhere = ["--resume.dirpath=kept", "--trainer.max_steps=6", "--ckpt_path=last"]
    assert main([*SMALL, *elsewhere]) == 0
    assert Path("kept/last.ckpt").is_file()
    assert main([*SMALL, *elsewhere]) == 0
    assert len(capsys.readouterr().err.splitlines()) <= 4  # it was found


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is a signal of POSIX")
def test_a_killed_command_goes_on_to_the_same_weights():
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tutorial_lib", *SMALL]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not last_of().exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert torch.load(last_of(), weights_only=True)["global_step"] <= 30
    assert main([*SMALL, "--ckpt_path=last"]) == 0
    assert main([*SMALL, "--trainer.default_root_dir=whole"]) == 0
    assert_equal(weights(last_of(version=1)), weights(last_of("whole")))


def test_two_processes_train_like_one_with_the_batch_of_both():
    alike = ["--model.init_args.network.init_args.dropout=0", "--trainer.precision=64-true"]
    assert main([*SMALL, *alike]) == 0
    two = ["--trainer.devices=2", "--trainer.strategy=ddp"]
    two += ["--data.init_args.batch_size=8", "--trainer.default_root_dir=two"]
    run_together("-m", "tutorial_lib", *SMALL, *alike, *two)
    one, other = (torch.load(path, weights_only=True) for path in (last_of(), last_of("two")))
    assert one["global_step"] == other["global_step"] == 30  # into the second epoch
    assert_equal(one["state_dict"], other["state_dict"], atol=1e-9)
    for folder in ("runs", "two"):
        assert len(list(Path(folder).rglob("last.ckpt"))) == 1
