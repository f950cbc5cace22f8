"""The command line: ``python -m tutorial_lib fit --config reverse``.

``fit``, ``validate``, ``test`` and ``predict`` are the Trainer's methods. A config names the task,
its network and its data, each with ``class_path`` and ``init_args``, and sets the trainer. Those of
the book's experiments are ``tutorial_lib/experiments/NAME/config.yaml``. Every setting is also a
flag.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytorch_lightning as pl
from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from tutorial_lib.lightning.cli_errors import ConfigError, explain_parsing, explain_refusal
from tutorial_lib.lightning.resume import ResumeCheckpoint

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
WRONG_CONFIG = 2  # the exit status, as of every command that is called wrongly
HARMLESS = "args parameter is intended|tensorboardX|does not have many workers|LeafSpec"


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line.

    A wrong config ends it with one line on stderr that says where, what and what was expected.

    Args:
        args: What stands after ``python -m tutorial_lib``; taken from there when left out.

    Returns:
        The exit status, 0, or 2 for a wrong config.

    Taught in :doc:`/notebooks/35_command_line_and_devices`.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=f".*({HARMLESS})")
            # Lightning calls jsonargparse by old names.
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            BookCLI(args=find_configs(sys.argv[1:] if args is None else args))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG_CONFIG
    return 0


def config_names() -> list[str]:
    """Name the experiments that come with the package, each with its config.

    Returns:
        The names, sorted.
    """
    return sorted(path.parent.name for path in EXPERIMENTS.glob("*/config.yaml"))


def config_path(name: str | Path) -> Path:
    """Find a config.

    Args:
        name: An experiment, such as "reverse", or a file.

    Returns:
        The file.

    Raises:
        ConfigError: If it is neither.
    """
    if Path(name).is_file():
        return Path(name)
    if name not in config_names():
        known = ", ".join(config_names())
        raise ConfigError(f"config: must be a file or one of {known}, got {name}")
    return EXPERIMENTS / name / "config.yaml"


def find_configs(args: Sequence[str]) -> list[str]:
    """Put the file in the place of a config's name.

    Args:
        args: Arguments, such as ``["fit", "--config", "reverse"]``.

    Returns:
        The arguments with paths.

    Raises:
        ConfigError: If a config is neither a file nor a name.
    """
    found = list(args)
    for place, argument in enumerate(found):
        flag, equals, value = argument.partition("=")
        if flag not in ("--config", "-c"):
            continue
        if equals:
            found[place] = f"{flag}={config_path(value)}"
        elif place + 1 < len(found):
            found[place + 1] = str(config_path(found[place + 1]))
    return found


def newest_checkpoint(folders: Iterable[Path]) -> Path | None:
    """Find the last checkpoint of the run that wrote most recently.

    Args:
        folders: Where runs keep their ``last.ckpt``.

    Returns:
        The checkpoint, or None where there is none.
    """
    found = [path for folder in folders for path in folder.glob("last.ckpt")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


class BookParser(LightningArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str, ex: Exception | None = None):
        """Say what is wrong.

        Args:
            message: What the parser says.
            ex: What it says it about.

        Raises:
            ConfigError: Always, unless this parser is inside another, which says where.
        """
        if self.exit_on_error:
            parser = getattr(ex, "subcommand_parser", None) or self
            raise ConfigError(explain_parsing(message, ex, accepted=_settings_of(parser))) from ex
        super().error(message, ex)


class BookCLI(LightningCLI):
    """Lightning's command line for the tasks of the book.

    Added are a :class:`~tutorial_lib.lightning.resume.ResumeCheckpoint` with its settings under
    ``resume``, ``--ckpt_path last`` for the newest checkpoint under ``trainer.default_root_dir``,
    and errors of one line.

    Args:
        args: Arguments; see ``main``.

    Raises:
        ConfigError: If the config is wrong.
    """

    def __init__(self, args: list[str]) -> None:
        self.trainer: pl.Trainer | None = None
        try:
            super().__init__(
                pl.LightningModule,
                pl.LightningDataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                parser_class=BookParser,
                auto_configure_optimizers=False,  # the tasks of the book make their own
                args=args,
            )
        except ConfigError:
            raise
        except Exception as error:
            explanation = explain_refusal(error, self.settings)
            if explanation is None:
                raise
            raise ConfigError(explanation) from error

    @property
    def settings(self) -> Namespace:
        """The settings of the command that runs; none before they are read."""
        config = getattr(self, "config", Namespace())
        return config.get(str(config.get("subcommand")), Namespace())

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the settings of the resumable checkpoint.

        Args:
            parser: Where they go.
        """
        parser.add_lightning_class_args(ResumeCheckpoint, "resume")

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint that "last" means.

        Raises:
            ConfigError: If there is none, and it was to be tested.
        """
        if self.settings.get("ckpt_path") != "last":
            return
        root = Path(self.settings.trainer.default_root_dir or ".")
        folders = [root, *root.glob("lightning_logs/*")]
        if self.settings.resume.dirpath is not None:
            folders = [Path(self.settings.resume.dirpath)]
        found = newest_checkpoint(folders)
        if found is None and self.subcommand != "fit":
            raise ConfigError(f"ckpt_path: there is no last.ckpt under {root} yet, run fit first")
        if found is None:
            print(f"There is no last.ckpt under {root}: training starts afresh.", file=sys.stderr)
        self.settings.ckpt_path = None if found is None else str(found)


def _settings_of(parser: LightningArgumentParser) -> list[str]:
    names = {action.dest.partition(".")[0] for action in parser._actions}
    return sorted(name for name in names if not name.startswith(("help", "print", "config")))
