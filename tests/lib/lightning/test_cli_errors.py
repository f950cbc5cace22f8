"""What is wrong with a config is said in one line, on stderr, with exit status 2."""

from __future__ import annotations

import re
from copy import deepcopy

import pytest
import yaml

from tutorial_lib.lightning.cli import config_path, main

MODEL, NETWORK = "model.init_args", "model.init_args.network.init_args"


def changed(config, key, value):
    """Set or, without a value, remove what a dotted key leads to."""
    config = deepcopy(config)
    *path, last = key.split(".")
    inside = config
    for name in path:
        inside = inside[name]
    if value is None:
        del inside[last]
    else:
        inside[last] = value
    return config


@pytest.fixture
def said(tmp_path, capsys, monkeypatch):
    """Run with a changed config; return the one line that is said."""
    monkeypatch.chdir(tmp_path)
    reverse = yaml.safe_load(config_path("reverse").read_text("utf-8"))
    reverse["trainer"] |= {"accelerator": "cpu", "enable_model_summary": False}
    reverse["data"]["init_args"] |= {"train_size": 6400, "val_size": 128}

    def run(key=None, value=None, *flags, text=None, command="fit"):
        config = reverse if key is None else changed(reverse, key, value)
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(config) if text is None else text, "utf-8")
        capsys.readouterr()
        assert main([command, "--config", str(path), *flags]) == 2
        (line,) = [x for x in capsys.readouterr().err.splitlines() if not x.startswith("Seed set")]
        return line.removeprefix("error: ")

    return run


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (f"{MODEL}.lerning_rate", 0.1, "model: ... lerning_rate ... did you mean learning_rate?"),
        (f"{NETWORK}.embed", 3, "model.init_args.network: ... embed ... did you mean embed_dim?"),
        ("trainer.max_step", 3, "... trainer.max_step ... did you mean max_steps?"),
        ("trainer.xyz", 3, "... trainer.xyz ... see --help"),
        ("modle", 3, "... modle ... did you mean model?"),
        (f"{MODEL}.warmup_steps", "many", f"{MODEL}.warmup_steps: ... int ... many"),
        (f"{NETWORK}.embed_dim", 1.5, f"{NETWORK}.embed_dim: ... int ... 1.5"),
        ("trainer.max_steps", "many", "trainer.max_steps: ... int ... many"),
        ("trainer.precision", "8", "trainer.precision: ... 'bf16-mixed' ... 8"),
        ("model.class_path", "tutorial_lib.lightning.nothing.Task", "model: ... nothing"),
        ("model.init_args.network.class_path", "tutorial_lib.tagger.Net", "network: ... Net"),
        (
            "data.class_path",
            "tutorial_lib.tagger.TaggerNetwork",
            "data: ... TaggerNetwork ... LightningDataModule",
        ),
        (f"{MODEL}.num_categories", None, "model: ... num_categories"),
        (f"{NETWORK}.input_dim", None, "model.init_args.network: ... input_dim"),
        ("data", None, "... data"),
        # Readable, but refused by the package ...
        (f"{NETWORK}.embed_dim", 0, f"{NETWORK}.embed_dim: embed_dim must be at least 1, got 0"),
        (
            f"{NETWORK}.num_heads",
            5,
            f"{NETWORK}.num_heads: num_heads must divide embed_dim=32, got 5",
        ),
        (
            f"{MODEL}.learning_rate",
            -1.0,
            f"{MODEL}.learning_rate: learning_rate must be above 0 and finite, got -1.0",
        ),
        (
            "data.init_args.batch_size",
            0,
            "data.init_args.batch_size: batch_size must be at least 1, got 0",
        ),
        # ... which may turn out late ...
        (
            f"{MODEL}.warmup_steps",
            500,
            f"{MODEL}.warmup_steps: total_steps must exceed warmup_steps=500, got 200",
        ),
        (
            "data.init_args.batch_size",
            6401,
            "data.init_args.batch_size: batch_size must be at most 6400, the number of rows, "
            "got 6401",
        ),
        (
            f"{NETWORK}.input_dim",
            9,
            "model.init_args.network: x must have shape (batch, length, 9), got (128, 16, 10)",
        ),
        # ... or by Lightning.
        (
            "trainer.max_steps",
            -7,
            "trainer.max_steps: `max_steps` must be a non-negative integer or -1 "
            "(infinite steps). You passed in -7.",
        ),
        (
            "trainer.accelerator",
            "gpux",
            "trainer.accelerator: You selected an invalid accelerator name",
        ),
    ],
)
def test_a_wrong_config_is_told_in_one_line(said, key, value, says):
    """What the package and this tool say is pinned; of the parser's words, what a reader needs."""
    line = said(key, value)
    assert re.search(".*".join(map(re.escape, says.split("..."))).replace(r"\ ", " ?"), line), line


def test_a_wrong_flag_is_told_like_a_wrong_key(said):
    line = said(None, None, "--trainer.max_stps", "3")
    assert "trainer.max_stps" in line
    assert line.endswith("did you mean max_steps?")
    assert said(None, None, f"--{NETWORK}.num_heads", "0").startswith(f"{NETWORK}.num_heads: ")


def test_a_file_that_is_no_config_is_refused(said):
    assert "line 2, column 5" in said(text="model: [1, 2\ndata: x\n")
    assert said(text="3") == "Unexpected config: 3"


def test_a_config_that_is_not_there_is_named_and_those_that_are(capsys):
    for args in (["--config", "rverse"], ["--config=rverse"], ["-c", "rverse"]):
        assert main(["fit", *args]) == 2
        says = capsys.readouterr().err
        assert says.startswith("error: config: must be a file or one of ")
        assert "reverse" in says
        assert says.endswith(", got rverse\n")


def test_a_checkpoint_that_is_not_there_is_named(said):
    line = said(None, None, "--ckpt_path", "nowhere.ckpt", command="test")
    assert line == "ckpt_path: Checkpoint file not found: nowhere.ckpt"
    line = said(None, None, "--ckpt_path", "last", command="test")
    assert line == "ckpt_path: there is no last.ckpt under runs/reverse yet, run fit first"


def test_a_command_that_is_not_there_is_told(capsys):
    for args in ([], ["train"]):
        assert main(args) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "fit" in line
        assert "validate" in line


def test_an_error_of_the_program_keeps_its_traceback(said, monkeypatch):
    from tutorial_lib.experiments.reverse.task import SequenceTagger

    def broken(self, batch, batch_idx):
        return {}["nothing"]

    monkeypatch.setattr(SequenceTagger, "training_step", broken)
    with pytest.raises(KeyError, match="nothing"):
        said()
    monkeypatch.setattr(SequenceTagger, "training_step", lambda *_: int("one"))
    monkeypatch.setattr(SequenceTagger, "__module__", "elsewhere")
    with pytest.raises(ValueError, match="invalid literal"):
        said()
