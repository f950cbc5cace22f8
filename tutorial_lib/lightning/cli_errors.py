"""What is wrong with a config, in one line: the setting, and what was said of it."""

from __future__ import annotations

import inspect
import re
import traceback
from argparse import ArgumentError
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from types import FrameType

import pytorch_lightning as pl
from jsonargparse import Namespace
from lightning_fabric.utilities.exceptions import MisconfigurationException

TRAINER = "pytorch_lightning.Trainer"
UNDER_WAY = {"advance", "_evaluation_step"}  # Lightning's functions that work on a batch
REFUSALS = (ValueError, TypeError, OSError, RuntimeError, MisconfigurationException)


class ConfigError(Exception):
    """A config that cannot be run; the message is one line."""


def explain_parsing(message: str, error: BaseException | None, *, accepted: Sequence[str]) -> str:
    """Explain in one line why the settings could not be read.

    Args:
        message: What the parser says.
        error: The error behind it; its causes lead from the outermost setting to the innermost.
        accepted: The settings that there are at the top.

    Returns:
        The setting, what the parser says of the innermost, and the name that may be meant.
    """
    keys: list[str] = []
    owners: list[str] = []
    reason = message
    while error is not None:
        if not isinstance(error, ArgumentError):  # wraps one that says the same
            parts = r'(?s)\A(?:Parser key "(.+?)".*?:\s)?(.*)'
            [(key, reason)] = re.findall(parts, str(error))
            keys += [key] if key else []
            owners += re.findall(r"^Problem with.* '(.+?)'", reason)
            if re.match(r"(?s).*Union subtypes(?!.*class_path)", reason) and error.__cause__:
                break  # behind a union of plain types stands the complaint of the last alone
        error = error.__cause__
    for word in re.findall(r"(?:ption '|--)([\w.]+)", reason):
        group, _, name = word.rpartition(".")
        owner = owners[-1] if owners else TRAINER if group else ""
        close = get_close_matches(name, _parameters(owner) if owner else accepted, n=1)
        reason += f", did you mean {close[0]}?" if close else ", see --help"
    return ": ".join([*[".init_args.".join(keys)][: len(keys)], _one_line(reason)])


def explain_refusal(error: BaseException, settings: Namespace) -> str | None:
    """Explain in one line why the settings, though readable, cannot be run.

    Args:
        error: What was raised.
        settings: What was set.

    Returns:
        Where, what, and what was expected; None if the error tells of the program and not of the
        settings: then it needs its traceback.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = isinstance(error, (ValueError, TypeError)) and _module(frames[-1]) == "tutorial_lib"
    at_work = any(
        frame.f_code.co_name in UNDER_WAY and _module(frame) == "pytorch_lightning"
        for frame in frames
    )
    if not ours and (at_work or not isinstance(error, REFUSALS)):
        return None
    message = _one_line(str(error))
    return f"{_place(frames, settings, message)}{message}"


def _place(frames: Sequence[FrameType], settings: Namespace, message: str) -> str:
    """Name the setting that a message is about, by the objects at work when it was raised."""
    checkpoint = settings.get("ckpt_path")
    if checkpoint is not None and str(checkpoint) in message:
        return "ckpt_path: "
    nodes = {
        value: key.removesuffix(".class_path") + ".init_args"
        for key, value in settings.items()
        if key.endswith(".class_path")
    }
    place = ""
    for frame in frames:
        kind = type(frame.f_locals.get("self"))
        if issubclass(kind, pl.Trainer):
            place = place or "trainer"
        place = nodes.get(f"{kind.__module__}.{kind.__qualname__}", place)
    if not place:
        return ""
    for word in re.findall(r"\w+", message):
        if f"{place}.{word}" in settings:
            return f"{place}.{word}: "
    return f"{place.removesuffix('.init_args')}: "


def _parameters(path: str) -> list[str]:
    module, _, name = path.rpartition(".")
    return list(inspect.signature(getattr(import_module(module), name)).parameters)


def _module(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]


def _one_line(text: str) -> str:
    return " ".join(text.split())
